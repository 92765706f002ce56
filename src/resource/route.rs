//! Routes.

use super::upstream::{TimeoutSpec, UpstreamSpec};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A route as stored, read leniently: unknown members are ignored here and judged by the schema on write.
#[derive(Debug, Clone, Deserialize)]
pub struct RouteSpec {
    /// `name`.
    #[serde(default)]
    pub name: Option<String>,
    /// `uri`.
    #[serde(default)]
    pub uri: Option<String>,
    /// `uris`.
    #[serde(default)]
    pub uris: Vec<String>,
    /// `host`.
    #[serde(default)]
    pub host: Option<String>,
    /// `hosts`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// `methods`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// `remote_addr`.
    #[serde(default)]
    pub remote_addr: Option<String>,
    /// `remote_addrs`.
    #[serde(default)]
    pub remote_addrs: Vec<String>,
    /// `priority`.
    #[serde(default)]
    pub priority: i64,
    /// `vars`.
    #[serde(default)]
    pub vars: Option<Value>,
    /// `plugins`.
    #[serde(default)]
    pub plugins: Map<String, Value>,
    /// `upstream`.
    #[serde(default)]
    pub upstream: Option<UpstreamSpec>,
    /// `upstream_id`: text or integer.
    #[serde(default)]
    pub upstream_id: Option<super::Id>,
    /// `service_id`: text or integer.
    #[serde(default)]
    pub service_id: Option<super::Id>,
    /// `plugin_config_id`: text or integer.
    #[serde(default)]
    pub plugin_config_id: Option<super::Id>,
    /// `timeout`.
    #[serde(default)]
    pub timeout: Option<TimeoutSpec>,
    /// `enable_websocket`; the service's when absent.
    #[serde(default)]
    pub enable_websocket: Option<bool>,
    /// `status`: 0 is off; on when absent.
    #[serde(default)]
    pub status: Option<u8>,
    /// `filter_func` (Lua): such a route is never served.
    #[serde(default)]
    pub filter_func: Option<String>,
    /// `script` (Lua): such a route is never served.
    #[serde(default)]
    pub script: Option<Value>,
}
