//! Services.

use super::check::Check;
use super::fields::{self, no_websocket, readable, unsupported};
use super::kind::{Document, Kind, Naming};
use super::plugins::Holder;
use super::upstream::{self, UpstreamSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "service",
    directory: "services",
    schema_name: "service",
    naming: Naming::Id,
    takes_post: true,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(document),
    checks: &[
        Check::Schema,
        Check::Members(upstream::embedded),
        Check::Refers(&upstream::REFERENCE),
        Check::Plugins(Holder::Route),
        Check::Members(supported),
        Check::Members(readable::<ServiceSpec>),
    ],
    in_use_word: Some("service directly"),
};

/// A service as stored, read leniently.
#[derive(Debug, Clone, Deserialize)]
pub struct ServiceSpec {
    /// `name`.
    #[serde(default)]
    pub name: Option<String>,
    /// `hosts`, inherited by routes that have none.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// `plugins`.
    #[serde(default)]
    pub plugins: Map<String, Value>,
    /// `upstream`.
    #[serde(default)]
    pub upstream: Option<UpstreamSpec>,
    /// `upstream_id`: text or integer.
    #[serde(default)]
    pub upstream_id: Option<super::Id>,
    /// `enable_websocket`.
    #[serde(default)]
    pub enable_websocket: Option<bool>,
}

fn supported(service: &Map<String, Value>) -> Result<(), String> {
    unsupported(service, &["script"], "a service")?;
    no_websocket(service)
}

fn document() -> Document {
    Document::new(json!({
        "type": "object",
        "properties": fields::members(json!({
            "name": fields::name(),
            "plugins": fields::plugins(),
            "upstream": upstream::schema(),
            "upstream_id": fields::id(),
            "hosts": fields::hosts(),
            "script": fields::script(),
            "enable_websocket": {"type": "boolean"},
        })),
        "additionalProperties": false,
    }))
}
