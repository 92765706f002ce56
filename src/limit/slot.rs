//! A place in the table: one key's window in half a cache line.

use super::content::Content;
use super::digest::Digest;
use super::fixed_window::Count;
use super::quota::Moment;
use super::sliding_window::Counts;

/// One key's window, or nothing. Two of them fill a cache line, and none lies across two.
///
/// `meta` holds, from the top, what the slot is (2 bits), when it was last used (20 bits, in [`STAMP_MS`]) and a time
/// (42 bits, in ms): a fixed window's end, or a sliding window's length. `word` holds what is counted.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(32))]
pub(super) struct Slot {
    pub(super) digest: Digest,
    meta: u64,
    word: u64,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Nothing,
    Here(Content),
    /// The count does not fit a slot, and lies beside the table.
    Elsewhere,
}

impl Slot {
    /// A slot for `digest` that holds `content` and is used now; `None` if that does not fit. That is for sliding windows
    /// of more than 2^26 − 2 admissions, and for windows of a hundred years.
    pub(super) fn holding(digest: Digest, content: Content, at: Moment) -> Option<Self> {
        let mut slot = Self { digest, ..Self::default() };
        slot.put(content, at).then_some(slot)
    }

    /// Replaces what it holds, and is used now; false, and unchanged, if that does not fit.
    #[inline]
    pub(super) fn put(&mut self, content: Content, at: Moment) -> bool {
        let (tag, time_ms, word) = match content {
            Content::Fixed(count) => (FIXED, count.end_ms, count.used),
            Content::Sliding(counts, window_ms) => match counts.pack() {
                Some(word) => (SLIDING, window_ms, word),
                None => return false,
            },
        };
        if time_ms > TIME_MAX {
            return false;
        }
        self.meta = tag | stamp(at) << TIME_BITS | time_ms;
        self.word = word;
        true
    }

    /// A slot for `digest` whose content lies elsewhere.
    pub(super) fn elsewhere(digest: Digest, at: Moment) -> Self {
        Self { digest, meta: ELSEWHERE | stamp(at) << TIME_BITS, word: 0 }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.meta & TAGS == 0
    }

    #[inline]
    pub(super) fn held(&self, at: Moment) -> Held {
        let time_ms = self.meta & TIME_MAX;
        match self.meta & TAGS {
            FIXED => Held::Here(Content::Fixed(Count { end_ms: time_ms, used: self.word })),
            SLIDING => {
                let now_id = at.aligned_ms / time_ms.max(1);
                Held::Here(Content::Sliding(Counts::unpack(self.word, now_id), time_ms))
            }
            ELSEWHERE => Held::Elsewhere,
            _ => Held::Nothing,
        }
    }

    /// How long ago it was last used, in [`STAMP_MS`], modulo 2^20: after three days without use it may pass for recent.
    pub(super) fn age(&self, at: Moment) -> u64 {
        stamp(at).wrapping_sub(self.meta >> TIME_BITS) & STAMP_MAX
    }
}

fn stamp(at: Moment) -> u64 {
    (at.elapsed_ms / STAMP_MS) & STAMP_MAX
}

/// Uses that are not further apart count as one.
pub(super) const STAMP_MS: u64 = 256;
const STAMP_MAX: u64 = (1 << 20) - 1;
const TIME_BITS: u32 = 42;
const TIME_MAX: u64 = (1 << TIME_BITS) - 1;
const TAGS: u64 = 3 << 62;
const FIXED: u64 = 1 << 62;
const SLIDING: u64 = 2 << 62;
const ELSEWHERE: u64 = 3 << 62;
