//! Peers that stall, leave or never stop: each is bounded, and none takes anything from the others.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::json;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::{Origin, Reply, by_hand, ok};
use support::{PATIENCE, message, wait_for};

#[test]
fn a_connection_that_asks_nothing_is_closed() {
    let bench = Bench::with("    client_header_timeout: 300ms\n    keepalive_timeout: 300ms\n");
    let mut silent = Client::connect(bench.gateway.data()).unwrap();
    let mut idle = Client::connect(bench.gateway.data()).unwrap();
    assert_eq!(idle.request("GET", "/r", &[], b"").unwrap().status, 200);
    assert!(silent.is_closed_by_peer());
    assert!(idle.is_closed_by_peer());
}

/// The wait is for the whole head, or one byte at a time could hold a connection for ever.
#[test]
fn a_head_that_drips_in_is_cut_off() {
    let bench = Bench::with("    client_header_timeout: 500ms\n");
    let mut stream = TcpStream::connect(bench.gateway.data()).unwrap();
    // Waiting for an answer sets the pace.
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let started = Instant::now();
    let head = format!("GET /r HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(4000));
    for byte in head.bytes() {
        assert!(started.elapsed() < PATIENCE, "the connection is still there");
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        match stream.read(&mut [0; 512]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => break,
        }
    }
    assert!(started.elapsed() < PATIENCE / 2, "it took {:?}", started.elapsed());
    assert_eq!(bench.origin.received(), []);
}

#[test]
fn a_body_that_stops_coming_is_answered() {
    let bench = Bench::with("    client_body_timeout: 300ms\n");
    let mut client = Client::connect(bench.gateway.data()).unwrap();
    client.send("POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf of it").unwrap();
    let answer = client.response("POST").unwrap();
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    assert!(client.is_closed_by_peer());
    assert_eq!(bench.origin.received(), [], "the upstream never sees it whole");
}

#[test]
fn a_client_that_has_said_its_last_still_gets_its_answers() {
    let bench = Bench::with("");
    let mut client = Client::connect(bench.gateway.data()).unwrap();
    client
        .send("GET /r HTTP/1.1\r\nHost: a\r\n\r\nPOST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nend")
        .unwrap();
    client.finish_sending().unwrap();
    assert_eq!(client.response("GET").unwrap().status, 200);
    assert_eq!(client.response("POST").unwrap().json()["body"], "end");
    assert!(client.is_closed_by_peer());
}

#[test]
fn a_client_that_reads_nothing_holds_the_upstream_for_a_moment_only() {
    let (tell, told) = mpsc::sync_channel(1);
    let address = by_hand(move |stream| {
        let mut reader = BufReader::new(stream);
        message::start_line(&mut reader)?;
        message::fields(&mut reader)?;
        let mut out = reader.into_inner();
        out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n").as_bytes())?;
        let piece = vec![b'x'; 1 << 16];
        let mut written = 0_usize;
        while out.write_all(&piece).is_ok() {
            written += piece.len();
        }
        let _ = tell.send(written);
        Ok(())
    });
    let bench = Bench::with("    send_timeout: 300ms\n");
    bench.route(address);
    let mut client = Client::connect(bench.gateway.data()).unwrap();
    client.send("GET /r HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let written = told.recv_timeout(PATIENCE).expect("the gateway breaks off");
    assert!(written < ENDLESS, "{written} bytes were taken for nobody");
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let (tell, told) = mpsc::sync_channel(1);
    let address = by_hand(move |stream| {
        let mut reader = BufReader::new(stream);
        message::start_line(&mut reader)?;
        message::fields(&mut reader)?;
        // However it ends.
        let _ = reader.read_to_end(&mut Vec::new());
        let _ = tell.send(());
        Ok(())
    });
    let bench = Bench::with("");
    bench.route(address);
    let mut client = Client::connect(bench.gateway.data()).unwrap();
    client.send("POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf of it").unwrap();
    drop(client);
    told.recv_timeout(PATIENCE).expect("the upload is broken off towards the upstream too");
    wait_for("its log line", || bench.gateway.access_log().contains("\"POST /r HTTP/1.1\" 499").then_some(()));
}

/// Hundreds of stalled connections of every kind leave the next request unharmed.
#[test]
fn stalled_peers_do_not_slow_the_others() {
    let bench = Bench::with("");
    let mut stalled = Vec::new();
    for number in 0..300 {
        let mut client = Client::connect(bench.gateway.data()).unwrap();
        client
            .send(match number % 4 {
                0 => "",
                1 => "GET /r HT",
                2 => "POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhal",
                _ => "POST /r HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
            })
            .unwrap();
        stalled.push(client);
    }
    for _ in 0..50 {
        bench.origin.script(Reply::Raw(ok("alive")));
        assert_eq!(bench.gateway.request("GET", "/r", &[], b"").text(), "alive");
    }
}

/// A gateway with the route `/r` to an origin.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    /// `http` are further lines of its configuration.
    fn with(http: &'static str) -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::with(&Setup { http, ..Setup::default() }) };
        bench.route(bench.origin.address());
        bench
    }

    fn route(&self, address: SocketAddr) {
        let upstream = json!({"nodes": {address.to_string(): 1}});
        self.gateway.put("routes/r", &json!({"uri": "/r", "upstream": upstream}));
    }
}

/// More than sockets hold.
const ENDLESS: usize = 1 << 30;
