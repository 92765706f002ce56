//! The query arguments that calls have in common.

use super::answer::Answer;

/// A query, decoded.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes a raw query apart: `&` between pairs, `+` for a space, percent-encoded bytes.
    pub(super) fn parse(raw: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        };
        Self { pairs: raw.split('&').filter(|pair| !pair.is_empty()).map(pair).collect() }
    }

    /// The first value of `name`.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(its, _)| its == name).map(|(_, value)| value.as_str())
    }

    /// All pairs, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `force=true`.
    pub(super) fn force(&self) -> bool {
        self.first("force") == Some("true")
    }

    /// `ttl`, in whole seconds, rounded up; 0 means that nothing expires.
    pub(super) fn ttl_s(&self) -> Result<u64, Answer> {
        let Some(text) = self.first("ttl") else { return Ok(0) };
        match text.parse::<f64>() {
            Ok(ttl) if (0.0..=TTL_S_MAX).contains(&ttl) => Ok(ttl.ceil() as u64),
            _ => Err(Answer::bad_request("invalid argument ttl: should be a number")),
        }
    }
}

/// Percent-decodes `text`; what is not UTF-8 afterwards is replaced, so it names nothing.
pub(super) fn decode(text: &str, plus_is_space: bool) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut ahead = bytes.clone();
                match (ahead.next().and_then(hex), ahead.next().and_then(hex)) {
                    (Some(high), Some(low)) => {
                        bytes = ahead;
                        high << 4 | low
                    }
                    _ => b'%',
                }
            }
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// A century: what etcd grants a lease at most is less.
const TTL_S_MAX: f64 = 3_155_760_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = Query::parse("a=1&&b=x+y%2B%zz%4&c&a=2&d=%ff");
        assert_eq!(query.first("a"), Some("1"));
        assert_eq!(query.first("b"), Some("x y+%zz%4"));
        assert_eq!(query.first("c"), Some(""));
        assert_eq!(query.first("d"), Some("\u{fffd}"));
        assert_eq!(query.first("e"), None);
        assert_eq!(decode("a+b%2fc", false), "a+b/c");
    }

    #[test]
    fn ttl_is_a_number_of_seconds() {
        for (text, want) in [("", Some(0)), ("ttl=0", Some(0)), ("ttl=5", Some(5)), ("ttl=0.5", Some(1))] {
            assert_eq!(Query::parse(text).ttl_s().ok(), want, "{text}");
        }
        for text in ["ttl=", "ttl=x", "ttl=-1", "ttl=inf", "ttl=NaN", "ttl=1e300"] {
            let answer = Query::parse(text).ttl_s().unwrap_err();
            assert_eq!(answer.body(), "{\"error_msg\":\"invalid argument ttl: should be a number\"}\n", "{text}");
        }
    }
}
