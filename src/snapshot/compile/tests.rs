//! Events in, changes out, against test-only plugins.

use super::*;
use crate::auth::consumer::{AuthMaterial, Credential};
use crate::auth::jwt::JwtCredential;
use crate::plugin::{Answer, AuthType, Plugin, PluginType, Side};
use crate::route::{Route, Target};
use crate::upstream::{Upstream, UpstreamSlot};
use serde_json::json;

/// Shows its configuration, so that a test can tell where a plugin came from.
#[derive(Debug)]
struct Told(#[expect(dead_code, reason = "read through Debug")] String);
impl Plugin for Told {}

fn told(configuration: &Value) -> Result<Arc<dyn Plugin>, String> {
    if configuration.get("fails").is_some() {
        return Err("told to fail".into());
    }
    Ok(Arc::new(Told(configuration.to_string())))
}

fn check(configuration: &Value, side: Side) -> Result<(), String> {
    match configuration.get("refused_on").and_then(Value::as_str) {
        Some("route") if side == Side::Route => Err("refused".into()),
        Some("consumer") if side == Side::Consumer => Err("refused".into()),
        _ => Ok(()),
    }
}

const fn plain(name: &'static str, priority: i64) -> PluginType {
    PluginType { name, priority, version: "0.1", schema: "{}", auth: None, check, build: told }
}

static AUTH: PluginType = PluginType {
    auth: Some(AuthType {
        consumer_schema: "{}",
        lookup_attribute: "key",
        encrypted_fields: &[],
        complete: |_| {},
        build_credential: |configuration| match configuration.get("fails") {
            None => Ok(AuthMaterial::Jwt(JwtCredential {})),
            Some(_) => Err("told to fail".into()),
        },
    }),
    ..plain("t-auth", 2500)
};
static LIMIT: PluginType = plain("limit", 1000);
static OTHER: PluginType = plain("other", 500);

/// A compiler and what a worker would have after its changes.
struct World {
    compiler: Compiler,
    revision: u64,
    routes: HashMap<Arc<str>, Arc<Route>>,
    upstreams: HashMap<UpstreamSlot, Arc<Upstream>>,
    credentials: HashMap<Arc<str>, Arc<Credential>>,
    consumers: HashMap<Arc<str>, Arc<crate::auth::consumer::Consumer>>,
    global_rules: Arc<crate::plugin::Chain>,
}

impl World {
    fn new() -> Self {
        let catalog = Catalog::new(&[&AUTH, &LIMIT, &OTHER]);
        Self {
            compiler: Compiler::with_catalog("/apisix", KeepalivePool::default(), catalog),
            revision: 0,
            routes: HashMap::default(),
            upstreams: HashMap::default(),
            credentials: HashMap::default(),
            consumers: HashMap::default(),
            global_rules: Arc::default(),
        }
    }

    /// Applies writes as one batch, `null` meaning removal. Returns the changes in brief, and the names.
    fn batch(&mut self, writes: &[(&str, Value)]) -> (Vec<String>, Vec<Box<str>>, Vec<Box<str>>) {
        let events: Vec<_> = writes
            .iter()
            .map(|(key, value)| {
                self.revision += 1;
                let text = match value {
                    Value::Null => None,
                    Value::String(raw) => Some(raw.as_str().into()),
                    value => Some(value.to_string().into()),
                };
                Event { revision: self.revision, key: format!("/apisix/{key}").into(), value: text }
            })
            .collect();
        let Compiled { changes, names_wanted, names_released } = self.compiler.apply(&events);
        (self.take(changes), names_wanted, names_released)
    }

    fn put(&mut self, key: &str, value: Value) -> Vec<String> {
        self.batch(&[(key, value)]).0
    }

    fn take(&mut self, changes: Vec<Change>) -> Vec<String> {
        fn set<K: Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, key: K, value: Option<V>) -> char {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => return if map.remove(&key).is_some() { '-' } else { '!' },
            }
            '+'
        }
        let brief = changes.into_iter().map(|change| match change {
            Change::Route { id, route } => format!("{}route {id}", set(&mut self.routes, Arc::clone(&id), route)),
            Change::Upstream { slot, upstream } => {
                format!("{}upstream {}", set(&mut self.upstreams, slot, upstream), slot.0)
            }
            Change::Credential { plugin, key, credential } => {
                format!("{}{plugin} {key}", set(&mut self.credentials, Arc::clone(&key), credential))
            }
            Change::Consumer { username, consumer } => {
                format!("{}consumer {username}", set(&mut self.consumers, Arc::clone(&username), consumer))
            }
            Change::GlobalRules(chain) => {
                self.global_rules = chain;
                "rules".into()
            }
        });
        brief.collect()
    }

    fn chain(&self, id: &str) -> Vec<String> {
        self.routes[id].chain.links.iter().map(|link| format!("{} {:?}", link.name, link.plugin)).collect()
    }

    /// The upstream that a route's requests reach.
    fn upstream_of(&self, id: &str) -> Option<&Upstream> {
        match self.routes[id].target {
            Target::Upstream(slot) => self.upstreams.get(&slot).map(|upstream| &**upstream),
            _ => None,
        }
    }

    /// Who a look-up value names, as `username/credential`.
    fn who(&self, key: &str) -> Option<String> {
        let identity = &self.credentials.get(key)?.identity;
        Some(format!("{}/{}", identity.username, identity.credential_id.as_deref().unwrap_or("-")))
    }

    fn links(&self, key: &str) -> Vec<String> {
        let identity = &self.credentials[key].identity;
        identity.plugins.iter().map(|link| format!("{} {:?}", link.name, link.plugin)).collect()
    }
}

fn nodes(node: &str) -> Value {
    json!({"nodes": {node: 1}})
}

fn auth(key: &str) -> Value {
    json!({"plugins": {"t-auth": {"key": key}}})
}

fn consumer(name: &str) -> Value {
    json!({"username": name})
}

#[test]
fn a_route_merges_plugin_config_and_service_whole_plugin_by_name() {
    let mut world = World::new();
    world.batch(&[
        (
            "services/1",
            json!({"plugins": {"limit": {"from": "service", "policy": "redis"}, "other": {"from": "service"},
            "t-auth": {}}}),
        ),
        ("plugin_configs/1", json!({"plugins": {"other": {"from": "config"}, "limit": {"from": "config"}}})),
        (
            "routes/1",
            json!({"uri": "/", "service_id": 1, "plugin_config_id": "1",
            "plugins": {"limit": {"from": "route"}, "t-auth": {"_meta": {"disable": true}}}}),
        ),
        ("routes/2", json!({"uri": "/", "service_id": "1"})),
        ("routes/3", json!({"uri": "/", "service_id": "1", "plugins": {"other": {"_meta": {"priority": 9000}}}})),
    ]);
    assert_eq!(
        world.chain("1"),
        [r#"limit Told("{\"from\":\"route\"}")"#, r#"other Told("{\"from\":\"config\"}")"#],
        "disabled on the route, absent after the merge"
    );
    let own_first: Vec<_> = world.routes["3"].chain.links.iter().map(|link| link.name).collect();
    assert_eq!(own_first, ["other", "t-auth", "limit"], "_meta.priority");
    assert_eq!(world.chain("2").len(), 3);
    world.put("routes/4", json!({"uri": "/b", "service_id": "1"}));
    assert!(Arc::ptr_eq(&world.routes["2"].chain, &world.routes["4"].chain), "a service's plugins are built once");
}

#[test]
fn routes_inherit_from_their_service() {
    let mut world = World::new();
    world.batch(&[
        ("services/1", json!({"hosts": ["S.test"], "enable_websocket": true, "upstream": nodes("10.0.0.1:80")})),
        ("routes/1", json!({"uri": "/", "service_id": "1"})),
        (
            "routes/2",
            json!({"uri": "/", "service_id": "1", "host": "R.test", "enable_websocket": false,
            "upstream": nodes("10.0.0.2:80"), "timeout": {"connect": 1, "send": 2, "read": 3}}),
        ),
    ]);
    let (one, two) = (&world.routes["1"], &world.routes["2"]);
    assert_eq!((&*one.rule.hosts[0], &*two.rule.hosts[0]), ("s.test", "r.test"));
    assert_eq!((one.enable_websocket, two.enable_websocket), (true, false));
    assert_eq!(world.upstream_of("1").unwrap().key.as_ref(), "/services/1");
    assert_eq!(world.upstream_of("2").unwrap().key.as_ref(), "/routes/2");
    assert!(two.timeouts.is_some() && one.timeouts.is_none());

    assert_eq!(world.put("services/1", json!({"hosts": ["t.test"]})), ["-upstream 1", "+route 1", "+route 2"]);
    assert_eq!(&*world.routes["1"].rule.hosts[0], "t.test");
    assert_eq!(world.routes["1"].target, Target::None);
    assert_eq!(world.put("services/1", Value::Null), ["+route 1", "+route 2"]);
    assert_eq!(world.routes["1"].target, Target::ServiceMissing);
    assert!(world.routes["1"].rule.hosts.is_empty(), "without its service the route has no hosts");
}

#[test]
fn the_effective_upstream_follows_precedence() {
    let embedded = || nodes("10.0.0.9:80");
    let cases = [
        (json!({"upstream_id": 1, "upstream": embedded(), "service_id": "1"}), "/upstreams/1"),
        (json!({"upstream": embedded(), "service_id": "1"}), "/routes/1"),
        (json!({"service_id": "1"}), "/upstreams/2"),
        (json!({"service_id": "2"}), "/services/2"),
    ];
    for (mut route, want) in cases {
        let mut world = World::new();
        route["uri"] = json!("/");
        world.batch(&[
            ("upstreams/1", nodes("10.0.0.1:80")),
            ("upstreams/2", nodes("10.0.0.2:80")),
            ("services/1", json!({"upstream_id": "2", "upstream": embedded()})),
            ("services/2", json!({"upstream": embedded()})),
            ("routes/1", route),
        ]);
        assert_eq!(&*world.upstream_of("1").unwrap().key, want);
    }
}

#[test]
fn routes_that_cannot_run_fail_closed() {
    let cases = [
        (json!({"plugins": {"unknown": {}}}), Some(Target::Unusable)),
        (json!({"plugins": {"limit": {"fails": 1}}}), Some(Target::Unusable)),
        (json!({"plugins": {"limit": {"refused_on": "route"}}}), Some(Target::Unusable)),
        (json!({"plugins": {"limit": {"refused_on": "consumer"}}}), Some(Target::None)),
        (json!({"plugins": {"limit": {"_meta": {"filter": []}}}}), Some(Target::Unusable)),
        (json!({"plugins": {"limit": {"a": ["$ENV://X"]}}}), Some(Target::Unusable)),
        (json!({"plugins": {"unknown": {"_meta": {"disable": true}}}}), Some(Target::None)),
        (json!({"plugin_config_id": "9"}), Some(Target::Unusable)),
        (json!({"plugin_config_id": "9", "service_id": "9"}), Some(Target::Unusable)),
        (json!({"service_id": "9"}), Some(Target::ServiceMissing)),
        (json!({"newer_condition": 1}), Some(Target::Unusable)),
        (json!({}), Some(Target::None)),
        (json!({"status": 0}), None),
        (json!({"filter_func": "function() end"}), None),
        (json!({"script": "return 1"}), None),
        (json!({"script_id": "1"}), None),
        (json!({"remote_addr": "nonsense"}), None),
        (json!({"uri": 7}), None),
    ];
    for (mut route, want) in cases {
        let mut world = World::new();
        if route.get("uri").is_none() {
            route["uri"] = json!("/");
        }
        world.put("routes/1", route.clone());
        assert_eq!(world.routes.get("1").map(|route| route.target), want, "{route}");
    }
}

#[test]
fn a_dangling_reference_heals_when_its_target_appears() {
    let mut world = World::new();
    world.put("routes/1", json!({"uri": "/", "service_id": "1", "plugin_config_id": "1"}));
    assert_eq!(world.routes["1"].target, Target::Unusable);
    assert_eq!(world.put("plugin_configs/1", json!({"plugins": {"limit": {}}})), ["+route 1"]);
    assert_eq!(world.routes["1"].target, Target::ServiceMissing);
    assert_eq!(world.put("services/1", json!({"upstream_id": 5})), ["+route 1"]);
    let Target::Upstream(slot) = world.routes["1"].target else { panic!("no slot") };
    assert!(!world.upstreams.contains_key(&slot), "the object does not exist: 502");
    assert_eq!(world.put("upstreams/5", nodes("10.0.0.1:80")), [format!("+upstream {}", slot.0)]);
    assert_eq!(world.put("upstreams/5", Value::Null), [format!("-upstream {}", slot.0)]);
    assert_eq!(world.put("upstreams/5", nodes("10.0.0.1:80")), [format!("+upstream {}", slot.0)], "the same slot");
}

#[test]
fn slots_are_never_used_again() {
    let mut world = World::new();
    let mut slots = Vec::new();
    for _ in 0..3 {
        world.put("routes/1", json!({"uri": "/", "upstream": nodes("10.0.0.1:80")}));
        let Target::Upstream(slot) = world.routes["1"].target else { panic!("no slot") };
        world.put("routes/1", json!({"uri": "/", "upstream": nodes("10.0.0.2:80")}));
        assert_eq!(world.routes["1"].target, Target::Upstream(slot), "an update keeps the slot");
        slots.push(slot);
        assert!(world.put("routes/1", json!({"uri": "/"})).contains(&format!("-upstream {}", slot.0)));
        world.put("upstreams/1", nodes("10.0.0.3:80"));
        world.put("upstreams/1", Value::Null);
    }
    slots.dedup();
    assert_eq!(slots.len(), 3);
    assert!(world.upstreams.is_empty(), "no upstream is left behind");
}

#[test]
fn an_object_that_cannot_be_read_leaves_the_one_before() {
    let mut world = World::new();
    world.batch(&[
        ("routes/1", json!({"uri": "/", "name": "good"})),
        ("upstreams/1", nodes("10.0.0.1:80")),
        ("consumers/jack", consumer("jack")),
        ("consumers/jack/credentials/c", auth("k")),
    ]);
    for text in ["", "init_dir", "[]", "7", r#"{"plugins": 7, "nodes": 7}"#] {
        for key in ["routes/1", "upstreams/1", "consumers/jack", "consumers/jack/credentials/c"] {
            assert!(world.put(key, Value::String(text.into())).is_empty(), "{key} {text:?}");
        }
    }
    assert!(world.put("routes/1", json!({"uri": "/", "newer_condition": 1})).is_empty());
    assert_eq!(world.routes["1"].name.as_deref(), Some("good"));
    assert_eq!(world.who("k").as_deref(), Some("jack/c"));
}

#[test]
fn a_batch_compiles_what_it_touches_once_and_in_its_end_state() {
    let mut world = World::new();
    let (changes, ..) = world.batch(&[
        ("routes/1", json!({"uri": "/", "service_id": "1", "name": "first"})),
        ("services/1", json!({"plugins": {"limit": {"n": 1}}})),
        ("services/1", json!({"plugins": {"limit": {"n": 2}}})),
        ("routes/1", json!({"uri": "/", "service_id": "1", "name": "second"})),
        ("routes/2", json!({"uri": "/"})),
        ("routes/2", Value::Null),
        ("consumers/jack/credentials/c", auth("k")),
        ("consumers/jack", consumer("jack")),
    ]);
    assert_eq!(changes, ["+consumer jack", "+t-auth k", "+route 1"]);
    assert_eq!(world.chain("1"), [r#"limit Told("{\"n\":2}")"#]);
    assert_eq!(world.routes["1"].name.as_deref(), Some("second"));
    assert_eq!(world.put("routes/2", Value::Null), [""; 0], "what was never there does not go");
}

#[test]
fn names_are_wanted_while_a_node_needs_them() {
    let mut world = World::new();
    let name = |text: &str| vec![Box::<str>::from(text)];
    let (_, wanted, _) = world.batch(&[
        ("upstreams/1", json!({"nodes": {"Node.test:81": 1, "10.0.0.1:80": 1}})),
        ("upstreams/2", nodes("node.test:82")),
    ]);
    assert_eq!(wanted, name("node.test"), "once, in lower case");
    let count = |world: &World| {
        let mut ports: Vec<_> = world
            .upstreams
            .values()
            .flat_map(|upstream| upstream.nodes.iter().flat_map(|node| &node.addresses).map(ToString::to_string))
            .collect();
        ports.sort();
        ports
    };
    assert_eq!(count(&world), ["10.0.0.1:80"]);
    let address = ["10.0.0.7".parse().unwrap(), "::7".parse().unwrap()];
    let changes = world.compiler.resolved("NODE.TEST", &address);
    assert_eq!(world.take(changes).len(), 2);
    assert_eq!(count(&world), ["10.0.0.1:80", "10.0.0.7:81", "10.0.0.7:82", "[::7]:81", "[::7]:82"]);
    assert!(world.compiler.resolved("node.test", &address).is_empty(), "nothing new");
    assert!(world.compiler.resolved("other.test", &address).is_empty(), "nobody asked");

    let (_, wanted, released) = world.batch(&[("upstreams/3", nodes("node.test:83")), ("upstreams/1", Value::Null)]);
    assert_eq!((wanted.len(), released.len()), (0, 0), "still needed, already known");
    assert_eq!(count(&world), ["10.0.0.7:82", "10.0.0.7:83", "[::7]:82", "[::7]:83"]);
    let (_, wanted, released) = world.batch(&[("upstreams/2", nodes("b.test")), ("upstreams/3", Value::Null)]);
    assert_eq!((wanted, released), (name("b.test"), name("node.test")));
    let (_, wanted, released) = world.batch(&[("upstreams/4", nodes("node.test:80"))]);
    assert_eq!((wanted, released), (name("node.test"), vec![]));
    assert!(count(&world).is_empty(), "what was known when it was released is not trusted");
}

#[test]
fn an_upstream_that_cannot_be_used_has_no_nodes() {
    let mut world = World::new();
    world.put("upstreams/1", json!({"nodes": {"10.0.0.1:80": 1}, "scheme": "kafka"}));
    assert!(world.upstreams[&UpstreamSlot(1)].nodes.is_empty());
}

#[test]
fn credentials_follow_their_consumer() {
    let mut world = World::new();
    assert!(world.put("consumers/jack/credentials/c1", auth("k1")).is_empty(), "no consumer, no credential");
    assert_eq!(
        world.put(
            "consumers/jack",
            json!({"username": "jack", "labels": {"custom_id": "495aec6a"},
            "plugins": {"t-auth": {"key": "own"}, "limit": {"n": 1}}})
        ),
        ["+consumer jack", "+t-auth own", "+t-auth k1"]
    );
    let fields = |key: &str| String::from_utf8(world.credentials[key].identity.fields.to_vec()).unwrap();
    assert_eq!(
        fields("k1"),
        "X-Consumer-Username: jack\r\nX-Credential-Identifier: c1\r\nX-Consumer-Custom-ID: 495aec6a\r\n"
    );
    assert_eq!(fields("own"), "X-Consumer-Username: jack\r\nX-Consumer-Custom-ID: 495aec6a\r\n");
    let anonymous = &world.consumers["jack"].anonymous;
    assert_eq!(&*anonymous.fields, b"X-Consumer-Username: jack\r\n", "no custom id for the anonymous");
    assert_eq!(world.links("k1"), [r#"limit Told("{\"n\":1}")"#], "plugins without authentication");
    assert!(Arc::ptr_eq(&world.credentials["k1"].identity.plugins, &anonymous.plugins), "one address for all");

    let version = world.credentials["k1"].version;
    world.put("consumers/jack", consumer("jack"));
    assert_ne!(world.credentials["k1"].version, version);
    assert!(world.links("k1").is_empty());
    assert_eq!(world.who("own"), None, "the consumer's own login is gone");
    assert_eq!(world.put("consumers/jack/credentials/c1", auth("k2")), ["-t-auth k1", "+t-auth k2"]);
    assert_eq!(world.put("consumers/jack", Value::Null), ["-consumer jack", "-t-auth k2"]);
    world.put("consumers/jack", consumer("jack"));
    assert_eq!(world.who("k2").as_deref(), Some("jack/c1"));
    assert_eq!(world.put("consumers/jack/credentials/c1", Value::Null), ["-t-auth k2"]);
}

#[test]
fn a_consumer_whose_name_starts_another_keeps_its_own_credentials() {
    let mut world = World::new();
    world.batch(&[
        ("consumers/jack", consumer("jack")),
        ("consumers/jack-2", consumer("jack-2")),
        ("consumers/jack/credentials/c", auth("one")),
        ("consumers/jack-2/credentials/c", auth("two")),
        ("consumers/credentials", consumer("credentials")),
        ("consumers/credentials/credentials/c", auth("three")),
    ]);
    assert_eq!(world.put("consumers/jack", consumer("jack")), ["+consumer jack", "+t-auth one"]);
    assert_eq!(world.who("two").as_deref(), Some("jack-2/c"));
    assert_eq!(world.who("three").as_deref(), Some("credentials/c"));
}

#[test]
fn credentials_that_cannot_be_used_are_left_out() {
    let cases = [
        json!({"plugins": {"t-auth": {}}}),
        json!({"plugins": {"t-auth": {"key": ""}}}),
        json!({"plugins": {"t-auth": {"key": 7}}}),
        json!({"plugins": {"t-auth": 7}}),
        json!({"plugins": {"t-auth": {"key": "k", "secret": "$env://X"}}}),
        json!({"plugins": {"t-auth": {"key": "k", "deep": [{"secret": "$secret://vault/1/a/b"}]}}}),
        json!({"plugins": {"t-auth": {"key": "k", "fails": 1}}}),
        json!({"plugins": {"t-auth": {"key": "k", "refused_on": "consumer"}}}),
        json!({"plugins": {"t-auth": {"key": "k", "_meta": {"disable": true}}}}),
        json!({"plugins": {"limit": {"key": "k"}}}),
        json!({"plugins": {"unknown": {"key": "k"}}}),
        json!({"plugins": {}}),
    ];
    for credential in cases {
        let mut world = World::new();
        world.put("consumers/jack", consumer("jack"));
        world.put("consumers/jack/credentials/c", auth("k"));
        assert_eq!(world.put("consumers/jack/credentials/c", credential.clone()), ["-t-auth k"], "{credential}");
    }
    let mut world = World::new();
    world.put("consumers/jack", consumer("jack"));
    assert!(
        world.put("consumers/jack/credentials/c", json!({"plugins": {"t-auth": {"key": "a"}, "limit": {}}})).is_empty()
    );
}

#[test]
fn of_several_owners_the_last_written_wins_and_the_others_take_over() {
    let mut world = World::new();
    world.batch(&[
        ("consumers/ann", json!({"username": "ann", "plugins": {"t-auth": {"key": "k"}}})),
        ("consumers/bob", consumer("bob")),
        ("consumers/bob/credentials/c1", auth("k")),
        ("consumers/bob/credentials/c2", auth("k")),
    ]);
    assert_eq!(world.who("k").as_deref(), Some("bob/c2"));
    world.put("consumers/bob/credentials/c1", auth("k"));
    assert_eq!(world.who("k").as_deref(), Some("bob/c1"), "written again");
    world.put("consumers/bob/credentials/c1", json!({"plugins": {"t-auth": {"key": "k", "fails": 1}}}));
    assert_eq!(world.who("k").as_deref(), Some("bob/c2"), "one that cannot be used is left out");
    world.put("consumers/bob", Value::Null);
    assert_eq!(world.who("k").as_deref(), Some("ann/-"));
    assert_eq!(world.put("consumers/ann", Value::Null), ["-consumer ann", "-t-auth k"]);
}

#[test]
fn groups_lie_between_consumer_and_route() {
    let mut world = World::new();
    world.batch(&[
        ("consumer_groups/g", json!({"plugins": {"limit": {"n": "group"}, "other": {"n": "group"}, "t-auth": {}}})),
        ("consumers/jack", json!({"username": "jack", "group_id": "g", "plugins": {"limit": {"n": "jack"}}})),
        ("consumers/jack/credentials/c", auth("k")),
        (
            "consumers/tom",
            json!({"username": "tom", "group_id": "g", "plugins": {"other": {"_meta": {"disable": true}}}}),
        ),
        ("consumers/tom/credentials/c", auth("t")),
    ]);
    let mut links = world.links("k");
    links.sort();
    assert_eq!(links, [r#"limit Told("{\"n\":\"jack\"}")"#, r#"other Told("{\"n\":\"group\"}")"#]);
    assert_eq!(world.links("t"), ["other Disabled", r#"limit Told("{\"n\":\"group\"}")"#], "off hides the route's too");
    assert_eq!(world.credentials["k"].identity.group_id.as_deref(), Some("g"));

    let changes = world.put("consumer_groups/g", json!({"plugins": {}}));
    assert_eq!(changes, ["+consumer jack", "+consumer tom", "+t-auth k", "+t-auth t"]);
    assert_eq!(world.links("k").len(), 1);
    world.put("consumer_groups/g", Value::Null);
    for key in ["k", "t"] {
        assert_refuses(&world.credentials[key].identity.plugins, key);
    }
    world.put("consumers/jack", json!({"username": "jack", "plugins": {"limit": {"fails": 1}}}));
    assert_refuses(&world.credentials["k"].identity.plugins, "a consumer's plugin that cannot run");
    world.put("consumers/jack", consumer("jack"));
    assert!(world.put("consumer_groups/g", json!({"plugins": {}})).iter().all(|change| !change.contains("jack")));
}

/// One link, which answers 503.
fn assert_refuses(links: &[crate::plugin::chain::Link], name: &str) {
    let [link] = links else { panic!("{name}: {links:?}") };
    let shown = format!("{:?}", link.plugin);
    assert!(shown.contains(&format!("{:?}", Answer { status: 503, ..answer() })[..20]), "{name}: {shown}");
}

fn answer() -> Answer {
    Answer { status: 0, fields: Box::default(), body: Box::default() }
}

#[test]
fn a_plugin_in_two_global_rules_runs_in_neither() {
    let mut world = World::new();
    let names = |world: &World| world.global_rules.links.iter().map(|link| link.name).collect::<Vec<_>>();
    world.batch(&[
        ("global_rules/1", json!({"plugins": {"limit": {}, "other": {}}})),
        ("global_rules/2", json!({"plugins": {"limit": {}, "t-auth": {}}})),
    ]);
    assert_eq!(names(&world), ["t-auth", "other"]);
    assert_eq!(world.put("global_rules/2", Value::Null), ["rules"]);
    assert_eq!(names(&world), ["limit", "other"]);
    world.put("global_rules/3", json!({"plugins": {"unknown": {}}}));
    assert_refuses(&world.global_rules.links, "a rule that cannot run");
}
