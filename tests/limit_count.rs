//! limit-count on the built program: exact over workers and connections, on consumers and everybody else, as configured.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;
use support::client::{Client, Response};
use support::gateway::{Gateway, Setup};
use support::origin::{Origin, Reply};
use support::token::token;
use support::wait_at_most;

/// The last example of APISIX's jwt-auth page.
/// spec/limit-count §9.
#[test]
fn consumers_and_anonymous_callers_have_their_own_quotas() {
    for workers in [1, 2, 5] {
        let bench = Bench::start(workers, &[]);
        bench.jack(&json!({"limit-count": {"count": 3, "time_window": 30, "rejected_code": 429}}));
        let anonymous = json!({"limit-count": {"count": 1, "time_window": 30, "rejected_code": 429}});
        bench.gateway.put("consumers", &json!({"username": "anonymous", "plugins": anonymous}));
        bench.route("anything", &json!({"jwt-auth": {"anonymous_consumer": "anonymous"}}));
        let jacks = jacks();
        // Each request on a connection of its own, so that every worker has its share.
        let mut as_jack = statuses(&bench, "/anything", &[("Authorization", &jacks)], 5);
        let mut anonymously = statuses(&bench, "/anything", &[], 5);
        as_jack.sort_unstable();
        anonymously.sort_unstable();
        assert_eq!(as_jack, [200, 200, 200, 429, 429], "{workers} workers");
        assert_eq!(anonymously, [200, 429, 429, 429, 429], "{workers} workers");
    }
}

/// Each admitted request tells what remains. In every window each number from 999 to 0 must be told exactly once,
/// whatever worker and connection it came by; and windows must not overlap.
/// spec/limit-count §6.1, §6.4.
#[test]
fn exactly_the_quota_passes_in_each_window() {
    const QUOTA: usize = 1_000;
    const WINDOWS: usize = 3;
    let bench = Bench::start(4, &[]);
    let limit = json!({"count": QUOTA, "time_window": 1, "key": "all", "key_type": "constant", "rejected_code": 429});
    bench.route("r", &json!({"limit-count": limit}));

    let told = Mutex::new(BTreeMap::<usize, usize>::new());
    let times_told = |remaining: usize| told.lock().unwrap().get(&remaining).copied().unwrap_or(0);
    let is_enough = std::sync::atomic::AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mut client = Client::connect(bench.gateway.data()).unwrap();
                while !is_enough.load(std::sync::atomic::Ordering::Relaxed) {
                    let answer = client.request("GET", "/r", &[], b"").unwrap();
                    assert_eq!(answer.field("x-ratelimit-limit"), Some("1000"));
                    let remaining: usize = answer.field("x-ratelimit-remaining").unwrap().parse().unwrap();
                    match answer.status {
                        200 => *told.lock().unwrap().entry(remaining).or_default() += 1,
                        status => assert_eq!((status, remaining), (429, 0)),
                    }
                }
            });
        }
        // A window more has begun than were used up: its edge has been crossed under load.
        wait_at_most(support::PATIENCE * 3, "enough windows", || {
            (times_told(0) >= WINDOWS && times_told(QUOTA - 1) > WINDOWS).then_some(())
        });
        is_enough.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let elapsed_s = began.elapsed().as_secs_f64();
    let windows = times_told(QUOTA - 1);
    assert!(windows as f64 <= elapsed_s.floor() + 1.0, "{windows} windows of a second in {elapsed_s} s");
    let mut before = windows;
    for remaining in (0..QUOTA).rev() {
        let times = times_told(remaining);
        assert!(times <= before, "{remaining} was told {times} times, the number above {before} times");
        before = times;
    }
    assert!(before >= WINDOWS, "windows were used up: {before}");
    let admitted: usize = told.lock().unwrap().values().sum();
    assert!(told.lock().unwrap().keys().all(|remaining| *remaining < QUOTA));
    assert_eq!(bench.origin.received().len(), admitted, "what was told to pass has passed, and nothing else");
}

/// spec/limit-count §7.1, §7.2.
#[test]
fn responses_tell_the_quota() {
    let bench = Bench::start(2, &[]);
    let meta = json!({"error_response": {"message": "slow down"}});
    let limit = |more: Value| {
        let mut limit = json!({"count": 2, "time_window": 600, "rejected_code": 429});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limit-count": limit})
    };
    for (id, more) in [
        ("plain", json!({})),
        ("message", json!({"rejected_msg": "too \"many\""})),
        ("meta", json!({"_meta": meta})),
        ("hidden", json!({"show_limit_quota_header": false})),
        ("named", json!({"limit_header": "X-My-Limit", "remaining_header": "X-My-Rest", "reset_header": "X-My-Reset"})),
        ("fine", json!({"rejected_code": 200})),
        ("empty", json!({"rejected_code": 204})),
        ("sliding", json!({"window_type": "sliding"})),
        ("rules", json!({})),
    ] {
        bench.route(id, &limit(more));
    }
    let rules = json!([{"count": 2, "time_window": 600, "key": "$http_user", "header_prefix": "jack"},
                       {"count": 1, "time_window": 600, "key": "$http_company"}]);
    bench.route("rules", &json!({"limit-count": {"rules": rules, "rejected_code": 429}}));

    // An upstream's own lines give way.
    let own =
        b"HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 7\r\nx-ratelimit-reset: 7\r\nX-Other: 7\r\nContent-Length: 0\r\n\r\n";
    bench.origin.script(Reply::Raw(own.to_vec()));
    let answer = bench.ask("/plain", &[]);
    assert_eq!((answer.status, quota(&answer)), (200, vec!["2", "1", "600"]));
    assert_eq!(answer.field("x-other"), Some("7"));
    assert_eq!(bench.ask("/plain", &[]).field("x-ratelimit-remaining"), Some("0"));
    let refused = bench.ask("/plain", &[]);
    assert_eq!((refused.status, refused.text().as_str(), refused.field("content-length")), (429, "", Some("0")));
    assert_eq!((quota(&refused)[..2].to_vec(), refused.field("retry-after")), (vec!["2", "0"], None));
    assert!(quota(&refused)[2].parse::<f64>().unwrap() > 500.0, "not 0: {refused:?}");

    let third = |target: &str| {
        bench.ask(target, &[]);
        bench.ask(target, &[]);
        bench.ask(target, &[])
    };
    let answer = third("/message");
    assert_eq!((answer.status, answer.text().as_str()), (429, "{\"error_msg\":\"too \\\"many\\\"\"}\n"));
    let answer = third("/meta");
    assert_eq!((answer.status, answer.json()), (429, json!({"message": "slow down"})));
    assert_eq!(quota(&answer)[..2], ["2", "0"]);
    assert_eq!(quota(&third("/hidden")), Vec::<&str>::new());
    let answer = third("/named");
    assert_eq!((answer.field("x-my-limit"), answer.field("x-my-rest"), quota(&answer)), (Some("2"), Some("0"), vec![]));
    assert_eq!((third("/fine").status, bench.origin.last().target.as_str()), (200, "/fine"));
    assert_eq!(bench.origin.received().iter().filter(|received| received.target == "/fine").count(), 2);
    let answer = third("/empty");
    assert_eq!((answer.status, answer.field("content-length"), quota(&answer)[1]), (204, None, "0"));
    let answer = third("/sliding");
    assert_eq!((answer.status, quota(&answer)[1]), (429, "0"));

    let both: &[(&str, &str)] = &[("User", "u"), ("Company", "c")];
    let answer = bench.ask("/rules", both);
    let names = ["x-jack-ratelimit-remaining", "x-2-ratelimit-remaining"].map(|name| answer.field(name));
    assert_eq!((answer.status, names), (200, [Some("1"), Some("0")]));
    assert_eq!(bench.ask("/rules", both).status, 429);
    assert_eq!(bench.ask("/rules", &[]).status, 500, "no rule applies");
    assert_eq!(bench.ask("/rules", &[("User", "other")]).status, 200);
}

/// spec/limit-count §5.3.
#[test]
fn counters_follow_the_configuration_not_the_write() {
    let bench = Bench::start(2, &[]);
    let limit = |count: u64| json!({"count": count, "time_window": 600, "key": "x", "key_type": "constant"});
    let plugins = |count| json!({"limit-count": limit(count)});
    let remaining =
        |target: &str| bench.ask(target, &[]).field("x-ratelimit-remaining").unwrap().parse::<u64>().unwrap();
    bench.route("r", &plugins(9));
    assert_eq!(remaining("/r"), 8);
    bench.route("r", &plugins(9));
    assert_eq!(remaining("/r"), 7, "written again");
    let upstream = json!({"nodes": {bench.origin.node(): 1}, "retries": 1});
    bench.gateway.put("routes/r", &json!({"uri": "/r", "name": "other", "plugins": plugins(9), "upstream": upstream}));
    assert_eq!(remaining("/r"), 6, "other parts of the route changed");
    bench.route("r", &plugins(8));
    assert_eq!(remaining("/r"), 7, "the plugin changed: a fresh counter");
    assert_eq!(bench.gateway.admin("DELETE", "routes/r", &Value::Null).0, 200);
    assert_eq!(bench.ask("/r", &[]).status, 404);
    bench.route("r", &plugins(8));
    assert_eq!(remaining("/r"), 6, "recreated: inherited");
    bench.route("q", &plugins(8));
    assert_eq!(remaining("/q"), 7, "another route");

    bench.gateway.put("services/s", &json!({"plugins": plugins(5), "upstream": {"nodes": {bench.origin.node(): 1}}}));
    for id in ["a", "b"] {
        bench.gateway.put(&format!("routes/{id}"), &json!({"uri": format!("/{id}"), "service_id": "s"}));
    }
    assert_eq!([remaining("/a"), remaining("/b"), remaining("/a")], [4, 3, 2], "routes of a service share it");

    bench.jack(&json!({"limit-count": {"count": 5, "time_window": 600, "key": "consumer_name"}}));
    for id in ["c", "d"] {
        bench.route(id, &json!({"jwt-auth": {}, "limit-count": limit(100)}));
    }
    let jacks = jacks();
    let as_jack = |target| {
        let answer = bench.ask(target, &[("Authorization", &jacks)]);
        answer.field("x-ratelimit-remaining").unwrap().parse::<u64>().unwrap()
    };
    assert_eq!([as_jack("/c"), as_jack("/d"), as_jack("/c")], [4, 3, 2], "a consumer's goes with it over all routes");
}

/// spec/limit-count §2.2, §6.3.
#[test]
fn what_cannot_be_is_refused() {
    let bench = Bench::start(1, &[]);
    let err = "failed to check the configuration of plugin limit-count err: ";
    let grouped = |count: u64| json!({"limit-count": {"count": count, "time_window": 600, "group": "g"}});
    let redis = json!({"limit-count": {"count": 1, "time_window": 1, "policy": "redis", "redis_host": "h1", "redis_port": 70_000}});
    let half = json!({"limit-count": {"count": 1, "time_window": 1, "policy": "redis"}});
    let put = |path: &str, body: Value| bench.gateway.admin("PUT", path, &body);
    let refused = |text: &str| (400, json!({"error_msg": text}));
    let unsupported = "property \"redis_port\" validation failed: expected 70000 to be at most 65535";
    assert_eq!(put("routes/1", json!({"uri": "/1", "plugins": redis})), refused(&format!("{err}{unsupported}")));
    assert_eq!(
        put("routes/1", json!({"uri": "/1", "plugins": half})),
        refused(&format!("{err}then clause did not match"))
    );
    assert_eq!(
        put("consumers", json!({"username": "ann", "plugins": redis})),
        refused(&format!("invalid plugins configuration: {err}{unsupported}"))
    );

    let mismatched = format!("{err}group conf mismatched");
    bench.route("one", &grouped(5));
    bench.route("one", &grouped(6));
    assert_eq!(put("routes/two", json!({"uri": "/two", "plugins": grouped(5)})), refused(&mismatched));
    bench.route("two", &grouped(6));
    let told = |target: &str| bench.ask(target, &[]).field("x-ratelimit-remaining").unwrap().to_owned();
    assert_eq!([told("/one"), told("/two")], ["5", "4"], "one counter");
    assert_eq!(put("routes/one", json!({"uri": "/one", "plugins": grouped(7)})), refused(&mismatched));
    assert_eq!(
        put("consumers", json!({"username": "ann", "plugins": grouped(7)})),
        refused(&format!("invalid plugins configuration: {mismatched}"))
    );
    assert_eq!(bench.gateway.admin("DELETE", "routes/two", &Value::Null).0, 200);
    bench.route("one", &grouped(9));
    assert_eq!(told("/one"), "6", "a group's sole user can be edited, and goes on counting");
}

/// What did not come through the Admin API, with a policy that it would have refused.
#[test]
fn limits_that_were_stored_otherwise_work_or_fail_closed() {
    let limit = |count: u64| json!({"limit-count": {"count": count, "time_window": 600, "rejected_code": 429}});
    let replica = json!({"limit-count": {
        "count": 1, "time_window": 1, "policy": "redis-sentinel", "redis_master_name": "m", "redis_role": "slave",
        "redis_sentinels": [{"host": "127.0.0.1", "port": 1}],
    }});
    let bench = Bench::start(
        2,
        &[
            ("consumer_groups/g", json!({"id": "g", "plugins": limit(4)})),
            (
                "global_rules/1",
                json!({"id": "1", "plugins": {"limit-count": {"count": 9, "time_window": 600, "limit_header": "X-All"}}}),
            ),
            ("routes/replica", json!({"uri": "/replica", "plugins": replica})),
        ],
    );
    assert_eq!(bench.ask("/replica", &[]).status, 503);
    for name in ["ann", "ben"] {
        bench.gateway.put("consumers", &json!({"username": name, "group_id": "g"}));
        let login = json!({"plugins": {"jwt-auth": {"key": name, "secret": SECRET}}});
        bench.gateway.put(&format!("consumers/{name}/credentials/c"), &login);
    }
    bench.jack(&json!({}));
    bench.route("r", &json!({"jwt-auth": {}, "limit-count": {"count": 7, "time_window": 600}}));
    let remaining = |name: &str| {
        let answer = bench.ask("/r", &[("Authorization", &token(name, SECRET.as_bytes(), json!({})))]);
        assert_eq!(answer.field("x-all"), Some("9"), "the global rule counts, too");
        answer.field("x-ratelimit-remaining").unwrap().to_owned()
    };
    assert_eq!([remaining("ann"), remaining("ben"), remaining("ann")], ["3", "2", "1"], "the group's, shared");
    assert_eq!(remaining("jack-key"), "6", "the route's");
    let statuses = statuses(&bench, "/nowhere", &[], 6);
    assert_eq!(statuses, [404, 404, 404, 404, 404, 503], "four were used before; requests without a route count");
}

/// spec/limit-count §2.1: names for all configurations, which those of one outrank; a change is live at once and resets
/// no counter.
#[test]
fn plugin_metadata_names_the_headers() {
    let bench = Bench::start(2, &[]);
    let limit = |more: Value| {
        let mut limit = json!({"count": 9, "time_window": 600, "key": "all", "key_type": "constant"});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limit-count": limit})
    };
    bench.route("r", &limit(json!({})));
    bench.route("own", &limit(json!({"limit_header": "X-Own"})));
    let rules = json!([{"count": 9, "time_window": 600, "key": "$uri", "header_prefix": "a"}]);
    bench.route("rules", &json!({"limit-count": {"rules": rules}}));
    let told = |target: &str, name: &str| bench.ask(target, &[]).field(name).map(str::to_owned);
    assert_eq!(told("/r", "x-ratelimit-remaining").as_deref(), Some("8"));
    assert_eq!(told("/rules", "x-a-ratelimit-remaining").as_deref(), Some("8"));

    let names = json!({"limit_header": "X-My-Limit", "remaining_header": "X-My-RateLimit-Rest"});
    bench.gateway.put("plugin_metadata/limit-count", &names);
    let answer = bench.ask("/r", &[]);
    assert_eq!([answer.field("x-my-limit"), answer.field("x-my-ratelimit-rest")], [Some("9"), Some("7")]);
    assert_eq!([answer.field("x-ratelimit-limit"), answer.field("x-ratelimit-remaining")], [None; 2]);
    assert!(answer.field("x-ratelimit-reset").is_some(), "what it does not name stays as it was");
    let answer = bench.ask("/own", &[]);
    assert_eq!([answer.field("x-own"), answer.field("x-my-limit")], [Some("9"), None]);
    assert_eq!(told("/rules", "x-my-a-ratelimit-rest").as_deref(), Some("7"));

    let (status, _) =
        bench.gateway.admin("PUT", "plugin_metadata/limit-count", &json!({"limit_header": "Content-Length"}));
    assert_eq!(status, 400);
    assert_eq!(told("/r", "x-my-ratelimit-rest").as_deref(), Some("6"));
    assert_eq!(bench.gateway.admin("DELETE", "plugin_metadata/limit-count", &Value::Null).0, 200);
    assert_eq!(told("/r", "x-ratelimit-remaining").as_deref(), Some("5"));
}

#[test]
fn operators_see_what_is_counted() {
    let bench = Bench::start(2, &[]);
    bench.route("r", &json!({"limit-count": {"count": 1, "time_window": 600, "key": "arg_user"}}));
    for target in ["/r?user=a", "/r?user=b", "/r?user=a", "/r?user=c", "/r?user=a"] {
        bench.ask(target, &[]);
    }
    assert!((bench.gateway.metric("ringgate_limit_windows") - 3.0).abs() < f64::EPSILON);
    assert!((bench.gateway.metric("ringgate_limit_rejections_total") - 2.0).abs() < f64::EPSILON);
    bench.ask("/r", &[]);
    assert!(bench.gateway.output().contains("counted by remote_addr"), "{}", bench.gateway.output());
}

#[test]
fn rejections_are_told_by_route_and_consumer() {
    let bench = Bench::start(2, &[]);
    bench.jack(&json!({}));
    let limit = json!({"count": 1, "time_window": 600, "key": "consumer_name"});
    bench.route("r", &json!({"jwt-auth": {}, "limit-count": limit}));
    bench.route("open", &json!({"limit-count": {"count": 2, "time_window": 600}}));
    let jacks = jacks();
    assert_eq!(statuses(&bench, "/r", &[("Authorization", &jacks)], 4), [200, 503, 503, 503]);
    assert_eq!(statuses(&bench, "/open", &[], 3), [200, 200, 503]);
    bench.gateway.put("global_rules/g", &json!({"plugins": {"limit-count": {"count": 1, "time_window": 600}}}));
    assert_eq!(statuses(&bench, "/nowhere", &[], 2), [404, 503]);
    for (route, consumer, count) in [("r", "jack", 3.0), ("open", "", 1.0), ("", "", 1.0)] {
        let series = format!("ringgate_limit_rejected_requests_total{{route=\"{route}\",consumer=\"{consumer}\"}}");
        let told = || Some(bench.gateway.metric(&series)).filter(|told| (told - count).abs() < f64::EPSILON);
        support::wait_for(&series, told);
    }
}

/// spec/limit-count §7.4.
#[test]
fn the_access_log_tells_what_a_limit_said() {
    let http = "    access_log_format: '$uri $rate_limiting_info'\n    access_log_format_escape: none\n";
    let gateway = Gateway::with(&Setup { workers: 1, http, ..Setup::default() });
    let bench = Bench { origin: Origin::start(), gateway };
    let limit = |more: Value| {
        let mut limit = json!({"count": 2, "time_window": 10, "key": "host"});
        limit.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"limit-count": limit})
    };
    bench.route("r", &limit(json!({})));
    bench.route("group", &limit(json!({"group": "g:1"})));
    bench.route("constant", &limit(json!({"key": "a \"b\"", "key_type": "constant"})));
    bench.route("none", &json!({}));
    for target in ["/r", "/r", "/r", "/group", "/constant", "/none"] {
        bench.ask(target, &[]);
    }
    let lines = support::wait_for("lines of the access log", || {
        let text = bench.gateway.access_log();
        (text.lines().count() >= 6).then_some(text)
    });
    let told: Vec<(&str, Value)> = lines
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(uri, info)| (uri, serde_json::from_str(info).unwrap_or_default()))
        .collect();
    let numbers = |info: &Value| {
        ["limit", "remaining", "reset"].map(|name| info[format!("rate_limiting_{name}")].as_u64().unwrap())
    };
    for (line, remaining) in told.iter().zip([1, 0, 0]) {
        let [limit, left, reset] = numbers(&line.1);
        assert_eq!((line.0, limit, left), ("/r", 2, remaining), "{lines}");
        assert!((9..=10).contains(&reset), "{lines}");
        let key = line.1["rate_limiting_key"].as_str().unwrap();
        assert!(key.starts_with("/apisix/routes/r:") && key.ends_with(":test"), "{key}");
    }
    assert_eq!(told[3].1["rate_limiting_key"], "g:1:test");
    assert!(told[4].1["rate_limiting_key"].as_str().unwrap().ends_with(":a \"b\""), "{lines}");
    assert_eq!(told[5], ("/none", Value::Null));
}

/// A gateway in front of an origin.
struct Bench {
    origin: Origin,
    gateway: Gateway,
}

impl Bench {
    /// Starts on a store that already holds `stored`.
    fn start(workers: usize, stored: &[(&str, Value)]) -> Self {
        let gateway = Gateway::holding(stored, &Setup { workers, ..Setup::default() });
        Self { origin: Origin::start(), gateway }
    }

    /// The consumer jack with these plugins, and a credential.
    fn jack(&self, plugins: &Value) {
        self.gateway.put("consumers", &json!({"username": "jack", "plugins": plugins}));
        let login = json!({"id": "cred-jack-jwt-auth", "plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}}});
        self.gateway.put("consumers/jack/credentials", &login);
    }

    /// A route for `/<id>` with these plugins.
    fn route(&self, id: &str, plugins: &Value) {
        let upstream = json!({"nodes": {self.origin.node(): 1}});
        let route = json!({"uri": format!("/{id}"), "plugins": plugins, "upstream": upstream});
        self.gateway.put(&format!("routes/{id}"), &route);
    }

    fn ask(&self, target: &str, fields: &[(&str, &str)]) -> Response {
        self.gateway.request("GET", target, fields, b"")
    }
}

fn statuses(bench: &Bench, target: &str, fields: &[(&str, &str)], count: usize) -> Vec<u16> {
    (0..count).map(|_| bench.ask(target, fields).status).collect()
}

/// The values of all quota fields with the usual names: limit, remaining, reset.
fn quota(answer: &Response) -> Vec<&str> {
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let lines = |name: &'static str| answer.fields.0.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
    names.into_iter().flat_map(lines).map(|(_, value)| value.as_str()).collect()
}

fn jacks() -> String {
    token("jack-key", SECRET.as_bytes(), json!({}))
}

const SECRET: &str = "jack-hs256-secret-that-is-very-long";
