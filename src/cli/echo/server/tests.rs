use super::*;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream as Socket;
use std::sync::{OnceLock, mpsc};

/// One origin for all tests of this file, on a port the kernel chose.
fn origin() -> SocketAddr {
    static ORIGIN: OnceLock<SocketAddr> = OnceLock::new();
    *ORIGIN.get_or_init(|| {
        let (announce, announced) = mpsc::channel();
        std::thread::spawn(move || {
            serve(SocketAddr::from(([127, 0, 0, 1], 0)), |address| announce.send(address).map_err(io::Error::other))
        });
        announced.recv_timeout(Duration::from_secs(10)).expect("the origin starts")
    })
}

fn connect() -> Socket {
    let socket = Socket::connect(origin()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Reads one answer: status, head, body. `bodiless` for an answer to `HEAD`.
fn read_answer(socket: &mut Socket, bodiless: bool) -> (u16, String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head[9..12].parse().unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; if bodiless { 0 } else { length }];
    socket.read_exact(&mut body).unwrap();
    (status, head, body)
}

fn ask(socket: &mut Socket, request: &str) -> (u16, String, Vec<u8>) {
    socket.write_all(request.as_bytes()).unwrap();
    read_answer(socket, request.starts_with("HEAD "))
}

fn closed(socket: &mut Socket) -> bool {
    matches!(socket.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn one_connection_serves_many_requests() {
    let mut socket = connect();
    let (status, head, body) = ask(&mut socket, "GET /get?a=1 HTTP/1.1\r\nHost: h.example\r\nX-api-key: k\r\n\r\n");
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert!(status == 200 && head.contains("Connection: keep-alive\r\n"), "{head}");
    assert_eq!((&told["args"]["a"], &told["headers"]["X-Api-Key"]), (&"1".into(), &"k".into()));
    assert_eq!((&told["origin"], &told["url"]), (&"127.0.0.1".into(), &"http://h.example/get?a=1".into()));

    let (status, _, body) = ask(&mut socket, "POST /anything HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["method"], &told["data"]), (200, &"POST".into(), &"hello".into()));

    let chunked = "PUT /put HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let (status, _, body) = ask(&mut socket, chunked);
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["data"]), (200, &"abcde".into()));

    let (status, head, _) = ask(&mut socket, "HEAD /bytes/1000 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(status == 200 && head.contains("Content-Length: 1000\r\n"), "{head}");
    assert_eq!(ask(&mut socket, "GET /status/418 HTTP/1.1\r\nHost: h\r\n\r\n").0, 418);
    let (status, head, _) = ask(&mut socket, "GET /status/204 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(status == 204 && !head.contains("Content-Length"), "{head}");
    let (_, head, body) = ask(&mut socket, "GET /bytes/100000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(body.len() == 100_000 && head.contains("Connection: close\r\n"), "{head}");
    assert!(closed(&mut socket));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mut socket = connect();
    socket
        .write_all(b"GET /status/201 HTTP/1.1\r\nHost: h\r\n\r\nGET /status/202 HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut socket, false).0, 201);
    assert_eq!(read_answer(&mut socket, false).0, 202);
}

#[test]
fn old_clients_and_careful_clients() {
    let mut socket = connect();
    assert_eq!(ask(&mut socket, "GET /get HTTP/1.0\r\n\r\n").0, 200);
    assert!(closed(&mut socket));
    let mut socket = connect();
    let careful = "POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(ask(&mut socket, careful).0, 100);
    assert_eq!(ask(&mut socket, "ok").0, 200);
}

#[test]
fn hostile_requests_end_their_connection_only() {
    let long = format!("GET / HTTP/1.1\r\n{}: 1\r\n\r\n", "a".repeat(70_000));
    let endless = "x".repeat(100_000);
    let cases = [
        ("GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", Some(413)),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", Some(400)),
        ("nonsense\r\n\r\n", Some(400)),
        (long.as_str(), None),
        (endless.as_str(), None),
    ];
    for (request, want) in cases {
        let mut socket = connect();
        // The origin may close before all of it is written.
        let _ = socket.write_all(request.as_bytes());
        if let Some(want) = want {
            assert_eq!(read_answer(&mut socket, false).0, want, "{request}");
        }
        while !closed(&mut socket) {}
    }
    assert_eq!(ask(&mut connect(), "GET /get HTTP/1.1\r\nHost: h\r\n\r\n").0, 200, "the origin still serves");
}

#[test]
fn a_panic_ends_its_own_future_only() {
    let mut runtime = RuntimeBuilder::<FusionDriver>::new().build().unwrap();
    runtime.block_on(caught(async { panic!("on purpose") }));
    runtime.block_on(caught(async { Ok(()) }));
}
