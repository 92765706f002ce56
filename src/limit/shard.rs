//! A part of the table: slots with open addressing, searched and changed under the part's lock.
//!
//! A key's slot is the first free one from its place on (linear probing), so that a charge reads one cache line, or two
//! that lie side by side. A slot that is freed draws the following ones up, so there are no markers of what was.

use super::content::Content;
use super::digest::Digest;
use super::quota::{Charge, Moment, Quota};
use super::slot::{Held, Slot};
use super::window::Window;
use crate::base::array::Array;
use crate::base::map::HashMap;
use triomphe::Arc;

/// Some keys' windows. What a charge reads comes first, beside the lock.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Shard {
    /// A power of two of them, or none; at most three quarters are in use.
    slots: Array<Slot>,
    used: usize,
    /// Where the next search for something to evict begins.
    hand: usize,
    /// What does not fit a slot, for the keys whose slots say so.
    wide: HashMap<Digest, Content>,
    /// Windows that configurations hold; none of them has a slot.
    pub(super) pinned: HashMap<Digest, Arc<Window>>,
}

/// What became of a window that made room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evicted {
    /// It had ended: nothing is lost.
    Ended,
    /// It had not: its key starts afresh, before its time.
    Live,
}

impl Shard {
    /// Charges one request to the window of `digest`; `None` if there is none here.
    #[inline]
    pub(super) fn charge(&mut self, digest: Digest, at: Moment, quota: &Quota) -> Option<Charge> {
        let index = self.find(digest).ok()?;
        let slot = self.slots.get_mut(index)?;
        if let Held::Here(content) = slot.held(at) {
            let (next, charge) = content.charged(at, quota);
            if slot.put(next, at) {
                return Some(charge);
            }
        }
        Some(self.charge_wide(index, at, quota))
    }

    /// [`Shard::charge`] for what does not fit a slot, or does no longer.
    #[cold]
    fn charge_wide(&mut self, index: usize, at: Moment, quota: &Quota) -> Charge {
        let content = self.content(index, at).unwrap_or_else(|| Content::empty(at, quota));
        let (next, charge) = content.charged(at, quota);
        if let Some(slot) = self.slots.get(index).copied() {
            self.put(index, slot.digest, next, at);
        }
        charge
    }

    /// Gives a slot to the window of `digest`, which must not have one.
    pub(super) fn insert(&mut self, digest: Digest, content: Content, at: Moment) {
        if (self.used + 1) * FULL.1 > self.slots.len() * FULL.0 {
            self.resize((self.slots.len() * 2).max(SLOTS_LEAST));
        }
        if let Err(Some(index)) = self.find(digest) {
            self.put(index, digest, content, at);
            self.used += 1;
        }
    }

    /// Takes the window of `digest` away, if it has a slot, and returns what it has counted.
    pub(super) fn take(&mut self, digest: Digest, at: Moment) -> Option<Content> {
        let index = self.find(digest).ok()?;
        let content = self.content(index, at);
        self.remove(index);
        content
    }

    /// Makes room by taking one window away; `None` if there is none. Of [`EVICT_CANDIDATES`] it is the first that has
    /// ended, else the one that was not used for longest.
    pub(super) fn evict(&mut self, at: Moment) -> Option<Evicted> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut best: Option<(u64, usize)> = None;
        let mut candidates = 0;
        for _ in 0..EVICT_SLOTS_MAX.min(self.slots.len()) {
            self.hand = (self.hand + 1) & mask;
            let Some(slot) = self.slots.get(self.hand).filter(|slot| !slot.is_empty()) else { continue };
            if self.has_ended(self.hand, at) {
                self.remove(self.hand);
                return Some(Evicted::Ended);
            }
            let age = slot.age(at);
            if best.is_none_or(|(most, _)| age > most) {
                best = Some((age, self.hand));
            }
            candidates += 1;
            if candidates == EVICT_CANDIDATES {
                break;
            }
        }
        let (_, index) = best?;
        self.remove(index);
        Some(Evicted::Live)
    }

    /// Takes away what has ended in the slots from `start` up to `end`; how many that were.
    pub(super) fn sweep(&mut self, start: usize, end: usize, at: Moment) -> usize {
        let mut removed = 0;
        let mut index = start;
        while index < end {
            if self.has_ended(index, at) {
                // Another slot may have moved here, and is looked at next.
                self.remove(index);
                removed += 1;
            } else {
                index += 1;
            }
        }
        removed
    }

    /// Gives memory back after a burst of keys.
    pub(super) fn shrink(&mut self) {
        if self.used == 0 && self.slots.len() > SLOTS_LEAST {
            self.slots = Array::default();
            self.hand = 0;
        } else if self.used * 4 < self.slots.len() {
            let room = (self.used * 2).next_power_of_two().max(SLOTS_LEAST);
            if room < self.slots.len() {
                self.resize(room);
            }
        }
        self.wide.shrink_to(self.wide.len() * 2);
        self.pinned.shrink_to(self.pinned.len() * 2);
    }

    /// How many slots there are, in use or not.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Where the window of `digest` is; else the free slot where it would be, of which there always is one unless there
    /// are no slots at all.
    #[inline]
    fn find(&self, digest: Digest) -> Result<usize, Option<usize>> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut index = digest.place as usize & mask;
        while let Some(slot) = self.slots.get(index) {
            if slot.is_empty() {
                return Err(Some(index));
            }
            if slot.digest == digest {
                return Ok(index);
            }
            index = (index + 1) & mask;
        }
        Err(None)
    }

    fn put(&mut self, index: usize, digest: Digest, content: Content, at: Moment) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.held(at) == Held::Elsewhere {
            self.wide.remove(&digest);
        }
        *slot = Slot::holding(digest, content, at).unwrap_or_else(|| {
            self.wide.insert(digest, content);
            Slot::elsewhere(digest, at)
        });
    }

    fn content(&self, index: usize, at: Moment) -> Option<Content> {
        let slot = self.slots.get(index)?;
        match slot.held(at) {
            Held::Nothing => None,
            Held::Here(content) => Some(content),
            Held::Elsewhere => self.wide.get(&slot.digest).copied(),
        }
    }

    fn has_ended(&self, index: usize, at: Moment) -> bool {
        self.content(index, at).is_some_and(|content| content.left_ms(at) == 0)
    }

    /// Frees a slot and draws up those behind it that it kept from their place.
    #[allow(clippy::indexing_slicing, reason = "the mask keeps all indices below the number of slots")]
    fn remove(&mut self, index: usize) {
        let mask = self.slots.len() - 1;
        self.wide.remove(&self.slots[index].digest);
        self.used -= 1;
        let mut free = index;
        let mut next = index;
        loop {
            next = (next + 1) & mask;
            let slot = self.slots[next];
            if slot.is_empty() {
                break;
            }
            let from_place = next.wrapping_sub(slot.digest.place as usize) & mask;
            if from_place >= next.wrapping_sub(free) & mask {
                self.slots[free] = slot;
                free = next;
            }
        }
        self.slots[free] = Slot::default();
    }

    /// Moves to a power of two of slots, which must be enough.
    #[cold]
    fn resize(&mut self, room: usize) {
        let old = std::mem::replace(&mut self.slots, Array::filled(Slot::default(), room));
        self.hand = 0;
        for slot in old.iter().filter(|slot| !slot.is_empty()) {
            if let Err(Some(index)) = self.find(slot.digest)
                && let Some(free) = self.slots.get_mut(index)
            {
                *free = *slot;
            }
        }
    }
}

/// The part of the slots that may be in use: beyond, the ways to a key grow long.
const FULL: (usize, usize) = (3, 4);
/// Slots of a shard that has a key, 2 KiB.
const SLOTS_LEAST: usize = 64;
/// Windows among which the one to evict is chosen.
const EVICT_CANDIDATES: usize = 16;
/// Slots looked at for them.
const EVICT_SLOTS_MAX: usize = 256;
