//! What counts as a reference to a secret kept elsewhere (spec/consumers-credentials-secrets §5.2).
//!
//! One definition for everybody who lets references pass, or who must never take one for the secret itself.

use serde_json::Value;

/// Whether `text` refers to a secret kept elsewhere: `$secret://…`, or `$env://…` in any case.
///
/// Text with control characters is never one: what passes unseen must not be able to end a header line later.
pub fn is_reference(text: &str) -> bool {
    starts_like_reference(text) && !text.contains(char::is_control)
}

/// Whether `text` starts the way references do. Whoever would use the text itself must ask this, not
/// [`is_reference`]: a malformed reference is no secret either.
pub fn starts_like_reference(text: &str) -> bool {
    env_reference(text).is_some() || secret_reference(text).is_some()
}

/// What stands behind `$env://`, in any case.
pub fn env_reference(text: &str) -> Option<&str> {
    text.get(..ENV.len()).filter(|start| start.eq_ignore_ascii_case(ENV)).and_then(|start| text.get(start.len()..))
}

/// What stands behind `$secret://`.
pub fn secret_reference(text: &str) -> Option<&str> {
    text.strip_prefix(SECRET)
}

/// Whether any string of `value`, at any depth, starts the way references do; its literal text must never be used in
/// place of what it stands for.
pub fn holds_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => starts_like_reference(text),
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Object(members) => members.values().any(holds_reference),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

const ENV: &str = "$env://";
const SECRET: &str = "$secret://";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_told_by_their_start() {
        for (text, starts, is) in [
            ("$env://NAME", true, true),
            ("$ENV://NAME", true, true),
            ("$secret://vault/1/key", true, true),
            ("$SECRET://vault/1/key", false, false),
            ("$env://a\r\nb", true, false),
            ("a $env://NAME", false, false),
            ("$env:/", false, false),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", false, false),
        ] {
            assert_eq!((starts_like_reference(text), is_reference(text)), (starts, is), "{text:?}");
        }
        assert!(holds_reference(&json!({"a": [1, {"b": "$env://X"}]})));
        assert!(!holds_reference(&json!({"$env://X": ["plain", null, 1]})));
    }
}
