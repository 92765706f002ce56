//! `limit-req`: glue over [`crate::limit::pace`], as APISIX 3.18 has it with the policy `local`.
//!
//! A configuration in, a plugin with its rejection rendered out. Its access phase runs once per request, after
//! authentication: a request within the rate passes, one that comes before its turn waits for it (or passes at once, with
//! `nodelay`), one beyond the burst is answered. Never panics; allocates for requests that have to wait, and for what
//! variables must decode or join.

use super::limit_count::{Found, Source, rejection, source, switch, tell_of_fall_back};
use super::{Answer, Context, Phase, Plugin, PluginType, Side, Site, Verdict, Waiting};
use crate::http::request::Request;
use crate::limit::pace::{Pace, Paces};
use crate::net::task;
use serde_json::Value;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The plugin type.
pub static TYPE: PluginType = PluginType {
    name: NAME,
    priority: 1001,
    first_phase: Phase::Access,
    version: "0.1",
    schema: include_str!("limit_req/schema.json"),
    encrypted_fields: &[],
    auth: None,
    metadata: None,
    check,
    build: |configuration, site| Ok(Arc::new(LimitReq::new(configuration, site)?)),
};

/// The plugin with one configuration. Nothing here can fail at run time, so `allow_degradation` has nothing to decide.
#[derive(Debug)]
struct LimitReq {
    pace: Pace,
    /// Of its keys: where it stands, and what it says.
    prefix: Box<[u8]>,
    source: Source,
    delays: bool,
    rejection: Arc<Answer>,
    paces: Arc<Paces>,
}

impl LimitReq {
    fn new(configuration: &Value, site: &Site<'_>) -> Result<Self, String> {
        // Written again, the same configuration finds its keys again.
        let prefix = format!("{}:{}:", site.key, crc32fast::hash(configuration.to_string().as_bytes()));
        Ok(Self {
            pace: pace(configuration),
            prefix: prefix.into_bytes().into(),
            source: source(configuration, Some(site))?,
            delays: !switch(configuration, "nodelay", false),
            rejection: Arc::new(rejection(configuration)),
            paces: Arc::clone(site.paces),
        })
    }
}

impl Plugin for LimitReq {
    fn access(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        let mut key = std::mem::take(&mut context.limits.pending.keys);
        key.extend_from_slice(&self.prefix);
        let found = self.source.append(&context.known(request), &mut key);
        let turn = self.paces.take_turn(&key, context.now.monotonic_us.saturating_mul(1000), &self.pace);
        key.clear();
        context.limits.pending.keys = key;
        if !matches!(found, Found::Value) {
            tell_of_fall_back(NAME, context);
        }
        match turn {
            Some(wait_ns) if self.delays && wait_ns >= DELAY_MIN_NS => {
                Verdict::Wait(Box::new(Turn(Duration::from_nanos(wait_ns))))
            }
            Some(_) => Verdict::Continue,
            None => {
                context.edits.limited.is_rejected = true;
                Verdict::Respond(Arc::clone(&self.rejection))
            }
        }
    }
}

/// A request that waits for its turn.
#[derive(Debug)]
struct Turn(Duration);

impl Waiting for Turn {
    fn wait<'a>(&'a mut self, _redis: &'a Rc<crate::redis::Client>) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(task::sleep(self.0))
    }

    fn may_be_left(&self) -> bool {
        true
    }

    fn resume(self: Box<Self>, _request: &Request<'_>, _context: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }
}

fn pace(configuration: &Value) -> Pace {
    let number = |name: &str| configuration.get(name).and_then(Value::as_f64).unwrap_or_default();
    Pace::new(number("rate"), number("burst"))
}

/// Judges what the schema has let through.
fn check(configuration: &Value, _side: Side) -> Result<(), String> {
    match configuration.get("policy").and_then(Value::as_str) {
        None | Some("local") => {}
        Some(policy) => return Err(format!("policy '{policy}' is not supported, only 'local' is")),
    }
    // A request that waits keeps its connection and its buffer.
    if !switch(configuration, "nodelay", false) && pace(configuration).wait_max_ns() > DELAY_MAX.as_nanos() as u64 {
        let text = format!("a request could wait for more than {} seconds", DELAY_MAX.as_secs());
        return Err(format!("property \"burst\" validation failed: {text}"));
    }
    source(configuration, None).map(drop)
}

const NAME: &str = "limit-req";
/// Less is not worth a timer, as in the original.
const DELAY_MIN_NS: u64 = 1_000_000;
/// What `burst` over `rate` may come to, unless `nodelay` is set.
const DELAY_MAX: Duration = Duration::from_secs(3600);
