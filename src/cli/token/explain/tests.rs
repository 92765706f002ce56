use super::super::sign::{Order, sign};
use super::*;
use crate::auth::jwt::{SigningKey, TimeChecks, TimeClaim};
use base64_simd::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use proptest::prelude::*;
use ring::hmac;
use serde_json::{Value, json};

const SECRET: &[u8] = b"jack-hs256-secret-that-is-very-long";
const NOW: u64 = 1_800_000_000;
/// The seed's token: `{"key":"jack-key","nbf":1729132271}`.
const SEED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqYWNrLWtleSIsIm5iZiI6MTcyOTEzMjI3MX0.UEPXy5jpid624T1XpfjM0PLY73LZPjV3Qt8yZ92kVuU";

fn options() -> Options {
    Options {
        key: Some("jack-key".to_owned()),
        verifying_key: hs256(SECRET),
        algorithm: Algorithm::Hs256,
        grace_s: 0,
        policy: Policy { key_claim_name: "key".into(), time_checks: TimeChecks::IF_PRESENT },
    }
}

fn hs256(secret: &[u8]) -> VerifyingKey {
    VerifyingKey::hmac(Algorithm::Hs256, secret).unwrap()
}

/// A token made by another library.
fn foreign(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

/// A token of these texts with a right signature.
fn raw(header: &str, payload: &str) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode_to_string(header), URL_SAFE_NO_PAD.encode_to_string(payload));
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode_to_string(mac.as_ref()))
}

fn refusal(token: &str, options: Options) -> Option<(&'static str, String)> {
    explain(token.as_bytes(), options, NOW).refusal.map(|refusal| (refusal.answer.text(), refusal.reason))
}

#[test]
fn the_seeds_token_is_accepted_with_and_without_a_scheme() {
    for token in [SEED.to_owned(), format!("Bearer {SEED}"), format!("bearer {SEED}")] {
        assert_eq!(refusal(&token, options()), None, "{token}");
    }
    assert!(refusal(&format!("BEARER {SEED}"), options()).is_some());
}

#[test]
fn an_explanation_lists_the_steps_passed_and_then_how_it_ended() {
    let accepted = "\
ok       drop the word Bearer (from a header only)
ok       parse it: its claim \"key\" is \"jack-key\"
ok       look up the credential it names
ok       compare the algorithm
ok       verify the signature
ok       compare exp and nbf with the clock
accepted
";
    assert_eq!(explain(format!("Bearer {SEED}").as_bytes(), options(), NOW).to_string(), accepted);
    let other_key = "\
ok       parse it: its claim \"key\" is \"jack-key\"
refused  no credential has the key that the token names
answer   401 {\"message\":\"Invalid user key in JWT token\"}
";
    let jill = Options { key: Some("jill-key".to_owned()), ..options() };
    assert_eq!(explain(SEED.as_bytes(), jill, NOW).to_string(), other_key);
    let other_secret = "\
ok       parse it: its claim \"key\" is \"jack-key\"
ok       look up the credential it names: taken for a known one
ok       compare the algorithm
refused  signature mismatch
answer   401 {\"message\":\"failed to verify jwt\"}
";
    let any = Options { key: None, verifying_key: hs256(b"other"), ..options() };
    assert_eq!(explain(SEED.as_bytes(), any, NOW).to_string(), other_secret);
    let torn = "\
refused  the token does not have three parts
answer   401 {\"message\":\"JWT token invalid\"}
";
    assert_eq!(explain(b"a.b", options(), NOW).to_string(), torn);
}

#[test]
fn malformed_tokens() {
    let [header, payload, signature] = SEED.split('.').collect::<Vec<_>>()[..] else { panic!("not three") };
    let good = r#"{"alg":"HS256"}"#;
    let cases = [
        (String::new(), "the token does not have three parts"),
        ("abc".to_owned(), "the token does not have three parts"),
        (format!("{header}.{payload}"), "the token does not have three parts"),
        (format!("{header}.{payload}."), "a part of the token is empty"),
        (format!("{header}..{signature}"), "a part of the token is empty"),
        (format!("{SEED}.x"), "the token does not have three parts"),
        (format!("{SEED}.x.y"), "the token does not have three parts"),
        (format!("{SEED}.x.y.z.z"), "the token does not have three parts"),
        (format!("{header}=.{payload}.{signature}"), "the header is not base64url without padding"),
        (format!("a+b.{payload}.{signature}"), "the header is not base64url without padding"),
        (format!("{header}.a b.{signature}"), "the payload is not base64url without padding"),
        (format!("{header}.abcde.{signature}"), "the payload is not base64url without padding"),
        (format!("{header}.ab.{signature}"), "the payload is not base64url without padding"),
        (raw("[]", "{}"), "the header is not a JSON object"),
        (raw(good, "1"), "the payload is not a JSON object"),
        (raw(r#"{"alg":"HS256","crit":["exp"]}"#, "{}"), "the header has crit, and no extension is supported"),
        (raw(good, "{"), "the payload is not JSON"),
        (raw(good, "{} x"), "the payload is not JSON"),
        (raw(good, r#"{"a":NaN}"#), "the payload is not JSON"),
        (raw(good, r#"{"a":Infinity}"#), "the payload is not JSON"),
        (raw(good, "{'a':1}"), "the payload is not JSON"),
    ];
    for (token, want) in cases {
        assert_eq!(refusal(&token, options()), Some(("JWT token invalid", want.to_owned())), "{token}");
    }
}

#[test]
fn the_key_claim_decides_who_it_is() {
    let missing = Some(("missing user key in JWT token", "the claim that names the credential is missing"));
    let not_text = Some(("Invalid user key in JWT token", "the claim that names the credential is not a string"));
    let unknown = Some(("Invalid user key in JWT token", "no credential has the key that the token names"));
    let cases = [
        (json!({}), missing),
        (json!({"key": false}), missing),
        (json!({"key": true}), not_text),
        (json!({"key": 1}), not_text),
        (json!({"key": null}), not_text),
        (json!({"key": "bob"}), unknown),
        (json!({"key": "jack-key"}), None),
    ];
    for (claims, want) in cases {
        let found = refusal(&foreign(&claims), options());
        assert_eq!(found.as_ref().map(|(answer, reason)| (*answer, reason.as_str())), want, "{claims}");
    }
    let policy = Policy { key_claim_name: "iss".into(), ..options().policy };
    let any = Options { key: None, policy, ..options() };
    assert_eq!(refusal(&foreign(&json!({"iss": "whoever"})), any), None);
}

#[test]
fn verification_says_what_the_client_is_not_told() {
    let good = foreign(&json!({"key": "jack-key"}));
    let cut = good.rsplit_once('.').unwrap().0;
    let with_header = |header| raw(header, r#"{"key":"jack-key"}"#);
    let other = Options { verifying_key: hs256(b"other"), ..options() };
    let wide = Options { algorithm: Algorithm::Hs512, ..options() };
    let cases = [
        (with_header(r#"{"alg":"none"}"#), options(), "algorithm mismatch, expected HS256"),
        (with_header(r#"{"alg":"hs256"}"#), options(), "algorithm mismatch, expected HS256"),
        (with_header("{}"), options(), "the header names no algorithm, expected HS256"),
        (good.clone(), wide, "algorithm mismatch, expected HS512"),
        (good.clone(), other, "signature mismatch"),
        (format!("{cut}.@@@@"), options(), "the signature is not base64url without padding"),
        (format!("{cut}.AAAA"), options(), "signature mismatch"),
    ];
    for (token, options, want) in cases {
        assert_eq!(refusal(&token, options), Some(("failed to verify jwt", want.to_owned())), "{token}");
    }
}

#[test]
fn times_follow_the_grace_and_the_list() {
    use TimeClaim::{Expires, NotBefore};
    let now = NOW;
    let cases: [(Value, u64, &[TimeClaim], Option<&str>); 16] = [
        (json!({}), 0, &[], None),
        (json!({"exp": now + 1}), 0, &[], None),
        (
            json!({"exp": now}),
            0,
            &[],
            Some(
                "'exp' claim expired at Fri, 15 Jan 2027 08:00:00 GMT (now is Fri, 15 Jan 2027 08:00:00 GMT, grace 0 s)",
            ),
        ),
        (json!({"exp": now}), 1, &[], None),
        (json!({"exp": now as f64 + 0.5}), 0, &[], None),
        (json!({"nbf": now - 1}), 0, &[], None),
        (json!({"nbf": now}), 0, &[], Some("'nbf' claim not valid until Fri, 15 Jan 2027 08:00:00 GMT")),
        (json!({"nbf": now}), 1, &[], None),
        (json!({"nbf": now, "exp": now}), 0, &[], Some("'nbf' claim not valid")),
        (json!({"exp": "soon"}), 0, &[], Some("claim exp is not a number")),
        (json!({"nbf": null}), 0, &[], Some("claim nbf is not a number")),
        (json!({"exp": 1}), 0, &[NotBefore], Some("claim nbf is missing")),
        (json!({"exp": 1, "nbf": 1}), 0, &[NotBefore], None),
        (json!({"exp": 1, "nbf": now + 9}), 0, &[Expires, NotBefore], Some("'exp' claim expired")),
        (json!({"exp": 1e300}), 0, &[Expires], None),
        (json!({"exp": -5}), u64::from(u32::MAX), &[], None),
    ];
    for (mut claims, grace_s, listed, want) in cases {
        claims["key"] = json!("jack-key");
        let policy = Policy { time_checks: TimeChecks::required(listed), ..options().policy };
        let options = Options { grace_s, policy, ..options() };
        // `exp: -5` only passes with a grace that reaches behind 1970.
        let at = if claims["exp"] == json!(-5) { 1_000 } else { now };
        let found = explain(foreign(&claims).as_bytes(), options, at).refusal;
        match (&found, want) {
            (None, None) => {}
            (Some(Refusal { answer: ClientMessage::NotVerified, reason }), Some(want)) => {
                assert!(reason.starts_with(want), "{claims}: {reason}");
            }
            _ => panic!("{claims} grace {grace_s} {listed:?}: {found:?}, wanted {want:?}"),
        }
    }
}

#[test]
fn no_explanation_holds_the_secret() {
    let secret = String::from_utf8(SECRET.to_vec()).unwrap();
    let texts = [SEED.to_owned(), SEED.replace("UEPX", "AAAA"), "a.b.c".to_owned(), foreign(&json!({"key": 1}))];
    for token in texts {
        assert!(!explain(token.as_bytes(), options(), NOW).to_string().contains(&secret), "{token}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_explained(token in proptest::collection::vec(any::<u8>(), 0..200)) {
        let explanation = explain(&token, options(), NOW);
        prop_assert!(explanation.refusal.is_some());
    }

    /// One changed byte of a good token: accepted exactly when another library accepts it too.
    #[test]
    fn another_library_agrees_on_changed_tokens(at in 0..SEED.len(), byte in "[A-Za-z0-9._=+-]") {
        let mut token = SEED.to_owned();
        token.replace_range(at..=at, &byte);
        let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_nbf = true;
        let theirs = jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_secret(SECRET), &validation).is_ok();
        let ours = explain(token.as_bytes(), Options { key: None, ..options() }, NOW).refusal.is_none();
        prop_assert_eq!(ours, theirs, "{}", token);
    }

    #[test]
    fn what_is_signed_is_accepted(key in "\\PC{1,20}", secret in proptest::collection::vec(any::<u8>(), 1..80)) {
        let order = Order {
            key: key.clone(),
            key_claim_name: "key".to_owned(),
            claims: Vec::new(),
            expires_s: None,
        };
        let token = sign(order, &SigningKey::hmac(Algorithm::Hs384, &secret).unwrap(), NOW).unwrap();
        let verifying_key = VerifyingKey::hmac(Algorithm::Hs384, &secret).unwrap();
        let options = Options { key: Some(key), verifying_key, algorithm: Algorithm::Hs384, ..options() };
        prop_assert_eq!(explain(token.as_bytes(), options, NOW).refusal, None);
    }
}
