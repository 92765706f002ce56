//! The response head that goes to the client: an upstream's, rewritten for this hop, or the gateway's own.

use super::exchange::Exchange;
use crate::base::bytes::push_decimal;
use crate::base::clock::Now;
use crate::http::answer::reason;
use crate::http::field::Known;
use crate::http::framing::Framing;
use crate::http::request_head::is_nominated;
use crate::plugin::Answer;
use crate::worker::state::State;

/// How the body will be delimited towards the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// By the head: no body, or `Content-Length`.
    Head,
    /// By chunks of the gateway's making.
    Chunks,
    /// By the end of the connection, for HTTP/1.0.
    Close,
}

/// How a body with the upstream's `framing` is delimited for a client of `minor_version`.
pub fn delimiter(framing: Framing, minor_version: u8) -> Delimiter {
    match (framing, minor_version) {
        (Framing::None | Framing::Length(_), _) => Delimiter::Head,
        (Framing::Chunked | Framing::ToClose, 0) => Delimiter::Close,
        (Framing::Chunked | Framing::ToClose, _) => Delimiter::Chunks,
    }
}

/// Appends the head of the response in `exchange.response`, which was parsed from `buffer`.
pub fn push_response_head(
    out: &mut Vec<u8>,
    state: &State,
    exchange: &Exchange,
    buffer: &[u8],
    keep_alive: bool,
    now: Now,
) {
    let head = &exchange.response;
    let set = &exchange.edits.response_fields;
    push_status_line(out, head.status, head.reason.of(buffer));
    let mut has_date = false;
    for field in &head.fields {
        let name = field.name.of(buffer);
        let passes = match field.known {
            Known::Connection | Known::HopByHop | Known::TransferEncoding | Known::Upgrade | Known::Server => false,
            // A length beside a status that has no body would be read as the next answer's start by some clients.
            Known::ContentLength => head.status != 204,
            Known::Date => {
                has_date = true;
                true
            }
            _ => !(head.nominates && is_nominated(buffer, &head.fields, name)),
        };
        if passes && !set.has(name) {
            field.push_line(buffer, out);
        }
    }
    set.push_lines(out);
    push_server(out, state);
    if !has_date {
        state.push_date(out, now);
    }
    if state.settings.show_upstream_status || head.status >= 500 {
        push_upstream_status(out, exchange);
    }
    if delimiter(head.framing, exchange.head.minor_version) == Delimiter::Chunks {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    push_connection(out, exchange.head.minor_version, keep_alive);
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole answer of the gateway's own.
pub fn push_answer(
    out: &mut Vec<u8>,
    state: &State,
    exchange: &Exchange,
    answer: &Answer,
    is_head: bool,
    keep_alive: bool,
) {
    push_status_line(out, answer.status, reason(answer.status).as_bytes());
    state.push_date(out, exchange.now);
    push_server(out, state);
    out.extend_from_slice(&answer.fields);
    exchange.edits.response_fields.push_lines(out);
    if answer.status >= 500 && !exchange.tries.is_empty() {
        push_upstream_status(out, exchange);
    }
    // Neither has a body, and to say so with a length is forbidden for the first (RFC 9110 §8.6).
    if !matches!(answer.status, 204 | 304) {
        out.extend_from_slice(b"Content-Length: ");
        push_decimal(out, answer.body.len() as u64);
        out.extend_from_slice(b"\r\n");
    }
    push_connection(out, exchange.head.minor_version, keep_alive);
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(&answer.body);
    }
}

fn push_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    // Always three digits: heads with others are refused.
    let digit = |value: u16| b'0' + (value % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

fn push_server(out: &mut Vec<u8>, state: &State) {
    out.extend_from_slice(b"Server: ");
    out.extend_from_slice(state.settings.server.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The status of every try (spec/routing-and-upstreams §7).
fn push_upstream_status(out: &mut Vec<u8>, exchange: &Exchange) {
    out.extend_from_slice(b"X-APISIX-Upstream-Status: ");
    for (index, attempt) in exchange.tries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_decimal(out, u64::from(attempt.status));
    }
    out.extend_from_slice(b"\r\n");
}

/// Says whether the connection goes on, where that is not the version's default.
fn push_connection(out: &mut Vec<u8>, minor_version: u8, keep_alive: bool) {
    match (minor_version, keep_alive) {
        (0, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
        (_, true) => {}
    }
}
