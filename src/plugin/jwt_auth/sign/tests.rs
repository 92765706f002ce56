//! Every row of spec/jwt-auth §9.2. What comes out is judged by another library where it can.

use super::*;
use crate::auth::consumer::{Credential, Identity};
use crate::auth::jwt::{self, Policy, PublicKey, TimeChecks};
use crate::http::request::OwnedRequest;
use crate::plugin;
use crate::plugin::jwt_auth::{Rules, credential};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::json;
use std::sync::Arc;

const NOW: u64 = 1_750_000_000;
const SECRET: &str = "jack-hs256-secret-that-is-very-long";

/// `(private_key, public_key)` of a pair.
macro_rules! pair {
    ($name:literal) => {
        (
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sign/", $name, ".pem")),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sign/", $name, ".pub.pem")),
        )
    };
}

const RSA: (&str, &str) = pair!("rsa");
const RSA_1024: (&str, &str) = pair!("rsa-1024");
const P256: (&str, &str) = pair!("p256");
const P384: (&str, &str) = pair!("p384");
#[cfg(feature = "extra-algorithms")]
const P521: (&str, &str) = pair!("p521");
const ED25519: (&str, &str) = pair!("ed25519");

/// Consumers that have these credentials.
fn consumers(configurations: &[Value], rules: Rules) -> ConsumerTable {
    let mut table = ConsumerTable::default();
    for configuration in configurations {
        let material = credential::build(configuration, plugin::Rules { jwt_auth: rules }).unwrap();
        let identity = Arc::new(Identity {
            username: "jack".into(),
            group_id: None,
            credential_id: None,
            fields: Box::default(),
            plugins: Arc::from([]),
        });
        let key = material.lookup_key().to_owned();
        table.put_credential(NAME, &key, Some(Arc::new(Credential { identity, material, version: 1 })));
    }
    table
}

/// Status, fields and body of what the query is answered with.
fn ask(query: &str, consumers: &ConsumerTable) -> (u16, String, String) {
    let request = OwnedRequest::new("GET", &format!("/apisix/plugin/jwt/sign{query}"));
    let Answer { status, fields, body } = answer(&request.view(), consumers, NOW);
    (status, String::from_utf8(fields.into()).unwrap(), String::from_utf8(body.into()).unwrap())
}

fn token(query: &str, consumers: &ConsumerTable) -> String {
    let (status, fields, body) = ask(query, consumers);
    assert_eq!((status, fields.as_str()), (200, "Content-Type: text/plain; charset=utf-8\r\n"), "{query}: {body}");
    body
}

/// The claims of a token, once the other library has verified it.
fn verified(token: &str, algorithm: jsonwebtoken::Algorithm, key: &DecodingKey) -> Value {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, key, &validation).unwrap_or_else(|error| panic!("{error}: {token}")).claims
}

fn jack(query: &str) -> Value {
    let consumers = consumers(&[json!({"key": "jack-key", "secret": SECRET})], Rules::default());
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    verified(&token(query, &consumers), jsonwebtoken::Algorithm::HS256, &key)
}

fn header(token: &str) -> Value {
    let part = token.split('.').next().unwrap();
    serde_json::from_slice(&base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part).unwrap()).unwrap()
}

#[test]
fn each_refusal_has_its_answer() {
    let all = [
        json!({"key": "jack-key", "secret": SECRET}),
        json!({"key": "no-secret"}),
        json!({"key": "no-private", "algorithm": "RS256", "public_key": RSA.1}),
        json!({"key": "bad-private", "algorithm": "RS256", "public_key": RSA.1, "private_key": "nonsense"}),
        json!({"key": "short-private", "algorithm": "RS256", "public_key": RSA_1024.1, "private_key": RSA_1024.0}),
        json!({"key": "other-private", "algorithm": "ES256", "public_key": P256.1, "private_key": RSA.0}),
        json!({"key": "private-for-hs", "private_key": RSA.0}),
    ];
    let (nobody, all) = (ConsumerTable::default(), consumers(&all, Rules::default()));
    let html = |status| (status, "text/html; charset=utf-8", String::from_utf8(page(status).body.into()).unwrap());
    let failed = (503, "text/plain; charset=utf-8", "failed to sign jwt".to_owned());
    let cases = [
        ("no query", "", &all, html(400)),
        ("no key", "?keys=jack-key&payload={}", &all, html(400)),
        ("no key, and nobody to have one", "", &nobody, html(400)),
        ("nobody has jwt-auth", "?key=jack-key", &nobody, html(404)),
        ("unknown", "?key=jill-key", &all, html(404)),
        ("other case", "?key=Jack-Key", &all, html(404)),
        ("empty", "?key=", &all, html(404)),
        ("bare", "?key", &all, html(404)),
        ("twice", "?key=jack-key&key=jack-key", &all, html(404)),
        ("no text", "?key=%ff", &all, html(404)),
        ("unknown comes before the payload", "?key=jill-key&payload=x", &all, html(404)),
        ("payload empty", "?key=jack-key&payload=", &all, html(400)),
        ("payload bare", "?key=jack-key&payload", &all, html(400)),
        ("payload twice", "?key=jack-key&payload={}&payload={}", &all, html(400)),
        ("payload no JSON", "?key=jack-key&payload=x", &all, html(400)),
        ("payload cut off", "?key=jack-key&payload={%22a%22:1", &all, html(400)),
        ("payload no object", "?key=jack-key&payload=[1]", &all, html(400)),
        ("payload a text of an object", "?key=jack-key&payload=%22{}%22", &all, html(400)),
        ("payload escaped three times", "?key=jack-key&payload=%25257B%25257D", &all, html(400)),
        ("no secret", "?key=no-secret", &all, failed.clone()),
        ("no private key", "?key=no-private", &all, failed.clone()),
        ("unusable private key", "?key=bad-private", &all, failed.clone()),
        ("too short to sign with", "?key=short-private", &all, failed.clone()),
        ("of another algorithm", "?key=other-private", &all, failed.clone()),
        ("a private key is no secret", "?key=private-for-hs", &all, failed.clone()),
        ("no key comes before the payload", "?key=no-secret&payload=x", &all, failed),
    ];
    for (name, query, consumers, (status, content_type, body)) in cases {
        let want = (status, format!("Content-Type: {content_type}\r\n"), body);
        assert_eq!(ask(query, consumers), want, "{name}");
    }
    assert_eq!(Refusal::NotSigned.answer(), text(500, "failed to sign jwt"));
}

#[test]
fn claims_are_the_payloads_but_for_key_and_exp() {
    let exp = NOW + 86_400;
    let cases = [
        ("none", "?key=jack-key", json!({"key": "jack-key", "exp": exp})),
        ("empty", "?payload={}&key=jack%2Dkey", json!({"key": "jack-key", "exp": exp})),
        (
            "some",
            "?key=jack-key&payload=%7B%22role%22%3A%22a%20b%22%2C%22deep%22%3A%5B1%5D%7D",
            json!({"role": "a b", "deep": [1], "key": "jack-key", "exp": exp}),
        ),
        (
            "escaped twice",
            "?key=jack-key&payload=%257B%2522role%2522%253A%2522reader%2522%257D",
            json!({"role": "reader", "key": "jack-key", "exp": exp}),
        ),
        (
            "escaped once, and holding what looks like an escape",
            "?key=jack-key&payload=%7B%22a%22%3A%22100%2525%2B%22%7D",
            json!({"a": "100%25+", "key": "jack-key", "exp": exp}),
        ),
        (
            "nobody chooses key and exp",
            "?key=jack-key&payload=%7B%22key%22%3A%22jill-key%22%2C%22exp%22%3A9999999999%2C%22nbf%22%3A1%7D",
            json!({"key": "jack-key", "exp": exp, "nbf": 1}),
        ),
        (
            "not by saying it twice either",
            "?key=jack-key&payload=%7B%22exp%22%3A1%2C%22exp%22%3A2%2C%22key%22%3A1%2C%22key%22%3A2%7D",
            json!({"key": "jack-key", "exp": exp}),
        ),
    ];
    for (name, query, want) in cases {
        assert_eq!(jack(query), want, "{name}");
    }
}

#[test]
fn the_credential_chooses_lifetime_and_claim_name() {
    let all = consumers(
        &[json!({"key": "jack-key", "secret": SECRET, "exp": 60.0, "key_claim_name": "iss"})],
        Rules::default(),
    );
    let token = token("?key=jack-key&payload=%7B%22iss%22%3A%22jill%22%7D", &all);
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let claims = verified(&token, jsonwebtoken::Algorithm::HS256, &key);
    assert_eq!(claims, json!({"iss": "jack-key", "exp": NOW + 60}));
}

#[test]
fn every_algorithm_signs_what_another_library_verifies() {
    use jsonwebtoken::Algorithm as Oracle;
    let rsa = || DecodingKey::from_rsa_pem(RSA.1.as_bytes()).unwrap();
    let ec = |public: &str| DecodingKey::from_ec_pem(public.as_bytes()).unwrap();
    let hmac = |secret: &str| DecodingKey::from_secret(secret.as_bytes());
    let cases = [
        (json!({"algorithm": "HS256", "secret": SECRET}), Oracle::HS256, hmac(SECRET)),
        (json!({"algorithm": "HS384", "secret": SECRET}), Oracle::HS384, hmac(SECRET)),
        (json!({"algorithm": "HS512", "secret": "amFjaw==", "base64_secret": true}), Oracle::HS512, hmac("jack")),
        (json!({"algorithm": "RS256", "public_key": RSA.1, "private_key": RSA.0}), Oracle::RS256, rsa()),
        (json!({"algorithm": "RS384", "public_key": RSA.1, "private_key": RSA.0}), Oracle::RS384, rsa()),
        (json!({"algorithm": "RS512", "public_key": RSA.1, "private_key": RSA.0}), Oracle::RS512, rsa()),
        (json!({"algorithm": "PS256", "public_key": RSA.1, "private_key": RSA.0}), Oracle::PS256, rsa()),
        (json!({"algorithm": "PS384", "public_key": RSA.1, "private_key": RSA.0}), Oracle::PS384, rsa()),
        (json!({"algorithm": "PS512", "public_key": RSA.1, "private_key": RSA.0}), Oracle::PS512, rsa()),
        (json!({"algorithm": "ES256", "public_key": P256.1, "private_key": P256.0}), Oracle::ES256, ec(P256.1)),
        (json!({"algorithm": "ES384", "public_key": P384.1, "private_key": P384.0}), Oracle::ES384, ec(P384.1)),
        (
            json!({"algorithm": "EdDSA", "public_key": ED25519.1, "private_key": ED25519.0}),
            Oracle::EdDSA,
            DecodingKey::from_ed_pem(ED25519.1.as_bytes()).unwrap(),
        ),
    ];
    for (mut configuration, algorithm, key) in cases {
        configuration["key"] = json!("k");
        let consumers = consumers(&[configuration.clone()], Rules::default());
        let token = token("?key=k&payload={%22a%22:1}", &consumers);
        let name = configuration["algorithm"].as_str().unwrap();
        assert_eq!(verified(&token, algorithm, &key), json!({"a": 1, "key": "k", "exp": NOW + 86_400}), "{name}");
        assert_eq!(header(&token), json!({"typ": "JWT", "alg": name}), "{name}");
        assert!(is_own(&token, &consumers), "{name}");
    }
}

/// Whether the gateway itself takes the token.
fn is_own(token: &str, consumers: &ConsumerTable) -> bool {
    let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
    let find = |key: &str| consumers.credential(NAME, key);
    jwt::judge(token.as_bytes(), &policy, find, NOW, &mut jwt::Workspace::default()).is_ok()
}

#[cfg(feature = "extra-algorithms")]
#[test]
fn es512_signs_what_the_gateway_verifies() {
    let configuration = json!({"key": "k", "algorithm": "ES512", "public_key": P521.1, "private_key": P521.0});
    let consumers = consumers(&[configuration], Rules::default());
    let token = token("?key=k", &consumers);
    assert_eq!(header(&token), json!({"typ": "JWT", "alg": "ES512"}));
    assert!(is_own(&token, &consumers));
    let (head, _) = token.rsplit_once('.').unwrap();
    assert!(!is_own(&format!("{head}.{}", "A".repeat(176)), &consumers));
}

/// ring takes no other salt than one as long as the hash, so it says how long it is.
#[test]
fn the_salt_is_as_long_as_the_hash() {
    use ring::signature::{RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents};
    let Ok(PublicKey::Rsa(public)) = PublicKey::parse(RSA.1) else { panic!("no RSA key") };
    let components = RsaPublicKeyComponents { n: &public.modulus, e: &public.exponent };
    for (name, parameters) in [("PS256", &RSA_PSS_2048_8192_SHA256), ("PS512", &RSA_PSS_2048_8192_SHA512)] {
        let configuration = json!({"key": "k", "algorithm": name, "public_key": RSA.1, "private_key": RSA.0});
        let token = token("?key=k", &consumers(&[configuration], Rules::default()));
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
        assert!(components.verify(parameters, message.as_bytes(), &signature).is_ok(), "{name}");
    }
}

#[test]
fn the_public_key_is_shown_where_it_is_asked_for() {
    let on = Rules { sign_x5c: true, ..Rules::default() };
    let pairs = [("RS256", RSA), ("RS512", RSA), ("ES256", P256), ("PS256", RSA), ("EdDSA", ED25519)];
    for (name, (private, public)) in pairs {
        let configuration = [json!({"key": "k", "algorithm": name, "public_key": public, "private_key": private})];
        let plain = json!({"typ": "JWT", "alg": name});
        let shown = json!({"typ": "JWT", "alg": name, "x5c": [public]});
        let want = if name.starts_with("RS") || name.starts_with("ES") { &shown } else { &plain };
        assert_eq!(header(&token("?key=k", &consumers(&configuration, Rules::default()))), plain, "{name}");
        let consumers = consumers(&configuration, on);
        let token = token("?key=k", &consumers);
        assert_eq!(header(&token), *want, "{name}");
        assert!(is_own(&token, &consumers), "{name}: no key is ever taken from the token");
    }
    let secret = [json!({"key": "k", "secret": SECRET, "public_key": RSA.1})];
    assert_eq!(header(&token("?key=k", &consumers(&secret, on))), json!({"typ": "JWT", "alg": "HS256"}));
}
