//! Only a token signed with the secret is accepted, and then `serde_json` reads in it what acceptance asks for.
//!
//! Input: a token; also a header up to the first line feed and the claims behind it, which are then signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use ringgate::auth::consumer::{AuthMaterial, Credential, Identity};
use ringgate::auth::jwt::{Algorithm, JwtCredential, Policy, TOKEN_BYTES_MAX, TimeChecks, Workspace, judge};
use serde_json::Value;
use std::sync::Arc;

const NOW: u64 = 1_750_000_000;
const KEY: &str = "jack-key";
const SECRET: &[u8] = b"jack-hs256-secret-that-is-very-long";

pub(crate) fn holds(input: &[u8]) {
    if is_accepted(input) {
        let dot = input.iter().rposition(|byte| *byte == b'.').expect("a token has dots");
        assert_eq!(&input[dot + 1..], sign(&input[..dot], SECRET).as_bytes(), "accepted without the secret");
    }

    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let token = format!("{signed}.{}", sign(signed.as_bytes(), SECRET));
    let forged = format!("{signed}.{}", sign(signed.as_bytes(), b"another secret"));
    assert!(!is_accepted(forged.as_bytes()), "accepted though signed by another");
    if is_accepted(token.as_bytes()) {
        let header: Value = serde_json::from_slice(header).expect("the header is JSON");
        let claims: Value = serde_json::from_slice(claims).expect("the claims are JSON");
        assert!(is_right(&header, &claims), "accepted: {header} {claims}");
        for cut in 1..=8 {
            assert!(!is_accepted(&token.as_bytes()[..token.len() - cut]), "accepted without its last {cut} bytes");
        }
    } else if let (Ok(header), Ok(claims)) = (serde_json::from_slice(header), serde_json::from_slice(claims)) {
        assert!(token.len() > TOKEN_BYTES_MAX || !is_right(&header, &claims), "refused: {header} {claims}");
    }
}

fn is_accepted(token: &[u8]) -> bool {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let material = AuthMaterial::Jwt(JwtCredential::hmac(KEY, Algorithm::Hs256, SECRET, 0));
    let jack = Arc::new(Credential { identity, material, version: 1 });
    let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
    judge(token, &policy, |key| (key == KEY).then_some(&jack), NOW, &mut Workspace::default()).is_ok()
}

/// What a signed token must say to be accepted, times aside when they are not plain numbers.
fn is_right(header: &Value, claims: &Value) -> bool {
    let (Value::Object(header), Value::Object(claims)) = (header, claims) else { return false };
    let time = |name: &str| claims.get(name).map(|time| time.as_f64().unwrap_or(f64::NAN));
    header.get("alg").is_some_and(|algorithm| algorithm == "HS256")
        && !header.contains_key("crit")
        && claims.get("key").is_some_and(|key| key == KEY)
        && time("exp").is_none_or(|expires| expires > NOW as f64)
        && time("nbf").is_none_or(|not_before| not_before < NOW as f64)
}

fn sign(signed: &[u8], secret: &[u8]) -> String {
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::crypto::sign(signed, &key, jsonwebtoken::Algorithm::HS256).expect("any bytes can be signed")
}
