//! A hash table that never stalls its worker: many small tables, so that growing one moves few entries.
//!
//! Entries hold their own key. In one table of a million entries, growth reads every entry's key again and holds the
//! worker up for more than 100 ms (measured); here it is a 256th of that, spread over many changes. Look-ups never
//! allocate, nothing waits or panics. Bench: `auth/lookup`.

use ahash::RandomState;
use hashbrown::HashTable;

/// An entry that knows its key.
pub(super) trait Keyed {
    /// The key that finds the entry; it never changes.
    fn key(&self) -> &str;
}

/// Entries by their own keys.
#[derive(Debug)]
pub(super) struct Shards<T> {
    /// [`SHARDS`] tables; which one holds a key is a part of the key's hash that the table itself makes no use of.
    tables: Box<[HashTable<T>]>,
    /// Random per instance: keys come from outside and must not be able to aim at a bucket.
    hasher: RandomState,
}

impl<T> Default for Shards<T> {
    fn default() -> Self {
        Self { tables: (0..SHARDS).map(|_| HashTable::new()).collect(), hasher: RandomState::new() }
    }
}

impl<T: Keyed> Shards<T> {
    /// The entry under `key`.
    #[inline]
    pub(super) fn find(&self, key: &str) -> Option<&T> {
        let hash = self.hasher.hash_one(key);
        self.tables.get(shard(hash))?.find(hash, |entry| entry.key() == key)
    }

    /// Sets or, with `None`, removes the entry under `key`, which is the entry's own.
    pub(super) fn put(&mut self, key: &str, entry: Option<T>) {
        let hash = self.hasher.hash_one(key);
        let Some(table) = self.tables.get_mut(shard(hash)) else { return };
        match (table.find_entry(hash, |entry| entry.key() == key), entry) {
            (Ok(mut slot), Some(entry)) => *slot.get_mut() = entry,
            (Ok(slot), None) => drop(slot.remove()),
            (Err(_), Some(entry)) => {
                table.insert_unique(hash, entry, |entry| self.hasher.hash_one(entry.key()));
            }
            (Err(_), None) => {}
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(HashTable::len).sum()
    }

    /// Memory of the tables themselves, in bytes, without what entries point to.
    #[cfg(test)]
    pub(super) fn table_bytes(&self) -> usize {
        self.tables.iter().map(|table| size_of_val(table) + table.allocation_size()).sum()
    }
}

/// The table takes a bucket from the low bits and a tag from the top seven; these lie between.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

/// Tables per instance: 8 kB when all are empty.
const SHARDS: usize = 256;
