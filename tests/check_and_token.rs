//! The commands that end: check, version, token.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use support::gateway::Gateway;
use support::origin::Origin;
use support::program::{Ended, directory, ringgate};
use support::token::{now, token};

#[test]
fn check_says_what_is_wrong_and_writes_nothing() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("empty", "", None),
        ("usual", "apisix: {node_listen: 9080}\n", None),
        ("no YAML", "apisix: [\n", Some("is not valid YAML")),
        (
            "wrong type",
            "apisix: {enable_admin: 7}\n",
            Some("path[apisix->enable_admin] expect: boolean, but got: number"),
        ),
        ("unknown key", "apisix: {node_lisen: 1}\n", Some("apisix.node_lisen")),
        ("two unknown keys", "a: 1\nb: 2\n", Some("; ")),
        ("a bad size", "nginx_config: {http: {client_max_body_size: 8q}}\n", Some("client_max_body_size")),
        (
            "open to others",
            "deployment: {admin: {allow_admin: [0.0.0.0/0], admin_key: []}}\n",
            Some("deployment.admin.admin_key: expected at least one key"),
        ),
    ];
    for (name, config, complaint) in cases {
        let directory = directory();
        fs::create_dir(directory.path().join("conf")).unwrap();
        let file = directory.path().join("conf/config.yaml");
        fs::write(&file, config).unwrap();
        let ended = ringgate(directory.path(), &["check"], "");
        match complaint {
            None => {
                assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
                assert!(ended.stdout.ends_with("conf/config.yaml: right\n"), "{name}: {ended:?}");
            }
            Some(complaint) => {
                let line = complained(&ended);
                assert!(line.contains("conf/config.yaml") && line.contains(complaint), "{name}: {line}");
            }
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), *config, "{name}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{name}: nothing is written");
    }
    let nowhere = ringgate(directory().path(), &["check", "--config", "other.yaml"], "");
    assert!(complained(&nowhere).contains("other.yaml: does not exist"), "{nowhere:?}");
}

#[test]
fn version_names_the_release_and_the_driver() {
    let ended = ringgate(directory().path(), &["version"], "");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let mut lines = ended.stdout.lines();
    assert_eq!(lines.next(), Some(concat!("ringgate ", env!("CARGO_PKG_VERSION"))));
    assert!(lines.next().is_some_and(|line| line.starts_with("I/O driver: ")), "{ended:?}");
}

#[test]
fn wrong_arguments_exit_with_2_and_help_with_0() {
    let directory = directory();
    for arguments in [&["no-such-verb"][..], &["run", "--workers", "0"], &["token", "sign", "--key", "k"], &["--bad"]] {
        let ended = ringgate(directory.path(), arguments, "");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.stderr.starts_with("error: "), "{arguments:?}: {ended:?}");
    }
    for arguments in [&["--help"][..], &["run", "--help"], &["token", "sign", "--help"], &["--version"]] {
        let ended = ringgate(directory.path(), arguments, "");
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_signed_token_is_one_for_others_too() {
    let directory = directory();
    fs::write(directory.path().join("secret"), "from a file\n").unwrap();
    let key = ["--key", "jack-key"];
    let cases: [Signing; 4] = [
        ("plain", &["--secret", "s"], "", b"s", Algorithm::HS256),
        ("file", &["--secret-file", "secret", "--algorithm", "HS512"], "", b"from a file", Algorithm::HS512),
        ("input", &["--secret-file", "-", "--algorithm", "HS384"], "piped\n", b"piped", Algorithm::HS384),
        ("base64", &["--secret", "aGVsbG8=", "--base64-secret"], "", b"hello", Algorithm::HS256),
    ];
    for (name, arguments, input, secret, algorithm) in cases {
        let arguments =
            [&["token", "sign"], &key[..], arguments, &["--claim", "role=reader", "--expires", "60"]].concat();
        let ended = ringgate(directory.path(), &arguments, input);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{name}");
        let claims =
            decode::<Value>(ended.stdout.trim_end(), &DecodingKey::from_secret(secret), &Validation::new(algorithm));
        let claims = claims.unwrap_or_else(|error| panic!("{name}: {error}")).claims;
        assert_eq!((&claims["key"], &claims["role"]), (&json!("jack-key"), &json!("reader")), "{name}");
        let left = claims["exp"].as_u64().unwrap() - now();
        assert!((50..=60).contains(&left), "{name}: {left} s left");
    }
}

/// What `explain` says of a token is what the gateway does with it.
#[test]
fn an_explanation_agrees_with_the_gateway() {
    let (origin, gateway) = (Origin::start(), Gateway::start());
    gateway.put("consumers/jack", &json!({"username": "jack"}));
    let credential = json!({"plugins": {"jwt-auth": {"key": "jack-key", "secret": SECRET}}});
    gateway.put("consumers/jack/credentials/c", &credential);
    let upstream = json!({"nodes": {origin.node(): 1}});
    gateway.put("routes/r", &json!({"uri": "/r", "plugins": {"jwt-auth": {}}, "upstream": upstream}));

    let sign = |arguments: &[&str]| {
        let arguments = [&["token", "sign", "--key", "jack-key", "--secret", SECRET], arguments].concat();
        ringgate(gateway.directory(), &arguments, "").stdout.trim_end().to_owned()
    };
    let good = sign(&[]);
    let cases = [
        ("good", good.clone(), None, "accepted\n"),
        ("with its scheme", format!("Bearer {good}"), None, "accepted\n"),
        ("for ever", sign(&["--expires", "0"]), None, "accepted\n"),
        (
            "expired",
            sign(&["--claim", "exp=1000000000"]),
            Some("failed to verify jwt"),
            "Sun, 09 Sep 2001 01:46:40 GMT",
        ),
        (
            "not yet",
            sign(&["--claim", "nbf=4107542400"]),
            Some("failed to verify jwt"),
            "Mon, 01 Mar 2100 00:00:00 GMT",
        ),
        ("other secret", token("jack-key", b"guess", json!({})), Some("failed to verify jwt"), "signature"),
        ("other algorithm", sign(&["--algorithm", "HS512"]), Some("failed to verify jwt"), "expected HS256"),
        (
            "other key",
            token("jill-key", SECRET.as_bytes(), json!({})),
            Some("Invalid user key in JWT token"),
            "\"jill-key\"",
        ),
        ("no key", sign(&["--key-claim-name", "iss"]), Some("missing user key in JWT token"), "missing"),
        ("torn", good[..good.len() / 2].to_owned(), Some("JWT token invalid"), "three parts"),
        ("empty", String::new(), Some("JWT token invalid"), "three parts"),
    ];
    for (name, token, refusal, text) in cases {
        let answer = gateway.request("GET", "/r", &[("Authorization", &token)], b"");
        let explained = explain(gateway.directory(), &token);
        assert!(explained.stdout.contains(text), "{name}: no {text:?} in {}", explained.stdout);
        assert!(!explained.stdout.contains(SECRET), "{name}");
        match refusal {
            None => {
                assert_eq!((answer.status, explained.code), (200, Some(0)), "{name}: {}", explained.stdout);
            }
            Some(message) => {
                assert_eq!((answer.status, explained.code), (401, Some(1)), "{name}: {}", explained.stdout);
                let body = json!({"message": message}).to_string();
                assert_eq!(answer.text(), format!("{body}\n"), "{name}");
                assert!(explained.stdout.ends_with(&format!("answer   401 {body}\n")), "{name}: {}", explained.stdout);
            }
        }
    }
}

/// The token goes in by standard input, where no other user of the machine sees it.
fn explain(directory: &Path, token: &str) -> Ended {
    ringgate(directory, &["token", "explain", "--key", "jack-key", "--secret", SECRET], token)
}

/// The one line of a refusal.
fn complained(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    let line = ended.stderr.strip_prefix("ringgate: ").and_then(|line| line.strip_suffix('\n')).unwrap_or_default();
    assert!(!line.is_empty() && !line.contains('\n'), "{ended:?}");
    line
}

/// Name, arguments, standard input; the key's bytes and the algorithm that a token must verify with.
type Signing<'a> = (&'a str, &'a [&'a str], &'a str, &'a [u8], Algorithm);

const SECRET: &str = "jack-hs256-secret-that-is-very-long";
