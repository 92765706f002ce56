//! Replies out of bytes (RESP2).

use super::RedisError;
use redis_protocol::resp2::decode as resp2;
use redis_protocol::resp2::types::OwnedFrame;

/// One reply.
pub type Reply = OwnedFrame;

/// What [`scan`] found at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    /// A whole reply of that many bytes.
    Whole(usize),
    /// The beginning of one.
    Part,
}

/// The first reply in `bytes`, and how long it is; `None` while it is not all there.
pub fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, RedisError> {
    // The decoder descends into lists as deep as they go and begins again with every byte: it gets whole replies only.
    let Scanned::Whole(length) = scan(bytes)? else { return Ok(None) };
    match resp2::decode(bytes.get(..length).unwrap_or_default()) {
        Ok(Some((reply, used))) if used == length => Ok(Some((reply, length))),
        _ => Err(MALFORMED),
    }
}

/// Finds the end of the first reply, at most [`REPLY_BYTES_MAX`] away and lists at most [`LISTS_MAX`] deep.
pub fn scan(bytes: &[u8]) -> Result<Scanned, RedisError> {
    let mut at = 0;
    // How many replies each open list still lacks.
    let mut open = [0_usize; LISTS_MAX];
    let mut depth = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\r');
        let Some(length) = line.filter(|end| rest.get(end + 1).is_some()) else {
            return if bytes.len() > REPLY_BYTES_MAX { Err(TOO_LONG) } else { Ok(Scanned::Part) };
        };
        if rest.get(length + 1) != Some(&b'\n') {
            return Err(MALFORMED);
        }
        let text = rest.get(1..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        at += length + 2;
        let mut lists = 0;
        match rest.first() {
            Some(b'+' | b'-' | b':') => {}
            Some(b'$' | b'*') if text == NONE => {}
            Some(b'$') => at += size(text)? + 2,
            Some(b'*') => lists = size(text)?,
            _ => return Err(MALFORMED),
        }
        if at > REPLY_BYTES_MAX {
            return Err(TOO_LONG);
        }
        if lists > 0 {
            *open.get_mut(depth).ok_or(TOO_LONG)? = lists;
            depth += 1;
            continue;
        }
        // A value is complete, and perhaps the lists that it ends.
        while let Some(left) = depth.checked_sub(1).and_then(|last| open.get_mut(last)) {
            *left -= 1;
            if *left > 0 {
                break;
            }
            depth -= 1;
        }
        if at > bytes.len() {
            return Ok(Scanned::Part);
        }
        if depth == 0 {
            return Ok(Scanned::Whole(at));
        }
    }
}

fn size(text: &str) -> Result<usize, RedisError> {
    let size = text.parse::<usize>().ok().filter(|size| *size <= REPLY_BYTES_MAX);
    size.ok_or(MALFORMED)
}

/// The whole numbers of a list of exactly `N` of them.
pub fn numbers<const N: usize>(reply: &Reply) -> Result<[i64; N], RedisError> {
    let Reply::Array(items) = reply else { return Err(RedisError::Unexpected("not a list")) };
    if items.len() != N {
        return Err(RedisError::Unexpected("a list of another length"));
    }
    let mut numbers = [0; N];
    for (number, item) in numbers.iter_mut().zip(items) {
        let Reply::Integer(value) = item else { return Err(RedisError::Unexpected("not a number in a list")) };
        *number = *value;
    }
    Ok(numbers)
}

/// The text of a string.
pub(super) fn text(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::BulkString(bytes) | Reply::SimpleString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Bytes of one reply: a cluster of a thousand nodes tells of itself in less.
pub(super) const REPLY_BYTES_MAX: usize = 1 << 20;
const LISTS_MAX: usize = 8;
const NONE: &str = "-1";
const MALFORMED: RedisError = RedisError::Unexpected("malformed");
const TOO_LONG: RedisError = RedisError::Unexpected("too long");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_found_whole_at_every_cut() {
        let replies: [(&[u8], Reply); 8] = [
            (b"+OK\r\n", Reply::SimpleString(b"OK".to_vec())),
            (b"-ERR no\r\n", Reply::Error("ERR no".into())),
            (b":-7\r\n", Reply::Integer(-7)),
            (b"$3\r\na\r\n\r\n", Reply::BulkString(b"a\r\n".to_vec())),
            (b"$-1\r\n", Reply::Null),
            (b"*-1\r\n", Reply::Null),
            (b"*0\r\n", Reply::Array(vec![])),
            (
                b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n",
                Reply::Array(vec![Reply::Array(vec![Reply::Integer(1)]), Reply::BulkString(vec![])]),
            ),
        ];
        for (bytes, want) in replies {
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
            }
            let followed = [bytes, b":1"].concat();
            assert_eq!(decode(&followed), Ok(Some((want, bytes.len()))), "{bytes:?}");
        }
    }

    #[test]
    fn nonsense_is_an_error_however_long_or_deep() {
        for bytes in [&b"x\r\n"[..], b"+a\rb", b"$-2\r\n", b"$x\r\n", b"*99999999999\r\n", b":x\r\n"] {
            assert!(decode(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(decode(&b"*1\r\n".repeat(100_000)), Err(TOO_LONG));
        assert_eq!(decode(&b"+a".repeat(REPLY_BYTES_MAX)), Err(TOO_LONG));
    }

    #[test]
    fn numbers_are_counted() {
        let list = |items: Vec<Reply>| Reply::Array(items);
        assert_eq!(numbers(&list(vec![Reply::Integer(1), Reply::Integer(2)])), Ok([1, 2]));
        assert!(numbers::<2>(&list(vec![Reply::Integer(1)])).is_err());
        assert!(numbers::<1>(&list(vec![Reply::Null])).is_err());
        assert!(numbers::<1>(&Reply::Integer(1)).is_err());
    }
}
