//! The revisioned key-value store that holds the configuration, with APISIX's key layout.
//!
//! Every source of configuration is reduced to the same thing: [`Event`]s in revision order over keys such as
//! `/apisix/consumers/jack/credentials/c1`. Revisions follow etcd: each write transaction is one more, and a write
//! that changes nothing (it deletes what is not there) takes none.
//!
//! A store keeps and counts; it does not watch the clock. An expiry is kept with its object, and [`crate::control`]
//! deletes what has expired.

use serde_json::Value;
use std::sync::Arc;

mod apply;
pub mod embedded;
pub mod memory;
#[cfg(test)]
mod tests;

/// One stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The whole key, with prefix.
    pub key: Arc<str>,
    /// The value's JSON text, as stored.
    pub value: Arc<str>,
    /// Revision that created the key (`createdIndex`).
    pub create_revision: u64,
    /// Revision that last wrote it (`modifiedIndex`).
    pub mod_revision: u64,
    /// When it is to vanish, in seconds since the Unix epoch; `None`: never.
    pub expires_unix_s: Option<u64>,
}

/// One step of the configuration's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The revision of the write it belongs to.
    pub revision: u64,
    /// The key.
    pub key: Arc<str>,
    /// The new value, or `None` where the key went.
    pub value: Option<Arc<str>>,
}

/// One operation of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Creates or replaces a key.
    Put {
        /// The key.
        key: Arc<str>,
        /// JSON text, kept as it is.
        value: Arc<str>,
        /// When it is to vanish, in seconds since the Unix epoch (spec/admin-api §1.3, `ttl`); `None`: never. An
        /// earlier expiry of the key does not outlive this write.
        expires_unix_s: Option<u64>,
    },
    /// Removes a key; nothing happens if it is not there.
    Delete {
        /// The key.
        key: Arc<str>,
    },
}

/// A write: operations that happen together under one revision.
pub type Write = Vec<Op>;

/// Where configuration is kept.
pub trait Store: Send + Sync {
    /// The newest revision.
    fn revision(&self) -> u64;
    /// One object.
    fn get(&self, key: &str) -> Result<Option<Item>, StoreError>;
    /// The objects whose keys start with `prefix`, in key order; at most `limit`, starting after `after`.
    fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, StoreError>;
    /// Writes, each under the next revision, durable when this returns; all of them or none. Blocks on the disk.
    ///
    /// The events are in revision order, and within a revision in the order of its operations.
    fn commit(&self, writes: &[Write]) -> Result<Vec<Event>, StoreError>;
    /// What was stored for `value` when the write of `revision` put it at `key`: differs from it where secrets are
    /// sealed ([`crate::sealing`]).
    fn stored_form(&self, key: &str, value: Value, revision: u64) -> Value {
        let _ = (key, revision);
        value
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file is not ours, or is damaged.
    #[error("{path}: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// Another process holds the file.
    #[error("{path}: in use by another process")]
    Locked {
        /// The file.
        path: String,
    },
    /// The disk refused.
    #[error("{0}")]
    Io(String),
}
