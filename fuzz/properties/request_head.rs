//! A request head means the same however its bytes are cut, written out again, or read by httparse.

use ringgate::http::request_head::{HeadError, Progress, RequestHead};
use ringgate::worker::settings::Limits;

/// What a head says, without where it stands.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    method: Vec<u8>,
    authority: Option<Vec<u8>>,
    target: Vec<u8>,
    host: Vec<u8>,
    minor_version: u8,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    rest: String,
}

pub(crate) fn holds(input: &[u8]) {
    let limits = Limits::default();
    let verdict = read(input, input.len(), &limits);
    for piece in [1, 2, 3, 7, 64] {
        let cut = read(input, piece, &limits);
        assert_eq!(cut.is_ok(), verdict.is_ok(), "by {piece}: {cut:?}, whole: {verdict:?}");
        if let (Ok(cut), Ok(verdict)) = (&cut, &verdict) {
            assert_eq!(cut, verdict, "by {piece}");
        }
        // Which limit is exceeded first may depend on the cut, whether one is must not.
        let is_accepted = |piece| read(input, piece, &SMALL).map(|(head, _)| head);
        assert_eq!(is_accepted(piece).ok(), is_accepted(input.len()).ok(), "by {piece}, small limits");
    }
    if let Ok((Some(reading), end)) = verdict {
        reads_back(&reading, &limits);
        httparse_agrees(&reading, input.get(..end).expect("the head ends inside the input"));
    }
}

/// Bounds that short inputs reach.
const SMALL: Limits = Limits {
    request_line_bytes_max: 24,
    field_bytes_max: 16,
    fields_bytes_max: 48,
    fields_max: 3,
    body_bytes_max: 0,
    response_head_bytes_max: 0,
    connections_max: 0,
};

/// Feeds `input` in pieces; a head that stays incomplete reads as `None`.
fn read(input: &[u8], piece: usize, limits: &Limits) -> Result<(Option<Reading>, usize), HeadError> {
    let mut head = RequestHead::default();
    let mut end = 0;
    while end < input.len() {
        end = input.len().min(end + piece);
        let buffer = &input[..end];
        if head.advance(buffer, limits)? == Progress::Complete {
            return Ok((Some(reading(&head, buffer)), head.end));
        }
    }
    Ok((None, 0))
}

fn reading(head: &RequestHead, buffer: &[u8]) -> Reading {
    let owned = |span: ringgate::base::bytes::Span| span.of(buffer).to_vec();
    let RequestHead { framing, keep_alive, expects_continue, nominates, websocket, .. } = head;
    Reading {
        method: owned(head.method),
        authority: head.authority.map(owned),
        target: owned(head.target),
        host: owned(head.host),
        minor_version: head.minor_version,
        fields: head.fields.iter().map(|field| (owned(field.name), owned(field.value))).collect(),
        rest: format!("{framing:?} {keep_alive} {expects_continue} {nominates} {websocket}"),
    }
}

/// Written in the one strict form, a head is read as it was.
fn reads_back(reading: &Reading, limits: &Limits) {
    let mut text = reading.method.clone();
    text.push(b' ');
    if let Some(authority) = &reading.authority {
        text.extend_from_slice(b"http://");
        text.extend_from_slice(authority);
    }
    text.extend_from_slice(&reading.target);
    text.extend_from_slice(format!(" HTTP/1.{}\r\n", reading.minor_version).as_bytes());
    for (name, value) in &reading.fields {
        text.extend_from_slice(name);
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    match read(&text, text.len(), limits) {
        Ok((Some(again), end)) => {
            assert_eq!(&again, reading);
            assert_eq!(end, text.len());
        }
        // The space after a colon may be what fills a limit.
        Err(HeadError::FieldsTooLarge) => {}
        other => panic!("written again, the head reads as {other:?}"),
    }
}

/// Whatever is accepted, a parser of another author reads alike.
fn httparse_agrees(reading: &Reading, text: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(text) {
        Ok(status) => assert_eq!(status, httparse::Status::Complete(text.len())),
        // It hands the target out as text; a gateway passes bytes on.
        Err(httparse::Error::Token) if std::str::from_utf8(&reading.target).is_err() => return,
        Err(error) => panic!("httparse says {error}"),
    }
    assert_eq!(request.method.map(str::as_bytes), Some(&*reading.method));
    assert_eq!(request.version, Some(reading.minor_version));
    let target = request.path.unwrap_or_default().as_bytes();
    let own = [reading.authority.as_deref().unwrap_or_default(), &reading.target].concat();
    let scheme = target.strip_suffix(own.as_slice()).expect("the target is the same");
    let schemes: &[&str] = if reading.authority.is_some() { &["http://", "https://"] } else { &[""] };
    assert!(schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes())), "something stands before it");
    let theirs: Vec<_> =
        request.headers.iter().map(|field| (field.name.as_bytes().to_vec(), field.value.to_vec())).collect();
    assert_eq!(theirs, reading.fields);
}
