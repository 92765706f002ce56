//! The preset `json`: one JSON object per request.
//!
//! Numbers are numbers; what may have several values (the upstream fields) is a string as in a template, `a, b`.

use super::escape::Escape;
use super::record::Record;
use super::time;
use super::variable::{push_display, push_status, push_tries};
use crate::base::bytes::push_decimal;

/// Appends the object for `record`, without a line feed. Every field is always there, empty when not known.
pub(super) fn push(out: &mut Vec<u8>, record: &Record<'_>, request_id: &[u8; 32]) {
    out.extend_from_slice(b"{\"time\":\"");
    time::push_rfc3339(out, record.unix_us);
    out.extend_from_slice(b"\",\"remote_addr\":\"");
    push_display(out, record.client.ip());
    out.push(b'"');
    push_text(out, "method", record.method);
    push_text(out, "uri", record.target);
    push_text(out, "host", record.host);
    push_name(out, "status");
    push_decimal(out, record.status.into());
    push_name(out, "body_bytes_sent");
    push_decimal(out, record.body_bytes_sent);
    push_name(out, "request_time");
    time::push_seconds(out, record.request_us);
    push_quoted(out, "upstream_addr", |out| {
        push_tries(out, Escape::Json, record.tries, |out, attempt| push_display(out, attempt.address));
    });
    push_quoted(out, "upstream_status", |out| {
        push_tries(out, Escape::Json, record.tries, |out, attempt| push_status(out, attempt.status));
    });
    push_quoted(out, "upstream_response_time", |out| {
        push_tries(out, Escape::Json, record.tries, |out, attempt| time::push_seconds(out, attempt.us));
    });
    push_text(out, "route_id", record.route_id);
    push_text(out, "service_id", record.service_id);
    push_text(out, "consumer", record.consumer);
    push_text(out, "referer", record.referer);
    push_text(out, "user_agent", record.user_agent);
    push_text(out, "request_id", request_id);
    out.push(b'}');
}

fn push_text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    push_quoted(out, name, |out| Escape::Json.push(out, value));
}

fn push_quoted(out: &mut Vec<u8>, name: &str, push: impl FnOnce(&mut Vec<u8>)) {
    push_name(out, name);
    out.push(b'"');
    push(out);
    out.push(b'"');
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
