//! Path normalisation, the way nginx does it (spec/routing-and-upstreams §1).
//!
//! Runs once per request, on the raw request target. In: the bytes the client sent. Out: the path that routes are
//! matched on, or why the request must be refused. A path that is already normal, as nearly all are, is recognised
//! by one scan and not copied. Never panics; allocates only when the caller's scratch must grow.
//! Fuzz target: `path`.

use memchr::{memchr, memchr2, memrchr};

/// Where the normal form of a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalised {
    /// The raw path is its own normal form; scratch was not touched.
    AsIs,
    /// The normal form is the whole of scratch.
    Rewritten,
}

/// Why a path has no normal form. Each is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path is empty or begins with something else than `/`.
    #[error("path does not begin with a slash")]
    NotAbsolute,
    /// More `..` than directories.
    #[error("path leads above the root")]
    AboveRoot,
    /// `%00`.
    #[error("path holds an escaped zero byte")]
    ZeroByte,
    /// `%` without two hexadecimal digits.
    #[error("path holds a malformed escape")]
    BadEscape,
}

/// Splits a raw request target in origin form into path and query, neither with its `?`.
///
/// A fragment (`#` and what follows), which no proper client sends, belongs to neither.
pub fn split_target(raw_target: &[u8]) -> (&[u8], &[u8]) {
    match memchr2(b'?', b'#', raw_target) {
        None => (raw_target, &[]),
        Some(mark) => {
            let (path, rest) = raw_target.split_at(mark);
            match rest.split_first() {
                Some((b'?', query)) => (path, before_fragment(query)),
                _ => (path, &[]),
            }
        }
    }
}

/// Brings a raw path into normal form: escapes decoded once (`%2F` too), a fragment cut, runs of `/` merged, `.` and
/// `..` resolved, decoded ones included.
///
/// The normal form of `%25` is `%`, so a normal form must not be normalised again.
pub fn normalise(raw: &[u8], scratch: &mut Vec<u8>) -> Result<Normalised, PathError> {
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    if is_normal(raw) {
        return Ok(Normalised::AsIs);
    }
    rewrite(before_fragment(raw), scratch)?;
    Ok(Normalised::Rewritten)
}

/// Whether an absolute path holds no escape, no fragment, no empty segment and no dot segment.
///
/// By hand: paths are short, and a search for each of these would cost more to start than the whole pass.
fn is_normal(path: &[u8]) -> bool {
    let mut is_segment_start = false;
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let is_odd = match byte {
            b'%' | b'#' => true,
            b'/' => is_segment_start,
            b'.' => is_segment_start && matches!(after, [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..]),
            _ => false,
        };
        if is_odd {
            return false;
        }
        is_segment_start = *byte == b'/';
        rest = after;
    }
    true
}

fn rewrite(path: &[u8], scratch: &mut Vec<u8>) -> Result<(), PathError> {
    scratch.clear();
    scratch.push(b'/');
    // Everything before `start` is settled and ends with a slash; from there on stands the current segment.
    let mut start = 1;
    let mut rest = path.get(1..).unwrap_or_default();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let byte = if byte == b'%' { unescape(&mut rest)? } else { byte };
        if byte != b'/' {
            scratch.push(byte);
            continue;
        }
        let is_name = close_segment(scratch, start)?;
        if is_name {
            scratch.push(b'/');
        }
        start = scratch.len();
    }
    close_segment(scratch, start)?;
    Ok(())
}

/// Applies the segment that begins at `start`. Returns whether it is a name and so remains.
fn close_segment(scratch: &mut Vec<u8>, start: usize) -> Result<bool, PathError> {
    match scratch.get(start..).unwrap_or_default() {
        b"" => Ok(false),
        b"." => {
            scratch.truncate(start);
            Ok(false)
        }
        b".." => {
            // The slash before `start` closes the directory to leave; the root's closes none.
            let closing = start.saturating_sub(1);
            let parent = memrchr(b'/', scratch.get(..closing).unwrap_or_default()).ok_or(PathError::AboveRoot)?;
            scratch.truncate(parent + 1);
            Ok(false)
        }
        _ => Ok(true),
    }
}

/// Takes the two digits after a `%`.
fn unescape(rest: &mut &[u8]) -> Result<u8, PathError> {
    let [high, low, tail @ ..] = *rest else { return Err(PathError::BadEscape) };
    let byte = hex_pair(*high, *low).ok_or(PathError::BadEscape)?;
    *rest = tail;
    if byte == 0 { Err(PathError::ZeroByte) } else { Ok(byte) }
}

/// The byte that two hexadecimal digits of either case stand for.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    Some(digit(high)? << 4 | digit(low)?)
}

fn before_fragment(bytes: &[u8]) -> &[u8] {
    memchr(b'#', bytes).and_then(|mark| bytes.get(..mark)).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(raw: &[u8]) -> Result<Vec<u8>, PathError> {
        let mut scratch = b"untouched".to_vec();
        match normalise(raw, &mut scratch)? {
            Normalised::AsIs => {
                assert_eq!(scratch, b"untouched");
                Ok(raw.to_vec())
            }
            Normalised::Rewritten => Ok(scratch),
        }
    }

    #[test]
    fn normal_paths_are_left_alone() {
        for path in
            ["/", "/a", "/a/", "/a/b.c", "/.well-known/x", "/...", "/..a/b", "/a..", "/a?b", "/\u{e9}", "/a:b;c"]
        {
            assert_eq!(normalise(path.as_bytes(), &mut Vec::new()), Ok(Normalised::AsIs), "{path}");
        }
    }

    #[test]
    fn other_paths_are_rewritten_as_nginx_does() {
        for (raw, want) in [
            ("//", "/"),
            ("/a//b///c", "/a/b/c"),
            ("/./a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/a/b/../../c", "/c"),
            ("/a//../b", "/b"),
            ("/a/..", "/"),
            ("/%61%2Fb", "/a/b"),
            ("/a%2f%2Fb", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%2F..%2Fb", "/b"),
            ("/a/.%2e", "/"),
            ("/%2e/a", "/a"),
            ("/%25", "/%"),
            ("/%2541", "/%41"),
            ("/a%3Fb%23c", "/a?b#c"),
            ("/.%23/x", "/.#/x"),
            ("/a+b%20c", "/a+b c"),
            ("/a#b/../..", "/a"),
            ("/a/..#x", "/"),
            ("/%ff", "/\u{ff}"),
        ] {
            let want: Vec<u8> = want.chars().map(|sign| sign as u8).collect();
            assert_eq!(normal(raw.as_bytes()), Ok(want), "{raw}");
        }
    }

    #[test]
    fn what_has_no_normal_form_is_refused() {
        for (raw, want) in [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("%2Fa", PathError::NotAbsolute),
            ("/..", PathError::AboveRoot),
            ("/../a", PathError::AboveRoot),
            ("/a/../../b", PathError::AboveRoot),
            ("//..", PathError::AboveRoot),
            ("/%2e%2e%2f", PathError::AboveRoot),
            ("/a%00b", PathError::ZeroByte),
            ("/%", PathError::BadEscape),
            ("/%4", PathError::BadEscape),
            ("/%4g", PathError::BadEscape),
            ("/%+1", PathError::BadEscape),
            ("/%%41", PathError::BadEscape),
            ("/%4#1", PathError::BadEscape),
        ] {
            assert_eq!(normal(raw.as_bytes()), Err(want), "{raw}");
        }
    }

    #[test]
    fn a_target_falls_into_path_and_query() {
        for (target, path, query) in [
            ("/a", "/a", ""),
            ("/a?", "/a", ""),
            ("/a?b=1?c", "/a", "b=1?c"),
            ("/a?b#c", "/a", "b"),
            ("/a#b?c", "/a", ""),
            ("?x", "", "x"),
            ("", "", ""),
        ] {
            assert_eq!(split_target(target.as_bytes()), (path.as_bytes(), query.as_bytes()), "{target}");
        }
    }

    /// The definition taken literally: decode everything, split, walk the segments with a stack.
    fn naive(raw: &[u8]) -> Result<Vec<u8>, ()> {
        let raw = raw.split(|byte| *byte == b'#').next().unwrap();
        let mut decoded = Vec::new();
        let mut at = 0;
        while at < raw.len() {
            if raw[at] == b'%' {
                let digits = raw.get(at + 1..at + 3).ok_or(())?;
                let digits = std::str::from_utf8(digits).map_err(|_| ())?;
                if digits.starts_with('+') {
                    return Err(());
                }
                decoded.push(u8::from_str_radix(digits, 16).map_err(|_| ())?);
                if decoded.last() == Some(&0) {
                    return Err(());
                }
                at += 3;
            } else {
                decoded.push(raw[at]);
                at += 1;
            }
        }
        if raw.first() != Some(&b'/') {
            return Err(());
        }
        let segments: Vec<&[u8]> = decoded.split(|byte| *byte == b'/').skip(1).collect();
        let mut names: Vec<&[u8]> = Vec::new();
        for segment in &segments {
            match *segment {
                b"" | b"." => {}
                b".." => drop(names.pop().ok_or(())?),
                name => names.push(name),
            }
        }
        let mut path = b"/".to_vec();
        path.extend_from_slice(&names.join(&b'/'));
        if !names.is_empty() && matches!(*segments.last().unwrap(), b"" | b"." | b"..") {
            path.push(b'/');
        }
        Ok(path)
    }

    /// Paths in which everything that matters is frequent.
    fn paths() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [
            "/", "/", "/", ".", "..", "..", "a", "a", "%2F", "%2e", "%61", "%25", "%00", "%4", "%g1", "#", "%23", "%",
            "\u{e9}",
        ];
        let piece = prop::sample::select(pieces.to_vec());
        prop::collection::vec(piece, 0..14).prop_map(|pieces| format!("/{}", pieces.concat()).into_bytes())
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_reading(raw in paths()) {
            prop_assert_eq!(normal(&raw).map_err(|_| ()), naive(&raw));
        }

        #[test]
        fn never_panics_and_agrees_on_any_bytes(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(normal(&raw).map_err(|_| ()), naive(&raw));
        }

        #[test]
        fn a_normal_form_is_its_own_normal_form(raw in paths()) {
            if let Ok(once) = normal(&raw) && !once.contains(&b'%') && !once.contains(&b'#') {
                prop_assert_eq!(normalise(&once, &mut Vec::new()), Ok(Normalised::AsIs));
            }
        }
    }
}
