//! Secrets are sealed on the disk: what the file holds, what the Admin API shows, what happens when keys are lost,
//! values changed, or a rotation killed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

mod support;

use ringgate::sealing::{Format, KeyFile, Keyring, SealedStore, Sealing};
use ringgate::store::embedded::EmbeddedStore;
use ringgate::store::{Op, Store};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::program;
use support::token::token;

#[test]
fn the_disk_and_write_answers_hold_no_secret_and_everybody_else_does() {
    let origin = Origin::start();
    let mut gateway = Gateway::start();
    guard(&gateway, &origin);
    let answer = credential(&gateway, "jack", "jack-s3cret-in-the-clear");
    let sealed = answer["value"]["plugins"]["jwt-auth"]["secret"].as_str().unwrap().to_owned();
    assert!(sealed.starts_with("ringgate:v1:"), "{answer}");
    assert_eq!(stored(gateway.directory(), "consumers/jack/credentials/c"), sealed, "the answer is what is stored");
    let limited = json!({"uri": "/limited", "upstream_id": "1", "plugins": {"limit-count": {
        "count": 1, "time_window": 60, "key": "remote_addr", "redis_password": "r3dis-password-in-the-clear"}}});
    gateway.put("routes/limited", &limited);
    assert_eq!(authenticated(&gateway, "jack", "jack-s3cret-in-the-clear"), 200);

    // A change elsewhere seals once, not twice.
    let (status, patched) = gateway.admin("PATCH", "routes/limited", &json!({"desc": "patched"}));
    assert_eq!(status, 200, "{patched}");
    let password = |answer: &Value| answer["value"]["plugins"]["limit-count"]["redis_password"].clone();
    assert!(password(&patched).as_str().unwrap().starts_with("ringgate:v1:"), "{patched}");
    let (_, shown) = gateway.admin("GET", "routes/limited", &Value::Null);
    assert_eq!(password(&shown), "r3dis-password-in-the-clear");

    for after_restart in [false, true] {
        let (_, one) = gateway.admin("GET", "consumers/jack/credentials/c", &Value::Null);
        let (_, list) = gateway.admin("GET", "consumers/jack/credentials", &Value::Null);
        for value in [&one["value"], &list["list"][0]["value"]] {
            assert_eq!(value["plugins"]["jwt-auth"]["secret"], "jack-s3cret-in-the-clear", "{after_restart}");
        }
        assert_eq!(authenticated(&gateway, "jack", "jack-s3cret-in-the-clear"), 200, "{after_restart}");
        for file in ["ringgate.redb", "secret.key"] {
            let bytes = fs::read(gateway.directory().join("data").join(file)).unwrap();
            assert!(!contains(&bytes, b"in-the-clear"), "{file}");
        }
        if !after_restart {
            gateway.restart();
        }
    }
    let key_file = fs::metadata(gateway.directory().join("data/secret.key")).unwrap();
    assert_eq!(key_file.permissions().mode() & 0o777, 0o600);
    assert!(!gateway.output().contains("in-the-clear"));
}

#[test]
fn a_changed_or_moved_secret_puts_its_object_out_of_use_and_no_other() {
    let origin = Origin::start();
    let mut gateway = Gateway::start();
    guard(&gateway, &origin);
    for name in ["jack", "eve", "bob"] {
        credential(&gateway, name, &format!("{name}-s3cret"));
    }
    assert!(gateway.stop().success());
    let bobs = stored(gateway.directory(), "consumers/bob/credentials/c");
    let mut jacks = stored(gateway.directory(), "consumers/jack/credentials/c").into_bytes();
    let middle = jacks.len() - 12;
    jacks[middle] = if jacks[middle] == b'x' { b'y' } else { b'x' };
    store_secret(gateway.directory(), "jack", &String::from_utf8(jacks).unwrap());
    store_secret(gateway.directory(), "eve", &bobs);
    gateway.restart_stopped();
    assert_eq!(authenticated(&gateway, "bob", "bob-s3cret"), 200);
    for name in ["jack", "eve"] {
        assert_eq!(authenticated(&gateway, name, &format!("{name}-s3cret")), 401, "{name}");
        assert_eq!(
            authenticated(&gateway, name, &stored(gateway.directory(), &format!("consumers/{name}/credentials/c"))),
            401
        );
        let (_, shown) = gateway.admin("GET", &format!("consumers/{name}/credentials/c"), &Value::Null);
        let reason = shown["value"]["plugins"]["jwt-auth"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("plugins.jwt-auth.secret cannot be opened: it was changed"), "{reason}");
    }
    assert!(gateway.output().contains("/apisix/consumers/jack/credentials/c"), "the log names it");
    assert!((gateway.metric("ringgate_sealed_objects_closed_total") - 2.0).abs() < 0.5);
    credential(&gateway, "jack", "jack-again");
    assert_eq!(authenticated(&gateway, "jack", "jack-again"), 200, "written again, it is of use again");
}

#[test]
fn a_lost_key_file_stops_the_start_and_a_loose_one_is_warned_of() {
    let origin = Origin::start();
    let mut gateway = Gateway::start();
    guard(&gateway, &origin);
    credential(&gateway, "jack", "jack-s3cret");
    assert!(gateway.stop().success());
    let key_file = gateway.directory().join("data/secret.key");
    let key = fs::read(&key_file).unwrap();
    fs::remove_file(&key_file).unwrap();
    for arguments in [&["run"][..], &["secret", "rotate"]] {
        let ended = program::ringgate(gateway.directory(), arguments, "");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("data/secret.key: expected the key file, found none"), "{ended:?}");
    }
    assert!(!key_file.exists(), "no new key hides the loss");
    fs::write(&key_file, key).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o644)).unwrap();
    gateway.restart_stopped();
    assert_eq!(authenticated(&gateway, "jack", "jack-s3cret"), 200);
    assert!(gateway.output().contains("expected mode 0600, found 0644"), "{}", gateway.output());
}

#[test]
fn a_store_from_before_is_served_and_sealed_by_rotation() {
    let origin = Origin::start();
    let old = [
        ("consumers/jack", json!({"username": "jack"})),
        (
            "consumers/jack/credentials/c",
            json!({"id": "c", "plugins": {"jwt-auth": {"key": "jack", "secret": "jack-s3cret"}}}),
        ),
    ];
    let mut gateway = Gateway::holding(&old, &Setup::default());
    guard(&gateway, &origin);
    assert_eq!(authenticated(&gateway, "jack", "jack-s3cret"), 200);
    let running = program::ringgate(gateway.directory(), &["secret", "rotate"], "");
    assert!(running.code == Some(1) && running.stderr.contains("in use by another process"), "{running:?}");
    assert!(gateway.stop().success());
    assert_eq!(stored(gateway.directory(), "consumers/jack/credentials/c"), "jack-s3cret");
    for round in 1..=2 {
        let before = fs::read_to_string(gateway.directory().join("data/secret.key")).unwrap();
        let arguments = if round == 1 { &["secret", "rotate"][..] } else { &["secret", "rotate", "--drop-old"] };
        let ended = program::ringgate(gateway.directory(), arguments, "");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("1 objects sealed anew"), "{ended:?}");
        let after = fs::read_to_string(gateway.directory().join("data/secret.key")).unwrap();
        for key in after.lines().chain(before.lines()).filter(|line| !line.starts_with('#')) {
            assert!(!ended.stdout.contains(key), "a key is printed");
        }
        let sealed = stored(gateway.directory(), "consumers/jack/credentials/c");
        assert!(sealed.starts_with("ringgate:v1:"), "{sealed}");
        assert_eq!(after.lines().filter(|line| !line.starts_with('#')).count(), if round == 1 { 2 } else { 1 });
    }
    gateway.restart_stopped();
    assert_eq!(authenticated(&gateway, "jack", "jack-s3cret"), 200);
}

#[test]
fn a_rotation_may_be_killed_at_any_moment() {
    let directory = program::directory();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let objects: Vec<(String, Value)> = (0..OBJECTS)
        .map(|number| {
            let conf = json!({"key": format!("k{number}"), "secret": format!("s3cret-{number}")});
            (
                format!("/apisix/consumers/c{number:05}"),
                json!({"username": format!("c{number:05}"), "plugins": {"jwt-auth": conf}}),
            )
        })
        .collect();
    let puts = objects.iter().map(|(key, value)| Op::Put {
        key: key.as_str().into(),
        value: value.to_string().into(),
        expires_unix_s: None,
    });
    EmbeddedStore::open(&data).unwrap().commit(&[puts.collect()]).unwrap();
    let rotate = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringgate"));
        command.args(["secret", "rotate"]).current_dir(directory.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let started = Instant::now();
    assert!(rotate().wait().unwrap().success());
    let whole = started.elapsed();
    let mut interrupted = 0;
    for part in 1..=KILLS {
        let mut child = rotate();
        // The moment is the point of the test: spread over the time that a whole rotation takes.
        std::thread::sleep(whole * part / KILLS);
        // It may have ended already.
        let _ = child.kill();
        interrupted += u32::from(!child.wait().unwrap().success());
        let keys = KeyFile::read(&data.join("secret.key")).unwrap().unwrap().keys().to_vec();
        let sealing = Sealing::new(Format::Authenticated, keys, Keyring::default());
        let store = SealedStore::new(EmbeddedStore::open(&data).unwrap(), sealing);
        let found = store.range("", None, usize::MAX).unwrap();
        assert_eq!(found.len(), objects.len());
        for (item, (key, value)) in found.iter().zip(&objects) {
            assert_eq!((&*item.key, &*item.value), (key.as_str(), value.to_string().as_str()), "part {part}");
        }
    }
    assert!(interrupted > 0, "every rotation ended before it was killed");
    let ended = program::ringgate(directory.path(), &["secret", "rotate", "--drop-old"], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    println!("{interrupted} of {KILLS} rotations interrupted, a whole one took {whole:?}");
}

#[test]
fn apisix_format_with_a_keyring_that_changes() {
    let origin = Origin::start();
    let apisix = |keyring| Setup {
        apisix: keyring,
        top: "ringgate:\n  data_encryption:\n    format: apisix\n",
        ..Setup::default()
    };
    let public = apisix("");
    let mut gateway = Gateway::with(&public);
    guard(&gateway, &origin);
    let answer = credential(&gateway, "jack", "my-secret-key");
    assert_eq!(answer["value"]["plugins"]["jwt-auth"]["secret"], "kK0lkbzXrE7aiTiyK/Z0Sw==");
    assert!(gateway.output().contains("a key that everybody knows"), "{}", gateway.output());
    assert!(!gateway.directory().join("data/secret.key").exists(), "this format needs no key file");
    assert_eq!(authenticated(&gateway, "jack", "my-secret-key"), 200);

    let own = apisix("  data_encryption:\n    keyring: [0123456789abcdef0123456789abcdef, qeddd145sfvddff3]\n");
    gateway.reconfigure(&own);
    assert_eq!(authenticated(&gateway, "jack", "my-secret-key"), 200);
    assert_eq!(stored(gateway.directory(), "consumers/jack/credentials/c"), "kK0lkbzXrE7aiTiyK/Z0Sw==");
    assert!(gateway.stop().success());
    assert_eq!(program::ringgate(gateway.directory(), &["secret", "rotate"], "").code, Some(0));
    assert_ne!(stored(gateway.directory(), "consumers/jack/credentials/c"), "kK0lkbzXrE7aiTiyK/Z0Sw==");
    gateway.restart_stopped();
    assert_eq!(authenticated(&gateway, "jack", "my-secret-key"), 200);

    // To the other format and back to the clear.
    gateway.reconfigure(&Setup { top: "", ..own.clone() });
    assert_eq!(authenticated(&gateway, "jack", "my-secret-key"), 200);
    credential(&gateway, "jack", "my-secret-key");
    assert!(stored(gateway.directory(), "consumers/jack/credentials/c").starts_with("ringgate:v1:"));
    gateway.reconfigure(&Setup { apisix: "  data_encryption: {enable_encrypt_fields: false}\n", ..Setup::default() });
    assert_eq!(authenticated(&gateway, "jack", "my-secret-key"), 200);
    credential(&gateway, "jack", "my-secret-key");
    assert_eq!(stored(gateway.directory(), "consumers/jack/credentials/c"), "my-secret-key");
}

/// A route that asks for a token, in front of `origin`.
fn guard(gateway: &Gateway, origin: &Origin) {
    gateway.put("upstreams/1", &json!({"nodes": {origin.address().to_string(): 1}}));
    gateway.put("routes/1", &json!({"uri": "/*", "upstream_id": "1", "plugins": {"jwt-auth": {}}}));
}

/// Stores the credential `c` of `name`, whose key is that name; what the PUT answered.
fn credential(gateway: &Gateway, name: &str, secret: &str) -> Value {
    gateway.put(&format!("consumers/{name}"), &json!({"username": name}));
    let conf = json!({"jwt-auth": {"key": name, "secret": secret}});
    gateway.put(&format!("consumers/{name}/credentials/c"), &json!({"plugins": conf}))
}

/// What a request with a token of that key and secret is answered.
fn authenticated(gateway: &Gateway, key: &str, secret: &str) -> u16 {
    let token = token(key, secret.as_bytes(), json!({}));
    gateway.request("GET", "/", &[("authorization", &token)], b"").status
}

/// The jwt-auth secret on the disk, from a copy of the store: the gateway may be using it.
fn stored(directory: &Path, key: &str) -> String {
    let copy = program::directory();
    fs::copy(directory.join("data/ringgate.redb"), copy.path().join("ringgate.redb")).unwrap();
    let item = EmbeddedStore::open(copy.path()).unwrap().get(&format!("/apisix/{key}")).unwrap().unwrap();
    let value: Value = serde_json::from_str(&item.value).unwrap();
    value["plugins"]["jwt-auth"]["secret"].as_str().unwrap().to_owned()
}

/// Puts `sealed` in the place of the secret of `name`, behind everybody's back.
fn store_secret(directory: &Path, name: &str, sealed: &str) {
    let store = EmbeddedStore::open(&directory.join("data")).unwrap();
    let key = format!("/apisix/consumers/{name}/credentials/c");
    let mut value: Value = serde_json::from_str(&store.get(&key).unwrap().unwrap().value).unwrap();
    value["plugins"]["jwt-auth"]["secret"] = sealed.into();
    store.commit(&[vec![Op::Put { key: key.into(), value: value.to_string().into(), expires_unix_s: None }]]).unwrap();
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

const OBJECTS: usize = 3000;
const KILLS: u32 = 8;
