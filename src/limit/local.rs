//! What one worker keeps for limits: handles of the keys it has seen lately, and buffers.

use super::quota::{Charge, Gone, Moment, Quota};
use super::table::{Charged, Table};
use super::window::Handle;
use super::{Pinned, Settings};
use crate::base::log_limit::LogLimit;
use crate::metrics::Cells;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// One worker's side of the process's [`Table`], which must always be the same one.
///
/// Handles lie in slots by the hash of their key. A key gets its slot at first sight and leaves its handle there at the
/// second: so keys that come and go cost no more than the table itself, and those that stay are soon reached without.
#[derive(Debug, Default)]
pub struct Local {
    /// Empty until the first key.
    slots: Vec<Slot>,
    settings: Settings,
    cells: Arc<Cells>,
    /// What a request is about to be charged.
    pub pending: Pending,
    /// On lines about requests that could not be counted as configured.
    pub log: LogLimit,
}

/// One key seen lately.
#[derive(Debug, Clone, Default)]
struct Slot {
    hash: u64,
    handle: Option<Handle>,
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
        self.slots.iter().filter(|slot| slot.handle.is_some()).count()
    }

    /// Charges one request to the window of `key`.
    ///
    /// Allocates for a key that has no window.
    pub fn charge(&mut self, table: &Table, key: &[u8], at: Moment, quota: &Quota) -> Charge {
        let hash = table.hash(key);
        if self.slots.is_empty() {
            self.slots.resize(LOCAL_HANDLES_MAX, Slot::default());
        }
        let Some(slot) = self.slots.get_mut(hash as usize % LOCAL_HANDLES_MAX) else {
            return self.note(&table.charge_once(hash, key, at, quota));
        };
        if slot.hash != hash {
            *slot = Slot { hash, handle: None };
            return self.note(&table.charge_once(hash, key, at, quota));
        }
        if let Some(handle) = slot.handle.as_ref().filter(|handle| handle.key() == key)
            && let Ok(charge) = handle.window().charge(at, quota)
        {
            return self.noted(charge);
        }
        let charged = table.charge(hash, key, at, quota);
        slot.handle = Some(charged.handle.clone());
        self.note(&charged)
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
        let charged = table.charge_pinned(key, at, quota);
        let charge = self.note(&charged);
        // Another worker may have been first; it pinned the same window.
        drop(slot.set(charged.handle));
        charge
    }

    fn note<H>(&self, charged: &Charged<H>) -> Charge {
        if charged.is_new && charged.evicted.is_none() {
            self.cells.limit_windows.add(1);
        }
        if charged.evicts_live() {
            self.cells.limit_evictions.add(1);
        }
        self.noted(charged.charge)
    }

    #[inline]
    fn noted(&self, charge: Charge) -> Charge {
        if !charge.is_admitted {
            self.cells.limit_rejections.add(1);
        }
        charge
    }
}

/// Handles kept per worker at most; a power of two.
pub const LOCAL_HANDLES_MAX: usize = 8_192;
