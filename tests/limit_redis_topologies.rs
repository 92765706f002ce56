//! limit-count in a Redis cluster, behind sentinels and over TLS, on the built program and real servers.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;
use support::bench::Bench;
use support::gateway::Setup;
use support::redis::{Redis, Sentinel, cluster, lone_node};
use support::{dead_address, wait_at_most, wait_for};

/// One node with all slots, spoken to as if it stood alone: it takes one key per call.
#[test]
fn a_server_in_cluster_mode_is_no_cluster_to_speak_to() {
    let node = lone_node();
    let bench = Bench::with(&Setup::default());
    let limit = json!({"count": 5, "time_window": 600, "window_type": "sliding", "policy": "redis",
                       "redis_host": "127.0.0.1", "redis_port": node.port()});
    bench.route("r", &json!({"limit-count": limit}));
    for left in ["4", "3", "2"] {
        assert_eq!(bench.ask("r").field("x-ratelimit-remaining"), Some(left));
    }
}

#[test]
fn a_cluster_counts_on_whichever_node_has_the_key() {
    let mut nodes = cluster(3);
    let bench = Bench::with(&Setup::default());
    let (dead, _held) = dead_address();
    // The first listed node is down from the start.
    let listed = [dead.port(), nodes[1].port()].map(|port| format!("127.0.0.1:{port}"));
    let limit = |window_type: &str| {
        json!({"limit-count": {"count": 5, "time_window": 600, "window_type": window_type, "key": "$arg_k",
               "key_type": "var_combination", "group": window_type, "rejected_code": 429, "policy": "redis-cluster",
               "redis_cluster_name": "c", "redis_cluster_nodes": listed}})
    };
    bench.route("r", &limit("fixed"));
    bench.route("s", &limit("sliding"));
    for key in 0..24 {
        for left in ["4", "3"] {
            for route in ["r", "s"] {
                let answer = bench.ask(&format!("{route}?k={key}"));
                assert_eq!((answer.status, answer.field("x-ratelimit-remaining")), (200, Some(left)), "{route} {key}");
            }
        }
    }
    let of = |node: &Redis| node.keys().iter().filter(|key| key.starts_with("plugin-limit-count:v1:fixed:")).count();
    let counts: Vec<usize> = nodes.iter().map(of).collect();
    assert_eq!(counts.iter().sum::<usize>(), 24);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");

    // A slot moves to another node: the gateway is told (`ASK`, then `MOVED`) and follows, the count goes on.
    let key = "plugin-limit-count:v1:fixed:0";
    let slot = nodes[0].cli(&["CLUSTER", "KEYSLOT", key]);
    let from = nodes.iter().position(|node| node.keys().iter().any(|held| held == key)).unwrap();
    let to = (from + 1) % 3;
    let ids: Vec<String> = nodes.iter().map(|node| node.cli(&["CLUSTER", "MYID"])).collect();
    assert_eq!(nodes[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[from]]), "OK");
    assert_eq!(nodes[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[to]]), "OK");
    let port = nodes[to].port().to_string();
    assert_eq!(nodes[from].cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]), "OK");
    let answer = bench.ask("r?k=0");
    assert_eq!((answer.status, answer.field("x-ratelimit-remaining")), (200, Some("2")), "ASK");
    for node in [to, from] {
        assert_eq!(nodes[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[to]]), "OK");
    }
    let answer = bench.ask("r?k=0");
    assert_eq!((answer.status, answer.field("x-ratelimit-remaining")), (200, Some("1")), "MOVED");

    // Without one node the keys of the others are counted still.
    nodes[from].kill();
    let lost =
        wait_for("the loss to be noticed", || (0..24).find(|key| bench.ask(&format!("r?k={key}")).status == 500));
    assert_eq!(bench.ask(&format!("r?k={lost}")).text(), "{\"error_msg\":\"failed to limit count\"}\n");
    let served = (100..160).filter(|key| bench.ask(&format!("r?k={key}")).status == 200).count();
    assert!((20..60).contains(&served), "{served}");
}

#[test]
fn sentinels_lead_to_the_master_and_to_the_next_one() {
    let auth = ["--requirepass", "masters-password", "--masterauth", "masters-password"];
    let mut master = Redis::with(&auth);
    let port = master.port().to_string();
    let replica = Redis::with(&[&auth[..], &["--replicaof", "127.0.0.1", &port]].concat());
    wait_for("the replica to follow", || {
        replica.cli(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
    });
    let sentinel = Sentinel::of(&master, "sentinels-password", "masters-password");
    let bench = Bench::with(&Setup::default());
    let (dead, _held) = dead_address();
    let limit = |more: Value| {
        let mut limit = json!({"count": 1000, "time_window": 600, "group": "g", "key": "x", "key_type": "constant",
            "policy": "redis-sentinel", "redis_master_name": "mymaster", "redis_password": "masters-password",
            "sentinel_password": "sentinels-password", "redis_database": 2,
            "redis_sentinels": [{"host": "127.0.0.1", "port": dead.port()}, {"host": "127.0.0.1", "port": sentinel.port()}]});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limit-count": limit})
    };
    bench.route("r", &limit(json!({})));
    bench.route("stranger", &limit(json!({"group": "other", "redis_master_name": "nobody"})));
    bench.route("wrong", &limit(json!({"group": "more", "sentinel_password": "wrong"})));
    assert_eq!(bench.ask("r").field("x-ratelimit-remaining"), Some("999"));
    assert_eq!(master.cli(&["-n", "2", "GET", "plugin-limit-count:v1:g:x"]), "1");
    assert_eq!((bench.ask("stranger").status, bench.ask("wrong").status), (500, 500));

    wait_for("the replica to have the counter", || {
        (replica.cli(&["-n", "2", "GET", "plugin-limit-count:v1:g:x"]) == "1").then_some(())
    });
    master.kill();
    wait_at_most(Duration::from_secs(60), "the failover", || {
        replica.cli(&["ROLE"]).starts_with("master").then_some(())
    });
    let answer = wait_at_most(Duration::from_secs(5), "the gateway to follow", || {
        Some(bench.ask("r")).filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.field("x-ratelimit-remaining"), Some("998"));
}

#[test]
fn tls_encrypts_and_verifies_where_it_is_told_to() {
    let redis = Redis::with_tls();
    let bench = Bench::with(&Setup::default());
    let limit = |group: &str, port: u16, ssl: bool, verify: bool| {
        json!({"limit-count": {"count": 5000, "time_window": 600, "group": group, "key": "x", "key_type": "constant",
               "policy": "redis", "redis_host": "localhost", "redis_port": port, "redis_ssl": ssl,
               "redis_ssl_verify": verify}})
    };
    bench.route("encrypted", &limit("g1", redis.tls_port(), true, false));
    bench.route("plain", &limit("g3", redis.tls_port(), false, false));
    bench.route("mistaken", &limit("g4", redis.port(), true, false));
    for left in ["4999", "4998", "4997"] {
        assert_eq!(bench.ask("encrypted").field("x-ratelimit-remaining"), Some(left));
    }
    // Many at a time, so that records are split and joined.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..25).for_each(|_| assert_eq!(bench.ask("encrypted").status, 200)));
        }
    });
    assert_eq!(redis.cli(&["GET", "plugin-limit-count:v1:g1:x"]), "203");
    assert_eq!((bench.ask("plain").status, bench.ask("mistaken").status), (500, 500));
    let (status, _) = bench.try_route("verified", &limit("g2", redis.tls_port(), true, true));
    if status < 300 {
        // No root of the system has signed that certificate.
        assert_eq!(bench.ask("verified").status, 500);
    }
    assert_eq!(redis.keys(), ["plugin-limit-count:v1:g1:x"]);
}

/// The system's roots may be named by `SSL_CERT_FILE`.
#[test]
fn a_certificate_of_a_known_root_is_good_for_its_name() {
    let redis = Redis::with_tls();
    let file = redis.certificate().display().to_string();
    let bench = Bench::with(&Setup { env: vec![("SSL_CERT_FILE", file)], ..Setup::default() });
    for (host, want) in [("localhost", 200), ("127.0.0.1", 200), ("127.0.0.2", 500)] {
        let limit = json!({"count": 5, "time_window": 600, "policy": "redis", "redis_host": host,
                           "redis_port": redis.tls_port(), "redis_ssl": true, "redis_ssl_verify": true});
        bench.route("r", &json!({"limit-count": limit}));
        assert_eq!(bench.ask("r").status, want, "{host}");
    }
}

/// A server that says that nothing will follow, and then sends something, loses its connection and no worker.
#[test]
fn bytes_after_the_end_of_tls_end_the_connection_only() {
    let redis = Redis::with_tls();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).unwrap();
    acceptor.set_private_key_file(redis.private_key(), SslFiletype::PEM).unwrap();
    acceptor.set_certificate_file(redis.certificate(), SslFiletype::PEM).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ended, has_ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = acceptor.accept(stream).unwrap();
            let mut asked = [0; 4096];
            assert!(stream.read(&mut asked).unwrap() > 0);
            stream.write_all(b"*2\r\n:1\r\n:600000\r\n").unwrap();
            stream.shutdown().unwrap();
            // In a segment of its own, or in one with the end: both are too much.
            stream.get_mut().write_all(b"x").unwrap();
            ended.send(stream.get_mut().read(&mut asked).unwrap_or(0)).unwrap();
        }
    });
    let bench = Bench::start(1);
    let limit = json!({"count": 5, "time_window": 600, "policy": "redis", "redis_host": "127.0.0.1",
                       "redis_port": port, "redis_ssl": true});
    bench.route("r", &json!({"limit-count": limit}));
    bench.route("plain", &json!({}));
    for _ in 0..3 {
        bench.ask("r");
        has_ended.recv_timeout(support::PATIENCE).expect("the gateway closes the connection");
        assert_eq!(bench.ask("plain").status, 200, "the worker goes on");
        // Until the pause after a failure is over.
        wait_for("another connection", || (bench.ask("r").status == 200).then_some(()));
        has_ended.recv_timeout(support::PATIENCE).expect("the gateway closes the connection");
    }
}
