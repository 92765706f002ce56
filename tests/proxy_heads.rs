//! What the proxy writes into heads, what it takes out of them, and which heads it refuses to pass on at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::{Origin, Received, Reply, ok};

#[test]
fn the_upstream_learns_where_a_request_came_from() {
    let bench = Bench::with(&Setup::default());
    let own_port = bench.gateway.data().port().to_string();
    let cases: [Forwarding; 6] = [
        ("plain", "example.com", &[], "127.0.0.1", "127.0.0.1", &own_port),
        ("a port in Host", "Example.COM:8443", &[], "127.0.0.1", "127.0.0.1", "8443"),
        ("IPv6 literal", "[::1]", &[], "127.0.0.1", "127.0.0.1", &own_port),
        (
            "chain",
            "a",
            &[("X-Forwarded-For", "1.2.3.4, 5.6.7.8")],
            "127.0.0.1",
            "1.2.3.4, 5.6.7.8, 127.0.0.1",
            &own_port,
        ),
        ("real ip from a trusted peer", "a", &[("X-Real-IP", "9.9.9.9")], "9.9.9.9", "9.9.9.9", &own_port),
        (
            "claims",
            "a",
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "b"),
                ("X-Forwarded-Port", "1"),
                ("Forwarded", "for=1.2.3.4"),
            ],
            "127.0.0.1",
            "127.0.0.1",
            &own_port,
        ),
    ];
    for (name, host, fields, real_ip, chain, port) in cases {
        let received = bench.pass("GET", "/all", &[&[("Host", host)], fields].concat());
        for (field, wanted) in [
            ("host", host),
            ("x-real-ip", real_ip),
            ("x-forwarded-for", chain),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", host),
            ("x-forwarded-port", port),
        ] {
            assert_eq!(received.fields.all(field).collect::<Vec<_>>(), [wanted], "{name}: {field}");
        }
        assert_eq!(received.fields.first("forwarded"), None, "{name}");
    }
}

#[test]
fn forwarded_fields_are_kept_from_trusted_peers_only() {
    let fields = [
        ("Host", "a"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "b"),
        ("X-Forwarded-Port", "1"),
    ];
    let of = |received: &Received| fields.map(|(name, _)| received.fields.first(name).unwrap_or_default().to_owned());
    let trusting = Bench::with(&Setup { apisix: "  trusted_addresses: [127.0.0.0/8]\n", ..Setup::default() });
    assert_eq!(of(&trusting.pass("GET", "/all", &fields)), ["a", "1.2.3.4, 127.0.0.1", "https", "b", "1"]);
    let wary = Bench::with(&Setup { apisix: "  trusted_addresses: [10.0.0.0/8]\n", ..Setup::default() });
    let port = wary.gateway.data().port().to_string();
    assert_eq!(of(&wary.pass("GET", "/all", &fields)), ["a", "127.0.0.1", "http", "a", &port]);
}

#[test]
fn the_upstream_is_addressed_as_configured() {
    let bench = Bench::with(&Setup::default());
    let node = bench.origin.node();
    for (name, settings, wanted) in [
        ("default", json!({}), "Client.Example:81"),
        ("pass", json!({"pass_host": "pass"}), "Client.Example:81"),
        ("node", json!({"pass_host": "node"}), node.as_str()),
        ("rewrite", json!({"pass_host": "rewrite", "upstream_host": "inner.example"}), "inner.example"),
    ] {
        let mut upstream = json!({"nodes": {node.clone(): 1}});
        upstream.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        bench.gateway.put("routes/host", &json!({"uri": "/host", "upstream": upstream}));
        let received = bench.pass("GET", "/host", &[("Host", "Client.Example:81")]);
        assert_eq!(received.fields.all("host").collect::<Vec<_>>(), [wanted], "{name}");
        assert_eq!(received.fields.first("x-forwarded-host"), Some("Client.Example:81"), "{name}");
    }
}

#[test]
fn the_target_travels_as_the_client_wrote_it() {
    let bench = Bench::with(&Setup::default());
    bench.route("nested", &json!({"uri": "/a/b"}));
    for target in ["/all?", "/all?a=%20+b&&c", "/%61ll", "//all", "/x/../all?/../y", "/a%2fb", "/all/./"] {
        let uri = if target.starts_with("/all/") { "/all/*" } else { "/all" };
        bench.route("all", &json!({"uri": uri}));
        assert_eq!(bench.pass("GET", target, &[]).target, target);
    }
}

#[test]
fn what_concerns_one_hop_stays_there() {
    let bench = Bench::with(&Setup::default());
    let received = bench.pass(
        "GET",
        "/all",
        &[
            ("Connection", "X-Mine, keep-alive"),
            ("X-Mine", "hop"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authorization", "Basic x"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "trailers"),
            ("Trailer", "X"),
            ("Upgrade", "websocket"),
            ("X-Yours", "end"),
            ("X_Under", "score"),
        ],
    );
    let gone = ["connection", "x-mine", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
    for name in gone {
        assert_eq!(received.fields.first(name), None, "{name}");
    }
    assert_eq!((received.fields.first("x-yours"), received.fields.first("x_under")), (Some("end"), Some("score")));

    bench.origin.script(Reply::Raw(
        b"HTTP/1.1 200 Fine By Me\r\nServer: secret/1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\
          Connection: X-Mine\r\nX-Mine: hop\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
          Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok"
            .into(),
    ));
    let answer = bench.gateway.request("GET", "/all", &[], b"");
    assert_eq!(answer.status_line, "HTTP/1.1 200 Fine By Me");
    for name in ["x-mine", "keep-alive", "upgrade", "x-apisix-upstream-status"] {
        assert_eq!(answer.field(name), None, "{name}");
    }
    let server = concat!("ringgate/", env!("CARGO_PKG_VERSION"));
    assert_eq!(answer.fields.all("server").collect::<Vec<_>>(), [server]);
    assert_eq!(answer.fields.all("date").collect::<Vec<_>>(), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
    assert_eq!(answer.fields.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
}

#[test]
fn the_gateway_signs_answers_as_configured() {
    let quiet = Bench::with(&Setup {
        apisix: "  enable_server_tokens: false\n  show_upstream_status_in_response_header: true\n",
        ..Setup::default()
    });
    let answer = quiet.gateway.request("GET", "/all", &[], b"");
    assert_eq!((answer.field("server"), answer.field("x-apisix-upstream-status")), (Some("ringgate"), Some("200")));
    assert!(answer.field("date").is_some_and(|date| date.ends_with(" GMT")), "{:?}", answer.fields);
    let own = quiet.gateway.request("GET", "/none", &[], b"");
    assert_eq!(own.field("server"), Some("ringgate"));
    assert_eq!((own.status, own.text().as_str()), (404, "{\"error_msg\":\"404 Route Not Found\"}\n"));
    assert_eq!(own.field("content-type"), Some("text/plain; charset=utf-8"));

    let usual = Bench::with(&Setup::default());
    usual.origin.script(Reply::Raw(b"HTTP/1.1 503 Overloaded\r\nContent-Length: 4\r\n\r\nbusy".into()));
    let answer = usual.gateway.request("GET", "/all", &[], b"");
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy"), "an upstream's own failure passes");
    assert_eq!(answer.field("x-apisix-upstream-status"), Some("503"));
}

/// RFC 9112 and RFC 9110, read strictly: each of these has made two programs see two different requests.
#[test]
fn a_doubtful_request_is_refused_and_never_passed_on() {
    let bench = Bench::with(&Setup::default());
    let long = "x".repeat(9000);
    let many = "N: x\r\n".repeat(200);
    let cases: &[(&str, String, u16)] = &[
        ("no Host", "GET /all HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", "GET /all HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("a space in Host", "GET /all HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400),
        ("no version", "GET /all\r\n\r\n".into(), 400),
        ("two spaces", "GET  /all HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("version 2", "GET /all HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505),
        ("not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".into(), 400),
        ("method with a colon", "G:T /all HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("bare LF", "GET /all HTTP/1.1\nHost: a\n\n".into(), 400),
        ("bare CR", "GET /all HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n".into(), 400),
        ("NUL in a value", "GET /all HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".into(), 400),
        ("blank before the colon", "GET /all HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n".into(), 400),
        ("folded line", "GET /all HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".into(), 400),
        ("blank line start", "GET /all HTTP/1.1\r\n Host: a\r\n\r\n".into(), 400),
        ("no name", "GET /all HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n".into(), 400),
        ("two lengths", framing("Content-Length: 3\r\nContent-Length: 4\r\n"), 400),
        ("a list of lengths", framing("Content-Length: 3, 4\r\n"), 400),
        ("a signed length", framing("Content-Length: +3\r\n"), 400),
        ("a hexadecimal length", framing("Content-Length: 0x3\r\n"), 400),
        ("a length beyond 64 bits", framing("Content-Length: 99999999999999999999\r\n"), 400),
        ("length and chunks", framing("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("chunked twice", framing("Transfer-Encoding: chunked, chunked\r\n"), 400),
        ("chunked not last", framing("Transfer-Encoding: chunked, identity\r\n"), 400),
        ("a coding like chunked", framing("Transfer-Encoding: xchunked\r\n"), 400),
        ("a coding below chunked", framing("Transfer-Encoding: gzip, chunked\r\n"), 400),
        ("chunks in 1.0", "POST /all HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 400),
        ("an unknown expectation", "GET /all HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n".into(), 417),
        ("a path out of the root", "GET /../all HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("a bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        ("an escaped NUL", "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        (
            "two Authorizations",
            "GET /all HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n".into(),
            400,
        ),
        ("a long request line", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        ("a long field", format!("GET /all HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 400),
        ("many fields", format!("GET /all HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 400),
        ("a tunnel", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".into(), 405),
    ];
    let mut wrong = Vec::new();
    for (name, raw, wanted) in cases {
        let mut client = Client::connect(bench.gateway.data()).unwrap();
        client.send(raw).unwrap();
        match client.response("GET") {
            Ok(answer) => {
                let closes = answer.field("connection") == Some("close") && client.is_closed_by_peer();
                // A path that leads nowhere says nothing about where the message ends.
                let may_stay = name.contains("path") || name.contains("escape");
                if answer.status != *wanted || !(closes || may_stay) {
                    wrong.push(format!("{name}: {} instead of {wanted}, closes: {closes}", answer.status));
                }
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(bench.origin.received(), [], "nothing of it reached the upstream");
}

#[test]
fn a_body_that_turns_out_malformed_ends_the_connection() {
    let bench = Bench::with(&Setup::default());
    for (name, chunks) in [
        ("no size", "\r\n"),
        ("a negative size", "-1\r\n"),
        ("a size with a prefix", "0x3\r\nabc\r\n"),
        ("a size beyond 64 bits", "fffffffffffffffff\r\n"),
        ("data beyond its size", "3\r\nabcd\r\n"),
        ("bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
        ("a trailer without name", "0\r\n: x\r\n\r\n"),
    ] {
        let mut client = Client::connect(bench.gateway.data()).unwrap();
        client.send(format!("POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")).unwrap();
        let answer = client.response("POST").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{name}");
        assert!(client.is_closed_by_peer(), "{name}");
    }
    assert_eq!(bench.origin.received(), [], "no such request is ever whole at the upstream");
}

/// Name, Host, further fields; wanted X-Real-IP, X-Forwarded-For and X-Forwarded-Port.
type Forwarding<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);

/// A gateway with the route `/all` to an origin.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn with(setup: &Setup) -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::with(setup) };
        bench.route("all", &json!({"uri": "/all"}));
        bench
    }

    fn route(&self, id: &str, route: &Value) {
        let mut route = route.clone();
        route["upstream"] = json!({"nodes": {self.origin.node(): 1}});
        self.gateway.put(&format!("routes/{id}"), &route);
    }

    /// What arrives of a request that is answered with 200.
    fn pass(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Received {
        self.origin.script(Reply::Raw(ok("passed")));
        let answer = Client::connect(self.gateway.data()).unwrap().request(method, target, fields, b"").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "passed"), "{method} {target}");
        self.origin.last()
    }
}

fn framing(fields: &str) -> String {
    format!("POST /all HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n")
}
