//! What a write does to a set of keys: etcd's revisions, shared by every store of our own.

use super::{Event, Item, Op, Write};
use std::sync::Arc;

/// The keys of a store, inside one of its transactions.
pub(super) trait Cells {
    /// Why a step did not happen.
    type Error;
    /// The revision that created `key`, if it is there.
    fn create_revision(&self, key: &str) -> Result<Option<u64>, Self::Error>;
    /// Creates or replaces the item's key.
    fn put(&mut self, item: Item) -> Result<(), Self::Error>;
    /// Removes `key`; whether it was there.
    fn remove(&mut self, key: &str) -> Result<bool, Self::Error>;
}

/// Applies `writes` to `cells`, which stand at `revision`. Returns what happened and the revision reached.
pub(super) fn apply<C: Cells>(
    cells: &mut C,
    writes: &[Write],
    mut revision: u64,
) -> Result<(Vec<Event>, u64), C::Error> {
    let mut events = Vec::with_capacity(writes.iter().map(Vec::len).sum());
    for write in writes {
        let effects_before = events.len();
        let next = revision + 1;
        for op in write {
            match op {
                Op::Put { key, value, expires_unix_s } => {
                    let create_revision = cells.create_revision(key)?.unwrap_or(next);
                    cells.put(Item {
                        key: Arc::clone(key),
                        value: Arc::clone(value),
                        create_revision,
                        mod_revision: next,
                        expires_unix_s: *expires_unix_s,
                    })?;
                    events.push(Event { revision: next, key: Arc::clone(key), value: Some(Arc::clone(value)) });
                }
                Op::Delete { key } => {
                    if cells.remove(key)? {
                        events.push(Event { revision: next, key: Arc::clone(key), value: None });
                    }
                }
            }
        }
        if events.len() > effects_before {
            revision = next;
        }
    }
    Ok((events, revision))
}
