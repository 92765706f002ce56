//! Redis, as far as shared counters need it (spec/limit-count §8): commands in, checked replies out.
//!
//! A worker has one [`Client`]; it keeps one pipelined connection to each server (`link.rs`), knows which server of a
//! cluster has a key (`cluster.rs`) and which one the sentinels call master (`sentinel.rs`). Requests queue in order
//! and replies are matched in order; who waits gives up after the configured time, and a connection whose oldest reply
//! is overdue is closed, so that no reply can become the answer to another question. Runs in the access phase of
//! requests whose limit is kept in Redis, and nowhere else. It allocates, and never blocks or panics. Bytes are read
//! by `redis-protocol`, TLS is rustls without its own I/O; names are looked up on threads of their own (`names.rs`).

mod client;
mod cluster;
mod deployment;
mod flight;
mod link;
mod names;
mod reply;
pub mod script;
mod sentinel;
mod signal;
mod tls;

pub use client::Client;
pub use deployment::{Access, Deployment, Kind, Target, Tls};
pub use reply::{Reply, Scanned, decode, numbers, scan};

use crate::net::NetError;
use std::io;

/// Why Redis has not answered as it should. Never holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// It failed a moment ago and is not asked again yet.
    #[error("down, asked again shortly")]
    Down,
    /// No connection: refused, unreachable, too slow.
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    /// The name has no address.
    #[error("the name does not resolve: {0}")]
    Name(String),
    /// No reply in time.
    #[error("no reply in time")]
    TimedOut,
    /// The connection ended before the reply.
    #[error("the connection ended: {0}")]
    Closed(io::ErrorKind),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// [`link::IN_FLIGHT_MAX`] requests wait already.
    #[error("too many requests in flight")]
    Full,
    /// It answered with an error.
    #[error("refused: {0}")]
    Refused(String),
    /// Bytes or values that make no sense.
    #[error("unexpected reply: {0}")]
    Unexpected(&'static str),
    /// No node of the cluster, or no sentinel, could say where to go.
    #[error("no server is known: {0}")]
    Nowhere(&'static str),
}

impl RedisError {
    /// Whether the command has certainly not been executed, so that it may be sent elsewhere.
    fn is_unsent(&self) -> bool {
        matches!(self, Self::Down | Self::Connect(_) | Self::Name(_) | Self::Full)
    }

    fn closed(error: NetError) -> Self {
        match error {
            NetError::TimedOut | NetError::Abandoned => Self::TimedOut,
            NetError::Failed(kind) => Self::Closed(kind),
        }
    }

    /// A server's own words, cut to what a log line bears.
    fn refused(text: &str) -> Self {
        let text: String = text.chars().filter(|letter| !letter.is_control()).take(REFUSAL_CHARS_MAX).collect();
        Self::Refused(text)
    }
}

const REFUSAL_CHARS_MAX: usize = 160;
