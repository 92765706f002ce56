//! A state in memory for tests: what it answers follows from the stored objects alone.

use super::{Id, PREFIX, State};
use crate::store::{Item, Op, StoreError, Write};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    items: BTreeMap<Arc<str>, Item>,
    revision: u64,
}

impl Memory {
    /// A state that holds these objects, keys without prefix.
    pub(crate) fn holding<'a>(objects: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let mut memory = Self::default();
        for (path, value) in objects {
            let key = format!("{PREFIX}/{path}").into();
            memory.commit(vec![Op::Put { key, value: value.to_string().into(), expires_unix_s: None }]);
        }
        memory
    }

    pub(crate) fn commit(&mut self, write: Write) {
        self.revision += 1;
        for op in write {
            match op {
                Op::Put { key, value, expires_unix_s } => {
                    let create_revision = self.items.get(&key).map_or(self.revision, |item| item.create_revision);
                    let item = Item {
                        key: Arc::clone(&key),
                        value,
                        create_revision,
                        mod_revision: self.revision,
                        expires_unix_s,
                    };
                    self.items.insert(key, item);
                }
                Op::Delete { key } => {
                    self.items.remove(&key);
                }
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = (&Arc<str>, Value)> {
        self.items.iter().map(|(key, item)| (key, serde_json::from_str(&item.value).unwrap()))
    }
}

impl State for Memory {
    fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        Ok(self.items.get(key).cloned())
    }

    fn referrers(&self, key: &str) -> Vec<Arc<str>> {
        let names = |value: &Value, member: &str, directory: &str| {
            let id = value.get(member).and_then(Id::of);
            id.is_some_and(|Id(id)| format!("{PREFIX}/{directory}/{id}") == key)
        };
        let members = [
            ("upstream_id", "upstreams"),
            ("service_id", "services"),
            ("plugin_config_id", "plugin_configs"),
            ("group_id", "consumer_groups"),
        ];
        let refers = |value: &Value| members.iter().any(|(member, directory)| names(value, member, directory));
        self.values().filter(|(_, value)| refers(value)).map(|(key, _)| Arc::clone(key)).collect()
    }

    fn auth_key_owners(&self, plugin: &str, attribute: &str) -> Vec<Arc<str>> {
        let name = crate::plugin::registry::group_attribute(plugin).unwrap_or("key");
        let has = |value: &Value| value["plugins"][plugin][name] == *attribute;
        self.values().filter(|(_, value)| has(value)).map(|(key, _)| Arc::clone(key)).collect()
    }

    fn keys(&self, prefix: &str) -> Result<Vec<Arc<str>>, StoreError> {
        Ok(self.items.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn next_revision(&self) -> u64 {
        self.revision + 1
    }
}
