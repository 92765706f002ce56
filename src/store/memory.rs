//! A store that forgets everything with the process: for tests, benches and configuration that has its own file.

use super::apply::{Cells, apply};
use super::{Event, Item, Store, StoreError, Write};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Keys and values in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    items: BTreeMap<Arc<str>, Item>,
}

impl MemoryStore {
    /// An empty store at revision 0.
    pub fn new() -> Self {
        Self::default()
    }

    // A panic while the lock is held cannot leave half a write: nothing between its steps can panic.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn revision(&self) -> u64 {
        self.state().revision
    }

    fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        Ok(self.state().items.get(key).cloned())
    }

    fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, StoreError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let state = self.state();
        let below = state.items.range::<str, _>((start, Bound::Unbounded)).map(|(_, item)| item);
        Ok(below.take_while(|item| item.key.starts_with(prefix)).take(limit).cloned().collect())
    }

    fn commit(&self, writes: &[Write]) -> Result<Vec<Event>, StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let revision = state.revision;
        let Ok((events, revision)) = apply(&mut state.items, writes, revision);
        state.revision = revision;
        Ok(events)
    }
}

impl Cells for BTreeMap<Arc<str>, Item> {
    type Error = Infallible;

    fn create_revision(&self, key: &str) -> Result<Option<u64>, Infallible> {
        Ok(self.get(key).map(|item| item.create_revision))
    }

    fn put(&mut self, item: Item) -> Result<(), Infallible> {
        self.insert(Arc::clone(&item.key), item);
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Result<bool, Infallible> {
        Ok(BTreeMap::remove(self, key).is_some())
    }
}
