//! Routes.

use super::check::{Check, Reference};
use super::fields::{self, no_websocket, readable, unsupported};
use super::kind::{Document, Kind, Naming};
use super::plugins::Holder;
use super::upstream::{self, TimeoutSpec, UpstreamSpec};
use ipnet::IpNet;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "route",
    directory: "routes",
    schema_name: "route",
    naming: Naming::Id,
    takes_post: true,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(document),
    checks: &[
        Check::Members(one_form),
        Check::Schema,
        Check::Members(addresses),
        Check::Members(upstream::embedded),
        Check::Refers(&upstream::REFERENCE),
        Check::Refers(&Reference { member: "service_id", directory: "services", word: "service" }),
        Check::Refers(&Reference { member: "plugin_config_id", directory: "plugin_configs", word: "plugin config" }),
        Check::Plugins(Holder::Route),
        Check::Members(vars),
        Check::Members(supported),
        Check::Members(readable::<RouteSpec>),
    ],
    in_use_word: None,
};

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

fn one_form(route: &Map<String, Value>) -> Result<(), String> {
    for (one, many) in [("host", "hosts"), ("remote_addr", "remote_addrs")] {
        if route.contains_key(one) && route.contains_key(many) {
            return Err(format!("only one of {one} or {many} is allowed"));
        }
    }
    Ok(())
}

/// `remote_addr` and `remote_addrs` hold addresses or networks. The texts are those of the original's schema, whose
/// patterns this replaces.
fn addresses(route: &Map<String, Value>) -> Result<(), String> {
    let is_network = |text: &str| text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok();
    let refuse = |name: &str, inner: &str| {
        Err(format!(
            "invalid configuration: property \"{name}\" validation failed: {inner}object matches none of the required"
        ))
    };
    if route.get("remote_addr").and_then(Value::as_str).is_some_and(|text| !is_network(text)) {
        return refuse("remote_addr", "");
    }
    let list = route.get("remote_addrs").and_then(Value::as_array).into_iter().flatten();
    match list.filter_map(Value::as_str).position(|text| !is_network(text)) {
        Some(index) => refuse("remote_addrs", &format!("failed to validate item {}: ", index + 1)),
        None => Ok(()),
    }
}

fn vars(route: &Map<String, Value>) -> Result<(), String> {
    match route.get("vars").map(crate::vars::check) {
        Some(Err(reason)) => Err(fields::expression_refused(&reason)),
        _ => Ok(()),
    }
}

fn supported(route: &Map<String, Value>) -> Result<(), String> {
    unsupported(route, &["filter_func", "script", "script_id"], "a route")?;
    no_websocket(route)
}

fn document() -> Document {
    let uri = json!({"type": "string", "minLength": 1, "maxLength": 4096});
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"];
    // What a route must have beside its uri, in the order that the failure lists them.
    let mut enough = Vec::new();
    for uris in ["uri", "uris"] {
        for target in ["plugins", "upstream", "upstream_id", "service_id"] {
            enough.push(json!({"required": [target, uris]}));
        }
    }
    enough.extend(["uri", "uris"].map(|uris| json!({"required": ["script", uris]})));
    Document::new(json!({
        "type": "object",
        "properties": fields::members(json!({
            "name": fields::name(),
            "uri": uri,
            "uris": {"type": "array", "items": uri, "minItems": 1, "uniqueItems": true},
            "host": fields::host(),
            "hosts": fields::hosts(),
            "remote_addr": {"type": "string"},
            "remote_addrs": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true},
            "methods": {"type": "array", "items": {"type": "string", "enum": methods}, "uniqueItems": true},
            "priority": {"type": "integer", "default": 0},
            "vars": {"type": "array"},
            "filter_func": {"type": "string", "minLength": 10, "pattern": "^function"},
            "timeout": fields::timeout(),
            "plugins": fields::plugins(),
            "plugin_config_id": fields::id(),
            "upstream": upstream::schema(),
            "upstream_id": fields::id(),
            "service_id": fields::id(),
            "script": fields::script(),
            "script_id": fields::id(),
            "enable_websocket": {"type": "boolean"},
            "status": {"type": "integer", "enum": [0, 1], "default": 1},
        })),
        "allOf": [{"oneOf": [{"required": ["uri"]}, {"required": ["uris"]}]}],
        "anyOf": enough,
        "not": {"anyOf": [{"required": ["script", "plugins"]}, {"required": ["script", "plugin_config_id"]}]},
        "additionalProperties": false,
    }))
}
