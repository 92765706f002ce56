//! Every chain of a request may wait for Redis.
//!
//! Alone in its program: it writes a store itself, and a process that another test forks at that moment would keep it
//! locked.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::redis::Redis;
use support::token::token;

/// Global rule, then the route's or the consumer's: each waits for Redis, in that order.
/// spec/limit-count §1.
#[test]
fn every_chain_of_a_request_may_wait() {
    let redis = Redis::start();
    let limit = |count: u64, key: &str, header: &str| {
        let limit = json!({"count": count, "time_window": 600, "group": key, "key": key, "key_type": "constant",
                           "remaining_header": header, "rejected_code": 429, "policy": "redis",
                           "redis_host": "127.0.0.1", "redis_port": redis.port()});
        json!({"limit-count": limit})
    };
    let rule = json!({"id": "1", "plugins": limit(5, "rule", "X-Rule")});
    let gateway = Gateway::holding(&[("global_rules/1", rule)], &Setup::default());
    let origin = Origin::start();
    gateway.put("consumers", &json!({"username": "jack", "plugins": limit(1, "jack", "X-Jack")}));
    let login = json!({"id": "c", "plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}}});
    gateway.put("consumers/jack/credentials", &login);
    let mut plugins = limit(2, "route", "X-Route");
    let route = |id: &str, plugins: &Value| {
        let upstream = json!({"nodes": {origin.node(): 1}});
        gateway
            .put(&format!("routes/{id}"), &json!({"uri": format!("/{id}"), "plugins": plugins, "upstream": upstream}));
    };
    route("open", &plugins);
    plugins["jwt-auth"] = json!({});
    route("closed", &plugins);
    let jacks = token("jack-key", SECRET.as_bytes(), json!({}));
    let ask = |target: &str| {
        let fields: &[(&str, &str)] = if target == "/closed" { &[("Authorization", &jacks)] } else { &[] };
        let answer = gateway.request("GET", target, fields, b"");
        let left = ["x-rule", "x-route", "x-jack"].map(|name| answer.field(name).map_or("-".to_owned(), str::to_owned));
        (answer.status, left.join(" "))
    };
    assert_eq!(ask("/open"), (200, "4 1 -".to_owned()));
    assert_eq!(ask("/closed"), (200, "3 - 0".to_owned()), "the consumer's takes the route's place");
    assert_eq!(ask("/closed"), (429, "2 - 0".to_owned()));
    assert_eq!(ask("/nowhere"), (404, "1 - -".to_owned()));
    assert_eq!(ask("/open"), (200, "0 0 -".to_owned()));
    assert_eq!(ask("/open"), (429, "0 - -".to_owned()), "the rule rejects, the route's is not asked");
    assert_eq!(redis.cli(&["GET", "plugin-limit-count:v1:route:route"]), "2");
}

const SECRET: &str = "jack-hs256-secret-that-is-very-long";
