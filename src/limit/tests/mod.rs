//! Quotas against naive models, and the table under pressure.

mod fixed;
mod sliding;
mod table;

use super::content::Content;
use super::window::Window;
use super::{Kind, Moment, Quota};

/// A moment after a made-up start.
fn at(elapsed_ms: u64) -> Moment {
    Moment { elapsed_ms, aligned_ms: 1_700_000_000_000 + elapsed_ms }
}

fn fixed(limit: u64, window_ms: u64) -> Quota {
    Quota { limit, window_ms, kind: Kind::Fixed, counts_excess: true }
}

fn sliding(limit: u64, window_ms: u64) -> Quota {
    Quota { limit, window_ms, kind: Kind::Sliding, counts_excess: false }
}

/// A window whose word was made for another way of counting: all that `kind` asks is counted behind its lock.
fn wide(kind: Kind) -> Window {
    let other = if kind == Kind::Fixed { sliding(1, 1) } else { fixed(1, 1) };
    Window::holding(Content::empty(at(0), &other), at(0), &other)
}
