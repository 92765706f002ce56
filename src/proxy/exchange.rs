//! One request and its answer: what is known of them while they last. Recycled, so that its memory is allocated once.

use crate::auth::consumer::Identity;
use crate::base::clock::Now;
use crate::http::path::split_target;
use crate::http::request::Request;
use crate::http::request_head::RequestHead;
use crate::http::response_head::ResponseHead;
use crate::log::record::Try;
use crate::plugin::Edits;
use crate::plugin::filter::Decisions;
use crate::upstream::balance::Tried;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The two ends of a client's connection.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The socket's peer.
    pub peer: SocketAddr,
    /// The address it reached us at.
    pub local: SocketAddr,
}

/// State of one exchange.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The request's head.
    pub head: RequestHead,
    /// The upstream's response head.
    pub response: ResponseHead,
    /// The normalised path, where it differs from the raw one.
    pub path: Vec<u8>,
    /// Whether `path` is to be used.
    pub path_is_rewritten: bool,
    /// The host for matching, where it is not a prefix of the raw one.
    pub host: Vec<u8>,
    /// How many bytes of the raw host are the host for matching, where it is a prefix.
    pub host_bytes: Option<usize>,
    /// What plugins change on the way to the upstream.
    pub edits: Edits,
    /// Which plugins with a filter take part.
    pub decisions: Decisions,
    /// Who is calling.
    pub identity: Option<Arc<Identity>>,
    /// The client's address after real-ip, once the head was understood.
    pub remote_addr: Option<IpAddr>,
    /// The `Host` that was sent upstream, where it is not the client's; for the log.
    pub upstream_host: Vec<u8>,
    /// Id of the route taken, for the log.
    pub route_id: Vec<u8>,
    /// Id of its service, for the log.
    pub service_id: Vec<u8>,
    /// Nodes tried.
    pub tried: Tried,
    /// Tries made, for the log and `X-APISIX-Upstream-Status`.
    pub tries: Vec<Try>,
    /// Data ranges of the chunks in one read.
    pub chunks: Vec<(usize, usize)>,
    /// When the first byte came, monotonic.
    pub started_us: u64,
    /// When the head was complete.
    pub now: Now,
    /// Status sent to the client.
    pub status: u16,
    /// Body bytes sent to the client.
    pub body_bytes_sent: u64,
}

impl Exchange {
    /// Forgets the last exchange, keeping the memory.
    pub fn clear(&mut self) {
        self.head.clear();
        self.response.clear();
        self.path.clear();
        self.path_is_rewritten = false;
        self.host.clear();
        self.host_bytes = None;
        self.upstream_host.clear();
        self.edits.clear();
        self.decisions.clear();
        self.identity = None;
        self.remote_addr = None;
        self.route_id.clear();
        self.service_id.clear();
        self.tried.clear();
        self.tries.clear();
        self.chunks.clear();
        self.status = 0;
        self.body_bytes_sent = 0;
    }

    /// Path and query as they go upstream: origin form, `/` where an absolute form had no path.
    pub fn raw_target<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        match self.head.target.of(buffer) {
            b"" => b"/",
            target => target,
        }
    }

    /// The raw host: the authority of an absolute form, else `Host`.
    pub fn raw_host<'b>(&self, buffer: &'b [u8]) -> &'b [u8] {
        self.head.authority.unwrap_or(self.head.host).of(buffer)
    }

    /// The view that routing and plugins take. `buffer` is the one the head was parsed from.
    pub fn request<'a>(&'a self, buffer: &'a [u8], client: Client) -> Request<'a> {
        let raw_target = self.raw_target(buffer);
        let raw_host = self.raw_host(buffer);
        // The head has no fragment: without a query, all of it is path.
        let (raw_path, query) = if self.head.has_query { split_target(raw_target) } else { (raw_target, &[][..]) };
        Request {
            buffer,
            field_spans: &self.head.fields,
            method: self.head.method.of(buffer),
            raw_target,
            path: if self.path_is_rewritten { &self.path } else { raw_path },
            query,
            host: self.host_bytes.map_or(&self.host, |bytes| raw_host.get(..bytes).unwrap_or_default()),
            raw_host,
            remote_addr: self.remote_addr.unwrap_or(client.peer.ip()),
            peer: client.peer,
            local: client.local,
        }
    }
}
