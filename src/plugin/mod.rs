//! Plugins: the phase trait, the registry, chains in priority order.
//!
//! A plugin is glue: configuration names in, core call, verdict out. Adding one is one file and one line in
//! [`registry`]. The control side checks and builds plugins; workers only run them.

use crate::auth::consumer::{ConsumerTable, Identity};
use crate::auth::jwt::Payload;
use crate::base::clock::Now;
use crate::http::request::Request;
use crate::route::Route;
use crate::vars::Known;
use serde_json::Value;
use std::fmt::Debug;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

pub mod chain;
pub mod filter;
pub mod jwt_auth;
pub mod limit_count;
pub mod limit_req;
pub mod meta;
pub mod public_api;
pub mod registry;
mod response_fields;

pub use chain::Chain;
pub use response_fields::ResponseFields;

/// One plugin with its configuration, built once per change and shared by all workers.
///
/// Phases never block, allocate only where said, and never panic; see `src/proxy/LIFECYCLE.md` for their order.
pub trait Plugin: Debug + Send + Sync {
    /// Before the consumer's plugins are merged: authentication, rewriting.
    fn rewrite(&self, _request: &Request<'_>, _context: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }

    /// After the merge, before the upstream is chosen: limits, permissions. May have to wait: see [`Verdict::Wait`].
    fn access(&self, _request: &Request<'_>, _context: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }
}

/// The phases of a plugin, in the order they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// [`Plugin::rewrite`].
    Rewrite,
    /// [`Plugin::access`].
    Access,
}

/// What a phase decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Answer the client now; the upstream is not asked.
    Respond(Arc<Answer>),
    /// Cannot be said yet: somebody outside has to be asked. In the access phase only.
    Wait(Box<dyn Waiting>),
}

/// What a plugin waits for. It owns all that it needs: while it waits, the worker's tables may change, and the request
/// goes on with what it started with.
pub trait Waiting: Debug {
    /// Waits. Bounded in time by the plugin's own configuration.
    fn wait<'a>(&'a mut self, redis: &'a Rc<crate::redis::Client>) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// Whether the wait may be given up when its client has gone: not where something is being counted meanwhile.
    fn may_be_left(&self) -> bool {
        false
    }

    /// Goes on where the access phase stopped; may say [`Verdict::Wait`] again.
    fn resume(self: Box<Self>, request: &Request<'_>, context: &mut Context<'_>) -> Verdict;
}

/// An answer of the gateway itself, rendered when the configuration was compiled; by an endpoint of the gateway's own,
/// when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// `Name: value\r\n` lines beyond the framing and general ones; `Content-Type` included.
    pub fields: Box<[u8]>,
    /// The body.
    pub body: Box<[u8]>,
}

/// What the phases of one request share.
#[derive(Debug)]
pub struct Context<'w> {
    /// The worker's own consumers and credentials.
    pub consumers: &'w ConsumerTable,
    /// When the head was complete.
    pub now: Now,
    /// Who is calling, once an authentication plugin has said so.
    pub identity: Option<Arc<Identity>>,
    /// What the caller's token says, where `store_in_ctx` asks for it.
    pub payload: Option<Payload>,
    /// The route taken; none when global rules run for a request that no route takes.
    pub route: Option<&'w Route>,
    /// What to change on the way to the upstream.
    pub edits: &'w mut Edits,
    /// Buffers that authentication reuses between requests.
    pub scratch: &'w mut crate::auth::jwt::Scratch,
    /// The worker's side of what limits count.
    pub limits: &'w mut crate::limit::Local,
}

impl<'w> Context<'w> {
    /// A request of which nothing is known yet but when it came.
    pub fn new(
        now: Now,
        consumers: &'w ConsumerTable,
        edits: &'w mut Edits,
        scratch: &'w mut crate::auth::jwt::Scratch,
        limits: &'w mut crate::limit::Local,
    ) -> Self {
        Self { consumers, now, identity: None, payload: None, route: None, edits, scratch, limits }
    }

    /// What variables are read from at this moment (spec/routing-and-upstreams §3).
    pub fn known<'a>(&'a self, request: &'a Request<'a>) -> Known<'a> {
        Known { request, route: self.route, identity: self.identity.as_deref(), payload: self.payload.as_ref() }
    }
}

/// Changes to the request head on its way to the upstream, and to the response's on its way back. Reused between
/// requests.
#[derive(Debug, Default)]
pub struct Edits {
    /// Names of fields to drop: every line of that name (compared without case, `_` like `-`).
    pub remove_fields: Vec<Arc<[u8]>>,
    /// Replaces the client's whole query when set.
    pub query: Option<Vec<u8>>,
    /// Replaces the client's `Cookie` lines by one when set; empty means none.
    pub cookie: Option<Vec<u8>>,
    /// Fields of the response to the client, whoever makes it.
    pub response_fields: ResponseFields,
    /// What limits have said of the request.
    pub limited: Limited,
}

/// What limits say of a request, for metrics and the log.
#[derive(Debug, Default)]
pub struct Limited {
    /// One of them rejected it.
    pub is_rejected: bool,
    /// The log's `rate_limiting_info`, as JSON; only where the log's format names it.
    pub info: Vec<u8>,
}

impl Edits {
    /// Forgets the last request's edits, keeping the memory.
    pub fn clear(&mut self) {
        self.remove_fields.clear();
        self.query = None;
        self.cookie = None;
        self.response_fields.clear();
        self.limited.is_rejected = false;
        self.limited.info.clear();
    }
}

/// What the configuration file says about plugins: process-wide, read once at start, for the control side alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// `ringgate.jwt`.
    pub jwt_auth: jwt_auth::Rules,
}

/// On which objects a configuration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Route, service, `plugin_config`, consumer group, global rule; and non-auth plugins of a consumer.
    Route,
    /// Consumer or credential, for auth plugins.
    Consumer,
}

/// What the control side knows of one plugin name.
pub struct PluginType {
    /// The name users type.
    pub name: &'static str,
    /// Its place in the chain; higher runs first. `_meta.priority` may override it.
    pub priority: i64,
    /// The first phase in which it does anything. `_meta.filter` is evaluated then and decides for later phases too; a
    /// filtered plugin is not called before.
    pub first_phase: Phase,
    /// Its release, as APISIX reports one.
    pub version: &'static str,
    /// JSON schema of the route side.
    pub schema: &'static str,
    /// Paths of the route side's members that hold secrets.
    pub encrypted_fields: &'static [&'static str],
    /// Set for authentication plugins.
    pub auth: Option<AuthType>,
    /// Set for plugins that take metadata.
    pub metadata: Option<MetadataType>,
    /// Checks beyond the schema; the text follows APISIX's vocabulary.
    pub check: fn(&Value, Side) -> Result<(), String>,
    /// Builds the route side. The configuration has passed schema and check, and comes without `_meta`.
    pub build: Build,
}

/// See [`PluginType::build`].
pub type Build = fn(&Value, &Site<'_>) -> Result<Arc<dyn Plugin>, String>;

/// Where a configuration stands, and what of the process its plugin may use.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The whole key of the object (`/apisix/consumers/jack`).
    pub key: &'a str,
    /// The consumer's username, where the object is one.
    pub consumer: Option<&'a str>,
    /// The configuration's `_meta`, if any.
    pub meta: Option<&'a Value>,
    /// What `plugin_metadata` holds for the plugin now.
    pub metadata: Option<&'a Value>,
    /// When whose turn is, for all limits by rate.
    pub paces: &'a Arc<crate::limit::pace::Paces>,
    /// The windows of all limits.
    pub limits: &'a Arc<crate::limit::Table>,
}

/// What one plugin takes as `plugin_metadata`: it holds for all its configurations, and a change of it rebuilds them.
pub struct MetadataType {
    /// JSON schema.
    pub schema: &'static str,
    /// Checks beyond the schema.
    pub check: fn(&Value) -> Result<(), String>,
}

/// The consumer side of an authentication plugin.
pub struct AuthType {
    /// JSON schema of the consumer side.
    pub consumer_schema: &'static str,
    /// The attribute by which a credential is found (`key` for jwt-auth).
    pub lookup_attribute: &'static str,
    /// Paths of attributes that hold secrets.
    pub encrypted_fields: &'static [&'static str],
    /// Fills in what an Admin API write may leave out (jwt-auth's generated secret, spec/jwt-auth §9.1), or refuses
    /// what the rules ask for and it has not. Not asked about what is stored already.
    pub complete: fn(&mut Value, Rules) -> Result<(), String>,
    /// Builds the consumer side.
    pub build_credential: fn(&Value, Rules) -> Result<crate::auth::consumer::AuthMaterial, String>,
}
