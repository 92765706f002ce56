use super::super::sign::{Order, sign};
use super::*;
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use proptest::prelude::*;
use serde_json::json;

const SECRET: &[u8] = b"jack-hs256-secret-that-is-very-long";
const NOW: u64 = 1_800_000_000;
/// The seed's token: `{"key":"jack-key","nbf":1729132271}`.
const SEED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJrZXkiOiJqYWNrLWtleSIsIm5iZiI6MTcyOTEzMjI3MX0.UEPXy5jpid624T1XpfjM0PLY73LZPjV3Qt8yZ92kVuU";

fn options() -> Options {
    Options {
        key: Some("jack-key".to_owned()),
        secret: SECRET.to_vec(),
        base64_secret: false,
        algorithm: Algorithm::Hs256,
        grace_s: 0,
        key_claim_name: "key".to_owned(),
        claims_to_verify: Vec::new(),
    }
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

fn refusal(token: &str, options: &Options) -> Option<(&'static str, String)> {
    explain(token.as_bytes(), options, NOW).refusal.map(|refusal| (refusal.answer, refusal.reason))
}

#[test]
fn the_seeds_token_is_accepted_with_and_without_a_scheme() {
    for token in [SEED.to_owned(), format!("Bearer {SEED}"), format!("bearer {SEED}")] {
        assert_eq!(refusal(&token, &options()), None, "{token}");
    }
    let shown = explain(SEED.as_bytes(), &options(), NOW).to_string();
    assert!(shown.ends_with("nbf: valid since Thu, 17 Oct 2024 02:31:11 GMT\naccepted\n"), "{shown}");
    assert!(refusal(&format!("BEARER {SEED}"), &options()).is_some());
}

#[test]
fn malformed_tokens() {
    let [header, payload, signature] = SEED.split('.').collect::<Vec<_>>()[..] else { panic!("not three") };
    let good = r#"{"alg":"HS256"}"#;
    let cases = [
        (String::new(), "expected three parts separated by dots, found an empty token"),
        ("abc".to_owned(), "expected three parts separated by dots, found 1"),
        (format!("{header}.{payload}"), "expected three parts separated by dots, found 2"),
        (format!("{header}.{payload}."), "expected three parts with text, found an empty signature"),
        (format!("{header}..{signature}"), "expected three parts with text, found an empty payload"),
        (format!("{SEED}.x"), "expected three parts separated by dots, found 4"),
        (format!("{SEED}.x.y"), "expected three parts, found five: an encrypted token (JWE)"),
        (format!("{SEED}.x.y.z.z"), "expected three parts separated by dots, found more than five"),
        (
            format!("{header}=.{payload}.{signature}"),
            "the header is not base64url: padding is not allowed at position 37",
        ),
        (
            format!("a+b.{payload}.{signature}"),
            "the header is not base64url: it uses the alphabet of standard base64 at position 2",
        ),
        (format!("{header}.a b.{signature}"), "the payload is not base64url: foreign character   at position 2"),
        (
            format!("{header}.abcde.{signature}"),
            "the payload is not base64url: 5 characters are one too many or too few",
        ),
        (
            format!("{header}.ab.{signature}"),
            "the payload is not base64url: the last character has spare bits that are not zero",
        ),
        (raw("[]", "{}"), "the header is not a JSON object but an array"),
        (raw(good, "1"), "the payload is not a JSON object but a number"),
        (raw(r#"{"alg":"HS256","crit":["exp"]}"#, "{}"), "the header has crit, and no extension is understood"),
    ];
    for (token, want) in cases {
        assert_eq!(refusal(&token, &options()), Some(("JWT token invalid", want.to_owned())), "{token}");
    }
    for payload in ["{", "{} x", r#"{"a":NaN}"#, r#"{"a":Infinity}"#, "{'a':1}"] {
        let (answer, reason) = refusal(&raw(good, payload), &options()).unwrap();
        assert!(
            answer == "JWT token invalid" && reason.starts_with("the payload is not JSON: "),
            "{payload}: {reason}"
        );
    }
}

#[test]
fn the_key_claim_decides_who_it_is() {
    let (missing, invalid) = ("missing user key in JWT token", "Invalid user key in JWT token");
    let cases = [
        (json!({}), Some((missing, "the payload has no claim \"key\""))),
        (json!({"key": false}), Some((missing, "the claim \"key\" is false"))),
        (json!({"key": true}), Some((invalid, "the claim \"key\" is a boolean; only a string can match a key"))),
        (json!({"key": 1}), Some((invalid, "the claim \"key\" is a number; only a string can match a key"))),
        (json!({"key": null}), Some((invalid, "the claim \"key\" is null; only a string can match a key"))),
        (json!({"key": "bob"}), Some((invalid, "the claim \"key\" is \"bob\", the credential's key is \"jack-key\""))),
        (json!({"key": "jack-key"}), None),
    ];
    for (claims, want) in cases {
        let found = refusal(&foreign(&claims), &options());
        assert_eq!(found.as_ref().map(|(answer, reason)| (*answer, reason.as_str())), want, "{claims}");
    }
    let any = Options { key: None, key_claim_name: "iss".to_owned(), ..options() };
    assert_eq!(refusal(&foreign(&json!({"iss": "whoever"})), &any), None);
}

#[test]
fn verification_says_what_the_client_is_not_told() {
    let good = foreign(&json!({"key": "jack-key"}));
    let cut = good.rsplit_once('.').unwrap().0;
    let other = Options { secret: b"other".to_vec(), ..options() };
    let wide = Options { algorithm: Algorithm::Hs512, ..options() };
    let encoded = Options { base64_secret: true, ..options() };
    let cases = [
        (
            raw(r#"{"alg":"none"}"#, r#"{"key":"jack-key"}"#),
            options(),
            "algorithm mismatch, expected HS256, found \"none\"",
        ),
        (
            raw(r#"{"alg":"hs256"}"#, r#"{"key":"jack-key"}"#),
            options(),
            "algorithm mismatch, expected HS256, found \"hs256\"",
        ),
        (raw("{}", r#"{"key":"jack-key"}"#), options(), "algorithm mismatch, expected HS256, found none"),
        (good.clone(), wide, "algorithm mismatch, expected HS512, found \"HS256\""),
        (good.clone(), other, "signature mismatch: made with another secret, or the text was changed"),
        (good.clone(), encoded, "the credential has base64_secret, and its secret is not standard base64"),
        (format!("{cut}.@@@@"), options(), "the signature is not base64url: foreign character @ at position 1"),
        (format!("{cut}.AAAA"), options(), "a signature of HS256 has 32 bytes, found 3"),
    ];
    for (token, options, want) in cases {
        assert_eq!(refusal(&token, &options), Some(("failed to verify jwt", want.to_owned())), "{token}");
    }
    let secret = STANDARD.encode_to_string(SECRET).into_bytes();
    assert_eq!(refusal(&good, &Options { secret, base64_secret: true, ..options() }), None);
}

#[test]
fn times_follow_the_grace_and_the_list() {
    use TimeClaim::{Exp, Nbf};
    let now = NOW;
    let cases: [(Value, u32, &[TimeClaim], Option<&str>); 16] = [
        (json!({}), 0, &[], None),
        (json!({"exp": now + 1}), 0, &[], None),
        (json!({"exp": now}), 0, &[], Some("'exp' claim expired at Fri, 15 Jan 2027 08:00:00 GMT")),
        (json!({"exp": now}), 1, &[], None),
        (json!({"exp": now as f64 + 0.5}), 0, &[], None),
        (json!({"nbf": now - 1}), 0, &[], None),
        (json!({"nbf": now}), 0, &[], Some("'nbf' claim not valid until Fri, 15 Jan 2027 08:00:00 GMT")),
        (json!({"nbf": now}), 1, &[], None),
        (json!({"nbf": now, "exp": now}), 0, &[], Some("'nbf' claim not valid")),
        (json!({"exp": "soon"}), 0, &[], Some("claim exp is not a number")),
        (json!({"nbf": null}), 0, &[], Some("claim nbf is not a number")),
        (json!({"exp": 1}), 0, &[Nbf], Some("claim nbf is missing")),
        (json!({"exp": 1, "nbf": 1}), 0, &[Nbf], None),
        (json!({"exp": 1, "nbf": now + 9}), 0, &[Exp, Nbf], Some("'exp' claim expired")),
        (json!({"exp": 1e300}), 0, &[Exp], None),
        (json!({"exp": -5}), u32::MAX, &[], None),
    ];
    for (mut claims, grace_s, listed, want) in cases {
        claims["key"] = json!("jack-key");
        let options = Options { grace_s, claims_to_verify: listed.to_vec(), ..options() };
        // `exp: -5` only passes with a grace that reaches behind 1970.
        let at = if claims["exp"] == json!(-5) { 1_000 } else { now };
        let found = explain(foreign(&claims).as_bytes(), &options, at).refusal;
        match (&found, want) {
            (None, None) => {}
            (Some(Refusal { answer: "failed to verify jwt", reason }), Some(want)) => {
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
        assert!(!explain(token.as_bytes(), &options(), NOW).to_string().contains(&secret), "{token}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_explained(token in proptest::collection::vec(any::<u8>(), 0..200)) {
        let explanation = explain(&token, &options(), NOW);
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
        let ours = explain(token.as_bytes(), &Options { key: None, ..options() }, NOW).refusal.is_none();
        prop_assert_eq!(ours, theirs, "{}", token);
    }

    #[test]
    fn what_is_signed_is_accepted(key in "\\PC{1,20}", secret in proptest::collection::vec(any::<u8>(), 1..80)) {
        let order = Order {
            key: key.clone(),
            key_claim_name: "key".to_owned(),
            claims: Vec::new(),
            expires_s: None,
            algorithm: Algorithm::Hs384,
        };
        let token = sign(order, &secret, NOW);
        let options = Options { key: Some(key), secret, algorithm: Algorithm::Hs384, ..options() };
        prop_assert_eq!(explain(token.as_bytes(), &options, NOW).refusal, None);
    }
}
