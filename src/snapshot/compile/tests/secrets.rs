//! References to secrets: what is held, what it stands for, and what changes when that does.

use super::*;
use crate::secret::board::State;

fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("k".into()),
        "EMPTY" => Some(String::new()),
        "JSON" => Some(r#"{"a": "from json"}"#.into()),
        "FAILS" => Some("$env://KEY".into()),
        _ => None,
    }
}

fn world() -> (World, Arc<Board>) {
    let board: Arc<Board> = Arc::default();
    let mut world = World::new();
    world.compiler = world.compiler.resolving(environment, Arc::clone(&board));
    (world, board)
}

/// One write; the changes in brief, and the references wanted and released.
fn write(world: &mut World, key: &str, value: Option<&Value>) -> (Vec<String>, Vec<String>, Vec<String>) {
    world.revision += 1;
    let value = value.map(|value| value.to_string().into());
    let event = Event { revision: world.revision, key: format!("/apisix/{key}").into(), value };
    let compiled = world.compiler.apply(&[event]);
    let texts = |list: Vec<Box<str>>| list.into_iter().map(String::from).collect();
    let (wanted, released) = (texts(compiled.secrets_wanted), texts(compiled.secrets_released));
    (world.take(compiled.changes), wanted, released)
}

fn found(world: &mut World, reference: &str, value: Option<&str>) -> Vec<String> {
    let compiled = world.compiler.secret(reference, value.map(|value| Secret::new(value.to_owned())));
    world.take(compiled.changes)
}

const SECRET: &str = "$secret://vault/1/jack/secret";

#[test]
fn the_environment_is_read_at_any_depth() {
    let (mut world, board) = world();
    let conf = json!({"a": ["$env://KEY", {"b": "$ENV://JSON/a"}], "c": "$env://EMPTY", "d": "$env://KEY_", "e": "x$env://KEY"});
    world.put("routes/1", json!({"uri": "/", "plugins": {"limit": conf}}));
    let resolved = json!({"a": ["k", {"b": "from json"}], "c": "", "d": "$env://KEY_", "e": "x$env://KEY"});
    assert_eq!(world.chain("1"), [format!("limit Told({:?})", resolved.to_string())]);
    assert_eq!((board.count(State::Fresh), board.count(State::Failing)), (3, 1));
    world.put("routes/1", json!({"uri": "/", "plugins": {"limit": {"a": "$env://KEY_", "_meta": {"disable": true}}}}));
    assert!(board.report().is_empty(), "what is switched off holds nothing");
}

#[test]
fn a_plugin_whose_secret_is_missing_refuses_until_it_is_there() {
    let (mut world, _) = world();
    let conf = json!({"deep": [{"secret": SECRET}], "other": SECRET});
    let (_, wanted, _) = write(&mut world, "routes/1", Some(&json!({"uri": "/", "plugins": {"secretive": conf}})));
    assert_eq!(wanted, [SECRET]);
    assert_answers(&world.routes["1"].chain.links, 500, "secretive");
    assert_eq!(found(&mut world, SECRET, Some("s")), ["+route 1"]);
    assert_eq!(world.chain("1"), [format!("secretive Told({:?})", r#"{"deep":[{"secret":"s"}],"other":"s"}"#)]);
    assert_eq!(found(&mut world, SECRET, Some("s")), [""; 0], "the same again changes nothing");
    assert_eq!(found(&mut world, SECRET, None), ["+route 1"]);
    assert_answers(&world.routes["1"].chain.links, 500, "secretive");
    let malformed = json!({"uri": "/", "plugins": {"secretive": {"deep": {"secret": "$secret://vault"}}}});
    let (_, wanted, released) = write(&mut world, "routes/1", Some(&malformed));
    assert_eq!((wanted.len(), released), (0, vec![SECRET.to_owned()]));
    assert_answers(&world.routes["1"].chain.links, 500, "malformed");
}

/// As in APISIX, where somebody asks for it.
#[test]
fn a_secret_that_is_missing_may_be_its_own_text_where_that_is_switched_on() {
    let (mut world, _) = world();
    world.compiler = world.compiler.using_unresolved_literals(true);
    let conf = json!({"deep": {"secret": SECRET}});
    world.put("routes/1", json!({"uri": "/", "plugins": {"secretive": conf}}));
    assert_eq!(world.chain("1"), [format!("secretive Told({:?})", conf.to_string())]);
    let filtered = json!({"_meta": {"filter": [["arg_tenant", "==", SECRET]]}});
    world.put("routes/1", json!({"uri": "/", "plugins": {"limit": filtered}}));
    assert_answers(&world.routes["1"].chain.links, 500, "not in a filter");
}

/// Compared with its own text, it would hold for no request, and switch its plugin off.
#[test]
fn a_filter_whose_reference_is_not_resolved_does_not_switch_its_plugin_off() {
    let (mut world, _) = world();
    let conf = json!({"_meta": {"filter": [["arg_tenant", "==", SECRET]]}});
    world.put("routes/1", json!({"uri": "/", "plugins": {"limit": conf}}));
    assert_answers(&world.routes["1"].chain.links, 500, "awaited");
    assert_eq!(found(&mut world, SECRET, None), ["+route 1"], "that there is none is said once");
    assert_eq!(found(&mut world, SECRET, None), [""; 0]);
    assert_answers(&world.routes["1"].chain.links, 500, "unresolved");
    found(&mut world, SECRET, Some("acme"));
    assert_eq!(world.chain("1"), ["limit Told(\"{}\")"]);
    assert!(world.routes["1"].chain.links[0].filter.is_some());
}

#[test]
fn a_reference_without_room_is_wanted_by_a_later_write() {
    let (mut world, _) = world();
    let many: Vec<_> = (0..crate::secret::REFERENCES_MAX).map(|n| format!("$secret://vault/1/many/{n}")).collect();
    let full = json!({"uri": "/", "plugins": {"limit": {"a": many}}});
    assert_eq!(write(&mut world, "routes/full", Some(&full)).1.len(), many.len());
    let route = json!({"uri": "/", "plugins": {"secretive": {"deep": {"secret": SECRET}}}});
    assert_eq!(write(&mut world, "routes/1", Some(&route)).1, [""; 0]);
    assert_answers(&world.routes["1"].chain.links, 500, "no room");
    assert_eq!(write(&mut world, "routes/full", None).2.len(), many.len());
    assert_eq!(write(&mut world, "routes/1", Some(&route)).1, [SECRET]);
}

#[test]
fn a_credential_is_nobodys_until_its_secret_is_there() {
    let (mut world, board) = world();
    world.put("consumers/jack", consumer("jack"));
    let conf = json!({"plugins": {"t-auth": {"key": "k1", "secret": SECRET}}});
    let (changes, wanted, _) = write(&mut world, "consumers/jack/credentials/c", Some(&conf));
    assert_eq!((changes, wanted), (vec![], vec![SECRET.to_owned()]));
    assert_eq!(board.count(State::Waiting), 1);
    assert_eq!(found(&mut world, SECRET, Some("s")), ["+t-auth k1"]);
    assert_eq!(world.who("k1").as_deref(), Some("jack/c"));
    let version = world.credentials["k1"].version;
    assert_eq!(found(&mut world, SECRET, Some("rotated")), ["+t-auth k1"]);
    assert!(world.credentials["k1"].version > version, "what was verified before does not count");
    assert_eq!(found(&mut world, SECRET, None), ["-t-auth k1"]);
    let (_, _, released) = write(&mut world, "consumers/jack/credentials/c", None);
    assert_eq!(released, [SECRET]);
    assert_eq!(found(&mut world, SECRET, Some("late")), [""; 0]);
}

#[test]
fn the_lookup_attribute_may_be_a_reference() {
    let (mut world, _) = world();
    world.put("consumers/jack", consumer("jack"));
    let credential = |key: &str| json!({"plugins": {"t-auth": {"key": key}}});
    assert_eq!(world.put("consumers/jack/credentials/c", credential("$env://KEY")), ["+t-auth k"]);
    for unusable in ["$env://KEY_", "$env://FAILS", "$env://EMPTY", "$env://JSON/b"] {
        world.put("consumers/jack/credentials/c", credential(unusable));
        assert!(world.credentials.is_empty(), "{unusable}");
    }
}

#[test]
fn a_reference_is_wanted_once_and_released_with_its_last_holder() {
    let (mut world, _) = world();
    let route = json!({"uri": "/", "plugins": {"limit": {"a": SECRET}}});
    assert_eq!(write(&mut world, "routes/1", Some(&route)).1, [SECRET]);
    assert_eq!(write(&mut world, "global_rules/1", Some(&route)).1, [""; 0]);
    assert_eq!(found(&mut world, SECRET, Some("s")), ["rules", "+route 1"]);
    assert_eq!(write(&mut world, "routes/1", None).2, [""; 0]);
    assert_eq!(write(&mut world, "global_rules/1", None).2, [SECRET]);
}

#[test]
fn a_value_that_does_not_fit_is_not_quoted() {
    let reason = |text: &str| without(text, &json!({"a": ["hunter2"]}));
    assert_eq!(reason("failed to match pattern with \"hunter2\""), "a resolved value cannot be used");
    assert_eq!(reason("property is required"), "property is required");
}

fn without(reason: &str, configuration: &Value) -> String {
    plugins::without_values(reason.to_owned(), configuration)
}
