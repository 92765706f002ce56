//! Keys and signatures: what a credential verifies tokens with (RFC 7518 §3).
//!
//! A credential's key is prepared once, when it is compiled; a request only runs the comparison, in constant time.
//! Which key and which algorithm is the credential's choice, never the token's. Never allocates, never panics.
//! Bench: `auth/verify`.

use super::claims::ClaimError;
use super::token::{Header, Parts};
use crate::base::base64url;
use ring::hmac;

/// A signature algorithm that credentials may use, under its JOSE name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl Algorithm {
    /// Every algorithm, in the order error texts list them.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    /// The algorithm called `name`, to the byte.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in `alg` and in a credential's `algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// What computes its signatures (RFC 7518 §3.2).
    pub fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

/// What verifies a credential's tokens.
#[derive(Debug)]
pub struct JwtCredential {
    /// What a token's claim must say to be judged by this credential.
    lookup_key: Box<str>,
    algorithm: Algorithm,
    key: VerifyingKey,
    /// Leeway for `exp` and `nbf`, in seconds.
    grace_s: u64,
}

/// Prepared key material. Its `Debug` shows no key.
#[derive(Debug)]
enum VerifyingKey {
    Hmac(hmac::Key),
}

impl JwtCredential {
    /// A credential that tokens address as `lookup_key` and sign with `secret`.
    pub fn hmac(lookup_key: &str, algorithm: Algorithm, secret: &[u8], grace_s: u64) -> Self {
        let key = VerifyingKey::Hmac(hmac::Key::new(algorithm.hmac(), secret));
        Self { lookup_key: lookup_key.into(), algorithm, key, grace_s }
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

    /// Verifies a token's algorithm and signature; `decoded` is reused for the signature's bytes.
    pub fn verify(&self, header: Header<'_>, parts: &Parts<'_>, decoded: &mut Vec<u8>) -> Result<(), VerifyError> {
        match header.algorithm {
            None => return Err(VerifyError::AlgorithmMissing { expected: self.algorithm }),
            Some(name) if name != self.algorithm.name() => {
                return Err(VerifyError::AlgorithmMismatch { expected: self.algorithm });
            }
            Some(_) => {}
        }
        let signature = base64url::decode_into(parts.signature, decoded).map_err(|_| VerifyError::SignatureEncoding)?;
        match &self.key {
            VerifyingKey::Hmac(key) => {
                hmac::verify(key, parts.signing_input, signature).map_err(|_| VerifyError::SignatureMismatch)
            }
        }
    }
}

/// Why a well-formed token does not prove what it says. The client learns only `failed to verify jwt`.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum VerifyError {
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
        credential.verify(Header { algorithm: alg }, &parts, &mut Vec::new())
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

    #[test]
    fn names_round_trip() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        for name in ["hs256", "RS256", "none", ""] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }
}
