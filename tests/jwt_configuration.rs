//! jwt-auth as it is configured: where it may stand, what is accepted and refused there, what follows from it for
//! tokens (spec/jwt-auth §1, §2.1, §2.2, §2.3, §6.2, §7.2, §7.3).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

#[path = "support/keys.rs"]
mod keys;
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::{Kind, sign, text};
use openssl::pkey::PKey;
use ringgate::auth::jwt::Algorithm;
use serde_json::{Value, json};
use support::gateway::Gateway;
use support::origin::Origin;
use support::token::{now, token};

/// spec/jwt-auth §1: on a route or its service, the route's own first.
#[test]
fn it_stands_on_routes_and_what_routes_take_from() {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    let upstream = json!({"nodes": {origin.node(): 1}});
    gateway.put("consumers/jack", &json!({"username": "jack", "plugins": {"jwt-auth": {"key": "k", "secret": "s"}}}));
    gateway.put("services/s", &json!({"plugins": {"jwt-auth": {"realm": "service"}}, "upstream": upstream}));
    gateway.put("routes/service", &json!({"uri": "/service", "service_id": "s"}));
    let own = json!({"jwt-auth": {"realm": "route"}});
    gateway.put("routes/own", &json!({"uri": "/own", "service_id": "s", "plugins": own}));
    gateway.put("routes/open", &json!({"uri": "/open", "upstream": upstream}));
    let good = token("k", b"s", json!({}));
    let check = |target: &str, realm: Option<&str>| {
        let refused = gateway.request("GET", target, &[], b"");
        let challenge = realm.map(|realm| format!("Bearer realm=\"{realm}\""));
        assert_eq!(refused.field("www-authenticate"), challenge.as_deref(), "{target}");
        assert_eq!(refused.status, if realm.is_some() { 401 } else { 200 }, "{target}");
        assert_eq!(gateway.request("GET", target, &[("Authorization", &good)], b"").status, 200, "{target}");
    };
    for (target, realm) in [("/service", "service"), ("/own", "route")] {
        check(target, Some(realm));
    }
    check("/open", None);
}

/// spec/jwt-auth §2.1, §2.3: the route's side.
#[test]
fn routes_are_checked() {
    let gateway = Gateway::start();
    let put = |jwt_auth: &Value| {
        let route = json!({"uri": "/", "plugins": {"jwt-auth": jwt_auth}, "upstream": {"nodes": {"127.0.0.1:1": 1}}});
        gateway.admin("PUT", "routes/r", &route)
    };
    for accepted in [
        json!({}),
        json!({"key": "no-effect", "secret": "here", "unknown": [1]}),
        json!({"header": "x-token", "query": "q", "cookie": "c", "hide_credentials": true, "key_claim_name": "iss"}),
        json!({"realm": "a".repeat(128), "anonymous_consumer": "guest", "store_in_ctx": true}),
        json!({"claims_to_verify": []}),
        json!({"claims_to_verify": ["nbf", "exp"]}),
        json!({"realm": " !#[]~"}),
    ] {
        let (status, answer) = put(&accepted);
        assert!(matches!(status, 200 | 201), "{accepted}: {status} {answer}");
    }
    for (name, value) in [
        ("header", json!(1)),
        ("query", json!(null)),
        ("cookie", json!(["jwt"])),
        ("hide_credentials", json!("true")),
        ("key_claim_name", json!("")),
        ("store_in_ctx", json!(1)),
        ("realm", json!("")),
        ("realm", json!("a".repeat(129))),
        ("realm", json!("a\"b")),
        ("realm", json!("a\\b")),
        ("realm", json!("a\nb")),
        ("realm", json!("\u{e9}")),
        ("anonymous_consumer", json!("")),
        ("claims_to_verify", json!(["iat"])),
        ("claims_to_verify", json!(["exp", "exp"])),
        ("claims_to_verify", json!("exp")),
    ] {
        let (status, answer) = put(&json!({name: value}));
        let start = format!("failed to check the configuration of plugin jwt-auth err: property \"{name}\" ");
        let said = answer["error_msg"].as_str().unwrap_or_default();
        assert!(status == 400 && said.starts_with(&start), "{name} {value}: {status} {answer}");
    }
}

/// spec/jwt-auth §2.2, §2.3: the consumer's side.
#[test]
fn consumers_and_credentials_are_checked() {
    let gateway = Gateway::start();
    gateway.put("consumers/jill", &json!({"username": "jill"}));
    let put = |jwt_auth: &Value| {
        let plugins = json!({"jwt-auth": jwt_auth});
        let both = [
            ("consumers/jack", json!({"username": "jack", "plugins": plugins})),
            ("consumers/jill/credentials/c", json!({"plugins": plugins})),
        ];
        let [consumer, credential] = both.map(|(path, body)| {
            let answer = gateway.admin("PUT", path, &body);
            gateway.admin("DELETE", path, &Value::Null);
            answer
        });
        assert_eq!((consumer.0, consumer.0 == 201), (credential.0, consumer.1["error_msg"].is_null()), "{jwt_auth}");
        if consumer.0 == 400 {
            assert_eq!(consumer.1, credential.1, "{jwt_auth}");
        }
        consumer
    };
    let dependent = "failed to validate dependent schema for \"algorithm\": value should match only one schema, but \
                     matches none";
    let short = |name| format!("property \"{name}\" validation failed: string too short, expected at least 1, got 0");
    for (jwt_auth, text) in [
        (json!({"secret": "s"}), "property \"key\" is required".to_owned()),
        (json!({"key": 5}), "property \"key\" validation failed: wrong type: expected string, got number".to_owned()),
        (json!({"key": "", "secret": "s"}), short("key")),
        (json!({"key": "k", "secret": ""}), short("secret")),
        (json!({"key": "k", "algorithm": "RS256"}), dependent.to_owned()),
        (json!({"key": "k", "algorithm": "EdDSA", "secret": "s"}), dependent.to_owned()),
        (
            json!({"key": "k", "secret": "no base64!", "base64_secret": true}),
            "base64_secret required but the secret is not in base64 format".to_owned(),
        ),
    ] {
        let (status, answer) = put(&jwt_auth);
        let said =
            format!("invalid plugins configuration: failed to check the configuration of plugin jwt-auth err: {text}");
        assert_eq!((status, &answer), (400, &json!({"error_msg": said})), "{jwt_auth}");
    }
    for refused in [
        json!({"key": "k", "secret": "s", "algorithm": "none"}),
        json!({"key": "k", "secret": "s", "algorithm": "hs256"}),
        json!({"key": "k", "secret": "s", "exp": 0}),
        json!({"key": "k", "secret": "s", "lifetime_grace_period": -1}),
        json!({"key": "k", "secret": "s", "base64_secret": "yes"}),
    ] {
        assert_eq!(put(&refused).0, 400, "{refused}");
    }
    for accepted in [
        json!({"key": "k", "secret": "s", "extra": {"kept": true}, "exp": 1, "lifetime_grace_period": 0}),
        json!({"key": "k", "secret": "$env://S", "base64_secret": true}),
        json!({"key": "k", "secret": "s", "algorithm": "$secret://vault/1/a/b"}),
        json!({"key": "k", "algorithm": "RS256", "public_key": "no key, and no reason to refuse"}),
        json!({"key": "k", "algorithm": "ES256", "public_key": "p", "base64_secret": true}),
    ] {
        let (status, answer) = put(&accepted);
        assert!(matches!(status, 200 | 201), "{accepted}: {status} {answer}");
    }
}

/// spec/jwt-auth §2.2, §7.2: every algorithm, its key in every form.
#[test]
fn every_algorithm_and_form_of_key_works() {
    let bench = Bench::new();
    for (kind, algorithm) in Kind::ALL.iter().flat_map(|kind| kind.algorithms().iter().map(move |by| (*kind, *by))) {
        let fits = match kind {
            Kind::Rsa512 => algorithm == Algorithm::Rs256,
            Kind::Rsa1024 => algorithm != Algorithm::Ps512,
            _ => true,
        };
        let mut forms = vec![kind.public_pem(), kind.private_pem()];
        if let Ok(rsa) = kind.key().rsa() {
            forms.push(text(rsa.public_key_to_pem_pkcs1()));
        }
        for form in forms.iter().filter(|_| fits) {
            bench.credential(json!({"algorithm": algorithm.name(), "public_key": form}));
            let input = input(algorithm, &json!({"key": "k"}));
            let good = format!("{input}.{}", URL_SAFE_NO_PAD.encode(sign(algorithm, kind.key(), input.as_bytes())));
            assert_eq!(bench.ask(&good), 200, "{algorithm:?} {kind:?}\n{form}");
        }
    }
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        for (secret, is_base64, bytes) in
            [("s", false, &b"s"[..]), ("AP8=", true, &[0, 0xff]), ("AP8=", false, b"AP8=")]
        {
            bench.credential(json!({"algorithm": algorithm.name(), "secret": secret, "base64_secret": is_base64}));
            let input = input(algorithm, &json!({"key": "k"}));
            let mac = sign(algorithm, &PKey::hmac(bytes).unwrap(), input.as_bytes());
            assert_eq!(bench.ask(&format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac))), 200, "{algorithm:?} {secret}");
        }
    }
}

/// spec/jwt-auth §6.2, §7.2: what cannot verify refuses, and a reference is never its own secret.
#[test]
fn what_is_not_resolved_or_no_key_lets_nobody_in() {
    let bench = Bench::new();
    for secret in ["$env://RINGGATE_TEST_IS_NOT_SET", "$ENV://RINGGATE_TEST_IS_NOT_SET", "$secret://vault/1/a/b"] {
        bench.credential(json!({"secret": secret}));
        for guess in [secret.as_bytes(), b"\0", b"null"] {
            assert_eq!(bench.ask(&token("k", guess, json!({}))), 401, "{secret}");
        }
    }
    for public_key in ["no key", "", "{}", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] {
        for algorithm in
            [Algorithm::Rs256, Algorithm::Es512, Algorithm::EdDsa].iter().filter(|_| !public_key.is_empty())
        {
            bench.credential(json!({"algorithm": algorithm.name(), "public_key": public_key}));
            let input = input(*algorithm, &json!({"key": "k"}));
            assert_eq!(bench.ask(&format!("{input}.AAAA")), 401, "{public_key}");
        }
    }
    bench.credential(json!({"secret": "s"}));
    assert_eq!(bench.ask(&token("k", b"s", json!({}))), 200);
}

/// spec/jwt-auth §2.2, §7.3: leeway is the credential's, and its `exp` says nothing about tokens shown.
#[test]
fn leeway_is_the_credentials() {
    let bench = Bench::new();
    bench.credential(json!({"secret": "s", "exp": 1}));
    assert_eq!(bench.ask(&token("k", b"s", json!({}))), 200, "no exp in the token");
    let (late, early) = (json!({"exp": now() - 100}), json!({"nbf": now() + 100}));
    for (grace_s, want) in [(0, 401), (50, 401), (200, 200)] {
        bench.credential(json!({"secret": "s", "lifetime_grace_period": grace_s}));
        for claims in [&late, &early] {
            assert_eq!(bench.ask(&token("k", b"s", claims.clone())), want, "{claims} with {grace_s} s");
        }
    }
}

/// A gateway in front of an origin with one route, and one consumer with the key `k`.
struct Bench {
    _origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn new() -> Self {
        let (origin, gateway) = (Origin::start(), Gateway::start());
        let upstream = json!({"nodes": {origin.node(): 1}});
        gateway.put("routes/r", &json!({"uri": "/", "plugins": {"jwt-auth": {}}, "upstream": upstream}));
        Self { _origin: origin, gateway }
    }

    fn credential(&self, mut jwt_auth: Value) {
        jwt_auth["key"] = "k".into();
        self.gateway.put("consumers/jack", &json!({"username": "jack", "plugins": {"jwt-auth": jwt_auth}}));
    }

    /// The status.
    fn ask(&self, token: &str) -> u16 {
        self.gateway.request("GET", "/", &[("Authorization", token)], b"").status
    }
}

fn input(algorithm: Algorithm, claims: &Value) -> String {
    let header = json!({"alg": algorithm.name()}).to_string();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()))
}
