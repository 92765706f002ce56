//! Names of upstream nodes, resolved on the control side and kept fresh.

use std::net::IpAddr;
use tokio::sync::mpsc;

/// A name's current addresses; published when they are first known and whenever they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// The name.
    pub name: Box<str>,
    /// Its addresses, A before AAAA; empty: the first look-up failed (a later failure keeps the last good set).
    pub addresses: Vec<IpAddr>,
}

/// Resolves wanted names in the background until they are released.
#[derive(Debug)]
pub struct Resolver {}

/// How to resolve.
#[derive(Debug, Clone, Default)]
pub struct ResolverOptions {
    /// `apisix.dns_resolver`: server addresses; the system's when empty.
    pub servers: Vec<std::net::SocketAddr>,
    /// `apisix.dns_resolver_valid`: seconds that outrank the record's TTL.
    pub valid_s: Option<u64>,
    /// `apisix.resolver_timeout`, seconds.
    pub timeout_s: Option<u64>,
    /// `apisix.enable_resolv_search_opt`.
    pub search: bool,
}

impl Resolver {
    /// Starts resolving on the current tokio runtime; results go to `results`.
    pub fn start(_options: ResolverOptions, _results: mpsc::UnboundedSender<Resolution>) -> Result<Self, String> {
        Ok(Self {})
    }

    /// Resolves `name` now and keeps it fresh. Wanting a name twice is the same as once.
    pub fn want(&self, _name: &str) {}

    /// Stops refreshing `name`.
    pub fn release(&self, _name: &str) {}
}
