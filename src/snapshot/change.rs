//! What the control side hands to workers.

use crate::auth::consumer::{Consumer, Credential};
use crate::plugin::Chain;
use crate::route::Route;
use crate::upstream::{Upstream, UpstreamSlot};
use std::sync::Arc;

/// One change to a worker's tables. Applying it costs the size of the change, never the size of the tables.
#[derive(Debug, Clone)]
pub enum Change {
    /// A route appeared, changed or (`None`) went.
    Route {
        /// APISIX id.
        id: Arc<str>,
        /// The compiled route.
        route: Option<Arc<Route>>,
    },
    /// An upstream appeared, changed (also: its names resolved to other addresses) or went.
    Upstream {
        /// Its slot.
        slot: UpstreamSlot,
        /// The compiled upstream.
        upstream: Option<Arc<Upstream>>,
    },
    /// What a lookup attribute of an authentication plugin names.
    Credential {
        /// The plugin (`jwt-auth`).
        plugin: &'static str,
        /// The attribute's value (`key`).
        key: Arc<str>,
        /// The credential; `None`: nobody any more.
        credential: Option<Arc<Credential>>,
    },
    /// A consumer by name, for `anonymous_consumer`.
    Consumer {
        /// APISIX `username`.
        username: Arc<str>,
        /// The consumer.
        consumer: Option<Arc<Consumer>>,
    },
    /// All global rules, merged.
    GlobalRules(Arc<Chain>),
}

/// Changes that become visible together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The store revision that the changes bring a worker to.
    pub revision: u64,
    /// In order.
    pub changes: Vec<Change>,
}
