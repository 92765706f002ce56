//! What a credential verifies tokens with (RFC 7518 §3, RFC 8037 §3.1).
//!
//! A credential's key is prepared once, when it is compiled; a request only verifies, MACs in constant time. Which key
//! and which algorithm is the credential's choice, never the token's. Never panics; allocates only in what
//! `extra` verifies. Bench: `auth/verify`.

use super::algorithm::{Algorithm, Curve, Family, Hash};
use super::claims::ClaimError;
use super::extra;
use super::issue::Issuer;
use super::key::{KeyFault, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN, RsaPublicKey};
use super::token::{Header, Parts};
use crate::base::base64url;
use ring::hmac;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use std::fmt;
use std::num::NonZeroU32;

/// What verifies a credential's tokens.
#[derive(Debug)]
pub struct JwtCredential {
    /// What a token's claim must say to be judged by this credential.
    lookup_key: Box<str>,
    algorithm: Algorithm,
    key: Result<VerifyingKey, KeyFault>,
    /// Leeway for `exp` and `nbf`, in seconds.
    grace_s: u64,
    /// For the sign endpoint, where the defaults do not do. Boxed, because few credentials have one.
    issuer: Option<Box<Issuer>>,
}

impl JwtCredential {
    /// A credential that tokens address as `lookup_key`. Without a key it is known, and verifies nothing.
    pub fn new(lookup_key: &str, algorithm: Algorithm, key: Result<VerifyingKey, KeyFault>, grace_s: u64) -> Self {
        Self { lookup_key: lookup_key.into(), algorithm, key, grace_s, issuer: None }
    }

    /// This credential, issuing tokens as `issuer` says.
    #[must_use]
    pub fn with_issuer(self, issuer: Issuer) -> Self {
        Self { issuer: (!issuer.is_default()).then(|| Box::new(issuer)), ..self }
    }

    /// A credential that tokens address as `lookup_key` and sign with `secret`.
    pub fn hmac(lookup_key: &str, algorithm: Algorithm, secret: &[u8], grace_s: u64) -> Self {
        Self::new(lookup_key, algorithm, VerifyingKey::hmac(algorithm, secret), grace_s)
    }

    /// What a token's claim must say to be judged by this credential: `key` in its configuration.
    pub fn lookup_key(&self) -> &str {
        &self.lookup_key
    }

    /// The only algorithm its tokens may use.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Leeway for `exp` and `nbf`, in seconds: `lifetime_grace_period`.
    pub fn grace_s(&self) -> u64 {
        self.grace_s
    }

    /// Why it verifies nothing, if so.
    pub fn fault(&self) -> Option<KeyFault> {
        self.key.as_ref().err().copied()
    }

    /// Whether verifying costs so much more than comparing that a verified token is worth remembering.
    pub fn is_asymmetric(&self) -> bool {
        matches!(&self.key, Ok(key) if !matches!(key.0, Kind::Hmac(_)))
    }

    /// How it issues tokens; `None` means by the defaults.
    pub(super) fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_deref()
    }

    /// The key of HMAC, which both verifies and signs.
    pub(super) fn mac_key(&self) -> Option<&hmac::Key> {
        match &self.key {
            Ok(VerifyingKey(Kind::Hmac(key))) => Some(key),
            _ => None,
        }
    }

    /// What verifying one token costs, in units of some 20 µs: an RSA signature of 2048 bits is one. Measured
    /// (`auth/verify`), and rounded up; an HMAC costs less than any unit.
    pub fn verification_cost(&self) -> NonZeroU32 {
        let units = self.key.as_ref().map_or(1, VerifyingKey::cost);
        NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN)
    }

    /// Checks that the token names this credential's algorithm. Comes before anything is computed (spec/jwt-auth
    /// §7.1).
    pub fn check_algorithm(&self, header: Header<'_>) -> Result<(), VerifyError> {
        self.key.as_ref().map_err(|fault| VerifyError::Key(*fault))?;
        match header.algorithm {
            None => Err(VerifyError::AlgorithmMissing { expected: self.algorithm }),
            Some(name) if name != self.algorithm.name() => {
                Err(VerifyError::AlgorithmMismatch { expected: self.algorithm })
            }
            Some(_) => Ok(()),
        }
    }

    /// Verifies a token's signature, whose algorithm has been checked; `decoded` is reused for its bytes.
    pub fn check_signature(&self, parts: &Parts<'_>, decoded: &mut Vec<u8>) -> Result<(), VerifyError> {
        let key = self.key.as_ref().map_err(|fault| VerifyError::Key(*fault))?;
        let signature = base64url::decode_into(parts.signature, decoded).map_err(|_| VerifyError::SignatureEncoding)?;
        if key.verify(parts.signing_input, signature) { Ok(()) } else { Err(VerifyError::SignatureMismatch) }
    }
}

/// Prepared key material for one algorithm. Its `Debug` shows no key.
pub struct VerifyingKey(Kind);

enum Kind {
    Hmac(hmac::Key),
    Rsa {
        key: RsaPublicKey,
        parameters: &'static RsaParameters,
    },
    /// PSS: most tokens carry a salt as long as the hash, which ring verifies (RFC 7518 §3.5); for any other length
    /// the second verifier is asked, if this build has one.
    RsaPss {
        key: RsaPublicKey,
        parameters: &'static RsaParameters,
        any_salt: Option<Box<dyn extra::Verify>>,
    },
    Point {
        key: UnparsedPublicKey<Box<[u8]>>,
        /// See [`JwtCredential::verification_cost`].
        cost: u32,
    },
    Extra(Box<dyn extra::Verify>),
}

impl VerifyingKey {
    /// Verifies with the shared `secret`, for algorithms of HMAC.
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyFault> {
        match algorithm.family() {
            Family::Hmac(_) if secret.is_empty() => Err(KeyFault::SecretMissing),
            Family::Hmac(hmac) => Ok(Self(Kind::Hmac(hmac::Key::new(hmac, secret)))),
            _ => Err(KeyFault::Mismatch { algorithm, found: "shared secret" }),
        }
    }

    /// Verifies with the public `key`, which must fit the algorithm.
    pub fn public(algorithm: Algorithm, key: PublicKey) -> Result<Self, KeyFault> {
        let kind = match (algorithm.family(), key) {
            (Family::RsaPkcs1(hash), PublicKey::Rsa(key)) if is_for_ring(&key)? => {
                Kind::Rsa { key, parameters: pkcs1(hash) }
            }
            (Family::RsaPss(hash), PublicKey::Rsa(key)) if is_for_ring(&key)? => {
                let any_salt = extra::verifier(algorithm, &PublicKey::Rsa(key.clone())).ok();
                Kind::RsaPss { key, parameters: pss(hash), any_salt }
            }
            (Family::Ecdsa(Curve::P256), PublicKey::Ec { curve: Curve::P256, point }) => {
                point_of(&signature::ECDSA_P256_SHA256_FIXED, point, 3)
            }
            (Family::Ecdsa(Curve::P384), PublicKey::Ec { curve: Curve::P384, point }) => {
                point_of(&signature::ECDSA_P384_SHA384_FIXED, point, 36)
            }
            (Family::EdDsa, PublicKey::Ed25519(point)) => point_of(&signature::ED25519, point, 3),
            (_, key) => Kind::Extra(extra::verifier(algorithm, &key)?),
        };
        Ok(Self(kind))
    }

    /// Whether `signature`, as JOSE writes it (ECDSA as the two numbers one after the other), is the key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Kind::Rsa { key, parameters } => components(key).verify(parameters, message, signature).is_ok(),
            Kind::RsaPss { key, parameters, any_salt } => {
                components(key).verify(parameters, message, signature).is_ok()
                    || any_salt.as_ref().is_some_and(|verifier| verifier.verify(message, signature))
            }
            Kind::Point { key, .. } => key.verify(message, signature).is_ok(),
            Kind::Extra(verifier) => verifier.verify(message, signature),
        }
    }
}

impl VerifyingKey {
    fn cost(&self) -> u32 {
        // Public exponents are short, so an RSA signature costs as much as its modulus squared.
        let rsa = |key: &RsaPublicKey| (key.bits().div_ceil(RING_RSA_BITS_MIN) as u32).pow(2);
        match &self.0 {
            Kind::Hmac(_) => 1,
            Kind::Rsa { key, .. } | Kind::RsaPss { key, any_salt: None, .. } => rsa(key),
            Kind::RsaPss { key, any_salt: Some(_), .. } => rsa(key) * 5,
            Kind::Point { cost, .. } => *cost,
            Kind::Extra(_) => EXTRA_COST,
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Kind::Hmac(_) => "Hmac",
            Kind::Rsa { .. } => "Rsa",
            Kind::RsaPss { .. } => "RsaPss",
            Kind::Point { .. } => "Point",
            Kind::Extra(_) => "Extra",
        })
    }
}

/// Whether ring verifies with a modulus of this length; shorter ones are left to `extra`. A key that can verify nothing
/// is found here, not at the first token.
fn is_for_ring(key: &RsaPublicKey) -> Result<bool, KeyFault> {
    let bits = key.bits();
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(KeyFault::RsaSize { bits });
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    let is_exponent = is_odd(&key.exponent) && *key.exponent != [1] && key.exponent.len() <= RSA_EXPONENT_BYTES_MAX;
    if !is_odd(&key.modulus) || !is_exponent {
        return Err(KeyFault::Invalid("RSA"));
    }
    Ok(bits >= RING_RSA_BITS_MIN)
}

fn components(key: &RsaPublicKey) -> RsaPublicKeyComponents<&[u8]> {
    RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent }
}

fn point_of(algorithm: &'static dyn VerificationAlgorithm, point: Box<[u8]>, cost: u32) -> Kind {
    Kind::Point { key: UnparsedPublicKey::new(algorithm, point), cost }
}

fn pkcs1(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn pss(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
    }
}

/// Exponents of up to 33 bits verify, as in ring.
const RSA_EXPONENT_BYTES_MAX: usize = 5;
/// ES512 and Ed448; RSA keys below 2048 bits cost far less, and are rare enough.
const EXTRA_COST: u32 = 60;
/// The shortest modulus that ring verifies with, in bits.
const RING_RSA_BITS_MIN: usize = 2048;

/// Why a well-formed token does not prove what it says. The client learns only `failed to verify jwt`.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The credential has no usable key.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The header has no `alg`, or one that is not a string.
    #[error("the header names no algorithm, expected {}", .expected.name())]
    AlgorithmMissing {
        /// The credential's.
        expected: Algorithm,
    },
    /// The header's `alg` is not the credential's, to the byte.
    #[error("algorithm mismatch, expected {}", .expected.name())]
    AlgorithmMismatch {
        /// The credential's.
        expected: Algorithm,
    },
    /// The signature is not strict base64url.
    #[error("the signature is not base64url without padding")]
    SignatureEncoding,
    /// The signature is not this key's over these bytes.
    #[error("signature mismatch")]
    SignatureMismatch,
    /// Not verified at all: too many forged tokens have come from the same address.
    #[error("not verified: too many forged tokens came from this address")]
    Throttled,
    /// Signed, and not now.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 §A.1.
    const RFC_SIGNING_INPUT: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
         eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const RFC_SIGNATURE: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const RFC_KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    fn rfc_credential(algorithm: Algorithm) -> JwtCredential {
        let mut secret = Vec::new();
        base64url::decode_into(RFC_KEY.as_bytes(), &mut secret).unwrap();
        JwtCredential::hmac("joe", algorithm, &secret, 0)
    }

    fn verify(credential: &JwtCredential, alg: Option<&str>, signature: &str) -> Result<(), VerifyError> {
        let token = format!("{RFC_SIGNING_INPUT}.{signature}");
        let parts = Parts::split(token.as_bytes()).unwrap();
        credential.check_algorithm(Header { algorithm: alg })?;
        credential.check_signature(&parts, &mut Vec::new())
    }

    #[test]
    fn the_example_of_the_rfc_verifies() {
        assert_eq!(verify(&rfc_credential(Algorithm::Hs256), Some("HS256"), RFC_SIGNATURE), Ok(()));
    }

    #[test]
    fn the_algorithm_is_the_credentials_to_the_byte() {
        let credential = rfc_credential(Algorithm::Hs256);
        let mismatch = Err(VerifyError::AlgorithmMismatch { expected: Algorithm::Hs256 });
        for alg in ["none", "None", "NONE", "hs256", "HS256 ", "HS384", "HS512", "RS256", "ES256", "HS256\0", ""] {
            assert_eq!(verify(&credential, Some(alg), RFC_SIGNATURE), mismatch, "{alg:?}");
        }
        let missing = Err(VerifyError::AlgorithmMissing { expected: Algorithm::Hs256 });
        assert_eq!(verify(&credential, None, RFC_SIGNATURE), missing);
        let other = rfc_credential(Algorithm::Hs512);
        assert_eq!(verify(&other, Some("HS512"), RFC_SIGNATURE), Err(VerifyError::SignatureMismatch));
    }

    #[test]
    fn only_the_whole_signature_in_its_one_spelling_verifies() {
        let credential = rfc_credential(Algorithm::Hs256);
        let undecodable = ["@@@@", &format!("{RFC_SIGNATURE}="), &RFC_SIGNATURE.replace("EjXk", "EjXl"), "A"];
        for signature in undecodable {
            assert_eq!(
                verify(&credential, Some("HS256"), signature),
                Err(VerifyError::SignatureEncoding),
                "{signature}"
            );
        }
        let wrong = ["AA", &RFC_SIGNATURE.replace('d', "e"), &RFC_SIGNATURE[..40], &format!("{RFC_SIGNATURE}AAAAA")];
        for signature in wrong {
            assert_eq!(
                verify(&credential, Some("HS256"), signature),
                Err(VerifyError::SignatureMismatch),
                "{signature}"
            );
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let credential = JwtCredential::hmac("k", Algorithm::Hs256, b"very-secret", 5);
        let shown = format!("{credential:?}");
        assert!(!shown.contains("very-secret") && !shown.contains("118, 101, 114, 121"), "{shown}");
    }
}
