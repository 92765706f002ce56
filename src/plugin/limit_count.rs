//! `limit-count`: glue over [`crate::limit`] (spec/limit-count).
//!
//! A configuration in, a plugin with its answers rendered out. Its access phase runs once per request, after
//! authentication: each limit that applies is charged, the quota headers are set, and the first that is used up
//! answers. That phase never panics, and waits only where the counters are in Redis (`limit_count/remote.rs`), which
//! allocates for each request. Else it allocates for what variables must decode or join, and where new keys make the
//! table grow; never for a key that was known when the configuration was compiled. Bench: `limit`.

mod amount;
mod check;
mod deployment;
mod headers;
mod identity;
mod info;
mod remote;
mod rule;
mod sync;

pub use check::{group, may_share};
pub(super) use rule::{Found, Source, source};

use super::{Answer, Context, MetadataType, Phase, Plugin, PluginType, Site, Verdict};
use crate::base::bytes::push_decimal;
use crate::http::answer::page;
use crate::http::request::Request;
use crate::limit::local::Pending;
use crate::limit::{Charge, Table};
use amount::AmountError;
use rule::{Asked, Rule};
use serde_json::{Value, json};
use std::sync::Arc;

/// The plugin type.
pub static TYPE: PluginType = PluginType {
    name: NAME,
    priority: 1002,
    first_phase: Phase::Access,
    version: "0.4",
    schema: include_str!("limit_count/schema.json"),
    encrypted_fields: &["redis_password", "sentinel_password"],
    auth: None,
    metadata: Some(MetadataType {
        schema: include_str!("limit_count/metadata.json"),
        check: |metadata| headers::Headers::new(metadata, None, None).map(drop),
    }),
    check: check::check,
    build,
};

/// The name users type.
pub const NAME: &str = "limit-count";

fn build(configuration: &Value, site: &Site<'_>) -> Result<Arc<dyn Plugin>, String> {
    if let Some(deployment) = deployment::read(configuration)? {
        return Ok(Arc::new(remote::RemoteLimitCount::new(configuration, site, deployment)?));
    }
    let prefix = identity::prefix(configuration, site);
    let rules = rule::read_all(configuration, &prefix, Some(site))?;
    let switch = |name: &str, default| switch(configuration, name, default);
    Ok(Arc::new(LimitCount {
        rules,
        shows_quota: switch("show_limit_quota_header", true),
        rejection: Arc::new(rejection(configuration)),
        failure: (!switch("allow_degradation", false)).then(|| Arc::new(page(500))),
        table: Arc::clone(site.limits),
    }))
}

pub(super) fn switch(configuration: &Value, name: &str, default: bool) -> bool {
    configuration.get(name).and_then(Value::as_bool).unwrap_or(default)
}

/// The plugin with one configuration.
#[derive(Debug)]
struct LimitCount {
    /// In the order they are charged.
    rules: Box<[Rule]>,
    shows_quota: bool,
    rejection: Arc<Answer>,
    /// Where it cannot be said what to count; none with `allow_degradation`.
    failure: Option<Arc<Answer>>,
    table: Arc<Table>,
}

/// Why a request could not be counted.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// In `rules`, every key lacks its variables.
    #[error("no rule applies")]
    NoRule,
}

impl LimitCount {
    /// Charges what applies. Everything is resolved first: a request that cannot be counted is not counted in part.
    #[inline]
    fn count(
        &self,
        request: &Request<'_>,
        context: &mut Context<'_>,
        Pending { keys, charges }: &mut Pending,
    ) -> Result<Verdict, Failure> {
        if let [rule] = &*self.rules {
            let asked = rule.ask(&context.known(request), keys)?.ok_or(Failure::NoRule)?;
            return Ok(self.charge(rule, &asked, keys, context));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let start = keys.len();
            if let Some(asked) = rule.ask(&context.known(request), keys)? {
                charges.push((index, asked.quota, start..keys.len()));
            }
        }
        if charges.is_empty() {
            return Err(Failure::NoRule);
        }
        for (index, quota, key) in charges {
            let (Some(rule), Some(key)) = (self.rules.get(*index), keys.get(key.clone())) else { continue };
            let asked = Asked { quota: *quota, fell_back: false };
            let verdict = self.charge(rule, &asked, key, context);
            if !matches!(verdict, Verdict::Continue) {
                return Ok(verdict);
            }
        }
        Ok(Verdict::Continue)
    }

    #[inline]
    fn charge(&self, rule: &Rule, asked: &Asked, key: &[u8], context: &mut Context<'_>) -> Verdict {
        let Asked { quota, fell_back } = asked;
        if *fell_back {
            tell_of_fall_back(NAME, context);
        }
        let at = self.table.moment(context.now.monotonic_us);
        let limits = &mut *context.limits;
        let charge = match &rule.only {
            Some((key, window)) => limits.charge_pinned(&self.table, window, key, at, quota),
            None => limits.charge(&self.table, key, at, quota),
        };
        if self.shows_quota {
            rule.headers.set(&mut context.edits.response_fields, quota.limit, &charge);
        }
        if limits.settings().tells_log {
            let key = rule.only.as_ref().map_or(key, |(key, _)| key);
            let key = key.get(rule.hidden..).unwrap_or_default();
            info::write(&mut context.edits.limited.info, key, quota.limit, &charge);
        }
        if charge.is_admitted {
            return Verdict::Continue;
        }
        note_rejection(&charge, context);
        Verdict::Respond(Arc::clone(&self.rejection))
    }
}

impl Plugin for LimitCount {
    fn access(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        let mut pending = std::mem::take(&mut context.limits.pending);
        let counted = self.count(request, context, &mut pending);
        pending.clear();
        context.limits.pending = pending;
        counted.unwrap_or_else(|failure| {
            tell_of_failure(failure, context);
            match &self.failure {
                Some(answer) => Verdict::Respond(Arc::clone(answer)),
                None => Verdict::Continue,
            }
        })
    }
}

/// Notes that a limit rejects the request, and tells the client when to come again, where the gateway is to.
fn note_rejection(charge: &Charge, context: &mut Context<'_>) {
    context.edits.limited.is_rejected = true;
    if context.limits.settings().retry_after {
        let seconds = charge.reset_ms.div_ceil(1000);
        context.edits.response_fields.set(b"Retry-After", |out| push_decimal(out, seconds));
    }
}

/// What a client gets that has used up its limit. A message is told as JSON; else there is nothing to tell.
pub(super) fn rejection(configuration: &Value) -> Answer {
    let status = configuration.get("rejected_code").and_then(Value::as_f64).map_or(503, |code| code as u16);
    let message = configuration.get("rejected_msg").and_then(Value::as_str);
    // These two have no body, whatever their answer says (RFC 9110 §6.4.1).
    let message = message.filter(|_| !matches!(status, 204 | 304));
    let (fields, body): (&[u8], _) = match message {
        Some(message) => (CONTENT_TYPE, format!("{}\n", json!({ "error_msg": message }))),
        None => (b"", String::new()),
    };
    Answer { status, fields: fields.into(), body: body.into_bytes().into() }
}

/// Says that clients are told apart by address, because what the key names was not there.
#[cold]
pub(super) fn tell_of_fall_back(plugin: &'static str, context: &mut Context<'_>) {
    if let Some(left_out) = context.limits.log.admit() {
        let route = context.route.map(|route| &*route.id);
        tracing::warn!(plugin, route, left_out, "nothing of the key was there, counted by remote_addr");
    }
}

#[cold]
fn tell_of_failure(failure: impl std::fmt::Display, context: &mut Context<'_>) {
    if let Some(left_out) = context.limits.log.admit() {
        let route = context.route.map(|route| &*route.id);
        tracing::warn!(route, reason = %failure, left_out, "limit-count: not counted");
    }
}

const CONTENT_TYPE: &[u8] = b"Content-Type: text/plain; charset=utf-8\r\n";

#[cfg(test)]
mod tests;
