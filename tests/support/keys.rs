//! OpenSSL as the oracle: keys of every kind, each made once per run, and signatures as JOSE writes them.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "OpenSSL does what is asked of it, or nothing is tested"
)]

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};
use ringgate::auth::jwt::Algorithm;
use std::sync::OnceLock;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa512,
    Rsa1024,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
    P521,
    Ed25519,
    Ed448,
    /// Bitcoin's curve, which no algorithm here uses.
    Secp256k1,
}

impl Kind {
    pub(crate) const ALL: [Self; 11] = [
        Self::Rsa512,
        Self::Rsa1024,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Ed25519,
        Self::Ed448,
        Self::Secp256k1,
    ];

    /// The bits of an RSA modulus.
    pub(crate) fn rsa_bits(self) -> Option<u32> {
        match self {
            Self::Rsa512 => Some(512),
            Self::Rsa1024 => Some(1024),
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            _ => None,
        }
    }

    /// The algorithms that keys of this kind can be used with, as far as the key's length allows.
    pub(crate) fn algorithms(self) -> &'static [Algorithm] {
        use Algorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self {
            Self::P256 => &[Es256],
            Self::P384 => &[Es384],
            Self::P521 => &[Es512],
            Self::Ed25519 | Self::Ed448 => &[EdDsa],
            Self::Secp256k1 => &[],
            _ => &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
        }
    }

    /// The key of this kind.
    pub(crate) fn key(self) -> &'static PKey<Private> {
        static KEYS: [OnceLock<PKey<Private>>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
        let place = Self::ALL.iter().position(|kind| *kind == self).expect("all are listed");
        KEYS[place].get_or_init(|| self.generate())
    }

    /// Another key of this kind.
    pub(crate) fn generate(self) -> PKey<Private> {
        let ec = |curve| {
            let group = EcGroup::from_curve_name(curve).expect("a known curve");
            PKey::from_ec_key(EcKey::generate(&group).expect("an EC key")).expect("a key")
        };
        match self {
            Self::P256 => ec(Nid::X9_62_PRIME256V1),
            Self::P384 => ec(Nid::SECP384R1),
            Self::P521 => ec(Nid::SECP521R1),
            Self::Secp256k1 => ec(Nid::SECP256K1),
            Self::Ed25519 => PKey::generate_ed25519().expect("an Ed25519 key"),
            Self::Ed448 => PKey::generate_ed448().expect("an Ed448 key"),
            _ => {
                let bits = self.rsa_bits().expect("the rest is RSA");
                PKey::from_rsa(Rsa::generate(bits).expect("an RSA key")).expect("a key")
            }
        }
    }

    /// Its public half as `PUBLIC KEY`.
    pub(crate) fn public_pem(self) -> String {
        text(self.key().public_key_to_pem())
    }

    /// The whole key as `PRIVATE KEY`.
    pub(crate) fn private_pem(self) -> String {
        text(self.key().private_key_to_pem_pkcs8())
    }
}

/// The salt of a PSS signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Salt {
    None,
    Hash,
    Longest,
}

/// What `key` signs; an error when its modulus is too short for the hash or the salt.
pub(crate) fn sign_salted(
    algorithm: Algorithm,
    key: &PKey<Private>,
    message: &[u8],
    salt: Salt,
) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let Some(hash) = hash(algorithm) else { return Signer::new_without_digest(key)?.sign_oneshot_to_vec(message) };
    let mut signer = Signer::new(hash, key)?;
    if is_pss(algorithm) {
        signer.set_rsa_padding(Padding::PKCS1_PSS)?;
        signer.set_rsa_pss_saltlen(match salt {
            Salt::None => RsaPssSaltlen::custom(0),
            Salt::Hash => RsaPssSaltlen::DIGEST_LENGTH,
            Salt::Longest => RsaPssSaltlen::MAXIMUM_LENGTH,
        })?;
    }
    let signature = signer.sign_oneshot_to_vec(message)?;
    if key.id() != Id::EC {
        return Ok(signature);
    }
    let numbers = EcdsaSig::from_der(&signature)?;
    let bytes = i32::try_from(coordinate_bytes(key)).expect("a small number");
    Ok([numbers.r().to_vec_padded(bytes)?, numbers.s().to_vec_padded(bytes)?].concat())
}

/// What `key` signs, with the salt that RFC 7518 §3.5 asks for.
pub(crate) fn sign(algorithm: Algorithm, key: &PKey<Private>, message: &[u8]) -> Vec<u8> {
    sign_salted(algorithm, key, message, Salt::Hash).expect("the key is long enough")
}

/// Whether OpenSSL verifies a signature in JOSE's form; of PSS only with a salt as long as the hash.
pub(crate) fn verifies(algorithm: Algorithm, key: &PKey<Private>, message: &[u8], signature: &[u8]) -> bool {
    let Some(hash) = hash(algorithm) else {
        let mut verifier = Verifier::new_without_digest(key).expect("a verifier");
        return verifier.verify_oneshot(signature, message).unwrap_or(false);
    };
    if algorithm.is_hmac() {
        return Signer::new(hash, key).and_then(|mut signer| signer.sign_oneshot_to_vec(message)).expect("a MAC")
            == signature;
    }
    let mut verifier = Verifier::new(hash, key).expect("a verifier");
    if is_pss(algorithm) {
        verifier.set_rsa_padding(Padding::PKCS1_PSS).expect("an RSA key");
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).expect("an RSA key");
    }
    let der = (key.id() == Id::EC).then(|| {
        let (r, s) = signature.split_at(coordinate_bytes(key));
        to_der(r, s)
    });
    verifier.verify_oneshot(der.as_deref().unwrap_or(signature), message).unwrap_or(false)
}

/// An ECDSA signature in DER.
pub(crate) fn to_der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let number = |bytes| BigNum::from_slice(bytes).expect("a number");
    EcdsaSig::from_private_components(number(r), number(s)).and_then(|numbers| numbers.to_der()).expect("DER")
}

/// Bytes of the curve's coordinates.
pub(crate) fn coordinate_bytes(key: &PKey<Private>) -> usize {
    (key.bits() as usize).div_ceil(8)
}

fn is_pss(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512)
}

fn hash(algorithm: Algorithm) -> Option<MessageDigest> {
    match &algorithm.name()[2..] {
        "256" => Some(MessageDigest::sha256()),
        "384" => Some(MessageDigest::sha384()),
        "512" => Some(MessageDigest::sha512()),
        _ => None,
    }
}

/// PEM as text.
pub(crate) fn text(pem: Result<Vec<u8>, openssl::error::ErrorStack>) -> String {
    String::from_utf8(pem.expect("the key can be written")).expect("PEM is ASCII")
}
