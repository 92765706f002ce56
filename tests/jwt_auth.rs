//! jwt-auth from the client to the upstream, configured the way users do it: with curl.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::process::Command;
use support::client::Response;
use support::gateway::Gateway;
use support::origin::{Origin, Received};
use support::program;
use support::token::{now, signed, token};

#[test]
fn curl_sets_it_up_and_gets_through() {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    let upstream = json!({"type": "roundrobin", "nodes": {origin.node(): 1}});
    let calls = [
        ("consumers", json!({"username": "jack"})),
        (
            "consumers/jack/credentials",
            json!({"id": "cred-jack-jwt-auth", "plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}}}),
        ),
        ("routes", json!({"id": "jwt-route", "uri": "/headers", "plugins": {"jwt-auth": {}}, "upstream": upstream})),
    ];
    for wanted in ["201", "200"] {
        for (path, body) in &calls {
            let url = format!("http://{}/apisix/admin/{path}", gateway.admin_address());
            let key = format!("X-API-KEY: {}", gateway.admin_key());
            let body = body.to_string();
            let (status, answer) = curl(&[&url, "-X", "PUT", "-H", &key, "-d", &body]);
            assert_eq!(status, wanted, "{path}: {answer}");
        }
    }
    let url = format!("http://{}/headers", gateway.data());
    let authorization = format!("Authorization: {}", valid());
    let (status, answer) = curl(&[&url, "-H", &authorization]);
    assert_eq!(status, "200", "{answer}");
    assert_eq!(
        identity(&origin.last()),
        [("X-Consumer-Username", "jack"), ("X-Credential-Identifier", "cred-jack-jwt-auth")]
    );
    let altered = format!("Authorization: {}_random_random", valid());
    let (status, answer) = curl(&[&url, "-H", &altered]);
    assert_eq!((status.as_str(), answer.as_str()), ("401", "{\"message\":\"failed to verify jwt\"}\n"));
    assert_eq!(origin.received().len(), 1);
}

/// spec/jwt-auth §3.
#[test]
fn a_token_is_found_in_header_query_and_cookie() {
    let bench = Bench::new();
    bench.route("own", &json!({"header": "jwt-auth-header", "query": "jwt-query", "cookie": "jwt-cookie"}));
    let valid = valid();
    let bearer = format!("Bearer {valid}");
    let small = format!("bearer {valid}");
    let (query, own_query) = (format!("?a=b&jwt={valid}"), format!("?jwt-query={valid}"));
    let (cookie, own_cookie) = (format!("x=y; jwt={valid}"), format!("jwt-cookie={valid}"));
    let cases: [(&str, &str, Fields); 10] = [
        ("header", "/plain", &[("Authorization", &valid)]),
        ("Bearer", "/plain", &[("Authorization", &bearer)]),
        ("bearer", "/plain", &[("authorization", &small)]),
        ("query", &format!("/plain{query}"), &[]),
        ("cookie", "/plain", &[("Cookie", &cookie)]),
        ("own header", "/own", &[("jwt-auth-header", &valid)]),
        ("own header with Bearer", "/own", &[("JWT-Auth-Header", &bearer)]),
        ("own query", &format!("/own{own_query}"), &[]),
        ("own cookie", "/own", &[("Cookie", &own_cookie)]),
        ("the header outranks the query", "/plain?jwt=nonsense", &[("Authorization", &valid)]),
    ];
    for (name, target, fields) in cases {
        let answer = bench.gateway.request("GET", target, fields, b"");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let received = bench.origin.last();
        assert_eq!(received.target, target, "{name}: the target passes as it came");
        assert_eq!(identity(&received), JACK, "{name}");
        for (field, value) in fields {
            assert_eq!(received.fields.first(field), Some(*value), "{name}: credentials are not hidden by default");
        }
    }
}

/// spec/jwt-auth §8.3.
#[test]
fn what_clients_claim_to_be_never_reaches_the_upstream() {
    let bench = Bench::new();
    let valid = valid();
    let claims = [
        ("Authorization", valid.as_str()),
        ("X-Consumer-Username", "root"),
        ("x-consumer-username", "root"),
        ("X_Consumer_Username", "root"),
        ("x-consumer_username", "root"),
        ("X-Credential-Identifier", "root"),
        ("X_CREDENTIAL_IDENTIFIER", "root"),
        ("X-Consumer-Custom-ID", "root"),
        ("X_Consumer_Custom_Id", "root"),
    ];
    assert_eq!(bench.gateway.request("GET", "/plain", &claims, b"").status, 200);
    assert_eq!(identity(&bench.origin.last()), JACK);
    assert!(!bench.origin.last().fields.0.iter().any(|(_, value)| value == "root"));
}

/// spec/jwt-auth §8.3.
#[test]
fn the_custom_id_is_the_consumers_label() {
    let bench = Bench::new();
    bench.gateway.put("consumers/jack", &json!({"username": "jack", "labels": {"custom_id": "495aec6a"}}));
    bench.gateway.put(
        "consumers/jack/credentials/c1",
        &json!({
            "labels": {"custom_id": "not-this-one"},
            "plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}},
        }),
    );
    assert_eq!(bench.ask("/plain", &valid()).status, 200);
    assert_eq!(identity(&bench.origin.last()), [JACK[0], JACK[1], ("X-Consumer-Custom-ID", "495aec6a")]);
    bench.gateway.put("consumers/jack", &json!({"username": "jack"}));
    assert_eq!(bench.ask("/plain", &valid()).status, 200);
    assert_eq!(identity(&bench.origin.last()), JACK);
}

/// spec/jwt-auth §5, §6.1, §7.3, §8.1.
#[test]
fn every_failure_has_its_answer() {
    let bench = Bench::new();
    bench.route("strict", &json!({"claims_to_verify": ["exp", "nbf"], "realm": "our realm"}));
    bench.route("iss", &json!({"key_claim_name": "iss"}));
    let hs512 = signed(
        jsonwebtoken::Algorithm::HS512,
        &jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes()),
        &json!({"key": "jack-key"}),
    );
    let valid = valid();
    let parts: Vec<&str> = valid.split('.').collect();
    let tokens = [
        ("empty", String::new(), "JWT token invalid"),
        ("not a token", "gibberish".to_owned(), "JWT token invalid"),
        ("two spaces", format!("Bearer  {valid}"), "JWT token invalid"),
        ("other scheme", "Basic amFjazpzZWNyZXQ=".to_owned(), "JWT token invalid"),
        ("no signature", format!("{}.{}.", parts[0], parts[1]), "JWT token invalid"),
        ("four parts", format!("{valid}.e30"), "JWT token invalid"),
        ("payload is no JSON", format!("{}.bm90.{}", parts[0], parts[2]), "JWT token invalid"),
        ("no key claim", token("x", SECRET.as_bytes(), json!({"key": false})), "missing user key in JWT token"),
        ("unknown key", token("nobody", SECRET.as_bytes(), json!({})), "Invalid user key in JWT token"),
        ("a number", token("x", SECRET.as_bytes(), json!({"key": 123})), "Invalid user key in JWT token"),
        ("wrong secret", token("jack-key", b"guessed", json!({})), "failed to verify jwt"),
        ("other algorithm", hs512, "failed to verify jwt"),
        ("signature is no base64", format!("{}.{}.@@@@", parts[0], parts[1]), "failed to verify jwt"),
        ("expired", token("jack-key", SECRET.as_bytes(), json!({"exp": now() - 2})), "failed to verify jwt"),
        ("not yet", token("jack-key", SECRET.as_bytes(), json!({"nbf": now() + 600})), "failed to verify jwt"),
        ("exp is text", token("jack-key", SECRET.as_bytes(), json!({"exp": "never"})), "failed to verify jwt"),
    ];
    for (name, sent, message) in &tokens {
        refused(name, &bench.ask("/plain", sent), message, "jwt");
    }
    let missing = bench.gateway.request("GET", "/plain", &[], b"");
    refused("no token", &missing, "Missing JWT token in request", "jwt");
    refused("a claim that must be there", &bench.ask("/strict", &valid), "failed to verify jwt", "our realm");
    refused("another claim", &bench.ask("/iss", &valid), "missing user key in JWT token", "jwt");
    assert_eq!(bench.origin.received().len(), 0, "nothing of it reaches the upstream");

    let by_iss = token("x", SECRET.as_bytes(), json!({"iss": "jack-key"}));
    assert_eq!(bench.ask("/iss", &by_iss).status, 200);
    let timed = token("jack-key", SECRET.as_bytes(), json!({"exp": now() + 600, "nbf": now() - 600}));
    assert_eq!(bench.ask("/strict", &timed).status, 200);
}

/// spec/jwt-auth §4.
#[test]
fn hidden_credentials_do_not_travel_on() {
    let bench = Bench::new();
    bench.route("hidden", &json!({"hide_credentials": true}));
    let valid = valid();
    let (only, among) = (format!("/hidden?jwt={valid}"), format!("/hidden?a=%20b&jwt={valid}&c"));
    let (alone, cookies) = (format!("jwt={valid}"), format!("hello=wor%20ld; jwt={valid}; b.c=1"));
    let cases: [(&str, &str, Fields, &str, Option<&str>); 6] = [
        ("header", "/hidden?a=b", &[("Authorization", &valid)], "/hidden?a=b", None),
        ("query alone", &only, &[], "/hidden", None),
        ("query among others", &among, &[], "/hidden?a=%20b&c", None),
        ("cookie alone", "/hidden", &[("Cookie", &alone)], "/hidden", None),
        ("cookie among others", "/hidden", &[("Cookie", &cookies)], "/hidden", Some("hello=wor%20ld; b.c=1")),
        ("only the source it was taken from", "/hidden?jwt=x", &[("Authorization", &valid)], "/hidden?jwt=x", None),
    ];
    for (name, target, fields, wanted_target, wanted_cookie) in cases {
        let answer = bench.gateway.request("GET", target, fields, b"");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let received = bench.origin.last();
        assert_eq!(received.target, wanted_target, "{name}");
        assert_eq!(received.fields.first("cookie"), wanted_cookie, "{name}");
        assert_eq!(received.fields.first("authorization"), None, "{name}");
        assert_eq!(identity(&received), JACK, "{name}");
    }
}

/// spec/jwt-auth §8.2.
#[test]
fn an_anonymous_consumer_takes_whoever_fails() {
    let bench = Bench::new();
    bench.gateway.put("consumers/guest", &json!({"username": "guest", "labels": {"custom_id": "not-sent"}}));
    bench.route("open", &json!({"anonymous_consumer": "guest", "hide_credentials": true}));
    bench.route("lost", &json!({"anonymous_consumer": "nobody"}));

    let forged = token("jack-key", b"guessed", json!({}));
    for (name, fields) in [("no token", vec![]), ("a forged token", vec![("Authorization", forged.as_str())])] {
        let claims = [("X-Consumer-Custom-ID", "root"), ("X-Credential-Identifier", "root")];
        let fields = [&fields[..], &claims].concat();
        assert_eq!(bench.gateway.request("GET", "/open", &fields, b"").status, 200, "{name}");
        assert_eq!(identity(&bench.origin.last()), [("X-Consumer-Username", "guest")], "{name}");
        assert_eq!(bench.origin.last().fields.first("authorization"), None, "{name}: hidden all the same");
    }
    assert_eq!(bench.ask("/open", &valid()).status, 200);
    assert_eq!(identity(&bench.origin.last()), JACK, "who has a valid token is not anonymous");
    refused("no such consumer", &bench.ask("/lost", &forged), "Invalid user authorization", "jwt");
}

#[test]
fn a_route_can_switch_off_what_its_service_asks_for() {
    let bench = Bench::new();
    bench.gateway.put(
        "services/guarded",
        &json!({"plugins": {"jwt-auth": {}}, "upstream": {"nodes": {bench.origin.node(): 1}}}),
    );
    bench.gateway.put("routes/shut", &json!({"uri": "/shut", "service_id": "guarded"}));
    bench.gateway.put(
        "routes/off",
        &json!({"uri": "/off", "service_id": "guarded", "plugins": {"jwt-auth": {"_meta": {"disable": true}}}}),
    );
    refused("inherited", &bench.gateway.request("GET", "/shut", &[], b""), "Missing JWT token in request", "jwt");
    assert_eq!(bench.ask("/shut", &valid()).status, 200);
    let answer = bench.gateway.request("GET", "/off", &[("X-Consumer-Username", "anyone")], b"");
    assert_eq!(answer.status, 200);
    assert_eq!(identity(&bench.origin.last()), [("X-Consumer-Username", "anyone")], "nobody is identified there");
}

/// spec/jwt-auth §8.1.
#[test]
fn a_route_can_word_its_refusals() {
    let bench = Bench::new();
    bench.route("text", &json!({"_meta": {"error_response": "go away"}}));
    bench.route("object", &json!({"_meta": {"error_response": {"code": 7}}, "realm": "r"}));
    let challenge = |answer: &Response| answer.field("www-authenticate").map(str::to_owned);
    let text = bench.gateway.request("GET", "/text", &[], b"");
    assert_eq!((text.status, text.text().trim_end()), (401, "go away"));
    assert_eq!(challenge(&text).as_deref(), Some("Bearer realm=\"jwt\""));
    let object = bench.gateway.request("GET", "/object", &[], b"");
    assert_eq!((object.status, object.json()), (401, json!({"code": 7})));
    assert_eq!(challenge(&object).as_deref(), Some("Bearer realm=\"r\""));
    assert_eq!(bench.ask("/text", &valid()).status, 200);
}

#[test]
fn a_consumers_own_plugin_identifies_it_without_a_credential() {
    let bench = Bench::new();
    bench.gateway.put(
        "consumers/jill",
        &json!({"username": "jill", "plugins": {"jwt-auth": {"key": "jill-key", "secret": "jill-secret"}}}),
    );
    let claims = [("Authorization", token("jill-key", b"jill-secret", json!({})))];
    let fields = [(claims[0].0, claims[0].1.as_str()), ("X-Credential-Identifier", "root")];
    assert_eq!(bench.gateway.request("GET", "/plain", &fields, b"").status, 200);
    assert_eq!(identity(&bench.origin.last()), [("X-Consumer-Username", "jill")]);
}

/// A gateway in front of an origin, with jack, his credential `c1` and the route `/plain`.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::start() };
        bench.gateway.put("consumers/jack", &json!({"username": "jack"}));
        let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}}});
        bench.gateway.put("consumers/jack/credentials/c1", &credential);
        bench.route("plain", &json!({}));
        bench
    }

    /// A route for `/<id>` with jwt-auth configured so.
    fn route(&self, id: &str, jwt_auth: &Value) {
        let upstream = json!({"nodes": {self.origin.node(): 1}});
        let route = json!({"uri": format!("/{id}"), "plugins": {"jwt-auth": jwt_auth}, "upstream": upstream});
        self.gateway.put(&format!("routes/{id}"), &route);
    }

    fn ask(&self, target: &str, authorization: &str) -> Response {
        self.gateway.request("GET", target, &[("Authorization", authorization)], b"")
    }
}

#[track_caller]
fn refused(name: &str, answer: &Response, message: &str, realm: &str) {
    assert_eq!((answer.status, answer.text()), (401, json!({"message": message}).to_string() + "\n"), "{name}");
    let challenge = format!("Bearer realm=\"{realm}\"");
    assert_eq!(answer.field("www-authenticate"), Some(challenge.as_str()), "{name}");
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"), "{name}");
}

/// The field lines that name a consumer in any spelling, in order.
fn identity(received: &Received) -> Vec<(&str, &str)> {
    let names = ["x-consumer-username", "x-credential-identifier", "x-consumer-custom-id"];
    let is_identity = |name: &str| names.contains(&name.replace('_', "-").to_ascii_lowercase().as_str());
    let fields = received.fields.0.iter().filter(|(name, _)| is_identity(name));
    fields.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The status and the body.
fn curl(arguments: &[&str]) -> (String, String) {
    let mut command = Command::new("curl");
    let ended = program::run(command.args(["-sS", "-w", "\n%{http_code}"]).args(arguments), "");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    let (body, status) = ended.stdout.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

fn valid() -> String {
    token("jack-key", SECRET.as_bytes(), json!({}))
}

/// Field lines of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

const SECRET: &str = "jack-hs256-secret-that-is-very-long";
const JACK: [(&str, &str); 2] = [("X-Consumer-Username", "jack"), ("X-Credential-Identifier", "c1")];
