use super::*;
use crate::plugin::{Rules, jwt_auth};
use serde_json::json;

fn nothing(_: &str) -> Option<String> {
    None
}

fn reading(text: &str) -> Result<Reading, String> {
    super::super::yaml::parse(text).and_then(|table| read(table, &nothing)).map_err(|fault| fault.to_string())
}

fn config(text: &str) -> Config {
    reading(text).unwrap_or_else(|error| panic!("{text}: {error}")).config
}

#[test]
fn an_empty_file_means_all_defaults() {
    let Reading { config, blank_keys } = reading("# nothing\n").unwrap();
    let shown = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(&config.listeners), "0.0.0.0:9080 [::]:9080");
    let admin = config.admin.as_ref().unwrap();
    assert_eq!(admin.listen.to_string(), "0.0.0.0:9180");
    assert_eq!(admin.allow.as_ref().unwrap()[0].to_string(), "127.0.0.0/24");
    assert_eq!((admin.cors, admin.keys.as_ref().unwrap().len(), blank_keys), (true, 1, vec![0]));
    assert_eq!((config.status, config.workers), (None, None));
    assert_eq!(config.process_log, ProcessLog { level: LogLevel::Warn, format: LogFormat::Text });
    assert!(config.access_log.enabled && config.access_log.format.ends_with("\"$apisix_request_id\""));
    assert_eq!(config.access_log.buffer_bytes, 16_384);
    assert_eq!((config.resolver.timeout_s, config.resolver.search), (Some(5), true));
    assert_eq!(config.plugins.len(), crate::plugin::registry::PLUGINS.len());
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.plugin_rules, Rules::default());
    assert_eq!(format!("{:?}", config.settings()), format!("{:?}", Settings::default()), "our defaults are APISIX's");
}

#[test]
fn every_key_arrives() {
    let config = config(
        r#"
apisix:
  node_listen: [{ip: 127.0.0.1, port: 8080}]
  enable_admin: false
  enable_ipv6: false
  enable_server_tokens: false
  show_upstream_status_in_response_header: true
  delete_uri_tail_slash: true
  dns_resolver: [1.1.1.1, "127.0.0.1:5353", "[::1]:54", "::1"]
  dns_resolver_valid: 30
  resolver_timeout: 2
  enable_resolv_search_opt: false
  status: {port: 7000}
  trusted_addresses: [10.0.0.0/8, "::1"]
nginx_config:
  worker_processes: 3
  worker_shutdown_timeout: 1m30s
  error_log_level: notice
  http:
    enable_access_log: false
    access_log: /var/log/a.log
    access_log_buffer: 8k
    access_log_format: "$status"
    access_log_format_escape: json
    keepalive_timeout: 0
    client_header_timeout: 5
    client_body_timeout: 500ms
    send_timeout: 1s
    client_max_body_size: 8m
    real_ip_header: X-Forwarded-For
    real_ip_from: [192.168.0.0/16]
    upstream: {keepalive: 1, keepalive_requests: 2, keepalive_timeout: 3s}
plugins: [jwt-auth]
ringgate:
  log_format: json
  jwt: {require_secret: true, sign_x5c: true}
  limits:
    request_line_bytes_max: 4k
    field_bytes_max: 4096
    fields_bytes_max: 16k
    fields_max: 64
    response_head_bytes_max: 32k
    connections_max: 10
"#,
    );
    assert_eq!(config.listeners, ["127.0.0.1:8080".parse::<SocketAddr>().unwrap()]);
    assert!(config.admin.is_none() && config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.status.unwrap().to_string(), "127.0.0.1:7000");
    assert_eq!((config.workers, config.worker_count()), (Some(3), 3));
    assert_eq!(config.process_log, ProcessLog { level: LogLevel::Info, format: LogFormat::Json });
    let log = AccessLog {
        enabled: false,
        path: "/var/log/a.log".into(),
        format: "$status".to_owned(),
        escape: Escape::Json,
        buffer_bytes: 8_192,
    };
    assert_eq!(config.access_log, log);
    let servers: Vec<String> = config.resolver.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["1.1.1.1:53", "127.0.0.1:5353", "[::1]:54", "[::1]:53"]);
    assert_eq!(
        (config.resolver.valid_s, config.resolver.timeout_s, config.resolver.search),
        (Some(30), Some(2), false)
    );
    assert_eq!(config.plugins, ["jwt-auth"]);
    let jwt_auth = jwt_auth::Rules { require_secret: true, sign_x5c: true };
    assert_eq!(config.plugin_rules, Rules { jwt_auth });

    let settings = config.settings();
    assert_eq!(settings.server, "ringgate");
    assert!(settings.show_upstream_status && settings.delete_uri_tail_slash);
    assert_eq!(settings.real_ip_header, "X-Forwarded-For");
    assert_eq!(settings.real_ip_from[0].to_string(), "192.168.0.0/16");
    assert_eq!(settings.trusted_addresses.unwrap().len(), 2);
    assert_eq!(settings.drain_max, Duration::from_secs(90));
    let waits = settings.timeouts;
    assert_eq!((waits.keepalive, waits.head), (Duration::ZERO, Duration::from_secs(5)));
    assert_eq!((waits.body, waits.send), (Duration::from_millis(500), Duration::from_secs(1)));
    let limits = settings.limits;
    assert_eq!((limits.request_line_bytes_max, limits.field_bytes_max, limits.fields_bytes_max), (4096, 4096, 16_384));
    assert_eq!((limits.fields_max, limits.response_head_bytes_max, limits.connections_max), (64, 32_768, 10));
    assert_eq!(limits.body_bytes_max, 8 << 20);
    let pool = KeepalivePool { size: 1, idle_timeout: Duration::from_secs(3), requests: 2 };
    assert_eq!(settings.keepalive, pool);
}

#[test]
fn errors_name_the_key_what_was_found_and_what_is_expected() {
    let cases = [
        (
            "deployment: {role: data_plane}",
            r#"deployment.role: role "data_plane" is not supported yet; expected traditional"#,
        ),
        (
            "deployment: {role_traditional: {config_provider: etcd}}",
            r#"deployment.role_traditional.config_provider: config provider "etcd" is not supported yet; expected embedded"#,
        ),
        (
            "deployment: {role_traditional: {config_provider: yaml}}",
            r#"deployment.role_traditional.config_provider: config provider "yaml" is not supported yet; expected embedded"#,
        ),
        (
            "apisix: {router: {http: radixtree_uri}}",
            r#"apisix.router.http: "radixtree_uri" is not supported yet; expected radixtree_host_uri"#,
        ),
        ("apisix: {proxy_mode: stream}", r#"apisix.proxy_mode: "stream" is not supported yet; expected http"#),
        ("apisix: {enable_admin: 1}", "failed to merge, path[apisix->enable_admin] expect: boolean, but got: number"),
        ("apisix: {status: {port: x}}", r#"apisix.status.port: expected a whole number from 0 to 65535, found "x""#),
        ("apisix: {status: {path: /s}}", r#"apisix.status.path: expected only ip and port, found "/s""#),
        (
            "apisix: {dns_resolver: [dns.example]}",
            r#"apisix.dns_resolver[0]: expected an IP address, with or without a port, found "dns.example""#,
        ),
        (
            "apisix: {trusted_addresses: [a]}",
            r#"apisix.trusted_addresses[0]: expected an IP address or network, found "a""#,
        ),
        (
            "nginx_config: {worker_processes: 0}",
            "nginx_config.worker_processes: expected auto or a whole number from 1 to 4096, found 0",
        ),
        (
            "nginx_config: {error_log_level: loud}",
            r#"nginx_config.error_log_level: expected one of debug, info, notice, warn, error, crit, alert, emerg, found "loud""#,
        ),
        (
            "nginx_config: {http: {keepalive_timeout: soon}}",
            r#"nginx_config.http.keepalive_timeout: expected a time such as 60s, 1m30s or 500ms, found "soon""#,
        ),
        (
            "nginx_config: {http: {send_timeout: 0s}}",
            "nginx_config.http.send_timeout: expected a time above zero, found 0",
        ),
        (
            "nginx_config: {http: {client_max_body_size: 1q}}",
            r#"nginx_config.http.client_max_body_size: expected a size from 0 to 18446744073709551615 bytes, such as 8k or 1m, found "1q""#,
        ),
        (
            "ringgate: {limits: {fields_max: 1}}",
            "ringgate.limits.fields_max: expected a whole number from 16 to 1024, found 1",
        ),
        ("ringgate: {log_format: xml}", r#"ringgate.log_format: expected one of text, json, found "xml""#),
        ("ringgate: {jwt: {sign_x5c: 1}}", "ringgate.jwt.sign_x5c: expected true or false, found a number"),
        ("ringgate: []", "ringgate: expected a mapping, found an empty list"),
        ("plugins: [1]", "plugins[0]: expected the name of a plugin, found 1"),
        (
            "apisix: {node_listen: 9180}",
            "apisix.node_listen and deployment.admin.admin_listen both listen on port 9180",
        ),
        ("apisix: {status: {port: 9080}}", "apisix.node_listen and apisix.status both listen on port 9080"),
        (
            "deployment: {admin: {admin_api_version: v2}}",
            r#"deployment.admin.admin_api_version: only the shapes of version "v3" are spoken, found "v2""#,
        ),
        (
            "deployment: {admin: {admin_key: [{key: a, role: root}]}}",
            "deployment.admin.admin_key[0].role: expected admin or viewer, found a string",
        ),
        (
            "deployment: {admin: {admin_key: [{role: admin}]}}",
            "deployment.admin.admin_key[0].key: expected a string, found none",
        ),
        (
            "deployment: {admin: {admin_key: [{key: '', role: viewer}]}}",
            "deployment.admin.admin_key[0].key: expected a string, found an empty string",
        ),
        (
            "deployment: {admin: {admin_key: [hunter2]}}",
            "deployment.admin.admin_key[0]: expected a mapping with name, key and role, found a string",
        ),
        (
            "deployment: {admin: {admin_key: [{key: hunter2, role: admin}, {key: hunter2, role: viewer}]}}",
            "deployment.admin.admin_key[1].key: expected a key that no other entry has, found a repeated one",
        ),
        (
            "deployment: {admin: {https_admin: true}}",
            "deployment.admin.https_admin: the Admin API speaks plain HTTP only; expected false, found true",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(reading(text).err().as_deref(), Some(want), "{text}");
    }
}

#[test]
fn an_admin_api_without_keys_is_for_the_own_machine_only() {
    let refused = "deployment.admin.admin_key: expected at least one key because deployment.admin.allow_admin is not \
                   exactly [\"127.0.0.0/24\"], found ";
    let open = [
        ("{admin_key: []}", "deployment.admin.admin_key is empty"),
        ("{admin_key: null}", "deployment.admin.admin_key is empty"),
        ("{admin_key_required: false, allow_admin: null}", "deployment.admin.admin_key_required is false"),
    ];
    for (admin, why) in open {
        let reading = reading(&format!("deployment: {{admin: {admin}}}")).unwrap();
        assert_eq!(reading.config.warnings, [format!("{why}: the Admin API asks for no key")], "{admin}");
        assert!(reading.config.admin.unwrap().keys.is_none() && reading.blank_keys.is_empty(), "{admin}");
    }
    let closed = [
        ("{admin_key: [], allow_admin: [127.0.0.0/8]}", "an empty list"),
        ("{admin_key: null, allow_admin: [127.0.0.0/24, ::1]}", "none"),
        ("{admin_key: null, allow_admin: null}", "none"),
        ("null", "none"),
    ];
    for (admin, found) in closed {
        let error = reading(&format!("deployment: {{admin: {admin}}}")).unwrap_err();
        assert_eq!(error, format!("{refused}{found}"), "{admin}");
    }
    let blank = reading(
        "deployment: {admin: {allow_admin: null, admin_key: [{key: a, role: viewer}, {key: '', role: admin}]}}",
    );
    assert_eq!(blank.unwrap().blank_keys, [1]);
    let off = reading("apisix: {enable_admin: false}").unwrap();
    assert!(off.blank_keys.is_empty() && off.config.admin.is_none());
    let digits = config("deployment: {admin: {admin_key: [{key: 12345, role: admin}]}}");
    assert_eq!(digits.admin.unwrap().keys.unwrap()[0].key, "12345");
}

#[test]
fn keys_without_effect_are_named_once() {
    let config = config(
        "colour: 1\napisix: {enable_http2: true, ssl: {enable: false}, hue: {a: 1}}\nplugins: [jwt-auth, echo, cors]\n\
         ringgate: {jwt: {hue: 1}}\n",
    );
    let want = [
        "plugins names what is not available: echo, cors",
        "apisix.enable_http2 has no effect: HTTP/2 is not served",
        "apisix.hue is not a known key",
        "ringgate.jwt.hue is not a known key",
        "colour is not a known key",
    ];
    assert_eq!(config.warnings, want);
}

#[test]
fn no_debug_output_shows_a_key() {
    let config = config("deployment: {admin: {admin_key: [{name: jo, key: hunter2, role: admin}]}}");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_environment_sets_workers_and_refuses_stand_alone() {
    let with = |name: &'static str, value: &'static str| {
        let environment = move |asked: &str| (asked == name).then(|| value.to_owned());
        read(Table::new(), &environment).map(|reading| reading.config.workers).map_err(|fault| fault.to_string())
    };
    assert_eq!(with("APISIX_WORKER_PROCESSES", "7"), Ok(Some(7)));
    assert_eq!(with("APISIX_WORKER_PROCESSES", "auto"), Ok(None));
    assert!(with("APISIX_WORKER_PROCESSES", "many").unwrap_err().starts_with("APISIX_WORKER_PROCESSES: expected auto"));
    assert!(with("APISIX_STAND_ALONE", "true").unwrap_err().starts_with("APISIX_STAND_ALONE: stand-alone mode"));
    assert_eq!(with("APISIX_STAND_ALONE", "false"), Ok(None));
}

#[test]
fn removed_defaults_fall_back() {
    let config = config(
        "apisix: {enable_ipv6: null, resolver_timeout: null}\nnginx_config: {http: {real_ip_from: null, send_timeout: null}}\nplugins: null\n",
    );
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.resolver.timeout_s, None);
    assert!(config.plugins.is_empty() && config.settings().real_ip_from.is_empty());
    assert_eq!(config.settings().timeouts.send, Duration::from_secs(10));
    assert_eq!(json!(config.warnings), json!([]));
}

#[test]
fn secrets_are_resolved_as_configured() {
    assert_eq!(config("").secrets, crate::secret::Settings::default());
    let config = config(
        "apisix: {lru: {secret: {ttl: 5, neg_ttl: 2, count: 512, neg_count: 7}}}\n\
         ringgate: {secret: {ca_file: conf/ca.pem, vault_loopback_http_fallback: false, unresolved_literals: true}}\n",
    );
    let want = crate::secret::Settings {
        ttl: Duration::from_secs(5),
        neg_ttl: Duration::from_secs(2),
        ca_file: Some("conf/ca.pem".into()),
        vault_loopback_http_fallback: false,
        unresolved_literals: true,
    };
    assert_eq!(config.secrets, want);
    assert_eq!(config.warnings, ["apisix.lru.secret.neg_count has no effect: every secret in use is kept"]);
    for (text, want) in [
        (
            "apisix: {lru: {secret: {ttl: 0}}}",
            "apisix.lru.secret.ttl: expected a whole number from 1 to 86400, found 0",
        ),
        (
            "ringgate: {secret: {vault_loopback_http_fallback: 1}}",
            "ringgate.secret.vault_loopback_http_fallback: expected true or false, found a number",
        ),
    ] {
        assert_eq!(reading(text).unwrap_err(), want);
    }
    let lru = reading("apisix: {lru: {plugin: {count: 1}, secret: {hue: 1}}}").unwrap().config.warnings;
    assert_eq!(lru.len(), 2, "{lru:?}");
}
