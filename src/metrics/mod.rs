//! Counters of the data side: one set of cells per worker, written by it alone, summed by whoever asks.

mod rejections;

pub use rejections::{KnownRejections, LABEL_SETS_MAX, Rejections};

use crate::auth::jwt::failure::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer: no locked instruction, any reader.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `by`. Only the owning worker may call it.
    #[inline]
    pub fn add(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    /// Takes `by` away. Only the owning worker may call it.
    #[inline]
    pub fn subtract(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(by), Ordering::Relaxed);
    }

    /// The value as last written.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's counters. On cache lines of its own, so that workers do not slow each other down.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Cells {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections open now.
    pub connections: Counter,
    /// Connections closed at once because the worker had its limit of them.
    pub connections_refused: Counter,
    /// Requests whose head was read, or refused.
    pub requests: Counter,
    /// Requests refused as malformed.
    pub malformed: Counter,
    /// Tries at upstream nodes beyond each request's first.
    pub retries: Counter,
    /// New connections to upstream nodes.
    pub upstream_connections: Counter,
    /// Tasks that panicked and were caught: each is a defect.
    pub panics: Counter,
    /// Failures to accept (out of descriptors).
    pub accept_failures: Counter,
    /// Tokens of asymmetric algorithms that were remembered, and judged without their signature.
    pub jwt_cache_hits: Counter,
    /// Tokens of asymmetric algorithms that were not.
    pub jwt_cache_misses: Counter,
    /// Requests that jwt-auth did not authenticate, by reason; those that went on as anonymous included.
    pub jwt_refusals: [Counter; Reason::ALL.len()],
    /// Windows of limits: what this thread has made less what it has swept away; only the sum over all means something.
    pub limit_windows: Counter,
    /// Charges that a limit rejected.
    pub limit_rejections: Counter,
    /// Windows that lost their count before their time, for lack of room.
    pub limit_evictions: Counter,
    /// Requests that limits rejected, by route and consumer; the whole process's.
    pub rejections: Arc<Rejections>,
    /// Commands sent to Redis, answered or not.
    pub redis_commands: Counter,
    /// Those that failed.
    pub redis_errors: Counter,
    /// Microseconds that they took, all together.
    pub redis_us: Counter,
    /// Commands by how long they took: up to the bound of the same place, and beyond that of the one before.
    pub redis_buckets: [Counter; REDIS_BUCKETS_US.len()],
    /// Requests refused because a secret of a plugin was not resolved.
    pub unresolved_secrets: Counter,
}

/// Bounds of [`Cells::redis_buckets`] in microseconds; what took longer is in none.
pub const REDIS_BUCKETS_US: [u64; 10] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];
