//! Byte-string helpers that the standard library lacks.

use std::fmt;
use std::io::Write;
use std::net::IpAddr;

/// A range of a connection's buffer. Offsets are `u32`: heads are bounded far below 4 GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span from `start` to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The bytes of `buffer` that the span covers; empty if it reaches outside.
    #[inline]
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether the span covers nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// `bytes` without the spaces and tabs at both ends (RFC 9110 §5.6.3, optional white space).
#[inline]
pub fn trim_ows(bytes: &[u8]) -> &[u8] {
    let (start, end) = within_ows(bytes);
    bytes.get(start..end).unwrap_or_default()
}

/// Where [`trim_ows`] begins and ends; at the start if there is nothing else. There is seldom more than one blank, so
/// each end is looked at by hand.
#[inline]
pub fn within_ows(bytes: &[u8]) -> (usize, usize) {
    let is_ows = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t'));
    let mut end = bytes.len();
    while end > 0 && is_ows(end - 1) {
        end -= 1;
    }
    let mut start = 0;
    while start < end && is_ows(start) {
        start += 1;
    }
    (start, end)
}

/// Parses a run of decimal digits, and nothing else, into a number; `None` when empty, foreign or too large.
pub fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Appends `value` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        if let Some(slot) = digits.get_mut(start) {
            *slot = b'0' + (value % 10) as u8;
        }
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

/// Appends `address` as text, an IPv4 one without the formatter, which costs a thousand instructions.
pub fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, others @ ..] = address.octets();
            push_octet(out, first);
            for octet in others {
                out.push(b'.');
                push_octet(out, octet);
            }
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

fn push_octet(out: &mut Vec<u8>, octet: u8) {
    if octet >= 100 {
        out.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        out.push(b'0' + octet / 10 % 10);
    }
    out.push(b'0' + octet % 10);
}

/// Shows bytes for a log line: printable ASCII as it is, the rest as `\xHH`.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b'"' | b'\\' => write!(formatter, "\\x{byte:02X}")?,
                0x20..=0x7e => write!(formatter, "{}", char::from(*byte))?,
                _ => write!(formatter, "\\x{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_takes_digits_only_and_round_trips() {
        for (text, want) in [("0", Some(0)), ("007", Some(7)), ("18446744073709551615", Some(u64::MAX))] {
            assert_eq!(decimal(text.as_bytes()), want, "{text}");
        }
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1_0", "18446744073709551616"] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
        for value in [0, 9, 10, 1234, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }

    #[test]
    fn addresses_read_as_the_standard_library_shows_them() {
        let octets = [0, 1, 9, 10, 99, 100, 127, 199, 200, 255];
        let v4 = octets.map(|octet| IpAddr::from([octet, 0, octet, 10]));
        let v6 = ["::1", "2001:db8::7:0:1", "::ffff:10.0.0.1"].map(|text| text.parse().unwrap());
        for address in v4.into_iter().chain(v6) {
            let mut out = Vec::new();
            push_address(&mut out, address);
            assert_eq!(out, address.to_string().into_bytes());
        }
    }

    #[test]
    fn optional_white_space_is_space_and_tab() {
        assert_eq!(trim_ows(b" \ta b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
        assert_eq!(trim_ows(b"\x0bx"), b"\x0bx");
    }
}
