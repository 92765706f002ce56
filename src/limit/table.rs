//! All windows of the process, by key.

use super::quota::{Charge, Moment, Quota};
use super::sync::Mutex;
use super::window::{Handle, Window};
use ahash::RandomState;
use hashbrown::HashTable;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

/// The windows of all keys, shared by all workers. A million keys take 48 bytes each plus 9 to 18 of table, and their
/// text.
///
/// **Locks.** Sixty-four shards, each behind a lock. A worker takes one for a key whose handle it does not have, for
/// the time of a look-up; when a shard grows, for the time it takes to move its entries. The sweeper takes one for
/// [`SWEEP_BUCKETS`] at a time. Nobody waits for anything else under a lock.
///
/// **When it is full.** A new key beyond `windows_max` takes the place of an old one of its shard: of sixteen, the one
/// that has ended, else the one that will end first. Only the latter loses a count before its time; that is counted
/// ([`Charged::evicts_live`]). Pinned windows are never evicted and take no place from others: `windows_max` is without
/// them, and their number is that of configured limits whose key is known.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    /// Windows in all shards.
    windows: AtomicUsize,
    /// [`Pinned`] handles that there are.
    pinned: Arc<AtomicUsize>,
    windows_max: usize,
    /// When the table was made: monotonic, and since the Unix epoch.
    origin_us: u64,
    origin_unix_ms: u64,
}

#[derive(Debug, Default)]
struct Shard {
    windows: HashTable<Handle>,
    /// Where the next search for something to evict begins.
    evict_from: usize,
}

/// What a charge by key came to.
#[derive(Debug)]
pub struct Charged<H = Handle> {
    /// The window's answer.
    pub charge: Charge,
    /// Leads to the window without the table, where asked for.
    pub handle: H,
    /// The key had no window before.
    pub is_new: bool,
    /// Another window made room, and how.
    pub evicted: Option<Evicted>,
}

/// What became of a window that made room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evicted {
    /// It had ended: nothing is lost.
    Ended,
    /// It had not: its key starts afresh, before its time.
    Live,
}

impl<H> Charged<H> {
    /// Whether a window lost its count before its time.
    pub fn evicts_live(&self) -> bool {
        self.evicted == Some(Evicted::Live)
    }
}

/// Where the sweeper stands. Starts at the beginning.
#[derive(Debug, Default)]
pub struct Position {
    shard: usize,
    bucket: usize,
}

impl Table {
    /// An empty table for `windows_max` keys; `origin_us` on the monotonic clock and `origin_unix_ms` are now.
    pub fn new(windows_max: usize, origin_us: u64, origin_unix_ms: u64) -> Self {
        Self::with_shards(SHARDS, windows_max, origin_us, origin_unix_ms)
    }

    /// [`Table::new`] with a number of shards, which must be a power of two.
    pub(super) fn with_shards(shards: usize, windows_max: usize, origin_us: u64, origin_unix_ms: u64) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::new(Shard::default())).collect(),
            hasher: RandomState::new(),
            windows: AtomicUsize::new(0),
            pinned: Arc::default(),
            windows_max,
            origin_us,
            origin_unix_ms,
        }
    }

    /// A reading of the monotonic clock as windows take it.
    #[inline]
    pub fn moment(&self, monotonic_us: u64) -> Moment {
        let elapsed_ms = monotonic_us.saturating_sub(self.origin_us) / 1000;
        Moment { elapsed_ms, aligned_ms: self.origin_unix_ms.saturating_add(elapsed_ms) }
    }

    /// The hash that the other methods take with `key`.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Charges one request to the window of `key`, which is made if there is none. Never fails.
    pub fn charge(&self, hash: u64, key: &[u8], at: Moment, quota: &Quota) -> Charged {
        self.charge_with(hash, key, at, quota, Handle::clone)
    }

    /// [`Table::charge`] for who does not want the handle.
    pub fn charge_once(&self, hash: u64, key: &[u8], at: Moment, quota: &Quota) -> Charged<()> {
        self.charge_with(hash, key, at, quota, |_| ())
    }

    /// [`Table::charge`] for a key that a configuration will go on using: its window stays until that is dropped.
    pub fn charge_pinned(&self, key: &[u8], at: Moment, quota: &Quota) -> Charged<Pinned> {
        self.charge_with(self.hash(key), key, at, quota, |handle| {
            handle.window().pin();
            self.pinned.fetch_add(1, Ordering::Relaxed);
            Pinned { handle: handle.clone(), count: Arc::clone(&self.pinned) }
        })
    }

    fn charge_with<H>(
        &self,
        hash: u64,
        key: &[u8],
        at: Moment,
        quota: &Quota,
        hold: impl FnOnce(&Handle) -> H,
    ) -> Charged<H> {
        let mut shard = self.shard(hash);
        if let Some(handle) = shard.windows.find_mut(hash, |handle| handle.key() == key) {
            let charge = handle.window().charge(at, quota).unwrap_or_else(|_| {
                // Under the lock nobody else replaces it, and who has the old handle finds it dead and comes here.
                let (window, charge) = Window::charged(handle.window().take(at), at, quota);
                *handle = Handle::new(window, key);
                charge
            });
            return Charged { charge, handle: hold(handle), is_new: false, evicted: None };
        }
        let (window, charge) = Window::charged(None, at, quota);
        let handle = Handle::new(window, key);
        let held = hold(&handle);
        let others = self.windows.load(Ordering::Relaxed).saturating_sub(self.pinned.load(Ordering::Relaxed));
        let is_full = others >= self.windows_max;
        let evicted = if is_full { shard.evict(at) } else { None };
        if evicted.is_none() {
            self.windows.fetch_add(1, Ordering::Relaxed);
        }
        shard.windows.insert_unique(hash, handle, |handle| self.hash(handle.key()));
        Charged { charge, handle: held, is_new: true, evicted }
    }

    /// Looks at about `buckets` places from `position` on and takes away the windows that have ended; returns how
    /// many. For one caller, which owns the position.
    pub fn sweep(&self, position: &mut Position, buckets: usize, at: Moment) -> usize {
        let mut removed = 0;
        let mut seen = 0;
        while seen < buckets {
            let Some(shard) = self.shards.get(position.shard) else {
                *position = Position::default();
                break;
            };
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let end = position.bucket.saturating_add(SWEEP_BUCKETS).min(shard.windows.num_buckets());
            for bucket in position.bucket..end {
                if shard.remove_if(bucket, |window| window.close(at)) {
                    removed += 1;
                }
            }
            seen += SWEEP_BUCKETS;
            position.bucket = end;
            if end >= shard.windows.num_buckets() {
                shard.shrink(|handle| self.hash(handle.key()));
                *position = Position { shard: position.shard + 1, bucket: 0 };
            }
        }
        self.windows.fetch_sub(removed, Ordering::Relaxed);
        removed
    }

    /// How many places there are, used or not: what a whole round of [`Table::sweep`] looks at.
    pub fn buckets(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).windows.num_buckets()).sum()
    }

    /// How many windows there are, ended ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.windows.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[allow(clippy::indexing_slicing, reason = "the mask is below the number of shards, a power of two")]
    fn shard(&self, hash: u64) -> impl std::ops::DerefMut<Target = Shard> {
        // Not the low bits, by which the shard's own table places its entries, nor the seven highest, its tags.
        let index = (hash >> SHARD_SHIFT) as usize & (self.shards.len() - 1);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Makes room by taking one window away; `None` if there is none that may go.
    fn evict(&mut self, at: Moment) -> Option<Evicted> {
        let buckets = self.windows.num_buckets();
        let mut best: Option<(u64, usize)> = None;
        let mut candidates = 0;
        let mut bucket = self.evict_from;
        for _ in 0..buckets.min(EVICT_BUCKETS_MAX) {
            bucket = if bucket + 1 < buckets { bucket + 1 } else { 0 };
            let Some(window) = self.windows.get_bucket(bucket).map(Handle::window) else { continue };
            if window.is_pinned() {
                continue;
            }
            let left_ms = window.left_ms(at);
            if best.is_none_or(|(least_ms, _)| left_ms < least_ms) {
                best = Some((left_ms, bucket));
            }
            candidates += 1;
            if left_ms == 0 || candidates == EVICT_CANDIDATES {
                break;
            }
        }
        self.evict_from = bucket;
        let (_, bucket) = best?;
        let mut evicted = None;
        self.remove_if(bucket, |window| {
            evicted = Some(if window.close(at) { Evicted::Ended } else { Evicted::Live });
            window.take(at);
            true
        });
        evicted
    }

    /// Unlinks the window in `bucket` if `is_dead` says so, which must have marked it.
    fn remove_if(&mut self, bucket: usize, is_dead: impl FnOnce(&Window) -> bool) -> bool {
        if !self.windows.get_bucket(bucket).is_some_and(|handle| is_dead(handle.window())) {
            return false;
        }
        self.windows.get_bucket_entry(bucket).map(hashbrown::hash_table::OccupiedEntry::remove).is_ok()
    }

    /// Gives memory back after a burst of keys.
    fn shrink(&mut self, hash: impl Fn(&Handle) -> u64) {
        let room = self.windows.len().saturating_mul(2).max(SHARD_ROOM_MIN);
        if self.windows.capacity() / 2 > room {
            self.windows.shrink_to(room, hash);
        }
    }
}

/// A window that a configuration holds, so that requests reach it without the table. It may still be replaced by a
/// wider one: then it answers [`super::Gone`] for good, and the table has the other.
#[derive(Debug)]
pub struct Pinned {
    handle: Handle,
    /// Of the table's pinned handles.
    count: Arc<AtomicUsize>,
}

impl Pinned {
    /// The window.
    #[inline]
    pub fn window(&self) -> &Window {
        self.handle.window()
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.handle.window().unpin();
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// More than cores, so that workers seldom meet.
const SHARDS: usize = 64;
const SHARD_SHIFT: u32 = 40;
/// Windows among which the one to evict is chosen.
const EVICT_CANDIDATES: usize = 16;
/// Places looked at for them.
const EVICT_BUCKETS_MAX: usize = 1024;
/// Places that the sweeper looks at under one lock.
pub const SWEEP_BUCKETS: usize = 256;
/// A shard's room is not taken below this.
const SHARD_ROOM_MIN: usize = 64;
