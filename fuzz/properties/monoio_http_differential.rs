//! Where ringgate accepts a request without a body, monoio-http fails or sees the same method, target and no body.
//!
//! monoio-http is known to panic on some heads; that counts as failing.

use bytes::BytesMut;
use monoio_codec::{Decoded, Decoder};
use monoio_http::common::body::StreamHint;
use monoio_http::common::request::Request;
use monoio_http::h1::codec::decoder::{DirectWrapper, GenericHeadDecoder, RequestHeadDecoder};
use ringgate::http::framing::Framing;
use ringgate::http::request_head::{Progress, RequestHead};
use ringgate::worker::settings::Limits;
use std::panic;

pub(crate) fn holds(input: &[u8]) {
    let mut head = RequestHead::default();
    if head.advance(input, &Limits::default()) != Ok(Progress::Complete) || head.framing != Framing::None {
        return;
    }
    let mut buffer = BytesMut::from(input);
    // The fuzzer's own hook would abort on a panic that is expected here.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let decoded = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        GenericHeadDecoder::<Request, RequestHeadDecoder, DirectWrapper>::default().decode(&mut buffer)
    }));
    panic::set_hook(hook);
    let Ok(Ok(Decoded::Some((theirs, body)))) = decoded else { return };

    assert_eq!(theirs.method.as_str().as_bytes(), head.method.of(input));
    // Its URI has no fragment, and a path where an absolute target has none.
    let target = head.target.of(input).split(|byte| *byte == b'#').next().unwrap_or_default();
    let path = theirs.uri.path_and_query().map_or("/", |path| path.as_str());
    assert_eq!(path.as_bytes(), if target.is_empty() { b"/" } else { target });
    assert_eq!(
        theirs.uri.authority().map(|authority| authority.as_str().as_bytes()),
        head.authority.map(|it| it.of(input))
    );
    assert!(matches!(body.hint(), StreamHint::None), "it sees a body");
    assert_eq!(buffer.len(), input.len() - head.end, "it ends the head elsewhere");
}
