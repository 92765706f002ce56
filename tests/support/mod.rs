//! What integration tests share: the gateway under test, an origin behind it, a client in front of it, tokens.
//!
//! Everything runs over real loopback sockets; every wait is a condition with a deadline.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::expect_used, reason = "a peer that cannot be set up fails its test, with the text as the reason")]

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod message;
pub(crate) mod origin;
pub(crate) mod token;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long any single step of a test may take before it counts as hung. Generous: machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Polls `condition` until it yields a value; panics with `what` when [`PATIENCE`] is over.
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "still waiting after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ports of 127.0.0.1 that were free a moment ago, and that no other test of this program was given.
///
/// The second part matters: the gateway binds with `SO_REUSEPORT`, so two of them could share a port unnoticed.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| {
        wait_for("a free port", || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
            let port = listener.local_addr().ok()?.port();
            GIVEN_PORTS.lock().unwrap_or_else(PoisonError::into_inner).insert(port).then_some(port)
        })
    })
}

static GIVEN_PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
