//! What a token may cost: nothing beyond its longest length, and in proportion to its length up to there
//! (spec/jwt-auth §5).
//!
//! Times are compared with one another, each the best of many, and bounds are far from what is measured: the tests
//! tell a quadratic parser from a linear one, not a slow machine from a fast one.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ringgate::auth::consumer::{AuthMaterial, Credential, Identity};
use ringgate::auth::jwt::{
    Algorithm, Failure, JwtCredential, Policy, TOKEN_BYTES_MAX, TimeChecks, TokenError, Workspace, judge,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes a token of hardly more bytes that is hard on a parser in one way.
type Shape = (&'static str, fn(usize) -> String);

const SHAPES: [Shape; 10] = [
    ("dots", |bytes| ".".repeat(bytes)),
    ("one part", |bytes| "a".repeat(bytes)),
    ("a long signature", |bytes| {
        format!("{}.{}.{}", encoded("{\"alg\":\"HS256\"}"), claims("1"), "A".repeat(bytes / 4 * 4))
    }),
    ("a junk signature", |bytes| format!("{}.{}.{}", encoded("{\"alg\":\"HS256\"}"), claims("1"), "@".repeat(bytes))),
    ("a long string", |bytes| around(&claims(&format!("\"{}\"", "x".repeat(bytes / 4 * 3))))),
    ("escapes", |bytes| around(&claims(&format!("\"{}\"", "\\u00e9".repeat(bytes / 8))))),
    ("brackets", |bytes| around(&claims(&"[".repeat(bytes / 4 * 3)))),
    ("objects in objects", |bytes| around(&claims(&"{\"a\":".repeat(bytes / 7)))),
    ("many members", |bytes| around(&claims(&format!("1{}", ",\"key\":\"k\"".repeat(bytes / 14))))),
    ("many digits", |bytes| around(&claims(&"9".repeat(bytes / 4 * 3)))),
];

#[test]
fn a_token_too_long_costs_no_more_than_one_that_is_not() {
    for (name, shape) in SHAPES {
        let (longest, huge) = (padded(shape, TOKEN_BYTES_MAX), padded(shape, 1 << 20));
        assert_ne!(outcome(&longest), Err(Failure::Token(TokenError::TooLong)), "{name}");
        for bytes in [TOKEN_BYTES_MAX + 1, 1 << 20] {
            assert_eq!(outcome(&padded(shape, bytes)), Err(Failure::Token(TokenError::TooLong)), "{name}");
        }
        let [longest, huge] = [&longest, &huge].map(|token| best_of_many(token));
        assert!(huge <= longest * 8, "{name}: {huge:?} for 1 MiB, {longest:?} for {TOKEN_BYTES_MAX} bytes");
    }
}

#[test]
fn time_grows_with_the_length_and_no_faster() {
    for (name, shape) in SHAPES {
        // Sixteen times as long; a quadratic step would take 256 times as long.
        let [short, long] = [TOKEN_BYTES_MAX / 16, TOKEN_BYTES_MAX].map(|bytes| padded(shape, bytes));
        assert!(outcome(&short).is_err() && outcome(&long).is_err(), "{name}");
        let [short, long] = [&short, &long].map(|token| best_of_many(token));
        assert!(long <= short * 96, "{name}: {long:?} for {TOKEN_BYTES_MAX} bytes, {short:?} for a sixteenth");
    }
}

fn encoded(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// Claims with something in them.
fn claims(something: &str) -> String {
    encoded(&format!("{{\"key\":\"jack-key\",\"a\":{something}}}"))
}

fn around(claims: &str) -> String {
    format!("{}.{claims}.AAAA", encoded("{\"alg\":\"HS256\"}"))
}

/// A token of that shape, exactly as long.
fn padded(shape: fn(usize) -> String, bytes: usize) -> Vec<u8> {
    let mut token = shape(bytes - 128);
    assert!(token.len() <= bytes, "{} bytes, expected {bytes}", token.len());
    token.push_str(&"A".repeat(bytes - token.len()));
    token.into_bytes()
}

fn outcome(token: &[u8]) -> Result<(), Failure> {
    judged(token, &jack(), &mut Workspace::default())
}

fn judged(token: &[u8], jack: &Arc<Credential>, workspace: &mut Workspace) -> Result<(), Failure> {
    let policy = Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT };
    let find = |key: &str| (key == "jack-key").then_some(jack);
    judge(token, &policy, find, 1_750_000_000, workspace).map(|_| ()).map_err(|rejection| rejection.failure)
}

fn jack() -> Arc<Credential> {
    let identity = Arc::new(Identity {
        username: "jack".into(),
        group_id: None,
        credential_id: None,
        fields: Box::default(),
        plugins: Arc::from([]),
    });
    let material = AuthMaterial::Jwt(JwtCredential::hmac("jack-key", Algorithm::Hs256, b"secret", 0));
    Arc::new(Credential { identity, material, version: 1 })
}

/// The shortest of many times for ten judgements, with buffers that have grown.
fn best_of_many(token: &[u8]) -> Duration {
    let (jack, mut workspace) = (jack(), Workspace::default());
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        for _ in 0..10 {
            let _ = black_box(judged(black_box(token), &jack, &mut workspace));
        }
        start.elapsed()
    });
    // What is too short to be told apart counts as a microsecond.
    times.min().unwrap_or_default().max(Duration::from_micros(1))
}

const ROUNDS: usize = 200;
