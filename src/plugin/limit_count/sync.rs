//! Delayed sync: a node counts by itself for a while and tells Redis later (spec/limit-count §8.3).
//!
//! One [`Sync`] per plugin instance, shared by all workers, behind a lock that is held for a few instructions. What
//! was admitted and not told yet is a counter's delta; a flush tells it, and learns what is left for all nodes.

use crate::base::map::HashMap;
use crate::limit::Charge;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The counters of one plugin instance on this node.
#[derive(Debug)]
pub(super) struct Sync {
    /// Between two flushes of a counter.
    pub(super) interval: Duration,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    known: HashMap<Box<[u8]>, Counter>,
    /// Those that wait for the next flush, at most [`QUEUED_MAX`].
    queue: Vec<Box<[u8]>>,
    /// Whether somebody flushes the queue.
    has_job: bool,
    /// When those that are over may be looked for again to make room.
    look_again_us: u64,
}

#[derive(Debug)]
struct Counter {
    quota: Option<Quota>,
    /// Admitted and not told.
    delta: u64,
    /// Being told: part of what is used up, whatever becomes of it.
    flying: u64,
    is_queued: bool,
    limit: u64,
    window_s: u64,
    touched_us: u64,
}

/// What Redis said last.
#[derive(Debug, Clone, Copy)]
struct Quota {
    /// Requests left for all nodes; below 0 when they have used more.
    remaining: i64,
    resets_us: u64,
}

/// What is asked of a counter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// The counter's key in Redis.
    pub(super) key: &'a [u8],
    pub(super) limit: u64,
    pub(super) window_s: u64,
    /// Monotonic.
    pub(super) now_us: u64,
}

/// What a node can say by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The answer; the counter is queued.
    Charged(Charge),
    /// Redis must be asked first.
    Unknown,
    /// There is no room to remember one more counter: Redis counts this request itself.
    Full,
}

/// One counter's delta on its way to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flush {
    pub(super) key: Box<[u8]>,
    pub(super) cost: u64,
    pub(super) window_s: u64,
}

impl Sync {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, counters: Mutex::default() }
    }

    /// Charges one request if what Redis said last still holds.
    pub(super) fn charge(&self, ask: Ask<'_>) -> Local {
        let Ask { key, limit, window_s, now_us } = ask;
        let mut counters = self.lock();
        let Counters { known, queue, look_again_us, .. } = &mut *counters;
        if !known.contains_key(key) {
            if known.len() >= COUNTERS_MAX {
                // Without a job, nobody else has looked for those that are over. At most once per window: a look at all.
                if now_us < *look_again_us {
                    return Local::Full;
                }
                *look_again_us = now_us.saturating_add(window_s.saturating_mul(1_000_000));
                known.retain(|_, counter| !counter.is_forgotten(now_us));
            }
            if known.len() >= COUNTERS_MAX {
                return Local::Full;
            }
            known.insert(key.into(), Counter::new(limit, window_s, now_us));
        }
        let Some(counter) = known.get_mut(key) else { return Local::Full };
        counter.touched_us = now_us;
        counter.window_s = window_s;
        let Some(quota) = &mut counter.quota else { return Local::Unknown };
        if now_us >= quota.resets_us {
            return Local::Unknown;
        }
        // A template may have made the limit another number since.
        quota.remaining = quota.remaining.saturating_add_unsigned(limit).saturating_sub_unsigned(counter.limit);
        counter.limit = limit;
        let reset_ms = (quota.resets_us - now_us).div_ceil(1000);
        let left = quota.remaining.saturating_sub_unsigned(counter.delta).saturating_sub_unsigned(counter.flying) - 1;
        let charge = match u64::try_from(left) {
            Err(_) => Charge { is_admitted: false, remaining: 0, reset_ms },
            Ok(remaining) => {
                counter.delta += 1;
                Charge { is_admitted: true, remaining, reset_ms }
            }
        };
        if !counter.is_queued && queue.len() < QUEUED_MAX {
            counter.is_queued = true;
            queue.push(key.into());
        }
        Local::Charged(charge)
    }

    /// Takes a counter's delta out for a flush.
    pub(super) fn begin(&self, key: &[u8]) -> Option<Flush> {
        let mut counters = self.lock();
        let counter = counters.known.get_mut(key)?;
        let cost = std::mem::take(&mut counter.delta);
        counter.flying += cost;
        Some(Flush { key: key.into(), cost, window_s: counter.window_s })
    }

    /// What became of a flush: the total and the milliseconds left, or nothing if it failed and must be told again.
    pub(super) fn end(&self, flush: &Flush, told: Option<(u64, u64)>, now_us: u64) {
        let mut counters = self.lock();
        let Some(counter) = counters.known.get_mut(&flush.key) else { return };
        counter.flying = counter.flying.saturating_sub(flush.cost);
        match told {
            Some((total, left_ms)) => {
                let remaining = i64::try_from(counter.limit).unwrap_or(i64::MAX).saturating_sub_unsigned(total);
                let resets_us = now_us.saturating_add(left_ms.saturating_mul(1000));
                counter.quota = Some(Quota { remaining, resets_us });
            }
            None => counter.delta += flush.cost,
        }
    }

    /// Whether the caller is to run the job that flushes.
    pub(super) fn wants_job(&self) -> bool {
        let mut counters = self.lock();
        !counters.queue.is_empty() && !std::mem::replace(&mut counters.has_job, true)
    }

    /// The job is over, whatever waits: the next charge asks for another.
    pub(super) fn end_job(&self) {
        self.lock().has_job = false;
    }

    /// The counters to flush now. Nothing: the job is over.
    pub(super) fn due(&self, now_us: u64) -> Vec<Box<[u8]>> {
        let mut counters = self.lock();
        let Counters { known, queue, has_job, .. } = &mut *counters;
        let mut due = std::mem::take(queue);
        for key in &due {
            if let Some(counter) = known.get_mut(key) {
                counter.is_queued = false;
            }
        }
        // Also one whose flushes have failed ever since: what it has to tell is of a window long gone.
        known.retain(|_, counter| !counter.is_forgotten(now_us));
        due.retain(|key| known.contains_key(key));
        *has_job = !due.is_empty();
        due
    }

    /// Puts a counter back whose flush failed.
    pub(super) fn queue_again(&self, key: &[u8]) {
        let mut counters = self.lock();
        let Counters { known, queue, .. } = &mut *counters;
        let Some(counter) = known.get_mut(key) else { return };
        if counter.delta > 0 && !counter.is_queued && queue.len() < QUEUED_MAX {
            counter.is_queued = true;
            queue.push(key.into());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        // Nothing between lock and unlock can panic.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    fn new(limit: u64, window_s: u64, now_us: u64) -> Self {
        Self { quota: None, delta: 0, flying: 0, is_queued: false, limit, window_s, touched_us: now_us }
    }

    /// Quota and delta matter for two windows at most.
    fn is_forgotten(&self, now_us: u64) -> bool {
        let kept_us = self.window_s.saturating_mul(2_000_000);
        !self.is_queued && self.flying == 0 && now_us.saturating_sub(self.touched_us) > kept_us
    }
}

/// Counters that wait for a flush; the deltas of others wait until they are touched again.
pub(super) const QUEUED_MAX: usize = 10_000;
/// Counters remembered per plugin instance.
const COUNTERS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(key: &[u8], limit: u64, now_us: u64) -> Ask<'_> {
        Ask { key, limit, window_s: 60, now_us }
    }

    fn charged(local: &Local) -> (bool, u64) {
        match local {
            Local::Charged(charge) => (charge.is_admitted, charge.remaining),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_redis_said_is_shared_out_until_it_is_used_up_or_over() {
        let sync = Sync::new(Duration::from_secs(1));
        assert_eq!(sync.charge(ask(b"k", 3, 0)), Local::Unknown);
        assert!(!sync.wants_job());
        let flush = sync.begin(b"k").unwrap();
        assert_eq!((flush.cost, flush.window_s), (0, 60));
        // Another node has used one.
        sync.end(&flush, Some((1, 5_000)), 0);
        assert_eq!(charged(&sync.charge(ask(b"k", 3, 1))), (true, 1));
        assert_eq!(charged(&sync.charge(ask(b"k", 3, 2))), (true, 0));
        assert_eq!(charged(&sync.charge(ask(b"k", 3, 3))), (false, 0));
        assert_eq!(charged(&sync.charge(ask(b"k", 5, 3))), (true, 1), "the limit was raised");
        assert!(sync.wants_job() && !sync.wants_job());
        assert_eq!(sync.due(4), [Box::from(*b"k")]);
        let flush = sync.begin(b"k").unwrap();
        assert_eq!(flush.cost, 3);
        assert_eq!(charged(&sync.charge(ask(b"k", 5, 4))), (true, 0), "what is being told counts");
        sync.end(&flush, None, 5);
        assert_eq!(sync.begin(b"k").unwrap().cost, 4, "what was not told is told again");
        assert_eq!(sync.charge(ask(b"k", 5, 5_000_000)), Local::Unknown, "the window is over");
    }

    #[test]
    fn the_job_ends_when_nothing_was_asked_and_idle_counters_go() {
        let sync = Sync::new(Duration::from_secs(1));
        sync.charge(ask(b"k", 3, 0));
        let flush = sync.begin(b"k").unwrap();
        sync.end(&flush, Some((0, 60_000)), 0);
        sync.charge(ask(b"k", 3, 1));
        assert!(sync.wants_job());
        assert_eq!(sync.due(2).len(), 1);
        assert_eq!(sync.due(3).len(), 0);
        sync.charge(ask(b"k", 3, 4));
        assert!(sync.wants_job(), "and begins again");
        sync.due(5);
        sync.due(121_000_006);
        assert!(sync.begin(b"k").is_none());
    }

    #[test]
    fn a_counter_whose_flushes_fail_is_forgotten_too_and_the_job_ends() {
        let sync = Sync::new(Duration::from_secs(1));
        sync.charge(ask(b"k", 3, 0));
        let flush = sync.begin(b"k").unwrap();
        sync.end(&flush, Some((0, 60_000)), 0);
        sync.charge(ask(b"k", 3, 1));
        assert!(sync.wants_job());
        for now_us in [1_000_000, 60_000_000, 120_000_000] {
            assert_eq!(sync.due(now_us), [Box::from(*b"k")]);
            let flush = sync.begin(b"k").unwrap();
            sync.end(&flush, None, now_us);
            sync.queue_again(b"k");
        }
        assert!(sync.due(121_000_000).is_empty(), "two windows after it was asked last");
        assert!(sync.begin(b"k").is_none() && !sync.wants_job());
    }

    #[test]
    fn full_is_full_until_the_counters_are_over() {
        let sync = Sync::new(Duration::from_secs(1));
        for number in 0..COUNTERS_MAX {
            assert_eq!(sync.charge(ask(number.to_string().as_bytes(), 3, 0)), Local::Unknown);
        }
        assert_eq!(sync.charge(ask(b"new", 3, 1)), Local::Full);
        assert_eq!(sync.charge(ask(b"new", 3, 59_000_000)), Local::Full);
        assert_eq!(sync.charge(ask(b"new", 3, 121_000_000)), Local::Unknown);
    }

    #[test]
    fn the_queue_is_bounded_and_requests_go_on() {
        let sync = Sync::new(Duration::from_secs(1));
        for number in 0..QUEUED_MAX + 10 {
            let key = number.to_string();
            sync.charge(ask(key.as_bytes(), 3, 0));
            let flush = sync.begin(key.as_bytes()).unwrap();
            sync.end(&flush, Some((0, 60_000)), 0);
            assert_eq!(charged(&sync.charge(ask(key.as_bytes(), 3, 0))), (true, 2));
        }
        assert_eq!(sync.due(1).len(), QUEUED_MAX);
        let last = (QUEUED_MAX + 9).to_string();
        sync.charge(ask(last.as_bytes(), 3, 2));
        assert_eq!(sync.due(3).len(), 1);
        assert_eq!(sync.begin(last.as_bytes()).unwrap().cost, 2, "the delta has waited");
    }
}
