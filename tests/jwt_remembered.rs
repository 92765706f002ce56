//! Verified tokens that are remembered, forged ones that are braked, and what operators see of both
//! (spec/jwt-auth §7, §8.1, §11).
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use support::client::Response;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::token::{now, signed};

const RSA: &str = include_str!("data/keys/rsa-2048.pem");
const P256: &str = include_str!("data/keys/p-256.pem");
const ED25519: &str = include_str!("data/keys/ed25519.pem");

#[test]
fn a_token_is_verified_once_and_dead_when_its_credential_is() {
    let bench = Bench::new(&Setup { workers: 1, ..Setup::default() });
    for (name, algorithm, pem) in KEYS {
        let before = bench.hits_and_misses();
        bench.credential("c1", name, pem);
        let token = sign(algorithm, pem, &json!({"key": "jack-key", "exp": now() + 60}));
        for _ in 0..5 {
            assert_eq!(bench.ask(&token).status, 200, "{name}");
        }
        let after = bench.hits_and_misses();
        assert_eq!((after.0 - before.0, after.1 - before.1), (4.0, 1.0), "{name}");
        bench.gateway.admin("DELETE", "consumers/jack/credentials/c1", &Value::Null);
        refused(name, &bench.ask(&token), "Invalid user key in JWT token");
    }
}

#[test]
fn a_remembered_token_does_not_outlive_its_key_its_expiry_or_its_consumer() {
    let bench = Bench::new(&Setup { workers: 1, ..Setup::default() });
    bench.credential("c1", "ES256", P256);
    let token = sign(Algorithm::ES256, P256, &json!({"key": "jack-key"}));
    assert_eq!(bench.ask(&token).status, 200);
    bench.credential("c1", "RS256", RSA);
    refused("another algorithm", &bench.ask(&token), "failed to verify jwt");
    bench.credential("c1", "ES256", P256);
    assert_eq!(bench.ask(&token).status, 200, "the key is back");
    bench.gateway.admin("DELETE", "consumers/jack", &Value::Null);
    refused("no consumer", &bench.ask(&token), "Invalid user key in JWT token");

    bench.gateway.put("consumers/jack", &json!({"username": "jack"}));
    bench.credential("c1", "ES256", P256);
    let short = sign(Algorithm::ES256, P256, &json!({"key": "jack-key", "exp": now() + 3}));
    let mut accepted = 0;
    support::wait_for("the token to expire", || {
        let answer = bench.ask(&short);
        accepted += u32::from(answer.status == 200);
        (answer.status == 401).then_some(())
    });
    assert!(accepted > 1, "{accepted}");
}

#[test]
fn who_forges_is_told_to_wait_and_known_tokens_pass() {
    let top = "ringgate:\n  jwt:\n    failed_verifications_per_s: 1\n    failed_verifications_burst: 5\n";
    let bench = Bench::new(&Setup { workers: 1, top, ..Setup::default() });
    bench.credential("c1", "ES256", P256);
    let known = sign(Algorithm::ES256, P256, &json!({"key": "jack-key"}));
    assert_eq!(bench.ask(&known).status, 200);
    let (head, signature) = known.rsplit_once('.').unwrap();
    let forged = |index: usize| {
        let mut signature = signature.as_bytes().to_vec();
        signature[index] = if signature[index] == b'A' { b'B' } else { b'A' };
        format!("{head}.{}", String::from_utf8(signature).unwrap())
    };
    for index in 0..5 {
        refused("forged", &bench.ask(&forged(index)), "failed to verify jwt");
    }
    let answer = support::wait_for("the brake", || Some(bench.ask(&forged(7))).filter(|answer| answer.status == 429));
    assert_eq!(answer.text(), "{\"message\":\"too many failed verifications\"}\n");
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(bench.ask(&known).status, 200);
    assert!(bench.gateway.metric("ringgate_jwt_auth_refusals_total{reason=\"throttled\"}") >= 1.0);
    assert!(bench.gateway.metric("ringgate_jwt_auth_refusals_total{reason=\"signature\"}") >= 5.0);
}

#[test]
fn a_refusal_leaves_a_line_that_says_why_and_gives_nothing_away() {
    let bench = Bench::new(&Setup { workers: 1, log_level: "info", ..Setup::default() });
    bench.credential("c1", "EdDSA", ED25519);
    let expired = sign(Algorithm::EdDSA, ED25519, &json!({"key": "jack-key", "exp": 1_000_000_000}));
    refused("expired", &bench.ask(&expired), "failed to verify jwt");
    refused("no token", &bench.gateway.request("GET", "/r", &[], b""), "Missing JWT token in request");
    let output = support::wait_for("both lines", || {
        let output = bench.gateway.output();
        output.contains("reason=\"absent\"").then_some(output)
    });
    let line = output.lines().find(|line| line.contains("reason=\"exp\"")).unwrap();
    for part in
        ["jwt-auth", "route=\"r\"", "consumer=\"jack\"", "credential=\"c1\"", "09 Sep 2001 01:46:40 GMT", "now="]
    {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let signature = expired.rsplit('.').next().unwrap();
    assert!(!output.contains(signature) && !output.contains(&expired[..40]), "{output}");
    for (reason, want) in [("exp", 1.0), ("absent", 1.0), ("signature", 0.0)] {
        let series = format!("ringgate_jwt_auth_refusals_total{{reason=\"{reason}\"}}");
        assert!((bench.gateway.metric(&series) - want).abs() < f64::EPSILON, "{series}");
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_at_load_and_refused_like_any_failure() {
    let bench = Bench::new(&Setup::default());
    bench.credential("c1", "RS256", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    let token = sign(Algorithm::RS256, RSA, &json!({"key": "jack-key"}));
    refused("no key", &bench.ask(&token), "failed to verify jwt");
    let output = bench.gateway.output();
    let line = output.lines().find(|line| line.contains("no token can be verified")).expect(&output);
    assert!(line.contains("consumers/jack/credentials/c1"), "{line}");
    assert!(!line.contains("AAAA"), "{line}");
}

/// A gateway with jack and the route `r` for `/r`.
struct Bench {
    _origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn new(setup: &Setup) -> Self {
        let (origin, gateway) = (Origin::start(), Gateway::with(setup));
        gateway.put("consumers/jack", &json!({"username": "jack"}));
        let upstream = json!({"nodes": {origin.node(): 1}});
        gateway.put("routes/r", &json!({"uri": "/r", "plugins": {"jwt-auth": {}}, "upstream": upstream}));
        Self { _origin: origin, gateway }
    }

    /// Of a private key the public half is used.
    fn credential(&self, id: &str, algorithm: &str, pem: &str) {
        let jwt_auth = json!({"key": "jack-key", "algorithm": algorithm, "public_key": pem});
        self.gateway.put(&format!("consumers/jack/credentials/{id}"), &json!({"plugins": {"jwt-auth": jwt_auth}}));
    }

    fn ask(&self, token: &str) -> Response {
        self.gateway.request("GET", "/r", &[("Authorization", token)], b"")
    }

    fn hits_and_misses(&self) -> (f64, f64) {
        let count = |name: &str| self.gateway.metric(&format!("ringgate_jwt_auth_token_cache_{name}_total"));
        (count("hits"), count("misses"))
    }
}

fn sign(algorithm: Algorithm, pem: &str, claims: &Value) -> String {
    let pem = pem.as_bytes();
    let key = match algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem),
        _ => EncodingKey::from_rsa_pem(pem),
    };
    signed(algorithm, &key.unwrap(), claims)
}

#[track_caller]
fn refused(name: &str, answer: &Response, message: &str) {
    assert_eq!((answer.status, answer.text()), (401, json!({"message": message}).to_string() + "\n"), "{name}");
}

const KEYS: [(&str, Algorithm, &str); 4] = [
    ("RS256", Algorithm::RS256, RSA),
    ("PS256", Algorithm::PS256, RSA),
    ("ES256", Algorithm::ES256, P256),
    ("EdDSA", Algorithm::EdDSA, ED25519),
];
