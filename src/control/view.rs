//! The state that a write's checks look at: what is committed, and what earlier writes of its group have done.

use super::facts::Facts;
use super::index::Index;
use crate::store::{Item, Op, Store, StoreError, Write};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// The committed state, plus what earlier writes of the same group have done: what a write's checks look at.
pub struct View<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) index: &'a Index,
    pub(super) group: &'a Group,
}

impl View<'_> {
    /// One object.
    pub fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        match self.group.items.get(key) {
            Some(item) => Ok(item.clone()),
            None => self.store.get(key),
        }
    }

    /// The keys that refer to `key` (`/apisix/upstreams/1`), in key order; for the refusals of spec/admin-api §8.
    pub fn referrers(&self, key: &str) -> Vec<Arc<str>> {
        self.index.referrers(key).cloned().collect()
    }

    /// The keys of the objects whose `plugin` configuration has this value of the lookup attribute, in key order.
    ///
    /// Values that are secret references belong to nobody. An object that cannot be read counts as an owner: a
    /// check that leans on this refuses rather than lets a second owner in.
    pub fn auth_key_owners(&self, plugin: &str, value: &str) -> Vec<Arc<str>> {
        let owns = |key: &&Arc<str>| match self.get(key) {
            Ok(Some(item)) => {
                let facts = Facts::of(key, &item.value);
                facts.auth_keys.iter().any(|(name, text)| *name == plugin && **text == *value)
            }
            Ok(None) => false,
            Err(_) => true,
        };
        let mut owners: Vec<_> = self.index.owner_candidates(plugin, value).filter(owns).cloned().collect();
        owners.sort_unstable();
        owners
    }

    /// The keys below `prefix`, in key order.
    pub fn keys(&self, prefix: &str) -> Result<Vec<Arc<str>>, StoreError> {
        let mut keys: BTreeMap<Arc<str>, bool> = BTreeMap::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let page = self.store.range(prefix, after.as_deref(), KEYS_PAGE)?;
            after = page.last().map(|item| Arc::clone(&item.key));
            let full = page.len() == KEYS_PAGE;
            keys.extend(page.into_iter().map(|item| (item.key, true)));
            if !full {
                break;
            }
        }
        let of_group = self.group.items.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let below = of_group.take_while(|(key, _)| key.starts_with(prefix));
        keys.extend(below.map(|(key, item)| (Arc::clone(key), item.is_some())));
        Ok(keys.into_iter().filter_map(|(key, exists)| exists.then_some(key)).collect())
    }

    /// The revision that this write will get.
    pub fn next_revision(&self) -> u64 {
        self.group.revision + 1
    }
}

/// What the accepted writes of one group have done so far.
pub(super) struct Group {
    revision: u64,
    /// Objects as the group leaves them; `None`: gone.
    items: BTreeMap<Arc<str>, Option<Item>>,
    /// Everything done, in order.
    steps: Vec<Step>,
}

/// One operation's effect.
pub(super) struct Step {
    pub(super) key: Arc<str>,
    before: Option<Item>,
    pub(super) after: Option<Item>,
}

impl Group {
    /// An empty group on a store at `revision`.
    pub(super) fn new(revision: u64) -> Self {
        Self { revision, items: BTreeMap::new(), steps: Vec::new() }
    }

    /// Of the newest write with an effect, the group's or the store's.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Adds an accepted write. Returns its revision, or `None` if it has no effect and so takes none.
    pub(super) fn add(
        &mut self,
        store: &dyn Store,
        index: &mut Index,
        write: &Write,
    ) -> Result<Option<u64>, StoreError> {
        let steps_before = self.steps.len();
        for op in write {
            if let Err(error) = self.step(store, index, op) {
                self.undo(index, steps_before);
                return Err(error);
            }
        }
        if self.steps.len() == steps_before {
            return Ok(None);
        }
        self.revision += 1;
        Ok(Some(self.revision))
    }

    /// The group will not be committed: takes its traces from the index.
    pub(super) fn abandon(mut self, index: &mut Index) {
        self.undo(index, 0);
    }

    /// What the group has done, in order.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    fn step(&mut self, store: &dyn Store, index: &mut Index, op: &Op) -> Result<(), StoreError> {
        let (Op::Put { key, .. } | Op::Delete { key }) = op;
        let before = match self.items.get(key) {
            Some(item) => item.clone(),
            None => store.get(key)?,
        };
        let next = self.revision + 1;
        let after = match op {
            Op::Put { key, value, expires_unix_s } => Some(Item {
                key: Arc::clone(key),
                value: Arc::clone(value),
                create_revision: before.as_ref().map_or(next, |before| before.create_revision),
                mod_revision: next,
                expires_unix_s: *expires_unix_s,
            }),
            Op::Delete { .. } => None,
        };
        if before.is_none() && after.is_none() {
            return Ok(());
        }
        index.replace(key, text(before.as_ref()), text(after.as_ref()));
        self.items.insert(Arc::clone(key), after.clone());
        self.steps.push(Step { key: Arc::clone(key), before, after });
        Ok(())
    }

    fn undo(&mut self, index: &mut Index, keep: usize) {
        while self.steps.len() > keep {
            let Some(Step { key, before, after }) = self.steps.pop() else { return };
            index.replace(&key, text(after.as_ref()), text(before.as_ref()));
            self.items.insert(key, before);
        }
    }
}

fn text(item: Option<&Item>) -> Option<&str> {
    item.map(|item| &*item.value)
}

/// Objects read at a time for a list of keys.
const KEYS_PAGE: usize = 1024;
