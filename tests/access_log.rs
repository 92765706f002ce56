//! The access log: a line per request, soon, in the format asked for, and where it is after rotation.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use regex::Regex;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use support::gateway::{Gateway, Setup};
use support::origin::{Origin, Reply};
use support::token::token;
use support::{dead_address, wait_for};

#[test]
fn the_default_line_says_what_nginx_would() {
    let bench = Bench::with(&Setup::default());
    bench.ask("/r?a=b", &[("Referer", "http://x/"), ("User-Agent", "a \"quoted\" \\ hé")]);
    bench.ask("/none", &[]);
    let lines = bench.lines(2);
    let origin = regex::escape(&bench.origin.node());
    let time = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]";
    let request = r#""GET /r\?a=b HTTP/1\.1" 200 \d+ 0\.\d{3} "http://x/""#;
    let upstream = format!(r#"{origin} 200 0\.\d{{3}} "http://test""#);
    let id = r#""[0-9a-f]{32}""#;
    let cases = [
        format!(r#"^127\.0\.0\.1 - - {time} test {request} "a \\x22quoted\\x22 \\x5C h\\xC3\\xA9" {upstream} {id}$"#),
        format!(r#"^127\.0\.0\.1 - - {time} test "GET /none HTTP/1\.1" 404 36 0\.\d{{3}} "-" "-" - - - ".*" {id}$"#),
    ];
    // Each worker writes its own lines, so their order is open.
    for wanted in cases {
        let line = Regex::new(&wanted).unwrap();
        assert!(lines.iter().any(|text| line.is_match(text)), "\n{}\nhas no\n{wanted}", lines.join("\n"));
    }
}

#[test]
fn the_json_preset_is_one_object_per_request() {
    let bench = Bench::with(&Setup { http: "    access_log_format: json\n", ..Setup::default() });
    bench.gateway.put("consumers/jack", &json!({"username": "jack"}));
    let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": "s"}}});
    bench.gateway.put("consumers/jack/credentials/c", &credential);
    let (dead, _held) = dead_address();
    let nodes = json!([
        {"host": "127.0.0.1", "port": dead.port(), "weight": 1, "priority": 1},
        {"host": "127.0.0.1", "port": bench.origin.address().port(), "weight": 1},
    ]);
    bench.gateway.put("services/s", &json!({"upstream": {"nodes": nodes}}));
    bench.gateway.put("routes/k", &json!({"uri": "/k", "service_id": "s", "plugins": {"jwt-auth": {}}}));
    let token = token("jack-key", b"s", json!({}));
    bench.origin.script(Reply::Raw(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nbody".into()));
    let answer = bench.gateway.request("POST", "/k?a=%22", &[("Authorization", &token), ("User-Agent", "\"\t\\")], b"");
    assert_eq!(answer.status, 201, "{}", answer.text());

    let lines = bench.lines(1);
    assert!(!lines[0].contains(&token), "a token is not logged");
    let entry: Value = serde_json::from_str(&lines[0]).unwrap();
    for (name, wanted) in [
        ("remote_addr", json!("127.0.0.1")),
        ("method", json!("POST")),
        ("uri", json!("/k?a=%22")),
        ("host", json!("test")),
        ("status", json!(201)),
        ("body_bytes_sent", json!(4)),
        ("upstream_addr", json!(format!("{dead}, {}", bench.origin.node()))),
        ("upstream_status", json!("502, 201")),
        ("route_id", json!("k")),
        ("service_id", json!("s")),
        ("consumer", json!("jack")),
        ("user_agent", json!("\"\t\\")),
        ("referer", json!("")),
    ] {
        assert_eq!(entry[name], wanted, "{name} of {entry}");
    }
    assert!(entry["request_time"].is_number() && entry["request_id"].as_str().unwrap().len() == 32, "{entry}");
}

#[test]
fn a_template_of_ones_own() {
    let bench =
        Bench::with(&Setup { http: "    access_log_format: '$status|${request_method}|$uri'\n", ..Setup::default() });
    bench.ask("/r", &[]);
    assert_eq!(bench.lines(1), ["200|GET|/r"]);
}

#[test]
fn after_rotation_and_usr1_a_new_file_is_written() {
    let mut bench = Bench::with(&Setup::default());
    let (current, old) =
        (bench.gateway.directory().join("logs/access.log"), bench.gateway.directory().join("logs/access.log.1"));
    bench.ask("/before", &[]);
    bench.lines(1);
    fs::rename(&current, &old).unwrap();
    bench.gateway.signal(Signal::USR1);
    wait_for("a new access log", || current.exists().then_some(()));
    bench.ask("/after", &[]);
    let lines = bench.lines(1);
    assert!(lines.len() == 1 && lines[0].contains("GET /after "), "{lines:?}");
    let lines = fs::read_to_string(&old).unwrap();
    assert!(lines.lines().count() == 1 && lines.contains("GET /before "), "{lines}");

    bench.ask("/last", &[]);
    assert_eq!(bench.gateway.stop().code(), Some(0));
    assert!(bench.gateway.access_log().contains("GET /last "), "a stop loses no line");
}

#[test]
fn a_switched_off_log_writes_nothing() {
    let mut bench = Bench::with(&Setup { http: "    access_log: \"off\"\n", ..Setup::default() });
    bench.ask("/r", &[]);
    assert_eq!(bench.gateway.stop().code(), Some(0));
    assert!(!bench.gateway.directory().join("off").exists() && !bench.gateway.directory().join("logs").exists());
}

/// A gateway with the route `/r` to an origin.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    fn with(setup: &Setup) -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::with(setup) };
        let upstream = json!({"nodes": {bench.origin.node(): 1}});
        bench.gateway.put("routes/r", &json!({"uri": "/r", "upstream": upstream}));
        bench
    }

    fn ask(&self, target: &str, fields: &[(&str, &str)]) {
        self.gateway.request("GET", target, fields, b"");
    }

    /// Waits until the log has as many lines, which the gateway writes within about a second.
    fn lines(&self, count: usize) -> Vec<String> {
        let lines = || {
            let text = self.gateway.access_log();
            Some(text.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        wait_for("lines of the access log", || lines().filter(|lines| lines.len() >= count))
    }
}
