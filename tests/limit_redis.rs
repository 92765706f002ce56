//! limit-count's policy `redis` on the built program, against real servers: shared exactly between gateways, kept in the
//! documented form, and honest about failures.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::bench::Bench;
use support::client::{Client, Response};
use support::gateway::Setup;
use support::redis::Redis;
use support::{dead_address, wait_at_most, wait_for};

/// Each number of requests left must be told exactly once, whichever gateway and worker it came by.
/// spec/limit-count §8.
#[test]
fn two_gateways_share_a_quota_exactly() {
    const QUOTA: usize = 500;
    let redis = Redis::start();
    let benches = [Bench::start(2), Bench::start(2)];
    for bench in &benches {
        let limit = json!({"count": QUOTA, "time_window": 600, "key": "all", "key_type": "constant"});
        bench.route("r", &at(&redis, &limit));
    }
    let told = std::sync::Mutex::new(BTreeMap::<String, usize>::new());
    let rejected = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..16 {
            let (bench, told, rejected) = (&benches[worker % 2], &told, &rejected);
            scope.spawn(move || {
                let mut client = Client::connect(bench.gateway.data()).unwrap();
                for _ in 0..50 {
                    let answer = client.request("GET", "/r", &[], b"").unwrap();
                    let remaining = answer.field("x-ratelimit-remaining").unwrap().to_owned();
                    match answer.status {
                        200 => *told.lock().unwrap().entry(remaining).or_default() += 1,
                        status => {
                            assert_eq!((status, remaining.as_str()), (429, "0"));
                            rejected.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), QUOTA);
    assert!(told.values().all(|times| *times == 1));
    assert_eq!(rejected.into_inner(), 16 * 50 - QUOTA);
    assert_eq!(redis.cli(&["GET", &redis.keys()[0]]), "800", "rejections are counted, as in the original");
}

/// spec/limit-count §8.1, §8.2, §8.4.
#[test]
fn counters_lie_in_redis_in_the_documented_form() {
    let redis = Redis::start();
    let bench = Bench::start(2);
    let limit = |more: Value| {
        let mut limit = json!({"count": 5, "time_window": 600});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        at(&redis, &limit)
    };
    bench.route("plain", &limit(json!({})));
    bench.route("group", &limit(json!({"group": "g1", "key": "x", "key_type": "constant"})));
    bench.route("sliding", &limit(json!({"window_type": "sliding", "key": "host"})));
    let rules = json!([{"count": 5, "time_window": 600, "key": "$http_user"}, {"count": 1, "time_window": 60, "key": "$http_team"}]);
    bench.route(
        "rules",
        &json!({"limit-count": {"rules": rules, "policy": "redis", "redis_host": "127.0.0.1",
                                                 "redis_port": redis.port(), "rejected_code": 429}}),
    );

    for (id, want) in [("plain", ["5", "4", "600"]), ("group", ["5", "4", "600"])] {
        assert_eq!(quota(&bench.ask(id)), want, "{id}");
        assert_eq!(quota(&bench.ask(id))[..2], ["5", "3"], "{id}");
    }
    let (before, answer, after) = (now_ms(), bench.ask("sliding"), now_ms());
    let reset: f64 = quota(&answer)[2].parse().unwrap();
    assert_eq!(quota(&answer)[..2], ["5", "4"]);
    let left = |now: u64| (600_000 - now % 600_000) as f64 / 1000.0;
    assert!(
        before / 600_000 != after / 600_000 || (left(after) - 0.1..=left(before) + 0.1).contains(&reset),
        "{reset}"
    );

    let keys = redis.keys();
    let key = |start: &str, end: &str| {
        let found = keys.iter().find(|key| key.starts_with(start) && key.ends_with(end));
        found.unwrap_or_else(|| panic!("{start}…{end}: {keys:?}")).clone()
    };
    let plain = key("plugin-limit-count:v1:/apisix/routes/plain:", ":127.0.0.1");
    let version = plain.split(':').nth(3).unwrap();
    assert!(version.parse::<u32>().is_ok(), "{plain}");
    for counter in [&plain, "plugin-limit-count:v1:g1:x"] {
        assert_eq!(redis.cli(&["GET", counter]), "2");
        let left: u64 = redis.cli(&["TTL", counter]).parse().unwrap();
        assert!((570..=600).contains(&left), "{counter}: {left}");
    }
    let sliding = key("plugin-limit-count:/apisix/routes/sliding:", ".counter");
    let id: u64 = sliding.trim_end_matches(".counter").rsplit('.').next().unwrap().parse().unwrap();
    assert!((before / 600_000..=after / 600_000).contains(&id), "{sliding}");
    assert_eq!(redis.cli(&["GET", &sliding]), "1");
    let left: u64 = redis.cli(&["TTL", &sliding]).parse().unwrap();
    assert!((1170..=1200).contains(&left), "{left}");

    let both: &[(&str, &str)] = &[("User", "u"), ("Team", "t")];
    let answer = bench.gateway.request("GET", "/rules", both, b"");
    let names = ["x-1-ratelimit-remaining", "x-2-ratelimit-remaining"].map(|name| answer.field(name));
    assert_eq!((answer.status, names), (200, [Some("4"), Some("0")]));
    let answer = bench.gateway.request("GET", "/rules", both, b"");
    let names = ["x-1-ratelimit-remaining", "x-2-ratelimit-remaining"].map(|name| answer.field(name));
    assert_eq!((answer.status, names), (429, [Some("3"), Some("0")]));
    assert_eq!(bench.ask("rules").status, 500, "no rule applies");

    // A key that lies there without an expiry is taken for none; a value that is no number is an error.
    redis.cli(&["SET", &plain, "4"]);
    assert_eq!(quota(&bench.ask("plain")), ["5", "4", "600"]);
    redis.cli(&["SET", &plain, "many", "EX", "100"]);
    assert_failed(&bench.ask("plain"));
    redis.cli(&["HSET", "plugin-limit-count:v1:g1:x", "a", "b"]);
    redis.cli(&["DEL", "plugin-limit-count:v1:g1:x"]);
    assert_eq!(quota(&bench.ask("group"))[1], "4");

    redis.cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(quota(&bench.ask("group"))[1], "3", "a server that forgot the script is told it again");
    let metric = |name: &str| bench.gateway.metric(&format!("ringgate_redis_{name}")) as u64;
    assert!(metric("commands_total") > 10);
    for all in ["seconds_count", "seconds_bucket{le=\"+Inf\"}"] {
        assert_eq!(metric(all), metric("commands_total"), "{all}");
    }
    assert!(bench.gateway.metric("ringgate_redis_seconds_sum") > 0.0);
    assert!(bench.gateway.metric("ringgate_redis_errors_total") >= 1.0);
}

/// spec/limit-count §8.2.
#[test]
fn sliding_windows_weigh_the_one_before_and_do_not_count_rejections() {
    let redis = Redis::start();
    let bench = Bench::start(2);
    let limit = json!({"count": 4, "time_window": 600, "window_type": "sliding", "key": "all", "key_type": "constant"});
    bench.route("r", &at(&redis, &limit));
    let statuses: Vec<u16> = (0..6).map(|_| bench.ask("r").status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
    let key = redis.keys()[0].clone();
    assert_eq!(redis.cli(&["GET", &key]), "4");
    let (start, id) = key.trim_end_matches(".counter").rsplit_once('.').unwrap();
    let before = format!("{start}.{}.counter", id.parse::<u64>().unwrap() - 1);
    redis.cli(&["DEL", &key]);
    redis.cli(&["SET", &before, "1000", "EX", "600"]);
    let answer = bench.ask("r");
    // The window before counts with its limit at most: as long as anything of it weighs in, not all 4 are left.
    let left: u64 = quota(&answer)[1].parse().unwrap();
    assert!(answer.status == 429 || left < 3, "{answer:?}");
}

/// spec/limit-count §2.
#[test]
fn users_passwords_and_databases_are_kept_apart() {
    let redis = Redis::with(&["--requirepass", "default-password"]);
    redis.cli(&["ACL", "SETUSER", "jack", "on", ">jacks-password", "~*", "+@all"]);
    let bench = Bench::start(1);
    let access = |more: Value| {
        let mut limit = json!({"count": 5, "time_window": 600, "group": "g", "key": "x", "key_type": "constant"});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        at(&redis, &limit)
    };
    for (id, group, more) in [
        ("user", "g1", json!({"redis_username": "jack", "redis_password": "jacks-password", "redis_database": 3})),
        ("default", "g2", json!({"redis_password": "default-password"})),
        ("wrong", "g3", json!({"redis_password": "wrong-password"})),
        ("nobody", "g4", json!({})),
        ("database", "g5", json!({"redis_password": "default-password", "redis_database": 99})),
    ] {
        let mut plugins = access(more);
        plugins["limit-count"]["group"] = json!(group);
        bench.route(id, &plugins);
    }
    assert_eq!(quota(&bench.ask("user"))[1], "4");
    assert_eq!(quota(&bench.ask("default"))[1], "4");
    assert_eq!(redis.cli(&["-n", "3", "GET", "plugin-limit-count:v1:g1:x"]), "1");
    assert_eq!(redis.cli(&["GET", "plugin-limit-count:v1:g2:x"]), "1");
    for id in ["wrong", "nobody", "database"] {
        assert_failed(&bench.ask(id));
    }
    assert_eq!(redis.cli(&["KEYS", "*"]), "plugin-limit-count:v1:g2:x", "nothing was counted in the wrong place");
    assert!(bench.gateway.output().contains("WRONGPASS"), "the log says why");
    for secret in ["wrong-password", "jacks-password", "default-password"] {
        assert!(!bench.gateway.output().contains(secret));
    }
}

#[test]
fn a_password_may_be_a_reference() {
    let redis = Redis::with(&["--requirepass", "default-password"]);
    let env = vec![("RINGGATE_TEST_REDIS_PASSWORD", "default-password".to_owned())];
    let bench = Bench::with(&Setup { env, ..Setup::default() });
    for (id, reference) in [("known", "$env://RINGGATE_TEST_REDIS_PASSWORD"), ("unknown", "$env://RINGGATE_TEST_NONE")]
    {
        let limit = json!({"count": 5, "time_window": 600, "redis_password": reference});
        bench.route(id, &at(&redis, &limit));
    }
    assert_eq!(quota(&bench.ask("known"))[1], "4");
    assert_eq!(bench.ask("unknown").status, 500, "the literal text is never sent");
}

/// spec/limit-count §7.3.
#[test]
fn without_redis_requests_fail_or_pass_as_configured_and_recover_within_a_second() {
    let mut redis = Redis::start();
    let bench = Bench::start(2);
    let limit = |degrades: bool| json!({"count": 100_000, "time_window": 600, "allow_degradation": degrades});
    bench.route("strict", &at(&redis, &limit(false)));
    bench.route("lax", &at(&redis, &limit(true)));
    assert_eq!((bench.ask("strict").status, bench.ask("lax").status), (200, 200));
    redis.kill();
    wait_for("the loss to be noticed", || (bench.ask("strict").status == 500).then_some(()));
    for _ in 0..20 {
        let begun = Instant::now();
        assert_failed(&bench.ask("strict"));
        let answer = bench.ask("lax");
        assert_eq!((answer.status, quota(&answer)), (200, vec![]));
        assert!(begun.elapsed() < Duration::from_millis(900), "nobody waits for a server that is down");
    }
    redis.start_again();
    let back = Instant::now();
    wait_at_most(Duration::from_secs(1), "normal service", || {
        let answers: Vec<_> = (0..8).map(|_| bench.ask("strict").status).collect();
        answers.iter().all(|status| *status == 200).then_some(())
    });
    assert!(back.elapsed() < Duration::from_secs(1));
    assert!(!quota(&bench.ask("lax")).is_empty());

    let (nowhere, _held) = dead_address();
    let mut plugins = at(&redis, &limit(false));
    plugins["limit-count"]["redis_port"] = json!(nowhere.port());
    bench.route("nowhere", &plugins);
    assert_failed(&bench.ask("nowhere"));
    plugins["limit-count"]["redis_host"] = json!("no-such-host.invalid");
    bench.route("unnamed", &plugins);
    assert_failed(&bench.ask("unnamed"));
    plugins["limit-count"]["redis_host"] = json!("localhost");
    plugins["limit-count"]["redis_port"] = json!(redis.port());
    bench.route("named", &plugins);
    assert_eq!(bench.ask("named").status, 200);
    assert!(!bench.ask("unnamed").text().contains("invalid"));
}

#[test]
fn a_request_that_waits_keeps_what_it_started_with() {
    let redis = Redis::start();
    let bench = Bench::start(1);
    let mut plugins = at(&redis, &json!({"count": 9, "time_window": 600}));
    plugins["limit-count"]["redis_timeout"] = json!(10_000);
    bench.route("r", &plugins);
    assert_eq!(bench.ask("r").status, 200);
    redis.cli(&["CLIENT", "PAUSE", "10000", "WRITE"]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| bench.ask("r"));
        wait_for("the request to wait", || (bench.gateway.metric("ringgate_requests_total") >= 2.0).then_some(()));
        assert_eq!(bench.gateway.admin("DELETE", "routes/r", &Value::Null).0, 200);
        assert_eq!(bench.ask("r").status, 404, "the worker goes on meanwhile");
        redis.cli(&["CLIENT", "UNPAUSE"]);
        let answer = asked.join().unwrap();
        assert_eq!((answer.status, quota(&answer)[1]), (200, "7"));
    });
}

#[test]
fn a_gateway_that_is_stopped_tells_what_it_has_counted() {
    let redis = Redis::start();
    let mut bench = Bench::start(2);
    let limit = json!({"count": 100, "time_window": 600, "group": "g", "key": "x", "key_type": "constant", "sync_interval": 300});
    bench.route("r", &at(&redis, &limit));
    for _ in 0..25 {
        assert_eq!(bench.ask("r").status, 200);
    }
    assert_eq!(redis.cli(&["GET", "plugin-limit-count:v1:g:x"]), "0");
    assert_eq!(bench.gateway.stop().code(), Some(0));
    assert_eq!(redis.cli(&["GET", "plugin-limit-count:v1:g:x"]), "25");
}

#[test]
fn answers_after_a_wait_are_rendered_like_others() {
    let redis = Redis::start();
    let bench = Bench::start(1);
    let limit = |more: Value| {
        let mut limit = json!({"count": 1, "time_window": 600});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        at(&redis, &limit)
    };
    bench.route("message", &limit(json!({"rejected_msg": "slow down"})));
    bench.route("meta", &limit(json!({"_meta": {"error_response": {"message": "later"}}})));
    bench.route("hidden", &limit(json!({"show_limit_quota_header": false})));
    for (id, body, fields) in
        [("message", "{\"error_msg\":\"slow down\"}\n", 3), ("meta", "{\"message\":\"later\"}\n", 3), ("hidden", "", 0)]
    {
        assert_eq!((bench.ask(id).status, quota(&bench.ask(id)).len()), (200, fields), "{id}");
        let answer = bench.ask(id);
        assert_eq!((answer.status, answer.text().as_str()), (429, body), "{id}");
    }
}

#[test]
fn idle_connections_are_closed_and_made_again() {
    let redis = Redis::start();
    let bench = Bench::start(1);
    let mut plugins = at(&redis, &json!({"count": 9, "time_window": 600}));
    plugins["limit-count"]["redis_keepalive_timeout"] = json!(1000);
    bench.route("r", &plugins);
    // `redis-cli` itself is one of them.
    let clients = || redis.cli(&["INFO", "clients"]).contains("connected_clients:1\r");
    for left in ["8", "7"] {
        assert_eq!(quota(&bench.ask("r"))[1], left);
        assert!(!clients(), "it is kept for a while");
        wait_for("the connection to be closed", || clients().then_some(()));
    }
}

/// A server that says nothing: a stopped process keeps its connections.
#[test]
fn a_silent_server_is_waited_for_no_longer_than_configured_and_late_replies_meet_nobody() {
    let redis = Redis::start();
    let bench = Bench::start(1);
    let mut plugins =
        at(&redis, &json!({"count": 100_000, "time_window": 600, "key": "$arg_k", "key_type": "var_combination"}));
    plugins["limit-count"]["redis_timeout"] = json!(300);
    bench.route("r", &plugins);
    assert_eq!(bench.ask("r?k=a").status, 200);
    redis.cli(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let bench = &bench;
            scope.spawn(move || assert_failed(&bench.ask(&format!("r?k={number}"))));
        }
    });
    let waited = begun.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_millis(1400)).contains(&waited), "{waited:?}");
    wait_for("normal service", || (bench.ask("r?k=b").status == 200).then_some(()));
    // Each key has a count of its own: a reply for another one would show.
    for expected in 0..20 {
        let key = format!("r?k=fresh{expected}");
        for used in 1..=3 {
            assert_eq!(quota(&bench.ask(&key))[1], (100_000 - used).to_string());
        }
    }
}

#[test]
fn a_server_killed_under_load_loses_only_what_was_on_its_way() {
    let mut redis = Redis::start();
    let bench = Bench::start(2);
    bench.route(
        "r",
        &at(&redis, &json!({"count": 1_000_000, "time_window": 600, "key": "all", "key_type": "constant"})),
    );
    let (failed, passed, is_over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(bench.gateway.data()).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = client.request("GET", "/r", &[], b"").unwrap();
                    if answer.status == 200 {
                        passed.fetch_add(1, Ordering::Relaxed);
                    } else {
                        assert_failed(&answer);
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        wait_for("load", || (passed.load(Ordering::Relaxed) > 200).then_some(()));
        // Everything that passed before is counted; what is on its way may or may not be.
        let key = redis.keys()[0].clone();
        let before = passed.load(Ordering::SeqCst);
        let counted: usize = redis.cli(&["GET", &key]).parse().unwrap();
        assert!(counted >= before, "{counted} of {before}");
        redis.kill();
        wait_for("failures", || (failed.load(Ordering::Relaxed) > 0).then_some(()));
        redis.start_again();
        let at_return = passed.load(Ordering::SeqCst);
        wait_at_most(Duration::from_secs(5), "service", || {
            (passed.load(Ordering::Relaxed) > at_return + 200).then_some(())
        });
        is_over.store(true, Ordering::Relaxed);
    });
    let counted: usize = redis.cli(&["GET", &redis.keys()[0]]).parse().unwrap();
    assert!(counted <= passed.load(Ordering::Relaxed) + failed.load(Ordering::Relaxed));
    assert_eq!(bench.ask("r").status, 200);
}

/// spec/limit-count §8.3.
#[test]
fn delayed_sync_spares_redis_and_overshoots_no_more_than_its_bound() {
    const QUOTA: u64 = 60;
    let mut redis = Redis::start();
    let benches = [Bench::start(2), Bench::start(2)];
    let limit = json!({"count": QUOTA, "time_window": 600, "group": "g", "key": "x", "key_type": "constant", "sync_interval": 1.5});
    for bench in &benches {
        bench.route("r", &at(&redis, &limit));
    }
    let counter = "plugin-limit-count:v1:g:x";
    let first = benches[0].ask("r");
    assert_eq!((first.status, quota(&first)[1]), (200, "59"));
    assert_eq!(redis.cli(&["GET", counter]), "0", "asked, and not told yet");
    for _ in 1..QUOTA / 2 {
        assert_eq!(benches[0].ask("r").status, 200);
    }
    wait_for("the flush", || (redis.cli(&["GET", counter]) == (QUOTA / 2).to_string()).then_some(()));
    // The other node learns of it with its first question, and takes the rest.
    let mut passed = QUOTA / 2;
    let other = benches[1].ask("r");
    assert_eq!(quota(&other)[1], (QUOTA / 2 - 1).to_string());
    passed += 1;
    for _ in 0..QUOTA {
        passed += benches.iter().map(|bench| u64::from(bench.ask("r").status == 200)).sum::<u64>();
    }
    // Nodes times what one takes in one interval.
    assert!((QUOTA..=QUOTA + QUOTA / 2).contains(&passed), "{passed}");
    wait_for("all to be told", || (redis.cli(&["GET", counter]) == passed.to_string()).then_some(()));
    wait_for("the nodes to learn it", || benches.iter().all(|bench| bench.ask("r").status == 429).then_some(()));

    // Without Redis the node counts for itself.
    let fresh = json!({"count": 3, "time_window": 600, "key": "y", "key_type": "constant", "sync_interval": 0.2});
    benches[0].route("alone", &at(&redis, &fresh));
    redis.kill();
    let statuses: Vec<u16> = (0..5).map(|_| benches[0].ask("alone").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

/// `limit` with its counters in `redis`.
fn at(redis: &Redis, limit: &Value) -> Value {
    let mut limit = limit.clone();
    let own = json!({"policy": "redis", "redis_host": "127.0.0.1", "redis_port": redis.port(), "rejected_code": 429});
    limit.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    json!({"limit-count": limit})
}

fn assert_failed(answer: &Response) {
    assert_eq!((answer.status, answer.text().as_str()), (500, "{\"error_msg\":\"failed to limit count\"}\n"));
    assert_eq!(quota(answer), Vec::<&str>::new());
}

/// The values of all quota fields with the usual names: limit, remaining, reset.
fn quota(answer: &Response) -> Vec<&str> {
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    names.into_iter().filter_map(|name| answer.field(name)).collect()
}

fn now_ms() -> u64 {
    ringgate::base::clock::Now::read().unix_us / 1000
}
