//! nginx's time and size syntax: `60s`, `1h30m`, `500ms`, `8k`.

use std::time::Duration;

/// Parses a time; a bare number is seconds. `None` when it is not one or exceeds a century.
pub(super) fn time(text: &str) -> Option<Duration> {
    let mut total_ms = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (amount, tail) = leading_number(rest)?;
        let unit_end = tail.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at_checked(unit_end)?;
        let unit_ms = match unit {
            "ms" => 1,
            "s" => SECOND_MS,
            "m" => 60 * SECOND_MS,
            "h" => 3_600 * SECOND_MS,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            "M" => 30 * DAY_MS,
            "y" => 365 * DAY_MS,
            // Only the last amount may go without a unit.
            "" if after.trim().is_empty() => SECOND_MS,
            _ => return None,
        };
        total_ms = total_ms.checked_add(amount.checked_mul(unit_ms)?)?;
        rest = after.trim_start();
    }
    (total_ms <= TIME_MS_MAX).then(|| Duration::from_millis(total_ms))
}

/// Parses a size in bytes: a number, optionally followed by `k`, `m` or `g` of either case.
pub(super) fn size(text: &str) -> Option<u64> {
    let (amount, unit) = leading_number(text.trim())?;
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    amount.checked_mul(1 << shift)
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((crate::base::bytes::decimal(digits.as_bytes())?, rest))
}

const SECOND_MS: u64 = 1_000;
const DAY_MS: u64 = 86_400 * SECOND_MS;
/// A century: beyond it a timer's arithmetic is nobody's intent.
const TIME_MS_MAX: u64 = 36_500 * DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases = [
            ("60s", Some(60_000)),
            ("60", Some(60_000)),
            ("0", Some(0)),
            ("500ms", Some(500)),
            ("1h30m", Some(5_400_000)),
            ("1h 30m 5", Some(5_405_000)),
            (" 10s ", Some(10_000)),
            ("2d", Some(172_800_000)),
            ("1M", Some(2_592_000_000)),
            ("", None),
            ("s", None),
            ("10 s x", None),
            ("10sec", None),
            ("10 20s", None),
            ("-1", None),
            ("1.5s", None),
            ("18446744073709551615w", None),
            ("101y", None),
        ];
        for (text, want) in cases {
            assert_eq!(time(text), want.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("16384", Some(16_384)),
            ("8k", Some(8_192)),
            ("8K", Some(8_192)),
            ("1m", Some(1 << 20)),
            ("2G", Some(2 << 30)),
            ("", None),
            ("k", None),
            ("8kb", None),
            ("-1", None),
            ("1.5m", None),
            ("18446744073709551615k", None),
        ];
        for (text, want) in cases {
            assert_eq!(size(text), want, "{text:?}");
        }
    }
}
