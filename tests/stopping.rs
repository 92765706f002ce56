//! Signals: an orderly stop loses no request, an impatient one does not wait.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "support/manager.rs"]
mod manager;
mod support;

use manager::{Manager, Mood};
use rustix::process::Signal;
use serde_json::json;
use std::net::TcpStream;
use std::process::ExitStatus;
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::{Latch, Origin, Reply, ok};
use support::wait_for;

#[test]
fn a_stop_finishes_what_is_in_flight_and_takes_nothing_new() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut bench = Bench::with(&Setup::default());
        let mut idle = Client::connect(bench.gateway.data()).unwrap();
        assert_eq!(idle.request("GET", "/none", &[], b"").unwrap().status, 404);
        let mut silent = Client::connect(bench.gateway.data()).unwrap();
        let mut in_flight = bench.hold();

        bench.gateway.signal(signal);
        bench.until_refused();
        assert!(idle.is_closed_by_peer(), "{signal:?}: an idle connection is closed");
        assert!(silent.is_closed_by_peer(), "{signal:?}: so is one that never asked anything");
        assert!(TcpStream::connect(bench.gateway.data()).is_err(), "{signal:?}");

        bench.latch.open();
        let answer = in_flight.response("GET").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "at last"), "{signal:?}");
        assert_eq!(answer.field("connection"), Some("close"), "{signal:?}");
        assert!(in_flight.is_closed_by_peer(), "{signal:?}");
        assert_eq!(code(bench.gateway.wait()), Some(0), "{signal:?}: {}", bench.gateway.output());
        assert!(bench.gateway.access_log().contains("\"GET /r HTTP/1.1\" 200"), "{signal:?}: it is logged");
    }
}

#[test]
fn a_stop_is_heard_while_the_start_waits_for_a_secret() {
    let vault = Manager::plain();
    vault.be(Mood::Silent);
    let mut gateway = Gateway::start();
    let uri = format!("http://{}", vault.address);
    gateway.put("secrets/vault/1", &json!({"uri": uri, "prefix": "kv", "token": "root"}));
    let plugins = json!({"jwt-auth": {"key": "k", "secret": "$secret://vault/1/jack/secret"}});
    gateway.put("consumers/jack", &json!({"username": "jack", "plugins": plugins}));
    gateway.stop();
    let asked = vault.asked();
    gateway.start_without_waiting();
    wait_for("the question", || (vault.asked() > asked).then_some(()));
    assert_eq!(code(gateway.stop()), Some(0), "{}", gateway.output());
    assert_eq!(gateway.output().matches("proxy on").count(), 1, "the second start is not completed");
}

#[test]
fn a_stop_lets_an_upload_arrive_whole() {
    let mut bench = Bench::with(&Setup::default());
    bench.latch.open();
    let mut client = Client::connect(bench.gateway.data()).unwrap();
    // The interim answer says that the request has begun.
    client.send("PUT /r HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n").unwrap();
    assert_eq!(client.next_response("PUT").unwrap().status, 100);
    bench.gateway.signal(Signal::TERM);
    bench.until_refused();
    for part in ["hello", "world"] {
        client.send(part).unwrap();
    }
    assert_eq!(client.response("PUT").unwrap().json()["body"], "helloworld");
    assert_eq!(code(bench.gateway.wait()), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::INT], [Signal::TERM, Signal::INT]] {
        let mut bench = Bench::with(&Setup { shutdown_timeout: "1h", ..Setup::default() });
        let mut in_flight = bench.hold();
        bench.gateway.signal(signals[0]);
        bench.until_refused();
        bench.gateway.signal(signals[1]);
        assert_eq!(code(bench.gateway.wait()), Some(1), "{signals:?}: {}", bench.gateway.output());
        assert!(in_flight.response("GET").is_err(), "{signals:?}");
    }
}

#[test]
fn a_stop_waits_only_as_long_as_configured() {
    let mut bench = Bench::with(&Setup { shutdown_timeout: "300ms", ..Setup::default() });
    let mut in_flight = bench.hold();
    bench.gateway.signal(Signal::TERM);
    assert_eq!(code(bench.gateway.wait()), Some(0), "{}", bench.gateway.output());
    assert!(in_flight.response("GET").is_err(), "the request was cut off");
    assert!(bench.gateway.output().contains("connections were cut off"), "{}", bench.gateway.output());
}

#[test]
fn a_stopped_gateway_starts_again_with_everything() {
    let mut bench = Bench::with(&Setup::default());
    for _ in 0..2 {
        assert_eq!(code(bench.gateway.restart()), Some(0));
        assert_eq!(bench.gateway.request("GET", "/r", &[], b"").status, 200);
    }
}

/// A gateway with the route `/r` to an origin that can be held back.
struct Bench {
    origin: Origin,
    gateway: Gateway,
    latch: Latch,
}

impl Bench {
    fn with(setup: &Setup) -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::with(setup), latch: Latch::default() };
        let upstream = json!({"nodes": {bench.origin.node(): 1}});
        bench.gateway.put("routes/r", &json!({"uri": "/r", "upstream": upstream}));
        bench
    }

    /// A request that has reached the origin and waits there for the latch.
    fn hold(&self) -> Client {
        self.origin.script(Reply::RawAfter(self.latch.clone(), ok("at last")));
        let mut client = Client::connect(self.gateway.data()).unwrap();
        client.send("GET /r HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        self.origin.wait_for_requests(1);
        client
    }

    /// Waits until the stop has begun.
    fn until_refused(&self) {
        wait_for("connections to be refused", || TcpStream::connect(self.gateway.data()).is_err().then_some(()));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.latch.open();
    }
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}
