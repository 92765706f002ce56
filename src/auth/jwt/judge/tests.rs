use super::*;
use crate::auth::consumer::Identity;
use crate::auth::jwt::{JwtCredential, Step};
use jsonwebtoken::{EncodingKey, Header as OracleHeader};
use proptest::prelude::*;

const NOW: u64 = 1_750_000_000;
const SECRET: &[u8] = b"jack-hs256-secret-that-is-very-long";

fn credential(key: &str, algorithm: Algorithm, secret: &[u8]) -> Arc<Credential> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let material = AuthMaterial::Jwt(JwtCredential::hmac(key, algorithm, secret, 0));
    Arc::new(Credential { identity, material, version: 1 })
}

fn policy() -> Policy {
    Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT }
}

fn outcome(token: &[u8], credential: &Arc<Credential>) -> Result<(), Failure> {
    let AuthMaterial::Jwt(jwt) = &credential.material;
    let find = |key: &str| (key == jwt.lookup_key()).then_some(credential);
    judge(token, &policy(), find, NOW, &mut Workspace::default()).map(|_| ()).map_err(|rejection| rejection.failure)
}

fn oracle(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
        _ => unreachable!("signs with secrets alone"),
    }
}

fn sign(claims: &serde_json::Value, algorithm: Algorithm, secret: &[u8]) -> String {
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&OracleHeader::new(oracle(algorithm)), claims, &key).unwrap()
}

#[test]
fn each_step_fails_in_its_turn() {
    let jack = credential("jack-key", Algorithm::Hs256, SECRET);
    let claims = |json| sign(&json, Algorithm::Hs256, SECRET);
    let good = claims(serde_json::json!({"key": "jack-key"}));
    let expired = claims(serde_json::json!({"key": "jack-key", "exp": NOW}));
    let (head, _) = good.rsplit_once('.').unwrap();
    let cases = [
        (good.clone(), None),
        (String::new(), Some(Step::Parse)),
        (format!("{head}."), Some(Step::Parse)),
        (format!("{good}."), Some(Step::Parse)),
        (claims(serde_json::json!({"exp": 1})), Some(Step::LookUp)),
        (claims(serde_json::json!({"key": "jill-key"})), Some(Step::LookUp)),
        (sign(&serde_json::json!({"key": "jack-key", "exp": 1}), Algorithm::Hs384, SECRET), Some(Step::Algorithm)),
        (sign(&serde_json::json!({"key": "jack-key", "exp": 1}), Algorithm::Hs256, b"other"), Some(Step::Signature)),
        (format!("{head}.@@@@"), Some(Step::Signature)),
        (expired, Some(Step::Times)),
    ];
    for (token, want) in cases {
        let got = outcome(token.as_bytes(), &jack);
        assert_eq!(got.err().map(Failure::step), want, "{token}: {got:?}");
    }
}

#[test]
fn a_rejection_names_the_credential_once_it_is_known() {
    let jack = credential("jack-key", Algorithm::Hs256, SECRET);
    let token = sign(&serde_json::json!({"key": "jack-key"}), Algorithm::Hs256, b"other");
    let mut workspace = Workspace::default();
    let rejection = judge(token.as_bytes(), &policy(), |_| Some(&jack), NOW, &mut workspace).unwrap_err();
    assert!(rejection.credential.is_some_and(|found| Arc::ptr_eq(found, &jack)));
    let rejection = judge(token.as_bytes(), &policy(), |_| None, NOW, &mut workspace).unwrap_err();
    assert!(rejection.credential.is_none());
}

#[test]
fn debug_of_buffers_shows_no_token() {
    let mut scratch = Scratch::default();
    let jack = credential("jack-key", Algorithm::Hs256, SECRET);
    let token = sign(&serde_json::json!({"key": "jack-key"}), Algorithm::Hs256, SECRET);
    let _ = judge(token.as_bytes(), &policy(), |_| Some(&jack), NOW, &mut scratch.judging.workspace);
    assert_eq!(format!("{scratch:?} {:?}", scratch.judging.workspace), "Scratch { .. } Workspace { .. }");
}

fn any_claims() -> impl Strategy<Value = serde_json::Map<String, serde_json::Value>> {
    let scalar = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(serde_json::Value::from),
    ];
    // Names of two letters and more cannot be `exp`, `nbf` or `key`, which the test sets itself.
    proptest::collection::btree_map("[a-z]{4,8}", scalar, 0..6).prop_map(|claims| claims.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What another library signs verifies, and the token with any one bit flipped does not.
    #[test]
    fn what_the_oracle_signs_verifies_and_nothing_near_it(
        mut claims in any_claims(),
        key in any::<String>(),
        secret in proptest::collection::vec(any::<u8>(), 1..200),
        algorithm in proptest::sample::select(vec![Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]),
        lifetime in 1_u64..100_000,
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..8), 16),
    ) {
        claims.insert("key".into(), key.clone().into());
        claims.insert("exp".into(), (NOW + lifetime).into());
        claims.insert("nbf".into(), (NOW - lifetime).into());
        let credential = credential(&key, algorithm, &secret);
        let token = sign(&claims.into(), algorithm, &secret);
        prop_assert_eq!(outcome(token.as_bytes(), &credential), Ok(()));
        for (place, bit) in flips {
            let mut near = token.clone().into_bytes();
            let place = place.index(near.len());
            near[place] ^= 1 << bit;
            prop_assert!(outcome(&near, &credential).is_err(), "bit {} of byte {}", bit, place);
        }
    }

    /// Random bytes, and random bytes in the places of the parts, never verify and never panic.
    #[test]
    fn never_panics(
        token in proptest::collection::vec(any::<u8>(), 0..200),
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 3),
    ) {
        use base64::Engine as _;
        let jack = credential("jack-key", Algorithm::Hs256, SECRET);
        prop_assert!(outcome(&token, &jack).is_err());
        let encoded: Vec<String> =
            parts.iter().map(|part| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part)).collect();
        prop_assert!(outcome(encoded.join(".").as_bytes(), &jack).is_err());
    }
}

#[test]
fn every_single_bit_of_a_token_matters() {
    let jack = credential("jack-key", Algorithm::Hs256, SECRET);
    let token = sign(&serde_json::json!({"key": "jack-key"}), Algorithm::Hs256, SECRET).into_bytes();
    assert_eq!(outcome(&token, &jack), Ok(()));
    for place in 0..token.len() {
        for bit in 0..8 {
            let mut near = token.clone();
            near[place] ^= 1 << bit;
            assert!(outcome(&near, &jack).is_err(), "bit {bit} of byte {place}");
        }
    }
}

/// spec/jwt-auth §6.3: with `strict_credential_claim` a credential is found by its own claim only.
#[test]
fn a_credential_may_insist_on_its_own_claim() {
    use crate::auth::jwt::Issuer;
    let by_key = credential("jack-key", Algorithm::Hs256, SECRET);
    let issuer = Issuer { claim_name: "iss".into(), ..Issuer::default() };
    let jwt = JwtCredential::hmac("jack-key", Algorithm::Hs256, SECRET, 0).with_issuer(issuer);
    let identity = Arc::clone(&by_key.identity);
    let by_iss = Arc::new(Credential { identity, material: AuthMaterial::Jwt(jwt), version: 2 });
    let token = sign(&serde_json::json!({"key": "jack-key", "iss": "jack-key"}), Algorithm::Hs256, SECRET);
    let strict = Settings { strict_credential_claim: true, ..Settings::default() };
    for (credential, settings, claim, want) in [
        (&by_key, Settings::default(), "iss", true),
        (&by_key, strict, "iss", false),
        (&by_key, strict, "key", true),
        (&by_iss, strict, "iss", true),
        (&by_iss, strict, "key", false),
    ] {
        let policy = Policy { key_claim_name: claim.into(), ..policy() };
        let mut workspace = Workspace::new(&settings);
        let judged = judge(token.as_bytes(), &policy, |_| Some(credential), NOW, &mut workspace);
        let failure = judged.err().map(|rejection| rejection.failure);
        assert_eq!(failure, (!want).then_some(Failure::Key(KeyError::OtherClaim)), "{claim}, strict {settings:?}");
    }
}

/// The header of the last token is remembered by its bytes; nothing of it reaches a token that begins otherwise.
#[test]
fn headers_are_read_once_and_never_mixed_up() {
    let jack = credential("jack-key", Algorithm::Hs256, SECRET);
    let good = sign(&serde_json::json!({"key": "jack-key"}), Algorithm::Hs256, SECRET);
    let (_, rest) = good.split_once('.').unwrap();
    let other = sign(&serde_json::json!({"key": "jack-key"}), Algorithm::Hs384, SECRET);
    let critical = format!("eyJhbGciOiJIUzI1NiIsImNyaXQiOltdfQ.{rest}");
    let none = format!("eyJhbGciOiJub25lIn0.{rest}");
    let mut workspace = Workspace::default();
    let mut step = |token: &str| {
        let judged = judge(token.as_bytes(), &policy(), |_| Some(&jack), NOW, &mut workspace);
        judged.err().map(|rejection| rejection.failure.step())
    };
    for _ in 0..2 {
        assert_eq!(step(&good), None);
        assert_eq!(step(&other), Some(Step::Algorithm));
        assert_eq!(step(&good), None);
        assert_eq!(step(&critical), Some(Step::Parse));
        assert_eq!(step(&none), Some(Step::Algorithm));
        assert_eq!(step(&none), Some(Step::Algorithm));
        assert_eq!(step(&format!("{}x", &good[..8])), Some(Step::Parse));
    }
}
