//! Plugin metadata: what holds for every configuration of one plugin, under the plugin's name.

use super::check::Check;
use super::kind::{Document, Kind, Naming};
use super::plugins;
use crate::plugin::{MetadataType, registry};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "plugin_metadata",
    directory: "plugin_metadata",
    schema_name: "plugin_metadata",
    naming: Naming::Plugin,
    takes_post: false,
    takes_patch: false,
    keeps_times: false,
    schema: LazyLock::new(|| Document::new(json!({"type": "object"}))),
    checks: &[Check::Members(known), Check::Schema, Check::Members(fits)],
    in_use_word: None,
};

fn known(metadata: &Map<String, Value>) -> Result<(), String> {
    let name = metadata.get("id").and_then(Value::as_str);
    name.and_then(registry::find).map(|_| ()).ok_or_else(|| "invalid plugin name".to_owned())
}

/// Judges the members by the plugin's own schema. A plugin without one takes any.
fn fits(metadata: &Map<String, Value>) -> Result<(), String> {
    let plugin = metadata.get("id").and_then(Value::as_str).and_then(registry::find);
    let Some((plugin, MetadataType { check, .. })) =
        plugin.and_then(|plugin| Some((plugin, plugin.metadata.as_ref()?)))
    else {
        return Ok(());
    };
    let document = plugins::metadata_document(plugin.name).ok_or("no schema")?;
    let metadata = Value::Object(metadata.clone());
    document.check(&metadata).and_then(|()| check(&metadata)).map_err(|text| format!("invalid configuration: {text}"))
}
