//! Tokens that nobody means well with, against the built program: each has its stated answer, none passes on
//! (spec/jwt-auth §5, §6.1, §7.1, §7.2, §8.1).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test reports")]

#[path = "support/keys.rs"]
mod keys;
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keys::{Kind, sign};
use openssl::pkey::PKey;
use ringgate::auth::jwt::Algorithm;
use serde_json::{Value, json};
use support::client::Response;
use support::gateway::Gateway;
use support::origin::Origin;

const INVALID: &str = "JWT token invalid";
const NOT_VERIFIED: &str = "failed to verify jwt";
const UNKNOWN: &str = "Invalid user key in JWT token";
const NAMELESS: &str = "missing user key in JWT token";

#[test]
fn no_algorithm_is_no_algorithm() {
    let bench = Bench::new();
    let claims = json!({"key": "jack-key"}).to_string();
    let spellings = ["none", "None", "NONE", "nOnE", "none ", " none", "n\u{f6}ne", "", "HS256 ", "hs256", "HS256\0"];
    let mut headers: Vec<Value> = spellings.iter().map(|name| json!({"alg": name})).collect();
    headers.extend([
        json!({}),
        json!({"alg": null}),
        json!({"alg": 0}),
        json!({"alg": ["HS256"]}),
        json!({"Alg": "HS256"}),
    ]);
    for header in headers.iter().map(Value::to_string) {
        let input = input(&header, &claims);
        bench.refuses(&header, &format!("{input}."), INVALID);
        bench.refuses(&header, &input, INVALID);
        bench.refuses(&header, &format!("{input}.AA"), NOT_VERIFIED);
        bench.refuses(&header, &with_mac(&input, SECRET), NOT_VERIFIED);
        bench.refuses(&header, &with_mac(&input, b""), NOT_VERIFIED);
    }
    bench.ends();
}

/// A public key is no secret, and a credential has one algorithm whatever the token says.
#[test]
fn algorithms_are_not_confused() {
    let bench = Bench::new();
    for (own, kind) in ASYMMETRIC {
        let claims = json!({"key": format!("{}-key", own.name())}).to_string();
        let pem = kind.public_pem();
        let der = kind.key().public_key_to_der().unwrap();
        let known = [pem.as_bytes(), pem.trim_end().as_bytes(), &pem.replace('\n', "").into_bytes(), &der, b""];
        for alg in ["HS256", "HS384", "HS512", own.name(), "none"] {
            let input = input(&json!({"alg": alg}).to_string(), &claims);
            for secret in known {
                bench.refuses(&format!("{alg} for {}", own.name()), &with_mac(&input, secret), NOT_VERIFIED);
            }
        }
        // The right signature under another name.
        for other in Algorithm::ALL.into_iter().filter(|other| *other != own) {
            let input = input(&json!({"alg": other.name()}).to_string(), &claims);
            bench.refuses(other.name(), &with(&input, &sign(own, kind.key(), input.as_bytes())), NOT_VERIFIED);
        }
        // The right key by another of its algorithms, and other keys by theirs, under every name.
        for (by, other) in
            ASYMMETRIC.into_iter().chain([(Algorithm::Ps256, Kind::Rsa2048), (Algorithm::Rs512, Kind::Rsa2048)])
        {
            for alg in [own, by] {
                if (own, own) != (by, alg) {
                    let input = input(&json!({"alg": alg.name()}).to_string(), &claims);
                    let name = format!("{} by {} as {}", own.name(), by.name(), alg.name());
                    bench.refuses(&name, &with(&input, &sign(by, other.key(), input.as_bytes())), NOT_VERIFIED);
                }
            }
        }
    }
    for (by, kind) in ASYMMETRIC {
        for alg in [by.name(), "HS256"] {
            let input = input(&json!({"alg": alg}).to_string(), &json!({"key": "jack-key"}).to_string());
            bench.refuses(by.name(), &with(&input, &sign(by, kind.key(), input.as_bytes())), NOT_VERIFIED);
        }
    }
    bench.ends();
}

#[test]
fn signatures_without_content_prove_nothing() {
    let bench = Bench::new();
    for (algorithm, kind) in ASYMMETRIC {
        let good = Bench::good(algorithm, kind);
        let (input, signature) = good.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let (first, second) = signature.split_at(signature.len() / 2);
        let zeros = vec![0; signature.len() / 2];
        let mut one = vec![0; signature.len()];
        *one.last_mut().unwrap() = 1;
        for other in [
            vec![0; signature.len()],
            vec![0xff; signature.len()],
            one,
            [&zeros[..], second].concat(),
            [first, &zeros].concat(),
            [second, first].concat(),
            signature[1..].to_vec(),
            [&signature[..], &[0]].concat(),
            vec![0],
        ] {
            bench.refuses(algorithm.name(), &with(input, &other), NOT_VERIFIED);
        }
        let numbers = keys::to_der(first, second);
        bench.refuses("the same numbers in DER", &with(input, &numbers), NOT_VERIFIED);
    }
    bench.ends();
}

#[test]
fn each_part_has_one_spelling() {
    let bench = Bench::new();
    let good = signed(&json!({"alg": "HS256"}).to_string(), &json!({"key": "jack-key"}).to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let junk = |part: &str| {
        let cut = &part[1..];
        [
            format!("{part}="),
            format!("{part}=="),
            format!("={part}"),
            format!("+{cut}"),
            format!("/{cut}"),
            format!("%{cut}"),
            format!("@@@@{part}"),
            format!("{part}AAAAA"),
            format!("{part} "),
            format!("\t{part}"),
            format!("{part}\u{e9}"),
            "A".to_owned(),
            "=".to_owned(),
            "@@@@".to_owned(),
        ]
    };
    for (place, message) in [(0, INVALID), (1, INVALID), (2, NOT_VERIFIED)] {
        for other in junk(parts[place]) {
            let mut parts = parts.clone();
            parts[place] = &other;
            // A blank at either end of a field's value does not belong to it (RFC 9110 §5.5).
            if parts.join(".").trim_matches([' ', '\t']) != good {
                bench.refuses(&format!("{other:?} in place {place}"), &parts.join("."), message);
            }
        }
    }
    // The MAC's last character has two spare bits.
    let last = good.chars().last().unwrap();
    for other in ('A'..='Z').chain('a'..='z').chain('0'..='9').filter(|other| *other != last) {
        bench.refuses(&format!("ends in {other}"), &format!("{}{other}", &good[..good.len() - 1]), NOT_VERIFIED);
    }
    let [header, payload, signature] = [parts[0], parts[1], parts[2]];
    for other in [
        format!("{good}.e30"),
        format!("{good}.e30.e30"),
        format!("{good}."),
        format!(".{good}"),
        format!("{header}..{payload}.{signature}"),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        header.to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        ".".repeat(4000),
        "....".to_owned(),
    ] {
        bench.refuses(&other, &other, INVALID);
    }
    bench.ends();
}

#[test]
fn the_last_of_equal_names_counts() {
    let bench = Bench::new();
    let right = json!({"key": "jack-key"}).to_string();
    for (header, payload, message) in [
        (r#"{"alg":"HS256","alg":"none"}"#, right.as_str(), NOT_VERIFIED),
        (r#"{"alg":"HS256","\u0061lg":"none"}"#, &right, NOT_VERIFIED),
        (r#"{"alg":"HS256"}"#, r#"{"key":"jack-key","key":"nobody"}"#, UNKNOWN),
        (r#"{"alg":"HS256"}"#, r#"{"key":"jack-key","key":false}"#, NAMELESS),
        (r#"{"alg":"HS256"}"#, r#"{"key":"jack-key","key":"RS256-key"}"#, NOT_VERIFIED),
        (r#"{"alg":"HS256"}"#, r#"{"key":"jack-key","exp":99999999999,"exp":1}"#, NOT_VERIFIED),
        (r#"{"alg":"HS256"}"#, r#"{"key":"jack-key","nbf":1,"nbf":99999999999}"#, NOT_VERIFIED),
    ] {
        bench.refuses(&format!("{header} {payload}"), &signed(header, payload), message);
    }
    bench.accepts("last wins", &signed(r#"{"alg":"none","alg":"HS256"}"#, &right));
    bench.accepts(
        "last wins",
        &signed(r#"{"alg":"HS256"}"#, r#"{"key":"nobody","exp":1,"key":"jack-key","exp":99999999999}"#),
    );
    bench.ends();
}

#[test]
fn what_is_no_object_of_claims() {
    let bench = Bench::new();
    let header = r#"{"alg":"HS256"}"#;
    let deep = |levels: usize| format!("{{\"key\":\"jack-key\",\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let malformed = [
        "1",
        "-0",
        "true",
        "null",
        "\"jack-key\"",
        "[]",
        "[{\"key\":\"jack-key\"}]",
        "",
        " ",
        "{",
        "{\"key\":\"jack-key\"",
        "{\"key\":\"jack-key\"} x",
        "{\"key\":\"jack-key\"}{}",
        "{\"key\":\"jack-key\",}",
        "{'key':'jack-key'}",
        "{key:\"jack-key\"}",
        "{\"key\":\"jack-key\"/**/}",
        "\u{feff}{\"key\":\"jack-key\"}",
        "{\"key\":\"jack-key\",\"exp\":NaN}",
        "{\"key\":\"jack-key\",\"exp\":Infinity}",
        "{\"key\":\"jack-key\",\"exp\":-Infinity}",
        "{\"key\":\"jack-key\",\"exp\":01}",
        "{\"key\":\"jack-key\",\"exp\":1.}",
        "{\"key\":\"jack-key\",\"exp\":+1}",
        "{\"key\":\"jack-key\",\"exp\":0x7fffffff}",
        "{\"key\":\"jack\\u00\"}",
        "{\"key\":\"\\ud800\"}",
        "{\"key\":\"a\tb\"}",
        "{\"key\":\"a\0b\"}",
        "\0",
        "{\"key\":\"jack-key\"}\0",
    ];
    for payload in malformed {
        if !payload.is_empty() {
            bench.refuses(&format!("claims {payload:?}"), &signed(header, payload), INVALID);
            let header = payload.replace("key", "alg").replace("jack-alg", "HS256");
            bench.refuses(&format!("header {header:?}"), &signed(&header, "{\"key\":\"jack-key\"}"), INVALID);
        }
    }
    for levels in [128, 129, 2000] {
        bench.refuses(&format!("{levels} deep"), &signed(header, &deep(levels)), INVALID);
    }
    bench.accepts("not too deep", &signed(header, &deep(100)));
    for bytes in
        [&b"{\"key\":\"\xff\"}"[..], b"{\"key\":\"\xc0\x80\"}", b"{\"key\":\"\xed\xa0\x80\"}", b"\xff\xfe{\0}\0"]
    {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(bytes));
        bench.refuses("no UTF-8", &with_mac(&input, SECRET), INVALID);
    }
    bench.ends();
}

#[test]
fn claims_of_odd_sizes_and_kinds() {
    let bench = Bench::new();
    let header = r#"{"alg":"HS256"}"#;
    let nines = "9".repeat(400);
    let cases = [
        ("{}".to_owned(), NAMELESS),
        (r#"{"key":false}"#.to_owned(), NAMELESS),
        (r#"{"Key":"jack-key"}"#.to_owned(), NAMELESS),
        (r#"{"claims":{"key":"jack-key"}}"#.to_owned(), NAMELESS),
        (r#"{"key":null}"#.to_owned(), UNKNOWN),
        (r#"{"key":true}"#.to_owned(), UNKNOWN),
        (r#"{"key":0}"#.to_owned(), UNKNOWN),
        (r#"{"key":["jack-key"]}"#.to_owned(), UNKNOWN),
        (r#"{"key":{"jack-key":1}}"#.to_owned(), UNKNOWN),
        (r#"{"key":""}"#.to_owned(), UNKNOWN),
        (r#"{"key":"jack-key\u0000"}"#.to_owned(), UNKNOWN),
        (r#"{"key":"\u0000jack-key"}"#.to_owned(), UNKNOWN),
        (r#"{"key":"JACK-KEY"}"#.to_owned(), UNKNOWN),
        (r#"{"key":"jack-key "}"#.to_owned(), UNKNOWN),
        (format!(r#"{{"key":"{}"}}"#, "k".repeat(5000)), UNKNOWN),
        (r#"{"key":"jack-key","exp":0}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":-0.0}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":-1e308}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":1e-400}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":-9223372036854775809}"#.to_owned(), NOT_VERIFIED),
        (format!(r#"{{"key":"jack-key","exp":-{}}}"#, "9".repeat(300)), NOT_VERIFIED),
        (format!(r#"{{"key":"jack-key","nbf":{}}}"#, "9".repeat(300)), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":"99999999999"}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":null}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":true}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","exp":[99999999999]}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","nbf":{"a":1}}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","nbf":1e300}"#.to_owned(), NOT_VERIFIED),
        (r#"{"key":"jack-key","nbf":18446744073709551616}"#.to_owned(), NOT_VERIFIED),
        // Beyond what any number type holds.
        (r#"{"key":"jack-key","exp":1e400}"#.to_owned(), INVALID),
        (r#"{"key":"jack-key","nbf":-1e400}"#.to_owned(), INVALID),
        (format!(r#"{{"key":"jack-key","exp":{nines}}}"#), INVALID),
    ];
    for (payload, message) in &cases {
        bench.refuses(payload, &signed(header, payload), message);
    }
    for exp in ["99999999999", "99999999999.5", "1e300", "18446744073709551616", &"9".repeat(300)] {
        bench.accepts(exp, &signed(header, &format!(r#"{{"key":"jack-key","exp":{exp},"nbf":-1e300}}"#)));
    }
    bench.ends();
}

/// Keys that a token brings, and places it points to, are never looked at.
#[test]
fn no_key_comes_from_the_token() {
    let bench = Bench::new();
    let (other, origin) = (Kind::Rsa2048.generate(), bench.origin.node());
    let rsa = other.rsa().unwrap();
    let encode = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "RSA", "n": encode(rsa.n().to_vec()), "e": encode(rsa.e().to_vec()), "kid": "mine"});
    let oct = json!({"kty": "oct", "k": encode(b"mine".to_vec()), "alg": "HS256"});
    let x5c = STANDARD.encode(other.public_key_to_der().unwrap());
    let members = [
        ("jwk", jwk),
        ("jwk", oct),
        ("jku", json!(format!("http://{origin}/jwks"))),
        ("x5u", json!(format!("http://{origin}/chain.pem"))),
        ("x5c", json!([x5c])),
        ("x5t", json!("AAAA")),
        ("kid", json!("RS256-key")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!({"a": [1, 2]})),
        ("typ", json!("JWE")),
        ("cty", json!(7)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("b64", json!(false)),
    ];
    let claims = |key: &str| json!({"key": key}).to_string();
    for (name, value) in members {
        let header = |alg: &str| json!({"alg": alg, name: value}).to_string();
        let forged = input(&header("RS256"), &claims("RS256-key"));
        bench.refuses(name, &with(&forged, &sign(Algorithm::Rs256, &other, forged.as_bytes())), NOT_VERIFIED);
        let input = input(&header("HS256"), &claims("jack-key"));
        for secret in [&b"mine"[..], b"", b"\0"] {
            bench.refuses(name, &with_mac(&input, secret), NOT_VERIFIED);
        }
        bench.accepts(name, &with_mac(&input, SECRET));
    }
    for critical in [json!([]), json!(["exp"]), json!(["b64"]), json!(null), json!("exp"), json!({}), json!(false)] {
        let header = json!({"alg": "HS256", "crit": critical, "b64": true}).to_string();
        bench.refuses(&header, &signed(&header, &claims("jack-key")), INVALID);
    }
    assert!(bench.origin.received().iter().all(|request| request.target == "/plain"), "nothing is fetched");
    bench.ends();
}

/// NUL bytes and lengths are the concern of the request before they are the token's.
#[test]
fn bytes_and_lengths_that_do_not_belong_in_a_request() {
    let bench = Bench::new();
    let good = signed(r#"{"alg":"HS256"}"#, r#"{"key":"jack-key"}"#);
    for value in [format!("{good}\0"), format!("\0{good}"), good.replacen('.', ".\0", 1), format!("{good}\x01")] {
        let answer = bench.gateway.request("GET", "/plain", &[("Authorization", &value)], b"");
        assert_eq!(answer.status, 400, "{value:?}");
        let cookie = format!("jwt={value}");
        assert_eq!(bench.gateway.request("GET", "/plain", &[("Cookie", &cookie)], b"").status, 400, "{value:?}");
    }
    for value in [format!("{good}%00"), format!("%00{good}"), good.replacen('.', "%00.", 1), format!("{good}%0a")] {
        let answer = bench.gateway.request("GET", &format!("/plain?jwt={value}"), &[], b"");
        let message = if value.starts_with(&good) { NOT_VERIFIED } else { INVALID };
        refused(&value, &answer, message);
    }
    for bytes in [1 << 10, 4 << 10, 8000] {
        let long = "a".repeat(bytes - 100);
        let padded = signed(r#"{"alg":"HS256"}"#, &format!(r#"{{"key":"jack-key","a":"{}"}}"#, &long[..bytes / 2]));
        bench.accepts(&format!("{} bytes", padded.len()), &padded);
        bench.refuses(&format!("{bytes} bytes of one part"), &long, INVALID);
        bench.refuses(&format!("{bytes} bytes of signature"), &format!("{good}{long}"), NOT_VERIFIED);
        bench.refuses(&format!("{bytes} bytes of header"), &format!("{long}{good}"), INVALID);
    }
    for bytes in [9 << 10, 64 << 10, 1 << 20] {
        let value = format!("Bearer {good}{}", "A".repeat(bytes));
        // The answer may overtake the rest of the request, which then breaks off.
        if let Ok(answer) =
            support::client::once(bench.gateway.data(), "GET", "/plain", &[("Authorization", &value)], b"")
        {
            assert!(matches!(answer.status, 400 | 431), "{bytes} bytes: {}", answer.status_line);
        }
    }
    bench.ends();
}

/// A gateway in front of an origin; jack signs with a secret, one consumer each with a key of [`ASYMMETRIC`].
struct Bench {
    origin: Origin,
    gateway: Gateway,
    accepted: std::cell::Cell<usize>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { origin: Origin::start(), gateway: Gateway::start(), accepted: 0.into() };
        let put = |name: &str, jwt_auth: Value| {
            let consumer = json!({"username": name, "plugins": {"jwt-auth": jwt_auth}});
            bench.gateway.put(&format!("consumers/{name}"), &consumer);
        };
        put("jack", json!({"key": "jack-key", "secret": str::from_utf8(SECRET).unwrap()}));
        for (algorithm, kind) in ASYMMETRIC {
            let name = algorithm.name();
            let key = format!("{name}-key");
            put(name, json!({"key": key, "algorithm": name, "public_key": kind.public_pem()}));
        }
        let upstream = json!({"nodes": {bench.origin.node(): 1}});
        let route = json!({"uri": "/plain", "plugins": {"jwt-auth": {"realm": REALM}}, "upstream": upstream});
        bench.gateway.put("routes/plain", &route);
        bench.accept_the_good();
        bench
    }

    fn ask(&self, token: &str) -> Response {
        self.gateway.request("GET", "/plain", &[("Authorization", token)], b"")
    }

    #[track_caller]
    fn refuses(&self, name: &str, token: &str, message: &str) {
        refused(name, &self.ask(token), message);
    }

    #[track_caller]
    fn accepts(&self, name: &str, token: &str) {
        let answer = self.ask(token);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        self.accepted.set(self.accepted.get() + 1);
    }

    /// A right token of the consumer of that algorithm.
    fn good(algorithm: Algorithm, kind: Kind) -> String {
        let key = format!("{}-key", algorithm.name());
        let input = input(&json!({"alg": algorithm.name()}).to_string(), &json!({"key": key}).to_string());
        with(&input, &sign(algorithm, kind.key(), input.as_bytes()))
    }

    fn accept_the_good(&self) {
        self.accepts("HS256", &signed(r#"{"alg":"HS256"}"#, r#"{"key":"jack-key"}"#));
        for (algorithm, kind) in ASYMMETRIC {
            self.accepts(algorithm.name(), &Self::good(algorithm, kind));
        }
    }

    /// What is right still passes; what was wrong never did.
    fn ends(&self) {
        self.accept_the_good();
        assert_eq!(self.origin.received().len(), self.accepted.get(), "nothing else reaches the upstream");
    }
}

#[track_caller]
fn refused(name: &str, answer: &Response, message: &str) {
    assert_eq!((answer.status, answer.text()), (401, json!({"message": message}).to_string() + "\n"), "{name}");
    assert_eq!(answer.field("www-authenticate"), Some("Bearer realm=\"hostile territory\""), "{name}");
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"), "{name}");
}

fn input(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

fn with(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The MAC that HS256 asks for, whatever the header says.
fn with_mac(input: &str, secret: &[u8]) -> String {
    // OpenSSL takes no empty key; keys are filled up with zeros, so one zero is the same.
    let key = PKey::hmac(if secret.is_empty() { b"\0" } else { secret }).unwrap();
    with(input, &sign(Algorithm::Hs256, &key, input.as_bytes()))
}

fn signed(header: &str, payload: &str) -> String {
    with_mac(&input(header, payload), SECRET)
}

const REALM: &str = "hostile territory";
const SECRET: &[u8] = b"jack-hs256-secret-that-is-very-long";
const ASYMMETRIC: [(Algorithm, Kind); 4] = [
    (Algorithm::Rs256, Kind::Rsa2048),
    (Algorithm::Es256, Kind::P256),
    (Algorithm::Es512, Kind::P521),
    (Algorithm::EdDsa, Kind::Ed25519),
];
