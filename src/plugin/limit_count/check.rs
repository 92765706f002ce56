//! What the schema cannot say of a configuration (spec/limit-count §2.2).

use super::headers::Headers;
use super::{deployment, identity, rule};
use crate::plugin::Side;
use crate::schema::holds_reference;
use serde_json::Value;
use std::collections::BTreeSet;

/// Judges a configuration that its schema has let through. The first failure, as the original words it; what it has no
/// words for comes last.
pub(super) fn check(configuration: &Value, _side: Side) -> Result<(), String> {
    let has = |name: &str| configuration.get(name).is_some();
    if let Some(rules) = configuration.get("rules").and_then(Value::as_array) {
        if has("count") || has("time_window") {
            return Err("count/time_window and rules cannot be specified at the same time".to_owned());
        }
        if has("group") {
            return Err("group and rules cannot be specified at the same time".to_owned());
        }
        let mut keys = BTreeSet::new();
        for key in rules.iter().filter_map(|rule| rule.get("key")?.as_str()) {
            if !keys.insert(key) {
                return Err(format!("duplicate key '{key}' in rules"));
            }
        }
    }
    let policy = configuration.get("policy").and_then(Value::as_str).unwrap_or(LOCAL);
    if policy != LOCAL {
        sync_interval(configuration)?;
    }
    let known = &without_references(configuration);
    Headers::new(known, None, None)?;
    deployment::read(known)?;
    let has = |name: &str| known.get(name).is_some();
    if has("rules") || has("count") && has("time_window") {
        rule::read_all(known, "", None)?;
    }
    Ok(())
}

/// The members that can be judged as they are written. What a reference stands for is judged when it is known, before
/// the plugin is built.
fn without_references(configuration: &Value) -> Value {
    let members = configuration.as_object().into_iter().flatten();
    let known = members.filter(|(_, value)| !holds_reference(value));
    Value::Object(known.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn sync_interval(configuration: &Value) -> Result<(), String> {
    let number = |name: &str| configuration.get(name).and_then(Value::as_f64);
    let interval_s = number("sync_interval").unwrap_or(OFF);
    // The one value that stands for "off" is compared as it is written.
    if (interval_s - OFF).abs() < f64::EPSILON {
        return Ok(());
    }
    if interval_s < SYNC_INTERVAL_MIN_S {
        return Err("sync_interval should not be smaller than 0.1".to_owned());
    }
    match number("time_window") {
        Some(window_s) if interval_s >= window_s => Err("sync_interval should be smaller than time_window".to_owned()),
        _ => Ok(()),
    }
}

/// The group of a configuration that runs.
pub fn group(configuration: &Value) -> Option<&str> {
    let is_off = configuration.pointer("/_meta/disable") == Some(&Value::Bool(true));
    configuration.get("group").filter(|_| !is_off).and_then(Value::as_str)
}

/// Whether two configurations may stand in one group.
pub fn may_share(one: &Value, other: &Value) -> bool {
    identity::shared_text(one) == identity::shared_text(other)
}

const LOCAL: &str = "local";
const OFF: f64 = -1.0;
const SYNC_INTERVAL_MIN_S: f64 = 0.1;
