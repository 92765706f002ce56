//! Makes a token (RFC 7515 §7.1, compact form).

use crate::auth::jwt::SigningKey;
use crate::auth::jwt::signing::SignError;
use serde_json::{Map, Value, json};

/// What is to be signed.
pub(super) struct Order {
    pub(super) key: String,
    pub(super) key_claim_name: String,
    pub(super) claims: Vec<(String, Value)>,
    /// Seconds from now; 0 means no `exp`; `None` means a day, unless `claims` has an `exp`.
    pub(super) expires_s: Option<u64>,
}

/// The token, signed with `key` at `now`, seconds since the Unix epoch.
pub(super) fn sign(order: Order, key: &SigningKey, now: u64) -> Result<String, SignError> {
    let mut claims: Map<String, Value> = order.claims.into_iter().collect();
    claims.insert(order.key_claim_name, Value::String(order.key));
    match order.expires_s {
        None if claims.contains_key("exp") => {}
        Some(0) => {
            claims.shift_remove("exp");
        }
        expires_s => {
            claims.insert("exp".to_owned(), json!(now.saturating_add(expires_s.unwrap_or(EXPIRES_S))));
        }
    }
    key.token(&claims, Map::new())
}

/// A credential's own default of `exp`.
const EXPIRES_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::Algorithm;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    fn claims_of(token: &str, secret: &[u8], algorithm: jsonwebtoken::Algorithm) -> Value {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        decode::<Value>(token, &DecodingKey::from_secret(secret), &validation).expect("another library agrees").claims
    }

    fn signed(order: Order, algorithm: Algorithm, secret: &[u8], now: u64) -> String {
        sign(order, &SigningKey::hmac(algorithm, secret).unwrap(), now).unwrap()
    }

    fn order(claims: &[(&str, Value)], expires_s: Option<u64>) -> Order {
        let claims = claims.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Order { key: "jack-key".to_owned(), key_claim_name: "key".to_owned(), claims, expires_s }
    }

    #[test]
    fn another_library_verifies_every_algorithm() {
        let pairs = [
            (Algorithm::Hs256, jsonwebtoken::Algorithm::HS256),
            (Algorithm::Hs384, jsonwebtoken::Algorithm::HS384),
            (Algorithm::Hs512, jsonwebtoken::Algorithm::HS512),
        ];
        for (ours, theirs) in pairs {
            let token = signed(order(&[("role", json!("reader"))], None), ours, b"secret", 1_000);
            let want = json!({"role": "reader", "key": "jack-key", "exp": 87_400});
            assert_eq!(claims_of(&token, b"secret", theirs), want, "{ours:?}");
        }
    }

    #[test]
    fn expiry_follows_the_option_then_the_claim_then_a_day() {
        let (none, exp) = (vec![], vec![("exp", json!(5))]);
        let cases = [
            (&none, None, json!(86_410)),
            (&none, Some(60), json!(70)),
            (&none, Some(0), Value::Null),
            (&exp, None, json!(5)),
            (&exp, Some(60), json!(70)),
        ];
        for (claims, expires_s, want) in cases {
            let token = signed(order(claims, expires_s), Algorithm::Hs256, b"s", 10);
            assert_eq!(
                claims_of(&token, b"s", jsonwebtoken::Algorithm::HS256)["exp"],
                want,
                "{claims:?} {expires_s:?}"
            );
        }
    }

    #[test]
    fn the_key_goes_into_the_named_claim_whatever_else_is_asked() {
        let mut wish = order(&[("iss", json!("other"))], Some(0));
        wish.key_claim_name = "iss".to_owned();
        let token = signed(wish, Algorithm::Hs256, b"s", 0);
        assert_eq!(claims_of(&token, b"s", jsonwebtoken::Algorithm::HS256), json!({"iss": "jack-key"}));
    }
}
