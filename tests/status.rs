//! The status listener, as probes use it, and what the process says of itself on its standard error.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::json;
use support::client::once;
use support::gateway::{Gateway, Setup};

#[test]
fn probes_are_answered_without_a_key() {
    let gateway = Gateway::with(&Setup { apisix: "  status: {ip: 127.0.0.1, port: 0}\n", ..Setup::default() });
    for path in ["/status", "/status/ready"] {
        let answer = once(gateway.status_address(), "GET", path, &[], b"").unwrap();
        assert_eq!((answer.status, answer.json()), (200, json!({"status": "ok"})), "{path}");
        assert_eq!(answer.field("content-type"), Some("application/json"), "{path}");
    }
    assert_eq!(once(gateway.status_address(), "GET", "/apisix/admin/routes", &[], b"").unwrap().status, 404);
}

#[test]
fn the_process_log_warns_of_what_has_no_effect_and_tells_no_secrets() {
    let gateway = Gateway::with(&Setup {
        apisix: "  node_lisen: 1\n  ssl: {enable: true}\n",
        http: "    lua_shared_dict: {x: 1m}\n",
        ..Setup::default()
    });
    gateway.put("consumers/jack", &json!({"username": "jack"}));
    let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": "very-secret-text"}}});
    gateway.put("consumers/jack/credentials/c", &credential);
    let output = gateway.output();
    for text in ["apisix.node_lisen", "apisix.ssl", "nginx_config.http.lua_shared_dict"] {
        assert!(output.contains(text), "no {text} in {output}");
    }
    for text in ["very-secret-text", gateway.admin_key()] {
        assert!(!output.contains(text), "{output}");
    }
}
