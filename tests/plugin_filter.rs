//! `_meta.filter` through the gateway: which requests a plugin takes part in.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use support::client::Response;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::token::token;

#[test]
fn a_filter_decides_for_each_request_and_leaves_the_rest_of_meta_alone() {
    let bench = Bench::start(&[]);
    let meta =
        json!({"filter": [["arg_version", "==", "v2"]], "priority": -7, "error_response": {"ask": "for a token"}});
    bench.route("r", &json!({"realm": "v2", "_meta": meta}));

    for target in ["/r", "/r?version=v1", "/r?version=", "/r?Version=v2", "/r?x=version=v2"] {
        let answer = bench.ask(target, None);
        assert_eq!((answer.status, bench.caller()), (200, None), "{target}: not asked for a token");
    }
    for target in ["/r?version=v2", "/r?version=%762", "/r?a&version=v2&version=v1"] {
        let answer = bench.ask(target, None);
        assert_eq!((answer.status, answer.json()), (401, json!({"ask": "for a token"})), "{target}");
        assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"v2\""), "{target}");
        let answer = bench.ask(target, Some(&jacks()));
        assert_eq!((answer.status, bench.caller().as_deref()), (200, Some("jack")), "{target}");
    }
    // Skipped means skipped: a token is not looked at, good or bad.
    for sent in [jacks(), "nonsense".to_owned()] {
        assert_eq!((bench.ask("/r", Some(&sent)).status, bench.caller()), (200, None));
    }
}

#[test]
fn a_filter_goes_with_its_whole_plugin() {
    let bench = Bench::start(&[]);
    let filtered = |filter: Value| json!({"_meta": {"filter": filter}});
    bench.gateway.put(
        "services/s",
        &json!({"plugins": {"jwt-auth": filtered(json!([["service_id", "s"], ["http_x_guard", "on"]]))},
                "upstream": {"nodes": {bench.origin.node(): 1}}}),
    );
    bench.gateway.put("routes/heir", &json!({"uri": "/heir", "service_id": "s"}));
    bench.gateway.put("routes/own", &json!({"uri": "/own", "service_id": "s", "plugins": {"jwt-auth": {}}}));
    let off = json!({"jwt-auth": {"_meta": {"disable": true, "filter": [["uri", "=", "broken"]]}}});
    bench.gateway.put("routes/off", &json!({"uri": "/off", "service_id": "s", "plugins": off}));
    for (target, guarded, want) in [
        ("/heir", false, 200),
        ("/heir", true, 401),
        ("/own", false, 401),
        ("/own", true, 401),
        ("/off", false, 200),
        ("/off", true, 200),
    ] {
        let fields: &[(&str, &str)] = if guarded { &[("X-Guard", "on")] } else { &[] };
        assert_eq!(bench.gateway.request("GET", target, fields, b"").status, want, "{target} {guarded}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let bench = Bench::start(&[]);
    let plugins = |filter: &Value| json!({"jwt-auth": {"key": "k", "_meta": {"filter": filter}}});
    for (filter, want) in [
        (json!([["arg_version", "=", "v2"]]), "invalid operator '='"),
        (json!(["arg_version", "==", "v2"]), "rule should be wrapped inside brackets"),
        (json!(["OR", ["arg_version", "v2"]]), "rule too short"),
        (json!([["no_such_variable", "==", "v2"]]), "variable 'no_such_variable' is not supported"),
    ] {
        let want = format!("failed to validate the 'vars' expression: {want}");
        for (path, body, prefix) in [
            ("routes/r", json!({"uri": "/r", "plugins": plugins(&filter)}), ""),
            ("services/s", json!({"plugins": plugins(&filter)}), ""),
            ("consumers/ann", json!({"username": "ann", "plugins": plugins(&filter)}), PREFIX),
            ("consumers/jack/credentials/c2", json!({"plugins": plugins(&filter)}), PREFIX),
        ] {
            let (status, answer) = bench.gateway.admin("PUT", path, &body);
            assert_eq!((status, answer), (400, json!({"error_msg": format!("{prefix}{want}")})), "{path}");
            assert_eq!(bench.gateway.admin("GET", path, &Value::Null).0, 404, "{path}: not stored");
        }
    }
    let (status, answer) = bench.gateway.admin(
        "PUT",
        "routes/r",
        &json!({"uri": "/r", "plugins": {"jwt-auth": {"_meta": {"pre_function": "return true"}}}}),
    );
    assert_eq!(status, 400);
    assert!(answer["error_msg"].as_str().unwrap().ends_with("property \"pre_function\" is not supported"), "{answer}");
}

#[test]
fn a_credentials_filter_changes_nothing_about_its_verification() {
    let bench = Bench::start(&[]);
    bench.route("r", &json!({}));
    let login = json!({"key": "jack-key", "secret": SECRET, "_meta": {"filter": [["uri", "/elsewhere"]]}});
    bench.gateway.put("consumers/jack/credentials/c1", &json!({"plugins": {"jwt-auth": login}}));
    assert_eq!((bench.ask("/r", Some(&jacks())).status, bench.caller().as_deref()), (200, Some("jack")));
    assert_eq!(bench.ask("/r", None).status, 401);
    assert_eq!(bench.ask("/r", Some(&token("jack-key", b"guessed", json!({})))).status, 401);
}

/// What did not come through the Admin API: a global rule, and filters that it would have refused.
#[test]
fn filters_that_were_stored_otherwise_work_or_fail_closed() {
    let broken = |host: &str, filter: Value| json!({"host": host, "uri": "/*", "plugins": {"jwt-auth": {"_meta": {"filter": filter}}}});
    let rule = json!({"jwt-auth": {"_meta": {"filter": ["OR", ["route_id", "guarded"], ["arg_sso", "1"]]}}});
    let bench = Bench::start(&[
        ("global_rules/1", json!({"id": "1", "plugins": rule})),
        ("routes/syntax", broken("syntax.test", json!([["uri", "=", "/"]]))),
        ("routes/name", broken("name.test", json!([["urii", "/"]]))),
    ]);
    for host in ["syntax.test", "name.test"] {
        for target in ["/", "/urii"] {
            let answer = bench.gateway.request("GET", target, &[("Host", host), ("Authorization", &jacks())], b"");
            assert_eq!(answer.status, 503, "{host}{target}");
        }
    }

    let upstream = json!({"nodes": {bench.origin.node(): 1}});
    for id in ["guarded", "open"] {
        bench.gateway.put(&format!("routes/{id}"), &json!({"uri": format!("/{id}"), "upstream": upstream}));
    }
    // Asks for a token in a field of its own, of everybody whom the rule has not identified.
    bench.route("twice", &json!({"header": "X-Own", "_meta": {"filter": [["consumer_name", "==", null]]}}));
    for (target, sent, want, caller) in [
        ("/open", None, 200, None),
        ("/open?sso=1", None, 401, None),
        ("/open?sso=1", Some(jacks()), 200, Some("jack")),
        ("/guarded", None, 401, None),
        ("/guarded", Some(jacks()), 200, Some("jack")),
        ("/twice", Some(jacks()), 401, None),
        ("/twice?sso=1", Some(jacks()), 200, Some("jack")),
        ("/no-route", None, 404, None),
        ("/no-route?sso=1", None, 401, None),
    ] {
        let answer = bench.ask(target, sent.as_deref());
        assert_eq!(answer.status, want, "{target} {sent:?}: {}", answer.text());
        if want == 200 {
            assert_eq!(bench.caller().as_deref(), caller, "{target} {sent:?}");
        }
    }
}

/// A gateway in front of an origin, with jack and his credential `c1`.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    /// Starts on a store that already holds `stored`.
    fn start(stored: &[(&str, Value)]) -> Self {
        let gateway = Gateway::holding(stored, &Setup::default());
        gateway.put("consumers/jack", &json!({"username": "jack"}));
        let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}}});
        gateway.put("consumers/jack/credentials/c1", &credential);
        Self { origin: Origin::start(), gateway }
    }

    /// A route for `/<id>` with jwt-auth configured so.
    fn route(&self, id: &str, jwt_auth: &Value) {
        let upstream = json!({"nodes": {self.origin.node(): 1}});
        let route = json!({"uri": format!("/{id}"), "plugins": {"jwt-auth": jwt_auth}, "upstream": upstream});
        self.gateway.put(&format!("routes/{id}"), &route);
    }

    fn ask(&self, target: &str, authorization: Option<&str>) -> Response {
        let fields: Vec<_> = authorization.map(|token| ("Authorization", token)).into_iter().collect();
        self.gateway.request("GET", target, &fields, b"")
    }

    /// Who called, as the last request told the upstream.
    fn caller(&self) -> Option<String> {
        self.origin.last().fields.first("x-consumer-username").map(str::to_owned)
    }
}

fn jacks() -> String {
    token("jack-key", SECRET.as_bytes(), json!({}))
}

const SECRET: &str = "jack-hs256-secret-that-is-very-long";
/// Of refusals of consumers and credentials.
const PREFIX: &str = "invalid plugins configuration: ";
