//! Public keys as JSON (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use super::{ED448_BYTES, ED25519_BYTES, KeyFault, PublicKey, RsaPublicKey, point};
use crate::auth::jwt::algorithm::Curve;
use crate::base::base64url;
use serde_json::Value;

/// Reads one JWK. Private members are passed over; what the key says about its use must allow verifying.
pub(super) fn parse(text: &str) -> Result<PublicKey, KeyFault> {
    let jwk: Value = serde_json::from_str(text).map_err(|_| KeyFault::Jwk("it is not JSON"))?;
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err(KeyFault::Jwk("its use is not sig"));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let allows = operations.as_array().is_some_and(|list| list.iter().any(|item| item == "verify"));
        if !allows {
            return Err(KeyFault::Jwk("its key_ops have no verify"));
        }
    }
    match member(&jwk, "kty")? {
        "RSA" => Ok(PublicKey::Rsa(RsaPublicKey::new(&number(&jwk, "n")?, &number(&jwk, "e")?))),
        "EC" => {
            let curve = match member(&jwk, "crv")? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                "P-521" => Curve::P521,
                _ => return Err(KeyFault::Unsupported("a curve other than P-256, P-384 and P-521")),
            };
            Ok(PublicKey::Ec { curve, point: point(curve, &number(&jwk, "x")?, &number(&jwk, "y")?)? })
        }
        "OKP" => {
            let key: Box<[u8]> = number(&jwk, "x")?.into();
            match member(&jwk, "crv")? {
                "Ed25519" if key.len() == ED25519_BYTES => Ok(PublicKey::Ed25519(key)),
                "Ed448" if key.len() == ED448_BYTES => Ok(PublicKey::Ed448(key)),
                "Ed25519" => Err(KeyFault::Invalid("Ed25519")),
                "Ed448" => Err(KeyFault::Invalid("Ed448")),
                _ => Err(KeyFault::Unsupported("a curve other than Ed25519 and Ed448")),
            }
        }
        _ => Err(KeyFault::Unsupported("kty is neither RSA, EC nor OKP")),
    }
}

fn member<'v>(jwk: &'v Value, name: &'static str) -> Result<&'v str, KeyFault> {
    jwk.get(name).and_then(Value::as_str).ok_or(KeyFault::Jwk(match name {
        "kty" => "kty is missing",
        "crv" => "crv is missing",
        _ => "a number of the key is missing",
    }))
}

fn number(jwk: &Value, name: &'static str) -> Result<Vec<u8>, KeyFault> {
    let mut decoded = Vec::new();
    base64url::decode_into(member(jwk, name)?.as_bytes(), &mut decoded)
        .map_err(|_| KeyFault::Jwk("a number is not base64url without padding"))?;
    Ok(decoded)
}
