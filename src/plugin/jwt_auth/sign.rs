//! The sign endpoint: `GET /apisix/plugin/jwt/sign?key=…&payload=…` (spec/jwt-auth §9.2).
//!
//! A query, the worker's credentials and the time in, an answer out: a token, or why there is none. Reached only
//! through a route with `public-api`. **Whoever reaches it and knows a `key` is given a token**; what else they must
//! prove is the route's business. Runs once per token asked for, allocates freely, and takes the worker about a
//! millisecond where it signs by RSA. Never waits or panics. No key, secret or token appears in the log.

use super::NAME;
use crate::auth::consumer::{AuthMaterial, ConsumerTable};
use crate::auth::jwt::IssueError;
use crate::http::answer::page;
use crate::http::query::{self, ArgumentError, Decoded};
use crate::http::request::Request;
use crate::plugin::Answer;
use crate::plugin::public_api::Endpoint;
use serde_json::{Map, Value};

/// The endpoint, as `public-api` dispatches to it.
pub(in crate::plugin) const ENDPOINT: Endpoint = Endpoint { method: b"GET", path: b"/apisix/plugin/jwt/sign", answer };

fn answer(request: &Request<'_>, consumers: &ConsumerTable, unix_s: u64) -> Answer {
    match sign(request.query, consumers, unix_s) {
        Ok(token) => text(200, token),
        Err(refusal) => refusal.answer(),
    }
}

/// The token that `query` asks for. The refusals come in the original's order.
fn sign(query: &[u8], consumers: &ConsumerTable, unix_s: u64) -> Result<String, Refusal> {
    // An argument that stands there without a value, or twice, names nobody.
    let key = query::argument(query, b"key").ok_or(Refusal::KeyMissing)?.map_err(|_| Refusal::KeyUnknown)?;
    let key = String::from_utf8(decoded(key)).map_err(|_| Refusal::KeyUnknown)?;
    let credential = consumers.credential(NAME, &key).ok_or(Refusal::KeyUnknown)?;
    let AuthMaterial::Jwt(jwt) = &credential.material;
    let outcome = if jwt.can_issue() {
        let claims = claims(query::argument(query, b"payload"))?;
        jwt.issue(claims, unix_s)
    } else {
        Err(IssueError::NoKey)
    };
    tracing::debug!(
        consumer = &*credential.identity.username,
        credential = credential.identity.credential_id.as_deref(),
        unix_s,
        error = outcome.as_ref().err().map(tracing::field::display),
        "jwt-auth: asked for a token"
    );
    outcome.map_err(|error| match error {
        IssueError::NoKey => Refusal::NoSigningKey,
        IssueError::Sign(_) => Refusal::NotSigned,
    })
}

/// The members of the JSON object that `payload` holds, escaped once or, as the original has it, twice.
fn claims(payload: Option<Result<&[u8], ArgumentError>>) -> Result<Map<String, Value>, Refusal> {
    let Some(payload) = payload else { return Ok(Map::new()) };
    let once = decoded(payload.map_err(|_| Refusal::PayloadInvalid)?);
    // What is JSON already must not be decoded again: it may well hold a `%` or a `+`.
    let value = serde_json::from_slice(&once).or_else(|_| serde_json::from_slice(&decoded(&once)));
    match value {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Refusal::PayloadInvalid),
    }
}

fn decoded(encoded: &[u8]) -> Vec<u8> {
    Decoded { encoded }.collect()
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The query has no `key`.
    KeyMissing,
    /// `key` names no live credential.
    KeyUnknown,
    /// `payload` is no JSON object.
    PayloadInvalid,
    /// The credential has no usable secret or private key.
    NoSigningKey,
    /// The signature could not be made.
    NotSigned,
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Self::KeyMissing | Self::PayloadInvalid => page(400),
            Self::KeyUnknown => page(404),
            Self::NoSigningKey => text(503, FAILED),
            Self::NotSigned => text(500, FAILED),
        }
    }
}

fn text(status: u16, body: impl Into<String>) -> Answer {
    let body: String = body.into();
    Answer { status, fields: (*CONTENT_TYPE).into(), body: body.into_bytes().into() }
}

const CONTENT_TYPE: &[u8; 41] = b"Content-Type: text/plain; charset=utf-8\r\n";
/// The original's text; whether it was a key that is missing or a signature that failed is the status's to say.
const FAILED: &str = "failed to sign jwt";

#[cfg(test)]
mod tests;
