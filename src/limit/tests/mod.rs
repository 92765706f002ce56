//! Quotas against naive models, and the table under pressure.

mod fixed;
mod sliding;
mod table;

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
