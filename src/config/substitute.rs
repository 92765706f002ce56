//! `${{VAR}}` and `${{VAR:=default}}` in keys and values, replaced after parsing and before merging.

use super::error::Fault;
use super::yaml::Table;
use serde_json::Value;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every reference in `table`, at any depth.
///
/// A value that held a reference and now reads as a number, `true` or `false` becomes one, quoted or not: that is
/// what the original does.
pub(super) fn substitute(table: Table, environment: Environment<'_>) -> Result<Table, Fault> {
    let mut replaced = Table::new();
    for (key, value) in table {
        let key = expand(&key, environment)?.unwrap_or(key);
        if key.contains(char::is_control) {
            // No key of ours holds one, and every text about a key stays one line.
            let key = key.escape_debug().to_string();
            let (expected, found) = ("a key without control characters".to_owned(), "one with".to_owned());
            return Err(Fault::Value { key, expected, found });
        }
        let value = substitute_value(value, environment)?;
        if replaced.contains_key(&key) {
            return Err(Fault::Twin(key));
        }
        replaced.insert(key, value);
    }
    Ok(replaced)
}

fn substitute_value(value: Value, environment: Environment<'_>) -> Result<Value, Fault> {
    Ok(match value {
        Value::Object(table) => Value::Object(substitute(table, environment)?),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| substitute_value(item, environment)).collect::<Result<_, _>>()?)
        }
        Value::String(text) => match expand(&text, environment)? {
            Some(expanded) => natural(expanded),
            None => Value::String(text),
        },
        other => other,
    })
}

/// `text` with its references replaced; `None` when it holds none.
fn expand(text: &str, environment: Environment<'_>) -> Result<Option<String>, Fault> {
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((inner, tail)) = after.split_once(CLOSE) else { break };
        let (name, default) = match inner.split_once(":=") {
            Some((name, default)) => (name.trim(), Some(default.trim())),
            None => (inner.trim(), None),
        };
        out.push_str(before);
        if is_name(name) {
            let set = environment(name).or_else(|| default.map(str::to_owned));
            out.push_str(&set.ok_or_else(|| Fault::Environment(name.to_owned()))?);
            found = true;
            rest = tail;
        } else {
            // Not a reference: the opening mark is ordinary text, and a reference may still follow it.
            out.push_str(OPEN);
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(found.then_some(out))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The value that `text` stands for when written bare.
fn natural(text: String) -> Value {
    match text.as_str() {
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(&text);
    if digits.starts_with(|first: char| first.is_ascii_digit())
        && let Ok(number) = text.parse::<serde_json::Number>()
    {
        return Value::Number(number);
    }
    Value::String(text)
}

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn environment(name: &str) -> Option<String> {
        let pairs = [("PORT", "9081"), ("ON", "true"), ("HOST", "a.example"), ("EMPTY", ""), ("KEY", "node_listen")];
        pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    }

    fn substituted(value: Value) -> Result<Value, String> {
        let Value::Object(table) = value else { panic!("not an object") };
        substitute(table, &environment).map(Value::Object).map_err(|fault| fault.to_string())
    }

    #[test]
    fn references_are_replaced_and_take_their_natural_type() {
        let cases = [
            (json!("${{PORT}}"), json!(9081)),
            (json!("${{ PORT }}"), json!(9081)),
            (json!("${{ON}}"), json!(true)),
            (json!("${{HOST}}:${{PORT}}"), json!("a.example:9081")),
            (json!("x${{EMPTY}}y"), json!("xy")),
            (json!("${{NONE:=7}}"), json!(7)),
            (json!("${{ NONE := false }}"), json!(false)),
            (json!("${{NONE:=}}"), json!("")),
            (json!("${{HOST:=other}}"), json!("a.example")),
            (json!("${{NONE:=-1.5}}"), json!(-1.5)),
            (json!("${{NONE:=1.2.3.4}}"), json!("1.2.3.4")),
            (json!("9081"), json!("9081")),
            (json!("${PORT} $PORT"), json!("${PORT} $PORT")),
            (json!("${{PORT"), json!("${{PORT")),
            (json!("${{a-b}} ${{PORT}}"), json!("${{a-b}} 9081")),
            (json!([{"deep": "${{PORT}}"}]), json!([{"deep": 9081}])),
        ];
        for (value, want) in cases {
            assert_eq!(substituted(json!({"k": value})).unwrap(), json!({"k": want}), "{value}");
        }
        assert_eq!(substituted(json!({"${{KEY}}": 1})).unwrap(), json!({"node_listen": 1}));
    }

    #[test]
    fn a_missing_variable_is_named() {
        for value in [json!({"k": "${{NONE}}"}), json!({"${{NONE}}": 1}), json!({"k": [["a${{ NONE }}"]]})] {
            let error = substituted(value.clone()).unwrap_err();
            assert_eq!(error, "failed to handle configuration: can't find environment variable NONE", "{value}");
        }
        assert!(substituted(json!({"${{KEY}}": 1, "node_listen": 2})).unwrap_err().contains("two keys"));
    }

    #[test]
    fn a_key_is_one_line() {
        let error = substituted(json!({"a": [{"b\nc": 1}]})).unwrap_err();
        assert_eq!(error, "b\\nc: expected a key without control characters, found one with");
    }
}
