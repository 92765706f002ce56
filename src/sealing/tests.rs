//! Formats against published vectors, the walk over members, and that no schema has a secret that is not listed.

use super::*;
use crate::plugin::registry::PLUGINS;
use crate::resource::kind::KINDS;
use crate::store::memory::MemoryStore;
use crate::store::{Op, Store};
use proptest::prelude::*;
use serde_json::{Map, json};

const JACK: &str = "/apisix/consumers/jack";
const ROUTE: &str = "/apisix/routes/1";

fn public() -> Keyring {
    Keyring::new(Keyring::PUBLIC).unwrap()
}

fn authenticated() -> Sealing {
    Sealing::new(Format::Authenticated, vec![Key::generate().unwrap()], Keyring::default())
}

fn text(value: &Value) -> Arc<str> {
    value.to_string().into()
}

fn jwt(secret: &str) -> Value {
    json!({"username": "jack", "plugins": {"jwt-auth": {"key": "jack-key", "secret": secret}}})
}

fn secret_of(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    value["plugins"]["jwt-auth"]["secret"].as_str().unwrap_or_default().to_owned()
}

/// spec/consumers-credentials-secrets §6, spec/admin-api §9.
#[test]
fn apisix_vectors() {
    let (first, second) = ("qeddd145sfvddff3", "edd1c9f0985e76a2");
    for (key, clear, sealed) in [
        (second, "my-secret-key", "IRWpPjbDq5BCgHyIllnOMA=="),
        (first, "my-secret-key", "kK0lkbzXrE7aiTiyK/Z0Sw=="),
        (
            first,
            "jack-hs256-secret-that-is-very-long",
            "LCbMMGEYdDUPPR/xHKxc1e9u525gjSl2h3WFsihoS4XMC69V2Ijfn7csCT/+eDBd",
        ),
        ("qeddd145sfvddff3qeddd145sfvddff3", "my-secret-key", "brexdr7KOePlCgu0EOoirw=="),
        (first, "the-key", "JCX7x1qN5e9kHt0GuJfWpw=="),
        (first, "the-password", "WvF5kpaLvIzjuk4GNIMTJg=="),
        (first, "new-key", "523EisB/dvqlIT9RzfF3ZQ=="),
    ] {
        let keyring = Keyring::new([key]).unwrap();
        assert_eq!(keyring.seal(clear).as_deref(), Some(sealed), "{clear}");
        assert_eq!(keyring.open(sealed).as_deref(), Some(clear), "{sealed}");
    }
}

#[test]
fn a_keyring_seals_with_its_first_key_and_opens_with_any() {
    let old = Keyring::new(["0123456789abcdef"]).unwrap();
    let both = Keyring::new(["fedcba9876543210fedcba9876543210", "0123456789abcdef"]).unwrap();
    let sealed = old.seal("s3cret").unwrap();
    assert_eq!(both.open(&sealed).as_deref(), Some("s3cret"));
    assert_eq!(old.open(&both.seal("s3cret").unwrap()), None);
    for clear in ["", "plain", "$secret://vault/1/a", "-----BEGIN PRIVATE KEY-----", "AAAA", "kK0lkbzXrE7aiTiyK/Z0Sw="]
    {
        assert_eq!(public().open(clear), None, "{clear:?}");
    }
    assert_eq!(Keyring::default().seal("x"), None);
    assert!(Keyring::new(["short"]).is_none());
    assert_eq!(format!("{both:?}"), "Keyring(2 keys)");
}

#[test]
fn an_authenticated_text_opens_only_where_it_was_made() {
    let sealing = authenticated();
    let sealed = sealing.seal(JACK, &text(&jwt("s3cret"))).unwrap();
    let secret = secret_of(&sealed);
    assert!(secret.starts_with("ringgate:v1:") && !sealed.contains("s3cret"), "{sealed}");
    assert_ne!(secret, secret_of(&sealing.seal(JACK, &text(&jwt("s3cret"))).unwrap()), "a nonce of its own");
    assert_eq!(secret_of(&sealing.open(JACK, &sealed).text), "s3cret");

    let mut forged = secret.clone().into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let other_key = authenticated().seal(JACK, &text(&jwt("s3cret"))).unwrap();
    for (row, key, stored, reason) in [
        ("another object", "/apisix/consumers/eve", sealed.to_string(), "it was changed, or sealed for another"),
        ("a changed byte", JACK, jwt(&forged).to_string(), "it was changed, or sealed for another"),
        ("another key", JACK, other_key.to_string(), "it is sealed under key "),
        ("a later version", JACK, jwt("ringgate:v2:x").to_string(), "it is not of the form"),
        ("no text", JACK, jwt("ringgate:v1:").to_string(), "it is not of the form"),
        ("no base64", JACK, jwt(&format!("{}!", &secret[..40])).to_string(), "it is not of the form"),
    ] {
        let opened = sealing.open(key, &stored.into());
        let closed = opened.closed.unwrap_or_default();
        let want = format!("plugins.jwt-auth.secret cannot be opened: {reason}");
        assert!(closed.starts_with(&want), "{row}: {closed}");
        let value: Value = serde_json::from_str(&opened.text).unwrap();
        assert_eq!(value["plugins"]["jwt-auth"], json!(closed), "{row}: nothing of it is left to use");
        assert_eq!(value["username"], "jack", "{row}");
    }
    let moved = json!({"plugins": {"jwt-auth": {"key": "k", "private_key": secret}}});
    assert!(sealing.open(JACK, &text(&moved)).closed.is_some(), "another member");
}

#[test]
fn what_is_switched_off_stays_so() {
    let stored = json!({"plugins": {"jwt-auth": {"secret": "ringgate:v1:x", "_meta": {"disable": true}}}});
    let opened = authenticated().open(JACK, &text(&stored));
    assert!(opened.closed.is_some());
    assert_eq!(*opened.text, *stored.to_string());
}

#[test]
fn text_that_looks_sealed_is_sealed_like_any_other() {
    let sealing = authenticated();
    let of_bob = sealing.seal("/apisix/consumers/bob", &text(&jwt("s"))).unwrap();
    for looks in [of_bob, text(&jwt("ringgate:v1:0123456789abcdef")), text(&jwt("ringgate:v2:x"))] {
        let sealed = sealing.seal(JACK, &looks).unwrap();
        assert_ne!(sealed, looks);
        assert_eq!(sealing.open(JACK, &sealed).text, looks);
        assert_eq!(sealing.meant(JACK, &looks), looks);
    }
    assert_eq!(secret_of(&sealing.seal(JACK, &text(&jwt("ringgatex"))).unwrap()).get(..12), Some("ringgate:v1:"));
    let clear = sealing.open(JACK, &text(&jwt("ringgate:vx:")));
    assert_eq!((clear.closed, clear.in_clear), (None, 1), "an old text of that kind is no sealed one");
}

/// A write may bring what an earlier one was answered with, or what was read while its key was not there.
#[test]
fn what_is_sealed_for_its_place_stays_as_it_is() {
    let sealing = authenticated();
    let clear = text(&jwt("s"));
    let sealed = sealing.seal(JACK, &clear).unwrap();
    assert_eq!(sealing.seal(JACK, &sealed).unwrap(), sealed);
    assert_eq!(sealing.meant(JACK, &sealed), clear);

    let mut off: Value = serde_json::from_str(&sealed).unwrap();
    off["plugins"]["jwt-auth"]["_meta"] = json!({"disable": true});
    let without_key = authenticated();
    let read = without_key.open(JACK, &text(&off));
    assert_eq!(*read.text, *text(&off), "a plugin that is switched off");
    assert_eq!(without_key.seal(JACK, &read.text).unwrap(), read.text);
    assert_eq!(secret_of(&sealing.open(JACK, &read.text).text), "s", "when the key is there again");
    // Switched on by that write, it is not used.
    assert!(!without_key.meant(JACK, &sealed).contains("ringgate:v1:"));

    let store = SealedStore::new(MemoryStore::new(), sealing);
    let put = |value: Arc<str>| vec![vec![Op::Put { key: JACK.into(), value, expires_unix_s: None }]];
    let events = store.commit(&put(sealed)).unwrap();
    assert_eq!(events[0].value.as_ref(), Some(&clear), "what is compiled");
    assert_eq!(store.get(JACK).unwrap().unwrap().value, clear);
}

/// Whether `secret` cannot be mistaken for a sealed text.
fn is_plain(secret: &str, sealing: &Sealing) -> bool {
    !secret.starts_with("ringgate:v1:") && sealing.keyring.open(secret).is_none()
}

#[test]
fn what_is_written_in_the_clear_comes_back_as_it_was() {
    for keyring in [public(), Keyring::default()] {
        let sealing = Sealing::new(Format::Clear, vec![Key::generate().unwrap()], keyring);
        for secret in ["plain", "IRWpPjbDq5BCgHyIllnOMA==", "ringgate:v1:x:y", "$env://A"] {
            let clear = text(&jwt(secret));
            let stored = sealing.seal(JACK, &clear).unwrap();
            assert_eq!(
                (sealing.open(JACK, &stored).text, stored == clear),
                (clear, is_plain(secret, &sealing)),
                "{secret}"
            );
        }
    }
}

#[test]
fn secrets_are_found_by_kind() {
    let sealing = Sealing::new(Format::Apisix, Vec::new(), public());
    let plugins = json!({"plugins": {
        "jwt-auth": {"key": "k", "secret": "the-key", "private_key": ["the-key", 1, ["the-key"]]},
        "limit-count": {"count": 1, "redis_password": "the-password", "sentinel_password": {"a": "new-key", "b": 1}},
        "unknown": {"secret": "the-key"},
    }});
    let sealed = |key: &str, object: &Value| -> Value {
        serde_json::from_str(&sealing.seal(key, &text(object)).unwrap()).unwrap()
    };
    let limit = json!({"count": 1, "redis_password": "WvF5kpaLvIzjuk4GNIMTJg==",
        "sentinel_password": {"a": "523EisB/dvqlIT9RzfF3ZQ==", "b": 1}});
    let auth = json!({"key": "k", "secret": "JCX7x1qN5e9kHt0GuJfWpw==",
        "private_key": ["JCX7x1qN5e9kHt0GuJfWpw==", 1, ["the-key"]]});
    for key in ["routes/1", "services/1", "plugin_configs/1", "consumer_groups/1", "global_rules/1"] {
        let found = sealed(&format!("/apisix/{key}"), &plugins);
        assert_eq!(found["plugins"]["limit-count"], limit, "{key}");
        assert_eq!(found["plugins"]["jwt-auth"], plugins["plugins"]["jwt-auth"], "{key}: the route side has no secret");
    }
    for key in ["consumers/jack", "consumers/jack/credentials/c"] {
        let found = sealed(&format!("/apisix/{key}"), &plugins);
        assert_eq!((&found["plugins"]["limit-count"], &found["plugins"]["jwt-auth"]), (&limit, &auth), "{key}");
        assert_eq!(found["plugins"]["unknown"], plugins["plugins"]["unknown"], "{key}");
    }
    let manager = json!({"token": "the-key", "secret_access_key": "the-key", "session_token": "the-key",
        "auth_config": {"private_key": "the-key", "client_email": "e"}});
    let secret = "JCX7x1qN5e9kHt0GuJfWpw==";
    for (key, pointers) in [
        ("secrets/vault/1", vec!["/token"]),
        ("secrets/aws/1", vec!["/secret_access_key", "/session_token"]),
        ("secrets/gcp/1", vec!["/auth_config/private_key"]),
        ("secrets/other/1", vec![]),
        ("upstreams/1", vec![]),
    ] {
        let mut want = manager.clone();
        for pointer in pointers {
            *want.pointer_mut(pointer).unwrap() = json!(secret);
        }
        assert_eq!(sealed(&format!("/apisix/{key}"), &manager), want, "{key}");
    }
    let metadata = json!({"redis_password": "the-password"});
    let found = sealed("/apisix/plugin_metadata/limit-count", &metadata);
    assert_eq!(found, json!({"redis_password": "WvF5kpaLvIzjuk4GNIMTJg=="}));
    let closed = authenticated().open("/apisix/secrets/vault/1", &text(&json!({"token": "ringgate:v1:x"})));
    assert!(closed.text.starts_with("\"token cannot be opened"), "{}", closed.text);
}

#[test]
fn a_sealed_store_shows_what_was_put_in() {
    let store = SealedStore::new(MemoryStore::new(), authenticated());
    let clear = text(&jwt("s3cret"));
    let put = |value: &Arc<str>| Op::Put { key: JACK.into(), value: Arc::clone(value), expires_unix_s: Some(7) };
    let gone = Op::Delete { key: ROUTE.into() };
    let events = store.commit(&[vec![gone.clone(), put(&clear)], vec![gone, put(&clear)]]).unwrap();
    assert_eq!(events.iter().map(|event| event.value.as_ref()).collect::<Vec<_>>(), [Some(&clear), Some(&clear)]);
    let item = store.get(JACK).unwrap().unwrap();
    assert_eq!((&item.value, item.expires_unix_s), (&clear, Some(7)));
    assert_eq!(store.range("", None, 9).unwrap(), [item]);
    let stored = store.stored_form(JACK, jwt("s3cret"), 2);
    assert_eq!(stored, store.stored_form(JACK, jwt("s3cret"), 2), "what the store has, not something like it");
    assert!(stored["plugins"]["jwt-auth"]["secret"].as_str().unwrap().starts_with("ringgate:v1:"));
    assert_ne!(stored, store.stored_form(JACK, jwt("s3cret"), 1), "another write's");
    let no_key = SealedStore::new(MemoryStore::new(), Sealing::new(Format::Authenticated, vec![], public()));
    let error = no_key.commit(&[vec![put(&clear)]]).unwrap_err().to_string();
    assert_eq!(
        (error.as_str(), no_key.revision()),
        ("/apisix/consumers/jack: there is no key to seal secrets with", 0)
    );
}

#[test]
fn key_files_are_private_whole_and_kept() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys/secret.key");
    assert!(KeyFile::read(&path).unwrap().is_none());
    let first = KeyFile::create(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mut again = KeyFile::create(&path).unwrap();
    assert_eq!(again.keys(), first.keys(), "one that is there is not replaced");
    again.add().unwrap();
    let read = KeyFile::read(&path).unwrap().unwrap();
    assert_eq!((read.keys(), read.keys().len(), &read.keys()[1]), (again.keys(), 2, &first.keys()[0]));
    assert_eq!(again.drop_old().unwrap(), 1);
    assert_eq!(KeyFile::read(&path).unwrap().unwrap().keys(), &read.keys()[..1]);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays");
    let shown = format!("{again:?}");
    assert!(!shown.contains(&**again.keys()[0].to_text()), "{shown}");
    for (content, want) in [("# nothing\n", "expected at least one key"), ("\nAAAA\n", "line 2: expected a key")] {
        std::fs::write(&path, content).unwrap();
        let error = KeyFile::read(&path).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn rotation_seals_what_is_old_and_leaves_what_it_cannot_open() {
    let (old, new, lost) = (Key::generate().unwrap(), Key::generate().unwrap(), Key::generate().unwrap());
    let store = MemoryStore::new();
    let put = |name: &str, sealing: &Sealing| {
        let key = format!("/apisix/consumers/{name}");
        let value = sealing.seal(&key, &text(&jwt(name))).unwrap();
        store.commit(&[vec![Op::Put { key: key.into(), value, expires_unix_s: Some(9) }]]).unwrap();
    };
    put("clear", &Sealing::new(Format::Clear, vec![], Keyring::default()));
    put("cbc", &Sealing::new(Format::Apisix, vec![], public()));
    put("old", &Sealing::new(Format::Authenticated, vec![old.clone()], public()));
    put("lost", &Sealing::new(Format::Authenticated, vec![lost], public()));
    let sealing = Sealing::new(Format::Authenticated, vec![new.clone(), old], public());
    let rotated = rotate::rotate(&store, &sealing).unwrap();
    assert_eq!((rotated.sealed, rotated.closed.len()), (3, 1));
    assert_eq!(&*rotated.closed[0].0, "/apisix/consumers/lost");
    assert_eq!(rotate::rotate(&store, &sealing).unwrap().sealed, 0, "done is done");
    let newest_only = Sealing::new(Format::Authenticated, vec![new], Keyring::default());
    for name in ["clear", "cbc", "old"] {
        let item = store.get(&format!("/apisix/consumers/{name}")).unwrap().unwrap();
        assert_eq!(item.expires_unix_s, Some(9));
        assert_eq!(secret_of(&newest_only.open(&item.key, &item.value).text), name);
    }
}

/// Members that are named like secrets and are none: holder, path, why.
const NO_SECRETS: &[(&str, &str, &str)] = &[
    ("jwt-auth", "key", "the name of a credential: it stands in the clear in every token"),
    ("secrets", "auth_config.token_uri", "an address"),
];

/// Whether a member of that name is expected to be a secret. `key` is one where it is what a client shows to be let in.
fn sounds_secret(name: &str, on_consumer: bool) -> bool {
    let parts = ["secret", "password", "passwd", "token", "private_key", "api_key", "client_key", "credential"];
    parts.iter().any(|part| name.contains(part)) || (on_consumer && name == "key")
}

/// Dotted paths of all members that `schema` names, except switches, numbers, and texts from a fixed list.
fn members(schema: &Value, path: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            for (word, inner) in object {
                match (word.as_str(), inner) {
                    ("properties" | "patternProperties", Value::Object(properties)) => {
                        for (name, schema) in properties {
                            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                            let kind = schema["type"].as_str().unwrap_or_default();
                            if !matches!(kind, "boolean" | "integer" | "number") && schema.get("enum").is_none() {
                                found.push(path.clone());
                            }
                            members(schema, &path, found);
                        }
                    }
                    ("default" | "enum" | "required", _) => {}
                    _ => members(inner, path, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| members(item, path, found)),
        _ => {}
    }
}

#[test]
fn no_schema_has_a_secret_that_is_not_sealed() {
    let mut missing = Vec::new();
    let mut judge = |holder: &str, schema: &Value, listed: &[&str], on_consumer: bool| {
        let mut found = Vec::new();
        members(schema, "", &mut found);
        for path in found {
            let name = path.rsplit('.').next().unwrap();
            let is_known = NO_SECRETS.iter().any(|(plugin, member, _)| (*plugin, *member) == (holder, &*path));
            if sounds_secret(name, on_consumer) && !is_known && !listed.contains(&&*path) {
                missing.push(format!("{holder}: {path}"));
            }
        }
    };
    for plugin in PLUGINS {
        judge(plugin.name, &serde_json::from_str(plugin.schema).unwrap(), plugin.encrypted_fields, false);
        if let Some(auth) = &plugin.auth {
            judge(plugin.name, &serde_json::from_str(auth.consumer_schema).unwrap(), auth.encrypted_fields, true);
        }
    }
    for kind in KINDS {
        let rows = fields::OBJECTS.iter().filter(|row| row.0 == kind.directory);
        let listed: Vec<&str> = rows.flat_map(|row| row.2).copied().collect();
        judge(kind.directory, &kind.schema.json, &listed, false);
    }
    for (directory, manager, listed) in fields::OBJECTS {
        let kind = crate::secret::ManagerKind::of(manager).unwrap();
        judge(directory, &crate::resource::secret::document_of(kind).json, listed, false);
    }
    assert_eq!(missing, [""; 0], "list them in encrypted_fields");

    // The eyes of this test: what it must see.
    let mut eyes = Vec::new();
    members(
        &json!({"then": {"properties": {"a": {"items": [{"properties": {"token": {"type": "string"}}}]}}}}),
        "",
        &mut eyes,
    );
    eyes.retain(|path| sounds_secret(path.rsplit('.').next().unwrap(), false));
    assert_eq!(eyes, ["a.token"]);
}

fn leaf() -> impl Strategy<Value = Value> {
    let text =
        prop_oneof!["[a-zA-Z0-9+/=]{0,44}", ".{0,20}", Just("$env://A".to_owned()), Just("ringgate:v1:x:y".to_owned())];
    let text = text.prop_map(Value::from);
    prop_oneof![
        4 => text.clone(),
        1 => prop::collection::vec(text.clone(), 0..4).prop_map(Value::from),
        1 => prop::collection::btree_map(".{0,8}", text, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        1 => prop_oneof![Just(json!(null)), Just(json!(7)), Just(json!([[1.5, {"secret": "x"}]]))],
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["secret", "private_key", "key", "redis_password", "sentinel_password", "a"]);
    let conf = prop::collection::vec((names, leaf()), 0..5)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>());
    let plugin = prop::sample::select(vec!["jwt-auth", "limit-count", "public-api", "unknown"]);
    prop::collection::vec((plugin, conf), 0..4).prop_map(|plugins| {
        let plugins = plugins.into_iter().map(|(name, conf)| (name.to_owned(), Value::Object(conf)));
        json!({"username": "jack", "plugins": plugins.collect::<Map<_, _>>()})
    })
}

proptest! {
    #[test]
    fn what_was_sealed_opens_to_what_it_was(object in object(), consumer in any::<bool>()) {
        let key = if consumer { JACK } else { ROUTE };
        let clear = text(&object);
        for sealing in [authenticated(), Sealing::new(Format::Apisix, Vec::new(), public())] {
            let sealed = sealing.seal(key, &clear).unwrap();
            let opened = sealing.open(key, &sealed);
            prop_assert_eq!((&opened.text, &opened.closed, opened.in_clear), (&clear, &None, 0));
            if sealing.format() == Format::Authenticated {
                prop_assert_eq!(Sealing::is_sealed(key, &sealed), sealed != clear);
                prop_assert!(!sealing.is_outdated(key, &sealed));
            }
        }
    }
}
