//! Pieces that schemas and checks of several kinds share.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The members that every kind has, and `own` ones.
pub(super) fn members(own: Value) -> Value {
    let mut properties = json!({
        "id": id(),
        "desc": {"type": "string", "maxLength": 256},
        "labels": labels(),
        "create_time": {"type": "integer"},
        "update_time": {"type": "integer"},
    });
    if let (Value::Object(properties), Value::Object(own)) = (&mut properties, own) {
        properties.extend(own);
    }
    properties
}

/// Text of 1 to 64 letters, or an integer from 1 (spec/admin-api §3).
pub(super) fn id() -> Value {
    json!({"anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]})
}

/// How a condition that cannot be used is refused, whichever member holds it (spec/admin-api §5).
pub(super) fn expression_refused(reason: &str) -> String {
    format!("failed to validate the 'vars' expression: {reason}")
}

pub(super) fn name() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 256})
}

fn labels() -> Value {
    let value = json!({"type": "string", "pattern": "^\\S+$", "minLength": 1, "maxLength": 256});
    json!({"type": "object", "patternProperties": {".*": value}})
}

pub(super) fn host() -> Value {
    json!({"type": "string", "pattern": "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$"})
}

pub(super) fn hosts() -> Value {
    json!({"type": "array", "items": host(), "minItems": 1, "uniqueItems": true})
}

pub(super) fn timeout() -> Value {
    // A year at most: what the compiler could not use must not be stored, because an older version would go on serving.
    let seconds = json!({"type": "number", "exclusiveMinimum": 0, "maximum": 31_536_000});
    json!({
        "type": "object",
        "properties": {"connect": seconds, "send": seconds, "read": seconds},
        "required": ["connect", "send", "read"],
    })
}

pub(super) fn plugins() -> Value {
    json!({"type": "object"})
}

pub(super) fn script() -> Value {
    json!({"type": "string", "minLength": 10, "maxLength": 102_400})
}

/// Refuses members whose effect does not exist here: better than storing what would be ignored.
pub(super) fn unsupported(object: &Map<String, Value>, names: &[&str], of: &str) -> Result<(), String> {
    match names.iter().find(|name| object.contains_key(**name)) {
        Some(name) => Err(format!("invalid configuration: property \"{name}\" of {of} is not supported")),
        None => Ok(()),
    }
}

/// Refuses `enable_websocket: true`.
pub(super) fn no_websocket(object: &Map<String, Value>) -> Result<(), String> {
    match object.get("enable_websocket") {
        Some(Value::Bool(true)) => {
            Err("invalid configuration: property \"enable_websocket\" is not supported, only false is".to_owned())
        }
        _ => Ok(()),
    }
}

/// Makes sure that what is stored can be read again as `T`: the last word, beyond what a schema can say (a whole
/// number written with a fraction, or one too large).
pub(super) fn readable<T: DeserializeOwned>(object: &Map<String, Value>) -> Result<(), String> {
    T::deserialize(object).map(|_| ()).map_err(|error| format!("invalid configuration: {error}"))
}
