//! Upstreams that are dead, silent, absent, wrong or several.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::io::{BufReader, Write};
use support::client::{Client, Response};
use support::gateway::{Gateway, Setup};
use support::origin::{Origin, Reply, by_hand, ok};
use support::{dead_address, message};

#[test]
fn a_dead_node_is_passed_over() {
    let origin = Origin::start();
    let (dead, _held) = dead_address();
    let gateway = Gateway::with(&Setup { apisix: SHOW_STATUS, ..Setup::default() });
    let nodes = json!({dead.to_string(): 1, origin.node(): 1});
    gateway.put("routes/r", &json!({"uri": "/r", "upstream": {"nodes": nodes}}));
    let mut seen = BTreeMap::new();
    for number in 0..40 {
        // A refused connection has sent nothing, so any method may be tried elsewhere.
        let (method, body) = if number % 2 == 0 { ("GET", "") } else { ("POST", "once") };
        let answer = gateway.request(method, "/r", &[], body.as_bytes());
        assert_eq!(answer.status, 200, "{method} {number}");
        assert_eq!(origin.last().body, body.as_bytes());
        *seen.entry(answer.field("x-apisix-upstream-status").unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["200", "502, 200"], "{seen:?}");
    assert_eq!(origin.received().len(), 40, "no request arrives twice");

    gateway.put("routes/r", &json!({"uri": "/r", "upstream": {"nodes": nodes, "retries": 0}}));
    let statuses: Vec<u16> = (0..20).map(|_| gateway.request("GET", "/r", &[], b"").status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&502), "one try each: {statuses:?}");
}

#[test]
fn only_what_may_be_sent_twice_is_sent_twice() {
    let (good, bad) = (Origin::start(), Origin::start());
    let gateway = Gateway::with(&Setup { workers: 1, apisix: SHOW_STATUS, ..Setup::default() });
    let nodes = json!([
        {"host": "127.0.0.1", "port": bad.address().port(), "weight": 1, "priority": 1},
        {"host": "127.0.0.1", "port": good.address().port(), "weight": 1, "priority": 0},
    ]);
    gateway.put("routes/r", &json!({"uri": "/r", "upstream": {"nodes": nodes}}));
    for (method, wanted, status) in [("GET", 200, "502, 200"), ("PUT", 200, "502, 200"), ("POST", 502, "502")] {
        bad.script(Reply::RawThenClose(Vec::new()));
        let answer = gateway.request(method, "/r", &[], b"");
        assert_eq!((answer.status, answer.field("x-apisix-upstream-status")), (wanted, Some(status)), "{method}");
    }
    assert_eq!((bad.received().len(), good.received().len()), (3, 2));
}

#[test]
fn weights_are_kept_to() {
    let origins = [Origin::start(), Origin::start(), Origin::start()];
    let gateway = Gateway::with(&Setup { workers: 1, ..Setup::default() });
    let [three, one, none] = &origins;
    let nodes = json!({three.node(): 3, one.node(): 1, none.node(): 0});
    gateway.put("routes/r", &json!({"uri": "/r", "upstream": {"nodes": nodes}}));
    let mut client = Client::connect(gateway.data()).unwrap();
    for _ in 0..40 {
        assert_eq!(client.request("GET", "/r", &[], b"").unwrap().status, 200);
    }
    assert_eq!(origins.each_ref().map(|origin| origin.received().len()), [30, 10, 0]);
}

#[test]
fn each_failure_has_its_page() {
    let gateway = Gateway::start();
    let (silent, torn) = (Origin::start(), Origin::start());
    let (first, _held_first) = dead_address();
    let (second, _held_second) = dead_address();
    let (first, second) = (first.to_string(), second.to_string());
    let impatient = json!({"connect": 5, "send": 5, "read": 0.2});
    silent.script(Reply::Silence);
    torn.script(Reply::RawThenClose(b"HTTP/1.1 200 O".into()));
    gateway.put("upstreams/gone", &json!({"nodes": {first.clone(): 1}}));
    gateway.put("services/gone", &json!({}));
    let nowhere = json!({"nodes": {first.clone(): 1}});
    let cases: [(&str, Value, u16, &str, Option<&str>); 8] = [
        ("dead", json!({"upstream": nowhere}), 502, "502 Bad Gateway", Some("502")),
        ("all-dead", json!({"upstream": {"nodes": {first: 1, second: 1}}}), 502, "502 Bad Gateway", Some("502, 502")),
        ("torn", json!({"upstream": {"nodes": {torn.node(): 1}}}), 502, "502 Bad Gateway", Some("502")),
        (
            "silent",
            json!({"upstream": {"nodes": {silent.node(): 1}}, "timeout": impatient}),
            504,
            "504 Gateway Time-out",
            Some("504"),
        ),
        ("no-nodes", json!({"upstream": {"nodes": {}}}), 503, "503 Service Temporarily Unavailable", None),
        ("no-upstream", json!({"plugins": {}}), 503, "503 Service Temporarily Unavailable", None),
        ("dangling-upstream", json!({"upstream_id": "gone"}), 502, "502 Bad Gateway", None),
        ("dangling-service", json!({"service_id": "gone"}), 404, "404 Not Found", None),
    ];
    for (name, route, ..) in &cases {
        let mut route = route.clone();
        route["uri"] = json!(format!("/{name}"));
        gateway.put(&format!("routes/{name}"), &route);
    }
    for path in ["upstreams/gone", "services/gone"] {
        assert_eq!(gateway.admin("DELETE", &format!("{path}?force=true"), &Value::Null).0, 200, "{path}");
    }
    let mut client = Client::connect(gateway.data()).unwrap();
    for (name, _, status, title, upstream_status) in cases {
        let answer = client.request("GET", &format!("/{name}"), &[], b"").unwrap();
        is_page(name, &answer, status, title);
        assert_eq!(answer.field("x-apisix-upstream-status"), upstream_status, "{name}");
    }
    let answer = client.request("HEAD", "/no-nodes", &[], b"").unwrap();
    assert_eq!((answer.status, answer.body.len()), (503, 0), "HEAD gets no body and the connection stays in step");
    assert_eq!(client.request("GET", "/none", &[], b"").unwrap().status, 404);
}

#[test]
fn an_upstream_that_talks_nonsense_is_not_believed() {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    route(&gateway, &origin.node());
    for (name, raw) in [
        ("not HTTP", "hello\r\n\r\n"),
        ("no status", "HTTP/1.1\r\n\r\n"),
        ("status of two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        ("length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        ("an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    ] {
        origin.script(Reply::RawThenClose(raw.into()));
        let answer = gateway.request("GET", "/r", &[], b"");
        is_page(name, &answer, 502, "502 Bad Gateway");
    }
    let endless = "X: y\r\n".repeat(20_000);
    origin.script(Reply::RawThenClose(format!("HTTP/1.1 200 OK\r\n{endless}\r\n").into()));
    is_page("an endless head", &gateway.request("GET", "/r", &[], b""), 502, "502 Bad Gateway");
}

/// Whatever framing, the client can tell that what it got is not all.
#[test]
fn an_answer_cut_short_is_cut_short_for_the_client_too() {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    route(&gateway, &origin.node());
    for (name, raw) in [
        ("length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"),
        ("within a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this"),
    ] {
        origin.script(Reply::RawThenClose(raw.into()));
        let mut client = Client::connect(gateway.data()).unwrap();
        let error = client.request("GET", "/r", &[], b"").map(|answer| answer.text()).unwrap_err();
        assert!(!matches!(error.kind(), std::io::ErrorKind::WouldBlock), "{name}: {error}");

        origin.script(Reply::RawThenClose(raw.into()));
        let mut old = Client::connect(gateway.data()).unwrap();
        old.send("GET /r HTTP/1.0\r\n\r\n").unwrap();
        if name == "length" {
            assert!(old.response("GET").is_err(), "{name}, HTTP/1.0");
        } else {
            // Without a length the end of the connection is the end of the body, unless it is a reset.
            let error = old.read_to_end().unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{name}, HTTP/1.0");
        }
    }
}

#[test]
fn an_upstream_slower_than_its_timeout_between_two_reads_is_cut_off() {
    let address = by_hand(|stream| {
        let mut reader = BufReader::new(stream);
        message::start_line(&mut reader)?;
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it")?;
        reader.read_to_end(&mut Vec::new()).map(drop)
    });
    let gateway = Gateway::start();
    let timeout = json!({"connect": 5, "send": 5, "read": 0.2});
    let upstream = json!({"nodes": {address.to_string(): 1}, "timeout": timeout});
    gateway.put("routes/r", &json!({"uri": "/r", "upstream": upstream}));
    let mut client = Client::connect(gateway.data()).unwrap();
    assert!(client.request("GET", "/r", &[], b"").is_err());
}

#[test]
fn names_are_resolved() {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    route(&gateway, &format!("localhost:{}", origin.address().port()));
    // Resolving happens beside the write, which does not wait for name servers.
    let answer = support::wait_for("the name's address", || {
        origin.script(Reply::Raw(ok("by name")));
        Some(gateway.request("GET", "/r", &[], b"")).filter(|answer| answer.status != 503)
    });
    assert_eq!((answer.status, answer.text().as_str()), (200, "by name"));

    let upstream = json!({"nodes": {"name.invalid:80": 1, origin.node(): 1}, "pass_host": "node"});
    gateway.put("routes/r", &json!({"uri": "/r", "upstream": upstream}));
    for _ in 0..4 {
        assert_eq!(gateway.request("GET", "/r", &[], b"").status, 200, "a name that fails is left out");
    }
}

#[track_caller]
fn is_page(name: &str, answer: &Response, status: u16, title: &str) {
    assert_eq!(answer.status, status, "{name}: {}", answer.text());
    assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"), "{name}");
    for part in [format!("<title>{title}</title>"), format!("<h1>{title}</h1>")] {
        assert!(answer.text().contains(&part), "{name}: no {part} in {}", answer.text());
    }
}

fn route(gateway: &Gateway, node: &str) {
    gateway.put("routes/r", &json!({"uri": "/r", "upstream": {"nodes": {node: 1}}}));
}

const SHOW_STATUS: &str = "  show_upstream_status_in_response_header: true\n";
