//! What ring cannot verify, through the `RustCrypto` crates: ES512, Ed448, RSA keys below 2048 bits, PSS with any salt length.
//!
//! Behind the cargo feature `extra-algorithms`, on by default. Without it every constructor answers
//! [`KeyFault::NotBuilt`], so that a credential that needs it is refused when it is written. Verifying may allocate
//! and costs several times what ring would; nothing secret is handled. Bench: `auth/verify`.

#[cfg(feature = "extra-algorithms")]
pub(super) use built::{ed448_public, ed448_signer, es512_signer, verifier};
#[cfg(not(feature = "extra-algorithms"))]
pub(super) use left_out::{ed448_public, ed448_signer, es512_signer, verifier};

/// Verifies with one key by one algorithm.
pub(super) trait Verify: Send + Sync {
    /// Whether `signature` is the key's over `message`.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// Signs with one key.
pub(super) trait Sign: Send + Sync {
    /// The signature over `message` as JOSE writes it.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

#[cfg(feature = "extra-algorithms")]
mod built {
    use super::{Sign, Verify};
    use crate::auth::jwt::algorithm::{Algorithm, Curve, Family, Hash};
    use crate::auth::jwt::key::{ED448_BYTES, KeyFault, PublicKey, RSA_BITS_MAX, RSA_BITS_MIN, RsaPublicKey};
    use rsa::BoxedUint;
    use rsa::pkcs1v15;
    use rsa::pss;
    use rsa::signature::{Signer, Verifier};
    use sha2::{Sha256, Sha384, Sha512};
    use std::marker::PhantomData;

    /// What verifies `algorithm` with `key`.
    pub(in crate::auth::jwt) fn verifier(algorithm: Algorithm, key: &PublicKey) -> Result<Box<dyn Verify>, KeyFault> {
        match (algorithm.family(), key) {
            (Family::RsaPkcs1(hash), PublicKey::Rsa(key)) => {
                let key = rsa_key(key)?;
                Ok(match hash {
                    Hash::Sha256 => Keyed::boxed(pkcs1v15::VerifyingKey::<Sha256>::new(key)),
                    Hash::Sha384 => Keyed::boxed(pkcs1v15::VerifyingKey::<Sha384>::new(key)),
                    Hash::Sha512 => Keyed::boxed(pkcs1v15::VerifyingKey::<Sha512>::new(key)),
                })
            }
            (Family::RsaPss(hash), PublicKey::Rsa(key)) => {
                let key = rsa_key(key)?;
                Ok(match hash {
                    Hash::Sha256 => Keyed::boxed(pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(key)),
                    Hash::Sha384 => Keyed::boxed(pss::VerifyingKey::<Sha384>::new_with_auto_salt_len(key)),
                    Hash::Sha512 => Keyed::boxed(pss::VerifyingKey::<Sha512>::new_with_auto_salt_len(key)),
                })
            }
            (Family::Ecdsa(Curve::P521), PublicKey::Ec { curve: Curve::P521, point }) => {
                let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(point);
                Ok(Keyed::<_, p521::ecdsa::Signature>::boxed(key.map_err(|_| KeyFault::Invalid("P-521"))?))
            }
            (Family::EdDsa, PublicKey::Ed448(point)) => {
                let bytes = point.as_ref().try_into().map_err(|_| KeyFault::Invalid("Ed448"))?;
                let key = ed448_goldilocks::VerifyingKey::from_bytes(&bytes).ok();
                let key = key.filter(|_| is_point_of_ed448(point)).ok_or(KeyFault::Invalid("Ed448"))?;
                Ok(Box::new(Ed448(key)))
            }
            _ => Err(KeyFault::Mismatch { algorithm, found: key.type_name() }),
        }
    }

    /// The public half of an Ed448 private key.
    pub(in crate::auth::jwt) fn ed448_public(seed: &[u8]) -> Result<Box<[u8]>, KeyFault> {
        let key = ed448_goldilocks::SigningKey::try_from(seed).map_err(|_| KeyFault::Invalid("Ed448"))?;
        Ok(key.verifying_key().as_bytes().as_slice().into())
    }

    /// What signs ES512 with the secret number `scalar`.
    pub(in crate::auth::jwt) fn es512_signer(scalar: &[u8]) -> Result<Box<dyn Sign>, KeyFault> {
        let key = p521::ecdsa::SigningKey::from_slice(scalar).map_err(|_| KeyFault::Invalid("P-521"))?;
        Ok(Box::new(key))
    }

    /// What signs with the Ed448 key `seed`.
    pub(in crate::auth::jwt) fn ed448_signer(seed: &[u8]) -> Result<Box<dyn Sign>, KeyFault> {
        let key = ed448_goldilocks::SigningKey::try_from(seed).map_err(|_| KeyFault::Invalid("Ed448"))?;
        Ok(Box::new(key))
    }

    impl Sign for p521::ecdsa::SigningKey {
        fn sign(&self, message: &[u8]) -> Vec<u8> {
            let signature: p521::ecdsa::Signature = Signer::sign(self, message);
            signature.to_bytes().to_vec()
        }
    }

    impl Sign for ed448_goldilocks::SigningKey {
        fn sign(&self, message: &[u8]) -> Vec<u8> {
            self.sign_raw(message).to_bytes().to_vec()
        }
    }

    fn rsa_key(key: &RsaPublicKey) -> Result<rsa::PublicKey, KeyFault> {
        let number = |bytes: &[u8]| BoxedUint::from_be_slice_vartime(bytes);
        let (modulus, exponent) = (number(&key.modulus), number(&key.exponent));
        rsa::PublicKey::new_with_size_limits(modulus, exponent, RSA_BITS_MIN..=RSA_BITS_MAX)
            .map_err(|_| KeyFault::Invalid("RSA"))
    }

    /// An Ed448 key.
    struct Ed448(ed448_goldilocks::VerifyingKey);

    impl Verify for Ed448 {
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            let Ok(read) = ed448_goldilocks::Signature::try_from(signature) else { return false };
            signature.get(..ED448_BYTES).is_some_and(is_point_of_ed448) && self.0.verify(message, &read).is_ok()
        }
    }

    /// Whether the spare bits of an encoded point are zero (RFC 8032 §5.2.3): the library passes over them, and a
    /// signature would have 128 spellings.
    fn is_point_of_ed448(encoded: &[u8]) -> bool {
        encoded.last().is_some_and(|last| last.trailing_zeros() >= 7)
    }

    /// A key, and the type its signatures are read into.
    struct Keyed<K, S> {
        key: K,
        signature: PhantomData<fn() -> S>,
    }

    impl<K, S> Keyed<K, S>
    where
        K: Verifier<S> + Send + Sync + 'static,
        S: for<'s> TryFrom<&'s [u8]> + 'static,
    {
        fn boxed(key: K) -> Box<dyn Verify> {
            Box::new(Self { key, signature: PhantomData })
        }
    }

    impl<K, S> Verify for Keyed<K, S>
    where
        K: Verifier<S> + Send + Sync,
        S: for<'s> TryFrom<&'s [u8]>,
    {
        fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
            S::try_from(signature).is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
        }
    }
}

#[cfg(not(feature = "extra-algorithms"))]
mod left_out {
    use super::{Sign, Verify};
    use crate::auth::jwt::algorithm::{Algorithm, Curve, Family};
    use crate::auth::jwt::key::{KeyFault, PublicKey};

    pub(in crate::auth::jwt) fn verifier(algorithm: Algorithm, key: &PublicKey) -> Result<Box<dyn Verify>, KeyFault> {
        Err(match (algorithm.family(), key) {
            (Family::RsaPkcs1(_) | Family::RsaPss(_), PublicKey::Rsa(_)) => {
                KeyFault::NotBuilt("an RSA key below 2048 bits")
            }
            (Family::Ecdsa(Curve::P521), PublicKey::Ec { curve: Curve::P521, .. }) => KeyFault::NotBuilt("ES512"),
            (Family::EdDsa, PublicKey::Ed448(_)) => KeyFault::NotBuilt("Ed448"),
            _ => KeyFault::Mismatch { algorithm, found: key.type_name() },
        })
    }

    pub(in crate::auth::jwt) fn ed448_public(_seed: &[u8]) -> Result<Box<[u8]>, KeyFault> {
        Err(KeyFault::NotBuilt("Ed448"))
    }

    pub(in crate::auth::jwt) fn es512_signer(_scalar: &[u8]) -> Result<Box<dyn Sign>, KeyFault> {
        Err(KeyFault::NotBuilt("ES512"))
    }

    pub(in crate::auth::jwt) fn ed448_signer(_seed: &[u8]) -> Result<Box<dyn Sign>, KeyFault> {
        Err(KeyFault::NotBuilt("Ed448"))
    }
}

#[cfg(all(test, feature = "extra-algorithms"))]
mod tests {
    use super::*;
    use crate::auth::jwt::algorithm::Algorithm;
    use crate::auth::jwt::key::{ED448_BYTES, KeyFault, PublicKey};

    #[test]
    fn an_ed448_signature_has_one_spelling() {
        let seed = [7; ED448_BYTES];
        let key = |point: &[u8]| verifier(Algorithm::EdDsa, &PublicKey::Ed448(point.into()));
        let point = ed448_public(&seed).unwrap();
        let verifier = key(&point).unwrap();
        let signature = ed448_signer(&seed).unwrap().sign(b"message");
        assert!(verifier.verify(b"message", &signature));
        for bit in 0..7 {
            for last in [ED448_BYTES - 1, 2 * ED448_BYTES - 1] {
                let mut other = signature.clone();
                other[last] ^= 1 << bit;
                assert!(!verifier.verify(b"message", &other), "bit {bit} of byte {last}");
            }
            let mut other = point.clone();
            other[ED448_BYTES - 1] ^= 1 << bit;
            assert_eq!(key(&other).err(), Some(KeyFault::Invalid("Ed448")), "bit {bit} of the key");
        }
    }
}
