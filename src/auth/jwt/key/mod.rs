//! Keys as operators write them: PEM or JWK in, numbers and points out (spec/jwt-auth §7.2).
//!
//! Runs on the control side, once per change of a credential, and in `ringgate token`. Nothing here verifies; that a
//! point lies on its curve is found by whoever verifies with it. Never panics; no error shows any part of a key. Tests
//! are in `tests/jwt_keys.rs`, against OpenSSL; fuzz target: `public_key`.

mod jwk;
mod pem;

use super::algorithm::{Algorithm, Curve};

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA (RFC 8017 §3.1).
    Rsa(RsaPublicKey),
    /// Of an ECDSA curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The uncompressed point (SEC 1 §2.3.3).
        point: Box<[u8]>,
    },
    /// Ed25519 (RFC 8032 §5.1).
    Ed25519(Box<[u8]>),
    /// Ed448 (RFC 8032 §5.2).
    Ed448(Box<[u8]>),
}

/// An RSA public key: two numbers, big-endian, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaPublicKey {
    /// The modulus.
    pub modulus: Box<[u8]>,
    /// The public exponent.
    pub exponent: Box<[u8]>,
}

impl PublicKey {
    /// Reads `text`: PEM (`PUBLIC KEY`, `RSA PUBLIC KEY`, or a private key, of which the public half is taken), or one
    /// JWK (RFC 7517).
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        if text.trim_start().starts_with('{') { jwk::parse(text) } else { pem::public(text) }
    }

    /// What it is, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::Ec { curve, .. } => curve.name(),
            Self::Ed25519(_) => "Ed25519",
            Self::Ed448(_) => "Ed448",
        }
    }
}

impl RsaPublicKey {
    fn new(modulus: &[u8], exponent: &[u8]) -> Self {
        Self { modulus: without_leading_zeros(modulus).into(), exponent: without_leading_zeros(exponent).into() }
    }

    /// Length of the modulus, in bits.
    pub fn bits(&self) -> usize {
        let spare = self.modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        self.modulus.len() * 8 - spare
    }
}

/// A private key, to sign with. Holds secrets, so it has no `Debug`.
pub enum PrivateKey {
    /// RSA, as a PKCS#1 document (RFC 8017 §A.1.2).
    Rsa {
        /// The document.
        der: Box<[u8]>,
        /// Its public half.
        public: RsaPublicKey,
    },
    /// Of an ECDSA curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The secret number, big-endian.
        scalar: Box<[u8]>,
        /// The uncompressed public point.
        point: Box<[u8]>,
    },
    /// Ed25519.
    Ed25519 {
        /// The 32 secret bytes.
        seed: Box<[u8]>,
    },
    /// Ed448.
    Ed448 {
        /// The 57 secret bytes.
        seed: Box<[u8]>,
    },
}

impl PrivateKey {
    /// Reads `text`: PEM (`PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`), not encrypted.
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        pem::private(text)
    }

    /// What it is, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Rsa { .. } => "RSA",
            Self::Ec { curve, .. } => curve.name(),
            Self::Ed25519 { .. } => "Ed25519",
            Self::Ed448 { .. } => "Ed448",
        }
    }

    fn public(&self) -> Result<PublicKey, KeyFault> {
        match self {
            Self::Rsa { public, .. } => Ok(PublicKey::Rsa(public.clone())),
            Self::Ec { curve, point, .. } => Ok(PublicKey::Ec { curve: *curve, point: point.clone() }),
            Self::Ed25519 { seed } => {
                use ring::signature::{Ed25519KeyPair, KeyPair as _};
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyFault::Invalid("Ed25519"))?;
                Ok(PublicKey::Ed25519(pair.public_key().as_ref().into()))
            }
            Self::Ed448 { seed } => super::extra::ed448_public(seed).map(PublicKey::Ed448),
        }
    }
}

/// Why a credential has no key to verify with. Says what was found, never a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// An HS* credential without `secret`.
    #[error("the credential has no secret")]
    SecretMissing,
    /// `base64_secret`, and it is not.
    #[error("base64_secret required but the secret is not in base64 format")]
    SecretNotBase64,
    /// A credential of another algorithm without `public_key`.
    #[error("the credential has no public_key")]
    PublicKeyMissing,
    /// Neither PEM nor JSON.
    #[error("the key is neither PEM nor a JWK")]
    NotPem,
    /// PEM whose label names no key that is read here.
    #[error("the PEM holds no key of a known kind: {0}")]
    Label(&'static str),
    /// PEM of a known label around something else.
    #[error("the PEM does not hold what its label says: {0}")]
    Der(&'static str),
    /// JSON that is no JWK.
    #[error("the JWK cannot be read: {0}")]
    Jwk(&'static str),
    /// A kind of key that no algorithm here uses.
    #[error("keys of this kind are not supported: {0}")]
    Unsupported(&'static str),
    /// Of a known kind, and impossible.
    #[error("the key is no valid {0} key")]
    Invalid(&'static str),
    /// Of another kind than the algorithm needs.
    #[error("algorithm {} cannot use a key of type {found}", .algorithm.name())]
    Mismatch {
        /// The credential's.
        algorithm: Algorithm,
        /// What the key is.
        found: &'static str,
    },
    /// An RSA modulus outside what is verified with.
    #[error("an RSA key of {bits} bits, expected {RSA_BITS_MIN} to {RSA_BITS_MAX}")]
    RsaSize {
        /// Length of the modulus.
        bits: usize,
    },
    /// What this build leaves out.
    #[error("{0} needs a build with the cargo feature extra-algorithms")]
    NotBuilt(&'static str),
}

/// Bytes of an Ed25519 key, public or private (RFC 8032 §5.1.5).
const ED25519_BYTES: usize = 32;
/// Bytes of an Ed448 key, public or private (RFC 8032 §5.2.5).
pub(super) const ED448_BYTES: usize = 57;
/// Shortest RSA modulus that verifies, in bits. Too short to be safe, and what APISIX accepts.
pub const RSA_BITS_MIN: usize = 512;
/// Longest RSA modulus that verifies, in bits: what one token may cost is bounded.
pub const RSA_BITS_MAX: usize = 8192;

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The uncompressed point of `x` and `y`; coordinates that lost leading zeros get them back.
fn point(curve: Curve, x: &[u8], y: &[u8]) -> Result<Box<[u8]>, KeyFault> {
    let mut point = vec![UNCOMPRESSED];
    for coordinate in [x, y] {
        let bytes = curve.coordinate_bytes();
        let padding = bytes.checked_sub(coordinate.len()).ok_or(KeyFault::Invalid(curve.name()))?;
        point.resize(point.len() + padding, 0);
        point.extend_from_slice(coordinate);
    }
    Ok(point.into())
}

/// `encoded` if it is an uncompressed point of the curve's length.
fn checked_point(curve: Curve, encoded: &[u8]) -> Result<Box<[u8]>, KeyFault> {
    match encoded.first() {
        Some(&UNCOMPRESSED) if encoded.len() == 1 + 2 * curve.coordinate_bytes() => Ok(encoded.into()),
        Some(2 | 3) => Err(KeyFault::Unsupported("compressed points")),
        _ => Err(KeyFault::Invalid(curve.name())),
    }
}

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;
