//! One key's window in whichever form holds it, and the handles that lead to it.

use super::quota::{Charge, Gone, Kind, Moment, Quota};
use super::sync::AtomicU32;
use super::{fixed_window, sliding_window};
use std::fmt;
use std::sync::atomic::Ordering;
use triomphe::ThinArc;

/// One key's window.
///
/// Not padded to a cache line: a million keys would pay for the few that are hot, and those seldom are neighbours.
#[derive(Debug)]
pub struct Window {
    form: Form,
    /// Configurations that hold the window: it is not swept away under them.
    pins: AtomicU32,
}

/// The wide forms are rare, and boxed so that the others do not carry their size.
#[derive(Debug)]
enum Form {
    Fixed(fixed_window::FixedWindow),
    Sliding(sliding_window::SlidingWindow),
    WideFixed(Box<fixed_window::WideWindow>),
    WideSliding(Box<sliding_window::WideWindow>),
}

/// What a window has counted, apart from its form.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    Fixed(fixed_window::Count),
    /// With the length of its windows.
    Sliding(sliding_window::Counts, u64),
}

impl Window {
    /// A window that has been charged its first request, or one more where it goes on from `content`. What was counted
    /// in another way, or in windows of another length, is dropped.
    pub(super) fn charged(content: Option<Content>, at: Moment, quota: &Quota) -> (Self, Charge) {
        let (form, charge) = match quota.kind {
            Kind::Fixed => {
                let count = match content {
                    Some(Content::Fixed(count)) => count,
                    _ => fixed_window::Count::default(),
                };
                let (count, charge) = count.charged(at.elapsed_ms, quota);
                let narrow = fixed_window::FixedWindow::holding(count).map(Form::Fixed);
                (narrow.unwrap_or_else(|| Form::WideFixed(Box::new(fixed_window::WideWindow::holding(count)))), charge)
            }
            Kind::Sliding => {
                let window_ms = quota.window_ms;
                let counts = match content {
                    Some(Content::Sliding(counts, its_ms)) if its_ms == window_ms => counts,
                    _ => sliding_window::Counts::default(),
                };
                let (counts, charge) = counts.charged(at.aligned_ms, quota);
                let narrow = sliding_window::SlidingWindow::holding(counts, window_ms).map(Form::Sliding);
                let wide = || Form::WideSliding(Box::new(sliding_window::WideWindow::holding(counts, window_ms)));
                (narrow.unwrap_or_else(wide), charge)
            }
        };
        (Self { form, pins: AtomicU32::new(0) }, charge)
    }

    /// Charges one request.
    #[inline]
    pub fn charge(&self, at: Moment, quota: &Quota) -> Result<Charge, Gone> {
        match (&self.form, quota.kind) {
            (Form::Fixed(window), Kind::Fixed) => window.charge(at.elapsed_ms, quota),
            (Form::Sliding(window), Kind::Sliding) => window.charge(at.aligned_ms, quota),
            (Form::WideFixed(window), Kind::Fixed) => window.charge(at.elapsed_ms, quota),
            (Form::WideSliding(window), Kind::Sliding) => window.charge(at.aligned_ms, quota),
            _ => Err(Gone),
        }
    }

    /// Marks the window dead if it has ended and nobody has pinned it; whether it is dead now.
    pub(super) fn close(&self, at: Moment) -> bool {
        !self.is_pinned()
            && match &self.form {
                Form::Fixed(window) => window.close(at.elapsed_ms),
                Form::Sliding(window) => window.close(at.aligned_ms),
                Form::WideFixed(window) => window.close(at.elapsed_ms),
                Form::WideSliding(window) => window.close(at.aligned_ms),
            }
    }

    /// Marks the window dead, whatever it has counted, and returns that; `None` if it was dead.
    pub(super) fn take(&self, at: Moment) -> Option<Content> {
        let sliding = |(counts, window_ms)| Content::Sliding(counts, window_ms);
        match &self.form {
            Form::Fixed(window) => window.take().map(Content::Fixed),
            Form::Sliding(window) => window.take(at.aligned_ms).map(sliding),
            Form::WideFixed(window) => window.take().map(Content::Fixed),
            Form::WideSliding(window) => window.take().map(sliding),
        }
    }

    /// For how long it still matters; 0 when it has ended.
    pub(super) fn left_ms(&self, at: Moment) -> u64 {
        let (end_ms, now_ms) = match &self.form {
            Form::Fixed(window) => (window.end_ms(), at.elapsed_ms),
            Form::Sliding(window) => (window.end_ms(at.aligned_ms), at.aligned_ms),
            Form::WideFixed(window) => (window.end_ms(), at.elapsed_ms),
            Form::WideSliding(window) => (window.end_ms(), at.aligned_ms),
        };
        end_ms.saturating_sub(now_ms)
    }

    /// Whether a configuration holds it.
    pub(super) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Relaxed) > 0
    }

    /// Called under the shard's lock, as `close` is: so no window is closed while it is being pinned.
    pub(super) fn pin(&self) {
        self.pins.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn unpin(&self) {
        self.pins.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A window together with its key, shared. Key and window lie in one allocation: for a key among a million, each
/// further one would be another miss of the cache.
#[derive(Clone)]
pub struct Handle(ThinArc<Window, u8>);

impl Handle {
    pub(super) fn new(window: Window, key: &[u8]) -> Self {
        Self(ThinArc::from_header_and_slice(window, key))
    }

    /// The window.
    #[inline]
    pub fn window(&self) -> &Window {
        &self.0.header.header
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.0.slice
    }
}

impl fmt::Debug for Handle {
    /// Not the key: it may be a client's secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.window().fmt(formatter)
    }
}
