use super::*;
use crate::auth::jwt::{Algorithm, VerifyingKey};
use serde_json::json;

fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64_simd::URL_SAFE_NO_PAD.decode_to_vec(payload).unwrap()).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => panic!("no object: {value}"),
    }
}

fn jack() -> JwtCredential {
    JwtCredential::hmac("jack-key", Algorithm::Hs256, b"secret", 0)
}

#[test]
fn what_the_defaults_say_is_not_kept() {
    assert!(jack().with_issuer(Issuer::default()).issuer().is_none());
    let kept = [
        Issuer { lifetime_s: 60, ..Issuer::default() },
        Issuer { claim_name: "iss".into(), ..Issuer::default() },
        Issuer { x5c: Some("text".into()), ..Issuer::default() },
        Issuer { key: Err(KeyFault::NotPem), ..Issuer::default() },
    ];
    for issuer in kept {
        let shown = format!("{issuer:?}");
        assert!(jack().with_issuer(issuer).issuer().is_some(), "{shown}");
    }
    assert_eq!(size_of::<Option<Box<Issuer>>>(), size_of::<usize>(), "what an ordinary credential pays");
}

#[test]
fn the_credential_says_whose_a_token_is_and_until_when() {
    let hostile = object(json!({"key": "jill-key", "iss": "jill-key", "exp": 1, "role": "reader"}));
    let cases = [
        (
            "defaults",
            Issuer::default(),
            json!({"key": "jack-key", "iss": "jill-key", "exp": 1000 + 86_400, "role": "reader"}),
        ),
        (
            "its own",
            Issuer { lifetime_s: 60, claim_name: "iss".into(), ..Issuer::default() },
            json!({"key": "jill-key", "iss": "jack-key", "exp": 1060, "role": "reader"}),
        ),
        (
            "a claim name that cannot work",
            Issuer { claim_name: "exp".into(), ..Issuer::default() },
            json!({"key": "jill-key", "iss": "jill-key", "exp": 1000 + 86_400, "role": "reader"}),
        ),
        (
            "for ever",
            Issuer { lifetime_s: u64::MAX, ..Issuer::default() },
            json!({"key": "jack-key", "iss": "jill-key", "exp": u64::MAX, "role": "reader"}),
        ),
    ];
    for (name, issuer, want) in cases {
        let token = jack().with_issuer(issuer).issue(hostile.clone(), 1000).unwrap();
        assert_eq!(claims_of(&token), want, "{name}");
    }
}

#[test]
fn without_a_key_there_is_no_token() {
    let none = JwtCredential::new("jack-key", Algorithm::Hs256, Err(KeyFault::SecretMissing), 0);
    assert!(!none.can_issue() && none.signing_fault().is_none());
    assert_eq!(none.issue(Map::new(), 0), Err(IssueError::NoKey));
    let unusable = none.with_issuer(Issuer { key: Err(KeyFault::NotPem), ..Issuer::default() });
    assert!(!unusable.can_issue());
    assert_eq!(unusable.signing_fault(), Some(KeyFault::NotPem));
    assert_eq!(unusable.issue(Map::new(), 0), Err(IssueError::NoKey));
}

#[test]
fn a_key_to_sign_with_is_enough() {
    let key = SigningKey::hmac(Algorithm::Hs256, b"other").unwrap();
    let issuer = Issuer { key: Ok(Some(key)), ..Issuer::default() };
    let credential = JwtCredential::new("k", Algorithm::Es256, Err(KeyFault::NotPem), 0).with_issuer(issuer);
    assert!(credential.can_issue() && credential.signing_fault().is_none());
    assert!(credential.issue(Map::new(), 0).is_ok());
}

#[test]
fn debug_shows_no_key() {
    let key = SigningKey::hmac(Algorithm::Hs256, b"very-secret").unwrap();
    let verifying = VerifyingKey::hmac(Algorithm::Hs256, b"very-secret");
    let credential = JwtCredential::new("k", Algorithm::Hs256, verifying, 0);
    let credential = credential.with_issuer(Issuer { key: Ok(Some(key)), ..Issuer::default() });
    let shown = format!("{credential:?}");
    assert!(!shown.contains("very-secret") && !shown.contains("118, 101, 114, 121"), "{shown}");
}
