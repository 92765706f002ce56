//! Which counter a configuration charges (spec/limit-count §5.3, §8.4).

use crate::plugin::Site;
use crate::schema::words::lua_float;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What stands before the key's value in the table's key, with the colon.
///
/// No part of it is this node's own: written again, the same configuration finds its counters again. A group's name may
/// hold colons, and groups of both kinds of window share the table, so its kind and length stand first: no value of a
/// client's makes one group's key out of another's.
pub(super) fn prefix(configuration: &Value, site: &Site<'_>) -> String {
    match configuration.get("group").and_then(Value::as_str) {
        Some(group) => {
            let is_sliding = configuration.get("window_type").is_some_and(|kind| kind == "sliding");
            format!("{}{}:{group}:", if is_sliding { 's' } else { 'f' }, group.len())
        }
        None => format!("{}:{}:", site.key, version(configuration, site.meta)),
    }
}

/// What stands before the key's value in Redis, with the colon: nothing of our own, so that all nodes count together,
/// APISIX's among them where they agree on the version (spec/limit-count §8.4).
pub(super) fn shared_prefix(configuration: &Value, site: &Site<'_>) -> String {
    match configuration.get("group").and_then(Value::as_str) {
        Some(group) => format!("{group}:"),
        None => prefix(configuration, site),
    }
}

/// The number that changes when anything in the configuration does.
fn version(configuration: &Value, meta: Option<&Value>) -> u32 {
    let mut members = completed(configuration);
    let meta = meta.filter(|meta| meta.as_object().is_some_and(|members| !members.is_empty()));
    // The original's empty table is printed as a list.
    members.insert("_meta", meta.cloned().unwrap_or_else(|| json!([])));
    crc32fast::hash(stable_text(&members).as_bytes())
}

/// What configurations of one group must agree on: every field of the schema, with its default.
pub(super) fn shared_text(configuration: &Value) -> String {
    let mut members = completed(configuration);
    members.retain(|name, _| {
        let is_default = DEFAULTS.iter().any(|(default, _)| default == name);
        is_default || WITHOUT_DEFAULT.contains(name) || name.starts_with("redis_") || name.starts_with("sentinel_")
    });
    stable_text(&members)
}

/// The members but `_meta`, with the defaults of those that are absent.
fn completed(configuration: &Value) -> BTreeMap<&str, Value> {
    let own = configuration.as_object().into_iter().flatten();
    let mut members: BTreeMap<&str, Value> =
        own.filter(|(name, _)| *name != "_meta").map(|(name, value)| (name.as_str(), value.clone())).collect();
    let policy = configuration.get("policy").and_then(Value::as_str).unwrap_or_default();
    let of_policy = DEFAULTS_OF_POLICIES.iter().filter(|(name, _)| *name == policy).flat_map(|(_, defaults)| *defaults);
    for (name, default) in DEFAULTS.iter().chain(of_policy) {
        members.entry(name).or_insert_with(|| serde_json::from_str(default).unwrap_or_default());
    }
    members
}

/// Compact JSON with sorted members.
fn stable_text(members: &BTreeMap<&str, Value>) -> String {
    let mut out = String::new();
    push_object(&mut out, members.iter().map(|(name, value)| (*name, value)));
    out
}

fn push_object<'a>(out: &mut String, members: impl Iterator<Item = (&'a str, &'a Value)>) {
    out.push('{');
    for (index, (name, value)) in members.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push(out, value);
    }
    out.push('}');
}

fn push(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<&str, &Value> = members.iter().map(|(name, value)| (name.as_str(), value)).collect();
            push_object(out, sorted.into_iter());
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push(out, item);
            }
            out.push(']');
        }
        Value::Number(number) if !number.is_f64() => push_text_of(out, number),
        Value::Number(number) => out.push_str(&lua_float(number.as_f64().unwrap_or_default())),
        Value::String(text) => push_text(out, text),
        Value::Null | Value::Bool(_) => push_text_of(out, value),
    }
}

fn push_text(out: &mut String, text: &str) {
    push_text_of(out, Value::from(text));
}

fn push_text_of(out: &mut String, shown: impl std::fmt::Display) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{shown}");
}

/// Members that have a default whatever the policy.
const DEFAULTS: [(&str, &str); 8] = [
    ("allow_degradation", "false"),
    ("key", "\"remote_addr\""),
    ("key_type", "\"var\""),
    ("policy", "\"local\""),
    ("rejected_code", "503"),
    ("show_limit_quota_header", "true"),
    ("sync_interval", "-1"),
    ("window_type", "\"fixed\""),
];
/// Members that have one under a policy.
const DEFAULTS_OF_POLICIES: [(&str, &[(&str, &str)]); 3] = [
    (
        "redis",
        &[
            ("redis_database", "0"),
            ("redis_keepalive_pool", "100"),
            ("redis_keepalive_timeout", "10000"),
            ("redis_port", "6379"),
            ("redis_ssl", "false"),
            ("redis_ssl_verify", "false"),
            ("redis_timeout", "1000"),
        ],
    ),
    (
        "redis-cluster",
        &[
            ("redis_cluster_ssl", "false"),
            ("redis_cluster_ssl_verify", "false"),
            ("redis_keepalive_pool", "100"),
            ("redis_keepalive_timeout", "10000"),
            ("redis_timeout", "1000"),
        ],
    ),
    (
        "redis-sentinel",
        &[
            ("redis_connect_timeout", "1000"),
            ("redis_database", "0"),
            ("redis_keepalive_timeout", "60000"),
            ("redis_read_timeout", "1000"),
            ("redis_role", "\"master\""),
        ],
    ),
];
const WITHOUT_DEFAULT: [&str; 5] = ["count", "time_window", "rules", "group", "rejected_msg"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_stable_text() {
        let plain = json!({"time_window": 60, "count": 2});
        assert_eq!(version(&plain, None), 2_793_826_603, "as derived in spec/limit-count §8.4");
        assert_eq!(version(&plain, Some(&json!({}))), 2_793_826_603);
        for same in [
            json!({"count": 2, "time_window": 60.0}),
            json!({"count": 2, "time_window": 60, "key": "remote_addr", "policy": "local", "sync_interval": -1}),
        ] {
            assert_eq!(version(&same, None), version(&plain, None), "{same}");
        }
        for (other, meta) in [
            (json!({"count": 3, "time_window": 60}), None),
            (json!({"count": "2", "time_window": 60}), None),
            (json!({"count": 2, "time_window": 60, "allow_degradation": true}), None),
            (json!({"count": 2, "time_window": 60, "note": "x"}), None),
            (plain.clone(), Some(json!({"priority": 1}))),
        ] {
            assert_ne!(version(&other, meta.as_ref()), version(&plain, None), "{other} {meta:?}");
        }
    }

    #[test]
    fn defaults_of_a_redis_policy_are_part_of_it() {
        let redis = json!({"count": 2, "time_window": 60, "policy": "redis", "redis_host": "h"});
        let mut same = redis.clone();
        same["redis_port"] = json!(6379);
        same["redis_timeout"] = json!(1000);
        assert_eq!(version(&redis, None), version(&same, None));
        assert_eq!(shared_text(&redis), shared_text(&same));
        same["redis_password"] = json!("x");
        assert_ne!(version(&redis, None), version(&same, None));
        let local = json!({"count": 2, "time_window": 60, "redis_port": 6379});
        assert_ne!(version(&local, None), 2_793_826_603, "and no part of another");
    }

    #[test]
    fn groups_compare_what_the_schema_has() {
        let plain = json!({"count": 2, "time_window": 60, "group": "g"});
        let same = json!({"group": "g", "rejected_code": 503, "time_window": 60, "count": 2, "note": "x", "_meta": {"priority": 1}});
        assert_eq!(shared_text(&plain), shared_text(&same));
        for (member, value) in [("count", json!(3)), ("rejected_msg", json!("x")), ("redis_host", json!("h"))] {
            let mut other = plain.clone();
            other[member] = value;
            assert_ne!(shared_text(&plain), shared_text(&other), "{member}");
        }
    }
}
