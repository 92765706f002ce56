//! Fixed windows in all their forms against the text of spec/limit-count §6.1.

use super::*;
use crate::limit::fixed_window::{Count, FixedWindow};
use crate::limit::{Charge, Gone, Table};
use proptest::prelude::*;

/// A list of all requests of the window, to which each request is added, rejected or not.
#[derive(Debug, Default)]
struct Model {
    window: Option<(u64, u64)>,
}

impl Model {
    fn charge(&mut self, now_ms: u64, quota: &Quota) -> Charge {
        let (end_ms, total) = match self.window {
            Some((end_ms, total)) if now_ms < end_ms => (end_ms, total + 1),
            _ => (now_ms + quota.window_ms, 1),
        };
        self.window = Some((end_ms, total));
        let is_admitted = total <= quota.limit;
        Charge { is_admitted, remaining: if is_admitted { quota.limit - total } else { 0 }, reset_ms: end_ms - now_ms }
    }
}

#[test]
fn a_window_opens_with_its_first_request_and_is_not_prolonged() {
    let window = FixedWindow::holding(Count::default()).unwrap();
    let quota = fixed(2, 1000);
    for (now_ms, is_admitted, remaining, reset_ms) in [
        (5_300, true, 1, 1000),
        (5_900, true, 0, 400),
        (6_299, false, 0, 1),
        (6_300, true, 1, 1000),
        (7_299, true, 0, 1),
        (7_300, true, 1, 1000),
    ] {
        assert_eq!(window.charge(now_ms, &quota), Ok(Charge { is_admitted, remaining, reset_ms }), "{now_ms}");
    }
}

#[test]
fn a_count_goes_on_under_another_limit() {
    let window = FixedWindow::holding(Count::default()).unwrap();
    let told: Vec<_> = [3, 2, 5].map(|limit| window.charge(0, &fixed(limit, 60_000)).unwrap().remaining).into();
    assert_eq!(told, [2, 0, 2], "spec/limit-count §4");
    let excess = FixedWindow::holding(Count::default()).unwrap();
    for _ in 0..10 {
        excess.charge(0, &fixed(2, 60_000)).unwrap();
    }
    assert!(!excess.charge(0, &fixed(5, 60_000)).unwrap().is_admitted, "rejected requests count");
}

#[test]
fn what_does_not_fit_a_word_is_refused_unchanged() {
    let most = (1 << 28) - 1;
    let window = FixedWindow::holding(Count { end_ms: 100, used: most }).unwrap();
    assert_eq!(window.charge(0, &fixed(u64::MAX, 100)), Err(Gone), "one more does not fit");
    assert_eq!(window.take(), Some(Count { end_ms: 100, used: most }));
    let window = FixedWindow::holding(Count::default()).unwrap();
    assert_eq!(window.charge(0, &fixed(1, 1 << 36)), Err(Gone), "nor a window that ends in two years");
    assert!(window.charge(0, &fixed(1, (1 << 36) - 2)).is_ok());
    assert!(FixedWindow::holding(Count { end_ms: 0, used: most + 1 }).is_none());
    assert!(FixedWindow::holding(Count { end_ms: (1 << 36) - 1, used: 0 }).is_none());
}

#[test]
fn the_dead_stay_dead() {
    let window = FixedWindow::holding(Count { end_ms: 100, used: 1 }).unwrap();
    assert_eq!(window.take(), Some(Count { end_ms: 100, used: 1 }));
    assert_eq!((window.charge(0, &fixed(1, 1)), window.take()), (Err(Gone), None));
    assert_eq!((FixedWindow::dead().charge(0, &fixed(1, 1)), FixedWindow::dead().take()), (Err(Gone), None));
}

/// Pauses, with limits and windows as a template may make them.
fn steps() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    prop::collection::vec((0_u64..40, 1_u64..6, 1_u64..100), 1..80)
}

proptest! {
    #[test]
    fn all_forms_count_like_the_model(steps in steps()) {
        let (mut model, mut now_ms) = (Model::default(), 0);
        let narrow = FixedWindow::holding(Count::default()).unwrap();
        let wide = wide(Kind::Fixed);
        let table = Table::new(1024, 0, 0);
        for (pause_ms, limit, window_ms) in steps {
            now_ms += pause_ms;
            let quota = fixed(limit, window_ms);
            let want = model.charge(now_ms, &quota);
            prop_assert_eq!(narrow.charge(now_ms, &quota), Ok(want));
            prop_assert_eq!(wide.charge(at(now_ms), &quota), want);
            prop_assert_eq!(table.charge(b"k", at(now_ms), &quota).charge, want);
        }
    }

    #[test]
    fn under_one_limit_rejections_need_not_be_counted(pauses in prop::collection::vec(0_u64..40, 1..80), limit in 1_u64..6) {
        let (mut model, mut now_ms) = (Model::default(), 0);
        let window = FixedWindow::holding(Count::default()).unwrap();
        for pause_ms in pauses {
            now_ms += pause_ms;
            let want = model.charge(now_ms, &fixed(limit, 100));
            let quota = Quota { counts_excess: false, ..fixed(limit, 100) };
            prop_assert_eq!(window.charge(now_ms, &quota), Ok(want));
        }
    }
}
