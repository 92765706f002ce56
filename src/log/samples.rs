//! Records for the tests of this room: two fixed ones with golden lines, and a strategy for any.

use super::record::{Record, Try};
use proptest::arbitrary::any as arbitrary;
use proptest::prelude::{Just, Strategy, prop, prop_oneof};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A request that was proxied at the second try.
pub(crate) fn proxied() -> Record<'static> {
    Record {
        unix_us: 1_795_437_647_123_456,
        request_us: 5_678,
        client: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)), 50_123),
        method: b"GET",
        target: b"/headers?a=1",
        minor_version: 1,
        host: b"api.example.com",
        upstream_host: b"",
        referer: b"",
        user_agent: b"curl/8.5.0 \"x\"",
        status: 200,
        body_bytes_sent: 321,
        tries: TRIES,
        route_id: b"jwt-route",
        service_id: b"",
        consumer: b"jack",
        rate_limiting_info: br#"{"rate_limiting_limit":2}"#,
    }
}

/// What is left of a connection that sent bytes that are no request.
pub(crate) fn unread() -> Record<'static> {
    Record {
        unix_us: 0,
        request_us: 0,
        client: SocketAddr::new(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 1),
        method: b"",
        target: b"",
        minor_version: 0,
        host: b"",
        upstream_host: b"",
        referer: b"",
        user_agent: b"",
        status: 400,
        body_bytes_sent: 0,
        tries: &[],
        route_id: b"",
        service_id: b"",
        consumer: b"",
        rate_limiting_info: b"",
    }
}

const TRIES: &[Try] = &[
    Try { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1980), status: 502, us: 1_999 },
    Try { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 1981), status: 200, us: 2_000 },
];

/// The owner of an arbitrary record.
#[derive(Debug)]
pub(crate) struct Owned {
    numbers: (u64, u64, u64, u16, u8),
    client: SocketAddr,
    texts: Vec<Vec<u8>>,
    tries: Vec<Try>,
}

impl Owned {
    /// The record, borrowed.
    pub(crate) fn record(&self) -> Record<'_> {
        let (unix_us, request_us, body_bytes_sent, status, minor_version) = self.numbers;
        Record {
            unix_us,
            request_us,
            client: self.client,
            method: &self.texts[0],
            target: &self.texts[1],
            minor_version,
            host: &self.texts[2],
            upstream_host: &self.texts[3],
            referer: &self.texts[4],
            user_agent: &self.texts[5],
            status,
            body_bytes_sent,
            tries: &self.tries,
            route_id: &self.texts[6],
            service_id: &self.texts[7],
            consumer: &self.texts[8],
            rate_limiting_info: &self.texts[9],
        }
    }
}

/// Any record: texts are arbitrary bytes, numbers take their whole range.
pub(crate) fn any() -> impl Strategy<Value = Owned> {
    let text = prop::collection::vec(prop_oneof![arbitrary::<u8>(), Just(b'"'), Just(b'\\')], 0..24);
    let attempt = (arbitrary::<SocketAddr>(), arbitrary::<u16>(), arbitrary::<u64>())
        .prop_map(|(address, status, us)| Try { address, status, us });
    (
        arbitrary::<(u64, u64, u64, u16, u8)>(),
        arbitrary::<SocketAddr>(),
        prop::collection::vec(text, 10),
        prop::collection::vec(attempt.prop_map(plain), 0..4),
    )
        .prop_map(|(numbers, client, texts, tries)| Owned { numbers, client: without_scope(client), texts, tries })
}

/// Flow label and scope are not kept by a record's copy: no log format shows them.
fn without_scope(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

fn plain(attempt: Try) -> Try {
    Try { address: without_scope(attempt.address), ..attempt }
}
