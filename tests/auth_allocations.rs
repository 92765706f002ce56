//! Authentication and filters allocate nothing per request once their buffers have grown.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "support/allocations.rs"]
mod allocations;

use allocations::ALLOCATIONS;
use jsonwebtoken::{EncodingKey, Header};
use ringgate::auth::consumer::{AuthMaterial, ConsumerTable, Credential, Identity};
use ringgate::auth::jwt::key::PrivateKey;
use ringgate::auth::jwt::{Algorithm, JwtCredential, PublicKey, Scratch, SigningKey, VerifyingKey};
use ringgate::base::clock::Now;
use ringgate::http::request::OwnedRequest;
use ringgate::limit::{Local, Table};
use ringgate::plugin::filter::{self, Decisions, Filter};
use ringgate::plugin::{Context, Edits, Phase, Rules, Site, Verdict, registry};
use serde_json::{Value, json};
use std::sync::Arc;

const NOW: u64 = 1_750_000_000;

#[test]
fn nothing_is_allocated_per_request() {
    let jwt_auth = registry::find("jwt-auth").unwrap();
    let consumers = consumers();
    let limits = Arc::new(Table::new(1024, 0, 0));
    let token =
        token(&json!({"key": "jack-key", "exp": NOW + 60, "nbf": NOW - 60, "roles": ["a", "b"], "n": "\u{e9}\n"}));
    let expired = self::token(&json!({"key": "jack-key", "exp": NOW}));
    let get = |target: &str| OwnedRequest::new("GET", target);
    let cases = [
        ("header", json!({}), get("/").field("Authorization", format!("Bearer {token}"))),
        ("hidden header", json!({"hide_credentials": true}), get("/").field("Authorization", &token)),
        ("query", json!({}), get(&format!("/?a=1&jwt={token}"))),
        ("encoded query", json!({}), get(&format!("/?jwt={}", token.replace('.', "%2e")))),
        ("cookie", json!({}), get("/").field("Cookie", format!("a=b; jwt={token}; c=d"))),
        ("expired", json!({}), get("/").field("Authorization", &expired)),
        ("unknown key", json!({"key_claim_name": "n"}), get("/").field("Authorization", &token)),
        ("remembered rs256", json!({}), get("/").field("Authorization", asymmetric(&RS256))),
        ("remembered es256", json!({}), get("/").field("Authorization", asymmetric(&ES256))),
        ("no token", json!({}), get("/")),
        ("no base64url", json!({}), get("/").field("Authorization", "@.@.@")),
    ];
    for (name, configuration, request) in cases {
        let site = Site {
            key: "/apisix/routes/1",
            consumer: None,
            meta: None,
            metadata: None,
            paces: &Arc::default(),
            limits: &limits,
        };
        let plugin = (jwt_auth.build)(&configuration, &site).unwrap();
        let (mut edits, mut scratch, mut local) = (Edits::default(), Scratch::default(), Local::default());
        let mut run = || {
            edits.clear();
            let mut context = Context::new(
                Now { monotonic_us: 0, unix_us: NOW * 1_000_000 },
                &consumers,
                &mut edits,
                &mut scratch,
                &mut local,
            );
            let verdict = plugin.rewrite(&request.view(), &mut context);
            (matches!(verdict, Verdict::Continue), context.identity.is_some())
        };
        let first = run();
        let before = ALLOCATIONS.get();
        let second = run();
        assert_eq!(ALLOCATIONS.get() - before, 0, "{name}");
        assert_eq!(first, second, "{name}");
        let succeeds = !matches!(name, "expired" | "unknown key" | "no token" | "no base64url");
        assert_eq!(first, (succeeds, succeeds), "{name}");
    }
}

#[test]
fn filters_allocate_nothing_once_their_decisions_have_a_place() {
    let filters = [
        json!([["arg_version", "==", "v2"], ["http_x_tenant", "~~", "^a"]]),
        json!(["OR", ["consumer_name", "jack"], ["route_id", "in", ["1", "2"]], ["remote_addr", "ipmatch", "::/0"]]),
        json!([["uri", "/elsewhere"]]),
    ];
    let filters = filters.map(|filter| Arc::new(Filter::new(filter::parse(&filter).unwrap(), Phase::Rewrite)));
    let request = OwnedRequest::new("GET", "/?version=v2").field("X-Tenant", "acme");
    let (consumers, mut edits, mut scratch) = (consumers(), Edits::default(), Scratch::default());
    let jack = consumers.credential("jwt-auth", "jack-key").map(|credential| Arc::clone(&credential.identity));
    let mut limits = Local::default();
    let mut context = Context::new(
        Now { monotonic_us: 0, unix_us: NOW * 1_000_000 },
        &consumers,
        &mut edits,
        &mut scratch,
        &mut limits,
    );
    context.identity = jack;
    let mut decisions = Decisions::default();
    let mut run = || {
        decisions.clear();
        let view = request.view();
        [Phase::Rewrite, Phase::Access]
            .map(|phase| filters.each_ref().map(|filter| decisions.admit(filter, phase, &view, &context)))
    };
    // The first request makes the place, and the memory of the regular expression.
    let first = run();
    let before = ALLOCATIONS.get();
    let second = run();
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!((first, second), ([[true, true, false]; 2], [[true, true, false]; 2]));
}

fn consumers() -> ConsumerTable {
    let auth = registry::find("jwt-auth").and_then(|plugin| plugin.auth.as_ref()).unwrap();
    let configuration = json!({"key": "jack-key", "secret": "jack-secret"});
    let material = (auth.build_credential)(&configuration, Rules::default()).unwrap();
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Identity::render_fields("jack", None, None),
        plugins: Arc::from([]),
    });
    let mut table = ConsumerTable::default();
    for (version, (key, algorithm, pem)) in [RS256, ES256].into_iter().enumerate() {
        let verifying = VerifyingKey::public(algorithm, PublicKey::parse(pem).unwrap());
        let material = AuthMaterial::Jwt(JwtCredential::new(key, algorithm, verifying, 0));
        let credential = Credential { identity: Arc::clone(&identity), material, version: 2 + version as u64 };
        table.put_credential("jwt-auth", key, Some(Arc::new(credential)));
    }
    table.put_credential("jwt-auth", "jack-key", Some(Arc::new(Credential { identity, material, version: 1 })));
    table
}

/// A credential's key, its algorithm, and a private key.
type Asymmetric = (&'static str, Algorithm, &'static str);
const RS256: Asymmetric = ("jack-rs256", Algorithm::Rs256, include_str!("data/keys/rsa-2048.pem"));
const ES256: Asymmetric = ("jack-es256", Algorithm::Es256, include_str!("data/keys/p-256.pem"));

fn asymmetric((key, algorithm, pem): &Asymmetric) -> String {
    let signing = SigningKey::private(*algorithm, &PrivateKey::parse(pem).unwrap()).unwrap();
    let claims = json!({"key": key, "exp": NOW + 60, "nbf": NOW - 60});
    signing.token(claims.as_object().unwrap(), serde_json::Map::new()).unwrap()
}

fn token(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(b"jack-secret")).unwrap()
}
