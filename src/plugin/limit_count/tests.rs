//! The plugin against requests and time: every row of spec/limit-count §4, §5 and §7 that needs no connection.

use super::*;
use crate::auth::consumer::{ConsumerTable, Identity};
use crate::auth::jwt::Scratch;
use crate::base::clock::Now;
use crate::http::request::OwnedRequest;
use crate::limit::{Local, Settings};
use crate::plugin::{Edits, Side};
use crate::schema::Schema;

/// One process's table, one worker, and a clock that only moves when told.
struct World {
    table: Arc<Table>,
    local: Local,
    now_ms: u64,
}

/// Status of the answer (0: passed), then the quota fields by value in the order limit, remaining, reset.
type Told = (u16, String);

impl World {
    fn new() -> Self {
        Self { table: Arc::new(Table::new(1024, 0, 1_700_000_000_000)), local: Local::default(), now_ms: 0 }
    }

    fn build(&self, key: &str, configuration: &Value) -> Arc<dyn Plugin> {
        let consumer = key.strip_prefix("/apisix/consumers/");
        let site = Site { key, consumer, meta: None, metadata: None, paces: &Arc::default(), limits: &self.table };
        judge(configuration).unwrap_or_else(|error| panic!("{configuration}: {error}"));
        build(configuration, &site).unwrap()
    }

    fn ask_as(
        &mut self,
        plugin: &Arc<dyn Plugin>,
        request: &OwnedRequest,
        username: Option<&str>,
    ) -> (u16, Edits, String) {
        let (mut edits, mut scratch) = (Edits::default(), Scratch::default());
        let identity = username.map(|username| {
            Arc::new(Identity {
                username: username.into(),
                group_id: None,
                credential_id: None,
                fields: Box::default(),
                plugins: Arc::default(),
            })
        });
        let nobody = ConsumerTable::default();
        let mut context = Context::new(
            Now { monotonic_us: self.now_ms * 1000, unix_us: 0 },
            &nobody,
            &mut edits,
            &mut scratch,
            &mut self.local,
        );
        context.identity = identity;
        match plugin.access(&request.view(), &mut context) {
            Verdict::Continue => (0, edits, String::new()),
            Verdict::Respond(answer) => (answer.status, edits, String::from_utf8(answer.body.to_vec()).unwrap()),
            Verdict::Wait(_) => panic!("the local policy does not wait"),
        }
    }

    fn ask(&mut self, plugin: &Arc<dyn Plugin>, request: &OwnedRequest) -> Told {
        let (status, edits, _) = self.ask_as(plugin, request, None);
        let mut lines = Vec::new();
        edits.response_fields.push_lines(&mut lines);
        let lines = String::from_utf8(lines).unwrap();
        let values: Vec<_> = lines.lines().filter_map(|line| line.split_once(": ")).map(|(_, value)| value).collect();
        (status, values.join(" "))
    }

    /// Statuses of several requests.
    fn statuses<'r>(
        &mut self,
        plugin: &Arc<dyn Plugin>,
        requests: impl IntoIterator<Item = &'r OwnedRequest>,
    ) -> Vec<u16> {
        requests.into_iter().map(|request| self.ask_as(plugin, request, None).0).collect()
    }
}

fn judge(configuration: &Value) -> Result<(), String> {
    let schema: Value = serde_json::from_str(TYPE.schema).unwrap();
    Schema::parse(&schema).unwrap().check(configuration)?;
    (TYPE.check)(configuration, Side::Route)
}

fn get(target: &str) -> OwnedRequest {
    OwnedRequest::new("GET", target)
}

fn from(address: [u8; 4]) -> OwnedRequest {
    let mut request = get("/");
    request.remote_addr = address.into();
    request
}

/// spec/limit-count §2, §2.2.
#[test]
fn configurations_are_refused_in_the_originals_words() {
    let none = "value should match only one schema, but matches none";
    let both = "count/time_window and rules cannot be specified at the same time";
    let of = |member: &str| format!("property \"{member}\" validation failed: {none}");
    let rule = json!({"count": 1, "time_window": 1, "key": "${http_company}"});
    for (configuration, want) in [
        (json!({}), none.to_owned()),
        (json!({"count": 1}), none.to_owned()),
        (json!({"time_window": 1}), none.to_owned()),
        (json!({"count": 0, "time_window": 1}), of("count")),
        (json!({"count": -1, "time_window": 1}), of("count")),
        (json!({"count": 1.5, "time_window": 1}), of("count")),
        (json!({"count": true, "time_window": 1}), of("count")),
        (json!({"count": 9_007_199_254_740_992_u64, "time_window": 1}), of("count")),
        (json!({"count": 1, "time_window": 0}), of("time_window")),
        (json!({"count": 1, "rules": []}), both.to_owned()),
        (json!({"time_window": 1, "rules": []}), both.to_owned()),
        (json!({"count": 1, "time_window": 1, "rules": [rule]}), both.to_owned()),
        (json!({"group": "g", "rules": [rule]}), "group and rules cannot be specified at the same time".to_owned()),
        (json!({"rules": [rule, rule]}), "duplicate key '${http_company}' in rules".to_owned()),
        (
            json!({"count": 1, "time_window": 1, "rejected_msg": ""}),
            "property \"rejected_msg\" validation failed: string too short, expected at least 1, got 0".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 1, "rejected_msg": true}),
            "property \"rejected_msg\" validation failed: wrong type: expected string, got boolean".to_owned(),
        ),
        (json!({"count": 1, "time_window": 1, "policy": "redis"}), "then clause did not match".to_owned()),
        (
            json!({"count": 1, "time_window": 1, "policy": "redis", "redis_host": "h", "redis_port": 0}),
            "then clause did not match".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 1, "policy": "redis-cluster", "redis_cluster_name": "n"}),
            "else clause did not match".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 1, "policy": "redis-sentinel", "redis_master_name": "m"}),
            "else clause did not match".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 9, "policy": "redis", "redis_host": "host", "sync_interval": 0}),
            "sync_interval should not be smaller than 0.1".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 9, "policy": "redis", "redis_host": "host", "sync_interval": 9}),
            "sync_interval should be smaller than time_window".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 9, "policy": "redis", "redis_host": "host", "redis_port": 65_536}),
            "property \"redis_port\" validation failed: expected 65536 to be at most 65535".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 9, "policy": "redis-cluster", "redis_cluster_nodes": ["h:1", "nn"], "redis_cluster_name": "n"}),
            "property \"redis_cluster_nodes\" validation failed: 'nn' is not host:port".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 9, "policy": "redis-sentinel", "redis_sentinels": [{"host": "hh", "port": 1}],
                   "redis_master_name": "m", "redis_role": "slave"}),
            "property \"redis_role\" validation failed: a replica cannot count, only 'master' is supported".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 1, "key": "$post_arg_x", "key_type": "var_combination"}),
            "property \"key\" validation failed: variable 'post_arg_x' is not supported".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 1, "key": "uri_param_x"}),
            "property \"key\" validation failed: variable 'uri_param_x' is not supported".to_owned(),
        ),
        (
            json!({"count": 1, "time_window": 1, "limit_header": "Content-Length"}),
            "property \"limit_header\" validation failed: a field that the gateway needs itself".to_owned(),
        ),
    ] {
        assert_eq!(judge(&configuration), Err(want), "{configuration}");
    }
    for configuration in [
        json!({"count": 1, "time_window": 1, "anything": {"else": 1}}),
        json!({"count": "$http_x", "time_window": "${arg_w ?? 60}", "group": "g"}),
        json!({"rules": []}),
        json!({"count": "$env://N", "time_window": 1, "limit_header": "$env://X", "key": "$env://X"}),
        json!({"count": 1, "time_window": 9, "policy": "redis", "redis_host": "$env://H", "redis_password": "$secret://a/b/c"}),
        json!({"rules": [rule, {"count": "2", "time_window": 2, "key": "x", "header_prefix": "p"}]}),
        json!({"count": 1, "time_window": 1, "sync_interval": 0}),
        json!({"count": 1, "time_window": 9, "policy": "redis", "redis_host": "host", "sync_interval": 0.2}),
        json!({"count": 1, "time_window": 9, "policy": "redis-cluster", "redis_cluster_nodes": ["h:1"], "redis_cluster_name": "n"}),
    ] {
        assert_eq!(judge(&configuration), Ok(()), "{configuration}");
    }
}

#[test]
fn a_quota_is_told_used_up_and_given_back() {
    let mut world = World::new();
    let plugin = world.build("/apisix/routes/1", &json!({"count": 2, "time_window": 60, "rejected_code": 429}));
    let told = [0, 20, 3_500, 59_999, 60_000].map(|now_ms| {
        world.now_ms = now_ms;
        world.ask(&plugin, &get("/"))
    });
    let want = [(0, "2 1 60"), (0, "2 0 59.98"), (429, "2 0 56.5"), (429, "2 0 0"), (0, "2 1 60")];
    assert_eq!(told, want.map(|(status, told)| (status, told.to_owned())));
}

/// spec/limit-count §7.2.
#[test]
fn rejections_have_a_message_or_nothing() {
    for (configuration, status, body) in [
        (json!({}), 503, ""),
        (json!({"rejected_code": 200}), 200, ""),
        (json!({"rejected_msg": "too \"much\""}), 503, "{\"error_msg\":\"too \\\"much\\\"\"}\n"),
        (json!({"rejected_code": 204, "rejected_msg": "x"}), 204, ""),
    ] {
        let mut world = World::new();
        let mut configuration = configuration;
        configuration["count"] = json!(1);
        configuration["time_window"] = json!(1);
        configuration["show_limit_quota_header"] = json!(false);
        let plugin = world.build("/apisix/routes/1", &configuration);
        world.ask(&plugin, &get("/"));
        let (told, edits, text) = world.ask_as(&plugin, &get("/"), None);
        assert_eq!((told, text.as_str()), (status, body));
        assert!(!edits.response_fields.has(b"x-ratelimit-limit"), "not shown");
    }
    let mut world = World::new();
    world.local = Local::new(Settings { retry_after: true, ..Settings::default() }, Arc::default());
    let plugin = world.build("/apisix/routes/1", &json!({"count": 1, "time_window": 60}));
    assert_eq!(world.ask(&plugin, &get("/")).1, "1 0 60");
    world.now_ms = 10;
    assert_eq!(world.ask(&plugin, &get("/")).1, "1 0 59.99 60");
}

/// spec/limit-count §3, §5.1.
#[test]
fn keys_tell_requests_apart() {
    let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(from);
    let a = from([10, 0, 0, 1]).field("X-A", "a");
    let empty = from([10, 0, 0, 2]).field("X-A", "");
    let b = from([10, 0, 0, 3]).field("X-A", "a").field("X-B", "b");
    // Statuses of one, other, one, a, empty, b, empty, with one request each.
    for (key, want) in [
        (json!({}), [0, 0, 1, 1, 1, 0, 1]),
        (json!({"key": "remote_addr"}), [0, 0, 1, 1, 1, 0, 1]),
        (json!({"key": "http_x_a"}), [0, 0, 1, 0, 0, 1, 1]),
        (json!({"key": "$http_x_a"}), [0, 0, 1, 1, 1, 0, 1]),
        (json!({"key": "host", "key_type": "constant"}), [0, 1, 1, 1, 1, 1, 1]),
        (json!({"key": "$http_x_a $http_x_b", "key_type": "var_combination"}), [0, 0, 1, 0, 0, 0, 1]),
        (json!({"key": "no variable", "key_type": "var_combination"}), [0, 0, 1, 1, 1, 0, 1]),
        (json!({"key": "${http_x_b ?? none}", "key_type": "var_combination"}), [0, 1, 1, 1, 1, 0, 1]),
    ] {
        for window_type in ["fixed", "sliding"] {
            let mut world = World::new();
            let mut configuration = key.clone();
            configuration["count"] = json!(1);
            configuration["time_window"] = json!(60);
            configuration["window_type"] = json!(window_type);
            let plugin = world.build("/apisix/routes/1", &configuration);
            let statuses = world.statuses(&plugin, [&one, &other, &one, &a, &empty, &b, &empty]);
            assert_eq!(statuses, want.map(|rejected| rejected * 503), "{configuration}");
        }
    }
}

#[test]
fn a_consumers_own_limit_may_count_by_its_name_or_address() {
    let mut world = World::new();
    let by_name = json!({"count": 1, "time_window": 60, "key": "consumer_name"});
    let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(from);
    let jacks = world.build("/apisix/consumers/jack", &by_name);
    assert_eq!([&one, &other].map(|request| world.ask_as(&jacks, request, Some("jack")).0), [0, 503]);
    let route = world.build("/apisix/routes/1", &by_name);
    assert_eq!(["jack", "ann", "jack"].map(|name| world.ask_as(&route, &one, Some(name)).0), [0, 0, 503]);
    let by_address = world.build("/apisix/consumers/jack", &json!({"count": 1, "time_window": 60}));
    assert_eq!([&one, &other, &one].map(|request| world.ask_as(&by_address, request, Some("jack")).0), [0, 0, 503]);
}

/// spec/limit-count §5.3.
#[test]
fn counters_belong_to_their_object_and_configuration() {
    let mut world = World::new();
    let plain = json!({"count": 1, "time_window": 60, "key": "x", "key_type": "constant"});
    let grouped =
        |group: &str| json!({"count": 1, "time_window": 60, "group": group, "key": "x", "key_type": "constant"});
    let changed = json!({"count": 1, "time_window": 60, "key": "x", "key_type": "constant", "rejected_code": 429});
    for (key, configuration, want, why) in [
        ("/apisix/routes/1", &plain, 0, "the first"),
        ("/apisix/routes/1", &plain, 503, "written again, deleted and recreated, or merged elsewhere"),
        ("/apisix/routes/2", &plain, 0, "another route"),
        ("/apisix/services/1", &plain, 0, "a service of that id"),
        ("/apisix/routes/1", &changed, 0, "anything changed"),
        ("/apisix/routes/1", &plain, 503, "and changed back"),
        ("/apisix/routes/1", &grouped("g"), 0, "a group"),
        ("/apisix/routes/2", &grouped("g"), 503, "from anywhere"),
        ("/apisix/routes/2", &grouped("h"), 0, "another group"),
    ] {
        let plugin = world.build(key, configuration);
        assert_eq!(world.ask(&plugin, &get("/")).0, want, "{key}: {why}");
    }
    let mut more = grouped("g");
    more["count"] = json!(4);
    let plugin = world.build("/apisix/routes/1", &more);
    assert_eq!(world.ask(&plugin, &get("/")), (0, "4 1 60".to_owned()), "an edited group goes on counting");
}

/// spec/limit-count §4.
#[test]
fn amounts_may_come_with_the_request() {
    let mut world = World::new();
    let configuration = json!({"count": "${arg_n ?? 9}", "time_window": "$arg_w", "group": "g"});
    let plugin = world.build("/apisix/routes/1", &configuration);
    for (target, want) in [
        ("/?n=3&w=60", (0, "3 2 60")),
        ("/?n=2&w=60", (0, "2 0 60")),
        ("/?n=5&w=60", (0, "5 2 60")),
        ("/?w=60", (0, "9 5 60")),
        ("/?n=4&w=60", (503, "4 0 60")),
        ("/?n=0&w=60", (500, "")),
        ("/?n=x&w=60", (500, "")),
        ("/?n=1", (500, "")),
        ("/?n=1&w=1.5", (500, "")),
        ("/?n=7&w=60", (0, "7 1 60")),
    ] {
        assert_eq!(world.ask(&plugin, &get(target)), (want.0, want.1.to_owned()), "{target}");
    }
    let lenient = json!({"count": "$arg_n", "time_window": 60, "allow_degradation": true});
    let plugin = world.build("/apisix/routes/1", &lenient);
    assert_eq!(world.ask(&plugin, &get("/")), (0, String::new()), "passes untouched");
    let sliding = json!({"count": 1, "time_window": "$arg_w", "window_type": "sliding"});
    let plugin = world.build("/apisix/routes/1", &sliding);
    let statuses = world.statuses(&plugin, [&get("/?w=60"), &get("/?w=60"), &get("/?w=120"), &get("/?w=120")]);
    assert_eq!(statuses, [0, 503, 0, 503], "windows of different lengths have nothing in common");
}

/// spec/limit-count §5.2.
#[test]
fn rules_apply_in_order_where_their_variables_are() {
    let mut world = World::new();
    let rules = json!([
        {"count": 3, "time_window": 60, "key": "${http_company}"},
        {"count": 2, "time_window": 30, "key": "$http_user", "header_prefix": "User"},
        {"count": 1, "time_window": 10, "key": "constant"},
    ]);
    let plugin = world.build("/apisix/routes/1", &json!({"rules": rules, "rejected_code": 429}));
    let both = get("/").field("Company", "x").field("User", "x");
    let company = get("/").field("Company", "x");
    assert_eq!(
        world.ask(&plugin, &both),
        (0, "3 2 60 2 1 30".to_owned()),
        "the same value in two rules is two counters"
    );
    assert_eq!(world.ask(&plugin, &get("/").field("User", "x")), (0, "2 0 30".to_owned()));
    assert_eq!(world.ask(&plugin, &both), (429, "3 1 60 2 0 30".to_owned()), "the first keeps its increment");
    assert_eq!(world.ask(&plugin, &company), (0, "3 0 60".to_owned()));
    assert_eq!(world.ask(&plugin, &both), (429, "3 0 60".to_owned()), "stops at the first");
    assert_eq!(world.ask(&plugin, &get("/")), (500, String::new()), "no rule applies");
    let (_, edits, _) = world.ask_as(&plugin, &get("/").field("Company", "y").field("User", "y"), None);
    let names = ["x-1-ratelimit-limit", "X-User-RateLimit-Remaining"];
    assert!(names.iter().all(|name| edits.response_fields.has(name.as_bytes())));

    let lenient = world.build("/apisix/routes/1", &json!({"rules": [], "allow_degradation": true}));
    assert_eq!(world.ask(&lenient, &get("/")), (0, String::new()));
    let unresolved = json!({"rules": [
        {"count": 1, "time_window": 60, "key": "$http_user"},
        {"count": "$arg_n", "time_window": 60, "key": "$http_company"},
    ]});
    let plugin = world.build("/apisix/routes/1", &unresolved);
    assert_eq!(world.ask(&plugin, &both).0, 500, "never skipped");
    assert_eq!(world.ask(&plugin, &get("/").field("User", "x")).0, 0, "and nothing was counted before");
}
