//! One body of tests for every store of our own, against a naive model.

use super::embedded::EmbeddedStore;
use super::memory::MemoryStore;
use super::{Event, Item, Op, Store, Write};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn put(key: &str, value: &str) -> Op {
    Op::Put { key: key.into(), value: value.into(), expires_unix_s: None }
}

pub(super) fn delete(key: &str) -> Op {
    Op::Delete { key: key.into() }
}

fn stores(test: impl Fn(&str, &dyn Store)) {
    test("memory", &MemoryStore::new());
    let dir = tempfile::tempdir().unwrap();
    test("embedded", &EmbeddedStore::open(dir.path()).unwrap());
}

fn keys(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| &*item.key).collect()
}

#[test]
fn each_write_is_one_revision_whatever_its_operations() {
    stores(|name, store| {
        let events = store.commit(&[vec![put("/a", "1"), put("/b", "2")], vec![put("/a", "3")]]).unwrap();
        let revisions: Vec<_> = events.iter().map(|event| (event.revision, &*event.key)).collect();
        assert_eq!(revisions, [(1, "/a"), (1, "/b"), (2, "/a")], "{name}");
        assert_eq!(store.revision(), 2, "{name}");
        let a = store.get("/a").unwrap().unwrap();
        assert_eq!((&*a.value, a.create_revision, a.mod_revision), ("3", 1, 2), "{name}");
        assert_eq!(store.get("/c").unwrap(), None, "{name}");
    });
}

#[test]
fn a_write_without_effect_takes_no_revision() {
    stores(|name, store| {
        let nothing = store.commit(&[vec![], vec![delete("/a")]]).unwrap();
        assert!(nothing.is_empty() && store.revision() == 0, "{name}");
        let events = store.commit(&[vec![delete("/a")], vec![put("/a", "1")], vec![delete("/b")]]).unwrap();
        assert_eq!(events, [Event { revision: 1, key: "/a".into(), value: Some("1".into()) }], "{name}");
        let gone = store.commit(&[vec![delete("/a"), delete("/a")]]).unwrap();
        assert_eq!(gone, [Event { revision: 2, key: "/a".into(), value: None }], "{name}");
        store.commit(&[vec![put("/a", "1")]]).unwrap();
        assert_eq!(store.get("/a").unwrap().unwrap().create_revision, 3, "{name}: it is a new key");
    });
}

#[test]
fn ranges_page_in_key_order_below_their_prefix() {
    stores(|name, store| {
        let write = ["/r/1", "/r/10", "/r/2", "/rest", "/q", "/r"].map(|key| put(key, key)).to_vec();
        store.commit(&[write]).unwrap();
        let page = |after, limit| store.range("/r/", after, limit).unwrap();
        assert_eq!(keys(&page(None, 9)), ["/r/1", "/r/10", "/r/2"], "{name}");
        assert_eq!(keys(&page(None, 2)), ["/r/1", "/r/10"], "{name}");
        assert_eq!(keys(&page(Some("/r/10"), 9)), ["/r/2"], "{name}");
        assert_eq!(keys(&page(Some("/a"), 1)), ["/r/1"], "{name}: a start before the prefix");
        assert_eq!(keys(&page(Some("/z"), 9)), [""; 0], "{name}");
        assert_eq!(store.range("", None, usize::MAX).unwrap().len(), 6, "{name}");
    });
}

#[test]
fn an_expiry_stays_with_its_write() {
    stores(|name, store| {
        let lease = Op::Put { key: "/a".into(), value: "1".into(), expires_unix_s: Some(77) };
        store.commit(&[vec![lease]]).unwrap();
        assert_eq!(store.get("/a").unwrap().unwrap().expires_unix_s, Some(77), "{name}");
        store.commit(&[vec![put("/a", "2")]]).unwrap();
        assert_eq!(store.get("/a").unwrap().unwrap().expires_unix_s, None, "{name}");
    });
}

/// What a store must do, without thinking about cost.
#[derive(Debug, Default)]
struct Model {
    revision: u64,
    items: BTreeMap<String, Item>,
}

impl Model {
    fn commit(&mut self, writes: &[Write]) -> Vec<Event> {
        let mut all = Vec::new();
        for write in writes {
            let mut events = Vec::new();
            let revision = self.revision + 1;
            for op in write {
                let (key, value) = match op {
                    Op::Put { key, value, expires_unix_s } => {
                        let old = self.items.get(&**key);
                        let item = Item {
                            key: Arc::clone(key),
                            value: Arc::clone(value),
                            create_revision: old.map_or(revision, |old| old.create_revision),
                            mod_revision: revision,
                            expires_unix_s: *expires_unix_s,
                        };
                        self.items.insert(key.to_string(), item);
                        (key, Some(Arc::clone(value)))
                    }
                    Op::Delete { key } if self.items.remove(&**key).is_some() => (key, None),
                    Op::Delete { .. } => continue,
                };
                events.push(Event { revision, key: Arc::clone(key), value });
            }
            if !events.is_empty() {
                self.revision = revision;
            }
            all.extend(events);
        }
        all
    }

    fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Item> {
        let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        self.items.values().filter(|item| wanted(&item.key)).take(limit).cloned().collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Write>),
    Range(String, Option<String>, usize),
    Reopen,
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["/c/a", "/c/a/k/1", "/c/a/k/2", "/c/b", "/c", "/r/1", "/r/é", "/", ""])
        .prop_map(Into::into)
}

fn op() -> impl Strategy<Value = Op> {
    let expiry = prop_oneof![3 => Just(None), 1 => (0_u64..=u64::MAX - 1).prop_map(Some)];
    prop_oneof![
        3 => (key(), ".{0,40}", expiry)
            .prop_map(|(key, value, expires_unix_s)| Op::Put { key: key.into(), value: value.into(), expires_unix_s }),
        2 => key().prop_map(|key| Op::Delete { key: key.into() }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let write = prop::collection::vec(op(), 0..4);
    prop_oneof![
        6 => prop::collection::vec(write, 0..5).prop_map(Step::Commit),
        3 => (key(), prop::option::of(key()), 0_usize..8).prop_map(|(prefix, after, limit)| Step::Range(prefix, after, limit)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..16)) {
        let dir = tempfile::tempdir().unwrap();
        let mut embedded = Some(EmbeddedStore::open(dir.path()).unwrap());
        let memory = MemoryStore::new();
        let mut model = Model::default();
        for step in steps {
            let embedded_now = embedded.as_ref().unwrap();
            match step {
                Step::Commit(writes) => {
                    let want = model.commit(&writes);
                    prop_assert_eq!(&memory.commit(&writes).unwrap(), &want);
                    prop_assert_eq!(&embedded_now.commit(&writes).unwrap(), &want);
                }
                Step::Range(prefix, after, limit) => {
                    let want = model.range(&prefix, after.as_deref(), limit);
                    prop_assert_eq!(&memory.range(&prefix, after.as_deref(), limit).unwrap(), &want);
                    prop_assert_eq!(&embedded_now.range(&prefix, after.as_deref(), limit).unwrap(), &want);
                }
                Step::Reopen => {
                    drop(embedded.take());
                    embedded = Some(EmbeddedStore::open(dir.path()).unwrap());
                }
            }
            for store in [embedded.as_ref().unwrap() as &dyn Store, &memory] {
                prop_assert_eq!(store.revision(), model.revision);
                prop_assert_eq!(store.range("", None, usize::MAX).unwrap(), model.range("", None, usize::MAX));
            }
        }
    }
}
