//! APISIX's keys that have no effect here, and what is said about them. Asked once per start about every key that no
//! reader took.

use super::error::Fault;
use super::section::shown;
use serde_json::Value;

/// Sorts keys that nobody took: `Err` for a wish that must not be passed over, else one sentence per key.
///
/// A key set to a value that asks for nothing (`enable_http2: false`) is silent.
pub(super) fn judge(left: Vec<(String, Value)>) -> Result<Vec<String>, Fault> {
    let mut notes = Vec::new();
    for (path, value) in left {
        judge_one(path, value, &mut notes)?;
    }
    Ok(notes)
}

fn judge_one(path: String, value: Value, notes: &mut Vec<String>) -> Result<(), Fault> {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        if key.quiet.iter().any(|quiet| serde_json::from_str::<Value>(quiet).is_ok_and(|quiet| quiet == value)) {
            return Ok(());
        }
        match key.effect {
            Effect::Refused => {
                let why = format!("{}, found {}", key.why, found(&value));
                return Err(Fault::Unsupported { key: path, why });
            }
            Effect::None => notes.push(format!("{path} has no effect: {}", key.why)),
        }
        return Ok(());
    }
    let inner = format!("{path}.");
    match value {
        Value::Object(table) if KEYS.iter().any(|key| key.path.starts_with(&inner)) => {
            for (key, value) in table {
                judge_one(format!("{inner}{key}"), value, notes)?;
            }
        }
        _ => notes.push(format!("{path} is not a known key")),
    }
    Ok(())
}

fn found(value: &Value) -> String {
    match value {
        Value::Bool(on) => on.to_string(),
        other => shown(other),
    }
}

/// A key of the original that no part of ringgate reads.
struct Key {
    path: &'static str,
    /// JSON of the values that ask for nothing.
    quiet: &'static [&'static str],
    effect: Effect,
    why: &'static str,
}

enum Effect {
    /// It is passed over, and the log says so.
    None,
    /// Passing it over would route, trust or expose something the operator did not ask for.
    Refused,
}

const fn idle(path: &'static str, quiet: &'static [&'static str], why: &'static str) -> Key {
    Key { path, quiet, effect: Effect::None, why }
}

const fn refused(path: &'static str, quiet: &'static [&'static str], why: &'static str) -> Key {
    Key { path, quiet, effect: Effect::Refused, why }
}

const NGINX_TEXT: &str = "nginx directives cannot be applied";
const NGINX_ONLY: &str = "it tunes nginx, which is not here";
const OFF: &[&str] = &["false"];
const ON: &[&str] = &["true"];

const KEYS: &[Key] = &[
    idle("apisix.enable_http2", OFF, "HTTP/2 is not served"),
    idle("apisix.enable_reuseport", ON, "every worker listens on a socket of its own with SO_REUSEPORT"),
    idle("apisix.enable_control", OFF, "there is no control API"),
    idle("apisix.control", &[], "there is no control API"),
    idle("apisix.enable_dev_mode", OFF, "there is no development mode; use --workers 1"),
    idle("apisix.enable_heartbeat", OFF, "nothing is reported anywhere"),
    idle("apisix.router.ssl", &["\"radixtree_sni\""], "TLS is not served"),
    idle("apisix.ssl.enable", OFF, "TLS is not served"),
    idle("apisix.ssl.listen", &[], "TLS is not served"),
    idle("apisix.ssl.ssl_protocols", &[], "TLS is not served"),
    idle("apisix.ssl.ssl_ciphers", &[], "TLS is not served"),
    idle("apisix.ssl.ssl_trusted_certificate", &["\"system\""], "TLS is not served"),
    idle("apisix.ssl.fallback_sni", &[], "TLS is not served"),
    idle("apisix.ssl.ssl_session_tickets", OFF, "TLS is not served"),
    idle("apisix.stream_proxy", &[], "only HTTP is proxied"),
    idle("apisix.proxy_cache", &[], "there is no response cache"),
    idle("apisix.lru.apisix", &[], "there is nothing to cache: configuration is compiled once"),
    idle("apisix.lru.plugin", &[], "there is nothing to cache: configuration is compiled once"),
    idle("apisix.events", &[], "workers are told of changes directly"),
    idle("apisix.extra_lua_path", &["\"\""], "Lua code cannot be loaded"),
    idle("apisix.extra_lua_cpath", &["\"\""], "Lua code cannot be loaded"),
    refused("apisix.lua_module_hook", &["\"\""], "Lua code cannot be loaded; expected no such key"),
    idle("apisix.max_post_args_readable_size", &["64"], "no variable reads a request body"),
    idle("apisix.disable_upstream_healthcheck", &["true"], "there are no upstream health checks"),
    idle("apisix.tracing", OFF, "there are no traces"),
    refused("apisix.normalize_uri_like_servlet", OFF, "paths are not normalised like a servlet's; expected false"),
    refused("apisix.match_uri_encoded_slash", OFF, "matching encoded slashes is not supported yet; expected false"),
    refused("apisix.proxy_protocol", &[], "the PROXY protocol is not read; expected no such key"),
    idle("nginx_config.user", &[], "the process stays who started it"),
    idle("nginx_config.worker_rlimit_nofile", &["20480"], NGINX_ONLY),
    idle("nginx_config.max_pending_timers", &[], NGINX_ONLY),
    idle("nginx_config.max_running_timers", &[], NGINX_ONLY),
    idle("nginx_config.event", &[], "see ringgate.limits.connections_max"),
    idle("nginx_config.enable_cpu_affinity", ON, "every worker is bound to a core"),
    idle("nginx_config.error_log", &["\"logs/error.log\""], "the process log goes to standard error"),
    idle("nginx_config.envs", &[], "every environment variable is visible"),
    idle("nginx_config.meta", &[], NGINX_ONLY),
    idle("nginx_config.stream", &[], "only HTTP is proxied"),
    idle("nginx_config.main_configuration_snippet", &["\"\""], NGINX_TEXT),
    idle("nginx_config.http_configuration_snippet", &["\"\""], NGINX_TEXT),
    idle("nginx_config.http_server_configuration_snippet", &["\"\""], NGINX_TEXT),
    idle("nginx_config.http_server_location_configuration_snippet", &["\"\""], NGINX_TEXT),
    idle("nginx_config.http_admin_configuration_snippet", &["\"\""], NGINX_TEXT),
    idle("nginx_config.http_end_configuration_snippet", &["\"\""], NGINX_TEXT),
    idle("nginx_config.stream_configuration_snippet", &["\"\""], NGINX_TEXT),
    refused(
        "nginx_config.http.real_ip_recursive",
        &["\"off\"", "false"],
        "only the last address is read; expected off",
    ),
    refused("nginx_config.http.underscores_in_headers", &["\"on\"", "true"], "they are always kept; expected on"),
    idle("nginx_config.http.proxy_ssl_server_name", &[], "upstreams are reached without TLS"),
    idle("nginx_config.http.lua_shared_dict", &[], NGINX_ONLY),
    idle("nginx_config.http.custom_lua_shared_dict", &[], NGINX_ONLY),
    idle("nginx_config.http.variables_hash_max_size", &[], NGINX_ONLY),
    idle("nginx_config.http.charset", &["\"utf-8\""], NGINX_ONLY),
    idle("plugin_attr.prometheus.refresh_interval", &[], "metrics are read when they are asked for"),
    idle("plugin_attr.prometheus.metric_prefix", &["\"apisix_\""], "APISIX's series are not served"),
    idle("plugin_attr.prometheus.default_buckets", &[], "APISIX's series are not served"),
    idle("plugin_attr.prometheus.metrics", &[], "APISIX's series are not served"),
    idle("stream_plugins", &["[]"], "only HTTP is proxied"),
    idle("wasm", &[], "WebAssembly plugins cannot be loaded"),
    idle("xrpc", &[], "only HTTP is proxied"),
    idle("ext-plugin", &[], "external plugins cannot be run"),
    idle("discovery", &["{}"], "nodes come from the upstream itself"),
    idle("graphql", &[], "GraphQL bodies are not read"),
    idle("deployment.etcd", &[], "configuration is kept in the embedded store"),
    idle("deployment.certs", &[], "configuration is kept in the embedded store"),
    idle("deployment.role_control_plane", &[], "deployment.role is traditional"),
    idle("deployment.role_data_plane", &[], "deployment.role is traditional"),
    idle("deployment.admin.enable_admin_ui", OFF, "there is no console"),
    refused("deployment.admin.https_admin", OFF, "the Admin API speaks plain HTTP only; expected false"),
    refused(
        "deployment.admin.admin_api_mtls",
        &["{\"admin_ssl_ca_cert\":\"\",\"admin_ssl_cert\":\"\",\"admin_ssl_cert_key\":\"\"}"],
        "the Admin API asks for no client certificate; expected no such key",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(path: &str, value: Value) -> Result<Vec<String>, String> {
        judge(vec![(path.to_owned(), value)]).map_err(|fault| fault.to_string())
    }

    #[test]
    fn every_wish_is_silent_named_or_refused() {
        let cases = [
            ("apisix.enable_http2", json!(false), ""),
            ("apisix.enable_http2", json!(true), "apisix.enable_http2 has no effect: HTTP/2 is not served"),
            ("apisix.ssl", json!({"enable": false}), ""),
            ("apisix.ssl", json!({"enable": true}), "apisix.ssl.enable has no effect: TLS is not served"),
            ("apisix.ssl", json!({"colour": 1}), "apisix.ssl.colour is not a known key"),
            ("apisix.ssl", json!(1), "apisix.ssl is not a known key"),
            ("colour", json!({"a": {"b": 1}}), "colour is not a known key"),
            (
                "nginx_config.http.lua_shared_dict",
                json!({"x": "1m"}),
                "nginx_config.http.lua_shared_dict has no effect",
            ),
        ];
        for (path, value, want) in cases {
            let notes = judged(path, value.clone()).unwrap();
            assert_eq!(notes.len(), usize::from(!want.is_empty()), "{path} {value}: {notes:?}");
            assert!(notes.iter().all(|note| note.starts_with(want)), "{path} {value}: {notes:?}");
        }
    }

    #[test]
    fn what_would_weaken_the_gateway_is_refused() {
        let cases = [
            (
                "deployment.admin.https_admin",
                json!(true),
                "deployment.admin.https_admin: the Admin API speaks plain HTTP only; expected false, found true",
            ),
            (
                "nginx_config.http.real_ip_recursive",
                json!("on"),
                "nginx_config.http.real_ip_recursive: only the last address is read; expected off, found \"on\"",
            ),
        ];
        for (path, value, want) in cases {
            assert_eq!(judged(path, value).unwrap_err(), want);
        }
        assert_eq!(judged("nginx_config.http.real_ip_recursive", json!(false)), Ok(vec![]));
    }

    #[test]
    fn the_table_names_each_key_once_and_its_quiet_values_are_json() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(!KEYS[..index].iter().any(|other| other.path == key.path), "{}", key.path);
            for quiet in key.quiet {
                assert!(serde_json::from_str::<Value>(quiet).is_ok(), "{}: {quiet}", key.path);
            }
        }
    }
}
