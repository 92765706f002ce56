//! A chunked body decodes to the same data however it is cut, and to what a decoder over the whole text finds.

use ringgate::http::chunked::{Chunked, push_chunk_start};
use ringgate::http::field::{is_field_value, is_token};

pub(crate) fn holds(input: &[u8]) {
    let whole = decode(input, input.len().max(1));
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(decode(input, piece), whole, "by {piece}");
    }
    let found = whole.end.map(|end| (whole.data.clone(), end));
    assert_eq!(found, naive(input));

    // What the input is as data, written in chunks, reads back.
    let mut written = Vec::new();
    for chunk in input.chunks(17) {
        push_chunk_start(&mut written, chunk.len());
        written.extend_from_slice(chunk);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(ringgate::http::chunked::LAST_CHUNK);
    let end = Some(written.len());
    assert_eq!(decode(&written, 5), Decoded { data: input.to_vec(), end, is_refused: false });
}

#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    /// Up to the end, the input's end, or the fault.
    data: Vec<u8>,
    end: Option<usize>,
    is_refused: bool,
}

fn decode(input: &[u8], piece: usize) -> Decoded {
    let mut decoder = Chunked::default();
    let mut decoded = Decoded { data: Vec::new(), end: None, is_refused: false };
    let mut at = 0;
    for part in input.chunks(piece) {
        let mut rest = part;
        while !rest.is_empty() {
            let Ok(step) = decoder.step(rest) else { return Decoded { is_refused: true, ..decoded } };
            let taken = step.skip + step.data;
            assert!(taken > 0, "every step takes something");
            decoded.data.extend_from_slice(&rest[step.skip..taken]);
            at += taken;
            rest = &rest[taken..];
            assert_eq!(decoder.is_done(), step.is_end);
            if step.is_end {
                return Decoded { end: Some(at), ..decoded };
            }
        }
    }
    decoded
}

/// The grammar of RFC 9112 §7.1 taken literally, line by line; `None` unless the whole body is there and right.
/// Inputs of a fuzzer are shorter than the bounds of extensions and trailers.
fn naive(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line = line(input, &mut at)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        if digits > 16 || extension.iter().find(|byte| !matches!(byte, b' ' | b'\t')).is_some_and(|byte| *byte != b';')
        {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let chunk = input.get(at..)?.get(..usize::try_from(size).ok()?)?;
        data.extend_from_slice(chunk);
        at += chunk.len();
        if input.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        match line(input, &mut at)? {
            [] => return Some((data, at)),
            [first, ..] if is_token(&[*first]) => {}
            _ => return None,
        }
    }
}

/// The line that starts at `at`, without its CRLF, if it holds no control byte; moves `at` behind it.
fn line<'i>(input: &'i [u8], at: &mut usize) -> Option<&'i [u8]> {
    let rest = input.get(*at..)?;
    let length = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += length + 2;
    rest.get(..length).filter(|line| is_field_value(line))
}
