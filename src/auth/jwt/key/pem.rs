//! Keys in PEM (RFC 7468): SPKI, PKCS#1, PKCS#8 and SEC 1 documents.

use super::{ED448_BYTES, ED25519_BYTES, KeyFault, PrivateKey, PublicKey, RsaPublicKey, checked_point};
use crate::auth::jwt::algorithm::Curve;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::Decode;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier};
use sec1::{EcParameters, EcPrivateKey};
use spki::SubjectPublicKeyInfoRef;

/// The public key in `text`; of a private key its public half.
pub(super) fn public(text: &str) -> Result<PublicKey, KeyFault> {
    let (label, der) = document(text)?;
    match label {
        Label::Public => subject_public_key(&der),
        Label::RsaPublic => pkcs1_public(&der).map(PublicKey::Rsa),
        Label::Private | Label::RsaPrivate | Label::EcPrivate => private_document(label, &der)?.public(),
    }
}

/// The private key in `text`.
pub(super) fn private(text: &str) -> Result<PrivateKey, KeyFault> {
    let (label, der) = document(text)?;
    private_document(label, &der)
}

/// Labels of documents that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Public,
    RsaPublic,
    Private,
    RsaPrivate,
    EcPrivate,
}

/// The first document of a known label. Others may stand before it: `openssl ecparam -genkey` writes parameters first.
fn document(text: &str) -> Result<(Label, Vec<u8>), KeyFault> {
    let documents = ::pem::parse_many(text).map_err(|_| KeyFault::NotPem)?;
    let mut other = KeyFault::NotPem;
    for document in documents {
        let label = match document.tag() {
            "PUBLIC KEY" => Label::Public,
            "RSA PUBLIC KEY" => Label::RsaPublic,
            "PRIVATE KEY" => Label::Private,
            "RSA PRIVATE KEY" => Label::RsaPrivate,
            "EC PRIVATE KEY" => Label::EcPrivate,
            "ENCRYPTED PRIVATE KEY" => return Err(KeyFault::Label("it is encrypted")),
            "CERTIFICATE" => {
                other = KeyFault::Label("a certificate");
                continue;
            }
            _ => {
                other = KeyFault::Label("expected PUBLIC KEY");
                continue;
            }
        };
        // RFC 1421 headers of a legacy private key: its body is encrypted.
        if document.headers().get("DEK-Info").is_some() {
            return Err(KeyFault::Label("it is encrypted"));
        }
        return Ok((label, document.into_contents()));
    }
    Err(other)
}

fn subject_public_key(der: &[u8]) -> Result<PublicKey, KeyFault> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyFault::Der("a public key (SPKI)"))?;
    let key = info.subject_public_key.as_bytes().ok_or(KeyFault::Der("a public key (SPKI)"))?;
    match info.algorithm.oid {
        RSA | RSA_PSS => pkcs1_public(key).map(PublicKey::Rsa),
        EC => {
            let curve = curve(info.algorithm.parameters)?;
            Ok(PublicKey::Ec { curve, point: checked_point(curve, key)? })
        }
        ED25519 if key.len() == ED25519_BYTES => Ok(PublicKey::Ed25519(key.into())),
        ED25519 => Err(KeyFault::Invalid("Ed25519")),
        ED448 if key.len() == ED448_BYTES => Ok(PublicKey::Ed448(key.into())),
        ED448 => Err(KeyFault::Invalid("Ed448")),
        _ => Err(KeyFault::Unsupported("neither RSA, EC, Ed25519 nor Ed448")),
    }
}

fn pkcs1_public(der: &[u8]) -> Result<RsaPublicKey, KeyFault> {
    let key = pkcs1::RsaPublicKeyRef::from_der(der).map_err(|_| KeyFault::Der("an RSA public key"))?;
    Ok(RsaPublicKey::new(key.modulus.as_bytes(), key.public_exponent.as_bytes()))
}

fn private_document(label: Label, der: &[u8]) -> Result<PrivateKey, KeyFault> {
    match label {
        Label::Private => pkcs8_private(der),
        Label::RsaPrivate => pkcs1_private(der),
        Label::EcPrivate => sec1_private(der, None),
        Label::Public | Label::RsaPublic => Err(KeyFault::Label("a public key, expected a private one")),
    }
}

fn pkcs8_private(der: &[u8]) -> Result<PrivateKey, KeyFault> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyFault::Der("a private key (PKCS#8)"))?;
    let key = info.private_key.as_bytes();
    // Both kinds of Edwards keys are one more octet string (RFC 8410 §7).
    let seed = |bytes: usize, name| match <&pkcs8::der::asn1::OctetStringRef>::from_der(key) {
        Ok(seed) if seed.as_bytes().len() == bytes => Ok(seed.as_bytes().into()),
        _ => Err(KeyFault::Invalid(name)),
    };
    match info.algorithm.oid {
        RSA | RSA_PSS => pkcs1_private(key),
        EC => sec1_private(key, Some(curve(info.algorithm.parameters)?)),
        ED25519 => Ok(PrivateKey::Ed25519 { seed: seed(ED25519_BYTES, "Ed25519")? }),
        ED448 => Ok(PrivateKey::Ed448 { seed: seed(ED448_BYTES, "Ed448")? }),
        _ => Err(KeyFault::Unsupported("neither RSA, EC, Ed25519 nor Ed448")),
    }
}

fn pkcs1_private(der: &[u8]) -> Result<PrivateKey, KeyFault> {
    let key = pkcs1::RsaPrivateKeyRef::from_der(der).map_err(|_| KeyFault::Der("an RSA private key"))?;
    let public = RsaPublicKey::new(key.modulus.as_bytes(), key.public_exponent.as_bytes());
    Ok(PrivateKey::Rsa { der: der.into(), public })
}

/// `outer` is the curve that the document around it names; the document itself may leave it out then.
fn sec1_private(der: &[u8], outer: Option<Curve>) -> Result<PrivateKey, KeyFault> {
    let key = EcPrivateKey::from_der(der).map_err(|_| KeyFault::Der("an EC private key"))?;
    let inner = key.parameters.and_then(EcParameters::named_curve);
    let curve = match (outer, inner) {
        (Some(curve), _) => curve,
        (None, Some(oid)) => curve_of(oid)?,
        (None, None) => return Err(KeyFault::Der("an EC private key with a named curve")),
    };
    let point = key.public_key.ok_or(KeyFault::Unsupported("an EC private key without its public half"))?;
    if key.private_key.len() != curve.coordinate_bytes() {
        return Err(KeyFault::Invalid(curve.name()));
    }
    Ok(PrivateKey::Ec { curve, scalar: key.private_key.into(), point: checked_point(curve, point)? })
}

fn curve(parameters: Option<AnyRef<'_>>) -> Result<Curve, KeyFault> {
    let oid = parameters.and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok());
    curve_of(oid.ok_or(KeyFault::Unsupported("a curve without a name"))?)
}

fn curve_of(oid: ObjectIdentifier) -> Result<Curve, KeyFault> {
    match oid {
        P256 => Ok(Curve::P256),
        P384 => Ok(Curve::P384),
        P521 => Ok(Curve::P521),
        _ => Err(KeyFault::Unsupported("a curve other than P-256, P-384 and P-521")),
    }
}

/// `rsaEncryption` (RFC 8017 §A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `id-RSASSA-PSS` (RFC 8017 §A.2.3).
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// `id-ecPublicKey` (RFC 5480 §2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp256r1` (RFC 5480 §2.1.1.1).
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// `secp384r1`.
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// `secp521r1`.
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// `id-Ed25519` (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// `id-Ed448`.
const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
