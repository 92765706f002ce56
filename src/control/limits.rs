//! The sweeper: takes away the windows of limits that have ended, so that keys that went leave nothing behind.

use crate::base::clock::monotonic_us;
use crate::limit::Table;
use crate::limit::table::{Position, SWEEP_SLOTS};
use crate::metrics::Cells;
use std::sync::Arc;
use std::time::Duration;

/// Sweeps `table` for good, a part of it at a time. What goes is taken off the count in `cells`, which nobody else
/// may write.
///
/// A window that has ended may stay for a round: counts do not depend on it, only memory does.
pub async fn sweep(table: Arc<Table>, cells: Arc<Cells>) {
    let mut position = Position::default();
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let slots = (table.slots() / PARTS).max(SWEEP_SLOTS);
        let swept = table.sweep(&mut position, slots, table.moment(monotonic_us()));
        cells.limit_windows.subtract(swept.removed as u64);
        cells.limit_evictions.add(swept.evicted_live as u64);
    }
}

/// With [`PARTS`], a round takes about ten seconds.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
const PARTS: usize = 100;
