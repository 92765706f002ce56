//! The user's keys over the built-in defaults.

use super::error::Fault;
use super::yaml::{Table, lua_type};
use serde_json::{Value, json};

/// The user's `table` over the defaults: mappings merge, lists replace, null removes the default.
pub(super) fn over_defaults(table: Table) -> Result<Table, Fault> {
    let mut merged = match defaults() {
        Value::Object(defaults) => defaults,
        _ => Table::new(),
    };
    merge(&mut merged, table, "")?;
    Ok(merged)
}

fn merge(base: &mut Table, table: Table, parent: &str) -> Result<(), Fault> {
    for (key, value) in table {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}->{key}") };
        match (value, base.get_mut(&key)) {
            (Value::Null, _) => {
                base.shift_remove(&key);
            }
            (Value::Object(inner), Some(Value::Object(below))) => merge(below, inner, &path)?,
            (Value::Object(inner), None) => {
                let mut fresh = Table::new();
                merge(&mut fresh, inner, &path)?;
                base.insert(key, Value::Object(fresh));
            }
            (value @ Value::Object(_), Some(below)) if !below.is_array() => {
                return Err(Fault::Merge { path, expected: lua_type(below), found: lua_type(&value) });
            }
            (value, Some(below))
                if !matches!(value, Value::Array(_) | Value::Object(_))
                    && lua_type(below) != lua_type(&value)
                    && !takes_several_types(&path, &value) =>
            {
                return Err(Fault::Merge { path, expected: lua_type(below), found: lua_type(&value) });
            }
            (value, _) => {
                base.insert(key, value);
            }
        }
    }
    Ok(())
}

/// Keys whose scalar may differ in type from the default.
fn takes_several_types(path: &str, value: &Value) -> bool {
    (path.starts_with("nginx_config->") && (value.is_number() || value.is_string()))
        || (path == "apisix->node_listen" && value.is_number())
        || path == "apisix->data_encryption->keyring"
}

/// The built-in values of every key that has an effect (spec/config-sources §1.1). The store is our own one.
fn defaults() -> Value {
    let plugins: Vec<&str> = crate::plugin::registry::PLUGINS.iter().map(|plugin| plugin.name).collect();
    json!({
        "plugins": plugins,
        "apisix": {
            "node_listen": [9080],
            "enable_admin": true,
            "enable_ipv6": true,
            "enable_server_tokens": true,
            "show_upstream_status_in_response_header": false,
            "delete_uri_tail_slash": false,
            "proxy_mode": "http",
            "router": { "http": "radixtree_host_uri" },
            "data_encryption": { "enable_encrypt_fields": true, "keyring": crate::sealing::Keyring::PUBLIC },
            "resolver_timeout": 5,
            "enable_resolv_search_opt": true,
        },
        "nginx_config": {
            "worker_processes": "auto",
            "worker_shutdown_timeout": "240s",
            "error_log_level": "warn",
            "http": {
                "enable_access_log": true,
                "access_log": "logs/access.log",
                "access_log_buffer": 16384,
                "access_log_format": ACCESS_LOG_FORMAT,
                "access_log_format_escape": "default",
                "keepalive_timeout": "60s",
                "client_header_timeout": "60s",
                "client_body_timeout": "60s",
                "send_timeout": "10s",
                "client_max_body_size": 0,
                "real_ip_header": "X-Real-IP",
                "real_ip_from": ["127.0.0.1", "unix:"],
                "upstream": { "keepalive": 320, "keepalive_requests": 1000, "keepalive_timeout": "60s" },
            },
        },
        "deployment": {
            "role": "traditional",
            "role_traditional": { "config_provider": "embedded" },
            "admin": {
                "admin_key_required": true,
                "admin_key": [{ "name": "admin", "key": "", "role": "admin" }],
                "enable_admin_cors": true,
                "allow_admin": ["127.0.0.0/24"],
                "admin_listen": { "ip": "0.0.0.0", "port": 9180 },
                "admin_api_version": "v3",
            },
        },
    })
}

/// The original's access-log line (spec/config-sources §7).
const ACCESS_LOG_FORMAT: &str = concat!(
    r#"$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "#,
    r#""$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "#,
    r#""$upstream_scheme://$upstream_host$upstream_uri" "$apisix_request_id""#,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(value: Value) -> Result<Value, String> {
        let Value::Object(table) = value else { panic!("not an object") };
        over_defaults(table).map(Value::Object).map_err(|fault| fault.to_string())
    }

    #[test]
    fn mappings_merge_lists_replace_and_null_removes() {
        let tree = merged(json!({
            "apisix": {"enable_admin": false, "node_listen": [9081, 9082], "ssl": {"enable": false}},
            "deployment": {"admin": {"allow_admin": null}},
            "own": {"a": {"b": null, "c": 1}},
        }))
        .unwrap();
        assert_eq!(tree["apisix"]["enable_admin"], json!(false));
        assert_eq!(tree["apisix"]["enable_ipv6"], json!(true), "a neighbour keeps its default");
        assert_eq!(tree["apisix"]["node_listen"], json!([9081, 9082]));
        assert_eq!(tree["apisix"]["ssl"], json!({"enable": false}));
        assert_eq!(tree["deployment"]["admin"].get("allow_admin"), None);
        assert_eq!(tree["deployment"]["admin"]["admin_listen"]["port"], json!(9180));
        assert_eq!(tree["own"], json!({"a": {"c": 1}}));
    }

    #[test]
    fn a_scalar_of_another_type_is_refused_with_the_originals_text() {
        let cases = [
            (json!({"apisix": {"enable_admin": "yes"}}), "apisix->enable_admin", "boolean", "string"),
            (json!({"apisix": {"proxy_mode": 1}}), "apisix->proxy_mode", "string", "number"),
            (json!({"apisix": {"node_listen": "9080"}}), "apisix->node_listen", "table", "string"),
            (json!({"apisix": 1}), "apisix", "table", "number"),
            (json!({"apisix": {"resolver_timeout": {"a": 1}}}), "apisix->resolver_timeout", "number", "table"),
            (json!({"apisix": {"enable_ipv6": []}}), "", "", ""),
            (
                json!({"nginx_config": {"worker_processes": true}}),
                "nginx_config->worker_processes",
                "string",
                "boolean",
            ),
            (
                json!({"deployment": {"admin": {"admin_listen": {"port": "9180"}}}}),
                "deployment->admin->admin_listen->port",
                "number",
                "string",
            ),
        ];
        for (value, path, expected, found) in cases {
            let want = format!("failed to merge, path[{path}] expect: {expected}, but got: {found}");
            match merged(value.clone()) {
                Err(error) => assert_eq!(error, want, "{value}"),
                Ok(_) => assert!(path.is_empty(), "{value} passed"),
            }
        }
    }

    #[test]
    fn the_named_exceptions_pass() {
        for value in [
            json!({"apisix": {"node_listen": 9081}}),
            json!({"nginx_config": {"worker_processes": 4}}),
            json!({"nginx_config": {"http": {"keepalive_timeout": 30, "client_max_body_size": "8m"}}}),
            json!({"apisix": {"data_encryption": {"keyring": "0123456789abcdef"}}}),
        ] {
            assert!(merged(value.clone()).is_ok(), "{value}");
        }
    }
}
