//! Plugin metadata: who is rebuilt, and with what.

use super::*;

#[test]
fn a_change_rebuilds_that_plugin_and_what_has_it() {
    let mut world = World::new();
    let with = |name: &str| json!({"plugins": {name: {}}});
    let route = |more: Value| {
        let mut route = json!({"uri": "/"});
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        route
    };
    world.batch(&[
        ("routes/own", route(json!({"plugins": {"limit": {}, "other": {}}}))),
        ("routes/off", route(json!({"plugins": {"limit": {"_meta": {"disable": true}}}}))),
        ("routes/other", route(with("other"))),
        ("services/s", with("limit")),
        ("routes/of-service", route(json!({"service_id": "s"}))),
        ("plugin_configs/p", with("limit")),
        ("routes/of-config", route(json!({"plugin_config_id": "p"}))),
        ("consumer_groups/g", with("limit")),
        ("consumers/jack", json!({"username": "jack", "group_id": "g", "plugins": {"t-auth": {"key": "k"}}})),
        ("consumers/ann", json!({"username": "ann", "plugins": {"limit": {}}})),
        ("consumers/bob", json!({"username": "bob"})),
        ("global_rules/r", with("limit")),
    ]);
    let other_before = Arc::clone(&world.routes["own"].chain.links[1].plugin);

    let mut changed = world.put("plugin_metadata/limit", json!({"m": 1}));
    changed.sort();
    let want = [
        "+consumer ann",
        "+consumer jack",
        "+route of-config",
        "+route of-service",
        "+route off",
        "+route own",
        "+t-auth k",
        "rules",
    ];
    assert_eq!(changed, want);
    let told = r#"limit Told("{} told {\"m\":1}")"#;
    assert_eq!(world.chain("own"), [told, r#"other Told("{}")"#]);
    assert!(Arc::ptr_eq(&other_before, &world.routes["own"].chain.links[1].plugin), "another plugin stays as it is");
    for id in ["of-service", "of-config"] {
        assert_eq!(world.chain(id), [told], "{id}");
    }
    assert_eq!(world.links("k"), [told]);
    assert!(world.chain("off").is_empty());
    assert_eq!(format!("{} {:?}", "limit", world.global_rules.links[0].plugin), told);

    assert_eq!(world.put("plugin_metadata/limit", json!({"m": 1})), [""; 0], "nothing new");
    assert_eq!(world.put("plugin_metadata/other", json!({"m": 1})), [""; 0], "takes none");
    for unusable in [json!({"fails": true}), json!([]), json!("{")] {
        assert_eq!(world.put("plugin_metadata/limit", unusable), [""; 0]);
    }
    world.put("routes/own", route(with("limit")));
    assert_eq!(world.chain("own"), [told], "what is built later is told the same");

    // Who has it no more is not rebuilt any more.
    let no_more = [
        ("routes/own", route(with("other"))),
        ("services/s", Value::Null),
        ("routes/off", Value::Null),
        ("consumer_groups/g", json!({"plugins": {}})),
        ("consumers/ann", Value::Null),
        ("global_rules/r", Value::Null),
    ];
    world.batch(&no_more);
    assert_eq!(world.put("plugin_metadata/limit", Value::Null), ["+route of-config"]);
    assert_eq!(world.chain("of-config"), [r#"limit Told("{}")"#]);
}

#[test]
fn what_comes_together_is_built_by_it() {
    let mut world = World::new();
    let batch =
        [("routes/1", json!({"uri": "/", "plugins": {"limit": {}}})), ("plugin_metadata/limit", json!({"m": 2}))];
    assert_eq!(world.batch(&batch).0, ["+route 1"]);
    assert_eq!(world.chain("1"), [r#"limit Told("{} told {\"m\":2}")"#]);
}
