//! What a check may look at, and how it says no.

use crate::control::View;
use crate::store::{Item, StoreError};
use std::sync::Arc;

/// The committed state that an object is judged against.
///
/// [`View`] is the one that runs; tests bring a map.
pub trait State {
    /// One object.
    fn get(&self, key: &str) -> Result<Option<Item>, StoreError>;
    /// The keys that refer to `key`, in key order.
    fn referrers(&self, key: &str) -> Vec<Arc<str>>;
    /// The keys of the objects whose `plugin` configuration has this value of the lookup attribute, in key order.
    fn auth_key_owners(&self, plugin: &str, value: &str) -> Vec<Arc<str>>;
    /// The keys below `prefix`, in key order.
    fn keys(&self, prefix: &str) -> Result<Vec<Arc<str>>, StoreError>;
    /// The revision that this write will get.
    fn next_revision(&self) -> u64;
}

impl State for View<'_> {
    fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        View::get(self, key)
    }

    fn referrers(&self, key: &str) -> Vec<Arc<str>> {
        View::referrers(self, key)
    }

    fn auth_key_owners(&self, plugin: &str, value: &str) -> Vec<Arc<str>> {
        View::auth_key_owners(self, plugin, value)
    }

    fn keys(&self, prefix: &str) -> Result<Vec<Arc<str>>, StoreError> {
        View::keys(self, prefix)
    }

    fn next_revision(&self) -> u64 {
        View::next_revision(self)
    }
}

/// Why something is not done. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What was asked for is not right; the text is the answer's.
    #[error("{0}")]
    Invalid(String),
    /// A credential for a consumer that does not exist.
    #[error("consumer not found")]
    ConsumerAbsent,
    /// The object to change or delete does not exist.
    #[error("key not found")]
    Absent,
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::Invalid(text)
    }
}
