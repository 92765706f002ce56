//! What this folder shares between threads. `tests/limit_loom.rs` puts loom's types in their place.

pub(super) use std::sync::atomic::AtomicU64;
pub(super) use std::sync::{Mutex, MutexGuard};
