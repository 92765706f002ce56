//! The origin and the client of the integration tests, against each other: a test that uses them may trust them.

mod support;

use serde_json::json;
use support::client::{Client, once};
use support::origin::{Origin, Reply};
use support::token::{now, token};

#[test]
fn the_origin_tells_what_it_got() {
    let origin = Origin::start();
    let mut client = Client::connect(origin.address()).unwrap();
    for (body, connection) in [("one", 0), ("two", 0)] {
        let answer = client.request("POST", "/a?b=c", &[("X-Y", "z")], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
        let told = answer.json();
        assert_eq!((&told["method"], &told["target"], &told["body"]), (&json!("POST"), &json!("/a?b=c"), &json!(body)));
        assert_eq!(told["connection"], connection);
    }
    let received = origin.wait_for_requests(2);
    assert_eq!(received[0].fields.first("x-y"), Some("z"));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn the_client_reads_each_framing_and_stays_in_step() {
    let cases: [(&str, &str, &str, u16, &str); 6] = [
        ("length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"),
        (
            "chunked",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nT: 1\r\n\r\n",
            200,
            "abc",
        ),
        ("head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, ""),
        ("no content", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, ""),
        (
            "interim first",
            "GET",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            "",
        ),
    ];
    let origin = Origin::start();
    let mut client = Client::connect(origin.address()).unwrap();
    for (name, method, raw, status, body) in cases {
        origin.script(Reply::Raw(raw.into()));
        let answer = client.request(method, "/", &[], b"").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{name}");
    }
    origin.script(Reply::RawThenClose(b"HTTP/1.0 200 OK\r\n\r\n".into()));
    assert!(client.request("GET", "/", &[], b"").is_err(), "a gateway answers with HTTP/1.1");
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let origin = Origin::start();
    origin.script(Reply::RawThenClose(b"HTTP/1.1 200 OK\r\n\r\nto the end".into()));
    let mut client = Client::connect(origin.address()).unwrap();
    assert_eq!(client.request("GET", "/", &[], b"").unwrap().text(), "to the end");
    assert!(client.is_closed_by_peer());
}

#[test]
fn a_torn_answer_is_an_error() {
    for raw in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"] {
        let origin = Origin::start();
        origin.script(Reply::RawThenClose(raw.into()));
        assert!(once(origin.address(), "GET", "/", &[], b"").is_err(), "{raw:?}");
    }
}

#[test]
fn tokens_have_three_parts_and_the_claims_asked_for() {
    let token = token("jack", b"secret-of-jack", json!({ "exp": now() + 60, "key": "other" }));
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let payload = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, parts[1]).unwrap();
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["key"], "other");
    assert!(payload["exp"].as_u64().unwrap() > now());
}
