//! Sliding windows (spec/limit-count §6.2): windows lie on multiples of their length since the epoch, and what the one
//! before has admitted weighs in for the part of it that is less than one length ago. Rejections are not counted.
//!
//! [`Counts`] is the arithmetic, in whole numbers where APISIX uses floats. [`SlidingWindow`] keeps it in one atomic
//! word, which holds up to 2^26 − 2 admissions a window; what does not fit is refused unchanged, and goes on behind a
//! lock ([`super::window::Window`]). Bench: `limit/sliding_window`.

use super::quota::{Charge, Gone, Quota};
use super::sync::AtomicU64;
use std::sync::atomic::Ordering;

/// What a window and the one before have admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Which window: its start divided by its length.
    pub id: u64,
    /// Admitted in the window before.
    pub last: u64,
    /// Admitted in this window.
    pub current: u64,
}

impl Counts {
    /// The counts after one more request; and what to tell it. A rejection leaves the admissions as they are.
    ///
    /// A request from before the window (a worker that read its clock earlier) counts as at the window's start.
    #[inline]
    #[must_use]
    pub fn charged(self, now_ms: u64, quota: &Quota) -> (Self, Charge) {
        let window_ms = quota.window_ms.max(1);
        let now_id = now_ms / window_ms;
        let counts = self.moved_to(now_id);
        let rest_ms = if now_id < counts.id { window_ms } else { window_ms - now_ms % window_ms };
        let Self { current, .. } = counts;
        let last = counts.last.min(quota.limit);
        // Everything times the window's length, so that nothing is divided. Below 2^53 · 2^63 each.
        let (wide, window) = (|number: u64| u128::from(number), u128::from(window_ms));
        let weight = wide(last) * wide(rest_ms);
        if current >= quota.limit {
            return (counts, Charge { is_admitted: false, remaining: 0, reset_ms: rest_ms });
        }
        let room = wide(quota.limit - current) * window;
        if weight >= room {
            // The estimate falls by `last` per window; it is below the limit once `weight` is below `room`.
            let until = if last == 0 { 0 } else { room / wide(last) };
            let wait_ms = wide(rest_ms).saturating_sub(until);
            let wait_ms = wait_ms.div_ceil(ROUND_MS) * ROUND_MS;
            return (counts, Charge { is_admitted: false, remaining: 0, reset_ms: wait_ms as u64 });
        }
        let next = Self { current: current + 1, ..counts };
        let left = wide(quota.limit - next.current).saturating_sub(weight.div_ceil(window));
        (next, Charge { is_admitted: true, remaining: left as u64, reset_ms: rest_ms })
    }

    /// As of the window `id`; a window that has begun is never left backwards.
    fn moved_to(self, id: u64) -> Self {
        match id.saturating_sub(self.id) {
            0 => self,
            1 => Self { id, last: self.current, current: 0 },
            _ => Self { id, last: 0, current: 0 },
        }
    }

    /// First millisecond at which nothing it has counted matters any more.
    pub(super) fn end_ms(self, window_ms: u64) -> u64 {
        self.id.saturating_add(2).saturating_mul(window_ms)
    }

    /// In one word; `None` if they do not fit.
    #[inline]
    pub(super) fn pack(self) -> Option<u64> {
        let fits = self.last <= COUNT_MAX && self.current < COUNT_MAX;
        fits.then_some((self.id & ID_MAX) << (2 * COUNT_BITS) | self.last << COUNT_BITS | self.current)
    }

    /// Only the id's low bits are kept; the rest is that of the latest such id that is not more than [`AHEAD_MAX`] ahead
    /// of `near`, for workers whose clocks were read at different moments. A window that was left alone for a multiple
    /// of 2^12 lengths is taken for a current one, for [`AHEAD_MAX`] lengths at most: one that nobody asks for is swept
    /// away long before, save for those that configurations hold on to.
    #[inline]
    pub(super) fn unpack(word: u64, near: u64) -> Self {
        let ahead = (word >> (2 * COUNT_BITS)).wrapping_sub(near) & ID_MAX;
        let id = if ahead > AHEAD_MAX { near.saturating_sub(ID_MAX + 1 - ahead) } else { near.saturating_add(ahead) };
        Self { id, last: word >> COUNT_BITS & COUNT_MAX, current: word & COUNT_MAX }
    }
}

/// Counts in one word: the id's low bits, the window before, this window.
#[derive(Debug)]
pub struct SlidingWindow {
    word: AtomicU64,
    /// Its length: what an id means.
    window_ms: u64,
}

impl SlidingWindow {
    /// A window that holds `counts`, which must be recent; `None` if they do not fit.
    pub fn holding(counts: Counts, window_ms: u64) -> Option<Self> {
        counts.pack().map(|word| Self { word: AtomicU64::new(word), window_ms })
    }

    /// A window that refuses all charges.
    pub fn dead(window_ms: u64) -> Self {
        Self { word: AtomicU64::new(DEAD), window_ms }
    }

    /// Charges one request. A window of another length is not this one.
    #[inline]
    pub fn charge(&self, now_ms: u64, quota: &Quota) -> Result<Charge, Gone> {
        if quota.window_ms != self.window_ms {
            return Err(Gone);
        }
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word == DEAD {
                return Err(Gone);
            }
            let (next, charge) = Counts::unpack(word, self.id(now_ms)).charged(now_ms, quota);
            if !charge.is_admitted {
                return Ok(charge);
            }
            let next = next.pack().ok_or(Gone)?;
            match self.word.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(charge),
                Err(seen) => word = seen,
            }
        }
    }

    /// Marks the window dead and returns what it has counted, with its length; `None` if it was dead.
    pub fn take(&self, now_ms: u64) -> Option<(Counts, u64)> {
        let word = self.word.swap(DEAD, Ordering::Relaxed);
        (word != DEAD).then(|| (Counts::unpack(word, self.id(now_ms)), self.window_ms))
    }

    #[inline]
    fn id(&self, now_ms: u64) -> u64 {
        now_ms / self.window_ms.max(1)
    }
}

const COUNT_BITS: u32 = 26;
/// The current count is kept below it, so that no window looks dead.
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const ID_MAX: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;
/// How many lengths a window's id may be ahead of a reader's clock.
const AHEAD_MAX: u64 = 2;
const DEAD: u64 = u64::MAX;
/// Waits are told in hundredths of a second, rounded up.
const ROUND_MS: u128 = 10;
