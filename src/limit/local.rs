//! What one worker keeps for limits: handles of the keys it has seen lately, and buffers.

use super::quota::{Charge, Gone, Moment, Quota};
use super::table::{Charged, Table};
use super::window::Handle;
use super::{Pinned, Settings};
use crate::base::log_limit::LogLimit;
use crate::metrics::Cells;
use hashbrown::HashTable;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// One worker's side of the process's [`Table`], which must always be the same one.
///
/// Handles live in two generations, as merged chains do: when the young one is full it becomes the old one, and what
/// was old and has not been asked for since is dropped.
#[derive(Debug, Default)]
pub struct Local {
    young: HashTable<Handle>,
    old: HashTable<Handle>,
    settings: Settings,
    cells: Arc<Cells>,
    /// What a request is about to be charged.
    pub pending: Pending,
    /// On lines about requests that could not be counted as configured.
    pub log: LogLimit,
}

/// Charges under construction. Reused between requests.
#[derive(Debug, Default)]
pub struct Pending {
    /// The text of all keys.
    pub keys: Vec<u8>,
    /// For each limit that applies: its place in the configuration, what it asks, where its key lies.
    pub charges: Vec<(usize, Quota, Range<usize>)>,
}

impl Pending {
    /// Forgets the last request's charges, keeping the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.charges.clear();
    }
}

impl Local {
    /// What a worker starts with; counters are kept in `cells`.
    pub fn new(settings: Settings, cells: Arc<Cells>) -> Self {
        Self { settings, cells, ..Self::default() }
    }

    /// How limits work for the whole process.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// How many handles are kept, at most [`LOCAL_HANDLES_MAX`].
    pub fn handles(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Charges one request to the window of `key`.
    ///
    /// Allocates for a key that this worker has not seen lately.
    pub fn charge(&mut self, table: &Table, key: &[u8], at: Moment, quota: &Quota) -> Charge {
        let hash = table.hash(key);
        if let Some(charge) = self.charge_known(table, hash, key, at, quota) {
            return self.noted(charge);
        }
        let charged = table.charge(hash, key, at, quota);
        self.note(&charged);
        self.keep(table, hash, charged.handle);
        self.noted(charged.charge)
    }

    /// Charges one request to the window of `key`, which `slot` leads to from the first request on.
    #[inline]
    pub fn charge_pinned(
        &mut self,
        table: &Table,
        slot: &OnceLock<Pinned>,
        key: &[u8],
        at: Moment,
        quota: &Quota,
    ) -> Charge {
        if let Some(pinned) = slot.get() {
            return match pinned.window().charge(at, quota) {
                Ok(charge) => self.noted(charge),
                Err(Gone) => self.charge(table, key, at, quota),
            };
        }
        let (charged, pinned) = table.charge_pinned(key, at, quota);
        self.note(&charged);
        // Another worker may have been first; it pinned the same window.
        drop(slot.set(pinned));
        self.noted(charged.charge)
    }

    /// `None` if the worker has no handle of `key`, or one of a window that is gone.
    #[inline]
    fn charge_known(&mut self, table: &Table, hash: u64, key: &[u8], at: Moment, quota: &Quota) -> Option<Charge> {
        let is_it = |handle: &Handle| handle.key() == key;
        if let Some(handle) = self.young.find(hash, is_it) {
            if let Ok(charge) = handle.window().charge(at, quota) {
                return Some(charge);
            }
            drop(self.young.find_entry(hash, is_it).map(|entry| drop(entry.remove())));
            return None;
        }
        let handle = self.old.find_entry(hash, is_it).ok()?.remove().0;
        let charge = handle.window().charge(at, quota).ok()?;
        self.keep(table, hash, handle);
        Some(charge)
    }

    fn keep(&mut self, table: &Table, hash: u64, handle: Handle) {
        if self.young.len() >= GENERATION_HANDLES_MAX {
            // Swapping keeps both tables' memory for the next turn.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert_unique(hash, handle, |handle| table.hash(handle.key()));
    }

    fn note(&self, charged: &Charged) {
        if charged.is_new && charged.evicted.is_none() {
            self.cells.limit_windows.add(1);
        }
        if charged.evicts_live() {
            self.cells.limit_evictions.add(1);
        }
    }

    #[inline]
    fn noted(&self, charge: Charge) -> Charge {
        if !charge.is_admitted {
            self.cells.limit_rejections.add(1);
        }
        charge
    }
}

/// Handles kept per worker at most.
pub const LOCAL_HANDLES_MAX: usize = 65_536;
const GENERATION_HANDLES_MAX: usize = LOCAL_HANDLES_MAX / 2;
