//! Quotas: how many requests one key may make in a window of time (spec/limit-count §6).
//!
//! A key, a [`Quota`] and the time in, a [`Charge`] out: admitted or not, what remains, when it resets. Runs once per
//! limited request, in the access phase. Windows are shared by all workers, so a quota holds for the process as a
//! whole: [`Table`] has them by key, under short locks; a [`Pinned`] one, whose key was known when the configuration was
//! compiled, is at hand and takes none. Time is an argument. Charging never waits for anything but such a lock, and never
//! panics; what allocates stands at [`Table::charge`]. Bench: `limit`; a model of hits, pins and the sweeper:
//! `tests/limit_loom.rs`.
#![forbid(unsafe_code)]

pub mod content;
pub mod digest;
pub mod fixed_window;
pub mod local;
pub mod pace;
pub mod quota;
mod shard;
pub mod sliding_window;
mod slot;
mod sync;
pub mod table;
#[cfg(test)]
mod tests;
pub mod window;

pub use local::Local;
pub use quota::{Charge, Gone, Kind, Moment, Quota};
pub use table::{Pinned, Table};

/// How limits work for the whole process (`ringgate.limit_count` of the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `windows_max`: keys that are counted at once; see [`Table`] for what happens beyond. 1,048,576.
    pub windows_max: usize,
    /// `retry_after`: rejections say `Retry-After`, which APISIX does not. False.
    pub retry_after: bool,
    /// The access log's format names `rate_limiting_info`. False.
    pub tells_log: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { windows_max: 1 << 20, retry_after: false, tells_log: false }
    }
}
