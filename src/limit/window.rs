//! A window that configurations hold: charged without a lock.

use super::content::Content;
use super::fixed_window::FixedWindow;
use super::quota::{Charge, Gone, Kind, Moment, Quota};
use super::sliding_window::SlidingWindow;
use super::sync::Mutex;
use std::sync::PoisonError;

/// One key's window: a word as long as the count fits, a lock's content from then on.
///
/// Not padded to a cache line: with a limit on each of a million consumers, all would pay for the few that are hot, and
/// those seldom are neighbours.
#[derive(Debug)]
pub struct Window {
    narrow: Narrow,
    /// What has outgrown the word. It moves here as the word is marked dead, once and under the lock, and whoever finds
    /// the word dead comes here; so nothing is counted in two places. Boxed, as it is rare.
    wide: Mutex<Option<Box<Content>>>,
}

#[derive(Debug)]
enum Narrow {
    Fixed(FixedWindow),
    Sliding(SlidingWindow),
}

impl Window {
    /// A window that goes on from `content`, for requests that ask `quota`.
    pub(super) fn holding(content: Content, at: Moment, quota: &Quota) -> Self {
        let (narrow, is_dead) = match (content, quota.kind) {
            (Content::Fixed(count), Kind::Fixed) => {
                let window = FixedWindow::holding(count);
                let is_dead = window.is_none();
                (Narrow::Fixed(window.unwrap_or_else(FixedWindow::dead)), is_dead)
            }
            (Content::Sliding(counts, window_ms), Kind::Sliding) if window_ms == quota.window_ms => {
                let window = SlidingWindow::holding(counts, window_ms);
                let is_dead = window.is_none();
                (Narrow::Sliding(window.unwrap_or_else(|| SlidingWindow::dead(window_ms))), is_dead)
            }
            // Counted in another way: of no use to this quota.
            _ => return Self::holding(Content::empty(at, quota), at, quota),
        };
        Self { narrow, wide: Mutex::new(is_dead.then(|| Box::new(content))) }
    }

    /// Charges one request. Asked in another way than it was made for, it starts afresh, and is slower for good.
    #[inline]
    pub fn charge(&self, at: Moment, quota: &Quota) -> Charge {
        let charged = match (&self.narrow, quota.kind) {
            (Narrow::Fixed(window), Kind::Fixed) => window.charge(at.elapsed_ms, quota),
            (Narrow::Sliding(window), Kind::Sliding) => window.charge(at.aligned_ms, quota),
            _ => Err(Gone),
        };
        charged.unwrap_or_else(|_| self.charge_wide(at, quota))
    }

    #[cold]
    fn charge_wide(&self, at: Moment, quota: &Quota) -> Charge {
        // Nothing between lock and unlock can panic.
        let mut wide = self.wide.lock().unwrap_or_else(PoisonError::into_inner);
        let content = match &*wide {
            Some(content) => Some(**content),
            None => self.take_narrow(at),
        };
        let (next, charge) = content.unwrap_or_else(|| Content::empty(at, quota)).charged(at, quota);
        match &mut *wide {
            Some(content) => **content = next,
            None => *wide = Some(Box::new(next)),
        }
        charge
    }

    /// What it has counted, for who alone has it; nobody can charge it afterwards.
    pub(super) fn take(&self, at: Moment) -> Option<Content> {
        let wide = self.wide.lock().unwrap_or_else(PoisonError::into_inner).take();
        wide.map(|content| *content).or_else(|| self.take_narrow(at))
    }

    /// Marks the word dead and returns what it has counted; `None` if it was dead.
    fn take_narrow(&self, at: Moment) -> Option<Content> {
        match &self.narrow {
            Narrow::Fixed(window) => window.take().map(Content::Fixed),
            Narrow::Sliding(window) => {
                window.take(at.aligned_ms).map(|(counts, window_ms)| Content::Sliding(counts, window_ms))
            }
        }
    }
}
