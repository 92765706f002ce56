//! YAML text to a tree of JSON values. Runs once at start; never resolves includes or tags.

use super::error::Fault;
use serde_json::{Map, Value};

/// Keys and values of one YAML mapping.
pub(super) type Table = Map<String, Value>;

/// Parses one YAML document whose root is a mapping; a document without content is an empty mapping.
pub(super) fn parse(text: &str) -> Result<Table, Fault> {
    let value: Option<Value> =
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| Fault::Syntax(one_line(&error)))?;
    match value {
        None | Some(Value::Null) => Ok(Table::new()),
        Some(Value::Object(table)) => Ok(table),
        Some(other) => Err(Fault::Syntax(format!("expected a mapping of keys, found {}", kind(&other)))),
    }
}

/// How configuration files are read: no excerpt of the file in errors, `007` stays text.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        leading_zero_numbers_as_strings: true,
    }
}

/// What a value is, in the words of an error.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(items) if items.is_empty() => "an empty list",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// What a value is, in APISIX's words (Lua's type names).
pub(super) fn lua_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "table",
    }
}

fn one_line(error: &serde_saphyr::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_without_content_are_empty() {
        for text in ["", "\n", "# only a comment\n", "---\n", "null\n", "~"] {
            assert_eq!(parse(text).unwrap(), Table::new(), "{text:?}");
        }
    }

    #[test]
    fn scalars_take_their_natural_types() {
        let table = parse("a: 1\nb: true\nc: text\nd: null\ne: [1, {f: 2}]\ng: 007\nh: '1'\n9: x\n").unwrap();
        let want =
            json!({"a": 1, "b": true, "c": "text", "d": null, "e": [1, {"f": 2}], "g": "007", "h": "1", "9": "x"});
        assert_eq!(Value::Object(table), want);
    }

    #[test]
    fn errors_are_one_line_without_an_excerpt() {
        for text in ["a: [1", "a: b: c", "- 1\n", "text", "a: 1\na: 2\n", "a: &x [*x]", "a: 1\n---\nb: 2\n", "\t- a"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("is not valid YAML: ") && !error.contains('\n'), "{text:?}: {error}");
        }
        let error = parse("admin_key: hunter2\nb: [").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
