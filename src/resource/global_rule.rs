//! Global rules: plugins that run for every request, beside those of its route.

use super::check::Check;
use super::fields;
use super::kind::{Document, Kind, Naming};
use super::plugins::Holder;
use serde_json::json;
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "global rule",
    directory: "global_rules",
    schema_name: "global_rule",
    naming: Naming::Id,
    takes_post: false,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(document),
    checks: &[Check::Schema, Check::Plugins(Holder::Route), Check::GlobalPlugins],
    in_use_word: None,
};

/// Fewer members than other kinds have: no name, description or labels (spec/admin-api §6).
fn document() -> Document {
    Document::new(json!({
        "type": "object",
        "properties": {
            "id": fields::id(),
            "plugins": fields::plugins(),
            "create_time": {"type": "integer"},
            "update_time": {"type": "integer"},
        },
        "required": ["id", "plugins"],
        "additionalProperties": false,
    }))
}
