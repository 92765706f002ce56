//! `jwt-auth`: glue over [`crate::auth`].
//!
//! The route's configuration in, a plugin with every answer rendered out. Its rewrite phase runs once per request:
//! find the token, judge it, attach the identity; or answer 401, or go on as the anonymous consumer. That phase
//! never waits or panics, and allocates only to rewrite a query or a cookie that must lose its token, to keep claims that
//! `store_in_ctx` asks for, and to log. What a token
//! proves is decided in [`crate::auth::jwt::judge`]; the consumer's side of the configuration is `credential`.

mod credential;
mod report;
pub(super) mod sign;

pub use credential::{Rules, decode_secret};

use super::{Answer, AuthType, Context, Phase, Plugin, PluginType, Side, Verdict};
use crate::auth::consumer::Identity;
use crate::auth::extract::{self, Names};
use crate::auth::jwt::failure::ClientMessage;
use crate::auth::jwt::token::Parts;
use crate::auth::jwt::{self, Failure, Payload, Policy, Rejection, Scratch, TimeChecks, TimeClaim, VerifyError};
use crate::http::request::Request;
use report::report;
use serde_json::Value;
use std::sync::Arc;

/// The plugin type.
pub static TYPE: PluginType = PluginType {
    name: NAME,
    priority: 2510,
    first_phase: Phase::Rewrite,
    version: "0.1",
    schema: include_str!("jwt_auth/route_schema.json"),
    encrypted_fields: &[],
    auth: Some(AuthType {
        consumer_schema: include_str!("jwt_auth/consumer_schema.json"),
        lookup_attribute: "key",
        encrypted_fields: &["secret", "private_key"],
        complete: credential::complete,
        build_credential: credential::build,
    }),
    metadata: None,
    check,
    build: |configuration, _site| build(configuration),
};

/// The name users type, and under which credentials are looked up.
const NAME: &str = "jwt-auth";

fn check(configuration: &Value, side: Side) -> Result<(), String> {
    match side {
        Side::Route => Ok(()),
        Side::Consumer => credential::check(configuration),
    }
}

fn build(configuration: &Value) -> Result<Arc<dyn Plugin>, String> {
    Ok(Arc::new(JwtAuth::new(configuration)?))
}

/// The plugin on one route, service or global rule.
#[derive(Debug)]
struct JwtAuth {
    names: Names,
    hide_credentials: bool,
    store_in_ctx: bool,
    policy: Policy,
    anonymous_consumer: Option<Box<str>>,
    answers: Answers,
}

impl JwtAuth {
    fn new(configuration: &Value) -> Result<Self, String> {
        let text = |name: &str| configuration.get(name).and_then(Value::as_str);
        let realm = text("realm").unwrap_or("jwt");
        if !is_realm(realm) {
            return Err("property \"realm\" validation failed: not printable ASCII without quote and backslash".into());
        }
        let claims = configuration.get("claims_to_verify").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let claims: Option<Vec<TimeClaim>> = claims.iter().map(|name| TimeClaim::from_name(name.as_str()?)).collect();
        let claims = claims.ok_or("property \"claims_to_verify\" validation failed: expected only exp and nbf")?;
        let switch = |name: &str| configuration.get(name).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            names: Names {
                header: text("header").unwrap_or("authorization").as_bytes().into(),
                query: text("query").unwrap_or("jwt").as_bytes().into(),
                cookie: text("cookie").unwrap_or("jwt").as_bytes().into(),
            },
            hide_credentials: switch("hide_credentials"),
            store_in_ctx: switch("store_in_ctx"),
            policy: Policy {
                key_claim_name: text("key_claim_name").unwrap_or("key").into(),
                time_checks: TimeChecks::required(&claims),
            },
            anonymous_consumer: text("anonymous_consumer").map(Into::into),
            answers: Answers::new(realm),
        })
    }

    /// Who the request's token proves to be calling. The token is hidden whether or not it proves anything.
    fn authenticate<'w>(
        &self,
        request: &Request<'_>,
        context: &mut Context<'w>,
    ) -> Result<&'w Arc<Identity>, Rejection<'w>> {
        let Scratch { argument, judging, .. } = &mut *context.scratch;
        let located = extract::locate(request, &self.names, argument).ok_or(Failure::Absent)?;
        if self.hide_credentials {
            extract::hide(request, &self.names, located.place, context.edits);
        }
        let consumers = context.consumers;
        let find = |key: &str| consumers.credential(NAME, key);
        let from = request.remote_addr;
        let credential =
            jwt::judge_remembered(located.token?, &self.policy, find, context.now.unix_s(), from, judging)?;
        let token = located.token.ok().filter(|_| self.store_in_ctx);
        context.payload = token.and_then(|token| Parts::split(token).ok()).map(|parts| Payload::read(parts.payload));
        Ok(&credential.identity)
    }
}

impl Plugin for JwtAuth {
    fn rewrite(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        let rejection = match self.authenticate(request, context) {
            Ok(identity) => {
                context.identity = Some(Arc::clone(identity));
                return Verdict::Continue;
            }
            Err(rejection) => rejection,
        };
        report(&rejection, context);
        let Some(username) = &self.anonymous_consumer else {
            if rejection.failure == Failure::Verify(VerifyError::Throttled) {
                return Verdict::Respond(Arc::clone(&self.answers.throttled));
            }
            return Verdict::Respond(Arc::clone(self.answers.of(rejection.failure.client_message())));
        };
        match context.consumers.consumer(username) {
            Some(consumer) => {
                context.identity = Some(Arc::clone(&consumer.anonymous));
                context.payload = None;
                Verdict::Continue
            }
            None => Verdict::Respond(Arc::clone(&self.answers.anonymous_unknown)),
        }
    }
}

/// Every answer of one route, rendered when it was compiled.
#[derive(Debug)]
struct Answers {
    missing: Arc<Answer>,
    invalid: Arc<Answer>,
    key_missing: Arc<Answer>,
    key_invalid: Arc<Answer>,
    not_verified: Arc<Answer>,
    /// Not APISIX's, which verifies forgeries for as long as they come.
    throttled: Arc<Answer>,
    anonymous_unknown: Arc<Answer>,
}

impl Answers {
    fn new(realm: &str) -> Self {
        let fields =
            format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\nContent-Type: text/plain; charset=utf-8\r\n");
        let answer = |text: &str| {
            let body = format!("{{\"message\":\"{text}\"}}\n");
            Arc::new(Answer { status: 401, fields: fields.as_bytes().into(), body: body.into_bytes().into() })
        };
        Self {
            missing: answer(ClientMessage::Missing.text()),
            invalid: answer(ClientMessage::Invalid.text()),
            key_missing: answer(ClientMessage::KeyMissing.text()),
            key_invalid: answer(ClientMessage::KeyInvalid.text()),
            not_verified: answer(ClientMessage::NotVerified.text()),
            throttled: Arc::new(Answer {
                status: 429,
                fields: b"Retry-After: 1\r\nContent-Type: text/plain; charset=utf-8\r\n".as_slice().into(),
                body: b"{\"message\":\"too many failed verifications\"}\n".as_slice().into(),
            }),
            anonymous_unknown: answer("Invalid user authorization"),
        }
    }

    fn of(&self, message: ClientMessage) -> &Arc<Answer> {
        match message {
            ClientMessage::Missing => &self.missing,
            ClientMessage::Invalid => &self.invalid,
            ClientMessage::KeyMissing => &self.key_missing,
            ClientMessage::KeyInvalid => &self.key_invalid,
            ClientMessage::NotVerified => &self.not_verified,
        }
    }
}

/// Whether `realm` may stand between quotes. The schema says the same, but lets a secret reference pass unread.
fn is_realm(realm: &str) -> bool {
    (1..=REALM_BYTES_MAX).contains(&realm.len())
        && realm.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
}

/// Longest realm, in bytes, as in the schema.
const REALM_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests;
