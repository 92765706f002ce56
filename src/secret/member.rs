//! Text out of JSON: what a member of a variable, or of a manager's answer, stands for.

use super::failure::Failure;
use super::value::Secret;
use serde_json::Value;

/// The member `name` of the JSON object that `text` holds.
pub(super) fn of_text(text: &str, name: &str) -> Result<Secret, Failure> {
    let object: Value = serde_json::from_str(text).map_err(|_| Failure::NotAnObject)?;
    if !object.is_object() {
        return Err(Failure::NotAnObject);
    }
    of_object(object, name)
}

/// The member `name` of `object`. Numbers and booleans are taken as JSON writes them.
pub(super) fn of_object(mut object: Value, name: &str) -> Result<Secret, Failure> {
    let member = object.get_mut(name).map(Value::take);
    wipe(&mut object);
    match member {
        None | Some(Value::Null) => Err(Failure::MemberMissing),
        Some(Value::String(text)) => Ok(Secret::new(text)),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => Ok(Secret::new(value.to_string())),
        Some(mut value) => {
            wipe(&mut value);
            Err(Failure::NotText)
        }
    }
}

/// Overwrites every text of `value`, at any depth.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => zeroize::Zeroize::zeroize(text),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_text_or_have_a_reason() {
        let text = r#"{"a": "x", "n": 1.5, "b": true, "o": {}, "z": null, "a/b": "y", "e": ""}"#;
        for (name, want) in [
            ("a", Ok("x")),
            ("n", Ok("1.5")),
            ("b", Ok("true")),
            ("a/b", Ok("y")),
            ("e", Ok("")),
            ("o", Err(Failure::NotText)),
            ("z", Err(Failure::MemberMissing)),
            ("absent", Err(Failure::MemberMissing)),
        ] {
            let found = of_text(text, name).map(|secret| secret.expose().to_owned());
            assert_eq!(found, want.map(str::to_owned), "{name}");
        }
        for text in ["x", "[1]", "\"a\"", ""] {
            assert_eq!(of_text(text, "a").err(), Some(Failure::NotAnObject), "{text}");
        }
    }

    #[test]
    fn wiping_leaves_no_text() {
        let mut value = json!({"a": ["x", {"b": "y"}], "n": 1});
        wipe(&mut value);
        assert_eq!(value, json!({"a": ["", {"b": ""}], "n": 1}));
    }
}
