//! All windows of the process, by key.

use super::content::Content;
use super::digest::{Digest, Digests};
use super::quota::{Charge, Moment, Quota};
pub use super::shard::Evicted;
use super::shard::Shard;
use super::sync::{Mutex, MutexGuard};
use super::window::Window;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use triomphe::Arc;

/// The windows of all keys, shared by all workers. A key takes 32 bytes in a table that is three eighths to three
/// quarters full, so 43 to 85; after a burst of keys up to 128, until the sweeper has gone round. Its text is not kept.
///
/// **Locks.** Parts (shards), each behind a lock; so many that, full, each holds 32,768 to 65,536 keys, which fill huge
/// pages ([`crate::base::array`]). A worker takes a lock for a charge, which is some ten nanoseconds and what memory
/// takes; when a shard grows, for the time it takes to move its keys, a millisecond or so. The sweeper takes one for
/// [`SWEEP_SLOTS`] at a time. Nobody waits for anything else under a lock.
///
/// **When it is full.** A new key beyond `windows_max` takes the place of an old one of its shard: of sixteen, one that
/// has ended, else the one that was not used for longest. Only the latter loses a count before its time; that is counted
/// ([`Charged::evicts_live`]).
///
/// **Pinned** windows, those of keys known when the configuration is compiled, lie beside the slots, are charged without
/// a lock ([`Pinned`]), are never evicted and take no place from others. When the last configuration has dropped one, the
/// sweeper makes it one of the others.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Padded]>,
    digests: Digests,
    /// Windows that have slots, in all shards.
    others: AtomicUsize,
    /// Windows that have not.
    pinned: AtomicUsize,
    unpinned: std::sync::Arc<Unpinned>,
    windows_max: usize,
    /// When the table was made: monotonic, and since the Unix epoch.
    origin_us: u64,
    origin_unix_ms: u64,
}

/// On cache lines of its own: workers seldom meet at a shard, and should not meet between two.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded(Mutex<Shard>);

/// What a charge by key came to.
#[derive(Debug, Clone, Copy)]
pub struct Charged {
    /// The window's answer.
    pub charge: Charge,
    /// The key had no window before.
    pub is_new: bool,
    /// Another window made room, and how.
    pub evicted: Option<Evicted>,
}

impl Charged {
    /// Whether a window lost its count before its time.
    pub fn evicts_live(&self) -> bool {
        self.evicted == Some(Evicted::Live)
    }
}

/// What a step of the sweeper came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Windows that are gone.
    pub removed: usize,
    /// Those among them that were evicted before their time, for windows that are no longer pinned.
    pub evicted_live: usize,
}

/// Where the sweeper stands. Starts at the beginning.
#[derive(Debug, Default)]
pub struct Position {
    shard: usize,
    slot: usize,
}

impl Table {
    /// An empty table for `windows_max` keys; `origin_us` on the monotonic clock and `origin_unix_ms` are now.
    pub fn new(windows_max: usize, origin_us: u64, origin_unix_ms: u64) -> Self {
        let shards = (windows_max / SHARD_WINDOWS).clamp(SHARDS_LEAST, SHARDS_MOST);
        Self::with_shards(1 << shards.ilog2(), windows_max, origin_us, origin_unix_ms)
    }

    /// [`Table::new`] with a number of shards, which must be a power of two.
    pub(super) fn with_shards(shards: usize, windows_max: usize, origin_us: u64, origin_unix_ms: u64) -> Self {
        Self {
            shards: (0..shards).map(|_| Padded::default()).collect(),
            digests: Digests::random(),
            others: AtomicUsize::new(0),
            pinned: AtomicUsize::new(0),
            unpinned: std::sync::Arc::new(Unpinned(Mutex::new(Vec::new()))),
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

    /// Charges one request to the window of `key`, which is made if there is none. Never fails; allocates only where a
    /// shard grows.
    #[inline]
    pub fn charge(&self, key: &[u8], at: Moment, quota: &Quota) -> Charged {
        let digest = self.digests.of(key);
        let mut shard = self.shard(digest);
        match shard.charge(digest, at, quota) {
            Some(charge) => Charged { charge, is_new: false, evicted: None },
            None => self.charge_absent(&mut shard, digest, at, quota),
        }
    }

    /// For a key that has no slot.
    #[cold]
    fn charge_absent(&self, shard: &mut Shard, digest: Digest, at: Moment, quota: &Quota) -> Charged {
        if let Some(window) = shard.pinned.get(&digest) {
            return Charged { charge: window.charge(at, quota), is_new: false, evicted: None };
        }
        let (content, charge) = Content::empty(at, quota).charged(at, quota);
        Charged { charge, is_new: true, evicted: self.insert(shard, digest, content, at) }
    }

    /// Gives a window a slot, and says what had to make room for it.
    fn insert(&self, shard: &mut Shard, digest: Digest, content: Content, at: Moment) -> Option<Evicted> {
        let is_full = self.others.load(Ordering::Relaxed) >= self.windows_max;
        let evicted = if is_full { shard.evict(at) } else { None };
        if evicted.is_none() {
            self.others.fetch_add(1, Ordering::Relaxed);
        }
        shard.insert(digest, content, at);
        evicted
    }

    /// [`Table::charge`] for a key that a configuration will go on using: its window stays until that is dropped.
    pub fn charge_pinned(&self, key: &[u8], at: Moment, quota: &Quota) -> (Charged, Pinned) {
        let digest = self.digests.of(key);
        let mut shard = self.shard(digest);
        let mut is_new = false;
        let window = if let Some(window) = shard.pinned.get_mut(&digest) {
            if window.is_unique() {
                // Nobody holds it, so nobody charges it meanwhile: made anew, it is again of the fastest form.
                let content = window.take(at).unwrap_or_else(|| Content::empty(at, quota));
                *window = Arc::new(Window::holding(content, at, quota));
            }
            Arc::clone(window)
        } else {
            let content = shard.take(digest, at);
            is_new = content.is_none();
            self.others.fetch_sub(usize::from(!is_new), Ordering::Relaxed);
            self.pinned.fetch_add(1, Ordering::Relaxed);
            let content = content.unwrap_or_else(|| Content::empty(at, quota));
            let window = Arc::new(Window::holding(content, at, quota));
            shard.pinned.insert(digest, Arc::clone(&window));
            window
        };
        drop(shard);
        let charge = window.charge(at, quota);
        let note = Note { digest, unpinned: std::sync::Arc::clone(&self.unpinned) };
        (Charged { charge, is_new, evicted: None }, Pinned { window, _note: note })
    }

    /// Looks at about `slots` slots from `position` on and takes away the windows that have ended. For one caller, which
    /// owns the position.
    pub fn sweep(&self, position: &mut Position, slots: usize, at: Moment) -> Swept {
        let mut swept = self.unpin(at);
        let mut seen = 0;
        while seen < slots {
            let Some(shard) = self.shards.get(position.shard) else {
                *position = Position::default();
                break;
            };
            let mut shard = shard.lock();
            let end = position.slot.saturating_add(SWEEP_SLOTS).min(shard.slots());
            let removed = shard.sweep(position.slot, end, at);
            self.others.fetch_sub(removed, Ordering::Relaxed);
            swept.removed += removed;
            seen += SWEEP_SLOTS;
            position.slot = end;
            if end >= shard.slots() {
                shard.shrink();
                *position = Position { shard: position.shard + 1, slot: 0 };
            }
        }
        swept
    }

    /// Gives slots to the windows that no configuration holds any more.
    fn unpin(&self, at: Moment) -> Swept {
        let mut swept = Swept::default();
        for digest in self.unpinned.take(UNPINNED_AT_ONCE) {
            let mut shard = self.shard(digest);
            // Only the table can hand out a window that it alone has, and only under the shard's lock.
            if !shard.pinned.get(&digest).is_some_and(Arc::is_unique) {
                continue;
            }
            let Some(window) = shard.pinned.remove(&digest) else { continue };
            self.pinned.fetch_sub(1, Ordering::Relaxed);
            let content = window.take(at).filter(|content| content.left_ms(at) > 0);
            let evicted = content.and_then(|content| self.insert(&mut shard, digest, content, at));
            swept.removed += usize::from(content.is_none() || evicted.is_some());
            swept.evicted_live += usize::from(evicted == Some(Evicted::Live));
        }
        swept
    }

    /// How many slots there are, used or not: what a whole round of [`Table::sweep`] looks at.
    pub fn slots(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().slots()).sum()
    }

    /// How many windows there are, ended ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.others.load(Ordering::Relaxed) + self.pinned.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    #[allow(clippy::indexing_slicing, reason = "the mask is below the number of shards, a power of two")]
    fn shard(&self, digest: Digest) -> MutexGuard<'_, Shard> {
        // The high half: by the low one the shard places its keys.
        self.shards[(digest.place >> 32) as usize & (self.shards.len() - 1)].lock()
    }
}

impl Padded {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Shard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A window that a configuration holds, so that requests reach it without the table.
#[derive(Debug)]
pub struct Pinned {
    window: Arc<Window>,
    /// Dropped after the window, as fields are in their order: who reads the note finds one holder less.
    _note: Note,
}

/// Tells the sweeper, by being dropped, that a configuration has let go of a window.
#[derive(Debug)]
struct Note {
    digest: Digest,
    unpinned: std::sync::Arc<Unpinned>,
}

/// Keys of windows that lost a holder since the sweeper last looked; as many as configurations were dropped.
#[derive(Debug)]
struct Unpinned(Mutex<Vec<Digest>>);

impl Unpinned {
    /// At most `count` of them. The lock is not held afterwards: workers that drop a window must not wait.
    fn take(&self, count: usize) -> Vec<Digest> {
        let mut digests = self.lock();
        let left = digests.len().saturating_sub(count);
        digests.split_off(left)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.unpinned.lock().push(self.digest);
    }
}

impl Pinned {
    /// The window.
    #[inline]
    pub fn window(&self) -> &Window {
        &self.window
    }
}

/// Keys of one shard when the table is full, at least; less than twice as many bound the time that growing takes.
const SHARD_WINDOWS: usize = 1 << 15;
/// Enough that workers seldom meet.
const SHARDS_LEAST: usize = 32;
const SHARDS_MOST: usize = 1 << 12;
/// Windows that a step of the sweeper gives slots to.
const UNPINNED_AT_ONCE: usize = 4096;
/// Slots that the sweeper looks at under one lock, 8 KiB.
pub const SWEEP_SLOTS: usize = 256;
