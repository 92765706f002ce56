//! A path's normal form is absolute, has no empty and no dot segment, and is the normal form of itself once escaped.

use ringgate::http::path::{Normalised, PathError, normalise, split_target};

pub(crate) fn holds(input: &[u8]) {
    let (path, query) = split_target(input);
    assert!(!path.contains(&b'?') && !path.contains(&b'#') && !query.contains(&b'#'));
    // Also what a target cannot be: normalisation stands on its own.
    for raw in [path, input] {
        let Ok(normal) = normal(raw) else { continue };
        assert_eq!(normal.first(), Some(&b'/'), "not absolute");
        assert!(!normal.windows(2).any(|pair| pair == b"//"), "an empty segment");
        assert!(!normal.split(|byte| *byte == b'/').any(|name| matches!(name, b"." | b"..")), "a dot segment");
        assert!(!normal.contains(&0) || raw.contains(&0), "a zero byte out of nothing");
        assert!(normal.len() <= raw.len(), "longer than what was sent");

        assert_eq!(self::normal(&escaped(&normal, |byte| matches!(byte, b'%' | b'#' | b'?'))).as_ref(), Ok(&normal));
        if !normal.contains(&0) {
            assert_eq!(self::normal(&escaped(&normal, |byte| byte != b'/')).as_ref(), Ok(&normal));
        }
        if !normal.contains(&b'%') && !normal.contains(&b'#') {
            assert_eq!(normalise(&normal, &mut Vec::new()), Ok(Normalised::AsIs), "not idempotent");
        }
    }
}

fn normal(raw: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut scratch = b"what the last request left".to_vec();
    Ok(match normalise(raw, &mut scratch)? {
        Normalised::AsIs => raw.to_vec(),
        Normalised::Rewritten => scratch,
    })
}

fn escaped(path: &[u8], is_hidden: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in path {
        if is_hidden(*byte) {
            out.extend_from_slice(format!("%{byte:02x}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}
