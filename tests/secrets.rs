//! References to secrets on the built program: environment, Vault, AWS and GCP, and what happens when they fail
//! (spec/consumers-credentials-secrets §5).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

#[path = "support/manager.rs"]
mod manager;
#[path = "support/moto.rs"]
mod moto;
mod support;

use manager::{Identity, Manager, Mood};
use moto::Moto;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use support::client::once;
use support::gateway::{Gateway, Setup};
use support::origin::Origin;
use support::token::token;
use support::{dead_address, program, wait_at_most, wait_for};

/// Everything a test needs: a route that asks for a token, and the consumer jack.
struct House {
    gateway: Gateway,
    _origin: Origin,
}

impl House {
    fn new(setup: &Setup) -> Self {
        Self::around(Gateway::with(setup))
    }

    fn around(gateway: Gateway) -> Self {
        let origin = Origin::start();
        let upstream = json!({"nodes": {origin.node(): 1}});
        gateway.put("consumers/jack", &json!({"username": "jack"}));
        gateway.put("routes/r", &json!({"uri": "/r", "plugins": {"jwt-auth": {}}, "upstream": upstream}));
        Self { gateway, _origin: origin }
    }

    /// A credential with the key `key`.
    fn credential(&self, key: &str, secret: &str) {
        let path = format!("consumers/jack/credentials/{key}");
        self.gateway.put(&path, &json!({"plugins": {"jwt-auth": {"key": key, "secret": secret}}}));
    }

    fn status(&self, key: &str, secret: &str) -> u16 {
        let token = token(key, secret.as_bytes(), json!({}));
        self.gateway.request("GET", "/r", &[("Authorization", &token)], b"").status
    }

    /// Waits until a token made with `secret` is answered `status`.
    fn settles(&self, key: &str, secret: &str, status: u16) {
        wait_for(&format!("{status} for {key}"), || (self.status(key, secret) == status).then_some(()));
    }

    fn vault(&self, uri: &str) {
        self.gateway.put("secrets/vault/1", &json!({"uri": uri, "prefix": "kv/apisix", "token": "root"}));
    }

    /// What the status view says of a reference.
    fn row(&self, reference: &str) -> Option<Value> {
        let answer = once(self.gateway.status_address(), "GET", "/v1/secrets", &[], b"").unwrap();
        answer.json()["list"].as_array()?.iter().find(|row| row["reference"] == reference).cloned()
    }

    /// Waits until the status view says so of a reference.
    fn becomes(&self, reference: &str, state: &str, reason: Option<&str>) {
        let reason = reason.map_or(Value::Null, Value::from);
        wait_for(&format!("{reference} {state} {reason}"), || {
            let row = self.row(reference)?;
            (row["state"] == state && row.get("reason").unwrap_or(&Value::Null) == &reason).then_some(())
        });
    }
}

fn setup() -> Setup {
    Setup {
        apisix: "  status: {ip: 127.0.0.1, port: 0}\n  lru: {secret: {ttl: 1, neg_ttl: 1}}\n",
        env: [
            ("RINGGATE_TEST_SECRET", "the-secret-of-the-environment"),
            ("RINGGATE_TEST_SECRET_2", "the-other-secret-of-the-environment"),
            ("RINGGATE_TEST_JSON", r#"{"deep": "the-secret-of-a-member", "n": 7}"#),
            ("RINGGATE_TEST_EMPTY", ""),
            ("RINGGATE_TEST_TOKEN", "root"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into(),
        ..Setup::default()
    }
}

const JACK: &str = "/v1/kv/apisix/jack";
const REFERENCE: &str = "$secret://vault/1/jack/jwt-secret";
const VALUE: &str = "the-secret-that-vault-holds";
/// Sooner than an attempt at a manager that hangs ends.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn the_environment_is_read_by_exact_names() {
    let house = House::new(&setup());
    house.credential("one", "$env://RINGGATE_TEST_SECRET");
    house.credential("two", "$ENV://RINGGATE_TEST_SECRET_2");
    house.credential("member", "$env://RINGGATE_TEST_JSON/deep");
    house.credential("absent", "$env://RINGGATE_TEST_SECRE");
    house.credential("empty", "$env://RINGGATE_TEST_EMPTY");
    house.credential("sub", "$env://RINGGATE_TEST_JSON/none");
    assert_eq!(house.status("one", "the-secret-of-the-environment"), 200);
    assert_eq!(house.status("two", "the-other-secret-of-the-environment"), 200);
    assert_eq!(house.status("member", "the-secret-of-a-member"), 200);
    // The literal text proves nothing.
    assert_eq!(house.status("absent", "$env://RINGGATE_TEST_SECRE"), 401);
    for (key, text) in [("absent", "Invalid user key in JWT token"), ("empty", "failed to verify jwt")] {
        let token = token(key, b"anything", json!({}));
        let answer = house.gateway.request("GET", "/r", &[("Authorization", &token)], b"");
        assert_eq!((answer.status, &answer.json()["message"]), (401, &json!(text)), "{key}");
    }
    house.becomes("$env://RINGGATE_TEST_SECRET", "fresh", None);
    house.becomes("$env://RINGGATE_TEST_SECRE", "failing", Some("variable_missing"));
    house.becomes("$env://RINGGATE_TEST_JSON/none", "failing", Some("member_missing"));
    let output = house.gateway.output();
    assert!(output.contains("environment variable RINGGATE_TEST_SECRE is not set"), "{output}");
    assert!(!output.contains("secret-of-"), "{output}");
    assert!(house.gateway.metric("ringgate_secret_failures_total{reason=\"variable_missing\"}") >= 1.0);
    assert!(house.gateway.metric("ringgate_secret_references{state=\"fresh\"}") >= 3.0);
}

#[test]
fn secret_resources_are_a_kind_of_their_own() {
    let gateway = Gateway::start();
    let vault = json!({"uri": "http://127.0.0.1:1", "prefix": "kv", "token": "t"});
    let error = |text: &str| json!({"error_msg": text});
    let (status, created) = gateway.admin("PUT", "secrets/vault/jwt", &vault);
    assert_eq!((status, &created["key"]), (201, &json!("/apisix/secrets/vault/jwt")));
    assert_eq!(created["value"]["id"], "vault/jwt");
    assert!(created["value"]["create_time"].is_number());
    assert_eq!(gateway.admin("PUT", "secrets/vault/jwt", &vault).0, 200);
    assert_eq!(gateway.admin("PUT", "secrets/foo/1", &vault), (400, error("invalid secret manager: foo")));
    assert_eq!(gateway.admin("PUT", "secrets/vault", &vault), (400, error("missing secret id")));
    assert_eq!(gateway.admin("PATCH", "secrets/vault", &vault), (400, error("no secret id")));
    let refused = error("not supported `POST` method for secret");
    assert_eq!(gateway.admin("POST", "secrets/vault/x", &vault), (405, refused));
    let named = json!({"id": "other", "uri": "http://h", "prefix": "kv", "token": "t"});
    assert_eq!(gateway.admin("PUT", "secrets/vault/jwt", &named), (400, error("wrong secret id")));
    let (status, patched) = gateway.admin("PATCH", "secrets/vault/jwt", &json!({"prefix": "kv2"}));
    assert_eq!((status, &patched["value"]["prefix"], &patched["value"]["token"]), (200, &json!("kv2"), &json!("t")));
    assert_eq!(gateway.admin("PATCH", "secrets/vault/jwt/token", &json!("u")).1["value"]["token"], "u");
    gateway.put("secrets/aws/jwt", &json!({"access_key_id": "a", "secret_access_key": "b"}));
    let keys = |path: &str| {
        let list = gateway.admin("GET", path, &Value::Null).1;
        list["list"].as_array().unwrap().iter().map(|entry| entry["key"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(keys("secrets"), [json!("/apisix/secrets/aws/jwt"), json!("/apisix/secrets/vault/jwt")]);
    assert_eq!(keys("secrets/vault"), [json!("/apisix/secrets/vault/jwt")]);
    assert_eq!(gateway.admin("GET", "secrets/vault/jwt", &Value::Null).1["value"]["prefix"], "kv2");
    let deleted = json!({"deleted": "1", "key": "/apisix/secrets/vault/jwt"});
    assert_eq!(gateway.admin("DELETE", "secrets/vault/jwt", &Value::Null), (200, deleted));
    assert_eq!(gateway.admin("GET", "secrets/vault/jwt", &Value::Null).0, 404);
}

/// The page's order: the credential first, its value in Vault later.
#[test]
fn a_value_that_comes_later_is_found_soon() {
    let (house, vault) = (House::new(&setup()), Manager::plain());
    house.vault(&format!("http://{}", vault.address));
    house.credential("k", REFERENCE);
    assert_eq!(house.status("k", VALUE), 401);
    house.becomes(REFERENCE, "failing", Some("key_missing"));
    vault.hold(JACK, &json!({"other": "x"}));
    house.becomes(REFERENCE, "failing", Some("member_missing"));
    vault.hold(JACK, &json!({"jwt-secret": VALUE}));
    house.settles("k", VALUE, 200);
    assert_eq!(house.status("k", REFERENCE), 401, "the literal text proves nothing");
    let asked = vault.state().seen[0].clone();
    assert_eq!((&*asked.method, &*asked.path, &*asked.fields["x-vault-token"]), ("GET", JACK, "root"));
    assert!(!house.gateway.output().contains(VALUE));
}

/// With the default waits, which grow while a reference fails.
#[test]
fn a_request_has_a_failing_reference_tried_again() {
    let setup = Setup { apisix: "  status: {ip: 127.0.0.1, port: 0}\n", ..setup() };
    let (house, vault) = (House::new(&setup), Manager::plain());
    house.vault(&format!("http://{}", vault.address));
    house.credential("k", REFERENCE);
    let mut asked = (vault.asked(), Instant::now());
    wait_at_most(Duration::from_secs(120), "a wait of seven seconds", || {
        if vault.asked() != asked.0 {
            asked = (vault.asked(), Instant::now());
        }
        (asked.1.elapsed() > Duration::from_secs(7)).then_some(())
    });
    vault.hold(JACK, &json!({"jwt-secret": VALUE}));
    // The wait has almost as much before it again.
    wait_at_most(Duration::from_secs(4), "the secret", || (house.status("k", VALUE) == 200).then_some(()));
}

#[test]
fn what_is_there_is_waited_for_and_what_changes_is_followed() {
    let (mut house, vault) = (House::new(&setup()), Manager::plain());
    vault.hold(JACK, &json!({"jwt-secret": VALUE}));
    let namespaced = json!({
        "uri": format!("http://{}/", vault.address), "prefix": "/kv//apisix", "token": "$env://RINGGATE_TEST_TOKEN",
        "namespace": "team",
    });
    house.gateway.put("secrets/vault/1", &namespaced);
    house.credential("k", REFERENCE);
    assert_eq!(house.status("k", VALUE), 200, "a write is answered once its secret has come");
    assert_eq!(vault.state().seen[0].fields["x-vault-namespace"], "team");
    house.becomes(REFERENCE, "fresh", None);
    assert!(!house.gateway.output().contains("ERROR"), "waiting is no failure: {}", house.gateway.output());

    vault.hold(JACK, &json!({"jwt-secret": "rotated"}));
    house.settles("k", "rotated", 200);
    assert_eq!(house.status("k", VALUE), 401);

    for (mood, reason) in [
        (Mood::Down, "unreachable"),
        (Mood::Status(500), "server"),
        (Mood::Status(403), "forbidden"),
        (Mood::Page(404), "status"),
    ] {
        vault.be(mood);
        house.becomes(REFERENCE, "stale", Some(reason));
        assert_eq!(house.status("k", "rotated"), 200, "the last good value stays: {mood:?}");
    }
    assert!(house.gateway.metric("ringgate_secret_references{state=\"stale\"}") >= 1.0);
    vault.be(Mood::Well);
    house.becomes(REFERENCE, "fresh", None);

    vault.lose(JACK);
    house.settles("k", "rotated", 401);
    house.becomes(REFERENCE, "failing", Some("key_missing"));

    let second = Manager::plain();
    second.hold("/v1/kv/data/apisix/jack", &json!({"data": {"jwt-secret": 7}, "metadata": {"version": 1}}));
    let uri = format!("http://{}", second.address);
    let version_2 = json!({"uri": uri, "prefix": "kv/apisix", "token": "root", "kv_version": 2});
    house.gateway.put("secrets/vault/1", &version_2);
    house.settles("k", "7", 200);

    house.gateway.restart();
    assert_eq!(house.status("k", "7"), 200, "a start waits for its secrets");
    house.gateway.admin("DELETE", "secrets/vault/1", &Value::Null);
    house.becomes(REFERENCE, "failing", Some("no_configuration"));
    house.settles("k", "7", 401);
    let deleted = house.gateway.admin("DELETE", "consumers/jack/credentials/k", &Value::Null);
    assert_eq!(deleted.0, 200);
    assert_eq!(house.row(REFERENCE), None, "what nobody holds is not asked for");
}

#[test]
fn every_failure_has_a_reason_of_its_own() {
    let (house, vault) = (House::new(&setup()), Manager::plain());
    house.credential("unconfigured", REFERENCE);
    house.becomes(REFERENCE, "failing", Some("no_configuration"));
    house.vault(&format!("http://{}", vault.address));
    for (mood, reason) in [
        (Mood::Well, "key_missing"),
        (Mood::Down, "unreachable"),
        (Mood::Status(403), "forbidden"),
        (Mood::Status(429), "throttled"),
        (Mood::Status(503), "server"),
        (Mood::Status(307), "redirected"),
        (Mood::Status(418), "status"),
        (Mood::Garbled, "not_json"),
        (Mood::Endless, "too_large"),
        (Mood::Silent, "timeout"),
    ] {
        vault.be(mood);
        house.becomes(REFERENCE, "failing", Some(reason));
        assert!(house.gateway.metric(&format!("ringgate_secret_failures_total{{reason=\"{reason}\"}}")) >= 1.0);
        assert!(house.gateway.output().contains(&format!("reason=\"{reason}\"")), "{reason}");
    }
    let (dead, _socket) = dead_address();
    house.vault(&format!("http://{dead}"));
    house.becomes(REFERENCE, "failing", Some("unreachable"));
    for (index, (reference, reason)) in [
        ("$secret://vault", "malformed"),
        ("$secret://vault/1", "malformed"),
        ("$secret://vault/1/no-slash", "malformed"),
        ("$secret://vault/1/../jack/x", "malformed"),
        ("$secret://azure/1/a/b", "unknown_manager"),
        ("$env://", "malformed"),
    ]
    .into_iter()
    .enumerate()
    {
        house.credential(&format!("m{index}"), reference);
        house.becomes(reference, "failing", Some(reason));
        assert_eq!(house.status(&format!("m{index}"), reference), 401, "{reference}");
    }
}

#[test]
fn tls_is_verified_and_left_only_towards_this_host() {
    let identity = Identity::of_ip("127.0.0.1");
    let (vault, stranger) = (Manager::tls(&identity), Manager::tls(&Identity::of_ip("127.0.0.1")));
    let directory = program::directory();
    fs::write(directory.path().join("ca.pem"), identity.pem()).unwrap();
    let top = "ringgate: {secret: {ca_file: ca.pem}}\n";
    let house = House::around(Gateway::in_directory(directory, &Setup { top, ..setup() }));
    for manager in [&vault, &stranger] {
        manager.hold(JACK, &json!({"jwt-secret": VALUE}));
    }
    house.vault(&format!("https://{}", vault.address));
    house.credential("k", REFERENCE);
    house.settles("k", VALUE, 200);
    house.vault(&format!("https://{}", stranger.address));
    house.becomes(REFERENCE, "stale", Some("certificate"));
    assert_eq!(stranger.asked(), 0, "no token goes to a server that is not trusted");
    house.vault(&format!("https://localhost:{}", vault.address.port()));
    house.becomes(REFERENCE, "stale", Some("certificate"));

    let plain = Manager::plain();
    plain.hold(JACK, &json!({"jwt-secret": "in plain"}));
    house.vault(&format!("https://{}", plain.address));
    house.settles("k", "in plain", 200);
    let output = house.gateway.output();
    assert_eq!(output.matches("uri says https, but the server speaks plain HTTP").count(), 1, "{output}");
}

#[test]
fn falling_back_can_be_switched_off() {
    let vault = Manager::plain();
    vault.hold(JACK, &json!({"jwt-secret": VALUE}));
    let top = "ringgate: {secret: {vault_loopback_http_fallback: false}}\n";
    let house = House::new(&Setup { top, ..setup() });
    house.vault(&format!("https://{}", vault.address));
    house.credential("k", REFERENCE);
    house.becomes(REFERENCE, "failing", Some("plain_http"));
    assert_eq!(house.status("k", VALUE), 401);
    assert_eq!(vault.asked(), 0);
    assert!(house.gateway.output().contains("uri says https, but the server speaks plain HTTP"));
}

/// The signature is verified by another library, as AWS would.
#[test]
fn aws_is_asked_with_a_signature() {
    let secrets = json!({
        "plain": VALUE,
        "scheduled": VALUE,
        "team/jack": r#"{"jwt-secret": "of the longer name", "a/b": "of a member with a slash"}"#,
        "team": r#"{"other/x": "of the shorter name"}"#,
    });
    let (aws, mut account) = Moto::holding(&secrets);
    let house = House::new(&setup());
    account["endpoint_url"] = aws.url().into();
    house.gateway.put("secrets/aws/1", &account);
    for (key, reference, value) in [
        ("whole", "$secret://aws/1/plain", VALUE),
        ("member", "$secret://aws/1/team/jack/jwt-secret", "of the longer name"),
        ("slash", "$secret://aws/1/team/jack/a/b", "of a member with a slash"),
        ("shorter", "$secret://aws/1/team/other/x", "of the shorter name"),
    ] {
        house.credential(key, reference);
        house.settles(key, value, 200);
        house.becomes(reference, "fresh", None);
    }
    for (key, reference, reason) in [
        ("absent", "$secret://aws/1/absent/x", "key_missing"),
        ("no-member", "$secret://aws/1/team/jack/none", "member_missing"),
        ("no-object", "$secret://aws/1/plain/x", "wrong_type"),
    ] {
        house.credential(key, reference);
        house.becomes(reference, "failing", Some(reason));
    }
    let scheduled = "$secret://aws/1/scheduled";
    house.credential("scheduled", scheduled);
    house.settles("scheduled", VALUE, 200);
    aws.schedule_deletion(&account, "scheduled");
    house.becomes(scheduled, "failing", Some("key_missing"));
    house.settles("scheduled", VALUE, 401);
    let right = account["secret_access_key"].clone();
    account["secret_access_key"] = "not the key".into();
    house.gateway.put("secrets/aws/1", &account);
    house.becomes("$secret://aws/1/plain", "stale", Some("forbidden"));
    assert_eq!(house.status("whole", VALUE), 200, "the last good value stays");
    let output = house.gateway.output();
    assert!(![VALUE, right.as_str().unwrap(), "not the key"].iter().any(|text| output.contains(text)), "{output}");
}

/// Plugins on routes take references too, those that hold no secret included.
#[test]
fn configurations_of_routes_take_references() {
    let house = House::new(&setup());
    let route = |plugin: Value| json!({"uri": "/c", "plugins": {"jwt-auth": plugin}, "upstream": {"nodes": {"127.0.0.1:1": 1}}});
    house.gateway.put("routes/c", &route(json!({"realm": "$env://RINGGATE_TEST_JSON/n"})));
    let challenge = |path: &str| {
        let answer = house.gateway.request("GET", path, &[], b"");
        answer.field("www-authenticate").map(str::to_owned)
    };
    assert_eq!(challenge("/c").as_deref(), Some("Bearer realm=\"7\""));
    house.gateway.put("routes/c", &route(json!({"realm": "$env://RINGGATE_TEST_NONE"})));
    assert_eq!(challenge("/c").as_deref(), Some("Bearer realm=\"$env://RINGGATE_TEST_NONE\""), "no secret: as it is");
    house.gateway.put("routes/c", &route(json!({"realm": "$env://RINGGATE_TEST_EMPTY"})));
    assert_eq!(house.gateway.request("GET", "/c", &[], b"").status, 503, "a value that does not fit fails closed");
}

/// A service account's word is verified by another library, as Google would.
#[test]
fn gcp_is_asked_with_a_signed_word() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    let key = openssl::rsa::Rsa::generate(2048).unwrap();
    let identity = Identity::of_ip("127.0.0.1");
    let gcp = Manager::tls(&identity);
    let uri = format!("https://{}", gcp.address);
    let account = json!({
        "client_email": "robot@project.test", "project_id": "my-project",
        "private_key": String::from_utf8(key.private_key_to_pem().unwrap()).unwrap(),
        "token_uri": format!("{uri}/token"), "entries_uri": format!("{uri}/v1"),
    });
    {
        let mut state = gcp.state();
        state.key = "Bearer access".to_owned();
        state.posts.insert("/token".to_owned(), json!({"access_token": "access", "expires_in": 3600}));
        let entry = |text: &str| json!({"payload": {"data": openssl::base64::encode_block(text.as_bytes())}});
        for (name, text) in [("plain", VALUE), ("object", r#"{"a/b": "the-member"}"#)] {
            state.secrets.insert(format!("/v1/projects/my-project/secrets/{name}/versions/latest:access"), entry(text));
        }
    }
    let directory = program::directory();
    fs::write(directory.path().join("account.json"), account.to_string()).unwrap();
    let auth_file = directory.path().join("account.json");
    let house = House::around(Gateway::in_directory(directory, &setup()));
    house.gateway.put("secrets/gcp/1", &json!({"auth_config": account, "ssl_verify": false}));
    house.credential("plain", "$secret://gcp/1/plain");
    house.credential("member", "$secret://gcp/1/object/a/b");
    house.settles("plain", VALUE, 200);
    house.settles("member", "the-member", 200);
    gcp.be(Mood::Disabled);
    house.becomes("$secret://gcp/1/plain", "failing", Some("key_missing"));
    house.settles("plain", VALUE, 401);
    gcp.be(Mood::Status(400));
    house.becomes("$secret://gcp/1/plain", "failing", Some("status"));
    gcp.be(Mood::Well);
    house.settles("plain", VALUE, 200);
    let posts: Vec<_> = gcp.state().seen.iter().filter(|asked| asked.method == "POST").cloned().collect();
    assert_eq!(posts.len(), 1, "an access token is used until it ends");
    let assertion = posts[0].body.split("assertion=").nth(1).unwrap();
    let public = DecodingKey::from_rsa_pem(&key.public_key_to_pem().unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[format!("{uri}/token")]);
    let claims = decode::<Value>(assertion, &public, &validation).unwrap().claims;
    assert_eq!(claims["iss"], "robot@project.test");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");

    house.gateway.put("secrets/gcp/1", &json!({"auth_file": auth_file, "ssl_verify": true}));
    house.becomes("$secret://gcp/1/plain", "stale", Some("certificate"));
    house.gateway.put("secrets/gcp/1", &json!({"auth_file": auth_file, "ssl_verify": false}));
    house.becomes("$secret://gcp/1/plain", "fresh", None);
    house.credential("absent", "$secret://gcp/1/absent");
    house.becomes("$secret://gcp/1/absent", "failing", Some("key_missing"));
    assert!(!house.gateway.output().contains("PRIVATE KEY"));
}

/// A service account's file is read when it is needed, whatever has its name, and again when it is another one.
#[test]
fn a_service_account_may_come_late_and_be_rotated() {
    let (gcp, key) = (Manager::plain(), openssl::rsa::Rsa::generate(2048).unwrap());
    let directory = program::directory();
    let auth_file = directory.path().join("account.json");
    let fifo = || {
        let made = Command::new("mkfifo").arg(&auth_file).status().unwrap();
        assert!(made.success());
    };
    fifo();
    let mut house = House::around(Gateway::in_directory(directory, &setup()));
    house.gateway.put("secrets/gcp/1", &json!({"auth_file": auth_file}));
    let reference = "$secret://gcp/1/plain";
    house.credential("k", reference);
    house.becomes(reference, "failing", Some("configuration"));
    assert!(house.gateway.output().contains("auth_file: it is no regular file"));

    for (project, value) in [("first", "of-the-first"), ("second", "of-the-second")] {
        {
            let mut state = gcp.state();
            state.key = "Bearer access".to_owned();
            state.posts.insert("/token".to_owned(), json!({"access_token": "access", "expires_in": 3600}));
            let payload = json!({"payload": {"data": openssl::base64::encode_block(value.as_bytes())}});
            state.secrets.insert(format!("/v1/projects/{project}/secrets/plain/versions/latest:access"), payload);
        }
        let account = json!({
            "client_email": "robot@project.test", "project_id": project,
            "private_key": String::from_utf8(key.private_key_to_pem().unwrap()).unwrap(),
            "token_uri": format!("http://{}/token", gcp.address), "entries_uri": format!("http://{}/v1", gcp.address),
        });
        let new = auth_file.with_extension("new");
        fs::write(&new, account.to_string()).unwrap();
        fs::rename(&new, &auth_file).unwrap();
        house.settles("k", value, 200);
        house.becomes(reference, "fresh", None);
    }
    let posts = gcp.state().seen.iter().filter(|asked| asked.method == "POST").count();
    assert_eq!(posts, 2, "an access token is used as long as its account is the same");

    fs::remove_file(&auth_file).unwrap();
    fifo();
    house.becomes(reference, "stale", Some("configuration"));
    assert_eq!(house.status("k", "of-the-second"), 200, "the last good value stays");
    house.gateway.restart();
    house.becomes(reference, "failing", Some("configuration"));
}

/// Sixty references to `vault/1`, in a credential of nobody else's.
fn sixty() -> Value {
    (0..60).map(|index| json!(format!("$secret://vault/1/jack/{index}"))).collect()
}

/// A manager that hangs has places of its own to hang in.
#[test]
fn a_manager_that_hangs_holds_up_no_other() {
    let (house, hung, well) = (House::new(&setup()), Manager::plain(), Manager::plain());
    hung.be(Mood::Silent);
    house.vault(&format!("http://{}", hung.address));
    let many = json!({"plugins": {"jwt-auth": {"key": "many", "secret": "s", "more": sixty()}}});
    house.gateway.put("consumers/jack/credentials/many", &many);
    wait_for("hanging attempts", || (hung.asked() >= 8).then_some(()));

    well.hold(JACK, &json!({"jwt-secret": VALUE}));
    let resource = json!({"uri": format!("http://{}", well.address), "prefix": "kv/apisix", "token": "root"});
    house.gateway.put("secrets/vault/2", &resource);
    let begun = Instant::now();
    house.credential("k", "$secret://vault/2/jack/jwt-secret");
    house.settles("k", VALUE, 200);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// Attempts under way, and those that wait for their turn, are for what is configured.
#[test]
fn a_change_of_the_resource_cuts_attempts_short() {
    let (house, hung, well) = (House::new(&setup()), Manager::plain(), Manager::plain());
    let values: serde_json::Map<_, _> = (0..60).map(|index| (index.to_string(), json!(index))).collect();
    well.hold(JACK, &Value::Object(values));
    hung.be(Mood::Silent);
    house.vault(&format!("http://{}", hung.address));
    let many = json!({"plugins": {"jwt-auth": {"key": "many", "secret": "s", "more": sixty()}}});
    house.gateway.put("consumers/jack/credentials/many", &many);
    wait_for("hanging attempts", || (hung.asked() >= 8).then_some(()));

    let all = |state: &str| {
        let series = format!("ringgate_secret_references{{state=\"{state}\"}}");
        wait_at_most(SOON, &series, || (house.gateway.metric(&series) >= 60.0).then_some(()));
    };
    house.vault(&format!("http://{}", well.address));
    all("fresh");

    let before = well.asked();
    well.be(Mood::Silent);
    wait_for("hanging attempts", || (well.asked() >= before + 8).then_some(()));
    house.gateway.admin("DELETE", "secrets/vault/1", &Value::Null);
    all("failing");
}
