//! The control side's one thread, assembled: store, index, compiler, feed. The Admin API acts through [`Control`].

use crate::store::{Item, StoreError, Write};

/// A handle to the control side; cheap to clone.
#[derive(Debug, Clone)]
pub struct Control {}

/// The committed state, plus what earlier writes of the same group have done: what a write's checks look at.
pub struct View<'a> {
    _state: &'a (),
}

impl View<'_> {
    /// One object.
    pub fn get(&self, _key: &str) -> Result<Option<Item>, StoreError> {
        Ok(None)
    }

    /// The keys that refer to `key` (`/apisix/upstreams/1`), in key order; for the refusals of spec/admin-api §8.
    pub fn referrers(&self, _key: &str) -> Vec<std::sync::Arc<str>> {
        Vec::new()
    }

    /// The keys of the objects whose `plugin` configuration has this value of the lookup attribute, in key order.
    pub fn auth_key_owners(&self, _plugin: &str, _value: &str) -> Vec<std::sync::Arc<str>> {
        Vec::new()
    }

    /// The keys below `prefix`, in key order.
    pub fn keys(&self, _prefix: &str) -> Result<Vec<std::sync::Arc<str>>, StoreError> {
        Ok(Vec::new())
    }

    /// The revision that this write will get.
    pub fn next_revision(&self) -> u64 {
        0
    }
}

/// How a write ended.
#[derive(Debug)]
pub enum WriteError<R> {
    /// The checks refused it; nothing was stored.
    Refused(R),
    /// The store refused it; nothing was stored.
    Store(StoreError),
    /// Stored under this revision, but a worker has not applied it within the bound.
    NotLive {
        /// The revision.
        revision: u64,
        /// Which worker, and where it stands.
        reason: String,
    },
}

impl Control {
    /// One object, as committed.
    pub async fn get(&self, _key: &str) -> Result<Option<Item>, StoreError> {
        Ok(None)
    }

    /// The objects below `prefix`, in key order.
    pub async fn range(&self, _prefix: &str) -> Result<Vec<Item>, StoreError> {
        Ok(Vec::new())
    }

    /// Runs `prepare` on the state as it is when this write's turn has come; what it returns is committed, compiled
    /// and fed. Returns `prepare`'s second value and the revision once the write is durable and live on every worker.
    pub async fn write<T, R, F>(&self, _prepare: F) -> Result<(T, u64), WriteError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<(Write, T), R> + Send + 'static,
    {
        Err(WriteError::Store(StoreError::Io("no store".into())))
    }
}
