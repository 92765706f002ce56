//! The rules of remembering: what spares a signature, and what does not.

use super::*;
use crate::auth::consumer::Identity;
use crate::auth::jwt::key::PrivateKey;
use crate::auth::jwt::{Algorithm, ClaimFault, JwtCredential, PublicKey, SigningKey, TimeClaim, VerifyingKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use serde_json::{Value, json};
use std::num::NonZeroU32;

const NOW: u64 = 1_750_000_000;

/// Both halves of a fresh key.
struct Pair {
    algorithm: Algorithm,
    signing: SigningKey,
    pem: String,
}

impl Pair {
    fn new(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let der = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
            _ => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        };
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.unwrap().as_ref()));
        let signing = SigningKey::private(algorithm, &PrivateKey::parse(&pem).unwrap()).unwrap();
        Self { algorithm, signing, pem }
    }

    fn token(&self, claims: &Value) -> String {
        self.signing.token(claims.as_object().unwrap(), serde_json::Map::new()).unwrap()
    }

    fn credential(&self, version: u64, grace_s: u64) -> Arc<Credential> {
        let key = VerifyingKey::public(self.algorithm, PublicKey::parse(&self.pem).unwrap());
        credential(JwtCredential::new("jack-key", self.algorithm, key, grace_s), version)
    }
}

fn credential(jwt: JwtCredential, version: u64) -> Arc<Credential> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    Arc::new(Credential { identity, material: AuthMaterial::Jwt(jwt), version })
}

/// A worker with one credential.
struct Worker {
    judging: Judging,
    live: Option<Arc<Credential>>,
    policy: Policy,
    from: IpAddr,
}

impl Worker {
    fn new(live: Arc<Credential>) -> Self {
        Self::with(live, &Settings::default())
    }

    fn with(live: Arc<Credential>, settings: &Settings) -> Self {
        let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
        let judging = Scratch::new(settings, Arc::default()).judging;
        Self { judging, live: Some(live), policy, from: [192, 0, 2, 1].into() }
    }

    fn judge(&mut self, token: &str, unix_s: u64) -> Result<(), Failure> {
        let find = |key: &str| self.live.as_ref().filter(|_| key == "jack-key");
        judge_remembered(token.as_bytes(), &self.policy, find, unix_s, self.from, &mut self.judging)
            .map(|_| ())
            .map_err(|rejection| rejection.failure)
    }

    /// Hits and misses so far.
    fn counts(&self) -> (u64, u64) {
        (self.judging.cells.jwt_cache_hits.value(), self.judging.cells.jwt_cache_misses.value())
    }
}

fn mismatch() -> Result<(), Failure> {
    Err(Failure::Verify(VerifyError::SignatureMismatch))
}

#[test]
fn a_token_seen_before_is_spared_its_signature() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let pair = Pair::new(algorithm);
        let mut worker = Worker::new(pair.credential(1, 0));
        let token = pair.token(&json!({"key": "jack-key", "exp": NOW + 60}));
        for _ in 0..3 {
            assert_eq!(worker.judge(&token, NOW), Ok(()));
        }
        assert_eq!(worker.counts(), (2, 1));
        let other = pair.token(&json!({"key": "jack-key", "exp": NOW + 61}));
        assert_eq!(worker.judge(&other, NOW), Ok(()));
        assert_eq!(worker.counts(), (2, 2), "another token is another token");
    }
}

#[test]
fn any_changed_byte_of_a_remembered_token_is_refused() {
    let pair = Pair::new(Algorithm::EdDsa);
    let mut worker = Worker::with(
        pair.credential(1, 0),
        &Settings { failed_verifications_burst: NonZeroU32::new(100_000).unwrap(), ..Settings::default() },
    );
    let token = pair.token(&json!({"key": "jack-key"}));
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    for place in 0..token.len() {
        let mut near = token.clone().into_bytes();
        near[place] ^= 1;
        let Ok(near) = String::from_utf8(near) else { continue };
        assert!(worker.judge(&near, NOW).is_err(), "byte {place}");
    }
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    assert_eq!(worker.counts().0, 1);
}

#[test]
fn another_version_of_the_credential_verifies_anew() {
    let (old, new) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let mut worker = Worker::new(old.credential(1, 0));
    let token = old.token(&json!({"key": "jack-key"}));
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    worker.live = Some(new.credential(2, 0));
    assert_eq!(worker.judge(&token, NOW), mismatch(), "the key was changed");
    worker.live = Some(old.credential(3, 0));
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    assert_eq!(worker.counts(), (0, 3), "nothing of an earlier version is used");
}

#[test]
fn a_credential_that_is_gone_is_gone_for_its_remembered_tokens() {
    let pair = Pair::new(Algorithm::EdDsa);
    let mut worker = Worker::new(pair.credential(1, 0));
    let token = pair.token(&json!({"key": "jack-key"}));
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    let gone = worker.live.take();
    assert_eq!(worker.judge(&token, NOW), Err(Failure::Key(KeyError::Unknown)));
    worker.live = gone;
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    assert_eq!(worker.counts(), (0, 2), "it was forgotten");
}

#[test]
fn what_a_route_asks_is_part_of_what_is_remembered() {
    let pair = Pair::new(Algorithm::EdDsa);
    let mut worker = Worker::new(pair.credential(1, 0));
    let token = pair.token(&json!({"key": "jack-key", "iss": "jill-key", "exp": NOW - 10}));
    worker.policy.time_checks = TimeChecks::required(&[TimeClaim::NotBefore]);
    let without_nbf: Result<(), ClaimFault> = Err(ClaimFault::Missing);
    let fault = |outcome: Result<(), Failure>| match outcome {
        Err(Failure::Verify(VerifyError::Claim(error))) => Err(error.fault),
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(worker.judge(&token, NOW)), without_nbf);
    let early = pair.token(&json!({"key": "jack-key", "iss": "jill-key", "exp": NOW - 10, "nbf": 1}));
    assert_eq!(worker.judge(&early, NOW), Ok(()), "only nbf is asked for");
    worker.policy.time_checks = TimeChecks::IF_PRESENT;
    assert_eq!(fault(worker.judge(&early, NOW)), Err(ClaimFault::OutOfTime { at: (NOW - 10) as f64 }));
    assert_eq!(worker.counts().0, 0);
    worker.policy.time_checks = TimeChecks::required(&[TimeClaim::NotBefore]);
    worker.policy.key_claim_name = "iss".into();
    assert_eq!(worker.judge(&early, NOW), Err(Failure::Key(KeyError::Unknown)), "jill is nobody");
    assert_eq!(worker.counts().0, 0);
}

#[test]
fn only_what_was_verified_is_remembered() {
    let (pair, forger) = (Pair::new(Algorithm::Es256), Pair::new(Algorithm::Es256));
    let mut worker = Worker::new(pair.credential(1, 0));
    let forged = forger.token(&json!({"key": "jack-key"}));
    let expired = pair.token(&json!({"key": "jack-key", "exp": NOW}));
    let unjudgeable = pair.token(&json!({"key": "jack-key", "exp": "never"}));
    for _ in 0..2 {
        assert_eq!(worker.judge(&forged, NOW), mismatch());
        assert!(worker.judge(&unjudgeable, NOW).is_err());
    }
    assert_eq!(worker.counts(), (0, 4));
    for _ in 0..3 {
        assert!(worker.judge(&expired, NOW).is_err(), "its signature is right, and it is expired each time");
    }
    assert_eq!(worker.counts(), (2, 5));
}

#[test]
fn times_and_grace_are_judged_at_every_use() {
    let pair = Pair::new(Algorithm::EdDsa);
    let mut worker = Worker::new(pair.credential(1, 5));
    let token = pair.token(&json!({"key": "jack-key", "nbf": NOW - 1, "exp": NOW + 60}));
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    assert_eq!(worker.judge(&token, NOW + 64), Ok(()), "within the grace");
    assert!(worker.judge(&token, NOW + 65).is_err(), "expired");
    assert!(worker.judge(&token, NOW - 7).is_err(), "the clock was set back before nbf");
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    assert_eq!(worker.counts(), (4, 1), "all but the first were hits");
}

#[test]
fn the_algorithm_is_judged_at_every_use() {
    let (pair, other) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::Es256));
    let mut worker = Worker::new(pair.credential(1, 0));
    let token = pair.token(&json!({"key": "jack-key"}));
    assert_eq!(worker.judge(&token, NOW), Ok(()));
    // No change keeps a version; here one does, to show that the rule does not lean on that.
    worker.live = Some(other.credential(1, 0));
    let want = VerifyError::AlgorithmMismatch { expected: Algorithm::Es256 };
    assert_eq!(worker.judge(&token, NOW), Err(Failure::Verify(want)));
}

#[test]
fn a_token_without_exp_is_verified_again_after_a_time() {
    let pair = Pair::new(Algorithm::EdDsa);
    let settings = Settings { cache_without_exp_s: 10, ..Settings::default() };
    let mut worker = Worker::with(pair.credential(1, 0), &settings);
    let token = pair.token(&json!({"key": "jack-key"}));
    for (unix_s, want) in [(NOW, (0, 1)), (NOW + 10, (1, 1)), (NOW + 11, (1, 2)), (NOW + 21, (2, 2))] {
        assert_eq!(worker.judge(&token, unix_s), Ok(()));
        assert_eq!(worker.counts(), want, "at {unix_s}");
    }
}

#[test]
fn macs_are_not_remembered_and_memory_can_be_switched_off() {
    let secret = b"secret";
    let jwt = JwtCredential::hmac("jack-key", Algorithm::Hs256, secret, 0);
    let mut worker = Worker::new(credential(jwt, 1));
    let signing = SigningKey::hmac(Algorithm::Hs256, secret).unwrap();
    let token = signing.token(json!({"key": "jack-key"}).as_object().unwrap(), serde_json::Map::new()).unwrap();
    assert_eq!((worker.judge(&token, NOW), worker.judge(&token, NOW)), (Ok(()), Ok(())));
    assert_eq!(worker.counts(), (0, 0));

    let pair = Pair::new(Algorithm::EdDsa);
    let mut worker = Worker::with(pair.credential(1, 0), &Settings { cache_entries: 0, ..Settings::default() });
    let token = pair.token(&json!({"key": "jack-key"}));
    assert_eq!((worker.judge(&token, NOW), worker.judge(&token, NOW)), (Ok(()), Ok(())));
    assert_eq!(worker.counts(), (0, 2));
}

#[test]
fn who_sends_forgeries_waits_and_nobody_else_does() {
    const BURST: u32 = 20;
    /// What an Ed25519 signature costs.
    const COST: u32 = 3;
    let (pair, forger) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let settings = Settings {
        failed_verifications_per_s: NonZeroU32::MIN,
        failed_verifications_burst: NonZeroU32::new(BURST * COST).unwrap(),
        ..Settings::default()
    };
    let mut worker = Worker::with(pair.credential(1, 0), &settings);
    let known = pair.token(&json!({"key": "jack-key"}));
    assert_eq!(worker.judge(&known, NOW), Ok(()));
    let undecodable = format!("{}.@@@@", known.rsplit_once('.').unwrap().0);
    for _ in 0..3 * BURST {
        assert_eq!(
            worker.judge(&undecodable, NOW),
            Err(Failure::Verify(VerifyError::SignatureEncoding)),
            "costs nothing"
        );
    }
    let outcomes: Vec<_> = (0..3 * BURST)
        .map(|index| worker.judge(&forger.token(&json!({"key": "jack-key", "jti": index})), NOW))
        .collect();
    assert_eq!(outcomes[..BURST as usize], vec![mismatch(); BURST as usize][..]);
    let throttled = Err(Failure::Verify(VerifyError::Throttled));
    assert_eq!(outcomes.last(), Some(&throttled));
    let fresh = pair.token(&json!({"key": "jack-key", "jti": "fresh"}));
    assert_eq!(worker.judge(&fresh, NOW), throttled, "nor is anything else from there verified");
    assert_eq!(worker.judge(&known, NOW), Ok(()), "what is known needs no verification");
    worker.from = [192, 0, 2, 2].into();
    assert_eq!(worker.judge(&fresh, NOW), Ok(()), "another address");
}

#[test]
fn other_spellings_are_read_only_where_that_is_switched_on() {
    let pair = Pair::new(Algorithm::EdDsa);
    let token = pair.token(&json!({"key": "jack-key"}));
    let padded = format!("{token}==");
    let mut strict = Worker::new(pair.credential(1, 0));
    assert_eq!(strict.judge(&padded, NOW), Err(Failure::Verify(VerifyError::SignatureEncoding)));
    let mut lenient = Worker::with(pair.credential(1, 0), &Settings { lenient_base64: true, ..Settings::default() });
    assert_eq!(lenient.judge(&padded, NOW), Ok(()));
    assert_eq!(lenient.judge(&token.replace('-', "+").replace('_', "/"), NOW), Ok(()));
    assert!(lenient.judge(&format!("{token}=A"), NOW).is_err());
    let misses = lenient.counts().1;
    assert_eq!(lenient.judge(&format!("{token}===="), NOW), Ok(()));
    assert_eq!(lenient.counts().1, misses, "another spelling of the signature is not another token");
}
