//! Consumers.

use serde::Deserialize;
use serde_json::{Map, Value};

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
