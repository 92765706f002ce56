//! Signature algorithms by their JOSE names (RFC 7518 §3.1, RFC 8037 §3.1).

use ring::hmac;

/// A signature algorithm that credentials may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PSS with SHA-256, and MGF1 with the same.
    Ps256,
    /// RSASSA-PSS with SHA-384, and MGF1 with the same.
    Ps384,
    /// RSASSA-PSS with SHA-512, and MGF1 with the same.
    Ps512,
    /// Ed25519 or Ed448, whichever the key is of.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, in the order error texts list them (spec/jwt-auth §2.2).
    pub const ALL: [Self; 13] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::EdDsa,
    ];

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
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// What kind of signature it makes, and over which hash.
    pub fn family(self) -> Family {
        match self {
            Self::Hs256 => Family::Hmac(hmac::HMAC_SHA256),
            Self::Hs384 => Family::Hmac(hmac::HMAC_SHA384),
            Self::Hs512 => Family::Hmac(hmac::HMAC_SHA512),
            Self::Rs256 => Family::RsaPkcs1(Hash::Sha256),
            Self::Rs384 => Family::RsaPkcs1(Hash::Sha384),
            Self::Rs512 => Family::RsaPkcs1(Hash::Sha512),
            Self::Es256 => Family::Ecdsa(Curve::P256),
            Self::Es384 => Family::Ecdsa(Curve::P384),
            Self::Es512 => Family::Ecdsa(Curve::P521),
            Self::Ps256 => Family::RsaPss(Hash::Sha256),
            Self::Ps384 => Family::RsaPss(Hash::Sha384),
            Self::Ps512 => Family::RsaPss(Hash::Sha512),
            Self::EdDsa => Family::EdDsa,
        }
    }

    /// Whether it is keyed with a shared secret.
    pub fn is_hmac(self) -> bool {
        matches!(self.family(), Family::Hmac(_))
    }
}

/// Algorithms that differ in their hash alone.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// A MAC with a shared secret (RFC 7518 §3.2).
    Hmac(hmac::Algorithm),
    /// RSASSA-PKCS1-v1_5 (RFC 7518 §3.3).
    RsaPkcs1(Hash),
    /// ECDSA; the curve brings its hash (RFC 7518 §3.4).
    Ecdsa(Curve),
    /// RSASSA-PSS (RFC 7518 §3.5).
    RsaPss(Hash),
    /// `EdDSA`; the key brings its curve (RFC 8037 §3.1).
    EdDsa,
}

/// A hash of the SHA-2 family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A curve of ECDSA keys (RFC 7518 §6.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl Curve {
    /// Its JOSE name.
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of one coordinate, and of each half of a signature.
    pub fn coordinate_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
        }
        for name in ["hs256", "RS257", "EDDSA", "none", ""] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }
}
