//! Upstreams.

use super::check::{Check, Reference};
use super::fields::{self, readable, unsupported};
use super::kind::{Document, Kind, Naming};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::net::Ipv6Addr;
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "upstream",
    directory: "upstreams",
    schema_name: "upstream",
    naming: Naming::Id,
    takes_post: true,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(|| Document::new(schema())),
    checks: &[Check::Schema, Check::Members(upstream), Check::Members(readable::<UpstreamSpec>)],
    in_use_word: Some("upstream"),
};

/// A route's or service's `upstream_id`.
pub(super) static REFERENCE: Reference = Reference { member: "upstream_id", directory: "upstreams", word: "upstream" };

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

/// Checks an `upstream` inside a route or service, beyond the schema.
pub(super) fn embedded(holder: &Map<String, Value>) -> Result<(), String> {
    holder.get("upstream").and_then(Value::as_object).map_or(Ok(()), upstream)
}

fn upstream(upstream: &Map<String, Value>) -> Result<(), String> {
    match upstream.get("nodes") {
        Some(Value::Object(nodes)) => nodes.keys().try_for_each(|address| hash_node(address))?,
        Some(Value::Array(nodes)) => nodes.iter().try_for_each(array_node)?,
        _ => {}
    }
    let text = |name: &str| upstream.get(name).and_then(Value::as_str);
    if text("pass_host") == Some("rewrite") && text("upstream_host").is_none_or(str::is_empty) {
        return Err("`upstream_host` can't be empty when `pass_host` is `rewrite`".to_owned());
    }
    if text("type") == Some("chash") && text("hash_on") != Some("consumer") && !upstream.contains_key("key") {
        return Err("missing key".to_owned());
    }
    unsupported(upstream, &["service_name", "discovery_type", "discovery_args", "checks", "tls"], "an upstream")?;
    // The schema lets a secret reference pass for any text, so what a word may be is asked again here.
    for (name, allowed) in [("type", &["roundrobin"][..]), ("scheme", &["http"]), ("pass_host", &PASS_HOST)] {
        if let Some(found) = text(name).filter(|found| !allowed.contains(found)) {
            let allowed = allowed.join(", ");
            return Err(format!("invalid configuration: upstream {name} \"{found}\" is not supported, only {allowed}"));
        }
    }
    Ok(())
}

/// One key of hash-form nodes: `host`, `host:port`, `[v6]`, `[v6]:port`, or a bare IPv6 address.
fn hash_node(address: &str) -> Result<(), String> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match address.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (address, None),
        },
    };
    match port {
        Some(port) if !port.parse::<u16>().is_ok_and(|port| port > 0) => Err(format!("invalid port {port}")),
        _ if host.is_empty() => Err(format!("invalid configuration: node \"{address}\" has no host")),
        _ => Ok(()),
    }
}

fn array_node(node: &Value) -> Result<(), String> {
    match node.get("host").and_then(Value::as_str).map(str::parse::<Ipv6Addr>) {
        Some(Ok(_)) => Err("invalid configuration: IPv6 address must be enclosed with '[' and ']'".to_owned()),
        _ => Ok(()),
    }
}

/// The schema of an upstream, alone or inside a route or service.
pub(super) fn schema() -> Value {
    let weight = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    let node = json!({
        "type": "object",
        "properties": {
            "host": {"type": "string", "minLength": 1, "pattern": "^[0-9a-zA-Z-._\\[\\]:]+$"},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "weight": weight,
            "priority": {"type": "integer", "default": 0},
            "metadata": {"type": "object"},
        },
        "required": ["host", "weight"],
        "additionalProperties": false,
    });
    json!({
        "type": "object",
        "properties": fields::members(json!({
            "name": fields::name(),
            "nodes": {"anyOf": [
                {"type": "object", "patternProperties": {".*": weight}},
                {"type": "array", "items": node},
            ]},
            "type": {"type": "string", "default": "roundrobin"},
            "hash_on": {
                "type": "string",
                "enum": ["vars", "header", "cookie", "consumer", "vars_combinations"],
                "default": "vars",
            },
            "key": {"type": "string"},
            "scheme": {
                "type": "string",
                "enum": ["grpc", "grpcs", "http", "https", "tcp", "tls", "udp", "kafka"],
                "default": "http",
            },
            "pass_host": {"type": "string", "enum": PASS_HOST, "default": "pass"},
            "upstream_host": {"type": "string", "pattern": "^\\*?[0-9a-zA-Z-._\\[\\]:]+$"},
            "retries": {"type": "integer", "minimum": 0, "maximum": u32::MAX},
            "retry_timeout": {"type": "number", "minimum": 0},
            "timeout": fields::timeout(),
            "keepalive_pool": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer", "minimum": 1, "default": 320},
                    "idle_timeout": {"type": "number", "minimum": 0, "default": 60},
                    "requests": {"type": "integer", "minimum": 1, "default": 1000},
                },
            },
            "tls": {"type": "object"},
            "checks": {"type": "object"},
            "service_name": {"type": "string", "minLength": 1, "maxLength": 256},
            "discovery_type": {"type": "string"},
            "discovery_args": {"type": "object"},
        })),
        "oneOf": [{"required": ["nodes"]}, {"required": ["service_name", "discovery_type"]}],
        "additionalProperties": false,
    })
}

const PASS_HOST: [&str; 3] = ["pass", "node", "rewrite"];
