//! Stored values, read: JSON text in, a typed object out, or a reason that quotes nothing of it.

use serde::de::{DeserializeOwned, IgnoredAny};
use std::fmt;

/// Why an object was not taken. Says where, never what stands there: values hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected(pub(super) String);

impl Rejected {
    /// A JSON error without its own text, which quotes the value.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        let what = if error.is_data() { "a member has the wrong type" } else { "not JSON" };
        match error.line() {
            0 => Self(what.into()),
            line => Self(format!("{what} (line {line}, column {})", error.column())),
        }
    }
}

impl From<String> for Rejected {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads a stored value, which must be a JSON object: an array would be read as the members in their order.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Rejected> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Rejected("not a JSON object".into()));
    }
    serde_json::from_str(text).map_err(|error| Rejected::json(&error))
}

/// Whether a stored value is a JSON object, of whatever kind.
pub(super) fn is_object(text: &str) -> bool {
    read::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::consumer::ConsumerSpec;

    #[test]
    fn reasons_quote_nothing() {
        for text in [r#"{"username": "u", "plugins": "hunter2"}"#, "{\"username\": hunter2", "[\"hunter2\"]", ""] {
            let Err(reason) = read::<ConsumerSpec>(text) else { panic!("{text:?} was read") };
            assert!(!reason.to_string().contains("hunter2"), "{reason}");
        }
    }
}
