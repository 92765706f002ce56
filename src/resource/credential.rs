//! Credentials.

use super::check::Check;
use super::fields::{self, readable};
use super::kind::{Document, Kind, Naming};
use super::plugins::Holder;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "credential",
    directory: "credentials",
    schema_name: "credential",
    naming: Naming::BelowConsumer,
    takes_post: false,
    takes_patch: false,
    keeps_times: true,
    schema: LazyLock::new(document),
    checks: &[
        Check::Schema,
        Check::Plugins(Holder::Credential),
        Check::AuthKeys,
        Check::ConsumerExists,
        Check::Members(readable::<CredentialSpec>),
    ],
    in_use_word: None,
};

/// A credential as stored, read leniently.
#[derive(Debug, Clone, Deserialize)]
pub struct CredentialSpec {
    /// `plugins`: at most one, an authentication plugin.
    #[serde(default)]
    pub plugins: Map<String, Value>,
}

fn document() -> Document {
    Document::new(json!({
        "type": "object",
        "properties": fields::members(json!({
            "name": fields::name(),
            "plugins": {"type": "object", "maxProperties": 1},
        })),
        "additionalProperties": false,
    }))
}
