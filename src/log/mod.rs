//! The access log: records made by workers, formatted and written elsewhere.
//!
//! A worker hands each finished request to its [`Writer`], which copies the record into the worker's current batch;
//! it never formats, locks or waits, and allocates only until its buffers have been round once. Full batches go
//! through one bounded channel to the log thread of the [`Sink`], which turns them into lines ([`Format`]) and
//! appends them to the file. When that thread falls behind (a slow disk, a full pipe), batches are dropped and their
//! records counted: the log may lose lines, requests never wait for it.
//!
//! Lines follow nginx's `log_format`, with the variables of [`variable`] (spec/config-sources §7). Times are in UTC.
//! Bench: `log`. Fuzz target: `access_log_template`.
#![forbid(unsafe_code)]

pub mod escape;
pub mod format;
pub mod record;
pub mod sink;
pub mod variable;
pub mod writer;

mod batch;
mod file;
mod json_lines;
mod template;
mod time;

#[cfg(test)]
pub(crate) mod samples;

pub use escape::Escape;
pub use format::Format;
pub use sink::{Counters, Options, Sink};
pub use time::iso8601_basic;
pub use writer::Writer;
