//! Consumers, groups, credentials and global rules.

use super::*;

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
        json!({"plugins": {"t-auth": {"key": "k", "_meta": {"filter": [["uri", "=", "/"]]}}}}),
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
fn a_filter_stays_with_its_plugin_and_out_of_verification() {
    let filter = json!([["uri", "/nowhere"]]);
    let filtered = |member: &str| json!({member: member, "_meta": {"filter": filter}});
    let mut world = World::new();
    world.batch(&[
        ("services/1", json!({"plugins": {"other": filtered("service"), "limit": filtered("service")}})),
        ("routes/1", json!({"uri": "/", "service_id": "1", "plugins": {"other": {}, "t-auth": filtered("route")}})),
        ("consumer_groups/g", json!({"plugins": {"limit": filtered("group"), "other": filtered("group")}})),
        ("consumers/jack", json!({"username": "jack", "group_id": "g", "plugins": {"limit": {}}})),
        ("consumers/jack/credentials/c", json!({"plugins": {"t-auth": {"key": "k", "_meta": {"filter": filter}}}})),
        ("global_rules/1", json!({"plugins": {"limit": filtered("rule")}})),
    ]);
    let names =
        |links: &[Link]| links.iter().map(|link| (link.name, link.filter.is_some())).collect::<BTreeMap<_, _>>();
    let (route, jack) = (&world.routes["1"].chain, &world.credentials["k"].identity.plugins);
    assert_eq!(names(&route.links), [("limit", true), ("other", false), ("t-auth", true)].into());
    assert_eq!(names(jack), [("limit", false), ("other", true)].into());
    assert_eq!(names(&world.global_rules.links), [("limit", true)].into());
    let merged = route.with_consumer(jack).chain;
    assert_eq!(names(&merged.links), [("limit", false), ("other", true), ("t-auth", true)].into());
    assert_eq!(world.who("k").as_deref(), Some("jack/c"), "a credential is data, whatever its filter says");
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
