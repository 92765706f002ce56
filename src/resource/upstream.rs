//! Upstreams.

use serde::Deserialize;
use serde_json::{Map, Value};

/// An upstream as stored, read leniently.
#[derive(Debug, Clone, Deserialize)]
pub struct UpstreamSpec {
    /// `nodes`: hash or array form; an empty list may be stored as `{}`.
    #[serde(default)]
    pub nodes: Option<Nodes>,
    /// `type`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// `scheme`.
    #[serde(default)]
    pub scheme: Option<String>,
    /// `pass_host`.
    #[serde(default)]
    pub pass_host: Option<String>,
    /// `upstream_host`.
    #[serde(default)]
    pub upstream_host: Option<String>,
    /// `retries`.
    #[serde(default)]
    pub retries: Option<u32>,
    /// `retry_timeout`, seconds.
    #[serde(default)]
    pub retry_timeout: Option<f64>,
    /// `timeout`.
    #[serde(default)]
    pub timeout: Option<TimeoutSpec>,
    /// `keepalive_pool`.
    #[serde(default)]
    pub keepalive_pool: Option<KeepalivePoolSpec>,
    /// `service_name`: discovery.
    #[serde(default)]
    pub service_name: Option<String>,
    /// `discovery_type`.
    #[serde(default)]
    pub discovery_type: Option<String>,
}

/// The two forms of `nodes`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Nodes {
    /// `[{host, port, weight, priority}]`.
    Array(Vec<NodeSpec>),
    /// `{"host:port": weight}`.
    Hash(Map<String, Value>),
}

/// One node of the array form.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeSpec {
    /// Domain or address.
    pub host: String,
    /// Port; the scheme's default when absent.
    #[serde(default)]
    pub port: Option<u16>,
    /// Weight.
    pub weight: u32,
    /// Priority.
    #[serde(default)]
    pub priority: i64,
}

/// `timeout`, seconds; fractions allowed.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct TimeoutSpec {
    /// For a connection.
    pub connect: f64,
    /// Between writes.
    pub send: f64,
    /// Between reads.
    pub read: f64,
}

/// `keepalive_pool`.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct KeepalivePoolSpec {
    /// Idle connections kept.
    #[serde(default)]
    pub size: Option<usize>,
    /// Seconds; 0 means no reuse.
    #[serde(default)]
    pub idle_timeout: Option<f64>,
    /// Requests per connection.
    #[serde(default)]
    pub requests: Option<u64>,
}
