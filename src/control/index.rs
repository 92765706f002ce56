//! Who refers to an object, and who holds an authentication key: answers that would cost a walk over all objects.
//!
//! Goes in: each change, with the value before and the value after. Nothing is kept per object beyond its entries:
//! what a change takes back is read from the value before, so undoing a change is making the opposite one.

use super::facts::Facts;
use crate::base::map::HashMap;
use hashbrown::HashTable;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The index over the committed objects and, while a group of writes is prepared, over its writes.
#[derive(Default)]
pub(super) struct Index {
    /// Key of an object (existing or not) to the keys that name it.
    referrers: HashMap<Box<str>, BTreeSet<Arc<str>>>,
    /// One entry for each plugin and lookup value of an object, by hash only: a million texts would cost more than
    /// looking at the few objects of one hash.
    owners: HashTable<Owner>,
    hasher: ahash::RandomState,
}

struct Owner {
    hash: u64,
    key: Arc<str>,
}

impl Index {
    /// The object at `key` goes from one value to another; `None` is absence.
    pub(super) fn replace(&mut self, key: &Arc<str>, before: Option<&str>, after: Option<&str>) {
        let of = |value: Option<&str>| value.map(|value| Facts::of(key, value)).unwrap_or_default();
        let (before, after) = (of(before), of(after));
        if before == after {
            return;
        }
        for target in before.references {
            if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(key);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
        for (plugin, value) in before.auth_keys {
            let hash = self.hash(plugin, &value);
            if let Ok(owner) = self.owners.find_entry(hash, |owner| owner.hash == hash && owner.key == *key) {
                owner.remove();
            }
        }
        for target in after.references {
            self.referrers.entry(target).or_default().insert(Arc::clone(key));
        }
        for (plugin, value) in after.auth_keys {
            let hash = self.hash(plugin, &value);
            self.owners.insert_unique(hash, Owner { hash, key: Arc::clone(key) }, |owner| owner.hash);
        }
    }

    /// The keys that name `key`, in key order.
    pub(super) fn referrers(&self, key: &str) -> impl Iterator<Item = &Arc<str>> {
        self.referrers.get(key).into_iter().flatten()
    }

    /// Keys that may hold `value` for `plugin`: all that do, and rarely one whose values have the same hash.
    pub(super) fn owner_candidates(&self, plugin: &str, value: &str) -> impl Iterator<Item = &Arc<str>> {
        let hash = self.hash(plugin, value);
        self.owners.iter_hash(hash).filter(move |owner| owner.hash == hash).map(|owner| &owner.key)
    }

    fn hash(&self, plugin: &str, value: &str) -> u64 {
        self.hasher.hash_one((plugin, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone)]
    struct Step {
        key: String,
        value: Option<String>,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = prop::sample::select(vec![
            "/apisix/routes/1",
            "/apisix/routes/2",
            "/apisix/services/1",
            "/apisix/consumers/a",
            "/apisix/consumers/b",
            "/apisix/consumers/a/credentials/1",
        ]);
        let value = (0..3, 0..3, 0..3, 0..3).prop_map(|(service, upstream, group, auth)| {
            format!(
                r#"{{"service_id":{service},"upstream_id":"{upstream}","group_id":"{group}","plugins":{{"jwt-auth":{{"key":"{auth}"}}}}}}"#
            )
        });
        (key, prop::option::weighted(0.7, value)).prop_map(|(key, value)| Step { key: key.to_owned(), value })
    }

    /// Every answer the index can give over the small world of [`step`].
    fn answers(index: &Index) -> Vec<(String, Vec<String>)> {
        let mut answers = Vec::new();
        for id in 0..3 {
            for directory in ["services", "upstreams", "consumer_groups", "plugin_configs"] {
                let target = format!("/apisix/{directory}/{id}");
                let referrers = index.referrers(&target).map(ToString::to_string).collect();
                answers.push((target, referrers));
            }
            let mut owners: Vec<_> =
                index.owner_candidates("jwt-auth", &id.to_string()).map(ToString::to_string).collect();
            owners.sort_unstable();
            answers.push((id.to_string(), owners));
        }
        answers
    }

    /// The same answers from a walk over all objects.
    fn walk(objects: &BTreeMap<String, String>) -> Vec<(String, Vec<String>)> {
        let mut answers = Vec::new();
        let having = |wanted: &dyn Fn(&Facts) -> bool| {
            let has = |(key, value): &(&String, &String)| wanted(&Facts::of(key, value));
            objects.iter().filter(has).map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        for id in 0..3 {
            for directory in ["services", "upstreams", "consumer_groups", "plugin_configs"] {
                let target = format!("/apisix/{directory}/{id}");
                let referrers = having(&|facts| facts.references.iter().any(|reference| **reference == *target));
                answers.push((target, referrers));
            }
            let value = id.to_string();
            let owners = having(&|facts| facts.auth_keys.iter().any(|(_, key)| **key == *value));
            answers.push((value, owners));
        }
        answers
    }

    proptest! {
        #[test]
        fn the_index_answers_like_a_walk_and_can_be_undone(steps in prop::collection::vec(step(), 1..40), undo in 0_usize..40) {
            let mut index = Index::default();
            let mut objects = BTreeMap::new();
            let mut history = Vec::new();
            for Step { key, value } in steps {
                let before = match &value {
                    Some(value) => objects.insert(key.clone(), value.clone()),
                    None => objects.remove(&key),
                };
                let key = Arc::from(key);
                index.replace(&key, before.as_deref(), value.as_deref());
                prop_assert_eq!(answers(&index), walk(&objects));
                history.push((key, before, value));
            }
            for (key, before, after) in history.into_iter().rev().take(undo) {
                index.replace(&key, after.as_deref(), before.as_deref());
                match before {
                    Some(before) => objects.insert(key.to_string(), before),
                    None => objects.remove(&*key),
                };
                prop_assert_eq!(answers(&index), walk(&objects));
            }
        }
    }
}
