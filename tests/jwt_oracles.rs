//! What two other libraries sign verifies and what is signed here verifies with them, for all thirteen algorithms and
//! keys of every kind and length; nothing near it does (spec/jwt-auth §7.1, §7.2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

#[path = "support/keys.rs"]
mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keys::{Kind, Salt, coordinate_bytes, sign, sign_salted, to_der};
use openssl::pkey::{Id, PKey};
use proptest::prelude::*;
use ringgate::auth::consumer::{AuthMaterial, Credential, Identity};
use ringgate::auth::jwt::key::{PrivateKey, RsaPublicKey};
use ringgate::auth::jwt::{
    Algorithm, Failure, JwtCredential, KeyFault, Policy, PublicKey, SigningKey, TimeChecks, VerifyingKey, Workspace,
    judge,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Every pair of an algorithm and a kind of key that can sign by it with a salt as long as the hash.
fn pairs() -> Vec<(Algorithm, Kind)> {
    let all = Kind::ALL.iter().flat_map(|kind| kind.algorithms().iter().map(move |algorithm| (*algorithm, *kind)));
    let pairs: Vec<_> = all.filter(|(algorithm, kind)| is_long_enough(*algorithm, *kind)).collect();
    // RSA: 6 algorithms with each of 3 long keys, 5 with 1024 bits (PS512 needs more), RS256 alone with 512.
    assert_eq!(pairs.len(), 18 + 5 + 1 + 5);
    pairs
}

fn is_long_enough(algorithm: Algorithm, kind: Kind) -> bool {
    match kind {
        Kind::Rsa512 => algorithm == Algorithm::Rs256,
        Kind::Rsa1024 => algorithm != Algorithm::Ps512,
        _ => true,
    }
}

fn verifying(algorithm: Algorithm, kind: Kind) -> VerifyingKey {
    VerifyingKey::public(algorithm, PublicKey::parse(&kind.public_pem()).unwrap()).unwrap()
}

fn credential(algorithm: Algorithm, key: VerifyingKey) -> Arc<Credential> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let material = AuthMaterial::Jwt(JwtCredential::new("jack-key", algorithm, Ok(key), 0));
    Arc::new(Credential { identity, material, version: 1 })
}

fn outcome(token: &[u8], credential: &Arc<Credential>) -> Result<(), Failure> {
    let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
    judge(token, &policy, |_| Some(credential), NOW, &mut Workspace::default())
        .map(|_| ())
        .map_err(|rejection| rejection.failure)
}

fn signed_input(algorithm: Algorithm, claims: &Map<String, Value>) -> String {
    let header = json!({"alg": algorithm.name(), "typ": "JWT"}).to_string();
    let claims = Value::Object(claims.clone()).to_string();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

fn token(algorithm: Algorithm, key: &PKey<openssl::pkey::Private>, claims: &Map<String, Value>) -> String {
    let input = signed_input(algorithm, claims);
    let signature = sign(algorithm, key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn any_claims() -> impl Strategy<Value = Map<String, Value>> {
    let scalar = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::Null),
    ];
    proptest::collection::btree_map("[a-z]{1,9}", scalar, 0..6).prop_map(|members| {
        let mut claims: Map<String, Value> = members.into_iter().collect();
        claims.extend([("exp".into(), (NOW + 60).into()), ("nbf".into(), (NOW - 60).into())]);
        claims.insert("key".into(), "jack-key".into());
        claims
    })
}

fn an_asymmetric_pair() -> impl Strategy<Value = (Algorithm, Kind)> {
    proptest::sample::select(pairs())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_openssl_signs_verifies_and_nothing_near_it(
        (algorithm, kind) in an_asymmetric_pair(),
        claims in any_claims(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0_u8..8), 4),
    ) {
        let credential = credential(algorithm, verifying(algorithm, kind));
        let token = token(algorithm, kind.key(), &claims);
        prop_assert_eq!(outcome(token.as_bytes(), &credential), Ok(()), "{:?} {:?}", algorithm, kind);
        for (place, bit) in flips {
            let mut near = token.clone().into_bytes();
            let place = place.index(near.len());
            near[place] ^= 1 << bit;
            prop_assert!(outcome(&near, &credential).is_err(), "{:?} {:?}: byte {}", algorithm, kind, place);
        }
        let (input, _) = token.rsplit_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(sign(algorithm, kind.key(), b"another message"));
        let other = format!("{input}.{other}");
        prop_assert!(outcome(other.as_bytes(), &credential).is_err());
    }

    #[test]
    fn macs_agree_with_openssl(
        claims in any_claims(),
        secret in proptest::collection::vec(any::<u8>(), 1..300),
        algorithm in proptest::sample::select(vec![Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512]),
    ) {
        let oracle = PKey::hmac(&secret).unwrap();
        let credential = credential(algorithm, VerifyingKey::hmac(algorithm, &secret).unwrap());
        prop_assert_eq!(outcome(token(algorithm, &oracle, &claims).as_bytes(), &credential), Ok(()));
        let ours = SigningKey::hmac(algorithm, &secret).unwrap().token(&claims, Map::new()).unwrap();
        prop_assert_eq!(outcome(ours.as_bytes(), &credential), Ok(()));
        let (input, signature) = ours.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        prop_assert!(keys::verifies(algorithm, &oracle, input.as_bytes(), &signature));
    }

    /// Keys below 2048 bits verify and no longer sign.
    #[test]
    fn what_is_signed_here_openssl_verifies((algorithm, kind) in an_asymmetric_pair(), claims in any_claims()) {
        let private = PrivateKey::parse(&kind.private_pem()).unwrap();
        let key = SigningKey::private(algorithm, &private);
        if kind.rsa_bits().is_some_and(|bits| bits < 2048) {
            prop_assert!(matches!(key, Err(KeyFault::Unsupported(_))), "{:?}", kind);
            return Ok(());
        }
        let extra: Map<String, Value> = [("kid".to_owned(), json!("k"))].into_iter().collect();
        let token = key.unwrap().token(&claims, extra).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        prop_assert!(keys::verifies(algorithm, kind.key(), input.as_bytes(), &signature), "{:?} {:?}", algorithm, kind);
        prop_assert_eq!(outcome(token.as_bytes(), &credential(algorithm, verifying(algorithm, kind))), Ok(()));
        let (header, payload) = input.split_once('.').unwrap();
        let read = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        prop_assert_eq!(read(header), json!({"alg": algorithm.name(), "typ": "JWT", "kid": "k"}));
        prop_assert_eq!(read(payload), Value::Object(claims));
    }

    /// It knows neither ES512 nor Ed448, nor short RSA keys.
    #[test]
    fn jsonwebtoken_agrees(
        (algorithm, kind) in an_asymmetric_pair().prop_filter("unknown to it", |(_, kind)| {
            !matches!(kind, Kind::P521 | Kind::Ed448 | Kind::Rsa512 | Kind::Rsa1024)
        }),
        claims in any_claims(),
    ) {
        let named: jsonwebtoken::Algorithm = algorithm.name().parse().unwrap();
        let (public, private) = (kind.public_pem(), kind.private_pem());
        let (encoding, decoding) = match kind {
            Kind::P256 | Kind::P384 => (
                jsonwebtoken::EncodingKey::from_ec_pem(private.as_bytes()),
                jsonwebtoken::DecodingKey::from_ec_pem(public.as_bytes()),
            ),
            Kind::Ed25519 => (
                jsonwebtoken::EncodingKey::from_ed_pem(private.as_bytes()),
                jsonwebtoken::DecodingKey::from_ed_pem(public.as_bytes()),
            ),
            _ => (
                jsonwebtoken::EncodingKey::from_rsa_pem(private.as_bytes()),
                jsonwebtoken::DecodingKey::from_rsa_pem(public.as_bytes()),
            ),
        };
        let theirs = jsonwebtoken::encode(&jsonwebtoken::Header::new(named), &claims, &encoding.unwrap()).unwrap();
        prop_assert_eq!(outcome(theirs.as_bytes(), &credential(algorithm, verifying(algorithm, kind))), Ok(()));
        let key = SigningKey::private(algorithm, &PrivateKey::parse(&private).unwrap()).unwrap();
        let ours = key.token(&claims, Map::new()).unwrap();
        let (input, signature) = ours.rsplit_once('.').unwrap();
        let holds = jsonwebtoken::crypto::verify(signature, input.as_bytes(), &decoding.unwrap(), named).unwrap();
        prop_assert!(holds, "{:?} {:?}", algorithm, kind);
    }
}

/// Every byte of a signature matters, and so does its length.
#[test]
fn only_the_whole_signature_verifies() {
    let message = b"header.payload";
    for (algorithm, kind) in pairs() {
        let key = verifying(algorithm, kind);
        let good = sign(algorithm, kind.key(), message);
        assert!(key.verify(message, &good), "{algorithm:?} {kind:?}");
        for at in 0..good.len() {
            let mut near = good.clone();
            near[at] ^= 1 << (at % 8);
            assert!(!key.verify(message, &near), "{algorithm:?} {kind:?}: byte {at}");
        }
        let lengths = [
            vec![],
            vec![0],
            good[..good.len() - 1].to_vec(),
            good[1..].to_vec(),
            [&good[..], &[0]].concat(),
            [&[0], &good[..]].concat(),
            [&good[..], &good[..]].concat(),
        ];
        for other in lengths.iter().chain(&[vec![0; good.len()], vec![0xff; good.len()]]) {
            assert!(!key.verify(message, other), "{algorithm:?} {kind:?}: {} bytes", other.len());
        }
        assert!(!key.verify(b"", &good) && !key.verify(b"header.payloae", &good), "{algorithm:?} {kind:?}");
    }
}

#[test]
fn another_key_of_the_same_kind_verifies_nothing() {
    for kind in [Kind::Rsa1024, Kind::Rsa2048, Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519, Kind::Ed448] {
        let other = kind.generate();
        for algorithm in kind.algorithms().iter().filter(|algorithm| is_long_enough(**algorithm, kind)) {
            assert!(!verifying(*algorithm, kind).verify(b"message", &sign(*algorithm, &other, b"message")), "{kind:?}");
        }
    }
}

/// A key that does not fit is a fault of the credential, told when it is prepared; no token is held against it.
#[test]
fn a_key_of_another_kind_is_no_key() {
    for kind in Kind::ALL {
        let key = PublicKey::parse(&kind.public_pem());
        if kind == Kind::Secp256k1 {
            assert!(matches!(key, Err(KeyFault::Unsupported(_))), "{key:?}");
            continue;
        }
        let key = key.unwrap();
        for algorithm in Algorithm::ALL {
            let prepared = VerifyingKey::public(algorithm, key.clone());
            if kind.algorithms().contains(&algorithm) {
                assert!(prepared.is_ok(), "{algorithm:?} {kind:?}");
            } else {
                let mismatch = KeyFault::Mismatch { algorithm, found: key.type_name() };
                assert_eq!(prepared.err(), Some(mismatch), "{algorithm:?} {kind:?}");
            }
        }
    }
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac()) {
        let mismatch = KeyFault::Mismatch { algorithm, found: "shared secret" };
        assert_eq!(VerifyingKey::hmac(algorithm, b"secret").err(), Some(mismatch));
    }
}

#[test]
fn a_salt_may_have_any_length() {
    let mut count = 0;
    for kind in Kind::ALL.into_iter().filter(|kind| kind.rsa_bits().is_some()) {
        for algorithm in [Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512] {
            let key = verifying(algorithm, kind);
            for salt in [Salt::None, Salt::Hash, Salt::Longest] {
                // Only short keys have no room for it.
                let Ok(signature) = sign_salted(algorithm, kind.key(), b"message", salt) else {
                    assert!(matches!(kind, Kind::Rsa512 | Kind::Rsa1024), "{algorithm:?} {kind:?} {salt:?}");
                    continue;
                };
                assert!(key.verify(b"message", &signature), "{algorithm:?} {kind:?} {salt:?}");
                assert!(!key.verify(b"massage", &signature), "{algorithm:?} {kind:?} {salt:?}");
                count += 1;
            }
        }
    }
    // Three salts for each hash and long key; 1024 bits lack PS512's own; 512 bits have room for SHA-256 with little.
    assert!(count >= 27 + 8 + 2, "{count}");
}

#[test]
fn ecdsa_has_one_form_and_no_zeros() {
    for kind in [Kind::P256, Kind::P384, Kind::P521] {
        let algorithm = kind.algorithms()[0];
        let (key, bytes) = (verifying(algorithm, kind), coordinate_bytes(kind.key()));
        let good = sign(algorithm, kind.key(), b"message");
        let (r, s) = good.split_at(bytes);
        let zero = vec![0; bytes];
        let group = kind.key().ec_key().unwrap();
        let mut order = openssl::bn::BigNum::new().unwrap();
        group.group().order(&mut order, &mut openssl::bn::BigNumContext::new().unwrap()).unwrap();
        let order = order.to_vec_padded(i32::try_from(bytes).unwrap()).unwrap();
        for (name, other) in [
            ("DER", to_der(r, s)),
            ("both zero", [&zero[..], &zero].concat()),
            ("r is zero", [&zero[..], s].concat()),
            ("s is zero", [r, &zero].concat()),
            ("r is the order", [&order[..], s].concat()),
            ("s is the order", [r, &order].concat()),
            ("both are the order", [&order[..], &order].concat()),
            ("exchanged", [s, r].concat()),
            ("wider", [&[0], r, &[0], s].concat()),
        ] {
            assert!(!key.verify(b"message", &other), "{kind:?}: {name}");
        }
        assert_eq!(kind.key().id(), Id::EC);
    }
}

/// With the exponent 1 a signature is its own proof; with 0, anything is.
#[test]
fn rsa_needs_an_exponent() {
    use openssl::sha::sha256;
    const SHA256_PREFIX: [u8; 19] =
        [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    for kind in [Kind::Rsa512, Kind::Rsa1024, Kind::Rsa2048] {
        let modulus: Box<[u8]> = kind.key().rsa().unwrap().n().to_vec().into();
        let padding = vec![0xff; modulus.len() - 3 - SHA256_PREFIX.len() - 32];
        let forged = [&[0, 1], &padding[..], &[0], &SHA256_PREFIX, &sha256(b"message")].concat();
        let mut one = vec![0; modulus.len()];
        one[modulus.len() - 1] = 1;
        for exponent in [&[][..], &[1], &[2], &[4], &[0xff; 9], &[0xff; 64]] {
            for algorithm in [Algorithm::Rs256, Algorithm::Ps256] {
                let key = PublicKey::Rsa(RsaPublicKey { modulus: modulus.clone(), exponent: exponent.into() });
                if let Ok(key) = VerifyingKey::public(algorithm, key) {
                    assert!(!key.verify(b"message", &forged), "{kind:?}, exponent {exponent:?}");
                    assert!(!key.verify(b"message", &one), "{kind:?}, exponent {exponent:?}");
                }
            }
        }
    }
}

#[test]
fn rsa_moduli_have_bounds() {
    let key = |bits: usize| {
        let modulus = vec![0xff; bits / 8].into();
        VerifyingKey::public(Algorithm::Rs256, PublicKey::Rsa(RsaPublicKey { modulus, exponent: [1, 0, 1].into() }))
    };
    for bits in [0, 8, 504, 8200, 65536] {
        assert_eq!(key(bits).err(), Some(KeyFault::RsaSize { bits }));
    }
    for bits in [512, 8192] {
        assert!(key(bits).is_ok(), "{bits}");
    }
}

const NOW: u64 = 1_750_000_000;
