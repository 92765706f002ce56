//! References to the environment, as it was when the process started: nothing here changes it later.

use super::failure::Failure;
use super::member;
use super::value::Secret;
use zeroize::Zeroizing;

/// Reads one environment variable.
pub type Environment = fn(&str) -> Option<String>;

/// The process's own; a variable that is not UTF-8 counts as not set.
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The variable `name`, or the member `field` of the JSON object it holds. An empty value is a value.
pub fn resolve(environment: Environment, name: &str, field: Option<&str>) -> Result<Secret, Failure> {
    let text = environment(name).ok_or_else(|| Failure::VariableMissing(name.into()))?;
    match field {
        None => Ok(Secret::new(text)),
        Some(field) => member::of_text(&Zeroizing::new(text), field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "KEY" => Some("one".into()),
            "KEY_2" => Some("two".into()),
            "EMPTY" => Some(String::new()),
            "JSON" => Some(r#"{"a": "x", "a/b": "y"}"#.into()),
            _ => None,
        }
    }

    #[test]
    fn names_are_exact_and_fields_are_members() {
        for (name, field, want) in [
            ("KEY", None, Ok("one")),
            ("KEY_2", None, Ok("two")),
            ("KEY_", None, Err(Failure::VariableMissing("KEY_".into()))),
            ("key", None, Err(Failure::VariableMissing("key".into()))),
            ("EMPTY", None, Ok("")),
            ("JSON", Some("a"), Ok("x")),
            ("JSON", Some("a/b"), Ok("y")),
            ("JSON", Some("c"), Err(Failure::MemberMissing)),
            ("KEY", Some("a"), Err(Failure::NotAnObject)),
        ] {
            let found = resolve(environment, name, field).map(|secret| secret.expose().to_owned());
            assert_eq!(found, want.map(str::to_owned), "{name} {field:?}");
        }
    }
}
