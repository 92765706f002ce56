//! PATCH: what a stored object becomes (spec/admin-api §7).

use serde_json::{Map, Value};

/// Merges `change` into `object`: objects key by key, anything else replaces, `null` deletes (RFC 7396).
pub(super) fn merge(object: &mut Map<String, Value>, change: Map<String, Value>) {
    for (name, change) in change {
        match (object.get_mut(&name), change) {
            (_, Value::Null) => {
                // The order of what stays is kept.
                object.shift_remove(&name);
            }
            (Some(Value::Object(member)), Value::Object(change)) => merge(member, change),
            (_, Value::Object(change)) => {
                let mut member = Map::new();
                merge(&mut member, change);
                object.insert(name, Value::Object(member));
            }
            (_, change) => {
                object.insert(name, change);
            }
        }
    }
}

/// Replaces what stands at `path`, making the objects on the way. Only members of objects can be named.
pub(super) fn replace(object: &mut Map<String, Value>, path: &[String], value: Value) -> Result<(), String> {
    let Some((last, way)) = path.split_last() else { return Ok(()) };
    let mut here = object;
    for (depth, name) in way.iter().enumerate() {
        let member = here.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(members) = member else {
            let reached: Vec<&str> = path.iter().take(depth + 1).map(String::as_str).collect();
            return Err(format!("invalid sub-path: /{}", reached.join("/")));
        };
        here = members;
    }
    here.insert(last.clone(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_merge_goes_key_by_key() {
        for (row, before, change, after) in [
            (
                "hash nodes only grow",
                json!({"n": {"a:1": 1}}),
                json!({"n": {"b:1": 1}}),
                json!({"n": {"a:1": 1, "b:1": 1}}),
            ),
            (
                "null deletes",
                json!({"n": {"a": 1, "b": 1, "c": 1}}),
                json!({"n": {"a": null}}),
                json!({"n": {"b": 1, "c": 1}}),
            ),
            ("null in what is new", json!({}), json!({"n": {"a": null, "b": {"c": null}}}), json!({"n": {"b": {}}})),
            ("arrays replace", json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            ("object for scalar", json!({"a": 1}), json!({"a": {"b": 2}}), json!({"a": {"b": 2}})),
            ("scalar for object", json!({"a": {"b": 2}}), json!({"a": 1}), json!({"a": 1})),
            ("null of nothing", json!({"a": 1}), json!({"b": null}), json!({"a": 1})),
        ] {
            let mut whole = object(&before);
            merge(&mut whole, object(&change));
            assert_eq!(Value::Object(whole).to_string(), after.to_string(), "{row}");
        }
    }

    #[test]
    fn a_sub_path_replaces_outright() {
        for (row, path, want) in [
            ("member", "u/nodes", Ok(json!({"u": {"nodes": 7}, "l": [1], "s": 1}))),
            ("made on the way", "x/y", Ok(json!({"u": {"nodes": {"a": 1}}, "l": [1], "s": 1, "x": {"y": 7}}))),
            ("top", "s", Ok(json!({"u": {"nodes": {"a": 1}}, "l": [1], "s": 7}))),
            ("through an array", "l/0/x", Err("invalid sub-path: /l")),
            ("into an array", "l/0", Err("invalid sub-path: /l")),
            ("through a scalar", "u/nodes/a/b", Err("invalid sub-path: /u/nodes/a")),
        ] {
            let mut whole = object(&json!({"u": {"nodes": {"a": 1}}, "l": [1], "s": 1}));
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            let ended = replace(&mut whole, &path, json!(7)).map(|()| Value::Object(whole));
            assert_eq!(ended, want.map_err(str::to_owned), "{row}");
        }
    }
}
