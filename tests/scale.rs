//! One change among 100,000 consumers costs what one change costs.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use ringgate::store::embedded::EmbeddedStore;
use ringgate::store::{Op, Store};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use support::client::Client;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::program;
use support::token::token;

/// The strict figure belongs to an optimised build on a quiet machine; the bound here only tells a single change from
/// a rebuild of everything.
#[test]
fn a_change_among_many_consumers_is_live_at_once() {
    let directory = program::directory();
    fill(&directory.path().join("data"));
    let loading = Instant::now();
    let gateway = Gateway::in_directory(directory, &Setup { workers: 4, ..Setup::default() });
    println!("{CONSUMERS} consumers with a credential each: started in {:?}", loading.elapsed());

    let origin = Origin::start();
    let upstream = json!({"nodes": {origin.node(): 1}});
    gateway.put("routes/r", &json!({"uri": "/r", "plugins": {"jwt-auth": {}}, "upstream": upstream}));
    let mut clients: Vec<Client> = (0..16).map(|_| Client::connect(gateway.data()).unwrap()).collect();
    let mut admin = gateway.admin_client();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // Spread over the whole table.
        let number = round * (CONSUMERS / ROUNDS) + round;
        let path = format!("consumers/c{number}/credentials/c");
        let old = token(&key(number), secret(number).as_bytes(), json!({}));
        let new = token(&key(number), b"a new secret", json!({}));
        assert_eq!(statuses(&mut clients, &old), [200], "round {round}: what was loaded");
        let body = json!({"plugins": {"jwt-auth": {"key": key(number), "secret": "a new secret"}}});
        let asked = Instant::now();
        let answer = admin.call("PUT", &path, &body).unwrap();
        times.push(asked.elapsed());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(statuses(&mut clients, &old), [401], "round {round}: the old secret");
        assert_eq!(statuses(&mut clients, &new), [200], "round {round}: the new secret");
    }
    let asked = Instant::now();
    assert_eq!(admin.call("DELETE", "consumers/c7", &Value::Null).unwrap().status, 200);
    let deleted = asked.elapsed();
    assert_eq!(statuses(&mut clients, &token(&key(7), secret(7).as_bytes(), json!({}))), [401]);

    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("a new secret, durable and live on 4 workers: median {median:?}, worst {worst:?} of {ROUNDS}");
    println!("a consumer deleted with its credential: {deleted:?}");
    assert!(median < CHANGE_MAX && deleted < CHANGE_MAX, "median {median:?}, deletion {deleted:?}");
}

/// The different statuses that the connections, spread over the workers, get for one token.
fn statuses(clients: &mut [Client], token: &str) -> Vec<u16> {
    let ask = |client: &mut Client| client.request("GET", "/r", &[("Authorization", token)], b"").unwrap().status;
    let mut statuses: Vec<u16> = clients.iter_mut().map(ask).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// Writes the consumers as an earlier run of the gateway would have left them.
fn fill(data: &Path) {
    let store = EmbeddedStore::open(data).unwrap();
    let put =
        |key: String, value: Value| Op::Put { key: key.into(), value: value.to_string().into(), expires_unix_s: None };
    let write = |number: usize| {
        let plugins = json!({"jwt-auth": {"key": key(number), "secret": secret(number)}});
        let times = json!({"create_time": 1_700_000_000, "update_time": 1_700_000_000});
        let with_times = |mut value: Value| {
            value.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
            value
        };
        let consumer = format!("/apisix/consumers/c{number}");
        vec![
            put(consumer.clone(), with_times(json!({"username": format!("c{number}")}))),
            put(format!("{consumer}/credentials/c"), with_times(json!({"id": "c", "plugins": plugins}))),
        ]
    };
    for start in (0..CONSUMERS).step_by(BATCH) {
        let writes: Vec<_> = (start..start + BATCH).map(write).collect();
        store.commit(&writes).unwrap();
    }
}

fn key(number: usize) -> String {
    format!("key-of-consumer-{number}")
}

fn secret(number: usize) -> String {
    format!("secret-of-consumer-{number}-that-is-long-enough")
}

const CONSUMERS: usize = 100_000;
const BATCH: usize = 10_000;
const ROUNDS: usize = 20;
const CHANGE_MAX: Duration = Duration::from_millis(500);
