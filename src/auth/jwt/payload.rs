//! What a verified token says, for plugins that run later: variables `jwt_payload_<claim>` (`store_in_ctx`,
//! spec/jwt-auth §8.3).
//!
//! Made only where a route asks for it, after the token was verified; allocates what it keeps, bounded by the token's
//! own bound. Never panics.

use crate::base::base64url;
use serde_json::{Map, Value};
use std::fmt;

/// The scalar members of a token's payload, as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Box<[Claim]>);

/// A name and its value.
type Claim = (Box<str>, Box<[u8]>);

impl Payload {
    /// Reads an encoded payload part; nothing if it is no JSON object. Of a repeated member the last counts.
    pub fn read(encoded: &[u8]) -> Self {
        let (mut respelled, mut decoded) = (Vec::new(), Vec::new());
        base64url::respell_into(encoded, &mut respelled);
        let json = base64url::decode_into(&respelled, &mut decoded).unwrap_or_default();
        let members: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        Self(
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name.into(), text(value)?.into_bytes().into())))
                .collect(),
        )
    }

    /// The member called `name`, to the byte; absent if it is none, `null`, an object or an array.
    pub fn claim(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}

impl fmt::Debug for Payload {
    /// Shows names only: what a token says is nobody's business in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[test]
    fn scalars_are_text_and_nothing_else_is_there() {
        let json = r#"{"s":"a\nb","e":"","i":-7,"big":9007199254740993,"f":1.5,"t":true,"z":null,"a":[1],"o":{"s":1},"d":1,"d":2}"#;
        let payload = Payload::read(URL_SAFE_NO_PAD.encode(json).as_bytes());
        for (name, want) in [
            ("s", Some("a\nb")),
            ("e", Some("")),
            ("i", Some("-7")),
            ("big", Some("9007199254740993")),
            ("f", Some("1.5")),
            ("t", Some("true")),
            ("z", None),
            ("a", None),
            ("o", None),
            ("d", Some("2")),
            ("S", None),
        ] {
            assert_eq!(payload.claim(name), want.map(str::as_bytes), "{name}");
        }
        assert!(!format!("{payload:?}").contains("9007199254740993"));
    }

    #[test]
    fn what_is_no_object_says_nothing() {
        for encoded in ["", "@@", "e30", "W10"] {
            assert_eq!(Payload::read(encoded.as_bytes()).claim("s"), None, "{encoded}");
        }
    }
}
