//! What the gateway makes of a token, step by step (spec/jwt-auth §5 to §7).
//!
//! In go the token, the options of credential and route, and the time; out comes every step passed and, for a
//! refusal, what the client sees and the exact reason. The reason names claims and times, never the secret or the
//! expected signature.

use super::{Algorithm, TimeClaim};
use crate::base::bytes::Escaped;
use crate::cli::date::http_date;
use base64_simd::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Map, Number, Value};
use std::fmt;

/// Options of the credential and of the route.
pub(super) struct Options {
    /// The credential's `key`; `None` accepts whatever key the token names.
    pub(super) key: Option<String>,
    pub(super) secret: Vec<u8>,
    pub(super) base64_secret: bool,
    pub(super) algorithm: Algorithm,
    pub(super) grace_s: u32,
    pub(super) key_claim_name: String,
    pub(super) claims_to_verify: Vec<TimeClaim>,
}

/// Every step passed, and where it ended.
pub(super) struct Explanation {
    pub(super) steps: Vec<String>,
    /// `None`: the gateway accepts the token.
    pub(super) refusal: Option<Refusal>,
}

/// Why a token is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `message` of the 401 answer.
    pub(super) answer: &'static str,
    /// What only the gateway's log says.
    pub(super) reason: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(formatter, "ok       {step}")?;
        }
        match &self.refusal {
            None => writeln!(formatter, "accepted"),
            Some(Refusal { answer, reason }) => {
                writeln!(formatter, "refused  {reason}")?;
                writeln!(formatter, "answer   401 {{\"message\":\"{answer}\"}}")
            }
        }
    }
}

/// Explains `token` as the gateway would judge it at `now`, whole seconds since the Unix epoch.
pub(super) fn explain(token: &[u8], options: &Options, now: u64) -> Explanation {
    let mut steps = Vec::new();
    let refusal = judge(token, options, now, &mut steps).err();
    Explanation { steps, refusal }
}

/// Decodes a `base64_secret`: standard alphabet, padded.
pub(super) fn decoded_secret(secret: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode_to_vec(secret).ok()
}

fn judge(token: &[u8], options: &Options, now: u64, steps: &mut Vec<String>) -> Result<(), Refusal> {
    let token = match token.strip_prefix(b"Bearer ").or_else(|| token.strip_prefix(b"bearer ")) {
        Some(bare) => {
            steps.push("scheme: the word Bearer is dropped (from a header only)".to_owned());
            bare
        }
        None => token,
    };
    let [header_part, payload_part, signature_part] = parts(token)?;
    steps.push("parts: header, payload and signature".to_owned());
    let header = object(header_part, "header")?;
    if header.contains_key("crit") {
        return Err(malformed("the header has crit, and no extension is understood"));
    }
    steps.push(format!("header: base64url, JSON object, alg {}", shown(header.get("alg"))));
    let payload = object(payload_part, "payload")?;
    steps.push(format!("payload: base64url, JSON object with {}", names(&payload)));
    addressed(&payload, options, steps)?;
    algorithm(&header, options)?;
    steps.push(format!("algorithm: {} as the credential has it", options.algorithm.name()));
    let signed_bytes = header_part.len() + 1 + payload_part.len();
    signature(token.get(..signed_bytes).unwrap_or_default(), signature_part, options)?;
    steps.push("signature: made with the secret".to_owned());
    times(&payload, options, now, steps)
}

fn parts(token: &[u8]) -> Result<[&[u8]; 3], Refusal> {
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').take(PARTS_MAX).collect();
    match *parts.as_slice() {
        [header, payload, signature] => {
            let named = [("header", header), ("payload", payload), ("signature", signature)];
            match named.iter().find(|(_, part)| part.is_empty()) {
                None => Ok([header, payload, signature]),
                Some((name, _)) => Err(malformed(format!("expected three parts with text, found an empty {name}"))),
            }
        }
        [only] if only.is_empty() => Err(malformed("expected three parts separated by dots, found an empty token")),
        [_, _, _, _, _] => Err(malformed("expected three parts, found five: an encrypted token (JWE)")),
        _ if parts.len() == PARTS_MAX => Err(malformed("expected three parts separated by dots, found more than five")),
        _ => Err(malformed(format!("expected three parts separated by dots, found {}", parts.len()))),
    }
}

/// The JSON object that a part holds. Duplicate names: the last one counts.
fn object(part: &[u8], name: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = decoded(part).map_err(|why| malformed(format!("the {name} is not base64url: {why}")))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(malformed(format!("the {name} is not a JSON object but {}", kind(&other)))),
        Err(error) => Err(malformed(format!("the {name} is not JSON: {error}"))),
    }
}

/// Strict base64url (RFC 7515 §2), and if it is not that, the first reason.
fn decoded(part: &[u8]) -> Result<Vec<u8>, String> {
    let foreign = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if let Some((at, byte)) = part.iter().enumerate().find(|(_, byte)| foreign(byte)) {
        let what = match byte {
            b'=' => "padding is not allowed".to_owned(),
            b'+' | b'/' => "it uses the alphabet of standard base64".to_owned(),
            other => format!("foreign character {}", Escaped(&[*other])),
        };
        return Err(format!("{what} at position {}", at + 1));
    }
    if part.len() % 4 == 1 {
        return Err(format!("{} characters are one too many or too few", part.len()));
    }
    URL_SAFE_NO_PAD.decode_to_vec(part).map_err(|_| "the last character has spare bits that are not zero".to_owned())
}

/// Finds the credential by the claim that names it.
fn addressed(payload: &Map<String, Value>, options: &Options, steps: &mut Vec<String>) -> Result<(), Refusal> {
    let claim = &options.key_claim_name;
    let missing = |why: String| Refusal { answer: "missing user key in JWT token", reason: why };
    let invalid = |why: String| Refusal { answer: "Invalid user key in JWT token", reason: why };
    let key = match payload.get(claim) {
        None => return Err(missing(format!("the payload has no claim {claim:?}"))),
        Some(Value::Bool(false)) => return Err(missing(format!("the claim {claim:?} is false"))),
        Some(Value::String(key)) => key,
        Some(other) => {
            return Err(invalid(format!("the claim {claim:?} is {}; only a string can match a key", kind(other))));
        }
    };
    match &options.key {
        None => steps.push(format!("key: claim {claim:?} is {key:?}, taken for a known one")),
        Some(known) if known == key => steps.push(format!("key: claim {claim:?} is {key:?}, the credential's")),
        Some(known) => {
            return Err(invalid(format!("the claim {claim:?} is {key:?}, the credential's key is {known:?}")));
        }
    }
    Ok(())
}

fn algorithm(header: &Map<String, Value>, options: &Options) -> Result<(), Refusal> {
    if options.base64_secret && decoded_secret(&options.secret).is_none() {
        return Err(unverified("the credential has base64_secret, and its secret is not standard base64"));
    }
    let expected = options.algorithm.name();
    match header.get("alg") {
        Some(Value::String(found)) if found == expected => Ok(()),
        found => Err(unverified(format!("algorithm mismatch, expected {expected}, found {}", shown(found)))),
    }
}

fn signature(signed: &[u8], signature: &[u8], options: &Options) -> Result<(), Refusal> {
    let mac = decoded(signature).map_err(|why| unverified(format!("the signature is not base64url: {why}")))?;
    let bytes = options.algorithm.mac().digest_algorithm().output_len();
    if mac.len() != bytes {
        let name = options.algorithm.name();
        return Err(unverified(format!("a signature of {name} has {bytes} bytes, found {}", mac.len())));
    }
    let decoded = options.base64_secret.then(|| decoded_secret(&options.secret)).flatten();
    let key = hmac::Key::new(options.algorithm.mac(), decoded.as_deref().unwrap_or(&options.secret));
    hmac::verify(&key, signed, &mac)
        .map_err(|_| unverified("signature mismatch: made with another secret, or the text was changed"))
}

/// `claims_to_verify` unset: `nbf`, then `exp`, each if present. Set: each listed one, required, and no other.
fn times(payload: &Map<String, Value>, options: &Options, now: u64, steps: &mut Vec<String>) -> Result<(), Refusal> {
    let listed = &options.claims_to_verify;
    let unlisted = [TimeClaim::Nbf, TimeClaim::Exp];
    let claims = if listed.is_empty() { unlisted.as_slice() } else { listed };
    for claim in claims {
        let name = claim.name();
        let value = match payload.get(name) {
            Some(Value::Number(value)) => value,
            Some(_) => return Err(unverified(format!("claim {name} is not a number"))),
            None if listed.is_empty() => continue,
            None => return Err(unverified(format!("claim {name} is missing"))),
        };
        let date = http_date(floor(value));
        let passed = claim.passes(value, now, options.grace_s);
        let clock =
            format!("now is {}, grace {} s", http_date(i64::try_from(now).unwrap_or(i64::MAX)), options.grace_s);
        match (claim, passed) {
            (TimeClaim::Exp, true) => steps.push(format!("exp: valid until {date}")),
            (TimeClaim::Nbf, true) => steps.push(format!("nbf: valid since {date}")),
            (TimeClaim::Exp, false) => return Err(unverified(format!("'exp' claim expired at {date} ({clock})"))),
            (TimeClaim::Nbf, false) => return Err(unverified(format!("'nbf' claim not valid until {date} ({clock})"))),
        }
    }
    if !claims.iter().any(|claim| payload.contains_key(claim.name())) {
        steps.push("times: the token has no exp and no nbf, it never expires".to_owned());
    }
    Ok(())
}

impl TimeClaim {
    fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Nbf => "nbf",
        }
    }

    /// `exp > now - grace`, `nbf < now + grace`; whole numbers exactly, fractions as given.
    fn passes(self, value: &Number, now: u64, grace_s: u32) -> bool {
        let (now, grace) = (i128::from(now), i128::from(grace_s));
        match (self, value.as_i128(), value.as_f64()) {
            (Self::Exp, Some(exp), _) => exp > now - grace,
            (Self::Nbf, Some(nbf), _) => nbf < now + grace,
            (Self::Exp, None, Some(exp)) => exp > (now - grace) as f64,
            (Self::Nbf, None, Some(nbf)) => nbf < (now + grace) as f64,
            (_, None, None) => false,
        }
    }
}

fn floor(value: &Number) -> i64 {
    // A cast from `f64` saturates, which is what a date far away needs.
    value.as_i64().unwrap_or_else(|| value.as_f64().map_or(i64::MAX, |float| float.floor() as i64))
}

fn malformed(reason: impl Into<String>) -> Refusal {
    Refusal { answer: "JWT token invalid", reason: reason.into() }
}

fn unverified(reason: impl Into<String>) -> Refusal {
    Refusal { answer: "failed to verify jwt", reason: reason.into() }
}

fn names(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return "no claims".to_owned();
    }
    let names: Vec<String> = object.keys().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => value.to_string(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// One more than an encrypted token has.
const PARTS_MAX: usize = 6;

#[cfg(test)]
mod tests;
