//! Messages through the proxy whole: order, framing and bodies of every size, in both directions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::{Latch, Origin, Reply, by_hand, ok};
use support::{PATIENCE, message};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (origin, gateway) = origin_and_gateway();
    let mut client = Client::connect(gateway.data()).unwrap();
    let latch = Latch::default();
    origin.script(Reply::RawAfter(latch.clone(), ok("slow")));
    client
        .send(
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
             \r\nGET /none HTTP/1.1\r\nHost: nowhere\r\n\r\n\
             POST /4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
             HEAD /5 HTTP/1.1\r\nHost: a\r\n\r\nGET /6 HTTP/1.1\r\nHo",
        )
        .unwrap();
    origin.wait_for_requests(1);
    latch.open();
    assert_eq!(client.response("GET").unwrap().text(), "slow");
    let second = client.response("POST").unwrap().json();
    assert_eq!((&second["target"], &second["body"]), (&json!("/2"), &json!("hello")));
    assert_eq!(client.response("GET").unwrap().status, 404);
    assert_eq!(client.response("POST").unwrap().json()["body"], "abc");
    assert_eq!(client.response("HEAD").unwrap().status, 200);
    client.send("st: a\r\n\r\n").unwrap();
    assert_eq!(client.response("GET").unwrap().json()["target"], "/6");
}

#[test]
fn one_client_connection_and_one_upstream_connection_serve_many_requests() {
    let origin = Origin::start();
    let gateway = Gateway::with(&Setup { workers: 1, ..Setup::default() });
    route_everything(&gateway, origin.address());
    for client_number in 0..3 {
        let mut client = Client::connect(gateway.data()).unwrap();
        for number in 0..20 {
            let target = format!("/{client_number}/{number}");
            let answer = client.request("GET", &target, &[("Host", "a")], b"").unwrap();
            assert_eq!((&answer.json()["target"], answer.field("connection")), (&json!(target), None));
        }
    }
    assert_eq!(origin.connections(), 1);

    origin.script(Reply::RawThenClose(ok("the last one")));
    for wanted in ["the last one", "on a new one"] {
        if wanted == "on a new one" {
            origin.script(Reply::Raw(ok(wanted)));
        }
        assert_eq!(gateway.request("GET", "/", &[("Host", "a")], b"").text(), wanted);
    }
    assert_eq!(origin.connections(), 2, "a connection that the upstream has closed is not used");
}

#[test]
fn bodies_of_every_size_and_framing_pass_unchanged_both_ways() {
    let (origin, gateway) = origin_and_gateway();
    let mut client = Client::connect(gateway.data()).unwrap();
    for (size, up, down) in SIZES.into_iter().flat_map(|size| FRAMINGS.map(|(up, down)| (size, up, down))) {
        let name = format!("{size} bytes, up {up}, down {down}");
        let (sent, returned) = (body(size, 1), body(size, 2));
        let reply = framed("HTTP/1.1 200 OK\r\n", down, &returned);
        origin.script(if down == "to close" { Reply::RawThenClose(reply) } else { Reply::Raw(reply) });
        client.send(framed("POST / HTTP/1.1\r\nHost: a\r\n", up, &sent)).unwrap();
        let answer = client.response("POST").unwrap();
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.body == returned, "{name}: {} bytes came back", answer.body.len());
        let is_chunked = answer.fields.lists("transfer-encoding", "chunked");
        assert_eq!(is_chunked, down != "length", "{name}: {:?}", answer.fields);

        let received = origin.last();
        assert!(received.body == sent, "{name}: {} bytes arrived", received.body.len());
        let is_chunked = received.fields.lists("transfer-encoding", "chunked");
        let length = received.fields.first("content-length").map(str::to_owned);
        assert_eq!((is_chunked, length), (up == "chunked", (up == "length").then(|| size.to_string())), "{name}");
    }
}

/// What the upstream does not read yet stays with the client, not in the gateway.
#[test]
fn an_upload_runs_at_the_upstreams_pace() {
    let latch = Latch::default();
    let held = latch.clone();
    let address = by_hand(move |stream| {
        let mut reader = BufReader::with_capacity(4096, stream);
        message::start_line(&mut reader)?;
        message::fields(&mut reader)?;
        held.wait();
        let mut sum = 0_u64;
        let mut left = UPLOAD_BYTES;
        while left > 0 {
            let bytes = reader.fill_buf()?;
            let count = bytes.len().min(left);
            sum += bytes[..count].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            reader.consume(count);
            left -= count;
        }
        reader.get_mut().write_all(&ok(sum.to_string()))
    });
    let gateway = Gateway::start();
    route_everything(&gateway, address);

    let sent = body(UPLOAD_BYTES, 3);
    let mut stream = TcpStream::connect(gateway.data()).unwrap();
    stream
        .write_all(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n").as_bytes())
        .unwrap();
    // A write that makes no progress for so long is stuck behind the upstream.
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut taken = 0;
    while taken < sent.len() {
        match stream.write(&sent[taken..]) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(taken < UPLOAD_BYTES, "all {taken} bytes were taken while the upstream read nothing");
    latch.open();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&sent[taken..]).unwrap();
    let mut answer = String::new();
    let sum: u64 = sent.iter().map(|byte| u64::from(*byte)).sum();
    let mut reader = BufReader::new(stream);
    while !answer.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut answer).unwrap() > 0, "{answer}");
    }
    let mut body = vec![0; sum.to_string().len()];
    reader.read_exact(&mut body).unwrap();
    assert_eq!(String::from_utf8(body).unwrap(), sum.to_string());
}

#[test]
fn a_client_that_waits_is_told_to_continue_only_if_its_body_is_wanted() {
    let (origin, gateway) = origin_and_gateway();
    let mut client = Client::connect(gateway.data()).unwrap();
    let head =
        |host: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.send(head("a")).unwrap();
    assert_eq!(client.next_response("POST").unwrap().status, 100);
    client.send("hello").unwrap();
    assert_eq!(client.next_response("POST").unwrap().json()["body"], "hello");
    assert_eq!(origin.last().fields.first("expect"), None, "the gateway has answered it");

    client.send(head("a") + "at once").unwrap();
    assert_eq!(client.next_response("POST").unwrap().json()["body"], "at on", "nobody waits who sends");
    let mut client = Client::connect(gateway.data()).unwrap();
    client.send(head("nowhere")).unwrap();
    assert_eq!(client.next_response("POST").unwrap().status, 404);
    assert!(client.is_closed_by_peer(), "what follows could be the body or not");
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    let (origin, gateway) = origin_and_gateway();
    let mut client = Client::connect(gateway.data()).unwrap();
    let cases: [(&str, &str, &str, u16, Option<&str>); 5] = [
        ("HEAD with a length", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", 200, Some("42")),
        ("HEAD, chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, None),
        ("204", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        ("204 with a length", "DELETE", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, None),
        ("304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\nETag: \"x\"\r\n\r\n", 304, Some("42")),
    ];
    for (name, method, reply, status, length) in cases {
        origin.script(Reply::Raw(reply.into()));
        let answer = client.request(method, "/", &[("Host", "a")], b"").unwrap();
        assert_eq!((answer.status, answer.field("content-length")), (status, length), "{name}");
        assert_eq!(client.request("GET", "/next", &[("Host", "a")], b"").unwrap().json()["target"], "/next", "{name}");
    }
    origin.script(Reply::Raw([&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"[..], &ok("after the hint")].concat()));
    assert_eq!(client.request("GET", "/", &[("Host", "a")], b"").unwrap().text(), "after the hint");
}

#[test]
fn http_1_0_clients_get_what_they_understand() {
    let (origin, gateway) = origin_and_gateway();
    let chunked = framed("HTTP/1.1 200 OK\r\n", "chunked", b"hello");
    let cases: [Old; 4] = [
        ("closes by default", "", ok("hello"), Some("close"), true),
        ("stays when asked", "Connection: keep-alive\r\n", ok("hello"), Some("keep-alive"), false),
        ("cannot read chunks", "", chunked.clone(), Some("close"), true),
        ("cannot stay without a length", "Connection: keep-alive\r\n", chunked, Some("close"), true),
    ];
    for (name, field, reply, connection, closes) in cases {
        origin.script(Reply::Raw(reply));
        let mut client = Client::connect(gateway.data()).unwrap();
        client.send(format!("GET / HTTP/1.0\r\nHost: a\r\n{field}\r\n")).unwrap();
        let answer = client.response("GET").unwrap();
        assert_eq!((answer.text().as_str(), answer.field("connection")), ("hello", connection), "{name}");
        assert_eq!(answer.field("transfer-encoding"), None, "{name}");
        if closes {
            assert!(client.is_closed_by_peer(), "{name}");
        } else {
            client.send("GET /again HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
            assert_eq!(client.response("GET").unwrap().json()["target"], "/again", "{name}");
        }
    }
}

/// An upstream may answer, and refuse, before it has read the body.
#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    for closes in [true, false] {
        let served = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&served);
        let address = by_hand(move |stream| {
            let mut reader = BufReader::new(stream);
            message::start_line(&mut reader)?;
            message::fields(&mut reader)?;
            counter.fetch_add(1, Ordering::SeqCst);
            reader.get_mut().write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\n\r\nenough!")?;
            if !closes {
                io::copy(&mut reader, &mut io::sink())?;
            }
            Ok(())
        });
        let gateway = Gateway::start();
        route_everything(&gateway, address);
        let mut client = Client::connect(gateway.data()).unwrap();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nsome of it").unwrap();
        let answer = client.response("POST").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (413, "enough!"), "upstream closes: {closes}");
        assert_eq!(answer.field("connection"), Some("close"), "upstream closes: {closes}");
        assert!(client.is_closed_by_peer(), "upstream closes: {closes}");
        assert_eq!(served.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_body_over_the_bound_is_refused() {
    let origin = Origin::start();
    let gateway = Gateway::with(&Setup { http: "    client_max_body_size: 1k\n", ..Setup::default() });
    route_everything(&gateway, origin.address());
    for (name, up, size, wanted) in [
        ("length at the bound", "length", 1024, 200),
        ("length over it", "length", 1025, 413),
        ("chunks at the bound", "chunked", 1024, 200),
        ("chunks over it", "chunked", 5000, 413),
    ] {
        let mut client = Client::connect(gateway.data()).unwrap();
        client.send(framed("POST / HTTP/1.1\r\nHost: a\r\n", up, &body(size, 4))).unwrap();
        assert_eq!(client.response("POST").unwrap().status, wanted, "{name}");
    }
    assert_eq!(origin.received().len(), 2, "no refused body arrives whole");
}

fn origin_and_gateway() -> (Origin, Gateway) {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    route_everything(&gateway, origin.address());
    (origin, gateway)
}

/// Everything for host `a`.
fn route_everything(gateway: &Gateway, address: SocketAddr) {
    let upstream = json!({"nodes": {address.to_string(): 1}});
    let answer: Value = gateway.put("routes/all", &json!({"uri": "/*", "host": "a", "upstream": upstream}));
    assert_eq!(answer["key"], "/apisix/routes/all");
}

/// A message whose body is framed as named.
fn framed(start: &str, framing: &str, body: &[u8]) -> Vec<u8> {
    let mut message = start.as_bytes().to_vec();
    match framing {
        "length" => {
            message.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            message.extend_from_slice(body);
        }
        "chunked" => {
            message.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = body;
            // Chunks from 1 byte to 64 KiB, again and again.
            for size in (0..17).map(|power| 1_usize << power).cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at(size.min(rest.len()));
                message.extend_from_slice(format!("{:x};n=v\r\n", chunk.len()).as_bytes());
                message.extend_from_slice(chunk);
                message.extend_from_slice(b"\r\n");
                rest = after;
            }
            message.extend_from_slice(b"0\r\nTrailer: dropped\r\n\r\n");
        }
        _ => {
            message.extend_from_slice(b"\r\n");
            message.extend_from_slice(body);
        }
    }
    message
}

/// Bytes of every value, without a period that any buffer size divides.
fn body(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

/// Name, field line, the upstream's answer; the client's `Connection`, and whether the connection ends.
type Old<'a> = (&'a str, &'a str, Vec<u8>, Option<&'a str>, bool);

const SIZES: [usize; 4] = [0, 1, 100_000, 5_000_000];
const FRAMINGS: [(&str, &str); 4] =
    [("length", "length"), ("length", "chunked"), ("chunked", "length"), ("chunked", "to close")];
/// More than the sockets between client and upstream can hold.
const UPLOAD_BYTES: usize = 64 << 20;
