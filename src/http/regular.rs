//! Field lines that are as nearly all are: found, split and judged in one pass over their bytes.
//!
//! A buffer and where a line starts in, where its colon and its end are out. What is not regular is no error here: the
//! line may be incomplete, its name may hold rarer token characters, or it may be malformed; [`super::field`] looks at
//! it again and says which. Bench: `http/request_head`.

use crate::base::block::{BLOCK_BYTES, Block};

/// Where a regular line's parts end, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Regular {
    /// The colon; before it there is a name of letters, digits, `-` and `_`.
    pub(super) colon: usize,
    /// The line feed; before it there is a carriage return, and between the colon and that no control byte but tab.
    pub(super) feed: usize,
}

/// The line that `bytes` begins with, if it is regular.
#[inline]
pub(super) fn regular(bytes: &[u8]) -> Option<Regular> {
    // What is missing in the last block is neither a word nor clean, so both searches end where the bytes do.
    let colon = first(bytes, 0, |block| !block.word())?;
    if colon == 0 || bytes.get(colon) != Some(&b':') {
        return None;
    }
    let end = first(bytes, colon, |block| block.control() & !block.equal(b'\t'))?;
    (bytes.get(end..end + 2) == Some(b"\r\n")).then_some(Regular { colon, feed: end + 1 })
}

/// The first place from `at` on that has its bit in what `find` says of its block.
#[inline]
fn first(bytes: &[u8], mut at: usize, find: impl Fn(Block) -> u16) -> Option<usize> {
    loop {
        let found = find(Block::of(bytes.get(at..)?));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += BLOCK_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{FieldSpan, Lines};
    use super::*;
    use crate::base::bytes::Span;
    use proptest::prelude::*;

    /// What the careful way says of the line that `bytes` begins with.
    fn careful(bytes: &[u8]) -> Option<(Span, FieldSpan)> {
        let line = Lines::default().next(bytes).ok()??;
        Some((line, FieldSpan::parse(bytes, line).ok()?))
    }

    fn check(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let careful = careful(bytes);
        let Some(Regular { colon, feed }) = regular(bytes) else {
            let is_plain = |(_, field): &(Span, FieldSpan)| {
                field.name.of(bytes).iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            };
            assert!(!careful.is_some_and(|line| is_plain(&line)), "a plain line was not taken: {text:?}");
            return;
        };
        let (line, field) = careful.unwrap_or_else(|| panic!("taken although malformed: {text:?}"));
        assert_eq!((line, field.name), (Span::new(0, feed - 1), Span::new(0, colon)), "{text:?}");
    }

    #[test]
    fn ends_colons_and_control_bytes_are_seen_at_every_place_of_a_block() {
        for name in 1..40 {
            for value in 0..40 {
                let line = format!("{}:{}\r\nnext: 1\r\n", "n".repeat(name), "v".repeat(value));
                check(line.as_bytes());
                assert_eq!(regular(line.as_bytes()), Some(Regular { colon: name, feed: name + value + 2 }));
                for at in 0..line.len() {
                    for byte in [b'\r', b'\n', b'\t', b' ', b':', b'!', 0, 0x7f, 0x80] {
                        let mut other = line.clone().into_bytes();
                        other[at] = byte;
                        check(&other);
                        check(&other[..at]);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_careful_way(bytes in "[a-zA-Z0-9_!: \t\r\n\0-]{0,50}(: )?[ -~]{0,40}\r?\n?.{0,3}") {
            check(bytes.as_bytes());
        }
    }
}
