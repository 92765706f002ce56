//! The clocks. Every core takes time as an argument; only shells read it here.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since an arbitrary start; never goes back. For durations and timeouts.
    pub monotonic_us: u64,
    /// Microseconds since the Unix epoch. For claims, dates and logs; may jump.
    pub unix_us: u64,
}

impl Now {
    /// Reads both clocks (two vDSO calls, about 50 ns).
    pub fn read() -> Self {
        Self { monotonic_us: monotonic_us(), unix_us: unix().as_micros() as u64 }
    }

    /// The same clocks at a later reading of the monotonic one: saves reading the other.
    #[must_use]
    pub fn at(self, monotonic_us: u64) -> Self {
        let passed_us = monotonic_us.saturating_sub(self.monotonic_us);
        Self { monotonic_us, unix_us: self.unix_us.saturating_add(passed_us) }
    }

    /// Whole seconds since the Unix epoch, the unit of a token's claims.
    pub fn unix_s(self) -> u64 {
        self.unix_us / 1_000_000
    }
}

/// Both clocks for one read of the monotonic one: how far the wall clock is ahead is looked up from time to time.
///
/// A step of the wall clock is seen with the next [`Clock::set`].
#[derive(Debug)]
pub struct Clock {
    /// The wall clock minus the monotonic one; wraps.
    ahead_us: Cell<u64>,
}

impl Clock {
    /// A clock that is set.
    pub fn new() -> Self {
        let clock = Self { ahead_us: Cell::new(0) };
        clock.set();
        clock
    }

    /// Looks at the wall clock.
    pub fn set(&self) {
        let now = Now::read();
        self.ahead_us.set(now.unix_us.wrapping_sub(now.monotonic_us));
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Now {
        let monotonic_us = monotonic_us();
        Now { monotonic_us, unix_us: monotonic_us.wrapping_add(self.ahead_us.get()) }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The monotonic clock alone, microseconds (one vDSO call).
pub fn monotonic_us() -> u64 {
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    (monotonic.tv_sec as u64).wrapping_mul(1_000_000).wrapping_add(monotonic.tv_nsec as u64 / 1_000)
}

/// Time since the Unix epoch; zero if the clock stands before it.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `unix_s` as an IMF-fixdate (RFC 9110 §5.6.7); what lies behind the year 9999 as its last second.
pub fn http_date(unix_s: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_s.min(LAST_SECOND)))
}

/// 9999-12-31 23:59:59, the last date that the format can show.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_an_end() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_set_clock_tells_both_times() {
        let clock = Clock::new();
        clock.ahead_us.set(7);
        let before = Now::read();
        let early = clock.now();
        assert_eq!(early.unix_us, early.monotonic_us + 7);
        clock.set();
        let late = clock.now();
        assert!(late.monotonic_us >= before.monotonic_us && late.unix_us >= before.unix_us);
        assert!(late.unix_us - before.unix_us < 60_000_000, "it is the same day");
    }

    #[test]
    fn a_later_reading_moves_both_clocks() {
        let now = Now { monotonic_us: 5, unix_us: 1_000_000 };
        assert_eq!(now.at(8), Now { monotonic_us: 8, unix_us: 1_000_003 });
        assert_eq!(now.at(0).unix_us, 1_000_000);
    }
}
