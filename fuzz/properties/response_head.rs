//! A response head means the same however its bytes are cut, and httparse reads it alike.
//!
//! Input: whether the request was HEAD is the first byte's lowest bit; the rest is what the upstream sends.

use ringgate::http::framing::Framing;
use ringgate::http::request_head::Progress;
use ringgate::http::response_head::{ResponseError, ResponseHead};

/// Status, reason, fields, and what follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    status: u16,
    reason: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    framing: Framing,
    keep_alive: bool,
    end: usize,
}

pub(crate) fn holds(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    let to_head = first & 1 == 1;
    for bytes_max in [64 << 10, 48] {
        let whole = read(text, 0, text.len(), to_head, bytes_max);
        for piece in [1, 2, 3, 7, 64] {
            let cut = read(text, 0, piece, to_head, bytes_max);
            assert_eq!(cut.ok(), whole.clone().ok(), "by {piece}, at most {bytes_max}");
        }
        // Behind an interim response stands the same head.
        const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\n";
        let shifted = read(&[INTERIM, text].concat(), INTERIM.len(), 5, to_head, bytes_max)
            .map(|head| head.map(|head| Reading { end: head.end - INTERIM.len(), ..head }));
        assert_eq!(shifted.ok(), whole.clone().ok(), "after an interim response, at most {bytes_max}");
        if let Ok(Some(reading)) = whole {
            assert!(reading.end <= bytes_max && (100..600).contains(&reading.status), "{reading:?}");
            let is_bodiless = to_head || matches!(reading.status, 100..200 | 204 | 304);
            assert!(!is_bodiless || reading.framing == Framing::None, "{reading:?}");
            assert!(reading.framing != Framing::ToClose || !reading.keep_alive, "{reading:?}");
            httparse_agrees(&reading, text);
        }
    }
}

/// Feeds `text` from `start` on in pieces; a head that stays incomplete reads as `None`.
fn read(
    text: &[u8],
    start: usize,
    piece: usize,
    to_head: bool,
    bytes_max: usize,
) -> Result<Option<Reading>, ResponseError> {
    let mut head = ResponseHead::default();
    let mut end = start;
    while end < text.len() {
        end = text.len().min(end + piece);
        let buffer = &text[..end];
        if head.advance(buffer, start, to_head, bytes_max)? == Progress::Complete {
            let owned = |span: ringgate::base::bytes::Span| span.of(buffer).to_vec();
            return Ok(Some(Reading {
                status: head.status,
                reason: owned(head.reason),
                fields: head.fields.iter().map(|field| (owned(field.name), owned(field.value))).collect(),
                framing: head.framing,
                keep_alive: head.keep_alive,
                end: head.end,
            }));
        }
    }
    Ok(None)
}

fn httparse_agrees(reading: &Reading, text: &[u8]) {
    let mut fields = vec![httparse::EMPTY_HEADER; reading.fields.len()];
    let mut response = httparse::Response::new(&mut fields);
    let status = response.parse(text).expect("httparse accepts");
    assert_eq!(status, httparse::Status::Complete(reading.end));
    assert_eq!(response.code, Some(reading.status));
    // It shows no reason phrase beyond ASCII.
    if reading.reason.is_ascii() {
        assert_eq!(response.reason.map(str::as_bytes), Some(&*reading.reason));
    }
    let theirs: Vec<_> =
        response.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
    assert_eq!(theirs, reading.fields);
}
