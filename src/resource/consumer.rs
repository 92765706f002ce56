//! Consumers.

use super::check::{Check, Reference};
use super::fields::{self, readable};
use super::kind::{Document, Kind, Naming};
use super::plugins::Holder;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "consumer",
    directory: "consumers",
    schema_name: "consumer",
    naming: Naming::Username,
    takes_post: false,
    takes_patch: false,
    keeps_times: true,
    schema: LazyLock::new(document),
    checks: &[
        Check::Schema,
        Check::Members(custom_id),
        Check::Plugins(Holder::Consumer),
        Check::AuthKeys,
        Check::Refers(&Reference { member: "group_id", directory: "consumer_groups", word: "consumer group" }),
        Check::Members(readable::<ConsumerSpec>),
    ],
    in_use_word: None,
};

/// A consumer as stored, read leniently.
#[derive(Debug, Clone, Deserialize)]
pub struct ConsumerSpec {
    /// `username`.
    pub username: String,
    /// `group_id`: text or integer.
    #[serde(default)]
    pub group_id: Option<super::Id>,
    /// `plugins`.
    #[serde(default)]
    pub plugins: Map<String, Value>,
    /// `labels`; `custom_id` feeds `X-Consumer-Custom-ID`.
    #[serde(default)]
    pub labels: Map<String, Value>,
}

/// Whether `text` may be a `username`: 1 to 256 of `[a-zA-Z0-9_-]`. So a name never reaches outside its directory.
pub fn is_username(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether `text` may be a `custom_id`: it goes into a header line as it is (APISIX: any text without white space).
pub fn is_custom_id(text: &str) -> bool {
    !text.chars().any(|char| char.is_control() || char.is_whitespace())
}

fn custom_id(consumer: &Map<String, Value>) -> Result<(), String> {
    match consumer.get("labels").and_then(|labels| labels.get("custom_id")?.as_str()) {
        Some(text) if !is_custom_id(text) => {
            Err("invalid configuration: property \"labels\" validation failed: custom_id has control characters".into())
        }
        _ => Ok(()),
    }
}

fn document() -> Document {
    Document::new(json!({
        "type": "object",
        "properties": fields::members(json!({
            "username": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[a-zA-Z0-9_\\-]+$"},
            "group_id": fields::id(),
            "plugins": fields::plugins(),
        })),
        "required": ["username"],
        "additionalProperties": false,
    }))
}
