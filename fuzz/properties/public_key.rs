//! Any text is a key or is told why not; whatever is a key verifies no signature that is drawn from a hat.
//!
//! Input: the text of a key. The message is the text, the signatures are drawn from it.

use ringgate::auth::jwt::key::PrivateKey;
use ringgate::auth::jwt::{Algorithm, PublicKey, SigningKey, VerifyingKey};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

pub(crate) fn holds(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(private) = PrivateKey::parse(text) {
        for algorithm in Algorithm::ALL {
            let _ = SigningKey::private(algorithm, &private);
        }
    }
    let Ok(key) = PublicKey::parse(text) else { return };
    assert_eq!(PublicKey::parse(text).as_ref(), Ok(&key), "reading twice yields two keys");
    let bytes = match &key {
        PublicKey::Rsa(key) => key.modulus.len(),
        PublicKey::Ec { curve, .. } => 2 * curve.coordinate_bytes(),
        PublicKey::Ed25519(point) | PublicKey::Ed448(point) => 2 * point.len(),
    };
    for algorithm in Algorithm::ALL {
        if let Ok(verifying) = VerifyingKey::public(algorithm, key.clone()) {
            assert!(!algorithm.is_hmac(), "a public key is no secret");
            let signature = drawn(input, bytes);
            assert!(!verifying.verify(input, &signature), "{} verifies with {key:?}", algorithm.name());
        }
    }
}

/// Bytes that no key has had a hand in.
fn drawn(input: &[u8], bytes: usize) -> Vec<u8> {
    let hash = |count: usize| {
        let mut hasher = DefaultHasher::new();
        (input, count).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    (0..bytes.div_ceil(8)).flat_map(hash).take(bytes).collect()
}
