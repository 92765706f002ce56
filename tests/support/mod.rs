//! What integration tests share: the gateway under test, an origin behind it, a client in front of it, tokens.
//!
//! Everything runs over real loopback sockets; every wait is a condition with a deadline.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::expect_used, reason = "a peer that cannot be set up fails its test, with the text as the reason")]

pub(crate) mod bench;
pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod message;
pub(crate) mod origin;
pub(crate) mod program;
pub(crate) mod redis;
pub(crate) mod token;

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// How long any single step of a test may take before it counts as hung. Generous: machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Polls `condition` until it yields a value; panics with `what` when [`PATIENCE`] is over.
pub(crate) fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(PATIENCE, what, condition)
}

/// [`wait_for`] with another limit.
pub(crate) fn wait_at_most<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "still waiting after {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An address of 127.0.0.1 where nobody listens: connecting is refused, and nobody can take the port meanwhile.
pub(crate) fn dead_address() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("a bound address").as_socket().expect("an IP address");
    (address, socket)
}
