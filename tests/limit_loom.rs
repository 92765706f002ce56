//! Every order in which hits, the sweeper and a replacement can meet on one key, tried by loom.
//!
//! The folder's own files are compiled once more, with loom's types where `src/limit/sync.rs` has the standard
//! library's. That takes no `--cfg loom`, which would reach tokio, too, and switch off its signals. Runs with all other
//! tests, in seconds; on its own: `cargo test --test limit_loom`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[allow(dead_code, unreachable_pub, missing_docs, reason = "the library has these files' other users")]
#[path = "../src/limit"]
mod limit {
    mod sync {
        pub(super) use loom::sync::Mutex;
        pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64};
    }
    pub(crate) mod fixed_window;
    pub(crate) mod quota;
    pub(crate) mod sliding_window;
    pub(crate) mod table;
    pub(crate) mod window;

    pub(crate) use quota::Gone;

    impl table::Table {
        /// One shard, so that everything meets.
        pub(crate) fn small() -> Self {
            Self::with_shards(1, 8, 0, 0)
        }
    }
}

use limit::quota::{Kind, Moment, Quota};
use limit::table::{Position, Table};
use limit::window::Handle;
use std::sync::Arc;

/// What a worker does: by its handle, else by the table.
fn hit(table: &Table, handle: &mut Option<Handle>, at: Moment, quota: &Quota) -> bool {
    if let Some(known) = handle
        && let Ok(charge) = known.window().charge(at, quota)
    {
        return charge.is_admitted;
    }
    let charged = table.charge(table.hash(b"k"), b"k", at, quota);
    *handle = Some(charged.handle);
    charged.charge.is_admitted
}

fn at(ms: u64) -> Moment {
    Moment { elapsed_ms: ms, aligned_ms: ms }
}

/// Two workers with a handle from an earlier window come back at its end, while the sweeper closes it: whatever the
/// order, one window opens and its limit of one is passed once.
fn come_back(kind: Kind, counts_excess: bool, end_ms: u64) {
    loom::model(move || {
        let table = Arc::new(Table::small());
        let quota = Quota { limit: 1, window_ms: 100, kind, counts_excess };
        let mut first = None;
        assert!(hit(&table, &mut first, at(0), &quota));
        let worker = |mut handle: Option<Handle>| {
            let table = Arc::clone(&table);
            loom::thread::spawn(move || hit(&table, &mut handle, at(end_ms), &quota))
        };
        let threads = [worker(first.clone()), worker(first)];
        table.sweep(&mut Position::default(), 1, at(end_ms));
        let admitted = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|admitted| *admitted).count();
        assert_eq!(admitted, 1);
        assert_eq!(table.len(), 1, "the new window is in the table");
        assert!(!hit(&table, &mut None, at(end_ms), &quota), "and it is the one that was charged");
    });
}

#[test]
fn a_fixed_window_is_opened_once_while_the_old_one_is_swept_away() {
    come_back(Kind::Fixed, false, 100);
    come_back(Kind::Fixed, true, 100);
}

#[test]
fn a_sliding_window_is_opened_once_while_the_old_one_is_swept_away() {
    come_back(Kind::Sliding, false, 200);
}

#[test]
fn a_window_that_outgrows_its_word_is_replaced_once() {
    // Two years after the start, no end of a window fits a word any more.
    come_back(Kind::Fixed, false, 1 << 36);
}

/// A configuration takes hold of a window at its end, while the sweeper looks at it.
#[test]
fn a_window_is_not_swept_away_under_who_pins_it() {
    loom::model(|| {
        let table = Arc::new(Table::small());
        let quota = Quota { limit: 2, window_ms: 100, kind: Kind::Fixed, counts_excess: false };
        hit(&table, &mut None, at(0), &quota);
        let pinning = {
            let table = Arc::clone(&table);
            loom::thread::spawn(move || table.charge_pinned(b"k", at(100), &quota).handle)
        };
        table.sweep(&mut Position::default(), 1, at(100));
        let pinned = pinning.join().unwrap();
        table.sweep(&mut Position::default(), 1, at(500));
        assert_ne!(pinned.window().charge(at(150), &quota), Err(limit::Gone));
        assert!(!hit(&table, &mut None, at(150), &quota), "the table leads to the same window");
    });
}
