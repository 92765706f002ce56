//! Tokens that others made: the documented APISIX examples and Wycheproof's symmetric JWS vectors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringgate::auth::consumer::{AuthMaterial, Credential, Identity};
use ringgate::auth::jwt::json::Reader;
use ringgate::auth::jwt::token::{Header, Parts};
use ringgate::auth::jwt::{Algorithm, Failure, JwtCredential, Policy, TimeChecks, VerifyError, Workspace, judge};
use serde_json::Value;
use std::sync::Arc;

/// Of jack, in the page that APISIX's users start from.
const JACK: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqYWNrLWtleSIsIm5iZiI6MTcyOTEzMjI3MX0.\
                    UEPXy5jpid624T1XpfjM0PLY73LZPjV3Qt8yZ92kVuU";
const VAULT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqd3QtdmF1bHQta2V5IiwibmJmIjoxNzI5MTMyMjcxfQ.\
                     i2pLj7QcQvnlSjB7iV5V522tIV43boQRtee7L0rwlkQ";
const MANGLED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MjY2NDk2NDAsImtleSI6ImphY2sta2V5In0.\
                       kdhumNWrZFxjU_random_random";
/// Shown there as sample output; its secret is nowhere given.
const ECHOED: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MjY2NDk2NDAsImtleSI6ImphY2sta2V5In0.\
                      kdhumNWrZFxjUvYzWLt4lFr546PNsr9TXuf0Az5opoM";

/// 18 September 2024, before the expiry of the two tokens that have one.
const BEFORE_EXPIRY: u64 = 1_726_600_000;
/// The second after the documented `nbf`.
const AFTER_NBF: u64 = 1_729_132_272;

fn outcome(token: &str, key: &str, secret: &str, unix_s: u64) -> Result<(), Failure> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let material = AuthMaterial::Jwt(JwtCredential::hmac(key, Algorithm::Hs256, secret.as_bytes(), 0));
    let credential = Arc::new(Credential { identity, material, version: 1 });
    let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
    let find = |named: &str| (named == key).then_some(&credential);
    judge(token.as_bytes(), &policy, find, unix_s, &mut Workspace::default())
        .map(|_| ())
        .map_err(|rejection| rejection.failure)
}

#[test]
fn documented_tokens() {
    let jack = "jack-hs256-secret-that-is-very-long";
    assert_eq!(outcome(JACK, "jack-key", jack, AFTER_NBF), Ok(()));
    assert!(outcome(JACK, "jack-key", jack, AFTER_NBF - 1).is_err(), "not before the second after nbf");
    assert_eq!(outcome(VAULT, "jwt-vault-key", "vault-hs256-secret-that-is-very-long", AFTER_NBF), Ok(()));
    // The mangled signature also sets a spare bit, so it is no base64url; clients cannot tell.
    for (token, want) in [(MANGLED, VerifyError::SignatureEncoding), (ECHOED, VerifyError::SignatureMismatch)] {
        let got = outcome(token, "jack-key", jack, BEFORE_EXPIRY).unwrap_err();
        assert_eq!(got, Failure::Verify(want));
        assert_eq!(got.client_message().text(), "failed to verify jwt");
    }
}

#[test]
fn wycheproof() {
    let document: Value = serde_json::from_str(include_str!("data/wycheproof/json_web_signature_oct.json")).unwrap();
    let mut count = 0;
    for group in document["testGroups"].as_array().unwrap() {
        let secret = URL_SAFE_NO_PAD.decode(group["private"]["k"].as_str().unwrap()).unwrap();
        let credential = JwtCredential::hmac("key", Algorithm::Hs256, &secret, 0);
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let got = verifies(test["jws"].as_str().unwrap(), &credential);
            let want = (test["result"] == "valid" && !STRICTER.contains(&id)) || REPEATS_A_VALID_ONE.contains(&id);
            assert_eq!(got, want, "{id}: {}", test["comment"]);
            count += 1;
        }
    }
    assert_eq!(Some(count), document["numberOfTests"].as_u64());
}

/// Valid to a decoder that skips characters foreign to the alphabet; RFC 7515 §2 has none to skip.
const STRICTER: [u64; 2] = [372, 373];

/// Said to be padded wrongly, and equal to the byte to the valid vector 357.
const REPEATS_A_VALID_ONE: [u64; 2] = [367, 370];

/// Whether shape, header and signature hold. Most of these payloads are no claims, so claims are left out; their
/// encoding is not.
fn verifies(token: &str, credential: &JwtCredential) -> bool {
    let (mut header, mut payload, mut signature) = (Vec::new(), Vec::new(), Vec::new());
    let Ok(parts) = Parts::split(token.as_bytes()) else { return false };
    let Ok(header) = Header::read(parts.header, &mut header, &mut Reader::default()) else { return false };
    ringgate::base::base64url::decode_into(parts.payload, &mut payload).is_ok()
        && credential.check_algorithm(header).is_ok()
        && credential.check_signature(&parts, &mut signature).is_ok()
}
