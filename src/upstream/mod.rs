//! Upstreams as workers see them: nodes with addresses, balancing, connections.

pub mod balance;
pub mod pool;

use std::net::SocketAddr;
use std::time::Duration;

/// Names one upstream on every worker; never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamSlot(pub u64);

/// Waits for one upstream, each between two successive operations (spec/routing-and-upstreams §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to stand.
    pub connect: Duration,
    /// Between two writes.
    pub send: Duration,
    /// Between two reads.
    pub read: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: minute, send: minute, read: minute }
    }
}

/// Which `Host` the upstream sees (spec/routing-and-upstreams §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassHost {
    /// The client's raw `Host`.
    Pass,
    /// The node's domain or address, with its port unless that is the scheme's default.
    Node,
    /// `upstream_host`.
    Rewrite(Box<[u8]>),
}

/// Idle connections kept per worker and node (`keepalive_pool`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepalivePool {
    /// Idle connections kept.
    pub size: usize,
    /// How long one may idle; zero means no reuse.
    pub idle_timeout: Duration,
    /// Requests after which one is closed.
    pub requests: u64,
}

impl Default for KeepalivePool {
    fn default() -> Self {
        Self { size: 320, idle_timeout: Duration::from_secs(60), requests: 1000 }
    }
}

/// An upstream, ready to use: names resolved, weights reduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The key it came from (`/upstreams/1`, `/routes/7`), for logs.
    pub key: Box<str>,
    /// Nodes with a weight, grouped by falling priority by [`Upstream::nodes`]' order.
    pub nodes: Vec<Node>,
    /// Which `Host` the upstream sees.
    pub pass_host: PassHost,
    /// Further tries after the first; `None` means one less than the number of nodes.
    pub retries: Option<u32>,
    /// No new try starts after this; zero means no such bound.
    pub retry_timeout: Duration,
    /// The upstream's own `timeout`, if any.
    pub timeouts: Option<Timeouts>,
    /// Connection reuse.
    pub keepalive: KeepalivePool,
}

/// One configured node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Domain or address as configured, without port.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// Share of requests; 0 is never picked unless all are 0.
    pub weight: u32,
    /// Higher groups are used first.
    pub priority: i64,
    /// What the host stands for now; empty while its name has no address.
    pub addresses: Vec<SocketAddr>,
    /// The `Host` value for [`PassHost::Node`], rendered.
    pub host_field: Box<[u8]>,
}
