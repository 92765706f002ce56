//! Every order in which hits, the sweeper, and who pins or drops a window can meet on one key, tried by loom.
//!
//! The folder's own files are compiled once more, with loom's types where `src/limit/sync.rs` has the standard
//! library's. That takes no `--cfg loom`, which would reach tokio, too, and switch off its signals. Runs with all other
//! tests, in seconds; on its own: `cargo test --test limit_loom`.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[allow(dead_code, unreachable_pub, missing_docs, reason = "the library has these files' other users")]
#[path = "../src/limit"]
mod limit {
    mod sync {
        pub(super) use loom::sync::atomic::AtomicU64;
        pub(super) use loom::sync::{Mutex, MutexGuard};
    }
    pub(crate) mod content;
    pub(crate) mod digest;
    pub(crate) mod fixed_window;
    pub(crate) mod quota;
    mod shard;
    pub(crate) mod sliding_window;
    mod slot;
    pub(crate) mod table;
    pub(crate) mod window;

    impl table::Table {
        /// One shard, so that everything meets.
        pub(crate) fn small() -> Self {
            Self::with_shards(1, 8, 0, 0)
        }
    }
}

use limit::quota::{Kind, Moment, Quota};
use limit::table::{Pinned, Position, Table};
use loom::thread::{JoinHandle, spawn};
use ringgate::base;
use std::sync::Arc;

fn at(ms: u64) -> Moment {
    Moment { elapsed_ms: ms, aligned_ms: ms }
}

fn hit(table: &Table, at: Moment, quota: &Quota) -> bool {
    table.charge(b"k", at, quota).charge.is_admitted
}

fn sweep(table: &Table, at: Moment) {
    table.sweep(&mut Position::default(), 1024, at);
}

fn admitted(threads: impl IntoIterator<Item = JoinHandle<bool>>) -> usize {
    threads.into_iter().map(|thread| thread.join().unwrap()).filter(|admitted| *admitted).count()
}

/// Two workers come back at a window's end, by key, while the sweeper takes it away: whatever the order, one window
/// opens and its limit of one is passed once.
fn come_back(kind: Kind, counts_excess: bool, end_ms: u64) {
    loom::model(move || {
        let table = Arc::new(Table::small());
        let quota = Quota { limit: 1, window_ms: 100, kind, counts_excess };
        assert!(hit(&table, at(0), &quota));
        let threads = [(); 2].map(|()| {
            let table = Arc::clone(&table);
            spawn(move || hit(&table, at(end_ms), &quota))
        });
        sweep(&table, at(end_ms));
        assert_eq!(admitted(threads), 1);
        assert_eq!(table.len(), 1, "the new window is in the table");
        assert!(!hit(&table, at(end_ms), &quota), "and it is the one that was charged");
    });
}

/// The same with a window that both hold: its word is charged without a lock.
fn come_back_to_a_pinned_one(kind: Kind, counts_excess: bool, end_ms: u64) {
    loom::model(move || {
        let table = Arc::new(Table::small());
        let quota = Quota { limit: 1, window_ms: 100, kind, counts_excess };
        let (charged, pinned) = table.charge_pinned(b"k", at(0), &quota);
        assert!(charged.charge.is_admitted);
        let pinned = Arc::new(pinned);
        let threads = [(); 2].map(|()| {
            let pinned = Arc::clone(&pinned);
            spawn(move || pinned.window().charge(at(end_ms), &quota).is_admitted)
        });
        sweep(&table, at(end_ms));
        assert_eq!(admitted(threads), 1);
        assert!(!hit(&table, at(end_ms), &quota), "by key it is the same window");
    });
}

#[test]
fn a_fixed_window_is_opened_once_at_the_end_of_the_last() {
    for counts_excess in [false, true] {
        come_back(Kind::Fixed, counts_excess, 100);
        come_back_to_a_pinned_one(Kind::Fixed, counts_excess, 100);
    }
}

#[test]
fn a_sliding_window_is_opened_once_at_the_end_of_the_last() {
    come_back(Kind::Sliding, false, 200);
    come_back_to_a_pinned_one(Kind::Sliding, false, 200);
}

#[test]
fn a_window_that_outgrows_its_word_goes_on_once() {
    // Two years after the start, no end of a window fits a word any more.
    come_back_to_a_pinned_one(Kind::Fixed, false, 1 << 36);
}

/// A configuration takes hold of a window while a worker charges it by key: the count moves, and no charge is lost.
#[test]
fn a_count_is_whole_after_it_was_pinned() {
    loom::model(|| {
        let table = Arc::new(Table::small());
        let quota = Quota { limit: 3, window_ms: 100, kind: Kind::Fixed, counts_excess: false };
        assert!(hit(&table, at(0), &quota));
        let by_key = {
            let table = Arc::clone(&table);
            spawn(move || hit(&table, at(50), &quota))
        };
        let (charged, pinned) = table.charge_pinned(b"k", at(50), &quota);
        sweep(&table, at(60));
        assert!(charged.charge.is_admitted && by_key.join().unwrap());
        assert!(!hit(&table, at(60), &quota), "three were counted");
        assert!(!pinned.window().charge(at(60), &quota).is_admitted, "in one window");
        assert_eq!(table.len(), 1);
    });
}

/// The last configuration lets go while the sweeper looks and another takes hold: the count stays whole, and the window
/// is not taken away under who holds it.
#[test]
fn a_window_that_is_dropped_and_held_again_keeps_its_count() {
    loom::model(|| {
        let table = Arc::new(Table::small());
        let quota = Quota { limit: 2, window_ms: 100, kind: Kind::Fixed, counts_excess: false };
        let (_, first) = table.charge_pinned(b"k", at(0), &quota);
        let again = {
            let table = Arc::clone(&table);
            spawn(move || -> Pinned { table.charge_pinned(b"k", at(10), &quota).1 })
        };
        let sweeper = {
            let table = Arc::clone(&table);
            spawn(move || sweep(&table, at(20)))
        };
        drop(first);
        let second = again.join().unwrap();
        sweeper.join().unwrap();
        sweep(&table, at(500));
        assert!(!second.window().charge(at(50), &quota).is_admitted, "two were counted");
        assert!(!hit(&table, at(50), &quota), "the table leads to the same window");
        assert_eq!(table.len(), 1);
    });
}
