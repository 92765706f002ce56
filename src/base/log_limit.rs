//! A limit on log lines that clients can provoke: a few per second, and how many were left out.

use governor::{DefaultDirectRateLimiter, Quota};
use std::fmt;
use std::num::NonZeroU32;

/// Admits [`LINES_PER_S`] lines a second, as many at once. One per worker and kind of line.
pub struct LogLimit {
    limiter: DefaultDirectRateLimiter,
    /// Lines left out since the last that was admitted.
    left_out: u64,
}

impl LogLimit {
    /// Whether a line may be written now; if so, how many were left out before it.
    pub fn admit(&mut self) -> Option<u64> {
        if self.limiter.check().is_err() {
            self.left_out += 1;
            return None;
        }
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Default for LogLimit {
    fn default() -> Self {
        Self { limiter: DefaultDirectRateLimiter::direct(Quota::per_second(LINES_PER_S)), left_out: 0 }
    }
}

impl fmt::Debug for LogLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LogLimit").field("left_out", &self.left_out).finish_non_exhaustive()
    }
}

/// Enough to see what is going on, too few to fill a disk or to occupy a worker.
pub const LINES_PER_S: NonZeroU32 = match NonZeroU32::new(50) {
    Some(lines) => lines,
    None => NonZeroU32::MIN,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_rate_are_counted() {
        let mut limit = LogLimit::default();
        let admitted = (0..10 * LINES_PER_S.get()).filter_map(|_| limit.admit()).count() as u32;
        // A slow machine may see a second or two go by.
        assert!((LINES_PER_S.get()..5 * LINES_PER_S.get()).contains(&admitted), "{admitted}");
        assert!(limit.left_out > 0);
    }
}
