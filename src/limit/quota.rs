//! What is asked of a window, and what it says.

/// A rule as it holds for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests per window, at least 1 and at most 2^53 − 1.
    pub limit: u64,
    /// Length of the window, at least 1.
    pub window_ms: u64,
    /// When windows begin, and what is carried over.
    pub kind: Kind,
    /// Whether a fixed window goes on counting what it rejects, as APISIX does. It shows only if the same window is
    /// later asked with a higher limit; where that cannot happen, rejections are cheaper without.
    pub counts_excess: bool,
}

/// The two ways of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A window opens with its first request.
    Fixed,
    /// Windows lie on multiples of their length; the one before weighs in.
    Sliding,
}

/// A point in time, monotonic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the process's windows began to be kept.
    pub elapsed_ms: u64,
    /// The same plus when that was, in milliseconds since the Unix epoch: what sliding windows are aligned to. Does
    /// not follow a wall clock that is set.
    pub aligned_ms: u64,
}

/// A window's answer to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Whether the request may pass.
    pub is_admitted: bool,
    /// Requests that may still pass in this window.
    pub remaining: u64,
    /// Until the window ends, or until a sliding window would admit again.
    pub reset_ms: u64,
}

/// The window cannot take the charge: it was marked dead, or its count has outgrown its form. [`super::Table`] has the
/// window that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;
