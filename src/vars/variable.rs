//! Request variables by the names users write (spec/routing-and-upstreams §3).
//!
//! A name is parsed once per change into a [`Variable`]; what is [`Known`] of a request then gives its value, borrowed
//! wherever it is held in the wanted form. Conditions of routes and plugins that name variables share this.

use super::Known;
use crate::auth::consumer::Identity;
use crate::base::bytes::push_address;
use crate::http::path::hex_pair;
use crate::http::request::Request;
use std::borrow::Cow;
use std::net::IpAddr;

/// A variable, named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// `uri`: the path for matching.
    Uri,
    /// `request_uri`: the path for matching, `?` and the query if there is one.
    RequestUri,
    /// `host`: the host for matching.
    Host,
    /// `request_method`.
    RequestMethod,
    /// `scheme`: how the client reached us.
    Scheme,
    /// `server_port`: the port the client reached us at.
    ServerPort,
    /// `server_addr`: the address the client reached us at.
    ServerAddr,
    /// `remote_addr`: the client's address after real-ip.
    RemoteAddr,
    /// `remote_port`: the port of the socket's peer.
    RemotePort,
    /// `query_string` or `args`: the query as received.
    Query,
    /// `is_args`: `?` if there is a query, else empty.
    IsArgs,
    /// `http_<name>`: a field, its name in lower case with `_` for `-`.
    Field(Box<[u8]>),
    /// `arg_<name>`: the first query argument of that name, decoded.
    Argument(Box<[u8]>),
    /// `cookie_<name>`: the last cookie of that name, as jwt-auth reads them (spec/jwt-auth §3).
    Cookie(Box<[u8]>),
    /// `consumer_name`: the consumer's username, once an authentication plugin has attached one.
    ConsumerName,
    /// `consumer_group_id`: the group of that consumer.
    ConsumerGroupId,
    /// `route_id`: the route's id, once a route is chosen.
    RouteId,
    /// `route_name`: the name of that route.
    RouteName,
    /// `service_id`: the id of that route's service.
    ServiceId,
    /// `service_name`: the name of that service.
    ServiceName,
    /// `jwt_payload_<claim>`: a scalar member of the caller's token, once jwt-auth with `store_in_ctx` has verified one
    /// (spec/jwt-auth §8.3).
    Claim(Box<str>),
    /// Any other name; always absent.
    Unknown(Box<str>),
}

impl Variable {
    /// The variable that `name` stands for.
    pub fn named(name: &str) -> Self {
        match name {
            "uri" => Self::Uri,
            "request_uri" => Self::RequestUri,
            "host" => Self::Host,
            "request_method" => Self::RequestMethod,
            "scheme" => Self::Scheme,
            "server_port" => Self::ServerPort,
            "server_addr" => Self::ServerAddr,
            "remote_addr" => Self::RemoteAddr,
            "remote_port" => Self::RemotePort,
            "query_string" | "args" => Self::Query,
            "is_args" => Self::IsArgs,
            "consumer_name" => Self::ConsumerName,
            "consumer_group_id" => Self::ConsumerGroupId,
            "route_id" => Self::RouteId,
            "route_name" => Self::RouteName,
            "service_id" => Self::ServiceId,
            "service_name" => Self::ServiceName,
            _ => {
                if let Some(field) = name.strip_prefix("http_") {
                    Self::Field(field.bytes().map(folded).collect())
                } else if let Some(argument) = name.strip_prefix("arg_") {
                    Self::Argument(argument.as_bytes().into())
                } else if let Some(claim) = name.strip_prefix("jwt_payload_") {
                    Self::Claim(claim.into())
                } else if let Some(cookie) = name.strip_prefix("cookie_") {
                    Self::Cookie(cookie.as_bytes().into())
                } else {
                    Self::Unknown(name.into())
                }
            }
        }
    }

    /// Its value; `None` if it is absent.
    pub fn value<'a>(&self, known: &Known<'a>) -> Option<Cow<'a, [u8]>> {
        let request = known.request;
        match self {
            Self::Uri => Some(request.path.into()),
            Self::RequestUri => Some(request_uri(request)),
            Self::Host => Some(request.host).filter(|host| !host.is_empty()).map(Cow::Borrowed),
            Self::RequestMethod => Some(request.method.into()),
            Self::Scheme => Some(b"http".into()),
            Self::ServerPort => Some(request.local.port().to_string().into_bytes().into()),
            Self::ServerAddr => Some(request.local.ip().to_string().into_bytes().into()),
            Self::RemoteAddr => Some(request.remote_addr.to_string().into_bytes().into()),
            Self::RemotePort => Some(request.peer.port().to_string().into_bytes().into()),
            Self::Query => Some(request.query).filter(|query| !query.is_empty()).map(Cow::Borrowed),
            Self::IsArgs => Some(if request.query.is_empty() { &b""[..] } else { b"?" }.into()),
            Self::Field(name) => match known.identity {
                Some(identity) if IDENTITY_FIELDS.contains(&&**name) => identity_field(identity, name),
                _ => field(request, name),
            },
            Self::Argument(name) => argument(request.query, name),
            Self::Cookie(name) => cookie(request, name).map(Cow::Borrowed),
            Self::ConsumerName => known.identity.map(|identity| bytes(&identity.username)),
            Self::ConsumerGroupId => known.identity.and_then(|identity| identity.group_id.as_deref()).map(bytes),
            Self::RouteId => known.route.map(|route| bytes(&route.id)),
            Self::RouteName => known.route.and_then(|route| route.name.as_deref()).map(bytes),
            Self::ServiceId => known.route.and_then(|route| route.service_id.as_deref()).map(bytes),
            Self::ServiceName => known.route.and_then(|route| route.service_name.as_deref()).map(bytes),
            Self::Claim(name) => known.payload.and_then(|payload| payload.claim(name)).map(Cow::Borrowed),
            Self::Unknown(_) => None,
        }
    }

    /// Appends its value to `out`; whether there is one. Addresses are rendered in place, without allocating.
    pub fn append(&self, known: &Known<'_>, out: &mut Vec<u8>) -> bool {
        let address = match self {
            Self::RemoteAddr => known.request.remote_addr,
            Self::ServerAddr => known.request.local.ip(),
            _ => {
                let value = self.value(known);
                out.extend_from_slice(value.as_deref().unwrap_or_default());
                return value.is_some();
            }
        };
        push_address(out, address);
        true
    }

    /// Its value read as an IP address, an IPv6 one with or without brackets; `None` if it is absent or no address.
    pub fn address(&self, known: &Known<'_>) -> Option<IpAddr> {
        match self {
            Self::RemoteAddr => Some(known.request.remote_addr),
            Self::ServerAddr => Some(known.request.local.ip()),
            _ => {
                let value = self.value(known)?;
                let bare = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(&value);
                std::str::from_utf8(bare).ok()?.parse().ok()
            }
        }
    }
}

fn bytes(text: &str) -> Cow<'_, [u8]> {
    text.as_bytes().into()
}

fn request_uri<'a>(request: &Request<'a>) -> Cow<'a, [u8]> {
    let (path, query) = (request.path, request.query);
    if query.is_empty() {
        return path.into();
    }
    let as_sent = request.raw_target.strip_prefix(path).and_then(|rest| rest.strip_prefix(b"?"));
    if as_sent == Some(query) { request.raw_target.into() } else { [path, b"?", query].concat().into() }
}

/// Lines of one name are joined as nginx joins them: cookies with `; `, others with `, `.
fn field<'a>(request: &Request<'a>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let separator: &[u8] = if name == b"cookie" { b"; " } else { b", " };
    let mut values = request.fields().filter(|field| is_named(field.name, name)).map(|field| field.value);
    let first = values.next()?;
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let joined = joined.to_mut();
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value);
    }
    Some(joined)
}

/// What the upstream is told in a line that names the caller; once somebody is identified, the client's own copy of it
/// means nothing.
fn identity_field<'a>(identity: &'a Identity, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let lines = identity.fields.split(|byte| *byte == b'\n');
    let mut named = lines.filter_map(|line| {
        let mark = memchr::memchr(b':', line)?;
        Some((line.get(..mark)?, line.get(mark + 1..)?.trim_ascii()))
    });
    named.find(|(field, _)| is_named(field, name)).map(|(_, value)| value.into())
}

/// The lines that [`Identity::render_fields`] writes, as they stand in a variable's name.
const IDENTITY_FIELDS: [&[u8]; 3] = [b"x_consumer_username", b"x_credential_identifier", b"x_consumer_custom_id"];

fn is_named(field: &[u8], name: &[u8]) -> bool {
    field.len() == name.len() && field.iter().zip(name).all(|(byte, wanted)| folded(*byte) == *wanted)
}

/// A byte of a field name as it stands in a variable's name.
fn folded(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }
}

/// An argument without `=` counts as present and empty.
fn argument<'a>(query: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(mark) => (pair.get(..mark)?, pair.get(mark + 1..)?),
            None => (pair, &[][..]),
        };
        (!pair.is_empty() && *decoded(key) == *name).then(|| decoded(value))
    })
}

/// `+` is a space; a `%` without two digits stands for itself.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return text.into();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        out.push(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, tail @ ..]) => match hex_pair(*high, *low) {
                Some(byte) => {
                    rest = tail;
                    byte
                }
                None => b'%',
            },
            _ => byte,
        });
    }
    out.into()
}

/// Pairs are separated by `;`, space or tab; a later one of the same name wins; quotes stay.
fn cookie<'a>(request: &Request<'a>, name: &[u8]) -> Option<&'a [u8]> {
    let lines = request.fields().filter(|field| field.name.eq_ignore_ascii_case(b"cookie"));
    let pairs = lines.flat_map(|line| line.value.split(|byte| matches!(byte, b';' | b' ' | b'\t')));
    pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"=")).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::consumer::Identity;
    use crate::http::request::OwnedRequest;
    use crate::route::{Route, Rule, Target};
    use std::sync::Arc;

    #[test]
    fn every_variable_has_its_value() {
        let request = OwnedRequest::new("PATCH", "/p?a=1&b=x%20y+z&a=2&c&%61b=3&e=%4&A=9&=n")
            .field("Host", "Foo.com:9080")
            .field("X-Under_Score", "u")
            .field("Accept", "a")
            .field("ACCEPT", "b")
            .field("Cookie", "sid=1; q=\"x\"; Sid=3")
            .field("cookie", "sid=2;long=a=b");
        for (name, want) in [
            ("uri", Some("/p")),
            ("request_uri", Some("/p?a=1&b=x%20y+z&a=2&c&%61b=3&e=%4&A=9&=n")),
            ("host", Some("foo.com")),
            ("request_method", Some("PATCH")),
            ("scheme", Some("http")),
            ("server_port", Some("9080")),
            ("server_addr", Some("127.0.0.1")),
            ("remote_addr", Some("127.0.0.1")),
            ("remote_port", Some("40000")),
            ("query_string", Some("a=1&b=x%20y+z&a=2&c&%61b=3&e=%4&A=9&=n")),
            ("args", Some("a=1&b=x%20y+z&a=2&c&%61b=3&e=%4&A=9&=n")),
            ("is_args", Some("?")),
            ("http_host", Some("Foo.com:9080")),
            ("http_x_under_score", Some("u")),
            ("http_X-Under-Score", Some("u")),
            ("http_accept", Some("a, b")),
            ("http_cookie", Some("sid=1; q=\"x\"; Sid=3; sid=2;long=a=b")),
            ("http_gone", None),
            ("arg_a", Some("1")),
            ("arg_A", Some("9")),
            ("arg_b", Some("x y z")),
            ("arg_c", Some("")),
            ("arg_ab", Some("3")),
            ("arg_e", Some("%4")),
            ("arg_gone", None),
            ("cookie_sid", Some("2")),
            ("cookie_Sid", Some("3")),
            ("cookie_q", Some("\"x\"")),
            ("cookie_long", Some("a=b")),
            ("cookie_gone", None),
            ("URI", None),
        ] {
            let view = request.view();
            let value = Variable::named(name).value(&Known::of(&view));
            assert_eq!(value.as_deref(), want.map(str::as_bytes), "{name}");
            let mut appended = b"=".to_vec();
            assert_eq!(Variable::named(name).append(&Known::of(&view), &mut appended), want.is_some(), "{name}");
            assert_eq!(appended, format!("={}", want.unwrap_or_default()).into_bytes(), "{name}");
        }
    }

    #[test]
    fn without_query_and_host_they_are_absent() {
        let request = OwnedRequest::new("GET", "/p");
        for (name, want) in [
            ("request_uri", Some("/p")),
            ("args", None),
            ("is_args", Some("")),
            ("host", None),
            ("arg_a", None),
            ("cookie_a", None),
        ] {
            let view = request.view();
            let value = Variable::named(name).value(&Known::of(&view));
            assert_eq!(value.as_deref(), want.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn what_routing_and_authentication_find_out_is_absent_before() {
        let route = |service_id: Option<&str>| Route {
            id: "r1".into(),
            name: Some("first".into()),
            service_id: service_id.map(Into::into),
            service_name: service_id.map(|_| "first service".into()),
            rule: Rule::default(),
            chain: Arc::default(),
            target: Target::None,
            timeouts: None,
            enable_websocket: false,
        };
        let identity = |group_id: Option<&str>| Identity {
            username: "jack".into(),
            group_id: group_id.map(Into::into),
            credential_id: None,
            fields: Box::default(),
            plugins: Arc::default(),
        };
        let (route, served) = (route(None), route(Some("s1")));
        let (jack, member) = (identity(None), identity(Some("g1")));
        let request = OwnedRequest::new("GET", "/p");
        let view = request.view();
        let known = |route, identity| Known { request: &view, route, identity, payload: None };
        for (name, before, with_route, with_all) in [
            ("route_id", None, Some("r1"), Some("r1")),
            ("route_name", None, Some("first"), Some("first")),
            ("service_id", None, None, Some("s1")),
            ("service_name", None, None, Some("first service")),
            ("consumer_name", None, Some("jack"), Some("jack")),
            ("consumer_group_id", None, None, Some("g1")),
            ("uri", Some("/p"), Some("/p"), Some("/p")),
        ] {
            let variable = Variable::named(name);
            let value = |known: &Known<'_>| variable.value(known).map(|value| String::from_utf8(value.into()).unwrap());
            assert_eq!(value(&Known::of(&view)).as_deref(), before, "{name}");
            assert_eq!(value(&known(Some(&route), Some(&jack))).as_deref(), with_route, "{name}");
            assert_eq!(value(&known(Some(&served), Some(&member))).as_deref(), with_all, "{name}");
        }
    }

    /// A limit per `http_x_consumer_username` must not count what the client made up.
    #[test]
    fn lines_that_name_the_caller_are_the_gateways_own() {
        let request = OwnedRequest::new("GET", "/p")
            .field("X-Consumer-Username", "mallory")
            .field("X_Credential_Identifier", "forged")
            .field("X-Consumer-Custom-ID", "0");
        let view = request.view();
        let jack = |custom_id| Identity {
            username: "jack".into(),
            group_id: None,
            credential_id: Some("c1".into()),
            fields: Identity::render_fields("jack", Some("c1"), custom_id),
            plugins: Arc::default(),
        };
        for (name, nobody, plain, custom) in [
            ("http_x_consumer_username", Some("mallory"), Some("jack"), Some("jack")),
            ("http_x_credential_identifier", Some("forged"), Some("c1"), Some("c1")),
            ("http_x_consumer_custom_id", Some("0"), None, Some("a: b")),
        ] {
            let value = |identity: Option<&Identity>| {
                let known = Known { request: &view, route: None, identity, payload: None };
                Variable::named(name).value(&known).map(|value| String::from_utf8(value.to_vec()).unwrap())
            };
            assert_eq!(value(None).as_deref(), nobody, "{name}");
            assert_eq!(value(Some(&jack(None))).as_deref(), plain, "{name}");
            assert_eq!(value(Some(&jack(Some("a: b")))).as_deref(), custom, "{name}");
        }
    }

    #[test]
    fn request_uri_is_the_normalised_path_with_the_query() {
        let request = OwnedRequest::new("GET", "/a/../p?q=%2F");
        let mut view = request.view();
        view.path = b"/p";
        assert_eq!(Variable::RequestUri.value(&Known::of(&view)).as_deref(), Some(&b"/p?q=%2F"[..]));
    }

    #[test]
    fn addresses_are_read_with_or_without_brackets() {
        let request = OwnedRequest::new("GET", "/?a=[::1]&b=::1&c=10.0.0.1&d=10.0.0&e=[10.0.0.1");
        for (name, want) in [
            ("arg_a", Some("::1")),
            ("arg_b", Some("::1")),
            ("arg_c", Some("10.0.0.1")),
            ("arg_d", None),
            ("arg_e", None),
            ("arg_f", None),
            ("remote_addr", Some("127.0.0.1")),
            ("server_addr", Some("127.0.0.1")),
        ] {
            let want = want.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(Variable::named(name).address(&Known::of(&request.view())), want, "{name}");
        }
    }
}
