//! One request's record, as the worker leaves it.

use std::net::SocketAddr;

/// What a worker knows of a finished request; borrowed, copied once into the worker's log buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// End of the request, microseconds since the Unix epoch.
    pub unix_us: u64,
    /// From the first byte of the request to the last of the answer, microseconds.
    pub request_us: u64,
    /// The client's address after real-ip; port of the socket.
    pub client: SocketAddr,
    /// The request line's method; empty when none could be read.
    pub method: &'a [u8],
    /// The raw request target.
    pub target: &'a [u8],
    /// 0 or 1: the minor version.
    pub minor_version: u8,
    /// The raw `Host`.
    pub host: &'a [u8],
    /// The `Host` sent upstream; empty when it is the client's.
    pub upstream_host: &'a [u8],
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// Status sent to the client; 499 when it left before the answer.
    pub status: u16,
    /// Body bytes sent to the client.
    pub body_bytes_sent: u64,
    /// The tries at upstream nodes, in order.
    pub tries: &'a [Try],
    /// Route id, or empty.
    pub route_id: &'a [u8],
    /// Service id, or empty.
    pub service_id: &'a [u8],
    /// Consumer username, or empty.
    pub consumer: &'a [u8],
    /// What the last limit that was charged said, as JSON; empty if there was none, or if nobody wants to know.
    pub rate_limiting_info: &'a [u8],
}

/// One try at an upstream node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    /// The node's address.
    pub address: SocketAddr,
    /// Its status, or what the gateway made of the failure (502, 504).
    pub status: u16,
    /// From the start of the try to the end of its response, microseconds.
    pub us: u64,
}
