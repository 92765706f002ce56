//! Request bodies: bounded, then JSON with comment lines.

use super::answer::Answer;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, HeaderMap};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;

/// Reads and parses a body; `None` where there is none. Its `Content-Type` does not matter.
///
/// A body announced as too large is refused before a byte of it is asked for, so a client that waits for
/// `100 Continue` never sends it.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Option<Value>, Answer> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| crate::base::bytes::decimal(length.as_bytes()));
    if let Some(length) = announced.filter(|length| *length > BYTES_MAX as u64) {
        return Err(too_large(length));
    }
    let text = tokio::time::timeout(WAIT_MAX, collect(body))
        .await
        .map_err(|_| invalid("the client took too long to send it"))??;
    parse(&text).map_err(|error| {
        let error_msg = format!("invalid request body: {error}");
        let req_body = String::from_utf8_lossy(&text);
        Answer::json(StatusCode::BAD_REQUEST, json!({"error_msg": error_msg, "req_body": req_body}))
    })
}

async fn collect(mut body: Body) -> Result<Vec<u8>, Answer> {
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| invalid("the connection broke while it was read"))?;
        let Ok(data) = frame.into_data() else { continue };
        if text.len() + data.len() > BYTES_MAX {
            return Err(too_large((text.len() + data.len()) as u64));
        }
        text.extend_from_slice(&data);
    }
    Ok(text)
}

/// Parses a body: JSON in which a line may be a comment; `None` where there is nothing. Fuzz target: `admin_body`.
pub fn parse(text: &[u8]) -> Result<Option<Value>, serde_json::Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut json = text.to_vec();
    blank_comments(&mut json);
    serde_json::from_slice(&json).map(Some)
}

/// Overwrites comment lines by spaces: those whose first byte after blanks, outside a string, is `#`. Positions stay, so
/// the parser's complaints still fit what was sent.
fn blank_comments(text: &mut [u8]) {
    let mut place = Place::LineStart;
    for byte in text {
        place = match (place, *byte) {
            (Place::InString, b'\\') => Place::Escaped,
            (Place::InString, b'"') => Place::Inside,
            (Place::InString | Place::Escaped, _) => Place::InString,
            (_, b'\n') | (Place::LineStart, b' ' | b'\t' | b'\r') => Place::LineStart,
            (Place::LineStart, b'#') | (Place::Comment, _) => {
                *byte = b' ';
                Place::Comment
            }
            (_, b'"') => Place::InString,
            _ => Place::Inside,
        };
    }
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Only blanks so far on this line.
    LineStart,
    /// After something else.
    Inside,
    Comment,
    InString,
    /// In a string, after a backslash.
    Escaped,
}

fn too_large(length: u64) -> Answer {
    invalid(&format!("request size {length} is greater than the maximum size {BYTES_MAX} allowed"))
}

fn invalid(reason: &str) -> Answer {
    Answer::bad_request(format!("invalid request body: {reason}"))
}

/// Bytes of a body, 1.5 MiB.
const BYTES_MAX: usize = 1_572_864;
/// How long a body may take.
const WAIT_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blanked(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        blank_comments(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn comment_lines_become_blanks() {
        for (row, text, want) in [
            ("first line", "# a\n{}", "   \n{}"),
            ("after blanks", "{\n \t# \"a\n}", "{\n \t    \n}"),
            ("last line, no line end", "{}\n#x", "{}\n  "),
            ("carriage return", "{\r\n# a\r\n}", "{\r\n    \n}"),
            ("not at the line's start", "{ # a\n}", "{ # a\n}"),
            ("in a string", "{\"a\": \"\n# b\"}", "{\"a\": \"\n# b\"}"),
            ("after an escaped quote", "{\"a\": \"\\\"\n# b\"}", "{\"a\": \"\\\"\n# b\"}"),
            ("after an escaped backslash", "{\"a\": \"\\\\\"\n# b\n}", "{\"a\": \"\\\\\"\n   \n}"),
            ("quotes in a comment", "# \" \\\n{\"a\": 1}\n", "     \n{\"a\": 1}\n"),
        ] {
            assert_eq!(blanked(text), want, "{row}");
        }
    }

    #[test]
    fn a_body_of_the_seed() {
        let text = "{\n  \"id\": \"c\",\n  \"plugins\": {\n    # highlight-next-line\n    \"jwt-auth\": {\"key\": \"# k\"}\n    # highlight-end\n  }\n}";
        let value = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(value, json!({"id": "c", "plugins": {"jwt-auth": {"key": "# k"}}}));
    }

    #[tokio::test]
    async fn what_is_not_json_comes_back() {
        let answer = read(&HeaderMap::new(), Body::from(&b"{\"a\": \xff"[..])).await.unwrap_err();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.body().starts_with("{\"error_msg\":\"invalid request body: "), "{}", answer.body());
        assert!(answer.body().ends_with(",\"req_body\":\"{\\\"a\\\": \u{fffd}\"}\n"), "{}", answer.body());
        assert!(parse(b"").unwrap().is_none());
    }

    proptest! {
        #[test]
        fn json_without_comments_is_left_alone(value in ".{0,20}", name in "[#\\\\\"a\n]{0,6}") {
            let text = serde_json::to_string_pretty(&json!({name: [value, 1]})).unwrap();
            prop_assert_eq!(blanked(&text), text);
        }

        #[test]
        fn a_comment_between_any_two_lines_changes_nothing(at in 0_usize..6, comment in "[ \t]{0,3}#[^\n]{0,12}") {
            let value = json!({"a": ["x # y", {"b": "\\\""}], "c": null});
            let text = serde_json::to_string_pretty(&value).unwrap();
            let mut lines: Vec<&str> = text.lines().collect();
            lines.insert(at, &comment);
            prop_assert_eq!(parse(lines.join("\n").as_bytes()).unwrap().unwrap(), value);
        }
    }
}
