//! Which route a request takes: host, then uri, then conditions, in APISIX's order (spec/routing-and-upstreams §2).
//!
//! Runs once per request, after the head is parsed. In: a [`Request`](crate::http::request::Request). Out: the
//! compiled [`Route`]. The index is the worker's own and changes one route at a time; its cost per request does not
//! grow with the number of routes.

use crate::plugin::Chain;
use crate::upstream::{Timeouts, UpstreamSlot};
use std::sync::Arc;

mod group;
pub mod host;
pub mod pattern;
pub mod radix;
pub mod router;
pub mod rule;

pub use router::Router;
pub use rule::{Rule, RuleError, RuleParts};

/// A route, ready to run: references resolved, plugins merged.
#[derive(Debug)]
pub struct Route {
    /// APISIX id, as text.
    pub id: Box<str>,
    /// Its `name`, for logs.
    pub name: Option<Box<str>>,
    /// The service it refers to, as text.
    pub service_id: Option<Box<str>>,
    /// That service's `name`.
    pub service_name: Option<Box<str>>,
    /// What must hold for the route to be taken.
    pub rule: Rule,
    /// Plugins of route, `plugin_config` and service, merged by name (spec/consumers-credentials-secrets §4).
    pub chain: Arc<Chain>,
    /// Where its requests go.
    pub target: Target,
    /// The route's own `timeout`; it outranks the upstream's.
    pub timeouts: Option<Timeouts>,
    /// Whether `Upgrade: websocket` may pass.
    pub enable_websocket: bool,
}

/// Where a route's requests go once its plugins let them pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An upstream; if the worker has none in that slot the answer is 502 (dangling id).
    Upstream(UpstreamSlot),
    /// No upstream at all: 503.
    None,
    /// `service_id` names a service that does not exist: 404 HTML.
    ServiceMissing,
    /// `plugin_config_id` names an object that does not exist, or a plugin could not be built: 503, fail closed.
    Unusable,
}
