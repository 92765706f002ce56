//! Services.

use super::upstream::UpstreamSpec;
use serde::Deserialize;
use serde_json::{Map, Value};

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
