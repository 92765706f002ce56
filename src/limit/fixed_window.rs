//! Fixed windows (spec/limit-count §6.1): one opens with its first request and lasts its length, never prolonged.
//!
//! [`Count`] is the arithmetic. [`FixedWindow`] keeps a count in one atomic word, which holds counts up to 2^28 − 1 and
//! ends up to two years after the process's start; a count that does not fit is refused unchanged, and goes on behind a
//! lock ([`super::window::Window`]). Bench: `limit/fixed_window`.

use super::quota::{Charge, Gone, Quota};
use super::sync::AtomicU64;
use std::sync::atomic::Ordering;

/// What a window has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// First millisecond after the window; the default has ended before anything began.
    pub end_ms: u64,
    /// Requests counted since it opened. May exceed a limit that was lowered meanwhile.
    pub used: u64,
}

impl Count {
    /// The count after one more request, which opens a new window where this one has ended; and what to tell it.
    ///
    /// A rejection that need not be counted leaves the count as it is.
    #[inline]
    #[must_use]
    pub fn charged(self, now_ms: u64, quota: &Quota) -> (Self, Charge) {
        let is_open = now_ms < self.end_ms;
        if is_open && self.used >= quota.limit && !quota.counts_excess {
            let reset_ms = self.end_ms.saturating_sub(now_ms);
            return (self, Charge { is_admitted: false, remaining: 0, reset_ms });
        }
        let next = if is_open {
            Self { used: self.used.saturating_add(1), ..self }
        } else {
            Self { end_ms: now_ms.saturating_add(quota.window_ms), used: 1 }
        };
        let charge = Charge {
            is_admitted: next.used <= quota.limit,
            remaining: quota.limit.saturating_sub(next.used),
            reset_ms: next.end_ms.saturating_sub(now_ms),
        };
        (next, charge)
    }

    #[inline]
    fn pack(self) -> Option<u64> {
        (self.end_ms <= END_MAX && self.used <= USED_MAX).then_some(self.end_ms << USED_BITS | self.used)
    }

    #[inline]
    fn unpack(word: u64) -> Self {
        Self { end_ms: word >> USED_BITS, used: word & USED_MAX }
    }
}

/// A count in one word: the window's end above, requests below.
///
/// All operations are on this one word, so their order alone decides and none needs to order anything else.
#[derive(Debug)]
pub struct FixedWindow(AtomicU64);

impl FixedWindow {
    /// A window that holds `count`; `None` if it does not fit.
    pub fn holding(count: Count) -> Option<Self> {
        count.pack().map(|word| Self(AtomicU64::new(word)))
    }

    /// A window that refuses all charges.
    pub fn dead() -> Self {
        Self(AtomicU64::new(DEAD))
    }

    /// Charges one request.
    #[inline]
    pub fn charge(&self, now_ms: u64, quota: &Quota) -> Result<Charge, Gone> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word == DEAD {
                return Err(Gone);
            }
            let count = Count::unpack(word);
            let (next, charge) = count.charged(now_ms, quota);
            if next == count {
                // Beyond its limit a key costs a load: those who send too much are the cheapest to serve.
                return Ok(charge);
            }
            let next = next.pack().ok_or(Gone)?;
            match self.0.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(charge),
                Err(seen) => word = seen,
            }
        }
    }

    /// Marks the window dead, whatever it has counted, and returns that; `None` if it was dead.
    pub fn take(&self) -> Option<Count> {
        Some(self.0.swap(DEAD, Ordering::Relaxed)).filter(|word| *word != DEAD).map(Count::unpack)
    }
}

const USED_BITS: u32 = 28;
const USED_MAX: u64 = (1 << USED_BITS) - 1;
/// One less than the bits hold, so that no window looks dead.
const END_MAX: u64 = (1 << (64 - USED_BITS)) - 2;
const DEAD: u64 = u64::MAX;
