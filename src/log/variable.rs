//! The variables of an access-log template.

use super::escape::Escape;
use super::record::{Record, Try};
use super::time;
use crate::base::bytes::push_decimal;
use std::io::Write;

/// A variable that a template may name, as `$name` or `${name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// `remote_addr`: the client's address.
    RemoteAddr,
    /// `remote_port`: the client's port.
    RemotePort,
    /// `remote_user`: always absent; basic authentication has no part here.
    RemoteUser,
    /// `time_local`: end of the request, like `23/Nov/2026:12:40:47 +0000`, in UTC.
    TimeLocal,
    /// `time_iso8601`: the same, like `2026-11-23T12:40:47+00:00`.
    TimeIso8601,
    /// `msec`: the same, in seconds since the Unix epoch with milliseconds.
    Msec,
    /// `request`: the request line.
    Request,
    /// `request_method`.
    RequestMethod,
    /// `request_uri`: the request target as it came.
    RequestUri,
    /// `uri`: the target up to `?`, as it came (nginx would show it normalised).
    Uri,
    /// `args` and `query_string`: the target after `?`.
    Args,
    /// `server_protocol`: `HTTP/1.0` or `HTTP/1.1`.
    ServerProtocol,
    /// `host`: `Host` without port, in lower case.
    Host,
    /// `http_host`: `Host` as it came.
    HttpHost,
    /// `http_referer`.
    HttpReferer,
    /// `http_user_agent`.
    HttpUserAgent,
    /// `status`: the status sent to the client.
    Status,
    /// `body_bytes_sent`.
    BodyBytesSent,
    /// `request_time`: seconds with milliseconds.
    RequestTime,
    /// `upstream_addr`: the nodes tried, `a, b`.
    UpstreamAddr,
    /// `upstream_status`: their statuses, `a, b`.
    UpstreamStatus,
    /// `upstream_response_time`: how long each try took, `a, b`.
    UpstreamResponseTime,
    /// `upstream_scheme`: `http`.
    UpstreamScheme,
    /// `upstream_host`: the `Host` sent upstream; never `-`, because APISIX sets it to the empty text.
    UpstreamHost,
    /// `upstream_uri`: empty, because no plugin rewrites the target.
    UpstreamUri,
    /// `apisix_request_id` and `request_id`: 32 hexadecimal digits that no two requests share.
    RequestId,
    /// `route_id`.
    RouteId,
    /// `service_id`.
    ServiceId,
    /// `consumer_name`.
    ConsumerName,
    /// `rate_limiting_info`: what the last limit that was charged said, as JSON (spec/limit-count §7.4).
    RateLimitingInfo,
}

impl Variable {
    /// The variable of that name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable)
    }

    /// Appends the variable's value for `record`, escaped.
    pub(super) fn push(self, out: &mut Vec<u8>, escape: Escape, record: &Record<'_>, request_id: &[u8; 32]) {
        match self {
            Self::RemoteAddr => push_display(out, record.client.ip()),
            Self::RemotePort => push_decimal(out, record.client.port().into()),
            Self::RemoteUser => escape.push_or_absent(out, b""),
            Self::TimeLocal => time::push_local(out, record.unix_us),
            Self::TimeIso8601 => time::push_iso8601(out, record.unix_us),
            Self::Msec => time::push_seconds(out, record.unix_us),
            Self::Request => push_request_line(out, escape, record),
            Self::RequestMethod => escape.push_or_absent(out, record.method),
            Self::RequestUri => escape.push_or_absent(out, record.target),
            Self::Uri => escape.push_or_absent(out, path_and_query(record.target).0),
            Self::Args => escape.push_or_absent(out, path_and_query(record.target).1),
            Self::ServerProtocol => push_protocol(out, record),
            Self::Host => push_host(out, escape, record.host),
            Self::HttpHost => escape.push_or_absent(out, record.host),
            Self::HttpReferer => escape.push_or_absent(out, record.referer),
            Self::HttpUserAgent => escape.push_or_absent(out, record.user_agent),
            Self::Status => push_status(out, record.status),
            Self::BodyBytesSent => push_decimal(out, record.body_bytes_sent),
            Self::RequestTime => time::push_seconds(out, record.request_us),
            Self::UpstreamAddr => push_tries(out, escape, record.tries, |out, one| push_display(out, one.address)),
            Self::UpstreamStatus => push_tries(out, escape, record.tries, |out, one| push_status(out, one.status)),
            Self::UpstreamResponseTime => {
                push_tries(out, escape, record.tries, |out, one| time::push_seconds(out, one.us));
            }
            Self::UpstreamScheme => out.extend_from_slice(b"http"),
            Self::UpstreamHost => escape.push(out, upstream_host(record)),
            Self::UpstreamUri => {}
            Self::RequestId => out.extend_from_slice(request_id),
            Self::RouteId => escape.push_or_absent(out, record.route_id),
            Self::ServiceId => escape.push_or_absent(out, record.service_id),
            Self::ConsumerName => escape.push_or_absent(out, record.consumer),
            Self::RateLimitingInfo => escape.push_or_absent(out, record.rate_limiting_info),
        }
    }
}

/// The `Host` that the upstream saw.
fn upstream_host<'a>(record: &Record<'a>) -> &'a [u8] {
    if record.upstream_host.is_empty() { record.host } else { record.upstream_host }
}

/// Appends what `push` makes of each try, separated by `, `; absent when there was none.
pub(super) fn push_tries(out: &mut Vec<u8>, escape: Escape, tries: &[Try], push: impl Fn(&mut Vec<u8>, &Try)) {
    if tries.is_empty() {
        escape.push_or_absent(out, b"");
    }
    for (index, attempt) in tries.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push(out, attempt);
    }
}

/// Appends three digits, as nginx does: a status that never was shows as `000`.
pub(super) fn push_status(out: &mut Vec<u8>, status: u16) {
    push_display(out, format_args!("{status:03}"));
}

pub(super) fn push_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{value}");
}

fn push_request_line(out: &mut Vec<u8>, escape: Escape, record: &Record<'_>) {
    if record.method.is_empty() {
        return escape.push_or_absent(out, b"");
    }
    escape.push(out, record.method);
    out.push(b' ');
    escape.push(out, record.target);
    out.push(b' ');
    push_protocol(out, record);
}

fn push_protocol(out: &mut Vec<u8>, record: &Record<'_>) {
    out.extend_from_slice(if record.minor_version == 0 { b"HTTP/1.0" } else { b"HTTP/1.1" });
}

fn push_host(out: &mut Vec<u8>, escape: Escape, host: &[u8]) {
    let bracket = memchr::memrchr(b']', host).unwrap_or(0);
    let end = memchr::memrchr(b':', host).filter(|colon| *colon >= bracket).unwrap_or(host.len());
    let name = host.get(..end).unwrap_or(host).to_ascii_lowercase();
    escape.push_or_absent(out, &name);
}

fn path_and_query(target: &[u8]) -> (&[u8], &[u8]) {
    let mark = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at_checked(mark).unwrap_or((target, b""));
    (path, query.strip_prefix(b"?").unwrap_or(query))
}

const NAMES: &[(&str, Variable)] = &[
    ("apisix_request_id", Variable::RequestId),
    ("args", Variable::Args),
    ("body_bytes_sent", Variable::BodyBytesSent),
    ("consumer_name", Variable::ConsumerName),
    ("host", Variable::Host),
    ("http_host", Variable::HttpHost),
    ("http_referer", Variable::HttpReferer),
    ("http_user_agent", Variable::HttpUserAgent),
    ("msec", Variable::Msec),
    ("query_string", Variable::Args),
    ("rate_limiting_info", Variable::RateLimitingInfo),
    ("remote_addr", Variable::RemoteAddr),
    ("remote_port", Variable::RemotePort),
    ("remote_user", Variable::RemoteUser),
    ("request", Variable::Request),
    ("request_id", Variable::RequestId),
    ("request_method", Variable::RequestMethod),
    ("request_time", Variable::RequestTime),
    ("request_uri", Variable::RequestUri),
    ("route_id", Variable::RouteId),
    ("server_protocol", Variable::ServerProtocol),
    ("service_id", Variable::ServiceId),
    ("status", Variable::Status),
    ("time_iso8601", Variable::TimeIso8601),
    ("time_local", Variable::TimeLocal),
    ("upstream_addr", Variable::UpstreamAddr),
    ("upstream_host", Variable::UpstreamHost),
    ("upstream_response_time", Variable::UpstreamResponseTime),
    ("upstream_scheme", Variable::UpstreamScheme),
    ("upstream_status", Variable::UpstreamStatus),
    ("upstream_uri", Variable::UpstreamUri),
    ("uri", Variable::Uri),
];

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn value(name: &str, record: &Record<'_>) -> String {
        let mut out = Vec::new();
        Variable::named(name).unwrap().push(&mut out, Escape::Default, record, b"0123456789abcdef0123456789abcdef");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_variable_has_its_value() {
        let cases = [
            ("apisix_request_id", "0123456789abcdef0123456789abcdef"),
            ("args", "a=1"),
            ("body_bytes_sent", "321"),
            ("consumer_name", "jack"),
            ("host", "api.example.com"),
            ("http_host", "api.example.com"),
            ("http_referer", "-"),
            ("http_user_agent", r"curl/8.5.0 \x22x\x22"),
            ("msec", "1795437647.123"),
            ("query_string", "a=1"),
            ("rate_limiting_info", r"{\x22rate_limiting_limit\x22:2}"),
            ("remote_addr", "10.0.0.7"),
            ("remote_port", "50123"),
            ("remote_user", "-"),
            ("request", "GET /headers?a=1 HTTP/1.1"),
            ("request_id", "0123456789abcdef0123456789abcdef"),
            ("request_method", "GET"),
            ("request_time", "0.005"),
            ("request_uri", "/headers?a=1"),
            ("route_id", "jwt-route"),
            ("server_protocol", "HTTP/1.1"),
            ("service_id", "-"),
            ("status", "200"),
            ("time_iso8601", "2026-11-23T12:40:47+00:00"),
            ("time_local", "23/Nov/2026:12:40:47 +0000"),
            ("upstream_addr", "127.0.0.1:1980, 127.0.0.2:1981"),
            ("upstream_host", "api.example.com"),
            ("upstream_response_time", "0.001, 0.002"),
            ("upstream_scheme", "http"),
            ("upstream_status", "502, 200"),
            ("upstream_uri", ""),
            ("uri", "/headers"),
        ];
        assert_eq!(cases.len(), NAMES.len(), "a variable has no case");
        for (name, want) in cases {
            assert_eq!(value(name, &samples::proxied()), want, "${name}");
        }
    }

    #[test]
    fn what_was_never_known_is_absent() {
        for name in ["request", "request_method", "uri", "args", "host", "upstream_addr", "upstream_status", "route_id"]
        {
            assert_eq!(value(name, &samples::unread()), "-", "${name}");
        }
        assert_eq!(value("remote_addr", &samples::unread()), "::1");
    }

    #[test]
    fn host_loses_its_port_and_its_case() {
        for (raw, want) in [("A.b:80", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a", "a"), (":80", "-")] {
            let record = Record { host: raw.as_bytes(), ..samples::proxied() };
            assert_eq!(value("host", &record), want, "{raw}");
            assert_eq!(value("upstream_host", &record), raw);
        }
        let rewritten = Record { upstream_host: b"node:1980", ..samples::proxied() };
        assert_eq!(value("upstream_host", &rewritten), "node:1980");
    }
}
