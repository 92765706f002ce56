//! The characters of a `Host` value (RFC 3986 §3.2.2, RFC 9110 §7.2).

use super::field::{byte_table, leading};

/// Whether `value` is a plausible `host[:port]`: a name or IPv4 address of unreserved characters, sub-delimiters and
/// percent signs, or a bracketed IP literal, then at most a decimal port. Userinfo, paths and commas are refused.
pub fn is_authority(value: &[u8]) -> bool {
    let (host_is_clean, port) = match value.first() {
        None => return false,
        Some(b'[') => {
            let Some(close) = memchr::memchr(b']', value) else { return false };
            let literal = value.get(1..close).unwrap_or_default();
            let clean = !literal.is_empty()
                && literal.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'v' | b'%'));
            (clean, value.get(close + 1..).unwrap_or_default())
        }
        Some(_) => {
            // Up to the port's colon, or to whatever does not belong into a name.
            let end = leading(&NAME, value);
            (end > 0, value.get(end..).unwrap_or_default())
        }
    };
    host_is_clean
        && match port.split_first() {
            None => true,
            Some((b':', digits)) => digits.len() <= PORT_DIGITS_MAX && digits.iter().all(u8::is_ascii_digit),
            Some(_) => false,
        }
}

static NAME: [bool; 256] = byte_table(b"-._~%!$&'*+;=()");

const PORT_DIGITS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::is_authority;

    #[test]
    fn authorities() {
        for good in ["a", "a.b:80", "127.0.0.1:9080", "[::1]", "[::1]:80", "EXAMPLE.com.", "a_b", "a:"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a/b",
            "u@h",
            "a, b",
            "a#b",
            "[::1",
            "<a>",
            "caf\u{e9}",
            "a\0b",
            "a\tb",
            "a:b",
            "http://a",
            "a:999999",
            "[]",
            "[::1]x",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad:?}");
        }
    }
}
