//! Tokens that others made: the documented APISIX examples (spec/jwt-auth §10), the signed examples of the RFCs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringgate::auth::consumer::{AuthMaterial, Credential, Identity};
use ringgate::auth::jwt::json::Reader;
use ringgate::auth::jwt::token::{Header, Parts};
use ringgate::auth::jwt::{
    Algorithm, Failure, JwtCredential, Policy, PublicKey, TimeChecks, VerifyError, VerifyingKey, Workspace, judge,
};
use serde_json::Value;
use std::sync::Arc;

/// Of jack, in the page that APISIX's users start from.
const JACK: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqYWNrLWtleSIsIm5iZiI6MTcyOTEzMjI3MX0.\
                    UEPXy5jpid624T1XpfjM0PLY73LZPjV3Qt8yZ92kVuU";
const VAULT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqd3QtdmF1bHQta2V5IiwibmJmIjoxNzI5MTMyMjcxfQ.\
                     i2pLj7QcQvnlSjB7iV5V522tIV43boQRtee7L0rwlkQ";
const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqYWNrLWtleSIsIm5iZiI6MTcyOTEzMjI3MX0.\
                     K-I13em84kAcyH1jfIJl7ls_4jlwg1GzEzo5_xrDu-3wt3Xa3irS6naUsWpxX-a-hmcZZxRa9zqunqQjUP4kvn5e3xg2f_KyCR-_ZbwqYEPk3b\
                     XeFV1l4iypv6z5L7W1Niharun-dpMU03b1Tz64vhFx6UwxNL5UIZ7bunDAo_BXZ7Xe8rFhNHvIHyBFsDEXIBgx8lNYMq8QJk3iKxZhZZ5Om7lg\
                     YjOOKRgew4WkhBAY0v1AkO77nTlvSK0OEeeiwhkROyntggyx-S-U222ykMQ6mBLxkP4Cq5qHwXD8AUcLk5mhEij-3QhboYnt7yhKeZ3wDSpcjD\
                     vvL2aasC25ng";
/// What the page gives the consumer of that token as `public_key`.
const RS256_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
                         MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoTxe7ZPycrEP0SK4OBA2\n\
                         0OUQsDN9gSFSHVvx/t++nZNrFxzZnV6q6/TRsihNXUIgwaOu5icFlIcxPL9Mf9UJ\n\
                         a5/XCQExp1TxpuSmjkhIFAJ/x5zXrC8SGTztP3SjkhYnQO9PKVXI6ljwgakVCfpl\n\
                         umuTYqI+ev7e45NdK8gJoJxPp8bPMdf8/nHfLXZuqhO/btrDg1x+j7frDNrEw+6B\n\
                         CK2SsuypmYN+LwHfaH4Of7MQFk3LNIxyBz0mdbsKJBzp360rbWnQeauWtDymZxLT\n\
                         ATRNBVyl3nCNsURRTkc7eyknLaDt2N5xTIoUGHTUFYSdE68QWmukYMVGcEHEEPkp\n\
                         aQIDAQAB\n\
                         -----END PUBLIC KEY-----";
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
    judged(token, JwtCredential::hmac(key, Algorithm::Hs256, secret.as_bytes(), 0), unix_s)
}

fn judged(token: &str, jwt: JwtCredential, unix_s: u64) -> Result<(), Failure> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let key = jwt.lookup_key().to_owned();
    let credential = Arc::new(Credential { identity, material: AuthMaterial::Jwt(jwt), version: 1 });
    let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
    let find = |named: &str| (named == key).then_some(&credential);
    judge(token.as_bytes(), &policy, find, unix_s, &mut Workspace::default())
        .map(|_| ())
        .map_err(|rejection| rejection.failure)
}

#[test]
fn the_documented_rs256_token() {
    let credential = || {
        let key = PublicKey::parse(RS256_KEY).and_then(|key| VerifyingKey::public(Algorithm::Rs256, key));
        JwtCredential::new("jack-key", Algorithm::Rs256, key, 0)
    };
    assert_eq!(judged(RS256, credential(), AFTER_NBF), Ok(()));
    let altered = RS256.replace("K-I13", "K-I14");
    assert_eq!(judged(&altered, credential(), AFTER_NBF), Err(Failure::Verify(VerifyError::SignatureMismatch)));
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

/// Most of these payloads are no claims, so the claims are left out.
#[test]
fn examples_of_the_rfcs() {
    let examples: Vec<Value> = serde_json::from_str(include_str!("data/rfc/examples.json")).unwrap();
    assert_eq!(examples.len(), 9);
    for example in &examples {
        let source = &example["source"];
        let named = Algorithm::from_name(example["algorithm"].as_str().unwrap()).unwrap();
        let token = example["token"].as_str().unwrap();
        for algorithm in Algorithm::ALL {
            let credential = JwtCredential::new("key", algorithm, key(algorithm, &example["key"]), 0);
            assert_eq!(proves(token, &credential), algorithm == named, "{source} by {}", algorithm.name());
        }
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let credential = JwtCredential::new("key", named, key(named, &example["key"]), 0);
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let near = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
            assert!(!proves(&near, &credential), "{source}: byte {at} of the signature");
            bytes[at] ^= 1;
        }
    }
}

fn key(algorithm: Algorithm, jwk: &Value) -> Result<VerifyingKey, ringgate::auth::jwt::KeyFault> {
    match jwk["k"].as_str() {
        Some(secret) => VerifyingKey::hmac(algorithm, &URL_SAFE_NO_PAD.decode(secret).unwrap()),
        None => VerifyingKey::public(algorithm, PublicKey::parse(&jwk.to_string())?),
    }
}

/// Whether shape, header and signature hold.
fn proves(token: &str, credential: &JwtCredential) -> bool {
    let (mut header, mut signature) = (Vec::new(), Vec::new());
    let parts = Parts::split(token.as_bytes()).unwrap();
    let header = Header::read(parts.header, &mut header, &mut Reader::default()).unwrap();
    credential.check_algorithm(header).is_ok() && credential.check_signature(&parts, &mut signature).is_ok()
}
