use super::check::forbid_times;
use super::memory::Memory;
use super::*;
use serde_json::{Map, Value, json};
use std::borrow::Borrow;

fn state() -> Memory {
    Memory::holding([
        ("upstreams/1", json!({"id": "1", "nodes": {"a:80": 1}})),
        ("services/s", json!({"id": "s"})),
        ("consumers/jack", json!({"username": "jack", "plugins": {"jwt-auth": {"key": "jack-key", "secret": "s"}}})),
        ("consumers/bob", json!({"username": "bob"})),
        (
            "consumers/bob/credentials/c1",
            json!({"id": "c1", "plugins": {"jwt-auth": {"key": "bob-key", "secret": "s"}}}),
        ),
    ])
}

fn judge_at(directory: &str, parent: Option<&str>, id: Option<&str>, object: &Value) -> String {
    let kind = Kind::in_directory(directory).unwrap();
    let subject = Subject { kind, prefix: PREFIX, parent, id, rules: crate::plugin::Rules::default() };
    let mut object: Map<String, Value> = object.as_object().unwrap().clone();
    match subject.check(&state(), &mut object) {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

fn judge(directory: &str, object: &Value) -> String {
    judge_at(directory, None, None, object)
}

#[test]
fn every_schema_parses() {
    for kind in kind::KINDS {
        assert!(kind.schema.schema.is_ok(), "{}: {:?}", kind.word, kind.schema.schema);
    }
    for plugin in crate::plugin::registry::PLUGINS {
        for side in [crate::plugin::Side::Route, crate::plugin::Side::Consumer] {
            if let Some(document) = plugins::document(plugin.name, side) {
                assert!(document.schema.is_ok(), "{} {side:?}: {:?}", plugin.name, document.schema);
            }
        }
    }
}

/// A route with what it must have and `more`.
fn route(more: impl Borrow<Value>) -> Value {
    let mut route = json!({"id": "1", "uri": "/", "upstream": {"nodes": {"a:80": 1}}});
    route.as_object_mut().unwrap().extend(more.borrow().as_object().unwrap().clone());
    route
}

#[test]
fn routes() {
    let any_of = "invalid configuration: object matches none of the required: [\"plugins\",\"uri\"] or [\"upstream\",\"uri\"] \
                  or [\"upstream_id\",\"uri\"] or [\"service_id\",\"uri\"] or [\"plugins\",\"uris\"] or \
                  [\"upstream\",\"uris\"] or [\"upstream_id\",\"uris\"] or [\"service_id\",\"uris\"] or \
                  [\"script\",\"uri\"] or [\"script\",\"uris\"]";
    for (row, object, want) in [
        (
            "the seed's",
            json!({"id": "jwt-route", "uri": "/headers", "plugins": {"jwt-auth": {}}, "upstream": {"type": "roundrobin", "nodes": {"httpbin.org:80": 1}}}),
            "ok",
        ),
        (
            "everything",
            route(
                json!({"name": "n", "desc": "d", "labels": {"a": "b"}, "methods": ["GET"], "hosts": ["*.a.com"], "remote_addrs": ["10.0.0.0/8", "::1"], "priority": -1, "vars": [["arg_a", "==", "1"]], "timeout": {"connect": 1, "send": 0.5, "read": 3}, "status": 0, "enable_websocket": false}),
            ),
            "ok",
        ),
        ("integer id", route(json!({"id": 7, "upstream_id": 1, "service_id": "s"})), "ok"),
        (
            "no uri",
            json!({"id": "1", "upstream_id": "1"}),
            "invalid configuration: allOf 1 failed: value should match only one schema, but matches none",
        ),
        (
            "uri and uris",
            route(json!({"uris": ["/a"]})),
            "invalid configuration: allOf 1 failed: value should match only one schema, but matches both schemas 1 and 2",
        ),
        ("no target", json!({"id": "1", "uri": "/"}), any_of),
        ("plugin_config_id alone", json!({"id": "1", "uri": "/", "plugin_config_id": "1"}), any_of),
        (
            "host and hosts, before the schema",
            route(json!({"host": 1, "hosts": 2})),
            "only one of host or hosts is allowed",
        ),
        (
            "remote_addr and remote_addrs",
            route(json!({"remote_addr": "::1", "remote_addrs": []})),
            "only one of remote_addr or remote_addrs is allowed",
        ),
        (
            "remote_addr",
            route(json!({"remote_addr": "10.0.0.1/33"})),
            "invalid configuration: property \"remote_addr\" validation failed: object matches none of the required",
        ),
        (
            "remote_addrs",
            route(json!({"remote_addrs": ["10.0.0.1", "x"]})),
            "invalid configuration: property \"remote_addrs\" validation failed: failed to validate item 2: object matches none of the required",
        ),
        (
            "bad id",
            route(json!({"id": "a b"})),
            "invalid configuration: property \"id\" validation failed: object matches none of the required",
        ),
        (
            "id 0",
            route(json!({"id": 0})),
            "invalid configuration: property \"id\" validation failed: object matches none of the required",
        ),
        (
            "a reference for an id",
            route(json!({"id": "$env://X"})),
            "invalid configuration: property \"id\" validation failed: object matches none of the required",
        ),
        (
            "a reference for a method",
            route(json!({"methods": ["GET", "$env://M"]})),
            "invalid configuration: property \"methods\" validation failed: failed to validate item 2: matches none of the enum values",
        ),
        (
            "unknown member",
            route(json!({"colour": "red"})),
            "invalid configuration: additional properties forbidden, found colour",
        ),
        (
            "method",
            route(json!({"methods": ["get"]})),
            "invalid configuration: property \"methods\" validation failed: failed to validate item 1: matches none of the enum values",
        ),
        (
            "timeout",
            route(json!({"timeout": {"connect": 1, "send": 1}})),
            "invalid configuration: property \"timeout\" validation failed: property \"read\" is required",
        ),
        (
            "timeout 0",
            route(json!({"timeout": {"connect": 0, "send": 1, "read": 1}})),
            "invalid configuration: property \"timeout\" validation failed: property \"connect\" validation failed: expected 0 to be greater than 0",
        ),
        (
            "label",
            route(json!({"labels": {"a": "b c"}})),
            "invalid configuration: property \"labels\" validation failed: failed to validate a (matching \".*\"): failed to match pattern \"^\\S+$\" with \"b c\"",
        ),
        (
            "upstream_id",
            route(json!({"upstream_id": "9"})),
            "failed to fetch upstream info by upstream id [9], response code: 404",
        ),
        (
            "service_id",
            route(json!({"service_id": 9})),
            "failed to fetch service info by service id [9], response code: 404",
        ),
        (
            "plugin_config_id",
            route(json!({"plugin_config_id": "p"})),
            "failed to fetch plugin config info by plugin config id [p], response code: 404",
        ),
        (
            "an id that is a path",
            route(json!({"upstream_id": "$env://../1"})),
            "invalid configuration: property \"upstream_id\" validation failed: object matches none of the required",
        ),
        ("unknown plugin", route(json!({"plugins": {"nope": {}}})), "unknown plugin [nope]"),
        (
            "plugin conf not an object",
            route(json!({"plugins": {"jwt-auth": [1]}})),
            "invalid plugin conf [1] for plugin [jwt-auth]",
        ),
        (
            "references before plugins",
            route(json!({"plugins": {"nope": {}}, "upstream_id": "9"})),
            "failed to fetch upstream info by upstream id [9], response code: 404",
        ),
        (
            "_meta",
            route(
                json!({"plugins": {"jwt-auth": {"_meta": {"disable": false, "priority": 1, "error_response": {"a": 1}}}}}),
            ),
            "ok",
        ),
        (
            "_meta, unknown member",
            route(json!({"plugins": {"jwt-auth": {"_meta": {"x": 1}}}})),
            "failed to check the configuration of plugin jwt-auth err: property \"_meta\" validation failed: additional properties forbidden, found x",
        ),
        (
            "_meta.filter",
            route(json!({"plugins": {"jwt-auth": {"_meta": {"filter": [["arg_version", "=", "v2"]]}}}})),
            "failed to validate the 'vars' expression: invalid operator '='",
        ),
        (
            "vars",
            route(json!({"vars": ["a"]})),
            "failed to validate the 'vars' expression: rule should be wrapped inside brackets",
        ),
        (
            "filter_func",
            route(json!({"filter_func": "function() end"})),
            "invalid configuration: property \"filter_func\" of a route is not supported",
        ),
        (
            "script",
            json!({"id": "1", "uri": "/", "script": "local a = 1"}),
            "invalid configuration: property \"script\" of a route is not supported",
        ),
        (
            "script and plugins",
            route(json!({"script": "local a = 1", "plugins": {}})),
            "invalid configuration: value wasn't supposed to match schema",
        ),
        (
            "websocket",
            route(json!({"enable_websocket": true})),
            "invalid configuration: property \"enable_websocket\" is not supported, only false is",
        ),
    ] {
        assert_eq!(judge("routes", &object), want, "{row}");
    }
}

#[test]
fn upstreams() {
    let none = "invalid configuration: value should match only one schema, but matches none";
    for (row, members, want) in [
        ("hash", json!({"nodes": {"a": 1, "a:80": 0, "[::1]:80": 1, "::1": 1, "::1:1980": 1}}), "ok"),
        (
            "array",
            json!({"nodes": [{"host": "a", "weight": 1}, {"host": "[::1]", "port": 80, "weight": 1, "priority": -1}]}),
            "ok",
        ),
        ("empty", json!({"nodes": {}}), "ok"),
        ("empty array", json!({"nodes": []}), "ok"),
        (
            "all settings",
            json!({"nodes": {}, "type": "roundrobin", "scheme": "http", "pass_host": "node", "retries": 0, "retry_timeout": 0.5, "keepalive_pool": {"size": 1, "idle_timeout": 0, "requests": 9}}),
            "ok",
        ),
        ("no nodes", json!({}), none),
        (
            "nodes and discovery",
            json!({"nodes": {}, "service_name": "x", "discovery_type": "dns"}),
            "invalid configuration: value should match only one schema, but matches both schemas 1 and 2",
        ),
        (
            "weight",
            json!({"nodes": {"a:80": -1}}),
            "invalid configuration: property \"nodes\" validation failed: object matches none of the required",
        ),
        ("port 0", json!({"nodes": {"a:0": 1}}), "invalid port 0"),
        ("port 65536", json!({"nodes": {"a:65536": 1}}), "invalid port 65536"),
        ("port of brackets", json!({"nodes": {"[::1]:0": 1}}), "invalid port 0"),
        ("port not a number", json!({"nodes": {"a:b": 1}}), "invalid port b"),
        ("no host", json!({"nodes": {":80": 1}}), "invalid configuration: node \":80\" has no host"),
        (
            "bare IPv6 in an array",
            json!({"nodes": [{"host": "::1", "weight": 1}]}),
            "invalid configuration: IPv6 address must be enclosed with '[' and ']'",
        ),
        (
            "rewrite without host",
            json!({"nodes": {}, "pass_host": "rewrite"}),
            "`upstream_host` can't be empty when `pass_host` is `rewrite`",
        ),
        ("chash without key", json!({"nodes": {}, "type": "chash"}), "missing key"),
        (
            "chash by consumer",
            json!({"nodes": {}, "type": "chash", "hash_on": "consumer"}),
            "invalid configuration: upstream type \"chash\" is not supported, only roundrobin",
        ),
        (
            "unknown type",
            json!({"nodes": {}, "type": "luck"}),
            "invalid configuration: upstream type \"luck\" is not supported, only roundrobin",
        ),
        (
            "https",
            json!({"nodes": {}, "scheme": "https"}),
            "invalid configuration: upstream scheme \"https\" is not supported, only http",
        ),
        (
            "a reference for a word",
            json!({"nodes": {}, "pass_host": "$env://X"}),
            "invalid configuration: property \"pass_host\" validation failed: matches none of the enum values",
        ),
        (
            "checks",
            json!({"nodes": {}, "checks": {}}),
            "invalid configuration: property \"checks\" of an upstream is not supported",
        ),
        (
            "discovery",
            json!({"service_name": "x", "discovery_type": "dns"}),
            "invalid configuration: property \"service_name\" of an upstream is not supported",
        ),
        (
            "tls",
            json!({"nodes": {}, "tls": {}}),
            "invalid configuration: property \"tls\" of an upstream is not supported",
        ),
    ] {
        let mut object = members.clone();
        object["id"] = json!("1");
        assert_eq!(judge("upstreams", &object), want, "{row}");
        let inside = judge("services", &json!({"id": "1", "upstream": members}));
        let inside = inside
            .replace("invalid configuration: property \"upstream\" validation failed: ", "invalid configuration: ");
        assert_eq!(inside, want, "{row}, inside a service");
    }
    assert_eq!(
        judge("upstreams", &json!({"id": "1", "nodes": {}, "retries": 1.0})),
        "invalid configuration: invalid type: floating point `1.0`, expected u32",
    );
}

#[test]
fn services() {
    for (row, object, want) in [
        ("empty", json!({"id": "1"}), "ok"),
        (
            "upstream_id",
            json!({"id": "1", "upstream_id": "x"}),
            "failed to fetch upstream info by upstream id [x], response code: 404",
        ),
        ("uri", json!({"id": "1", "uri": "/"}), "invalid configuration: additional properties forbidden, found uri"),
        (
            "script",
            json!({"id": "1", "script": "local a = 1"}),
            "invalid configuration: property \"script\" of a service is not supported",
        ),
        (
            "websocket",
            json!({"id": "1", "enable_websocket": true}),
            "invalid configuration: property \"enable_websocket\" is not supported, only false is",
        ),
        (
            "host",
            json!({"id": "1", "hosts": ["a b"]}),
            "invalid configuration: property \"hosts\" validation failed: failed to validate item 1: failed to match pattern \"^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$\" with \"a b\"",
        ),
    ] {
        assert_eq!(judge("services", &object), want, "{row}");
    }
}

#[test]
fn consumers() {
    let jwt = |key: &str| json!({"jwt-auth": {"key": key, "secret": "s"}});
    for (row, id, object, want) in [
        ("plain", None, json!({"username": "new"}), "ok"),
        ("name repeated", Some("new"), json!({"username": "new", "labels": {"custom_id": "1"}}), "ok"),
        ("no username", Some("new"), json!({}), "invalid configuration: property \"username\" is required"),
        ("wrong username", Some("x"), json!({"username": "new"}), "wrong username"),
        (
            "dotted",
            None,
            json!({"username": "a.b"}),
            "invalid configuration: property \"username\" validation failed: failed to match pattern \"^[a-zA-Z0-9_\\-]+$\" with \"a.b\"",
        ),
        (
            "a reference",
            None,
            json!({"username": "$env://X"}),
            "invalid configuration: property \"username\" validation failed: failed to match pattern \"^[a-zA-Z0-9_\\-]+$\" with \"$env://X\"",
        ),
        (
            "a custom id with a control character",
            None,
            json!({"username": "new", "labels": {"custom_id": "a\u{1}b"}}),
            "invalid configuration: property \"labels\" validation failed: custom_id has control characters",
        ),
        (
            "a reference for a custom id",
            None,
            json!({"username": "new", "labels": {"custom_id": "$env://a b"}}),
            "invalid configuration: property \"labels\" validation failed: failed to validate custom_id (matching \".*\"): failed to match pattern \"^\\S+$\" with \"$env://a b\"",
        ),
        (
            "name",
            None,
            json!({"username": "new", "name": "n"}),
            "invalid configuration: additional properties forbidden, found name",
        ),
        (
            "unknown plugin",
            None,
            json!({"username": "new", "plugins": {"nope": {}}}),
            "invalid plugins configuration: unknown plugin [nope]",
        ),
        ("own key again", None, json!({"username": "jack", "plugins": jwt("jack-key")}), "ok"),
        ("key of its own credential", None, json!({"username": "bob", "plugins": jwt("bob-key")}), "ok"),
        (
            "key of a consumer",
            None,
            json!({"username": "new", "plugins": jwt("jack-key")}),
            "duplicate key of plugin jwt-auth found with consumer: jack",
        ),
        (
            "key of a credential",
            None,
            json!({"username": "new", "plugins": jwt("bob-key")}),
            "duplicate key of plugin jwt-auth found with credential: c1 of consumer: bob",
        ),
        (
            "a prefix of the owner's name",
            None,
            json!({"username": "bo", "plugins": jwt("bob-key")}),
            "duplicate key of plugin jwt-auth found with credential: c1 of consumer: bob",
        ),
        (
            "group",
            None,
            json!({"username": "new", "group_id": "g"}),
            "failed to fetch consumer group info by consumer group id [g], response code: 404",
        ),
        (
            "duplicate before group",
            None,
            json!({"username": "new", "group_id": "g", "plugins": jwt("jack-key")}),
            "duplicate key of plugin jwt-auth found with consumer: jack",
        ),
    ] {
        assert_eq!(judge_at("consumers", None, id, &object), want, "{row}");
    }
}

#[test]
fn credentials() {
    let jwt = |key: &str| json!({"id": "c", "plugins": {"jwt-auth": {"key": key, "secret": "s"}}});
    let own = json!({"id": "c1", "plugins": {"jwt-auth": {"key": "bob-key", "secret": "s"}}});
    for (row, parent, object, want) in [
        ("new", "bob", jwt("k"), "ok"),
        ("no plugins", "bob", json!({"id": "c"}), "ok"),
        ("own key again", "bob", own, "ok"),
        (
            "key of a sibling",
            "bob",
            jwt("bob-key"),
            "duplicate key of plugin jwt-auth found with credential: c1 of consumer: bob",
        ),
        ("key of its consumer", "jack", jwt("jack-key"), "duplicate key of plugin jwt-auth found with consumer: jack"),
        (
            "two plugins",
            "bob",
            json!({"id": "c", "plugins": {"a": {}, "b": {}}}),
            "invalid configuration: property \"plugins\" validation failed: expect object to have at most 1 properties",
        ),
        (
            "unknown plugin",
            "bob",
            json!({"id": "c", "plugins": {"a": {}}}),
            "invalid plugins configuration: unknown plugin [a]",
        ),
        ("consumer absent", "eve", jwt("k"), "consumer not found"),
        (
            "duplicate before consumer",
            "eve",
            jwt("jack-key"),
            "duplicate key of plugin jwt-auth found with consumer: jack",
        ),
        ("a consumer that is a path", "bob/credentials/c1", jwt("k"), "consumer not found"),
    ] {
        assert_eq!(judge_at("credentials", Some(parent), None, &object), want, "{row}");
    }
}

#[test]
fn times_are_not_for_clients() {
    for (object, want) in [
        (json!({"create_time": 1, "update_time": 2}), "the property is forbidden:  create_time"),
        (json!({"update_time": 2}), "the property is forbidden:  update_time"),
        (json!({"upstream": {"create_time": 1}}), "the property is forbidden:  upstream.create_time"),
        (json!({"plugins": {"update_time": {}}}), "the property is forbidden:  plugins.update_time"),
        (json!({"upstream": {"nodes": {"create_time": 1}}}), "ok"),
    ] {
        let ended = forbid_times(object.as_object().unwrap()).map_or_else(|text| text, |()| "ok".to_owned());
        assert_eq!(ended, want);
    }
}
