//! Plugin metadata: what holds for every configuration of one plugin, and which objects have such a configuration.
//!
//! A change of it rebuilds that plugin wherever it stands, and nothing else (spec/limit-count §2.1).

use super::Compiler;
use super::dependents::Dependents;
use super::key::Object;
use super::plugins::PluginSet;
use super::read::{Rejected, read};
use serde_json::{Map, Value};
use std::sync::Arc;

/// From plugins to the whole keys of the objects that would have to be rebuilt.
#[derive(Debug, Default)]
pub(super) struct MetadataUsers(Dependents);

impl MetadataUsers {
    fn forget(&mut self, key: &Arc<str>, plugins: &PluginSet) {
        plugins.names_with_metadata().for_each(|name| self.0.move_to(key, Some(name), None));
    }

    fn note(&mut self, key: &Arc<str>, plugins: &PluginSet) {
        plugins.names_with_metadata().for_each(|name| self.0.move_to(key, None, Some(name)));
    }

    fn of(&self, plugin: &str) -> Vec<Arc<str>> {
        self.0.of(plugin).cloned().collect()
    }
}

impl Compiler {
    /// Takes what the plugin called `name` is told from now on. What it cannot use leaves what it was told before.
    pub(super) fn put_metadata(&mut self, name: &str, text: Option<&str>) -> Result<(), Rejected> {
        let metadata = text.map(read::<Map<String, Value>>).transpose()?.map(Value::Object);
        if !self.catalog.set_metadata(name, metadata)? {
            return Ok(());
        }
        for key in self.metadata_users.of(name) {
            self.rebuild(&key, name);
        }
        Ok(())
    }

    /// Notes that the object at `key` is about to change.
    pub(super) fn forget_metadata_user(&mut self, key: &Arc<str>, object: Object<'_>) {
        if let Some(plugins) = self.plugins_of(key, object) {
            self.metadata_users.forget(key, &plugins);
        }
    }

    /// Notes what has become of the object at `key`.
    pub(super) fn note_metadata_user(&mut self, key: &Arc<str>, object: Object<'_>) {
        if let Some(plugins) = self.plugins_of(key, object) {
            self.metadata_users.note(key, &plugins);
        }
    }

    fn plugins_of(&self, key: &Arc<str>, object: Object<'_>) -> Option<Arc<PluginSet>> {
        let plugins = match object {
            Object::Route(id) => self.routes.plugins_of_route(id),
            Object::Service(id) => self.routes.plugins_of_service(id),
            Object::PluginConfig(id) => self.routes.plugin_config(id),
            Object::ConsumerGroup(id) => self.consumers.group(id),
            Object::Consumer(_) => self.consumers.plugins_of(key),
            Object::GlobalRule(id) => self.global_rules.get(id),
            Object::Upstream(_) | Object::Secret(_) | Object::Credential { .. } | Object::PluginMetadata(_) => None,
        };
        plugins.cloned()
    }

    /// Builds one plugin of the object at `key` again, and marks what depends on the object.
    fn rebuild(&mut self, key: &Arc<str>, plugin: &str) {
        let prefix = self.prefix.clone();
        let Some(object) = Object::of(&prefix, key) else { return };
        let Some(before) = self.plugins_of(key, object) else { return };
        let consumer = if let Object::Consumer(username) = object { Some(username) } else { None };
        let plugins = self.catalog.rebuild(key, consumer, &before, plugin);
        match object {
            Object::Route(id) => self.routes.set_plugins_of_route(id, plugins),
            Object::Service(id) => self.routes.set_plugins_of_service(id, plugins),
            Object::PluginConfig(id) => self.routes.set_plugin_config(id, Some(plugins)),
            Object::ConsumerGroup(id) => self.consumers.set_group(id, Some(plugins)),
            Object::Consumer(_) => self.consumers.set_plugins_of(key, plugins),
            Object::GlobalRule(id) => {
                self.global_rules.insert(id.into(), plugins);
                self.are_global_rules_dirty = true;
            }
            Object::Upstream(_) | Object::Secret(_) | Object::Credential { .. } | Object::PluginMetadata(_) => {}
        }
    }
}
