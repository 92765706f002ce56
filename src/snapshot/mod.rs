//! From configuration events to every worker's own tables: compile once, feed deltas, know when they are live.

pub mod change;
pub mod compile;
pub mod feed;
