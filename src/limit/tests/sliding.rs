//! Sliding windows in both forms against the formulas of spec/limit-count §6.2.

use super::*;
use crate::limit::sliding_window::{Counts, SlidingWindow};
use crate::limit::{Charge, Gone, Table};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The formulas as they stand, in floats; exact for windows whose length is a power of two.
#[derive(Debug, Default)]
struct Model {
    totals: BTreeMap<u64, u64>,
}

impl Model {
    fn charge(&mut self, now_ms: u64, quota: &Quota) -> Charge {
        let (limit, window) = (quota.limit as f64, quota.window_ms as f64);
        let id = now_ms / quota.window_ms;
        let rem = window - (now_ms % quota.window_ms) as f64;
        let total = |id: Option<u64>| id.and_then(|id| self.totals.get(&id)).map_or(0.0, |total| *total as f64);
        let (last, current) = (total(id.checked_sub(1)).min(limit), total(Some(id)));
        let estimate = last / window * rem + current;
        if current >= limit || estimate >= limit {
            let wait = if current >= limit { rem } else { (rem - (limit - current) * window / last).max(0.0) };
            // Told in hundredths of a second, rounded up; what is left of a window is told as it is.
            let reset_ms = if current >= limit { wait as u64 } else { (wait / 10.0).ceil() as u64 * 10 };
            return Charge { is_admitted: false, remaining: 0, reset_ms };
        }
        *self.totals.entry(id).or_default() += 1;
        let remaining = (limit - (current + 1.0) - last / window * rem).floor().max(0.0) as u64;
        Charge { is_admitted: true, remaining, reset_ms: rem as u64 }
    }
}

/// Windows that configurations hold on to are never swept, however long nobody asks. Only about a multiple of 4,096
/// lengths later are they taken for current, for two lengths.
#[test]
fn a_window_left_alone_for_long_admits_again() {
    let start = 7_000_000;
    for lengths in [2, 3, 2_047, 2_048, 2_049, 3_000, 4_093, 4_098, 10_000] {
        let window = SlidingWindow::holding(Counts { id: 7_000, last: 0, current: 5 }, 1000).unwrap();
        let charge = window.charge(start + lengths * 1000, &sliding(5, 1000)).unwrap();
        assert!(charge.is_admitted, "after {lengths} lengths");
    }
}

#[test]
fn the_window_before_weighs_in() {
    let start = 7_000_000;
    let window = SlidingWindow::holding(Counts { id: 7_000, ..Counts::default() }, 1000).unwrap();
    for (now_ms, is_admitted, remaining, reset_ms) in [
        (0, true, 3, 1000),
        (10, true, 2, 990),
        (20, true, 1, 980),
        (30, true, 0, 970),
        (40, false, 0, 960),
        // Four of the window before weigh four at its end, and begin to fall.
        (1_000, false, 0, 0),
        // Just below three, and one counted: room, but nothing remains, where the original says -1.
        (1_251, true, 0, 749),
        (1_300, true, 0, 700),
        // Just above two, and two counted; the wait is rounded up.
        (1_499, false, 0, 10),
        (1_501, true, 0, 499),
        (3_000, true, 3, 1000),
    ] {
        let charge = window.charge(start + now_ms, &sliding(4, 1000));
        assert_eq!(charge, Ok(Charge { is_admitted, remaining, reset_ms }), "{now_ms}");
    }
}

#[test]
fn a_clock_read_before_the_window_counts_as_its_start() {
    let window = SlidingWindow::holding(Counts { id: 5, ..Counts::default() }, 1000).unwrap();
    assert_eq!(window.charge(5_000, &sliding(3, 1000)).unwrap().remaining, 2);
    let late = window.charge(4_999, &sliding(3, 1000)).unwrap();
    assert_eq!((late.remaining, late.reset_ms), (1, 1000));
    assert_eq!(window.charge(5_001, &sliding(3, 1000)).unwrap().remaining, 0);
}

#[test]
fn what_does_not_fit_a_word_is_refused_unchanged() {
    let most = (1 << 26) - 2;
    let full = Counts { id: 5, last: 0, current: most };
    let window = SlidingWindow::holding(full, 1000).unwrap();
    assert_eq!(window.charge(5_000, &sliding(1 << 40, 1000)), Err(Gone));
    assert_eq!(window.charge(5_000, &sliding(1 << 40, 1001)), Err(Gone), "a window of another length");
    assert_eq!(window.take(5_000), Some((full, 1000)));
    assert_eq!(window.charge(5_000, &sliding(1 << 40, 1000)), Err(Gone), "dead from then on");
}

#[test]
fn a_window_ends_when_nothing_of_it_matters() {
    let content = Content::Sliding(Counts { id: 5, last: 3, current: 3 }, 1000);
    let aligned = |aligned_ms| Moment { elapsed_ms: 0, aligned_ms };
    assert_eq!((content.left_ms(aligned(6_999)), content.left_ms(aligned(7_000))), (1, 0));
}

proptest! {
    #[test]
    fn both_forms_count_like_the_formulas(
        pauses in prop::collection::vec(0_u64..600, 1..120),
        limit in 1_u64..12,
        start in 0_u64..10_000_000,
    ) {
        let quota = sliding(limit, 1024);
        let (mut model, mut now_ms) = (Model::default(), start);
        let empty = Counts { id: start / 1024, ..Counts::default() };
        let (narrow, table) = (SlidingWindow::holding(empty, 1024).unwrap(), Table::new(1024, 0, 0));
        let wide = wide(Kind::Sliding);
        for pause_ms in pauses {
            now_ms += pause_ms;
            let want = model.charge(now_ms, &quota);
            let told = narrow.charge(now_ms, &quota).unwrap();
            prop_assert_eq!((told.is_admitted, told.remaining), (want.is_admitted, want.remaining));
            // A quotient that is no float may be rounded up where the model is just below.
            prop_assert!(told.reset_ms.abs_diff(want.reset_ms) <= 10, "{:?} {:?}", told, want);
            let aligned = Moment { elapsed_ms: 0, aligned_ms: now_ms };
            prop_assert_eq!(wide.charge(aligned, &quota), told);
            prop_assert_eq!(table.charge(b"k", aligned, &quota).charge, told);
        }
    }
}
