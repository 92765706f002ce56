//! The table: who shares a window, what goes when it is full, what the sweeper takes, what workers remember.

use super::*;
use crate::base::map::HashMap;
use crate::limit::slot::{STAMP_MS, Slot};
use crate::limit::table::{Charged, Evicted, Position, Swept};
use crate::limit::{Local, Settings, Table};
use crate::metrics::Cells;
use std::sync::{Arc, OnceLock};

fn table(windows_max: usize) -> Table {
    Table::with_shards(1, windows_max, 0, 0)
}

fn charge(table: &Table, key: &str, now_ms: u64, quota: &Quota) -> Charged {
    table.charge(key.as_bytes(), at(now_ms), quota)
}

fn sweep(table: &Table, now_ms: u64) -> usize {
    table.sweep(&mut Position::default(), usize::MAX / 2, at(now_ms)).removed
}

#[test]
fn a_full_table_gives_up_what_has_ended_then_what_was_not_used_for_longest() {
    let table = table(8);
    let hour = fixed(1, 3_600_000);
    charge(&table, "ends", 0, &fixed(1, 1000));
    for index in 1..8 {
        charge(&table, &index.to_string(), index * STAMP_MS, &hour);
    }
    assert_eq!(table.len(), 8);
    let now_ms = 20 * STAMP_MS;
    // A rejection is a use as well.
    assert!(!charge(&table, "1", now_ms, &hour).charge.is_admitted);
    assert_eq!(charge(&table, "new", now_ms, &hour).evicted, Some(Evicted::Ended));
    for (key, gone) in [("newer", "2"), ("newest", "3")] {
        let charged = charge(&table, key, now_ms, &hour);
        assert_eq!((charged.evicted, charged.evicts_live()), (Some(Evicted::Live), true), "{key} for {gone}");
    }
    assert_eq!(table.len(), 8);
    for key in ["1", "4", "5", "6", "7", "new", "newer", "newest"] {
        assert!(!charge(&table, key, now_ms, &hour).charge.is_admitted, "{key} has kept its count");
    }
}

#[test]
fn while_there_is_room_nothing_is_given_up() {
    let table = Table::new(1 << 15, 0, 0);
    for index in 0..1_u64 << 15 {
        let charged = charge(&table, &index.to_string(), 0, &fixed(1, 1000));
        assert_eq!((charged.is_new, charged.evicted), (true, None), "{index}");
    }
    for index in 0..1_u64 << 15 {
        assert!(!charge(&table, &index.to_string(), 0, &fixed(1, 1000)).charge.is_admitted, "{index}");
    }
    assert_eq!(charge(&table, "one more", 0, &fixed(1, 1000)).evicted, Some(Evicted::Live));
}

#[test]
fn pinned_windows_stay_until_they_are_dropped_and_keep_their_count() {
    let table = table(1);
    let quota = fixed(1, 1000);
    assert!(charge(&table, "a", 0, &quota).charge.is_admitted);
    let (charged, pinned) = table.charge_pinned(b"a", at(0), &quota);
    assert!(!charged.is_new && !charged.charge.is_admitted, "the count moves to the pinned window");
    assert_eq!(charge(&table, "b", 0, &quota).evicted, None, "a pinned window takes no place");
    assert!(!charge(&table, "a", 0, &quota).charge.is_admitted, "by key as well");
    assert_eq!(sweep(&table, 5_000), 1, "the other");
    assert!(pinned.window().charge(at(5_000), &quota).is_admitted, "a new window in the same place");
    let (_, again) = table.charge_pinned(b"a", at(5_000), &quota);
    drop(pinned);
    assert_eq!((sweep(&table, 7_000), table.len()), (0, 1), "somebody still holds it");
    assert!(again.window().charge(at(7_000), &quota).is_admitted);
    drop(again);
    assert_eq!(sweep(&table, 7_999), 0, "it has not ended");
    assert!(!charge(&table, "a", 7_999, &quota).charge.is_admitted, "what was pinned is found by key");
    let (charged, pinned) = table.charge_pinned(b"a", at(7_999), &quota);
    assert!(!charged.charge.is_admitted, "and when it is pinned again");
    drop(pinned);
    assert_eq!((sweep(&table, 8_000), table.len()), (1, 0));
}

#[test]
fn pinned_windows_take_no_place_from_others_until_they_are_dropped() {
    let table = table(2);
    let quota = fixed(1, 1000);
    let pin = |index: usize| table.charge_pinned(format!("pinned {index}").as_bytes(), at(0), &quota).1;
    let pinned: Vec<_> = (0..10).map(pin).collect();
    for key in ["a", "b"] {
        assert_eq!(charge(&table, key, 0, &quota).evicted, None, "{key}");
        assert!(!charge(&table, key, 1, &quota).charge.is_admitted, "{key} is still there");
    }
    assert_eq!(charge(&table, "c", 2, &quota).evicted, Some(Evicted::Live), "the third of two");
    assert_eq!(table.len(), 12);
    drop(pinned);
    let swept = table.sweep(&mut Position::default(), usize::MAX / 2, at(3));
    assert_eq!((swept, table.len()), (Swept { removed: 10, evicted_live: 10 }, 2), "those are others now");
}

#[test]
fn a_pinned_window_that_outgrows_its_word_stays_the_same_one() {
    let table = table(1);
    let quota = fixed(3, 1000);
    let (_, pinned) = table.charge_pinned(b"a", at(0), &quota);
    let years = 1 << 37;
    assert_eq!(pinned.window().charge(at(years), &quota).remaining, 2, "ends of windows no longer fit");
    sweep(&table, years + 5_000);
    assert_eq!(charge(&table, "a", years + 5_000, &quota).charge.remaining, 2);
    assert_eq!(pinned.window().charge(at(years + 5_000), &quota).remaining, 1, "by key and by handle it is one");
    drop(pinned);
    let (charged, _) = table.charge_pinned(b"a", at(years + 5_000), &quota);
    assert_eq!(charged.charge.remaining, 0);
    let (charged, _) = table.charge_pinned(b"a", at(years + 5_000), &sliding(9, 1000));
    assert_eq!(charged.charge.remaining, 8, "another way of counting starts afresh");
}

#[test]
fn the_sweeper_goes_round_in_steps_and_takes_only_what_has_ended() {
    let table = Table::new(1 << 20, 0, 0);
    for index in 0..5_000 {
        charge(&table, &format!("key {index}"), 0, &fixed(1, if index % 2 == 0 { 1_000 } else { 9_000 }));
    }
    let (mut position, mut removed, mut steps) = (Position::default(), 0, 0);
    while removed < 2_500 {
        removed += table.sweep(&mut position, 512, at(1_000)).removed;
        steps += 1;
        assert!(steps < 1_000, "{removed} are gone after {steps} steps");
    }
    assert!(steps > 5, "not all at once");
    assert_eq!((removed, table.len()), (2_500, 2_500));
    assert_eq!(sweep(&table, 8_999), 0);
    assert_eq!((sweep(&table, 9_000), table.len()), (2_500, 0));
    assert_eq!(table.slots(), 0, "memory is given back");
}

/// Whatever comes, goes and moves, each key has the count that a map would have.
#[test]
fn keys_keep_apart_while_others_come_and_go() {
    let table = table(usize::MAX);
    let mut model = HashMap::<u64, u64>::default();
    let mut position = Position::default();
    let mut state = 1_u64;
    for now_ms in 0..200_000_u64 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Bursts of many keys between times of few; windows of odd keys are long.
        let key = (state >> 33) % if now_ms / 20_000 % 2 == 0 { 20_000 } else { 50 };
        let quota = fixed(u64::MAX >> 11, if key.is_multiple_of(2) { 3_000 } else { 1 << 30 });
        let ends = model.get(&key).copied().filter(|_| key % 2 == 1);
        let charged = charge(&table, &key.to_string(), now_ms, &quota).charge;
        let used = quota.limit - charged.remaining;
        if key % 2 == 1 {
            assert_eq!(used, ends.unwrap_or(0) + 1, "{key} at {now_ms}");
            model.insert(key, used);
        }
        table.sweep(&mut position, 1, at(now_ms));
    }
    sweep(&table, 200_000 + 3_000);
    assert_eq!(table.len(), model.len(), "all others have ended");
    assert!(table.slots() <= 4 * model.len(), "{} slots", table.slots());
}

#[test]
fn a_count_that_fits_no_slot_lies_beside_the_table() {
    let table = table(8);
    let ages = 1 << 43;
    for (round, remaining) in [3, 2, 1, 0].into_iter().enumerate() {
        let told = charge(&table, "k", 0, &fixed(4, ages)).charge;
        assert_eq!((told.remaining, told.reset_ms), (remaining, ages), "{round}");
    }
    assert!(!charge(&table, "k", 0, &fixed(4, ages)).charge.is_admitted);
    assert_eq!(sweep(&table, ages - 1), 0);
    assert_eq!((sweep(&table, ages), table.len()), (1, 0));
    let (charged, _pinned) = table.charge_pinned(b"k", at(ages), &fixed(4, ages));
    assert_eq!((charged.is_new, charged.charge.remaining), (true, 3), "nothing of it is left");
    assert_eq!(charge(&table, "s", 0, &fixed(10, 1 << 43)).charge.remaining, 9);
    assert_eq!(charge(&table, "s", 0, &sliding(10, 2000)).charge.remaining, 9, "another way of counting");
    assert_eq!(charge(&table, "s", 0, &sliding(10, 1000)).charge.remaining, 9, "another length");
    assert_eq!(charge(&table, "s", 0, &sliding(10, 1000)).charge.remaining, 8, "back in its slot");
}

#[test]
fn a_key_takes_half_a_cache_line() {
    assert_eq!((size_of::<Slot>(), align_of::<Slot>()), (32, 32), "what the table's documentation adds up");
    let table = table(usize::MAX);
    for index in 1..100_000_u64 {
        charge(&table, &index.to_string(), 0, &fixed(1, 1000));
        let bytes = table.slots() * size_of::<Slot>();
        assert!(index < 48 || bytes as u64 <= 96 * index, "{bytes} bytes for {index} keys");
    }
}

#[test]
fn workers_share_windows_and_survive_the_sweeper() {
    let table = Table::new(1024, 0, 0);
    let cells: [Arc<Cells>; 2] = Default::default();
    let mut workers = cells.clone().map(|cells| Local::new(Settings::default(), cells));
    let slot = OnceLock::new();
    let quota = fixed(4, 1000);
    for round in 0..3 {
        let now = at(round * 1000);
        for turn in 0..6 {
            let worker = &mut workers[turn % 2];
            assert_eq!(worker.charge(&table, b"by value", now, &quota).is_admitted, turn < 4, "{round} {turn}");
            assert_eq!(worker.charge_pinned(&table, &slot, b"pinned", now, &quota).is_admitted, turn < 4);
        }
        // The window by value is closed under the workers' handles.
        let removed = sweep(&table, (round + 1) * 1000);
        cells[0].limit_windows.subtract(removed as u64);
        assert_eq!(removed, 1, "{round}");
    }
    let sum = |counter: fn(&Cells) -> u64| cells.iter().map(|cells| counter(cells)).fold(0, u64::wrapping_add);
    assert_eq!(sum(|cells| cells.limit_windows.value()), 1, "the pinned one");
    assert_eq!(sum(|cells| cells.limit_rejections.value()), 3 * 2 * 2);
    assert_eq!(sum(|cells| cells.limit_evictions.value()), 0);
}

/// A window is dropped at the moment the sweeper looks: none may be forgotten.
#[test]
fn pins_that_come_and_go_leave_nothing_behind() {
    let table = Table::new(1024, 0, 0);
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                table.sweep(&mut Position::default(), 1, at(5_000));
            }
        });
        for index in 0..20_000_u64 {
            drop(table.charge_pinned(&index.to_le_bytes(), at(0), &fixed(1, 1000)));
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    sweep(&table, 5_000);
    assert_eq!(table.len(), 0);
}

#[test]
fn threads_never_pass_more_than_the_limit() {
    let table = Table::new(1024, 0, 0);
    let quota = Quota { counts_excess: false, ..fixed(1_000, 60_000) };
    let admitted: usize = std::thread::scope(|scope| {
        let run = || {
            let mut worker = Local::default();
            (0..2_000).filter(|_| worker.charge(&table, b"k", at(0), &quota).is_admitted).count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_000);
}
