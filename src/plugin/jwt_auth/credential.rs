//! The consumer's side of `jwt-auth`: what a consumer or credential carries (spec/jwt-auth §2.2, §9.1).
//!
//! Configuration in, key material out. Runs on the control side, once per change. No error text holds a secret.

use crate::auth::consumer::AuthMaterial;
use crate::auth::jwt::algorithm::Family;
use crate::auth::jwt::issue::{CLAIM_NAME, LIFETIME_S};
use crate::auth::jwt::key::PrivateKey;
use crate::auth::jwt::{Algorithm, Issuer, JwtCredential, KeyFault, PublicKey, SigningKey, VerifyingKey};
use crate::plugin;
use crate::schema::{holds_reference, starts_like_reference};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

/// `ringgate.jwt`, as far as it is about credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// `require_secret`: an HS* credential must be written with its secret, none is generated.
    pub require_secret: bool,
    /// `sign_x5c`: tokens that the sign endpoint makes by RS* and ES* carry the public key's text in `x5c`.
    pub sign_x5c: bool,
}

/// Checks what the schema cannot say.
pub(super) fn check(configuration: &Value) -> Result<(), String> {
    let secret = text(configuration, "secret");
    if text(configuration, "algorithm").is_some_and(starts_like_reference) {
        return Ok(());
    }
    let algorithm = algorithm(configuration)?;
    if let Some(secret) = secret.filter(|secret| is_base64(configuration) && !starts_like_reference(secret)) {
        decode_secret(secret).map_err(|fault| fault.to_string())?;
    }
    // A key that cannot be read is the log's business, as in APISIX; one that this build cannot verify with is not.
    match verifying_key(configuration, algorithm) {
        Err(fault @ KeyFault::NotBuilt(_)) => Err(fault.to_string()),
        _ => Ok(()),
    }
}

/// Generates the secret that an HS* credential was written without: base64 of 32 random bytes.
///
/// Whatever is there stays, and so does whatever the schema will refuse. With `require_secret`, refuses instead.
pub(super) fn complete(configuration: &mut Value, rules: plugin::Rules) -> Result<(), String> {
    let has_hmac = algorithm(configuration).is_ok_and(Algorithm::is_hmac);
    let Some(members) = configuration.as_object_mut() else { return Ok(()) };
    if !has_hmac || members.contains_key("secret") {
        return Ok(());
    }
    if rules.jwt_auth.require_secret {
        return Err("property \"secret\" is required when using HS based algorithms".to_owned());
    }
    let mut bytes = [0_u8; GENERATED_SECRET_BYTES];
    if SystemRandom::new().fill(&mut bytes).is_ok() {
        members.insert("secret".into(), base64_simd::STANDARD.encode_to_string(bytes).into());
    }
    Ok(())
}

/// Builds what verifies tokens. All references must be resolved: an unresolved one would make its own text a secret.
///
/// A credential whose key cannot be used is built without one: its tokens are told apart from those of nobody.
pub(super) fn build(configuration: &Value, rules: plugin::Rules) -> Result<AuthMaterial, String> {
    if holds_reference(configuration) {
        return Err("a secret reference is not resolved".into());
    }
    let key = text(configuration, "key").filter(|key| !key.is_empty()).ok_or("property \"key\" is required")?;
    let algorithm = algorithm(configuration)?;
    let grace_s = configuration.get("lifetime_grace_period").map_or(Some(0), whole_seconds);
    let grace_s = grace_s.ok_or("property \"lifetime_grace_period\" validation failed: expected whole seconds")?;
    let verifying_key = verifying_key(configuration, algorithm);
    let issuer = issuer(configuration, algorithm, rules.jwt_auth)?;
    Ok(AuthMaterial::Jwt(JwtCredential::new(key, algorithm, verifying_key, grace_s).with_issuer(issuer)))
}

/// What only the sign endpoint uses. A private key that cannot be used does not keep tokens from being verified.
fn issuer(configuration: &Value, algorithm: Algorithm, rules: Rules) -> Result<Issuer, String> {
    let lifetime_s = configuration.get("exp").map_or(Some(LIFETIME_S), whole_seconds).filter(|seconds| *seconds > 0);
    let lifetime_s = lifetime_s.ok_or("property \"exp\" validation failed: expected whole seconds, at least 1")?;
    let private_key = text(configuration, "private_key").filter(|_| !algorithm.is_hmac());
    let sign = |text: &str| SigningKey::private(algorithm, &PrivateKey::parse(text)?);
    let has_x5c = rules.sign_x5c && matches!(algorithm.family(), Family::RsaPkcs1(_) | Family::Ecdsa(_));
    Ok(Issuer {
        key: private_key.map(sign).transpose(),
        lifetime_s,
        claim_name: text(configuration, "key_claim_name").unwrap_or(CLAIM_NAME).into(),
        x5c: text(configuration, "public_key").filter(|_| has_x5c).map(Into::into),
    })
}

fn verifying_key(configuration: &Value, algorithm: Algorithm) -> Result<VerifyingKey, KeyFault> {
    if !algorithm.is_hmac() {
        let public_key = text(configuration, "public_key").ok_or(KeyFault::PublicKeyMissing)?;
        return VerifyingKey::public(algorithm, PublicKey::parse(public_key)?);
    }
    let secret = text(configuration, "secret").ok_or(KeyFault::SecretMissing)?;
    if is_base64(configuration) {
        return VerifyingKey::hmac(algorithm, &decode_secret(secret)?);
    }
    VerifyingKey::hmac(algorithm, secret.as_bytes())
}

fn text<'v>(configuration: &'v Value, name: &str) -> Option<&'v str> {
    configuration.get(name).and_then(Value::as_str)
}

fn is_base64(configuration: &Value) -> bool {
    configuration.get("base64_secret").and_then(Value::as_bool).unwrap_or(false)
}

fn algorithm(configuration: &Value) -> Result<Algorithm, String> {
    let name = match configuration.get("algorithm") {
        None => Algorithm::Hs256.name(),
        Some(name) => name.as_str().unwrap_or("of another type than string"),
    };
    Algorithm::from_name(name).ok_or_else(|| format!("algorithm {name} is not known"))
}

/// Decodes the secret of a credential with `base64_secret`: standard base64, as leniently as APISIX reads it, so that
/// every secret written there keeps working. Padding may be missing, and the last character's spare bits are ignored;
/// the url alphabet and white space are refused.
pub fn decode_secret(secret: &str) -> Result<Vec<u8>, KeyFault> {
    let digits = secret.trim_end_matches('=');
    let padding = secret.len() - digits.len();
    let is_standard = digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    if padding > BASE64_PADDING_MAX || digits.is_empty() || !is_standard {
        return Err(KeyFault::SecretNotBase64);
    }
    base64_simd::forgiving_decode_to_vec(digits.as_bytes()).map_err(|_| KeyFault::SecretNotBase64)
}

/// A whole number of seconds, also when written as `60.0`; too large a one counts as the largest.
fn whole_seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        value.as_f64().filter(|seconds| *seconds >= 0.0 && seconds.fract() == 0.0).map(|seconds| seconds as u64)
    })
}

/// As many as APISIX generated, and as RFC 7518 §3.2 asks of an HS256 key.
const GENERATED_SECRET_BYTES: usize = 32;

/// More `=` than any length needs.
const BASE64_PADDING_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const RULES: plugin::Rules = plugin::Rules { jwt_auth: Rules { require_secret: false, sign_x5c: false } };

    fn built(configuration: &Value) -> Result<(), String> {
        build(configuration, RULES).map(|_| ())
    }

    #[test]
    fn checks_go_beyond_the_schema() {
        let not_base64 = Err(KeyFault::SecretNotBase64.to_string());
        let cases = [
            (json!({"key": "k"}), Ok(())),
            (json!({"key": "k", "secret": "s", "algorithm": "HS384"}), Ok(())),
            (json!({"key": "k", "algorithm": "RS256", "public_key": "no key, and no reason to refuse"}), Ok(())),
            (json!({"key": "k", "algorithm": "RS256", "public_key": "p", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "algorithm": "RS257"}), Err("algorithm RS257 is not known".to_owned())),
            (json!({"key": "k", "secret": "c2VjcmV0", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "secret": "c2VjcmV0cw==", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "secret": "c2VjcmV0cw", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "secret": "c2VjcmV0cx==", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "secret": "c2Vj-mV0", "base64_secret": true}), not_base64.clone()),
            (json!({"key": "k", "secret": "c2Vj cmV0", "base64_secret": true}), not_base64.clone()),
            (json!({"key": "k", "secret": "c2VjcmV0===", "base64_secret": true}), not_base64.clone()),
            (json!({"key": "k", "secret": "c2Vjc", "base64_secret": true}), not_base64.clone()),
            (json!({"key": "k", "secret": "==", "base64_secret": true}), not_base64),
            (json!({"key": "k", "secret": "not base64!", "base64_secret": false}), Ok(())),
            (json!({"key": "k", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "secret": "$secret://vault/1/k", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "secret": "$Env://SECRET", "base64_secret": true}), Ok(())),
            (json!({"key": "k", "algorithm": "$ENV://ALGORITHM"}), Ok(())),
        ];
        for (configuration, want) in cases {
            assert_eq!(check(&configuration), want, "{configuration}");
        }
    }

    #[test]
    fn only_what_can_verify_is_built() {
        let exp = Err("property \"exp\" validation failed: expected whole seconds, at least 1".to_owned());
        let unresolved = Err("a secret reference is not resolved".to_owned());
        let cases = [
            (json!({"key": "k", "secret": "s"}), Ok(())),
            (json!({"key": "k", "secret": "s", "lifetime_grace_period": 60.0, "exp": 1, "extra": [1]}), Ok(())),
            (json!({"secret": "s"}), Err("property \"key\" is required".to_owned())),
            (json!({"key": "k", "secret": "$env://S"}), unresolved.clone()),
            (json!({"key": "$secret://vault/1/k", "secret": "s"}), unresolved.clone()),
            (json!({"key": "k", "secret": "s", "extra": {"deep": ["$ENV://X"]}}), unresolved),
            (json!({"key": "k", "secret": "s", "exp": 0}), exp.clone()),
            (json!({"key": "k", "secret": "s", "exp": 1.5}), exp),
        ];
        for (configuration, want) in cases {
            assert_eq!(built(&configuration), want, "{configuration}");
        }
        for (configuration, want) in [
            (json!({"key": "k"}), KeyFault::SecretMissing),
            (json!({"key": "k", "secret": ""}), KeyFault::SecretMissing),
            (json!({"key": "k", "secret": "@", "base64_secret": true}), KeyFault::SecretNotBase64),
            (json!({"key": "k", "secret": "s", "algorithm": "ES256"}), KeyFault::PublicKeyMissing),
            (json!({"key": "k", "public_key": "s", "algorithm": "ES256"}), KeyFault::NotPem),
            (json!({"key": "k", "public_key": "{}", "algorithm": "EdDSA"}), KeyFault::Jwk("kty is missing")),
        ] {
            assert_eq!(build(&configuration, RULES).unwrap().fault(), Some(want), "{configuration}");
        }
        for (configuration, want) in [
            (json!({"key": "k", "secret": "s", "private_key": "unread"}), None),
            (json!({"key": "k", "public_key": "p", "algorithm": "ES256"}), None),
            (json!({"key": "k", "public_key": "p", "algorithm": "ES256", "private_key": "x"}), Some(KeyFault::NotPem)),
        ] {
            assert_eq!(build(&configuration, RULES).unwrap().signing_fault(), want, "{configuration}");
        }
        let AuthMaterial::Jwt(jwt) =
            build(&json!({"key": "k", "secret": "s", "algorithm": "HS512", "lifetime_grace_period": 60}), RULES)
                .unwrap();
        assert_eq!((jwt.lookup_key(), jwt.algorithm(), jwt.grace_s()), ("k", Algorithm::Hs512, 60));
    }

    /// spec/jwt-auth §9.1.
    #[test]
    fn a_missing_secret_is_generated_once() {
        let mut configuration = json!({"key": "k"});
        complete(&mut configuration, RULES).unwrap();
        let first = configuration["secret"].as_str().unwrap().to_owned();
        assert_eq!(decode_secret(&first).unwrap().len(), GENERATED_SECRET_BYTES);
        complete(&mut configuration, RULES).unwrap();
        assert_eq!(configuration["secret"], first.as_str(), "what is there stays");
        let mut other = json!({"key": "k", "algorithm": "HS512"});
        complete(&mut other, RULES).unwrap();
        assert_ne!(other["secret"], first.as_str(), "random");
        assert_eq!(built(&other), Ok(()));
    }

    #[test]
    fn where_secrets_are_required_none_is_generated() {
        let strict = plugin::Rules { jwt_auth: Rules { require_secret: true, ..Rules::default() } };
        let refused = Err("property \"secret\" is required when using HS based algorithms".to_owned());
        let cases = [
            (json!({"key": "k"}), refused.clone()),
            (json!({"key": "k", "algorithm": "HS512", "base64_secret": true}), refused),
            (json!({"key": "k", "secret": "s"}), Ok(())),
            (json!({"key": "k", "secret": "$env://SECRET"}), Ok(())),
            (json!({"key": "k", "algorithm": "$env://ALGORITHM"}), Ok(())),
            (json!({"key": "k", "algorithm": "RS256", "public_key": "p"}), Ok(())),
        ];
        for (configuration, want) in cases {
            let mut completed = configuration.clone();
            assert_eq!(complete(&mut completed, strict), want, "{configuration}");
            assert_eq!(completed, configuration, "nothing is added");
        }
        assert_eq!(
            build(&json!({"key": "k"}), strict).unwrap().fault(),
            Some(KeyFault::SecretMissing),
            "what is stored already is known, and verifies nothing"
        );
    }

    /// What a build without the feature cannot verify with is refused when it is written; what nobody can read is not.
    #[test]
    fn a_key_that_this_build_cannot_verify_with_is_refused() {
        let cases = [
            ("ES512", include_str!("../../../tests/data/keys/p-521.pem"), "ES512"),
            ("EdDSA", include_str!("../../../tests/data/keys/ed448.pem"), "Ed448"),
            ("RS256", include_str!("../../../tests/data/keys/rsa-1024.pem"), "an RSA key below 2048 bits"),
            ("PS256", include_str!("../../../tests/data/keys/rsa-1024.pem"), "an RSA key below 2048 bits"),
        ];
        for (algorithm, pem, what) in cases {
            let configuration = json!({"key": "k", "algorithm": algorithm, "public_key": pem});
            let refusal = format!("{what} needs a build with the cargo feature extra-algorithms");
            let want = if cfg!(feature = "extra-algorithms") { Ok(()) } else { Err(refusal) };
            assert_eq!(check(&configuration), want, "{algorithm}");
        }
        for (algorithm, pem) in [
            ("ES256", include_str!("../../../tests/data/keys/p-256.pem")),
            ("EdDSA", include_str!("../../../tests/data/keys/ed25519.pem")),
            ("PS256", include_str!("../../../tests/data/keys/rsa-2048.pem")),
            ("ES256", "no key"),
        ] {
            let configuration = json!({"key": "k", "algorithm": algorithm, "public_key": pem});
            assert_eq!(check(&configuration), Ok(()), "{algorithm}");
        }
    }

    #[test]
    fn nothing_else_is_completed() {
        for configuration in [
            json!({"key": "k", "secret": null}),
            json!({"key": "k", "secret": ""}),
            json!({"key": "k", "algorithm": "RS256", "public_key": "p"}),
            json!({"key": "k", "algorithm": 5}),
            json!({"key": "k", "algorithm": "$env://ALGORITHM"}),
            json!([]),
            json!(null),
        ] {
            let mut completed = configuration.clone();
            complete(&mut completed, RULES).unwrap();
            assert_eq!(completed, configuration);
        }
    }
}
