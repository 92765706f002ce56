//! Tokens made by another library than the gateway's.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// An HS256 token whose payload is `claims` with the claim `key` set, unless `claims` already sets it.
pub(crate) fn token(key: &str, secret: &[u8], claims: Value) -> String {
    let mut payload = json!({ "key": key });
    if let (Some(payload), Value::Object(claims)) = (payload.as_object_mut(), claims) {
        payload.extend(claims);
    }
    signed(Algorithm::HS256, &EncodingKey::from_secret(secret), &payload)
}

/// A token with any algorithm and payload.
pub(crate) fn signed(algorithm: Algorithm, key: &EncodingKey, payload: &Value) -> String {
    encode(&Header::new(algorithm), payload, key).expect("a token can be made")
}

/// Seconds since the Unix epoch, for `exp` and `nbf`.
#[allow(clippy::disallowed_methods, reason = "a test is the shell that reads the clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970").as_secs()
}
