//! The sign endpoint behind `public-api`, on the built program: from the Admin API to a token that gets through.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use std::process::Command;
use support::client::Response;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::program;
use support::token::now;

const SIGN: &str = "/apisix/plugin/jwt/sign";
const PRIVATE_KEY: &str = include_str!("data/sign/rsa.pem");
const PUBLIC_KEY: &str = include_str!("data/sign/rsa.pub.pem");

#[test]
fn without_a_route_nobody_is_given_a_token() {
    let bench = Bench::new();
    let answer = bench.ask(&format!("{SIGN}?key=jack-key"));
    assert_eq!((answer.status, answer.text().as_str()), (404, "{\"error_msg\":\"404 Route Not Found\"}\n"));
    bench.gateway.put("routes/all", &json!({"uri": "/*", "plugins": {}, "upstream": bench.upstream()}));
    assert_eq!(bench.ask(&format!("{SIGN}?key=jack-key")).status, 200);
    assert_eq!(bench.origin.last().target, format!("{SIGN}?key=jack-key"), "a path like any other");
}

#[test]
fn curl_gets_a_token_and_gets_through() {
    let bench = Bench::new();
    bench.gateway.put("routes/sign", &json!({"uri": SIGN, "plugins": {"public-api": {}}}));
    let url = format!("http://{}{SIGN}?key=jack-key&payload=%7B%22role%22%3A%22reader%22%7D", bench.gateway.data());
    let ended = program::run(Command::new("curl").args(["-sS", "-i", "-g", &url]), "");
    let (head, token) = ended.stdout.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{head}");
    assert_eq!(token.trim_end(), token, "no line end");
    let claims = claims(token);
    assert_eq!((&claims["key"], &claims["role"]), (&json!("jack-key"), &json!("reader")));
    let expires = claims["exp"].as_u64().unwrap();
    assert!((now() + 3500..=now() + 3600).contains(&expires), "{expires}");
    assert_eq!(bench.origin.received().len(), 0, "answered by the gateway itself");

    let answer = bench.gateway.request("GET", "/guarded", &[("Authorization", token)], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = bench.origin.last();
    assert_eq!(received.fields.first("x-consumer-username"), Some("jack"));
    assert_eq!(received.fields.first("x-credential-identifier"), Some("rs"));
    let log = bench.gateway.access_log() + &bench.gateway.output();
    assert!(!log.contains(token), "no token is logged");
}

#[test]
fn nobody_chooses_exp_or_key() {
    let bench = Bench::new();
    bench.gateway.put("routes/sign", &json!({"uri": SIGN, "plugins": {"public-api": {}}}));
    let payload = "%7B%22key%22%3A%22jill-key%22%2C%22exp%22%3A99999999999%7D";
    let answer = bench.ask(&format!("{SIGN}?key=jack-key&payload={payload}"));
    let claims = claims(&answer.text());
    assert_eq!(claims["key"], json!("jack-key"));
    assert!(claims["exp"].as_u64().unwrap() <= now() + 3600, "{claims}");
}

#[test]
fn every_refusal_has_its_status() {
    let bench = Bench::new();
    bench.gateway.put("routes/sign", &json!({"uri": "/apisix/plugin/*", "plugins": {"public-api": {}}}));
    let rs =
        |private: Value| json!({"key": "x", "algorithm": "RS256", "public_key": PUBLIC_KEY, "private_key": private});
    for (id, mut conf) in [("none", rs(Value::Null)), ("broken", rs(json!("-----BEGIN NOTHING-----")))] {
        conf["key"] = json!(id);
        bench.gateway.put(&format!("consumers/jack/credentials/{id}"), &json!({"plugins": {"jwt-auth": conf}}));
    }
    let cases = [
        ("no key", "GET", format!("{SIGN}?payload=%7B%7D"), 400, "400 Bad Request"),
        ("unknown key", "GET", format!("{SIGN}?key=jill-key"), 404, "404 Not Found"),
        ("a consumer's name is no key", "GET", format!("{SIGN}?key=jack"), 404, "404 Not Found"),
        ("a consumer without credential", "GET", format!("{SIGN}?key=guest"), 404, "404 Not Found"),
        ("payload no JSON", "GET", format!("{SIGN}?key=jack-key&payload=x"), 400, "400 Bad Request"),
        ("no private key", "GET", format!("{SIGN}?key=none"), 503, "failed to sign jwt"),
        ("unusable private key", "GET", format!("{SIGN}?key=broken"), 503, "failed to sign jwt"),
        ("another method", "POST", format!("{SIGN}?key=jack-key"), 404, "404 Not Found"),
        ("another endpoint", "GET", "/apisix/plugin/wolf-rbac/user_info".to_owned(), 404, "404 Not Found"),
    ];
    for (name, method, target, status, body) in cases {
        let answer = bench.gateway.request(method, &target, &[], b"");
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert!(answer.text().contains(body), "{name}: {}", answer.text());
        assert_eq!(answer.text() == body, status == 503, "{name}: {}", answer.text());
    }
    let log = bench.gateway.output();
    let named = |id: &str| log.lines().any(|line| line.contains("private_key") && line.contains(id));
    assert!(named("/apisix/consumers/jack/credentials/broken"), "{log}");
    assert!(!named("/apisix/consumers/jack/credentials/none") && !log.contains("BEGIN"), "{log}");
}

#[test]
fn a_route_gives_it_another_path_and_guards_it() {
    let bench = Bench::new();
    let named = json!({"uri": "/gen_token", "plugins": {"public-api": {"uri": SIGN}}});
    bench.gateway.put("routes/sign", &named);
    assert_eq!(claims(&bench.ask("/gen_token?key=jack-key").text())["key"], json!("jack-key"));
    let unnamed = json!({"uri": "/gen_token", "plugins": {"public-api": {}}});
    bench.gateway.put("routes/sign", &unnamed);
    assert_eq!(bench.ask("/gen_token?key=jack-key").status, 404);

    let guarded = json!({"uri": "/gen_token", "plugins": {"jwt-auth": {}, "public-api": {"uri": SIGN}}});
    bench.gateway.put("routes/sign", &guarded);
    assert_eq!(bench.ask("/gen_token?key=jack-key").status, 401, "who may ask is the route's business");
    bench.gateway.put("routes/sign", &named);
    let token = bench.ask("/gen_token?key=jack-key").text();
    bench.gateway.put("routes/sign", &guarded);
    let renewed = bench.gateway.request("GET", "/gen_token?key=jack-key", &[("Authorization", &token)], b"");
    assert_eq!(renewed.status, 200, "{}", renewed.text());

    let worded =
        json!({"uri": "/gen_token", "plugins": {"public-api": {"uri": "", "_meta": {"error_response": "no"}}}});
    bench.gateway.put("routes/sign", &worded);
    let refused = bench.ask("/gen_token?key=jack-key");
    assert_eq!((refused.status, refused.text().as_str()), (404, "no"));
}

#[test]
fn the_plugin_is_listed_and_its_configuration_judged() {
    let bench = Bench::new();
    assert_eq!(
        bench.gateway.admin("GET", "plugins/list", &Value::Null).1,
        json!(["jwt-auth", "limit-count", "limit-req", "public-api"])
    );
    let (status, schema) = bench.gateway.admin("GET", "plugins/public-api", &Value::Null);
    assert_eq!((status, &schema["properties"]["uri"]["type"]), (200, &json!("string")));
    let (status, answer) =
        bench.gateway.admin("PUT", "routes/1", &json!({"uri": "/x", "plugins": {"public-api": {"uri": 3233}}}));
    let text = "failed to check the configuration of plugin public-api err: property \"uri\" validation failed: wrong \
                type: expected string, got number";
    assert_eq!((status, answer), (400, json!({"error_msg": text})));
}

#[test]
fn what_a_deleted_credential_could_sign_it_cannot_any_more() {
    let bench = Bench::new();
    bench.gateway.put("routes/sign", &json!({"uri": SIGN, "plugins": {"public-api": {}}}));
    let token = bench.ask(&format!("{SIGN}?key=jack-key")).text();
    bench.gateway.admin("DELETE", "consumers/jack/credentials/rs", &Value::Null);
    assert_eq!(bench.ask(&format!("{SIGN}?key=jack-key")).status, 404);
    assert_eq!(bench.gateway.request("GET", "/guarded", &[("Authorization", &token)], b"").status, 401);
}

#[test]
fn secrets_are_generated_unless_they_are_required() {
    let lenient = Bench::new();
    lenient.gateway.put("routes/sign", &json!({"uri": SIGN, "plugins": {"public-api": {}}}));
    let conf = json!({"plugins": {"jwt-auth": {"key": "generated"}}});
    lenient.gateway.put("consumers/jack/credentials/hs", &conf);
    let (_, stored) = lenient.gateway.admin("GET", "consumers/jack/credentials/hs", &Value::Null);
    assert_eq!(stored["value"]["plugins"]["jwt-auth"]["secret"].as_str().unwrap().len(), 44);
    let token = lenient.ask(&format!("{SIGN}?key=generated")).text();
    assert_eq!(lenient.gateway.request("GET", "/guarded", &[("Authorization", &token)], b"").status, 200);

    let strict = Bench::with(&Setup { top: "ringgate:\n  jwt:\n    require_secret: true\n", ..Setup::default() });
    let text = "invalid plugins configuration: failed to check the configuration of plugin jwt-auth err: property \
                \"secret\" is required when using HS based algorithms";
    for path in ["consumers/jack/credentials/hs", "consumers/jack"] {
        let object = json!({"username": "jack", "plugins": {"jwt-auth": {"key": "generated"}}});
        let object = if path.contains("credentials") { &conf } else { &object };
        let (status, answer) = strict.gateway.admin("PUT", path, object);
        assert_eq!((status, answer), (400, json!({"error_msg": text})), "{path}");
    }
}

#[test]
fn the_public_key_is_shown_where_the_configuration_asks_for_it() {
    for (top, want) in [("", json!(null)), ("ringgate: {jwt: {sign_x5c: true}}\n", json!([PUBLIC_KEY]))] {
        let bench = Bench::with(&Setup { top, ..Setup::default() });
        bench.gateway.put("routes/sign", &json!({"uri": SIGN, "plugins": {"public-api": {}}}));
        let token = bench.ask(&format!("{SIGN}?key=jack-key")).text();
        let header = token.split('.').next().unwrap();
        let header: Value =
            serde_json::from_slice(&base64_simd::URL_SAFE_NO_PAD.decode_to_vec(header).unwrap()).unwrap();
        assert_eq!(header["x5c"], want);
        assert_eq!(bench.gateway.request("GET", "/guarded", &[("Authorization", &token)], b"").status, 200);
    }
}

/// A gateway in front of an origin; jack, whose credential `rs` signs for an hour; and `/guarded`.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn new() -> Self {
        Self::with(&Setup::default())
    }

    fn with(setup: &Setup) -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::with(setup) };
        bench.gateway.put("consumers/jack", &json!({"username": "jack"}));
        bench.gateway.put("consumers/guest", &json!({"username": "guest"}));
        let conf = json!({
            "key": "jack-key", "algorithm": "RS256", "public_key": PUBLIC_KEY, "private_key": PRIVATE_KEY, "exp": 3600
        });
        bench.gateway.put("consumers/jack/credentials/rs", &json!({"plugins": {"jwt-auth": conf}}));
        let guarded = json!({"uri": "/guarded", "plugins": {"jwt-auth": {}}, "upstream": bench.upstream()});
        bench.gateway.put("routes/guarded", &guarded);
        bench
    }

    fn upstream(&self) -> Value {
        json!({"nodes": {self.origin.node(): 1}})
    }

    fn ask(&self, target: &str) -> Response {
        self.gateway.request("GET", target, &[], b"")
    }
}

/// What a token of `rs` says, verified by another library.
fn claims(token: &str) -> Value {
    let key = DecodingKey::from_rsa_pem(PUBLIC_KEY.as_bytes()).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &Validation::new(Algorithm::RS256)).unwrap().claims
}
