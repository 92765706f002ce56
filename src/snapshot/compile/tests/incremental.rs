//! Whatever the way to a configuration, workers end up with what compiling it at once gives.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

proptest! {
    #[test]
    fn every_way_leads_to_the_same_tables(batches in prop::collection::vec(prop::collection::vec(write(), 1..4), 1..24)) {
        let mut world = World::new();
        let mut names = BTreeSet::new();
        let mut end = BTreeMap::new();
        for batch in &batches {
            let before = world.revision;
            let writes: Vec<(&str, Value)> = batch.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
            let (changes, wanted, released) = world.batch(&writes);
            prop_assert!(changes.iter().all(|change| !change.starts_with('!')), "removed what was not there: {changes:?}");
            for name in wanted {
                prop_assert!(names.insert(name), "wanted twice");
            }
            for name in released {
                prop_assert!(names.remove(&name), "released and not wanted");
            }
            for (index, (key, value)) in batch.iter().enumerate() {
                end.insert(key.clone(), (before + 1 + index as u64, value.clone()));
            }
        }

        let mut fresh = World::new();
        let events: Vec<Event> = end
            .into_iter()
            .filter(|(_, (_, value))| !value.is_null())
            .map(|(key, (revision, value))| {
                Event { revision, key: format!("/apisix/{key}").into(), value: Some(value.to_string().into()) }
            })
            .collect();
        let compiled = fresh.compiler.apply(&events);
        prop_assert_eq!(names, compiled.names_wanted.into_iter().collect::<BTreeSet<_>>());
        fresh.take(compiled.changes);
        prop_assert_eq!(world.portrait(), fresh.portrait());
    }
}

impl World {
    /// Everything a worker has, without what legitimately differs: slots, versions, addresses in memory.
    fn portrait(&self) -> BTreeMap<String, String> {
        let links = |links: &[Link]| format!("{:?}", Chain::new(links.to_vec()).links);
        let mut portrait = BTreeMap::new();
        let mut slots_used = 0;
        for (id, route) in &self.routes {
            slots_used += usize::from(self.upstream_of(id).is_some());
            let Route { rule, target, timeouts, enable_websocket, .. } = &**route;
            let target = match target {
                Target::Upstream(_) => format!("upstream {:?}", self.upstream_of(id)),
                other => format!("{other:?}"),
            };
            let chain = links(&route.chain.links);
            portrait
                .insert(format!("route {id}"), format!("{rule:?} {target} {timeouts:?} {enable_websocket} {chain}"));
        }
        for (key, credential) in &self.credentials {
            let who = self.who(key).unwrap();
            let identity = &credential.identity;
            let group = &identity.group_id;
            portrait.insert(format!("credential {key}"), format!("{who} {group:?} {}", links(&identity.plugins)));
        }
        for (username, consumer) in &self.consumers {
            portrait.insert(format!("consumer {username}"), links(&consumer.anonymous.plugins));
        }
        let mut upstreams: Vec<_> = self.upstreams.values().map(|upstream| format!("{upstream:?}")).collect();
        upstreams.sort();
        portrait.insert("upstreams".into(), format!("{upstreams:?}"));
        portrait.insert("used".into(), slots_used.to_string());
        portrait.insert("rules".into(), links(&self.global_rules.links));
        portrait
    }
}

/// One write over a space of keys so small that everything collides.
fn write() -> impl Strategy<Value = (String, Value)> {
    let value = prop_oneof![
        route(),
        (plugins(), reference(), upstream()).prop_map(|(plugins, upstream_id, upstream)| (
            "services",
            json!({"plugins": plugins, "upstream_id": upstream_id, "upstream": upstream, "hosts": ["s.test"]})
        )),
        node().prop_map(|node| ("upstreams", json!({"nodes": {node: 1}}))),
        plugins().prop_map(|plugins| ("plugin_configs", json!({ "plugins": plugins }))),
        plugins().prop_map(|plugins| ("consumer_groups", json!({ "plugins": plugins }))),
        plugins().prop_map(|plugins| ("global_rules", json!({ "plugins": plugins }))),
        (0..2_u8).prop_map(|number| ("plugin_metadata", json!({"m": number}))),
        (plugins(), reference(), login()).prop_map(|(mut plugins, group_id, login)| {
            plugins.as_object_mut().unwrap().extend(login);
            ("consumers", json!({"username": "any", "plugins": plugins, "group_id": group_id}))
        }),
        login().prop_map(|login| ("consumers/1/credentials", json!({"plugins": Map::from_iter(login)}))),
        login().prop_map(|login| ("consumers/2/credentials", json!({"plugins": Map::from_iter(login)}))),
    ];
    (value, 1..3_u8, prop::bool::weighted(0.25)).prop_map(|((kind, value), id, is_removal)| {
        let id = match (kind, id) {
            ("plugin_metadata", 1) => "limit".to_owned(),
            ("plugin_metadata", _) => "other".to_owned(),
            _ => id.to_string(),
        };
        (format!("{kind}/{id}"), if is_removal { Value::Null } else { value })
    })
}

fn route() -> impl Strategy<Value = (&'static str, Value)> {
    (plugins(), reference(), reference(), reference(), upstream(), 0..4_u8).prop_map(
        |(plugins, service_id, plugin_config_id, upstream_id, upstream, status)| {
            (
                "routes",
                json!({"uri": "/", "plugins": plugins, "service_id": service_id, "upstream": upstream,
                    "plugin_config_id": plugin_config_id, "upstream_id": upstream_id, "status": status.min(1)}),
            )
        },
    )
}

fn reference() -> impl Strategy<Value = Value> {
    prop_oneof![2 => Just(Value::Null), 1 => Just(json!(1)), 1 => Just(json!("2"))]
}

fn upstream() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), node().prop_map(|node| json!({"nodes": {node: 2}}))]
}

fn node() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["10.0.0.1:80", "a.test:80", "A.test:81", "b.test", "bad host"])
}

fn plugins() -> impl Strategy<Value = Value> {
    let configuration = prop_oneof![
        3 => (0..3_u8).prop_map(|number| json!({"n": number})),
        1 => Just(json!({"_meta": {"disable": true}})),
        1 => Just(json!({"fails": true})),
    ];
    let name = prop::sample::select(vec!["limit", "other", "unknown"]);
    prop::collection::btree_map(name, configuration, 0..3).prop_map(|plugins| json!(plugins))
}

fn login() -> impl Strategy<Value = Option<(String, Value)>> {
    let login = prop_oneof![
        3 => prop::sample::select(vec!["k1", "k2"]).prop_map(|key| json!({"key": key})),
        1 => Just(json!({"key": "k1", "fails": true})),
        1 => Just(json!({"key": "k1", "secret": "$env://X"})),
    ];
    prop::option::weighted(0.8, login.prop_map(|login| ("t-auth".to_owned(), login)))
}
