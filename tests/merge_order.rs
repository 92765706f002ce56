//! Which configuration of a plugin runs (spec/consumers-credentials-secrets §4), on the built program and configured by
//! its Admin API.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use support::client::Response;
use support::dead_address;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::token::token;

/// §4.2, row 1.
#[test]
fn a_consumers_limit_outranks_the_routes() {
    let bench = Bench::start(&[]);
    bench.consumer("jack", &json!({"plugins": limit(3)}));
    bench.consumer("ann", &json!({}));
    for id in ["one", "two"] {
        bench.route(id, &json!({"plugins": both(&authenticated(), &limit(100))}));
    }
    assert_eq!(bench.quota("/one", "jack"), ["3", "2"]);
    assert_eq!(bench.quota("/two", "jack"), ["3", "1"], "one counter, on the consumer");
    assert_eq!(bench.quota("/one", "ann"), ["100", "99"]);
    assert_eq!(bench.quota("/two", "ann"), ["100", "99"], "a counter per route");
}

/// §4.2, row 2, and spec/limit-count §5.3.
#[test]
fn a_groups_limit_stands_between_and_its_members_share_it() {
    let bench = Bench::start(&[]);
    bench.gateway.put("consumer_groups/g", &json!({"plugins": limit(10)}));
    bench.consumer("jack", &json!({"group_id": "g", "plugins": limit(3)}));
    for name in ["ann", "ben"] {
        bench.consumer(name, &json!({"group_id": "g"}));
    }
    bench.route("r", &json!({"plugins": both(&authenticated(), &limit(100))}));
    bench.route("bare", &json!({"plugins": authenticated()}));
    assert_eq!(bench.quota("/r", "jack"), ["3", "2"]);
    assert_eq!(bench.quota("/r", "ann"), ["10", "9"]);
    assert_eq!(bench.quota("/bare", "ben"), ["10", "8"], "shared by members and over routes");

    // What the group says changes, for members that have nothing of their own.
    bench.gateway.admin("PATCH", "consumer_groups/g/plugins/limit-count/count", &json!(20));
    assert_eq!(bench.quota("/r", "ann"), ["20", "19"]);
    assert_eq!(bench.quota("/r", "jack"), ["3", "1"]);
    // A group that is gone: its members are not served, whatever they have of their own.
    assert_eq!(bench.gateway.admin("DELETE", "consumer_groups/g", &Value::Null).0, 400);
    assert_eq!(bench.gateway.admin("DELETE", "consumer_groups/g?force=true", &Value::Null).0, 200);
    for name in ["jack", "ann"] {
        assert_eq!(bench.ask("/r", name).status, 503, "{name}");
    }
    assert_eq!(bench.origin.received().len(), 5);
    bench.gateway.put("consumer_groups/g", &json!({"plugins": {}}));
    assert_eq!(bench.quota("/r", "ann"), ["100", "99"], "a group without plugins changes nothing");
}

/// §4.2, row 3: the service's Redis, which nobody can reach, is not asked for a route that has its own limit.
#[test]
fn a_routes_plugin_inherits_nothing_from_the_services() {
    let bench = Bench::start(&[]);
    let (dead, _held) = dead_address();
    let of_service = json!({
        "limit-count": {
            "count": 50, "time_window": 600, "rejected_msg": "slow", "rejected_code": 429,
            "policy": "redis", "redis_host": "127.0.0.1", "redis_port": dead.port(),
        },
    });
    bench.gateway.put("services/s", &json!({"plugins": of_service}));
    bench.route("own", &json!({"service_id": "s", "plugins": {"limit-count": {"count": 2, "time_window": 600}}}));
    bench.route("inherits", &json!({"service_id": "s"}));
    assert_eq!(bench.quota("/own", ""), ["2", "1"]);
    assert_eq!(bench.quota("/own", ""), ["2", "0"]);
    let refused = bench.ask("/own", "");
    assert_eq!((refused.status, &*refused.text()), (503, ""), "neither the code nor the message is the service's");
    let failed = bench.ask("/inherits", "");
    assert_eq!((failed.status, &*failed.text()), (500, "{\"error_msg\":\"failed to limit count\"}\n"));
}

/// §4.2, row 4.
#[test]
fn a_route_switches_off_what_its_service_has() {
    let bench = Bench::start(&[]);
    bench.gateway.put("services/s", &json!({"plugins": authenticated()}));
    bench.route("on", &json!({"service_id": "s"}));
    bench.route("off", &json!({"service_id": "s", "plugins": {"jwt-auth": {"_meta": {"disable": true}}}}));
    assert_eq!([bench.ask("/on", "").status, bench.ask("/off", "").status], [401, 200]);
}

/// §4.2, row 5, with another plugin.
#[test]
fn a_consumer_switches_off_what_the_route_has() {
    let bench = Bench::start(&[]);
    let off = json!({"limit-count": {"count": 1, "time_window": 600, "_meta": {"disable": true}}});
    bench.consumer("jack", &json!({"plugins": off}));
    bench.consumer("ann", &json!({}));
    bench.route("r", &json!({"plugins": both(&authenticated(), &limit(1))}));
    assert_eq!([(); 3].map(|()| bench.ask("/r", "jack").status), [200; 3]);
    assert_eq!([(); 2].map(|()| bench.ask("/r", "ann").status), [200, 429]);
}

/// §4.2, row 6.
#[test]
fn a_global_rule_counts_too_and_the_route_tells() {
    let bench = Bench::start(&[]);
    bench.gateway.put("global_rules/g", &json!({"plugins": limit(3)}));
    bench.route("r", &json!({"plugins": limit(5)}));
    bench.route("bare", &json!({}));
    assert_eq!(bench.quota("/r", ""), ["5", "4"]);
    assert_eq!(bench.quota("/bare", ""), ["3", "1"], "counted before");
    assert_eq!(bench.quota("/nowhere", ""), ["3", "0"], "without a route, too");
    let refused = bench.ask("/r", "");
    assert_eq!((refused.status, quota(&refused)), (429, vec!["3".to_owned(), "0".to_owned()]), "the rule stands first");
    assert_eq!(bench.gateway.admin("DELETE", "global_rules/g", &Value::Null).0, 200);
    assert_eq!(bench.quota("/r", ""), ["5", "3"], "what the rule refused did not count here");
}

/// §4.2, row 7.
#[test]
fn a_credentials_plugins_only_authenticate() {
    let bench = Bench::start(&[]);
    bench.consumer("jack", &json!({"plugins": limit(3)}));
    let (status, answer) = bench.gateway.admin("PUT", "consumers/jack/credentials/more", &json!({"plugins": limit(9)}));
    let want = json!({"error_msg": "only supports auth type plugins in consumer credential"});
    assert_eq!((status, answer), (400, want));
    bench.route("r", &json!({"plugins": authenticated()}));
    assert_eq!(bench.quota("/r", "jack"), ["3", "2"]);
}

/// §4.1: a plugin config adds what the route lacks, above the service; spec/limit-count §5.3: one counter for all routes.
#[test]
fn a_plugin_config_fills_in_and_is_shared() {
    let bench = Bench::start(&[]);
    bench.gateway.put("services/s", &json!({"plugins": both(&authenticated(), &limit(50))}));
    bench.gateway.put("plugin_configs/p", &json!({"plugins": limit(8)}));
    bench.consumer("ann", &json!({}));
    for id in ["one", "two"] {
        bench.route(id, &json!({"service_id": "s", "plugin_config_id": "p"}));
    }
    bench.route("own", &json!({"service_id": "s", "plugin_config_id": "p", "plugins": limit(5)}));
    assert_eq!(bench.quota("/one", "ann"), ["8", "7"]);
    assert_eq!(bench.quota("/two", "ann"), ["8", "6"], "shared");
    assert_eq!(bench.quota("/own", "ann"), ["5", "4"]);
    assert_eq!(bench.ask("/one", "").status, 401, "what only the service has stays");
    bench.gateway.put("plugin_configs/p", &json!({"plugins": {}}));
    assert_eq!(bench.quota("/one", "ann"), ["50", "49"]);
    assert_eq!(bench.gateway.admin("DELETE", "plugin_configs/p", &Value::Null).0, 400);
    assert_eq!(bench.gateway.admin("DELETE", "plugin_configs/p?force=true", &Value::Null).0, 200);
    assert_eq!(bench.ask("/one", "ann").status, 503, "a route does not go on without what it refers to");
}

/// §4.3: authentication in a global rule attaches the consumer, and its plugins are laid over the route's.
#[test]
fn authentication_in_a_global_rule_brings_the_consumer() {
    let bench = Bench::start(&[]);
    bench.gateway.put("global_rules/auth", &json!({"plugins": authenticated()}));
    bench.gateway.put("consumer_groups/g", &json!({"plugins": limit(4)}));
    bench.consumer("jack", &json!({"group_id": "g"}));
    bench.route("r", &json!({"plugins": limit(100)}));
    assert_eq!(bench.quota("/r", "jack"), ["4", "3"]);
    assert_eq!([bench.ask("/r", "").status, bench.ask("/nowhere", "").status], [401, 401]);
    let lost = bench.ask("/nowhere", "jack");
    assert_eq!((lost.status, &*lost.text()), (404, "{\"error_msg\":\"404 Route Not Found\"}\n"));
}

/// §4.4. The Admin API refuses such rules; other writers do not.
#[test]
fn a_plugin_of_two_global_rules_runs_in_neither() {
    let rule = |id: &str, count: u64| json!({"id": id, "plugins": limit(count)});
    let with_auth = json!({"id": "c", "plugins": authenticated()});
    let bench = Bench::start(&[
        ("global_rules/a", rule("a", 1)),
        ("global_rules/b", rule("b", 1)),
        ("global_rules/c", with_auth),
    ]);
    bench.consumer("ann", &json!({}));
    bench.route("r", &json!({}));
    assert_eq!([(); 3].map(|()| bench.ask("/r", "ann").status), [200; 3]);
    assert_eq!(bench.ask("/r", "").status, 401, "the others go on");
    let log = bench.gateway.output();
    assert!(log.contains("stands in several global rules") && log.contains("limit-count"), "{log}");
    assert_eq!(bench.gateway.admin("DELETE", "global_rules/b", &Value::Null).0, 200);
    assert_eq!([(); 2].map(|()| bench.ask("/r", "ann").status), [200, 429], "one is left, and runs");
}

/// A gateway in front of an origin.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn start(stored: &[(&str, Value)]) -> Self {
        Self { origin: Origin::start(), gateway: Gateway::holding(stored, &Setup::default()) }
    }

    /// A consumer with `more` and a credential whose key is its name.
    fn consumer(&self, name: &str, more: &Value) {
        self.gateway.put("consumers", &both(&json!({"username": name}), more));
        let login = json!({"id": "c", "plugins": {"jwt-auth": {"key": name, "secret": SECRET}}});
        self.gateway.put(&format!("consumers/{name}/credentials"), &login);
    }

    /// A route for `/<id>` with `more`.
    fn route(&self, id: &str, more: &Value) {
        let upstream = json!({"nodes": {self.origin.node(): 1}});
        let route = json!({"uri": format!("/{id}"), "upstream": upstream});
        self.gateway.put(&format!("routes/{id}"), &both(&route, more));
    }

    /// A request by the consumer called `name`; by nobody if it is empty.
    fn ask(&self, target: &str, name: &str) -> Response {
        if name.is_empty() {
            return self.gateway.request("GET", target, &[], b"");
        }
        let token = token(name, SECRET.as_bytes(), json!({}));
        self.gateway.request("GET", target, &[("Authorization", &token)], b"")
    }

    /// Limit and remaining, as such a request is told; it must not be refused.
    fn quota(&self, target: &str, name: &str) -> Vec<String> {
        let answer = self.ask(target, name);
        assert!(matches!(answer.status, 200 | 404), "{target} {name}: {}", answer.status);
        quota(&answer)
    }
}

fn quota(answer: &Response) -> Vec<String> {
    ["x-ratelimit-limit", "x-ratelimit-remaining"].map(|name| answer.field(name).unwrap_or("-").to_owned()).into()
}

fn limit(count: u64) -> Value {
    json!({"limit-count": {"count": count, "time_window": 600, "rejected_code": 429}})
}

fn authenticated() -> Value {
    json!({"jwt-auth": {}})
}

fn both(one: &Value, other: &Value) -> Value {
    let mut joined = one.clone();
    joined.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    joined
}

const SECRET: &str = "a-secret-that-is-long-enough-for-hs256";
