//! Requests that limits rejected, by route and consumer: few enough label sets whatever comes and goes.
//!
//! The sets are the process's, each with one counter, made when a route first rejects a consumer. A worker remembers the
//! counters it has used: a rejection costs it one look-up and one atomic addition, and the lock only where it sees a
//! set for the first time. Beyond [`LABEL_SETS_MAX`] sets, all others are counted as one, whose labels are `other`.

use crate::base::map::HashMap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counters of the whole process.
#[derive(Debug, Default)]
pub struct Rejections {
    sets: Mutex<Sets>,
    is_full: AtomicBool,
    other: AtomicU64,
}

/// By route and consumer, with a zero byte between them.
type Sets = HashMap<Box<[u8]>, Arc<AtomicU64>>;

impl Rejections {
    /// Every label set, route and consumer, with its count; in order.
    pub fn counts(&self) -> BTreeMap<(String, String), u64> {
        let mut counts = BTreeMap::new();
        for (key, count) in &*self.sets() {
            let mut parts = key.splitn(2, |byte| *byte == 0).map(String::from_utf8_lossy).map(String::from);
            let labels = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            counts.insert(labels, count.load(Ordering::Relaxed));
        }
        let other = self.other.load(Ordering::Relaxed);
        if other > 0 {
            counts.insert((OTHER.to_owned(), OTHER.to_owned()), other);
        }
        counts
    }

    /// The counter of a label set; `None` where there is no room for one more.
    fn counter(&self, key: &[u8]) -> Option<Arc<AtomicU64>> {
        let mut sets = self.sets();
        if let Some(counter) = sets.get(key) {
            return Some(Arc::clone(counter));
        }
        if sets.len() >= LABEL_SETS_MAX {
            self.is_full.store(true, Ordering::Relaxed);
            return None;
        }
        let counter = Arc::new(AtomicU64::new(0));
        sets.insert(key.into(), Arc::clone(&counter));
        Some(counter)
    }

    fn sets(&self) -> MutexGuard<'_, Sets> {
        // Nothing panics while it is held.
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One worker's side.
#[derive(Debug, Default)]
pub struct KnownRejections {
    shared: Arc<Rejections>,
    known: Sets,
    key: Vec<u8>,
}

impl KnownRejections {
    /// What a worker starts with.
    pub fn new(shared: Arc<Rejections>) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Counts a rejection on the route called `route`, of the consumer called `consumer`; empty where there is none.
    ///
    /// Allocates for a label set that this worker has not seen.
    pub fn count(&mut self, route: &[u8], consumer: &[u8]) {
        let Self { shared, known, key } = self;
        key.clear();
        key.extend_from_slice(route);
        key.push(0);
        key.extend_from_slice(consumer);
        if let Some(counter) = known.get(key.as_slice()) {
            counter.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // Who knows every set there will be needs no lock to see that this one is none of them.
        let knows_all = shared.is_full.load(Ordering::Relaxed) && known.len() >= LABEL_SETS_MAX;
        let is_other = knows_all || (route == OTHER.as_bytes() && consumer == OTHER.as_bytes());
        match (!is_other).then(|| shared.counter(key)).flatten() {
            Some(counter) => {
                counter.fetch_add(1, Ordering::Relaxed);
                known.insert(key.as_slice().into(), counter);
            }
            None => drop(shared.other.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Label sets with a counter of their own.
pub const LABEL_SETS_MAX: usize = 1024;
/// Both labels of all others together. A route and a consumer of that name are counted there, too.
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_shared_bounded_and_lose_nothing() {
        let shared = Arc::new(Rejections::default());
        let counted = |worker: &mut KnownRejections, route: usize| worker.count(route.to_string().as_bytes(), b"jack");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut worker = KnownRejections::new(Arc::clone(&shared));
                    (0..LABEL_SETS_MAX + 100).for_each(|route| counted(&mut worker, route));
                    assert!(worker.known.len() <= LABEL_SETS_MAX);
                });
            }
        });
        let mut late = KnownRejections::new(Arc::clone(&shared));
        late.count(OTHER.as_bytes(), OTHER.as_bytes());
        let counts = shared.counts();
        assert_eq!(counts.len(), LABEL_SETS_MAX + 1);
        let other = counts[&(OTHER.to_owned(), OTHER.to_owned())];
        assert_eq!(other, 100 * 4 + 1);
        assert_eq!(counts.values().sum::<u64>(), (LABEL_SETS_MAX as u64 + 100) * 4 + 1);
        assert!(counts.iter().filter(|(labels, _)| labels.0 != OTHER).all(|(_, count)| *count == 4));
        // What has a counter keeps it.
        let (route, consumer) = counts.keys().find(|labels| labels.0 != OTHER).unwrap().clone();
        late.count(route.as_bytes(), consumer.as_bytes());
        assert_eq!(shared.counts()[&(route, consumer)], 5);
        assert_eq!(shared.counts()[&(OTHER.to_owned(), OTHER.to_owned())], other);
    }

    #[test]
    fn a_set_may_lack_route_or_consumer() {
        let shared = Arc::new(Rejections::default());
        let mut worker = KnownRejections::new(Arc::clone(&shared));
        for (route, consumer) in [("", ""), ("r", ""), ("", "c"), ("r", "")] {
            worker.count(route.as_bytes(), consumer.as_bytes());
        }
        let told: Vec<_> =
            shared.counts().into_iter().map(|((route, consumer), count)| (route + "/" + &consumer, count)).collect();
        assert_eq!(told, [("/".to_owned(), 1), ("/c".to_owned(), 1), ("r/".to_owned(), 2)]);
    }
}
