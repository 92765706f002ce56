//! limit-req on the built program: the rate is held by all workers together, and who waits holds up nobody else.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::bench::Bench;
use support::client::{Client, Response};
use support::wait_at_most;

/// Between any two admitted requests there is room for what the rate and the burst allow, and no more; and under load
/// all of it is used.
#[test]
fn the_rate_holds_over_workers_and_connections() {
    const RATE: f64 = 200.0;
    const BURST: f64 = 20.0;
    const WANTED: usize = 400;
    let bench = Bench::start(4);
    let limit = json!({"rate": RATE, "burst": BURST, "key": "uri", "nodelay": true, "rejected_code": 429});
    bench.route("r", &json!({"limit-req": limit}));
    let admitted = Mutex::new(Vec::<Duration>::new());
    let is_enough = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(bench.gateway.data()).unwrap();
                while !is_enough.load(Ordering::Relaxed) {
                    let answer = client.request("GET", "/r", &[], b"").unwrap();
                    match answer.status {
                        200 => admitted.lock().unwrap().push(began.elapsed()),
                        status => assert_eq!(status, 429),
                    }
                }
            });
        }
        wait_at_most(support::PATIENCE * 3, "enough admitted requests", || {
            (admitted.lock().unwrap().len() >= WANTED).then_some(())
        });
        is_enough.store(true, Ordering::Relaxed);
    });
    let elapsed_s = began.elapsed().as_secs_f64();
    let count = bench.origin.received().len();
    assert_eq!(count, admitted.lock().unwrap().len(), "what was told to pass has passed, and nothing else");
    let most = RATE * elapsed_s + BURST + 1.0;
    assert!((count as f64) <= most, "{count} in {elapsed_s} s, at most {most}");
    // A client of a busy machine may leave the bucket empty for a while, but not most of the time.
    assert!(count as f64 >= RATE * elapsed_s / 4.0, "{count} in {elapsed_s} s");
}

#[test]
fn who_comes_too_early_waits_for_its_turn_and_holds_up_nobody() {
    let bench = Bench::start(1);
    let limit = json!({"rate": 1, "burst": 2, "key": "uri", "rejected_code": 429, "rejected_msg": "later"});
    // What runs after the wait runs as usual.
    let count = json!({"count": 9, "time_window": 600});
    bench.route("r", &json!({"limit-req": limit, "limit-count": count, "jwt-auth": {"_meta": {"disable": true}}}));
    bench.route("other", &json!({}));
    let began = Instant::now();
    let answers = Mutex::new(Vec::<(Duration, Response)>::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let answer = bench.ask("r");
                answers.lock().unwrap().push((began.elapsed(), answer));
            });
        }
        support::wait_for("the first two answers", || (answers.lock().unwrap().len() >= 2).then_some(()));
        assert_eq!(bench.ask("other").status, 200);
        assert!(answers.lock().unwrap().len() < 4, "the only worker had somebody waiting meanwhile");
    });
    let mut answers = answers.into_inner().unwrap();
    answers.sort_by_key(|(at, answer)| (answer.status, *at));
    let statuses: Vec<u16> = answers.iter().map(|(_, answer)| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
    for ((at, answer), turn_ms) in answers.iter().zip([0, 1000, 2000]) {
        assert!(*at >= Duration::from_millis(turn_ms), "{at:?} is before {turn_ms} ms");
        assert!(answer.field("x-ratelimit-remaining").is_some());
    }
    let text = answers.last().unwrap().1.text();
    assert_eq!(text, "{\"error_msg\":\"later\"}\n");
    let series = "ringgate_limit_rejected_requests_total{route=\"r\",consumer=\"\"}";
    support::wait_for("the rejection's count", || (bench.gateway.metric(series) > 0.5).then_some(()));
}

/// The global rule makes the distance that the route asks for: what runs after a wait runs at the time it is then.
#[test]
fn who_has_waited_comes_later() {
    let bench = Bench::start(1);
    let spaced = json!({"rate": 5, "burst": 9, "key": "uri"});
    bench.gateway.put("global_rules/1", &json!({"plugins": {"limit-req": spaced}}));
    let strict = json!({"rate": 20, "burst": 0, "nodelay": true, "key": "uri", "rejected_code": 429});
    bench.route("r", &json!({"limit-req": strict}));
    let statuses = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let status = bench.ask("r").status;
                statuses.lock().unwrap().push(status);
            });
        }
    });
    assert_eq!(statuses.into_inner().unwrap(), [200; 4]);
}

#[test]
fn who_leaves_while_waiting_is_not_waited_for() {
    let bench = Bench::start(1);
    bench.route("r", &json!({"limit-req": {"rate": 0.01, "burst": 9, "key": "uri"}}));
    assert_eq!(bench.ask("r").status, 200);
    let mut stream = std::net::TcpStream::connect(bench.gateway.data()).unwrap();
    stream.write_all(b"GET /r HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    support::wait_for("the request", || (bench.gateway.metric("ringgate_requests_total") > 1.5).then_some(()));
    drop(stream);
    support::wait_for("the end", || (bench.gateway.metric("ringgate_connections") < 0.5).then_some(()));
    assert_eq!(bench.origin.received().len(), 1);
}

#[test]
fn keys_tell_requests_apart_and_survive_the_same_configuration() {
    let bench = Bench::start(2);
    let limit = |more: Value| {
        let mut limit = json!({"rate": 0.001, "burst": 0, "key": "arg_user", "rejected_code": 429});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limit-req": limit})
    };
    bench.route("var", &limit(json!({})));
    bench.route("both", &limit(json!({"key": "$arg_user $arg_team", "key_type": "var_combination"})));
    for (target, want) in [
        ("var?user=a", 200),
        ("var?user=a", 429),
        ("var?user=b", 200),
        ("var", 200),
        ("var", 429),
        ("both?user=a&team=1", 200),
        ("both?user=a&team=2", 200),
        ("both?user=a&team=1", 429),
    ] {
        assert_eq!(bench.ask(target).status, want, "{target}");
    }
    assert!(bench.gateway.output().contains("counted by remote_addr"), "the client's address stood in");
    bench.route("var", &limit(json!({})));
    assert_eq!(bench.ask("var?user=a").status, 429, "written again");
    bench.route("var", &limit(json!({"rejected_code": 430})));
    assert_eq!(bench.ask("var?user=a").status, 200, "another configuration");
}

#[test]
fn what_cannot_be_is_refused() {
    let bench = Bench::start(1);
    let refusals = [
        (json!({"burst": 0, "key": "uri"}), "property \"rate\" is required"),
        (
            json!({"rate": 0, "burst": 0, "key": "uri"}),
            "property \"rate\" validation failed: expected 0 to be greater than 0",
        ),
        (
            json!({"rate": 1, "burst": -1, "key": "uri"}),
            "property \"burst\" validation failed: expected -1 to be at least 0",
        ),
        (
            json!({"rate": 1, "burst": 0, "key": "uri", "key_type": "constant"}),
            "property \"key_type\" validation failed: matches none of the enum values",
        ),
        (
            json!({"rate": 1, "burst": 0, "key": "uri", "policy": "redis", "redis_host": "127.0.0.1"}),
            "policy 'redis' is not supported, only 'local' is",
        ),
        (
            json!({"rate": 0.1, "burst": 361, "key": "uri"}),
            "property \"burst\" validation failed: a request could wait for more than 3600 seconds",
        ),
    ];
    for (configuration, text) in refusals {
        let route = json!({"uri": "/", "plugins": {"limit-req": configuration}});
        let want = format!("failed to check the configuration of plugin limit-req err: {text}");
        assert_eq!(bench.gateway.admin("PUT", "routes/1", &route), (400, json!({"error_msg": want})));
    }
    let passes = json!({"rate": 0.1, "burst": 361, "key": "uri", "nodelay": true});
    bench.gateway.put("routes/1", &json!({"uri": "/", "plugins": {"limit-req": passes}}));
}
