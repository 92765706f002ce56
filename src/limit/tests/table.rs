//! The table: who shares a window, what goes when it is full, what the sweeper takes, what workers remember.

use super::*;
use crate::limit::table::{Charged, Evicted, Position};
use crate::limit::{Gone, Local, Settings, Table};
use crate::metrics::Cells;
use std::sync::{Arc, OnceLock};

fn table(windows_max: usize) -> Table {
    Table::with_shards(1, windows_max, 0, 0)
}

fn charge(table: &Table, key: &str, now_ms: u64, quota: &Quota) -> crate::limit::table::Charged {
    table.charge(table.hash(key.as_bytes()), key.as_bytes(), at(now_ms), quota)
}

fn sweep(table: &Table, now_ms: u64) -> usize {
    table.sweep(&mut Position::default(), usize::MAX / 2, at(now_ms))
}

#[test]
fn a_full_table_gives_up_what_has_ended_first() {
    let table = table(8);
    for index in 0..8 {
        // Each ends a second later than the one before.
        charge(&table, &index.to_string(), 0, &fixed(1, 1000 * (index + 1)));
    }
    assert_eq!(charge(&table, "0", 999, &fixed(1, 1000)).evicted, None, "known keys take no room");
    assert_eq!(charge(&table, "new", 1_000, &fixed(1, 60_000)).evicted, Some(Evicted::Ended));
    assert_eq!(table.len(), 8);
    let charged = charge(&table, "newer", 1_000, &fixed(1, 60_000));
    assert_eq!((charged.evicted, charged.evicts_live()), (Some(Evicted::Live), true));
    for (key, is_known) in [("2", true), ("7", true), ("new", true), ("newer", true)] {
        assert_eq!(!charge(&table, key, 1_000, &fixed(1, 60_000)).charge.is_admitted, is_known, "{key}");
    }
    assert_eq!(table.len(), 8);
    assert!(charge(&table, "1", 1_000, &fixed(1, 1)).is_new, "the one that would have ended first has gone");
}

#[test]
fn an_evicted_window_is_dead_for_who_has_its_handle() {
    let table = table(1);
    let held = charge(&table, "a", 0, &fixed(1, 1000)).handle;
    charge(&table, "b", 0, &fixed(1, 1000));
    assert_eq!(held.window().charge(at(0), &fixed(1, 1000)), Err(Gone));
}

#[test]
fn pinned_windows_stay() {
    let table = table(1);
    let Charged { charge: first, handle: pinned, .. } = table.charge_pinned(b"a", at(0), &fixed(1, 1000));
    assert!(first.is_admitted);
    assert_eq!(
        charge(&table, "b", 0, &fixed(1, 1000)).evicted,
        None,
        "beyond its maximum rather than over a pinned one"
    );
    assert_eq!(sweep(&table, 5_000), 1, "the other");
    assert!(pinned.window().charge(at(5_000), &fixed(1, 1000)).unwrap().is_admitted, "a new window in the same place");
    drop(pinned);
    assert_eq!(sweep(&table, 5_999), 0, "it has not ended");
    assert!(!charge(&table, "a", 5_999, &fixed(1, 1000)).charge.is_admitted, "what was pinned is found by key");
    assert_eq!(sweep(&table, 6_000), 1);
    assert_eq!(table.len(), 0);
}

#[test]
fn pinned_windows_take_no_place_from_others() {
    let table = table(2);
    let pinned: Vec<_> = (0..10)
        .map(|index| table.charge_pinned(format!("pinned {index}").as_bytes(), at(0), &fixed(1, 1000)).handle)
        .collect();
    for key in ["a", "b"] {
        assert_eq!(charge(&table, key, 0, &fixed(1, 1000)).evicted, None, "{key}");
        assert!(!charge(&table, key, 1, &fixed(1, 1000)).charge.is_admitted, "{key} is still there");
    }
    assert_eq!(charge(&table, "c", 2, &fixed(1, 1000)).evicted, Some(Evicted::Live), "the third of two");
    drop(pinned);
    assert_eq!(charge(&table, "d", 3, &fixed(1, 1000)).evicted, Some(Evicted::Live), "those are others now");
}

#[test]
fn the_sweeper_goes_round_in_steps_and_takes_only_what_has_ended() {
    let table = Table::new(1 << 20, 0, 0);
    for index in 0..5_000 {
        charge(&table, &format!("key {index}"), 0, &fixed(1, if index % 2 == 0 { 1_000 } else { 9_000 }));
    }
    let (mut position, mut removed, mut steps) = (Position::default(), 0, 0);
    while removed < 2_500 {
        removed += table.sweep(&mut position, 512, at(1_000));
        steps += 1;
        assert!(steps < 1_000, "{removed} are gone after {steps} steps");
    }
    assert!(steps > 5, "not all at once");
    assert_eq!((removed, table.len()), (2_500, 2_500));
    assert_eq!(sweep(&table, 8_999), 0);
    assert_eq!((sweep(&table, 9_000), table.len()), (2_500, 0));
    sweep(&table, 9_000);
    assert!(table.buckets() < 64 * 512, "memory is given back: {}", table.buckets());
}

#[test]
fn a_count_that_outgrows_its_word_goes_on_in_a_wide_one() {
    let table = table(8);
    let held = charge(&table, "k", 0, &fixed(5, 1 << 37)).handle;
    assert_eq!(
        held.window().charge(at(0), &fixed(5, 1 << 37)).map(|charge| charge.remaining),
        Ok(3),
        "wide from the start"
    );

    let narrow = charge(&table, "n", 0, &fixed(2, 1000)).handle;
    let later = at(1 << 37);
    assert_eq!(narrow.window().charge(later, &fixed(2, 1000)), Err(Gone), "two years later");
    let told: Vec<_> =
        (0..3).map(|_| table.charge(table.hash(b"n"), b"n", later, &fixed(2, 1000)).charge.remaining).collect();
    assert_eq!(told, [1, 0, 0]);

    let slid = charge(&table, "s", 0, &sliding(1 << 30, 1000)).handle;
    let window = slid.window();
    for _ in 0..3 {
        window.charge(at(0), &sliding(1 << 30, 1000)).unwrap();
    }
    assert_eq!(window.charge(at(0), &sliding(1 << 30, 2000)), Err(Gone));
    assert_eq!(charge(&table, "s", 0, &sliding(10, 2000)).charge.remaining, 9, "another length, another window");
    assert_eq!(charge(&table, "s", 0, &fixed(10, 2000)).charge.remaining, 9, "another way of counting as well");
}

#[test]
fn a_key_takes_little_beside_its_text() {
    // Counter of handles, window, length of the text; a pointer and a byte in a table that is a half to seven eighths full.
    let bytes = 8 + size_of::<crate::limit::window::Window>() + 8 + 2 * (size_of::<crate::limit::window::Handle>() + 1);
    assert!(bytes <= 96, "{bytes}");
    assert_eq!(size_of::<crate::limit::window::Window>(), 32, "what the table's documentation adds up");
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

#[test]
fn workers_remember_a_bounded_number_of_keys() {
    let table = Table::new(usize::MAX, 0, 0);
    let mut worker = Local::default();
    let quota = fixed(1, 1000);
    for index in 0..3 * crate::limit::local::LOCAL_HANDLES_MAX as u64 {
        assert!(worker.charge(&table, &index.to_le_bytes(), at(0), &quota).is_admitted);
        assert!(!worker.charge(&table, &0_u64.to_le_bytes(), at(0), &quota).is_admitted || index == 0);
    }
    assert!(worker.handles() <= crate::limit::local::LOCAL_HANDLES_MAX);
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
