//! What one worker keeps for limits: its counters, and buffers.

use super::quota::{Charge, Moment, Quota};
use super::table::{Charged, Table};
use super::{Pinned, Settings};
use crate::base::log_limit::LogLimit;
use crate::metrics::Cells;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// One worker's side of the process's [`Table`].
#[derive(Debug, Default)]
pub struct Local {
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

    /// Charges one request to the window of `key`.
    #[inline]
    pub fn charge(&mut self, table: &Table, key: &[u8], at: Moment, quota: &Quota) -> Charge {
        self.note(&table.charge(key, at, quota))
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
            return self.noted(pinned.window().charge(at, quota));
        }
        let (charged, pinned) = table.charge_pinned(key, at, quota);
        // Another worker may have been first; it pinned the same window.
        drop(slot.set(pinned));
        self.note(&charged)
    }

    #[inline]
    fn note(&self, charged: &Charged) -> Charge {
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
