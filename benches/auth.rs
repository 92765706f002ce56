//! Authentication, part by part and whole: what one request with a token costs.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench has no users, and a failure should stop it"
)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jsonwebtoken::{EncodingKey, Header as OracleHeader};
use ringgate::auth::consumer::{ConsumerTable, Credential, Identity};
use ringgate::auth::extract::{Names, locate};
use ringgate::auth::jwt::json::Reader;
use ringgate::auth::jwt::token::{Header, Parts};
use ringgate::auth::jwt::{Algorithm, Claims, JwtCredential, Policy, TimeChecks, Workspace, judge};
use ringgate::base::base64url;
use ringgate::http::request::OwnedRequest;
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

const NOW: u64 = 1_750_000_000;
const SECRET: &[u8] = b"jack-hs256-secret-that-is-very-long";
const CLAIM_COUNTS: [usize; 3] = [0, 8, 64];

fn token(key: &str, algorithm: jsonwebtoken::Algorithm, claim_count: usize) -> String {
    let mut claims = json!({"key": key, "exp": NOW + 3600, "nbf": NOW - 1, "iat": NOW - 1});
    for index in 0..claim_count {
        claims[format!("claim-{index}")] = json!(format!("value {index}"));
    }
    jsonwebtoken::encode(&OracleHeader::new(algorithm), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn credential(key: &str, algorithm: Algorithm) -> Arc<Credential> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let material = ringgate::auth::consumer::AuthMaterial::Jwt(JwtCredential::hmac(key, algorithm, SECRET, 0));
    Arc::new(Credential { identity, material, version: 1 })
}

fn policy() -> Policy {
    Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT }
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("auth");
    for claim_count in CLAIM_COUNTS {
        let token = token("jack-key", jsonwebtoken::Algorithm::HS256, claim_count);
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
    for (algorithm, oracle) in
        [(Algorithm::Hs256, jsonwebtoken::Algorithm::HS256), (Algorithm::Hs512, jsonwebtoken::Algorithm::HS512)]
    {
        let token = token("jack-key", oracle, 0);
        let parts = Parts::split(token.as_bytes()).unwrap();
        let jwt = JwtCredential::hmac("jack-key", algorithm, SECRET, 0);
        let header = Header { algorithm: Some(algorithm.name()) };
        let mut decoded = Vec::new();
        group.bench_function(BenchmarkId::new("verify", algorithm.name()), |bencher| {
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
    let token = token("jack-key", jsonwebtoken::Algorithm::HS256, 0);
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
            table.put_credential("jwt-auth", &key, Some(credential(&key, Algorithm::Hs256)));
        }
        let keys: Vec<String> = (0..1024).map(|index| format!("key-{}", index * 7919 % count)).collect();
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("lookup", count), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % keys.len();
                table.credential("jwt-auth", black_box(keys.get(turn).unwrap())).is_some()
            });
        });
        let tokens: Vec<String> = keys.iter().map(|key| self::token(key, jsonwebtoken::Algorithm::HS256, 0)).collect();
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

criterion_group!(benches, parts, whole);
criterion_main!(benches);
