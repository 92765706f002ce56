//! The same gateway on each I/O driver.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::program::{directory, ringgate};
use support::token::token;

#[test]
fn epoll_serves() {
    serves("epoll", "epoll");
}

#[test]
fn io_uring_serves() {
    let version = ringgate(directory().path(), &["version"], "");
    if let Some(reason) = version.stdout.lines().find(|line| line.starts_with("nothing better because:"))
        && version.stdout.contains("I/O driver: epoll")
    {
        println!("not run: this kernel gives no io_uring; {reason}");
        let refused = ringgate(directory().path(), &["run", "--driver", "io_uring"], "");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains("--driver io_uring: "), "{refused:?}");
        return;
    }
    serves("io_uring", "io_uring");
}

/// Authentication, a large body both ways, several connections, a revocation and a stop.
fn serves(driver: &'static str, announced: &str) {
    let origin = Origin::start();
    let mut gateway = Gateway::with(&Setup { driver, ..Setup::default() });
    let line = gateway.start_line().to_owned();
    let on = line.split("2 workers, ").nth(1).unwrap_or_default();
    assert!(on.starts_with(announced), "{line}");

    gateway.put("consumers/jack", &json!({"username": "jack"}));
    let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": "s"}}});
    gateway.put("consumers/jack/credentials/c", &credential);
    let upstream = json!({"nodes": {origin.node(): 1}});
    gateway.put("routes/r", &json!({"uri": "/r", "plugins": {"jwt-auth": {}}, "upstream": upstream}));

    let token = token("jack-key", b"s", json!({}));
    let fields = [("Authorization", token.as_str())];
    let body = "0123456789abcdef".repeat(20_000);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(gateway.data()).unwrap()).collect();
    for _ in 0..3 {
        for client in &mut clients {
            let answer = client.request("POST", "/r", &fields, body.as_bytes()).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["body"], body.as_str());
        }
    }
    assert_eq!(gateway.admin("DELETE", "consumers/jack/credentials/c", &Value::Null).0, 200);
    for client in &mut clients {
        assert_eq!(client.request("GET", "/r", &fields, b"").unwrap().status, 401);
    }
    assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.output());
}
