//! What a window has counted, however it is kept.

use super::quota::{Charge, Kind, Moment, Quota};
use super::{fixed_window, sliding_window};

/// A window's count, by the way of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// See [`fixed_window`].
    Fixed(fixed_window::Count),
    /// See [`sliding_window`]; with the length of its windows in milliseconds, without which an id means nothing.
    Sliding(sliding_window::Counts, u64),
}

impl Content {
    /// What a window holds that `quota` opens now, before its first request.
    pub fn empty(at: Moment, quota: &Quota) -> Self {
        match quota.kind {
            Kind::Fixed => Self::Fixed(fixed_window::Count::default()),
            Kind::Sliding => {
                let id = at.aligned_ms / quota.window_ms.max(1);
                Self::Sliding(sliding_window::Counts { id, ..Default::default() }, quota.window_ms)
            }
        }
    }

    /// The count after one more request, and what to tell it. What was counted in another way, or in sliding windows of
    /// another length, is dropped.
    #[inline]
    #[must_use]
    pub fn charged(self, at: Moment, quota: &Quota) -> (Self, Charge) {
        match quota.kind {
            Kind::Fixed => {
                let count = if let Self::Fixed(count) = self { count } else { fixed_window::Count::default() };
                let (count, charge) = count.charged(at.elapsed_ms, quota);
                (Self::Fixed(count), charge)
            }
            Kind::Sliding => {
                let counts = match self {
                    Self::Sliding(counts, window_ms) if window_ms == quota.window_ms => counts,
                    _ => sliding_window::Counts::default(),
                };
                let (counts, charge) = counts.charged(at.aligned_ms, quota);
                (Self::Sliding(counts, quota.window_ms), charge)
            }
        }
    }

    /// For how many milliseconds it still matters; 0 when it has ended.
    pub fn left_ms(self, at: Moment) -> u64 {
        match self {
            Self::Fixed(count) => count.end_ms.saturating_sub(at.elapsed_ms),
            Self::Sliding(counts, window_ms) => counts.end_ms(window_ms).saturating_sub(at.aligned_ms),
        }
    }
}
