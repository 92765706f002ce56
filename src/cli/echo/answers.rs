//! What the echo origin answers: a pure function of the request, in httpbin's shape.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A request, as far as an answer depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) method: &'a str,
    /// Raw path.
    pub(super) path: &'a str,
    /// Raw query, empty when there is none.
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// The client's address without port.
    pub(super) peer: &'a str,
}

/// An answer before framing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// `Allow` of a 405.
    pub(super) allow: Option<&'static str>,
    /// To wait before sending.
    pub(super) delay: Duration,
}

/// Answers `question`.
pub(super) fn answer(question: &Question<'_>) -> Answer {
    let (first, rest) =
        question.path.trim_start_matches('/').split_once('/').unwrap_or((question.path.trim_start_matches('/'), ""));
    match (first, rest) {
        ("get", "") => {
            only("GET, HEAD", question, || json_answer(&told(question, &["args", "headers", "origin", "url"])))
        }
        ("headers", "") => only("GET, HEAD", question, || json_answer(&told(question, &["headers"]))),
        ("post", "") => only("POST", question, || json_answer(&told(question, WITH_BODY))),
        ("put", "") => only("PUT", question, || json_answer(&told(question, WITH_BODY))),
        ("patch", "") => only("PATCH", question, || json_answer(&told(question, WITH_BODY))),
        ("delete", "") => only("DELETE", question, || json_answer(&told(question, WITH_BODY))),
        ("anything", _) => json_answer(&told(question, ANYTHING)),
        ("status", code) => status(code),
        ("bytes", count) => only("GET, HEAD", question, || bytes(count)),
        ("delay", seconds) => delay(seconds, question),
        _ => plain(StatusCode::NOT_FOUND),
    }
}

fn only(allow: &'static str, question: &Question<'_>, make: impl FnOnce() -> Answer) -> Answer {
    if allow.split(", ").any(|method| method == question.method) {
        return make();
    }
    Answer { allow: Some(allow), ..plain(StatusCode::METHOD_NOT_ALLOWED) }
}

fn status(code: &str) -> Answer {
    let code = code.parse::<u16>().ok().filter(|code| (200..=599).contains(code));
    plain(code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::BAD_REQUEST))
}

fn bytes(count: &str) -> Answer {
    match count.parse::<usize>().ok().filter(|count| *count <= BYTES_MAX) {
        Some(count) => Answer {
            body: (b'a'..=b'z').cycle().take(count).collect(),
            content_type: "application/octet-stream",
            ..plain(StatusCode::OK)
        },
        None => plain(StatusCode::BAD_REQUEST),
    }
}

fn delay(seconds: &str, question: &Question<'_>) -> Answer {
    match seconds.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0) {
        Some(seconds) => Answer {
            delay: Duration::from_secs_f64(seconds.min(DELAY_S_MAX)),
            ..json_answer(&told(question, ANYTHING))
        },
        None => plain(StatusCode::BAD_REQUEST),
    }
}

fn plain(status: StatusCode) -> Answer {
    Answer { status, content_type: "text/html; charset=utf-8", body: Vec::new(), allow: None, delay: Duration::ZERO }
}

/// Two blanks of indentation and a final newline, as httpbin prints it.
fn json_answer(value: &Map<String, Value>) -> Answer {
    let mut body = serde_json::to_vec_pretty(value).unwrap_or_default();
    body.push(b'\n');
    Answer { body, content_type: "application/json", ..plain(StatusCode::OK) }
}

/// The named facts about the request, in the given order.
fn told(question: &Question<'_>, names: &[&str]) -> Map<String, Value> {
    let is_form = header(question, "content-type").starts_with("application/x-www-form-urlencoded");
    let body = std::str::from_utf8(question.body);
    let fact = |name: &str| match name {
        "args" => pairs(question.query.as_bytes()),
        "data" if is_form => json!(""),
        "data" => match body {
            Ok(text) => json!(text),
            Err(_) => {
                let encoded = base64_simd::STANDARD.encode_to_string(question.body);
                json!(format!("data:application/octet-stream;base64,{encoded}"))
            }
        },
        "form" if is_form => pairs(question.body),
        "headers" => headers(question),
        "json" if is_form => Value::Null,
        "json" => serde_json::from_slice(question.body).unwrap_or(Value::Null),
        "method" => json!(question.method),
        "origin" => match header(question, "x-forwarded-for") {
            forwarded if forwarded.is_empty() => json!(question.peer),
            forwarded => json!(forwarded),
        },
        "url" => json!(url(question)),
        _ => json!({}),
    };
    names.iter().map(|name| ((*name).to_owned(), fact(name))).collect()
}

/// Header names as httpbin prints them, `X-Api-Key`; several lines of one name joined by commas.
fn headers(question: &Question<'_>) -> Value {
    let mut lines = BTreeMap::<String, String>::new();
    for (name, value) in question.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        lines
            .entry(title_case(name.as_str()))
            .and_modify(|before| {
                before.push(',');
                before.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    json!(lines)
}

fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + &rest.to_ascii_lowercase(),
        None => String::new(),
    });
    words.collect::<Vec<_>>().join("-")
}

fn header(question: &Question<'_>, name: &str) -> String {
    question.headers.get(name).map_or_else(String::new, |value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn url(question: &Question<'_>) -> String {
    let scheme = if header(question, "x-forwarded-proto") == "https" { "https" } else { "http" };
    let mark = if question.query.is_empty() { "" } else { "?" };
    format!("{scheme}://{}{}{mark}{}", header(question, "host"), question.path, question.query)
}

/// Arguments by name; a name that comes several times has a list.
fn pairs(encoded: &[u8]) -> Value {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = unescaped(halves.next().unwrap_or_default());
        found.entry(name).or_default().push(unescaped(halves.next().unwrap_or_default()));
    }
    let values = found.into_iter().map(|(name, values)| match values.as_slice() {
        [one] => (name, json!(one)),
        several => (name, json!(several)),
    });
    Value::Object(values.collect())
}

/// Percent-decodes; `+` is a blank, a `%` without two hexadecimal digits stays.
fn unescaped(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match (byte, after) {
            (b'%', [high, low, tail @ ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low, tail)),
            _ => None,
        };
        match escaped {
            Some((decoded, tail)) => {
                out.push(decoded);
                rest = tail;
            }
            None => out.push(if *byte == b'+' { b' ' } else { *byte }),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

const WITH_BODY: &[&str] = &["args", "data", "files", "form", "headers", "json", "origin", "url"];
const ANYTHING: &[&str] = &["args", "data", "files", "form", "headers", "json", "method", "origin", "url"];
/// Of `/bytes/N`.
const BYTES_MAX: usize = 16 << 20;
/// Of `/delay/N`, as httpbin has it.
const DELAY_S_MAX: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, target: &str, fields: &[(&'static str, &str)], body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        answer(&Question { method, path, query, headers: &headers, body, peer: "127.0.0.1" })
    }

    fn body(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn get_tells_arguments_and_headers() {
        let fields = [("host", "a.example"), ("x-api-key", "k"), ("accept", "a"), ("accept", "b")];
        let answer = ask("GET", "/get?a=1&b=x%20y+z&b=%zz&c", &fields, b"");
        assert_eq!((answer.status.as_u16(), answer.content_type), (200, "application/json"));
        let want = json!({
            "args": {"a": "1", "b": ["x y z", "%zz"], "c": ""},
            "headers": {"Accept": "a,b", "Host": "a.example", "X-Api-Key": "k"},
            "origin": "127.0.0.1",
            "url": "http://a.example/get?a=1&b=x%20y+z&b=%zz&c",
        });
        assert_eq!(body(&answer), want);
        assert!(answer.body.starts_with(b"{\n  \"args\": {") && answer.body.ends_with(b"}\n"));
        assert_eq!(body(&ask("GET", "/headers", &[("host", "h")], b"")), json!({"headers": {"Host": "h"}}));
    }

    #[test]
    fn anything_tells_method_and_body() {
        let fields = [("host", "h"), ("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", "https")];
        let told = body(&ask("PURGE", "/anything/a/b", &fields, br#"{"x":1}"#));
        assert_eq!(
            (&told["method"], &told["data"], &told["json"]),
            (&json!("PURGE"), &json!("{\"x\":1}"), &json!({"x": 1}))
        );
        assert_eq!((&told["origin"], &told["url"]), (&json!("9.9.9.9"), &json!("https://h/anything/a/b")));
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let told = body(&ask("POST", "/post", &form, b"a=1&b=2"));
        assert_eq!((&told["form"], &told["data"]), (&json!({"a": "1", "b": "2"}), &json!("")));
        let told = body(&ask("POST", "/anything", &[], b"\xff"));
        assert_eq!(told["data"], json!("data:application/octet-stream;base64,/w=="));
    }

    #[test]
    fn statuses_bytes_and_delays_are_bounded() {
        let cases = [
            ("GET", "/status/204", 204, 0, 0),
            ("DELETE", "/status/503", 503, 0, 0),
            ("GET", "/status/99", 400, 0, 0),
            ("GET", "/status/600", 400, 0, 0),
            ("GET", "/bytes/30", 200, 30, 0),
            ("GET", "/bytes/0", 200, 0, 0),
            ("GET", "/bytes/99999999999", 400, 0, 0),
            ("POST", "/bytes/1", 405, 0, 0),
            ("GET", "/post", 405, 0, 0),
            ("GET", "/nothing", 404, 0, 0),
            ("GET", "/get/more", 404, 0, 0),
            ("GET", "/delay/-1", 400, 0, 0),
            ("GET", "/delay/NaN", 400, 0, 0),
        ];
        for (method, target, status, length, delay_ms) in cases {
            let answer = ask(method, target, &[], b"");
            assert_eq!(
                (answer.status.as_u16(), answer.body.len(), answer.delay.as_millis()),
                (status, length, delay_ms),
                "{method} {target}"
            );
        }
        assert_eq!(ask("GET", "/delay/0.5", &[], b"").delay, Duration::from_millis(500));
        assert_eq!(ask("GET", "/delay/1e9", &[], b"").delay, Duration::from_secs(10));
        assert_eq!(ask("PUT", "/get", &[], b"").allow, Some("GET, HEAD"));
    }
}
