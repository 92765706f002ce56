//! The first start in a directory, and every start that must not happen.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use ringgate::store::embedded::EmbeddedStore;
use ringgate::store::{Op, Store};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use support::gateway::Gateway;
use support::program::{self, Ended, directory, ringgate};

/// An empty directory is enough. The built-in ports are fixed, so this start has a network of its own.
#[test]
fn an_empty_directory_gets_configuration_key_and_store() {
    let isolated = ["-Urn"];
    if Command::new("unshare").args(isolated).arg("true").status().is_ok_and(|status| status.success()) {
        let directory = directory();
        let start_line = start_and_kill(
            Command::new("unshare").args(isolated).arg(env!("CARGO_BIN_EXE_ringgate")).current_dir(&directory),
        );
        assert!(start_line.contains("proxy on 0.0.0.0:9080"), "{start_line}");
        assert!(start_line.contains("Admin API on 0.0.0.0:9180"), "{start_line}");

        let config = directory.path().join(CONFIG);
        assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(directory.path().join("data")).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(directory.path().join(STORE).is_file());
        let key = key_by_yq(&config);
        assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic()), "{key:?}");

        let before = fs::read(&config).unwrap();
        start_and_kill(
            Command::new("unshare").args(isolated).arg(env!("CARGO_BIN_EXE_ringgate")).current_dir(&directory),
        );
        assert_eq!(fs::read(&config).unwrap(), before, "the second start keeps what the first one wrote");
    } else {
        println!("not run: this machine gives no network namespace to start on the built-in ports in");
    }
}

#[test]
fn an_empty_key_is_filled_in_once_and_opens_the_admin_api() {
    let mut gateway = Gateway::start();
    let key = key_by_yq(&gateway.directory().join(CONFIG));
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic()), "{key:?}");
    assert_eq!(key, gateway.admin_key());
    gateway.put("consumers/jack", &json!({"username": "jack"}));

    gateway.restart();
    assert_eq!(key_by_yq(&gateway.directory().join(CONFIG)), key);
    assert_eq!(gateway.admin("GET", "consumers/jack", &json!(null)).0, 200);
}

#[test]
fn a_taken_port_ends_the_start_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port();
    let cases = [
        ("apisix.node_listen", format!("apisix: {{node_listen: [{{ip: 127.0.0.1, port: {port}}}]}}\n{ADMIN_ANYWHERE}")),
        (
            "deployment.admin.admin_listen",
            format!(
                "{PROXY_ANYWHERE}deployment: {{admin: {{admin_listen: {{ip: 127.0.0.1, port: {port}}}, {KEY}}}}}\n"
            ),
        ),
        (
            "apisix.status",
            format!(
                "apisix: {{node_listen: [{{ip: 127.0.0.1, port: 0}}], status: {{ip: 127.0.0.1, port: {port}}}}}\n\
                 {ADMIN_ANYWHERE}"
            ),
        ),
    ];
    for (key, config) in cases {
        let directory = with_config(&config);
        let ended = ringgate(directory.path(), &["run"], "");
        let complaint = refusal(&ended);
        assert!(complaint.contains(key) && complaint.contains(&address.to_string()), "{key}: {complaint}");
    }
}

#[test]
fn a_configuration_that_is_wrong_is_named_in_one_line_and_left_alone() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("no YAML", "apisix: {node_listen: [1\n", &["conf/config.yaml", "YAML"]),
        ("text for a switch", "apisix: {enable_admin: often}\n", &["apisix->enable_admin", "boolean", "string"]),
        ("a mapping for a port", "apisix: {node_listen: [{ip: 127.0.0.1, port: high}]}\n", &["apisix.node_listen[0]"]),
        (
            "etcd",
            "deployment: {role_traditional: {config_provider: etcd}}\n",
            &["deployment.role_traditional.config_provider", "\"etcd\" is not supported yet", "embedded"],
        ),
        (
            "yaml",
            "deployment: {role_traditional: {config_provider: yaml}}\n",
            &["deployment.role_traditional.config_provider", "\"yaml\" is not supported yet", "embedded"],
        ),
        ("data plane", "deployment: {role: data_plane}\n", &["deployment.role", "\"data_plane\" is not supported yet"]),
        ("unset variable", "apisix: {node_listen: \"${{NO_SUCH_PORT}}\"}\n", &["environment variable NO_SUCH_PORT"]),
        (
            "two on one port",
            "apisix: {node_listen: 19999}\ndeployment: {admin: {admin_listen: {port: 19999}}}\n",
            &["apisix.node_listen", "deployment.admin.admin_listen", "19999"],
        ),
    ];
    for (name, config, wanted) in cases {
        let directory = with_config(config);
        let ended = ringgate(directory.path(), &["run"], "");
        let complaint = refusal(&ended);
        for text in *wanted {
            assert!(complaint.contains(text), "{name}: no {text:?} in {complaint:?}");
        }
        assert_eq!(fs::read_to_string(directory.path().join(CONFIG)).unwrap(), *config, "{name}");
        assert_eq!(names_in(directory.path()), ["conf"], "{name}: nothing else is written");
        assert_eq!(names_in(&directory.path().join("conf")), ["config.yaml"], "{name}: nothing else is written");
    }
}

/// Whatever lies in the data directory instead of a whole store of ours is neither served nor touched.
#[test]
fn a_damaged_or_foreign_store_is_refused_and_left_as_it_is() {
    let good = {
        let directory = directory();
        let store = EmbeddedStore::open(directory.path()).unwrap();
        let puts = (0..200).map(|number| Op::Put {
            key: format!("/apisix/consumers/c{number}").into(),
            value: json!({"username": format!("c{number}"), "desc": "x".repeat(200)}).to_string().into(),
            expires_unix_s: None,
        });
        store.commit(&[puts.collect()]).unwrap();
        let path = store.path().to_owned();
        drop(store);
        fs::read(path).unwrap()
    };
    let overwritten = |part: std::ops::Range<usize>| {
        let mut bytes = good.clone();
        bytes[part].fill(0xA5);
        bytes
    };
    let first = good.windows(9).position(|window| window == b"xxxxxxxxx").unwrap();
    let cases = [
        ("the first byte", overwritten(0..1)),
        ("the head", overwritten(64..320)),
        ("a value", overwritten(first..first + 4)),
        ("all after the head", overwritten(4096..good.len())),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("a text file", b"these are not the bytes you are looking for\n".repeat(300)),
        ("another kind of file", b"SQLite format 3\0".repeat(512)),
    ];
    for (name, bytes) in cases {
        let directory = with_config(&format!("{PROXY_ANYWHERE}{ADMIN_ANYWHERE}"));
        fs::create_dir(directory.path().join("data")).unwrap();
        let store = directory.path().join(STORE);
        fs::write(&store, &bytes).unwrap();
        let ended = ringgate(directory.path(), &["run"], "");
        let complaint = refusal(&ended);
        assert!(complaint.contains(STORE), "{name}: {complaint}");
        assert!(fs::read(&store).unwrap() == bytes, "{name}: the file has changed");
    }
}

#[test]
fn a_data_directory_serves_one_process() {
    let gateway = Gateway::start();
    gateway.put("consumers/jack", &json!({"username": "jack"}));
    let second = with_config(&format!("{PROXY_ANYWHERE}{ADMIN_ANYWHERE}"));
    let data = gateway.directory().join("data");
    let ended = ringgate(second.path(), &["run", "--data", data.to_str().unwrap()], "");
    let complaint = refusal(&ended);
    assert!(complaint.contains("in use by another process"), "{complaint}");
    assert_eq!(gateway.admin("GET", "consumers/jack", &json!(null)).0, 200, "the first one is not disturbed");
}

/// The one line of an orderly refusal.
fn refusal(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    let complaint = ended.stderr.strip_suffix('\n').unwrap_or_default();
    assert!(complaint.starts_with("ringgate: ") && !complaint.contains('\n'), "{ended:?}");
    complaint
}

fn with_config(text: &str) -> tempfile::TempDir {
    let directory = directory();
    fs::create_dir(directory.path().join("conf")).unwrap();
    fs::write(directory.path().join(CONFIG), text).unwrap();
    directory
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The first line on standard output; the process is killed when it has said it.
fn start_and_kill(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line
}

/// The key as operators read it.
fn key_by_yq(config: &Path) -> String {
    let ended = program::run(Command::new("yq").args(["-r", ".deployment.admin.admin_key[0].key"]).arg(config), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim_end().to_owned()
}

const CONFIG: &str = "conf/config.yaml";
const STORE: &str = "data/ringgate.redb";
const KEY: &str = "admin_key: [{name: a, key: k, role: admin}]";
const PROXY_ANYWHERE: &str = "apisix: {node_listen: [{ip: 127.0.0.1, port: 0}]}\n";
const ADMIN_ANYWHERE: &str =
    "deployment: {admin: {admin_listen: {ip: 127.0.0.1, port: 0}, admin_key: [{name: a, key: k, role: admin}]}}\n";
