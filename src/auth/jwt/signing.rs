//! Signing: what makes tokens, for the sign endpoint and `ringgate token sign` (RFC 7515 §5.1, spec/jwt-auth §9.2).
//!
//! Never runs for a request that only presents a token. RSA signatures take the better part of a millisecond.

use super::algorithm::{Algorithm, Curve, Family, Hash};
use super::extra;
use super::key::{KeyFault, PrivateKey};
use base64_simd::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use serde_json::{Map, Value};
use std::fmt;

/// A prepared key that signs by one algorithm. Its `Debug` shows no key.
pub struct SigningKey {
    algorithm: Algorithm,
    kind: Kind,
}

enum Kind {
    Hmac(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Extra(Box<dyn extra::Sign>),
}

/// The signature could not be made: the system's random numbers failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no signature could be made")]
pub struct SignError;

impl SigningKey {
    /// Signs with the shared `secret`, for algorithms of HMAC.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyFault> {
        match algorithm.family() {
            Family::Hmac(_) if secret.is_empty() => Err(KeyFault::SecretMissing),
            Family::Hmac(hmac) => Ok(Self { algorithm, kind: Kind::Hmac(hmac::Key::new(hmac, secret)) }),
            _ => Err(KeyFault::Mismatch { algorithm, found: "shared secret" }),
        }
    }

    /// Signs with a secret that is prepared already; `key` is of the algorithm's hash.
    pub(super) fn mac(algorithm: Algorithm, key: hmac::Key) -> Self {
        Self { algorithm, kind: Kind::Hmac(key) }
    }

    /// Signs with the private `key`, which must fit the algorithm.
    pub fn private(algorithm: Algorithm, key: &PrivateKey) -> Result<Self, KeyFault> {
        let kind = match (algorithm.family(), key) {
            (Family::RsaPkcs1(hash), PrivateKey::Rsa { der, .. }) => Kind::Rsa(rsa(der)?, pkcs1(hash)),
            (Family::RsaPss(hash), PrivateKey::Rsa { der, .. }) => Kind::Rsa(rsa(der)?, pss(hash)),
            (Family::Ecdsa(wanted), PrivateKey::Ec { curve, scalar, point }) if wanted == *curve => {
                let algorithm = match curve {
                    Curve::P256 => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                    Curve::P384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                    Curve::P521 => return extra::es512_signer(scalar).map(|key| Self::extra(algorithm, key)),
                };
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar, point, &random);
                Kind::Ec(pair.map_err(|_| KeyFault::Invalid(curve.name()))?)
            }
            (Family::EdDsa, PrivateKey::Ed25519 { seed }) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed);
                Kind::Ed25519(pair.map_err(|_| KeyFault::Invalid("Ed25519"))?)
            }
            (Family::EdDsa, PrivateKey::Ed448 { seed }) => Kind::Extra(extra::ed448_signer(seed)?),
            (_, key) => return Err(KeyFault::Mismatch { algorithm, found: key.type_name() }),
        };
        Ok(Self { algorithm, kind })
    }

    fn extra(algorithm: Algorithm, key: Box<dyn extra::Sign>) -> Self {
        Self { algorithm, kind: Kind::Extra(key) }
    }

    /// A token in compact form that says `claims`. `extra_header` members stand in its header after `alg` and `typ`.
    pub fn token(&self, claims: &Map<String, Value>, extra_header: Map<String, Value>) -> Result<String, SignError> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        header.extend(extra_header);
        let mut token = URL_SAFE_NO_PAD.encode_to_string(Value::Object(header).to_string());
        token.push('.');
        // Writing JSON of JSON values to memory cannot fail.
        let claims = serde_json::to_vec(claims).map_err(|_| SignError)?;
        URL_SAFE_NO_PAD.encode_append(&claims, &mut token);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_append(&signature, &mut token);
        Ok(token)
    }

    /// The signature over `message` as JOSE writes it: ECDSA as the two numbers one after the other.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Kind::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*padding, &random, message, &mut signature).map_err(|_| SignError)?;
                Ok(signature)
            }
            Kind::Ec(pair) => Ok(pair.sign(&random, message).map_err(|_| SignError)?.as_ref().to_vec()),
            Kind::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Kind::Extra(key) => Ok(key.sign(message)),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// ring signs with 2048 to 4096 bits; shorter keys are verified with, and not signed with any more.
fn rsa(der: &[u8]) -> Result<RsaKeyPair, KeyFault> {
    RsaKeyPair::from_der(der).map_err(|_| KeyFault::Unsupported("an RSA private key other than of 2048 to 4096 bits"))
}

fn pkcs1(hash: Hash) -> &'static dyn RsaEncoding {
    match hash {
        Hash::Sha256 => &signature::RSA_PKCS1_SHA256,
        Hash::Sha384 => &signature::RSA_PKCS1_SHA384,
        Hash::Sha512 => &signature::RSA_PKCS1_SHA512,
    }
}

fn pss(hash: Hash) -> &'static dyn RsaEncoding {
    match hash {
        Hash::Sha256 => &signature::RSA_PSS_SHA256,
        Hash::Sha384 => &signature::RSA_PSS_SHA384,
        Hash::Sha512 => &signature::RSA_PSS_SHA512,
    }
}

#[cfg(test)]
mod tests;
