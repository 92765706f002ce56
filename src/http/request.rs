//! What later phases see of a request: slices of the connection's read buffer, and what was derived from them.

use super::field::{FieldSpan, Known};
use crate::base::bytes::Span;
use std::net::{IpAddr, SocketAddr};

/// One field line of a head, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The name as the sender wrote it; compare without case.
    pub name: &'a [u8],
    /// The value without surrounding white space.
    pub value: &'a [u8],
}

/// A parsed request, borrowed from its connection: what routing, authentication and plugins may look at.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The buffer that holds the head.
    pub buffer: &'a [u8],
    /// The field lines in order, as spans of `buffer`.
    pub field_spans: &'a [FieldSpan],
    /// The method, case-sensitive.
    pub method: &'a [u8],
    /// Path and query exactly as the client sent them (origin form).
    pub raw_target: &'a [u8],
    /// The path for matching: decoded once, dot segments and slash runs resolved (spec/routing-and-upstreams §1).
    pub path: &'a [u8],
    /// The query as received, without `?`; empty when there is none.
    pub query: &'a [u8],
    /// The host for matching: lower case, without port and one trailing dot; empty when HTTP/1.0 sent none.
    pub host: &'a [u8],
    /// The raw `Host` value, with port and case.
    pub raw_host: &'a [u8],
    /// The client's address after real-ip.
    pub remote_addr: IpAddr,
    /// The socket's peer.
    pub peer: SocketAddr,
    /// The address the client reached us at.
    pub local: SocketAddr,
}

impl<'a> Request<'a> {
    /// The field lines in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let buffer = self.buffer;
        self.field_spans.iter().map(move |span| Field { name: span.name.of(buffer), value: span.value.of(buffer) })
    }

    /// The first value of the field called `name`, compared without case.
    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}

/// A request that owns its bytes: for tests, benches and fuzz targets of the phases after parsing.
#[derive(Debug, Clone)]
pub struct OwnedRequest {
    buffer: Vec<u8>,
    spans: Vec<FieldSpan>,
    method: Vec<u8>,
    raw_target: Vec<u8>,
    path: Vec<u8>,
    host: Vec<u8>,
    /// What [`Request::remote_addr`] will say; loopback unless changed.
    pub remote_addr: IpAddr,
}

impl OwnedRequest {
    /// A request for `raw_target`; its part before `?` is taken as the normalised path unchanged.
    pub fn new(method: &str, raw_target: &str) -> Self {
        let path = raw_target.split('?').next().unwrap_or_default();
        Self {
            buffer: Vec::new(),
            spans: Vec::new(),
            method: method.into(),
            raw_target: raw_target.into(),
            path: path.into(),
            host: Vec::new(),
            remote_addr: IpAddr::from([127, 0, 0, 1]),
        }
    }

    /// Adds a field line. A `host` field also sets the host for matching.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let start = self.buffer.len();
        self.buffer.extend_from_slice(name.as_bytes());
        let middle = self.buffer.len();
        self.buffer.extend_from_slice(value);
        self.spans.push(FieldSpan {
            name: Span::new(start, middle),
            value: Span::new(middle, self.buffer.len()),
            known: Known::of(name.as_bytes()),
        });
        if name.eq_ignore_ascii_case("host") {
            self.host = value.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
        }
        self
    }

    /// The borrowed view that phases take.
    pub fn view(&self) -> Request<'_> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 9080));
        let mark = self.raw_target.iter().position(|byte| *byte == b'?');
        let raw_host = self
            .spans
            .iter()
            .find(|span| span.name.of(&self.buffer).eq_ignore_ascii_case(b"host"))
            .map_or(&[][..], |span| span.value.of(&self.buffer));
        Request {
            buffer: &self.buffer,
            field_spans: &self.spans,
            method: &self.method,
            raw_target: &self.raw_target,
            path: &self.path,
            query: mark.and_then(|mark| self.raw_target.get(mark + 1..)).unwrap_or_default(),
            host: &self.host,
            raw_host,
            remote_addr: self.remote_addr,
            peer: SocketAddr::new(self.remote_addr, 40000),
            local: loopback,
        }
    }
}
