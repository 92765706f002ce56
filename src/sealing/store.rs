//! A store whose secrets are sealed on the disk and clear for everybody else.

use super::fields::is_answered_sealed;
use super::{Opened, Sealing};
use crate::base::map::HashMap;
use crate::store::{Event, Item, Op, Store, StoreError, Write};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// `inner`, sealed. Values come out as they were put in; only [`Store::stored_form`] shows what is on the disk.
pub struct SealedStore<S> {
    inner: S,
    sealing: Sealing,
    tally: Arc<Tally>,
    /// Keys of objects that a log line was written about, with their revision: each is reported once. Bounded by
    /// [`REPORTED_MAX`]; beyond, neither logged nor counted.
    reported: Mutex<HashMap<Arc<str>, u64>>,
}

/// What was found when objects were read. An object counts once per revision, up to 10,000 of them.
#[derive(Debug, Default)]
pub struct Tally {
    /// Objects with a secret that could not be opened, so that what needs it is out of use.
    pub closed: AtomicU64,
    /// Objects with a secret that is not sealed.
    pub in_clear: AtomicU64,
}

impl<S: Store> SealedStore<S> {
    /// Seals what goes to `inner` and opens what comes from it.
    pub fn new(inner: S, sealing: Sealing) -> Self {
        Self { inner, sealing, tally: Arc::default(), reported: Mutex::default() }
    }

    /// What was found so far, for metrics.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    fn opened(&self, item: Item) -> Item {
        let Opened { text, closed, in_clear } = self.sealing.open(&item.key, &item.value);
        if (closed.is_some() || in_clear > 0) && self.is_news(&item) {
            if let Some(reason) = closed {
                self.tally.closed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(key = &*item.key, reason, "a sealed secret is not used, nor is what needs it");
            } else {
                self.tally.in_clear.fetch_add(1, Ordering::Relaxed);
                tracing::info!(key = &*item.key, secrets = in_clear, "secrets are not sealed, or under an unknown key");
            }
        }
        Item { value: text, ..item }
    }

    fn is_news(&self, item: &Item) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.get(&item.key) == Some(&item.mod_revision) || reported.len() >= REPORTED_MAX {
            return false;
        }
        reported.insert(Arc::clone(&item.key), item.mod_revision);
        true
    }

    fn sealed(&self, write: &Write) -> Result<Write, StoreError> {
        let sealed = write.iter().map(|op| match op {
            Op::Put { key, value, expires_unix_s } => {
                let value = self.sealing.seal(key, value).map_err(|error| StoreError::Io(format!("{key}: {error}")))?;
                Ok(Op::Put { key: Arc::clone(key), value, expires_unix_s: *expires_unix_s })
            }
            Op::Delete { key } => Ok(Op::Delete { key: Arc::clone(key) }),
        });
        sealed.collect()
    }
}

impl<S: Store> Store for SealedStore<S> {
    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        Ok(self.inner.get(key)?.map(|item| self.opened(item)))
    }

    fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, StoreError> {
        let items = self.inner.range(prefix, after, limit)?;
        Ok(items.into_iter().map(|item| self.opened(item)).collect())
    }

    fn commit(&self, writes: &[Write]) -> Result<Vec<Event>, StoreError> {
        let sealed = writes.iter().map(|write| self.sealed(write)).collect::<Result<Vec<_>, _>>()?;
        let mut events = self.inner.commit(&sealed)?;
        // Every put has its event, in order.
        let mut clear = writes.iter().flatten().filter_map(|op| match op {
            Op::Put { key, value, .. } => Some(self.sealing.meant(key, value)),
            Op::Delete { .. } => None,
        });
        for event in &mut events {
            if event.value.is_some() {
                event.value = clear.next();
            }
        }
        Ok(events)
    }

    fn stored_form(&self, key: &str, value: Value, revision: u64) -> Value {
        if !is_answered_sealed(key) {
            return value;
        }
        let mut sealed = value;
        match self.sealing.seal_value(key, &mut sealed) {
            Ok(true) => match self.inner.get(key) {
                // What a later write has replaced was stored as something like this.
                Ok(Some(item)) if item.mod_revision == revision => serde_json::from_str(&item.value).unwrap_or(sealed),
                _ => sealed,
            },
            // Nothing to seal. Where sealing fails the commit has failed before.
            _ => sealed,
        }
    }
}

const REPORTED_MAX: usize = 10_000;
