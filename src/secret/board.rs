//! What is known of every reference in use, for the status view and the metrics. Never a value.

use super::failure::{Failure, Reason};
use crate::base::clock;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The state of all references; shared by the compiler, the resolver and who asks.
#[derive(Debug, Default)]
pub struct Board {
    rows: Mutex<BTreeMap<Box<str>, Row>>,
    fetches: AtomicU64,
    failures: [AtomicU64; Reason::ALL.len()],
}

/// How a reference is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not answered yet.
    Waiting,
    /// Its value is as new as its manager's last answer.
    Fresh,
    /// The last attempt failed; the value from before is in use.
    Stale,
    /// It has no value.
    Failing,
}

impl State {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Fresh, Self::Stale, Self::Failing];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Failing => "failing",
        }
    }
}

/// One reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// How it is doing.
    pub state: State,
    /// Since when it has been in this state for this reason, in seconds since the Unix epoch.
    pub since_unix_s: u64,
    /// Why it is stale or failing, as counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Board {
    /// `reference` is in use and not resolved yet.
    pub fn wait(&self, reference: &str) {
        self.set(reference, State::Waiting, None);
    }

    /// `reference` has a value that is up to date. Returns whether it was in trouble before.
    pub fn succeeded(&self, reference: &str) -> bool {
        self.set(reference, State::Fresh, None)
    }

    /// An attempt at `reference` failed. Returns whether it is in trouble for another reason than before.
    pub fn failed(&self, reference: &str, failure: &Failure, has_value: bool) -> bool {
        self.refused(failure);
        self.set(reference, if has_value { State::Stale } else { State::Failing }, Some(failure))
    }

    /// Counts the failure of a reference that is not listed.
    pub fn refused(&self, failure: &Failure) {
        if let Some(counter) = self.failures.get(failure.reason() as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `reference` is not in use any more.
    pub fn forget(&self, reference: &str) {
        self.rows().remove(reference);
    }

    /// A secret manager is asked.
    pub fn fetches(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }

    /// Every reference in use, in order.
    pub fn report(&self) -> Vec<(Box<str>, Row)> {
        self.rows().iter().map(|(reference, row)| (reference.clone(), row.clone())).collect()
    }

    /// How many references are in a state.
    pub fn count(&self, state: State) -> usize {
        self.rows().values().filter(|row| row.state == state).count()
    }

    /// How often secret managers were asked.
    pub fn fetch_count(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    /// How many attempts failed for a reason.
    pub fn failure_count(&self, reason: Reason) -> u64 {
        self.failures.get(reason as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    fn set(&self, reference: &str, state: State, failure: Option<&Failure>) -> bool {
        let reason = failure.map(|failure| failure.reason().name());
        let mut rows = self.rows();
        let before = rows.get_mut(reference);
        if let Some(row) = before.filter(|row| row.state == state && row.reason == reason) {
            row.detail = failure.map(ToString::to_string);
            return false;
        }
        let detail = failure.map(ToString::to_string);
        let row = Row { state, since_unix_s: clock::unix().as_secs(), reason, detail };
        let before = rows.insert(reference.into(), row);
        state != State::Fresh || before.is_some_and(|before| matches!(before.state, State::Stale | State::Failing))
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once() {
        let board = Board::default();
        board.wait("r");
        assert!(!board.succeeded("r"), "nothing was wrong");
        assert!(board.failed("r", &Failure::Timeout, true));
        assert!(!board.failed("r", &Failure::Timeout, true), "the same again");
        assert!(board.failed("r", &Failure::Forbidden(403), true), "another reason");
        assert_eq!((board.count(State::Stale), board.count(State::Failing)), (1, 0));
        assert!(board.succeeded("r"), "it is well again");
        assert_eq!(board.failure_count(Reason::Timeout), 2);
        board.forget("r");
        assert!(board.report().is_empty());
    }
}
