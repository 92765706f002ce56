//! Plugin configs: plugins that routes refer to.

use super::check::Check;
use super::fields;
use super::kind::{Document, Kind, Naming};
use super::plugins::Holder;
use serde_json::json;
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "plugin config",
    directory: "plugin_configs",
    schema_name: "plugin_config",
    naming: Naming::Id,
    takes_post: false,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(document),
    checks: &[Check::Schema, Check::Plugins(Holder::Route)],
    in_use_word: Some("plugin config"),
};

/// Also what consumer groups consist of.
pub(super) fn document() -> Document {
    Document::new(json!({
        "type": "object",
        "properties": fields::members(json!({
            "name": fields::name(),
            "plugins": fields::plugins(),
        })),
        "required": ["id", "plugins"],
        "additionalProperties": false,
    }))
}
