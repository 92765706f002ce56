//! The plugin as routes run it: every row of spec/jwt-auth §3, §4, §6 and §8 that spans extraction and judgement.

use super::*;
use crate::auth::consumer::{Consumer, ConsumerTable, Credential};
use crate::http::request::OwnedRequest;
use crate::plugin::{self, Edits};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

const NOW: u64 = 1_750_000_000;

fn identity(username: &str, credential_id: Option<&str>) -> Arc<Identity> {
    Arc::new(Identity {
        username: username.into(),
        group_id: None,
        credential_id: credential_id.map(Into::into),
        fields: Identity::render_fields(username, credential_id, None),
        plugins: Arc::from([]),
    })
}

/// Jack, by a credential and by himself; and a consumer for the anonymous.
fn consumers() -> ConsumerTable {
    let mut table = ConsumerTable::default();
    let credentials = [
        (json!({"key": "jack-key", "secret": "jack-secret"}), Some("c1")),
        (json!({"key": "jack-512", "secret": "amFjaw==", "base64_secret": true, "algorithm": "HS512"}), None),
        (json!({"key": "jack-grace", "secret": "jack-secret", "lifetime_grace_period": 60}), Some("c2")),
    ];
    for (configuration, id) in credentials {
        let material = credential::build(&configuration, plugin::Rules::default()).unwrap();
        let key = material.lookup_key().to_owned();
        let credential = Credential { identity: identity("jack", id), material, version: 1 };
        table.put_credential(NAME, &key, Some(Arc::new(credential)));
    }
    let anonymous = Consumer { username: "nobody".into(), anonymous: identity("nobody", None) };
    table.put_consumer("nobody", Some(Arc::new(anonymous)));
    table
}

fn token(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(b"jack-secret")).unwrap()
}

/// Who a request turned out to be, or the answer's body; and what was edited.
fn run(configuration: &Value, request: &OwnedRequest) -> (Result<String, String>, Edits) {
    let plugin = build(configuration).unwrap();
    let (consumers, mut edits, mut scratch) = (consumers(), Edits::default(), Scratch::default());
    let mut limits = crate::limit::Local::default();
    let mut context = Context::new(
        crate::base::clock::Now { monotonic_us: 0, unix_us: NOW * 1_000_000 },
        &consumers,
        &mut edits,
        &mut scratch,
        &mut limits,
    );
    let outcome = match plugin.rewrite(&request.view(), &mut context) {
        Verdict::Continue => Ok(context.identity.unwrap().username.to_string()),
        Verdict::Wait(_) => panic!("authentication does not wait"),
        Verdict::Respond(answer) => {
            assert_eq!(answer.status, 401);
            Err(String::from_utf8(answer.body.to_vec()).unwrap())
        }
    };
    (outcome, edits)
}

fn get() -> OwnedRequest {
    OwnedRequest::new("GET", "/get")
}

fn refused(text: &str) -> Result<String, String> {
    Err(format!("{{\"message\":\"{text}\"}}\n"))
}

#[test]
fn a_good_token_is_taken_from_each_place() {
    let good = token(&json!({"key": "jack-key"}));
    let named = json!({"header": "jwt-auth-header", "query": "jwt-query", "cookie": "jwt-cookie"});
    let cases = [
        (json!({}), get().field("Authorization", &good)),
        (json!({}), get().field("Authorization", format!("Bearer {good}"))),
        (json!({}), OwnedRequest::new("GET", &format!("/get?jwt={good}"))),
        (json!({}), OwnedRequest::new("GET", &format!("/get?jwt={}", good.replace('.', "%2E")))),
        (json!({}), get().field("Cookie", format!("a=b; jwt={good}"))),
        (named.clone(), get().field("Jwt-Auth-Header", &good)),
        (named.clone(), OwnedRequest::new("GET", &format!("/get?jwt-query={good}"))),
        (named, get().field("Cookie", format!("jwt-cookie={good}"))),
    ];
    for (configuration, request) in cases {
        assert_eq!(run(&configuration, &request).0, Ok("jack".into()), "{configuration}");
    }
}

#[test]
fn the_identity_is_the_matched_credentials() {
    let consumers = consumers();
    let plugin = build(&Value::Null).unwrap();
    let request = get().field("Authorization", token(&json!({"key": "jack-key"})));
    let (mut edits, mut scratch) = (Edits::default(), Scratch::default());
    let mut limits = crate::limit::Local::default();
    let mut context = Context::new(
        crate::base::clock::Now { monotonic_us: 0, unix_us: NOW * 1_000_000 },
        &consumers,
        &mut edits,
        &mut scratch,
        &mut limits,
    );
    assert!(matches!(plugin.rewrite(&request.view(), &mut context), Verdict::Continue));
    assert_eq!(context.identity.unwrap().credential_id.as_deref(), Some("c1"));
}

#[test]
fn each_failure_has_its_text() {
    let good = token(&json!({"key": "jack-key"}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let cases = [
        (get(), "Missing JWT token in request"),
        (get().field("Authorization", ""), "JWT token invalid"),
        (get().field("Authorization", "Bearer"), "JWT token invalid"),
        (get().field("Authorization", format!("BEARER {good}")), "JWT token invalid"),
        (get().field("Authorization", format!("Bearer  {good}")), "JWT token invalid"),
        (get().field("Authorization", "Basic eDp5").field("Cookie", format!("jwt={good}")), "JWT token invalid"),
        (get().field("Authorization", format!("{head}.")), "JWT token invalid"),
        (get().field("Authorization", head), "JWT token invalid"),
        (get().field("Authorization", format!("{good}.{signature}.x")), "JWT token invalid"),
        (OwnedRequest::new("GET", "/?jwt"), "JWT token invalid"),
        (OwnedRequest::new("GET", &format!("/?jwt={good}&jwt={good}")), "JWT token invalid"),
        (OwnedRequest::new("GET", &format!("/?jwt=Bearer%20{good}")), "JWT token invalid"),
        (get().field("Cookie", "jwt=x"), "JWT token invalid"),
        (get().field("Authorization", token(&json!({"exp": NOW + 60}))), "missing user key in JWT token"),
        (get().field("Authorization", token(&json!({"key": false}))), "missing user key in JWT token"),
        (get().field("Authorization", token(&json!({"key": "jill-key"}))), "Invalid user key in JWT token"),
        (get().field("Authorization", token(&json!({"key": 5}))), "Invalid user key in JWT token"),
        (get().field("Authorization", token(&json!({"key": null}))), "Invalid user key in JWT token"),
        (get().field("Authorization", format!("{head}.@@@@")), "failed to verify jwt"),
        (get().field("Authorization", format!("{head}.AAAA")), "failed to verify jwt"),
        (get().field("Authorization", token(&json!({"key": "jack-512"}))), "failed to verify jwt"),
        (get().field("Authorization", token(&json!({"key": "jack-key", "exp": NOW}))), "failed to verify jwt"),
        (get().field("Authorization", token(&json!({"key": "jack-key", "nbf": NOW}))), "failed to verify jwt"),
    ];
    for (index, (request, want)) in cases.iter().enumerate() {
        assert_eq!(run(&json!({}), request).0, refused(want), "case {index}");
    }
}

#[test]
fn options_reach_the_judgement() {
    let bearer = |claims: Value| get().field("Authorization", token(&claims));
    let cases = [
        (json!({"key_claim_name": "iss"}), json!({"iss": "jack-key"}), true),
        (json!({"key_claim_name": "iss"}), json!({"key": "jack-key"}), false),
        (json!({"claims_to_verify": []}), json!({"key": "jack-key"}), true),
        (json!({"claims_to_verify": ["exp"]}), json!({"key": "jack-key"}), false),
        (json!({"claims_to_verify": ["nbf"]}), json!({"key": "jack-key", "nbf": 1, "exp": 1}), true),
        (json!({}), json!({"key": "jack-grace", "exp": NOW - 59}), true),
        (json!({}), json!({"key": "jack-grace", "exp": NOW - 60}), false),
        (json!({"store_in_ctx": true, "unknown": 1, "secret": "ignored"}), json!({"key": "jack-key"}), true),
    ];
    for (configuration, claims, want) in cases {
        assert_eq!(run(&configuration, &bearer(claims.clone())).0.is_ok(), want, "{configuration} {claims}");
    }
    let key = EncodingKey::from_secret(b"jack");
    let decoded = jsonwebtoken::encode(&Header::new(jsonwebtoken::Algorithm::HS512), &json!({"key": "jack-512"}), &key);
    assert_eq!(run(&json!({}), &get().field("Authorization", decoded.unwrap())).0, Ok("jack".into()));
}

#[test]
fn any_failure_continues_as_the_anonymous_consumer() {
    let configuration = json!({"anonymous_consumer": "nobody"});
    let requests = [
        get(),
        get().field("Authorization", "x"),
        get().field("Authorization", token(&json!({}))),
        get().field("Authorization", token(&json!({"key": "jill-key"}))),
        get().field("Authorization", token(&json!({"key": "jack-key", "exp": 1}))),
    ];
    for request in &requests {
        assert_eq!(run(&configuration, request).0, Ok("nobody".into()));
        let unknown = json!({"anonymous_consumer": "somebody"});
        assert_eq!(run(&unknown, request).0, refused("Invalid user authorization"));
    }
    let good = get().field("Authorization", token(&json!({"key": "jack-key"})));
    assert_eq!(run(&configuration, &good).0, Ok("jack".into()));
}

#[test]
fn credentials_are_hidden_before_they_are_judged() {
    let good = token(&json!({"key": "jack-key"}));
    for (value, configuration) in [
        (good.as_str(), json!({"hide_credentials": true})),
        ("bad", json!({"hide_credentials": true})),
        ("bad", json!({"hide_credentials": true, "anonymous_consumer": "nobody"})),
    ] {
        let request = OwnedRequest::new("GET", &format!("/?jwt={good}&a=1"));
        let (_, edits) = run(&configuration, &request.clone().field("Authorization", value));
        assert_eq!((edits.remove_fields.len(), edits.query), (1, None), "the header's token alone");
        let (_, edits) = run(&configuration, &request);
        assert_eq!((edits.remove_fields.len(), edits.query.as_deref()), (0, Some(&b"a=1"[..])));
        let (_, edits) = run(&configuration, &get().field("Cookie", format!("a=1; jwt={value}")));
        assert_eq!(edits.cookie.as_deref(), Some(&b"a=1"[..]));
    }
    let (_, edits) = run(&json!({}), &get().field("Authorization", good));
    assert!(edits.remove_fields.is_empty(), "off unless asked for");
}

#[test]
fn answers_carry_the_realm() {
    let plugin = JwtAuth::new(&json!({"realm": "my api"})).unwrap();
    let want = "WWW-Authenticate: Bearer realm=\"my api\"\r\nContent-Type: text/plain; charset=utf-8\r\n";
    assert_eq!(&*plugin.answers.missing.fields, want.as_bytes());
    let plugin = JwtAuth::new(&json!({})).unwrap();
    assert!(plugin.answers.anonymous_unknown.fields.starts_with(b"WWW-Authenticate: Bearer realm=\"jwt\"\r\n"));
}

#[test]
fn what_slips_past_the_schema_is_refused() {
    for realm in ["", "a\"b", "a\\b", "$env://X\r\nSet-Cookie: a=b", "é", &"x".repeat(129)] {
        assert!(JwtAuth::new(&json!({"realm": realm})).is_err(), "{realm:?}");
    }
    assert!(JwtAuth::new(&json!({"claims_to_verify": ["$env://X"]})).is_err());
}

#[test]
fn schemas_are_json_objects() {
    for schema in [TYPE.schema, TYPE.auth.as_ref().unwrap().consumer_schema] {
        assert!(serde_json::from_str::<Value>(schema).unwrap().is_object());
    }
}

/// spec/jwt-auth §8.3: what the token says becomes variables, also when the token itself is hidden (§11, #11281).
#[test]
fn claims_become_variables_where_store_in_ctx_asks_for_them() {
    use crate::vars::variable::Variable;
    let claims = json!({"key": "jack-key", "role": "reader", "level": 7, "groups": ["a"]});
    let good = get().field("Authorization", token(&claims));
    let forged = get().field("Authorization", format!("{}A", token(&claims)));
    let store = |more: Value| {
        let mut configuration = json!({"store_in_ctx": true});
        configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        configuration
    };
    let cases = [
        ("off", json!({}), &good, None, None),
        ("on", store(json!({})), &good, Some("reader"), Some("7")),
        ("hidden", store(json!({"hide_credentials": true})), &good, Some("reader"), Some("7")),
        ("anonymous", store(json!({"anonymous_consumer": "nobody"})), &forged, None, None),
    ];
    for (name, configuration, request, role, level) in cases {
        let plugin = build(&configuration).unwrap();
        let (consumers, mut edits, mut scratch) = (consumers(), Edits::default(), Scratch::default());
        let mut limits = crate::limit::Local::default();
        let mut context = Context::new(
            crate::base::clock::Now { monotonic_us: 0, unix_us: NOW * 1_000_000 },
            &consumers,
            &mut edits,
            &mut scratch,
            &mut limits,
        );
        assert!(matches!(plugin.rewrite(&request.view(), &mut context), Verdict::Continue), "{name}");
        let (view, text) = (request.view(), |value: &str| value.as_bytes().to_vec());
        let known = context.known(&view);
        let value = |variable| Variable::named(variable).value(&known).map(std::borrow::Cow::into_owned);
        assert_eq!(value("jwt_payload_role"), role.map(text), "{name}");
        assert_eq!(value("jwt_payload_level"), level.map(text), "{name}");
        assert_eq!(value("jwt_payload_groups"), None, "{name}");
    }
}
