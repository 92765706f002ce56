//! Routes, services, plugin configs and upstreams.

use super::*;

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
        (
            "routes/3",
            json!({"uri": "/", "service_id": "1", "plugins": {"other": {"_meta": {"priority": 9000, "filter": []}}}}),
        ),
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
    assert_eq!((one.rule.hosts()[0].text(), two.rule.hosts()[0].text()), ("s.test", "r.test"));
    assert_eq!((one.enable_websocket, two.enable_websocket), (true, false));
    assert_eq!(world.upstream_of("1").unwrap().key.as_ref(), "/services/1");
    assert_eq!(world.upstream_of("2").unwrap().key.as_ref(), "/routes/2");
    assert!(two.timeouts.is_some() && one.timeouts.is_none());

    assert_eq!(world.put("services/1", json!({"hosts": ["t.test"]})), ["-upstream 1", "+route 1", "+route 2"]);
    assert_eq!(world.routes["1"].rule.hosts()[0].text(), "t.test");
    assert_eq!(world.routes["1"].target, Target::None);
    assert_eq!(world.put("services/1", Value::Null), ["+route 1", "+route 2"]);
    assert_eq!(world.routes["1"].target, Target::ServiceMissing);
    assert!(world.routes["1"].rule.hosts().is_empty(), "without its service the route has no hosts");
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
        (json!({"plugins": {"limit": {"_meta": {"filter": []}}}}), Some(Target::None)),
        (json!({"plugins": {"limit": {"_meta": {"filter": [["uri", "=", "/"]]}}}}), Some(Target::Unusable)),
        (json!({"plugins": {"limit": {"_meta": {"filter": [["urii", "/"]]}}}}), Some(Target::Unusable)),
        (json!({"plugins": {"limit": {"_meta": {"filter": [7], "disable": true}}}}), Some(Target::None)),
        (json!({"plugins": {"limit": {"a": ["$ENV://X"]}}}), Some(Target::None)),
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
fn a_text_that_is_no_object_leaves_the_one_before() {
    let mut world = World::new();
    world.batch(&[
        ("routes/1", json!({"uri": "/", "name": "good"})),
        ("upstreams/1", nodes("10.0.0.1:80")),
        ("consumers/jack", consumer("jack")),
        ("consumers/jack/credentials/c", auth("k")),
    ]);
    for text in ["", "init_dir", "[]", "7", "{"] {
        for key in ["routes/1", "upstreams/1", "consumers/jack", "consumers/jack/credentials/c"] {
            assert!(world.put(key, Value::String(text.into())).is_empty(), "{key} {text:?}");
        }
    }
    assert!(world.put("routes/1", json!({"uri": "/", "newer_condition": 1})).is_empty());
    assert_eq!(world.routes["1"].name.as_deref(), Some("good"));
    assert_eq!(world.who("k").as_deref(), Some("jack/c"));
}

#[test]
fn an_object_that_cannot_be_used_closes_what_the_one_before_opened() {
    let open = [
        ("routes/1", json!({"uri": "/", "service_id": "1", "upstream_id": "1"})),
        ("services/1", json!({})),
        ("upstreams/1", nodes("10.0.0.1:80")),
        ("consumers/jack", json!({"username": "jack", "group_id": "1"})),
        ("consumers/jack/credentials/c", auth("k")),
        ("consumer_groups/1", json!({})),
    ];
    for (key, unusable, want) in [
        ("routes/1", json!({"uri": "/", "methods": ["GET", "$env://M"], "plugins": {"t-auth": {}}}), "-route 1"),
        ("routes/1", json!({"uri": "/", "plugins": 7}), "-route 1"),
        ("services/1", json!({"plugins": 7}), "+route 1"),
        ("upstreams/1", json!({"nodes": 7}), "-upstream 1"),
        (
            "consumers/jack",
            json!({"username": "jack", "labels": {"custom_id": "a\u{1}b"}}),
            "-consumer jack, -t-auth k",
        ),
        ("consumers/jack/credentials/c", json!({"plugins": {"t-auth": {"key": "k"}, "limit": {}}}), "-t-auth k"),
        ("consumer_groups/1", json!({"plugins": 7}), "+consumer jack, +t-auth k"),
        ("global_rules/1", json!({"plugins": 7}), "rules"),
    ] {
        let mut world = World::new();
        world.batch(&open);
        assert_eq!(world.put(key, unusable.clone()).join(", "), want, "{key} {unusable}");
    }
    let mut world = World::new();
    world.batch(&[("services/1", json!({})), ("routes/1", json!({"uri": "/", "service_id": "1"}))]);
    world.put("services/1", json!({"plugins": 7}));
    assert_eq!(world.routes["1"].target, Target::ServiceMissing);
    let slow = json!({"connect": -1.0, "send": 1.0, "read": 1.0});
    world.put("routes/1", json!({"uri": "/", "timeout": slow}));
    assert_eq!(world.routes["1"].target, Target::Unusable);
    world.batch(&[("global_rules/1", json!({"plugins": 7})), ("global_rules/2", json!({"plugins": 7}))]);
    assert_refuses(&world.global_rules.links, "unusable");
    world.put("global_rules/1", json!({"plugins": {"limit": {}}}));
    assert_refuses(&world.global_rules.links, "unusable");
    world.put("global_rules/2", json!({"plugins": {"other": {}}}));
    assert_eq!(world.global_rules.links.len(), 2);
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
