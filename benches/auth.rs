//! Authentication, part by part and whole: what one request with a token costs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench has no users, and a failure should stop it"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jsonwebtoken::{EncodingKey, Header as OracleHeader};
use ringgate::auth::consumer::{AuthMaterial, ConsumerTable, Credential, Identity};
use ringgate::auth::extract::{Names, locate};
use ringgate::auth::jwt::json::Reader;
use ringgate::auth::jwt::key::PrivateKey;
use ringgate::auth::jwt::token::{Header, Parts};
use ringgate::auth::jwt::{
    Algorithm, Claims, JwtCredential, Policy, PublicKey, Scratch, Settings, SigningKey, TimeChecks, VerifyingKey,
    Workspace, judge,
};
use ringgate::base::base64url;
use ringgate::base::clock::Now;
use ringgate::http::request::OwnedRequest;
use ringgate::limit::{Local, Table};
use ringgate::plugin::{Context, Edits, Site, Verdict};
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

const NOW: u64 = 1_750_000_000;
const SECRET: &str = "jack-hs256-secret-that-is-very-long";
const CLAIM_COUNTS: [usize; 3] = [0, 8, 64];

fn claims(key: &str, claim_count: usize) -> serde_json::Value {
    let mut claims = json!({"key": key, "exp": NOW + 3600, "nbf": NOW - 1, "iat": NOW - 1});
    for index in 0..claim_count {
        claims[format!("claim-{index}")] = json!(format!("value {index}"));
    }
    claims
}

/// A token of another library.
fn token(key: &str, claim_count: usize) -> String {
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&OracleHeader::default(), &claims(key, claim_count), &secret).unwrap()
}

fn credential(key: &str) -> Arc<Credential> {
    bearing(AuthMaterial::Jwt(JwtCredential::hmac(key, Algorithm::Hs256, SECRET.as_bytes(), 0)), 1)
}

fn bearing(material: AuthMaterial, version: u64) -> Arc<Credential> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    Arc::new(Credential { identity, material, version })
}

fn policy() -> Policy {
    Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT }
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("auth");
    for claim_count in CLAIM_COUNTS {
        let token = token("jack-key", claim_count);
        let parts = Parts::split(token.as_bytes()).unwrap();
        let mut decoded = Vec::new();
        let mut reader = Reader::default();
        group.throughput(Throughput::Bytes(parts.payload.len() as u64));
        group.bench_function(BenchmarkId::new("base64url", parts.payload.len()), |bencher| {
            bencher.iter(|| base64url::decode_into(black_box(parts.payload), &mut decoded).map(|bytes| bytes.len()));
        });
        group.bench_function(BenchmarkId::new("claims", parts.payload.len()), |bencher| {
            bencher.iter(|| {
                Claims::read(black_box(parts.payload), "key", &mut decoded, &mut reader)
                    .is_ok_and(|claims| claims.key().is_ok())
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    for material in MATERIALS {
        let (jwt, token) = (material.credential("jack-key"), material.token("jack-key", 0));
        let parts = Parts::split(token.as_bytes()).unwrap();
        let header = Header { algorithm: Some(material.algorithm.name()) };
        let mut decoded = Vec::new();
        group.bench_function(BenchmarkId::new("verify", material.algorithm.name()), |bencher| {
            bencher.iter(|| {
                jwt.check_algorithm(header).is_ok() && jwt.check_signature(black_box(&parts), &mut decoded).is_ok()
            });
        });
    }
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("auth");
    let names = Names { header: b"authorization"[..].into(), query: b"jwt"[..].into(), cookie: b"jwt"[..].into() };
    let token = token("jack-key", 0);
    let fields = |count: usize| {
        (0..count).fold(OwnedRequest::new("GET", &format!("/?a=1&b=2&jwt={token}")), |request, index| {
            request.field(&format!("x-field-{index:02}"), "some value")
        })
    };
    for field_count in [4, 32] {
        let in_header = fields(field_count).field("authorization", format!("Bearer {token}"));
        let in_query = fields(field_count);
        for (place, request) in [("header", in_header), ("query", in_query)] {
            let mut argument = Vec::new();
            let view = request.view();
            group.bench_function(BenchmarkId::new(format!("locate/{place}"), field_count), |bencher| {
                bencher.iter(|| locate(black_box(&view), &names, &mut argument).is_some());
            });
        }
    }
    for count in [1_usize, 10_000, 1_000_000] {
        let mut table = ConsumerTable::default();
        for index in 0..count {
            let key = format!("key-{index}");
            table.put_credential("jwt-auth", &key, Some(credential(&key)));
        }
        let keys: Vec<String> = (0..1024).map(|index| format!("key-{}", index * 7919 % count)).collect();
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("lookup", count), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % keys.len();
                table.credential("jwt-auth", black_box(keys.get(turn).unwrap())).is_some()
            });
        });
        let tokens: Vec<String> = keys.iter().map(|key| self::token(key, 0)).collect();
        let (policy, mut workspace) = (policy(), Workspace::default());
        group.bench_function(BenchmarkId::new("judge", count), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % tokens.len();
                let token = black_box(tokens.get(turn).unwrap());
                judge(token.as_bytes(), &policy, |key| table.credential("jwt-auth", key), NOW, &mut workspace).is_ok()
            });
        });
    }
    group.finish();
}

/// The plugin's rewrite phase: from header to consumer. Asymmetric tokens have been seen before, save where said.
fn from_header_to_consumer(criterion: &mut Criterion) {
    const CONSUMERS: usize = 10_000;
    const TOKENS: usize = 256;
    let limits = Arc::new(Table::new(1024, 0, 0));
    let site = Site {
        key: "/apisix/routes/1",
        consumer: None,
        meta: None,
        metadata: None,
        paces: &Arc::default(),
        limits: &limits,
    };
    let plugin = (ringgate::plugin::registry::find("jwt-auth").unwrap().build)(&json!({}), &site).unwrap();
    let mut local = Local::default();
    let mut group = criterion.benchmark_group("auth");
    for material in MATERIALS {
        let mut table = ConsumerTable::default();
        for index in 0..CONSUMERS {
            let key = format!("key-{index}");
            let credential = bearing(AuthMaterial::Jwt(material.credential(&key)), index as u64);
            table.put_credential("jwt-auth", &key, Some(credential));
        }
        let requests: Vec<OwnedRequest> = (0..TOKENS)
            .map(|index| material.token(&format!("key-{}", index * 39 % CONSUMERS), 0))
            .map(|token| {
                let request = OwnedRequest::new("GET", "/").field("Host", "gateway").field("User-Agent", "bench");
                request.field("Authorization", format!("Bearer {token}"))
            })
            .collect();
        let memories =
            [("remembered", Settings::default()), ("new", Settings { cache_entries: 0, ..Settings::default() })];
        for (name, settings) in memories {
            if material.algorithm.is_hmac() && name == "remembered" {
                continue;
            }
            let (mut scratch, mut edits) = (Scratch::new(&settings, Arc::default()), Edits::default());
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(format!("plugin/{name}"), material.algorithm.name()), |bencher| {
                bencher.iter(|| {
                    turn = (turn + 1) % TOKENS;
                    let request = requests.get(turn).unwrap().view();
                    let mut context = Context::new(
                        Now { monotonic_us: 0, unix_us: NOW * 1_000_000 },
                        &table,
                        &mut edits,
                        &mut scratch,
                        &mut local,
                    );
                    matches!(plugin.rewrite(black_box(&request), &mut context), Verdict::Continue)
                });
            });
        }
    }
    group.finish();
}

/// Key material of one algorithm.
struct Material {
    algorithm: Algorithm,
    /// The secret, or a private key in PEM.
    key: &'static str,
}

const RSA: &str = include_str!("../tests/data/keys/rsa-2048.pem");
const P256: &str = include_str!("../tests/data/keys/p-256.pem");
const MATERIALS: [Material; 7] = [
    Material { algorithm: Algorithm::Hs256, key: SECRET },
    Material { algorithm: Algorithm::Hs512, key: SECRET },
    Material { algorithm: Algorithm::Rs256, key: RSA },
    Material { algorithm: Algorithm::Ps256, key: RSA },
    Material { algorithm: Algorithm::Es256, key: P256 },
    Material { algorithm: Algorithm::Es512, key: include_str!("../tests/data/keys/p-521.pem") },
    Material { algorithm: Algorithm::EdDsa, key: include_str!("../tests/data/keys/ed25519.pem") },
];

impl Material {
    fn token(&self, key: &str, claim_count: usize) -> String {
        let signing = if self.algorithm.is_hmac() {
            SigningKey::hmac(self.algorithm, self.key.as_bytes())
        } else {
            SigningKey::private(self.algorithm, &PrivateKey::parse(self.key).unwrap())
        };
        signing.unwrap().token(claims(key, claim_count).as_object().unwrap(), serde_json::Map::new()).unwrap()
    }

    fn credential(&self, key: &str) -> JwtCredential {
        let verifying = if self.algorithm.is_hmac() {
            VerifyingKey::hmac(self.algorithm, self.key.as_bytes())
        } else {
            VerifyingKey::public(self.algorithm, PublicKey::parse(self.key).unwrap())
        };
        JwtCredential::new(key, self.algorithm, verifying, 0)
    }
}

criterion_group!(benches, parts, whole, from_header_to_consumer);
criterion_main!(benches);
