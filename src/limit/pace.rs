//! Paces: how fast the requests of one key may come, evenly (nginx's leaky bucket; GCRA in other words).
//!
//! Of each key one time is kept: when its next request would come if all kept their pace. Who comes before waits for
//! its turn, or is turned away if that would take longer than the burst allows; then nothing changes. The times of all
//! keys are the process's, in shards behind locks that are held for one look-up. Keys are told apart by 128 bits of
//! hashes with random seeds, so none takes more memory than another; allocates only until the shards have grown.

use crate::base::map::HashMap;
use ahash::RandomState;
use std::sync::{Mutex, PoisonError};

/// A rate and how much it may be exceeded for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    interval_ns: u64,
    wait_max_ns: u64,
}

impl Pace {
    /// `rate` requests a second, above 0, of which `burst`, at least 0, may come before their time.
    ///
    /// Slower rates than one in 292 years count as that.
    pub fn new(rate: f64, burst: f64) -> Self {
        let interval_ns = (1e9 / rate).min(INTERVAL_MAX_NS);
        // Whole bursts are whole intervals, however those were rounded.
        let wait_max_ns = (burst.fract() * interval_ns) as u64;
        let interval_ns = (interval_ns as u64).max(1);
        let wait_max_ns = (burst.trunc() as u64).saturating_mul(interval_ns).saturating_add(wait_max_ns);
        Self { interval_ns, wait_max_ns }
    }

    /// How long a request that is not turned away may have to wait, in nanoseconds.
    pub fn wait_max_ns(&self) -> u64 {
        self.wait_max_ns
    }
}

/// Every key that has come lately.
///
/// Beyond [`KEYS_MAX`] keys, a new one takes the place of another: of the eight of its shard that are met first, the
/// one whose next turn comes first. That key starts afresh.
#[derive(Debug)]
pub struct Paces {
    shards: Box<[Mutex<Shard>]>,
    keys_per_shard: usize,
    hashers: [RandomState; 2],
}

/// From keys to the time of their next turn, in nanoseconds on the monotonic clock.
type Shard = HashMap<[u64; 2], u64>;

impl Default for Paces {
    fn default() -> Self {
        Self::with_room(KEYS_MAX / SHARDS)
    }
}

impl Paces {
    fn with_room(keys_per_shard: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, keys_per_shard, hashers: [RandomState::new(), RandomState::new()] }
    }

    /// A request of `key` at `now_ns`: how many nanoseconds until its turn, or `None` if it is turned away.
    pub fn take_turn(&self, key: &[u8], now_ns: u64, pace: &Pace) -> Option<u64> {
        let [one, other] = &self.hashers;
        let key = [one.hash_one(key), other.hash_one(key)];
        let shard = self.shards.get(key[0] as usize % SHARDS)?;
        // Nothing panics while it is held.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next_ns) = shard.get_mut(&key) {
            let wait_ns = next_ns.saturating_sub(now_ns);
            if wait_ns > pace.wait_max_ns {
                return None;
            }
            *next_ns = now_ns.max(*next_ns).saturating_add(pace.interval_ns);
            return Some(wait_ns);
        }
        if shard.len() >= self.keys_per_shard
            && let Some(soonest) =
                shard.iter().take(CANDIDATES).min_by_key(|(_, next_ns)| **next_ns).map(|(key, _)| *key)
        {
            shard.remove(&soonest);
        }
        shard.insert(key, now_ns.saturating_add(pace.interval_ns));
        Some(0)
    }

    /// How many keys are remembered.
    #[cfg(test)]
    fn keys(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().map_or(0, |shard| shard.len())).sum()
    }
}

/// Keys remembered at once, some 40 bytes each.
pub const KEYS_MAX: usize = 1 << 18;
const SHARDS: usize = 64;
const CANDIDATES: usize = 8;
/// Half of what the clock can count.
const INTERVAL_MAX_NS: f64 = 9.2e18;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// What nginx's `limit_req` and `resty.limit.req` would answer, by their own formula: the excess over the rate.
    #[derive(Default)]
    struct Leaky {
        last_ms: Option<f64>,
        excess: f64,
    }

    impl Leaky {
        fn incoming(&mut self, now_ms: f64, rate: f64, burst: f64) -> Option<f64> {
            let excess = match self.last_ms {
                None => 0.0,
                Some(last_ms) => (self.excess - rate * (now_ms - last_ms) / 1000.0 + 1.0).max(0.0),
            };
            if excess > burst {
                return None;
            }
            (self.last_ms, self.excess) = (Some(now_ms), excess);
            Some(excess / rate * 1000.0)
        }
    }

    #[test]
    fn the_first_of_a_burst_waits_for_nothing_and_the_rest_in_turn() {
        let (paces, pace) = (Paces::default(), Pace::new(10.0, 2.0));
        let at = |now_ms: u64| paces.take_turn(b"k", now_ms * MS, &pace).map(|wait_ns| wait_ns / MS);
        assert_eq!([at(0), at(0), at(0), at(0)], [Some(0), Some(100), Some(200), None]);
        assert_eq!([at(50), at(100)], [None, Some(200)], "who was turned away does not count");
        assert_eq!(at(10_000), Some(0), "what was not used is not saved up");
        assert_eq!(at(10_000), Some(100));
        assert_eq!(paces.take_turn(b"other", 10_000 * MS, &pace), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn it_decides_like_the_leaky_bucket(
            rate in 1_u32..50, burst in 0_u32..6, gaps in proptest::collection::vec(0_u64..200, 1..60),
        ) {
            let (rate, burst) = (f64::from(rate), f64::from(burst));
            let (paces, pace, mut leaky, mut now_ms) = (Paces::default(), Pace::new(rate, burst), Leaky::default(), 0);
            for gap in gaps {
                now_ms += gap;
                // Both round: a request on the very edge may be judged either way, and ends the comparison.
                let before = leaky.excess - rate * (now_ms as f64 - leaky.last_ms.unwrap_or(0.0)) / 1000.0 + 1.0;
                if (before - burst).abs() < 1e-6 {
                    return Ok(());
                }
                let want = leaky.incoming(now_ms as f64, rate, burst);
                let told = paces.take_turn(b"k", now_ms * MS, &pace).map(|wait_ns| wait_ns as f64 / 1e6);
                proptest::prop_assert_eq!(told.is_some(), want.is_some());
                let apart = told.unwrap_or_default() - want.unwrap_or_default();
                proptest::prop_assert!(apart.abs() < 0.01, "{:?} {:?}", told, want);
            }
        }
    }

    #[test]
    fn extremes_are_numbers_too() {
        let paces = Paces::default();
        for (rate, burst) in [(1e-300, 1e300), (1e300, 0.0), (f64::MIN_POSITIVE, 0.5), (0.5, 1e-9)] {
            let pace = Pace::new(rate, burst);
            assert_eq!(
                paces.take_turn(format!("{rate} {burst}").as_bytes(), u64::MAX, &pace),
                Some(0),
                "{rate} {burst}"
            );
        }
        let (slow, fractions) = (Pace::new(1e-300, 0.0), Pace::new(10.0, 0.5));
        assert_eq!([paces.take_turn(b"s", 0, &slow), paces.take_turn(b"s", u64::MAX / 4, &slow)], [Some(0), None]);
        let at = |now_ms: u64| paces.take_turn(b"f", now_ms * MS, &fractions);
        assert_eq!([at(0), at(49), at(50)], [Some(0), None, Some(50 * MS)]);
    }

    #[test]
    fn keys_are_bounded_and_busy_ones_stay() {
        let (paces, pace) = (Paces::with_room(16), Pace::new(1.0, 0.0));
        let slow = Pace::new(0.001, 0.0);
        assert_eq!(paces.take_turn(b"busy", 0, &slow), Some(0));
        for key in 0..10_000_u64 {
            assert_eq!(paces.take_turn(&key.to_le_bytes(), key * MS, &pace), Some(0));
        }
        assert!(paces.keys() <= 16 * SHARDS, "{}", paces.keys());
        assert_eq!(paces.take_turn(b"busy", 20_000 * MS, &slow), None, "its turn comes last, so it is never given up");
    }
}
