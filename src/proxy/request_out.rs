//! The request head that goes upstream (spec/routing-and-upstreams §7): rendered once per try, into one buffer.

use super::exchange::{Client, Exchange};
use crate::base::bytes::{push_address, push_decimal};
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::http::request_head::is_nominated;
use crate::upstream::{Node, PassHost, Upstream};
use crate::worker::settings::Settings;

/// Appends the head of the request in `buffer` for a try at `node`.
pub fn push_request_head(
    out: &mut Vec<u8>,
    exchange: &Exchange,
    buffer: &[u8],
    client: Client,
    settings: &Settings,
    upstream: &Upstream,
    node: &Node,
) {
    let head = &exchange.head;
    out.extend_from_slice(head.method.of(buffer));
    out.push(b' ');
    push_target(out, exchange, buffer);
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let raw_host = exchange.raw_host(buffer);
    out.extend_from_slice(match &upstream.pass_host {
        PassHost::Pass if raw_host.is_empty() => &node.host_field,
        PassHost::Pass => raw_host,
        PassHost::Node => &node.host_field,
        PassHost::Rewrite(host) => host,
    });
    out.extend_from_slice(b"\r\n");
    push_forwarded(out, exchange, buffer, client, settings);
    push_client_fields(out, exchange, buffer);
    if let Some(identity) = &exchange.identity {
        out.extend_from_slice(&identity.fields);
    }
    if let Some(cookie) = exchange.edits.cookie.as_deref().filter(|cookie| !cookie.is_empty()) {
        push_line(out, b"Cookie", cookie);
    }
    if head.framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn push_target(out: &mut Vec<u8>, exchange: &Exchange, buffer: &[u8]) {
    let target = exchange.raw_target(buffer);
    let Some(query) = &exchange.edits.query else {
        out.extend_from_slice(target);
        return;
    };
    let path_bytes = memchr::memchr(b'?', target).unwrap_or(target.len());
    out.extend_from_slice(target.get(..path_bytes).unwrap_or_default());
    if !query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

/// Writes `X-Real-IP` and the `X-Forwarded-*` lines; what a peer may say of itself depends on who it is.
fn push_forwarded(out: &mut Vec<u8>, exchange: &Exchange, buffer: &[u8], client: Client, settings: &Settings) {
    let peer = client.peer.ip();
    let trust = settings.trusted_addresses.as_ref().map(|list| list.iter().any(|network| network.contains(&peer)));
    let inbound = |known| {
        let fields = if trust == Some(true) { exchange.head.fields.as_slice() } else { &[] };
        fields.iter().find(|field| field.known == known).map(|field| field.value.of(buffer))
    };
    out.extend_from_slice(b"X-Real-IP: ");
    let address_start = out.len();
    push_address(out, exchange.remote_addr.unwrap_or(peer));
    let address_end = out.len();
    out.extend_from_slice(b"\r\nX-Forwarded-For: ");
    if trust != Some(false) {
        for field in exchange.head.fields.iter().filter(|field| field.known == Known::XForwardedFor) {
            out.extend_from_slice(field.value.of(buffer));
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_within(address_start..address_end);
    match inbound(Known::XForwardedProto) {
        None => out.extend_from_slice(b"\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "),
        Some(scheme) => {
            out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
            out.extend_from_slice(scheme);
            out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        }
    }
    let raw_host = exchange.raw_host(buffer);
    out.extend_from_slice(inbound(Known::XForwardedHost).unwrap_or(raw_host));
    out.extend_from_slice(b"\r\nX-Forwarded-Port: ");
    match inbound(Known::XForwardedPort).or_else(|| port_of(raw_host)) {
        Some(port) => out.extend_from_slice(port),
        None => push_decimal(out, u64::from(client.local.port())),
    }
    out.extend_from_slice(b"\r\n");
}

fn port_of(host: &[u8]) -> Option<&[u8]> {
    // A port is short: looking from the end by hand is quicker than starting a search.
    let colon = host.iter().rposition(|byte| *byte == b':')?;
    let port = host.get(colon + 1..).unwrap_or_default();
    // In a bare IPv6 literal the last colon is part of the address.
    (!port.is_empty() && !port.contains(&b']')).then_some(port)
}

/// Copies the client's own lines, without those that end at this hop, that the gateway writes itself, or that a
/// plugin removed. Clients' copies of the identity fields never pass once an identity is attached.
fn push_client_fields(out: &mut Vec<u8>, exchange: &Exchange, buffer: &[u8]) {
    let head = &exchange.head;
    let edits = &exchange.edits;
    for field in &head.fields {
        let name = field.name.of(buffer);
        let passes = match field.known {
            Known::Host
            | Known::Connection
            | Known::HopByHop
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::Expect
            | Known::Forwarded
            | Known::XRealIp
            | Known::XForwardedFor
            | Known::XForwardedHost
            | Known::XForwardedPort
            | Known::XForwardedProto => false,
            Known::ContentLength => true,
            Known::Identity => exchange.identity.is_none(),
            Known::Cookie => edits.cookie.is_none() && !is_removed(exchange, buffer, name),
            Known::Other | Known::Authorization | Known::Date | Known::Referer | Known::Server | Known::UserAgent => {
                !is_removed(exchange, buffer, name)
            }
        };
        if passes {
            field.push_line(buffer, out);
        }
    }
}

fn is_removed(exchange: &Exchange, buffer: &[u8], name: &[u8]) -> bool {
    let head = &exchange.head;
    exchange.edits.remove_fields.iter().any(|removed| is_same_name(removed, name))
        || (head.nominates && is_nominated(buffer, &head.fields, name))
}

/// Compares field names without case and with `_` like `-`, as CGI-like upstreams do.
fn is_same_name(left: &[u8], right: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    left.len() == right.len() && left.iter().map(fold).eq(right.iter().map(fold))
}

fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
