//! Query arguments, as the original reads them.
//!
//! A raw query and a name in, the raw value out; decoding is the caller's step, so that what needs none is not
//! copied. Runs for requests whose route asks for an argument. Never allocates, waits or panics.

/// The argument called `name`, still encoded; `None` when it does not occur. An empty name occurs nowhere.
#[inline]
pub fn argument<'a>(query: &'a [u8], name: &[u8]) -> Option<Result<&'a [u8], ArgumentError>> {
    if query.is_empty() || name.is_empty() {
        return None;
    }
    let mut found = query.split(|byte| *byte == b'&').filter(|pair| is_argument(pair, name));
    let pair = found.next()?;
    if found.next().is_some() {
        return Some(Err(ArgumentError::Repeated));
    }
    let Some(mark) = memchr::memchr(b'=', pair) else {
        return Some(Err(ArgumentError::Bare));
    };
    Some(Ok(pair.get(mark + 1..).unwrap_or_default()))
}

/// Why an argument that occurs has no one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentError {
    /// More than once.
    Repeated,
    /// Without `=`.
    Bare,
}

/// Whether the pair `name=value`, or the bare name, is the argument called `name`.
#[inline]
pub fn is_argument(pair: &[u8], name: &[u8]) -> bool {
    let encoded = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
    // An encoded name is never shorter than the name, and a pair that begins otherwise need not be decoded.
    encoded.len() >= name.len() && Decoded { encoded }.eq(name.iter().copied())
}

/// The bytes that a query's name or value stands for: `+` is a space, `%XX` a byte. A `%` that begins no such triple
/// stands for itself.
#[derive(Debug, Clone)]
pub struct Decoded<'a> {
    /// What is not decoded yet.
    pub encoded: &'a [u8],
}

impl Iterator for Decoded<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (byte, width) = match self.encoded {
            [b'%', high, low, ..] => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [b'+', ..] => (b' ', 1),
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        self.encoded = self.encoded.get(width..).unwrap_or_default();
        Some(byte)
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_has_one_value_or_a_reason_to_have_none() {
        let cases: [(&str, Option<Result<&str, ArgumentError>>); 8] = [
            ("", None),
            ("keys=1&ke=2", None),
            ("a=1&key=b%20c&d", Some(Ok("b%20c"))),
            ("%6bey=b=c", Some(Ok("b=c"))),
            ("key=", Some(Ok(""))),
            ("key", Some(Err(ArgumentError::Bare))),
            ("key=1&a&key", Some(Err(ArgumentError::Repeated))),
            ("&&key=1&&", Some(Ok("1"))),
        ];
        for (query, want) in cases {
            assert_eq!(argument(query.as_bytes(), b"key"), want.map(|value| value.map(str::as_bytes)), "{query}");
        }
        assert_eq!(argument(b"=1", b""), None);
    }

    #[test]
    fn decoding_leaves_what_is_no_escape() {
        for (encoded, want) in [("a+b%2Bc", "a b+c"), ("%7b%7D", "{}"), ("%zz%4", "%zz%4"), ("%25%37", "%7"), ("", "")]
        {
            let decoded: Vec<u8> = Decoded { encoded: encoded.as_bytes() }.collect();
            assert_eq!(decoded, want.as_bytes(), "{encoded}");
        }
    }
}
