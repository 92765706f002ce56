//! Compilation: configuration events in, changes for workers out; only what an event touches is compiled.
//!
//! Runs on the control side, for each batch of writes and once for the initial load. The events of one batch are
//! folded first: an object that several of them touch, or that depends on several objects they touch, is compiled
//! once, in its end state. Reverse references (service to routes, consumer to credentials, name to upstreams) are
//! kept so that a change costs what depends on it, whatever else is configured. An object that cannot be used is
//! logged with its key and the reason, never with its values, and fails closed; it does not stop the rest.
//! Bench: `benches/compile.rs`.

mod consumers;
mod dependents;
mod key;
mod logins;
mod metadata;
mod node;
mod plugins;
mod read;
mod routes;
mod secrets;
#[cfg(test)]
mod tests;
mod upstreams;

use super::change::Change;
use crate::base::map::HashMap;
use crate::limit::Table;
use crate::plugin::{Rules, registry};
use crate::resource::PREFIX;
use crate::secret::env::Environment;
use crate::secret::{Board, Secret};
use crate::store::Event;
use crate::upstream::KeepalivePool;
use consumers::Consumers;
use key::Object;
use metadata::MetadataUsers;
use plugins::{Catalog, PluginSet};
use read::{Rejected, is_object, read};
use routes::Routes;
use secrets::Secrets;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use upstreams::Upstreams;

/// What the compiler made of some events.
#[derive(Debug, Default)]
pub struct Compiled {
    /// For every worker, in order.
    pub changes: Vec<Change>,
    /// Domain names that upstream nodes now need and did not before; lower case.
    pub names_wanted: Vec<Box<str>>,
    /// Domain names that no node needs any more; lower case.
    pub names_released: Vec<Box<str>>,
    /// Secret resources that are configured anew.
    pub managers: Vec<ManagerChange>,
    /// References to secret managers that configurations now hold and did not before.
    pub secrets_wanted: Vec<Box<str>>,
    /// References to secret managers that no configuration holds any more.
    pub secrets_released: Vec<Box<str>>,
}

/// A secret resource appeared, changed or went. It may hold a token, so it has no `Debug` of its own text.
pub struct ManagerChange {
    /// `<manager>/<id>`.
    pub name: Box<str>,
    /// Its JSON text; `None`: it went.
    pub configuration: Option<Arc<str>>,
}

impl fmt::Debug for ManagerChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ManagerChange").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Holds what is needed to compile the next change.
pub struct Compiler {
    prefix: Box<str>,
    catalog: Catalog,
    upstreams: Upstreams,
    routes: Routes,
    consumers: Consumers,
    global_rules: BTreeMap<Box<str>, Arc<PluginSet>>,
    /// They are merged once per batch.
    are_global_rules_dirty: bool,
    metadata_users: MetadataUsers,
}

/// An object that only carries plugins: plugin config, consumer group, global rule.
#[derive(serde::Deserialize)]
struct PluginsSpec {
    #[serde(default)]
    plugins: Map<String, Value>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new(PREFIX, KeepalivePool::default(), Rules::default())
    }
}

/// Says nothing of what is configured: the compiler holds secrets.
impl fmt::Debug for Compiler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Compiler").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Compiler {
    /// A compiler for keys below `prefix` (`/apisix`; empty for file configurations). `keepalive` is for upstreams
    /// that do not say (`nginx_config.http.upstream.keepalive*`), `rules` for plugins.
    pub fn new(prefix: &str, keepalive: KeepalivePool, rules: Rules) -> Self {
        Self::with_catalog(prefix, keepalive, Catalog::new(registry::PLUGINS, rules))
    }

    fn with_catalog(prefix: &str, keepalive: KeepalivePool, catalog: Catalog) -> Self {
        Self {
            prefix: prefix.into(),
            catalog,
            upstreams: Upstreams::new(keepalive),
            routes: Routes::default(),
            consumers: Consumers::default(),
            global_rules: BTreeMap::new(),
            are_global_rules_dirty: false,
            metadata_users: MetadataUsers::default(),
        }
    }

    /// Lets plugins count in `limits`, which all workers share.
    #[must_use]
    pub fn counting_in(mut self, limits: Arc<Table>) -> Self {
        self.catalog.count_in(limits);
        self
    }

    /// Reads references to the environment from `environment`, and tells `board` how references are doing.
    #[must_use]
    pub fn resolving(mut self, environment: Environment, board: Arc<Board>) -> Self {
        self.catalog.secrets = Secrets::new(environment, board);
        self
    }

    /// Whether references in secret fields of plugins stand for themselves where they are not resolved.
    #[must_use]
    pub fn using_unresolved_literals(mut self, is_on: bool) -> Self {
        self.catalog.unresolved_literals = is_on;
        self
    }

    /// Takes events in order. An object that cannot be used is logged and fails closed; it never stops the rest.
    ///
    /// An object that cannot be used takes the place of the one before it all the same: less may have been asked of
    /// requests before. Only a text that is no JSON object at all says nothing, and leaves what was there.
    pub fn apply(&mut self, events: &[Event]) -> Compiled {
        let mut out = Compiled::default();
        let prefix = self.prefix.clone();
        let mut others = Vec::new();
        // What plugins are told comes first, so that what is built in this batch is built by it.
        for event in folded(events) {
            match Object::of(&prefix, &event.key) {
                Some(Object::PluginMetadata(name)) => {
                    log_refused(event, self.put_metadata(name, event.value.as_deref()));
                }
                Some(object) => others.push((object, event)),
                None => {}
            }
        }
        for (object, event) in others {
            self.are_global_rules_dirty |= matches!(object, Object::GlobalRule(_));
            self.forget_metadata_user(&event.key, object);
            if !matches!(object, Object::Upstream(_) | Object::Secret(_)) {
                self.catalog.secrets.hold(event, &mut out);
            }
            let outcome = self.take(object, event, &mut out);
            if outcome.is_err() && event.value.as_deref().is_some_and(is_object) {
                self.close(object, event, &mut out);
            }
            log_refused(event, outcome);
            self.note_metadata_user(&event.key, object);
        }
        if std::mem::take(&mut self.are_global_rules_dirty) {
            out.changes.push(Change::GlobalRules(plugins::merge_global_rules(self.global_rules.values())));
        }
        self.consumers.compile_dirty(&self.catalog, &self.prefix, &mut out);
        self.routes.compile_dirty(&mut out);
        self.upstreams.settle_names(&mut out);
        out
    }

    /// Takes a name's current addresses; returns the upstreams that change by it.
    pub fn resolved(&mut self, name: &str, addresses: &[IpAddr]) -> Vec<Change> {
        self.upstreams.resolved(name, addresses)
    }

    /// Takes what a reference stands for now, or that it stands for nothing; what holds it is compiled again.
    pub fn secret(&mut self, reference: &str, value: Option<Secret>) -> Compiled {
        let holders = self.catalog.secrets.set(reference, value);
        self.apply(&holders)
    }

    /// Notes one object's new state; what depends on it is marked for compilation.
    fn take(&mut self, object: Object<'_>, event: &Event, out: &mut Compiled) -> Result<(), Rejected> {
        let Self { catalog, upstreams, routes, consumers, global_rules, .. } = self;
        match (object, event.value.as_deref()) {
            (Object::Route(id), Some(text)) => routes.put_route(catalog, upstreams, &event.key, id, text, out)?,
            (Object::Route(id), None) => routes.remove_route(upstreams, id, out),
            (Object::Service(id), Some(text)) => routes.put_service(catalog, upstreams, &event.key, id, text, out)?,
            (Object::Service(id), None) => routes.remove_service(upstreams, id, out),
            (Object::Upstream(id), Some(text)) => upstreams.put(id, &read(text)?, out),
            (Object::Upstream(id), None) => upstreams.remove(id, out),
            (Object::Consumer(username), Some(text)) => {
                consumers.put_consumer(catalog, &event.key, username, event.revision, text)?;
            }
            (Object::Consumer(_), None) => consumers.remove_consumer(&event.key),
            (Object::Credential { .. }, Some(text)) => {
                consumers.put_credential(catalog, &event.key, event.revision, text)?;
            }
            (Object::Credential { .. }, None) => consumers.remove_credential(&event.key),
            (Object::Secret(name), text) => {
                out.managers.push(ManagerChange { name: name.into(), configuration: text.map(Into::into) });
            }
            (Object::PluginConfig(id), text) => routes.set_plugin_config(id, plugins_of(catalog, &event.key, text)?),
            (Object::ConsumerGroup(id), text) => consumers.set_group(id, plugins_of(catalog, &event.key, text)?),
            (Object::GlobalRule(id), text) => match plugins_of(catalog, &event.key, text)? {
                Some(plugins) => drop(global_rules.insert(id.into(), plugins)),
                None => drop(global_rules.remove(id)),
            },
            // Taken before everything else.
            (Object::PluginMetadata(_), _) => {}
        }
        Ok(())
    }

    /// Lets an object that cannot be used count as gone, which closes what needs it. Of a global rule requests would need
    /// nothing any more: it refuses them all.
    fn close(&mut self, object: Object<'_>, event: &Event, out: &mut Compiled) {
        if let Object::GlobalRule(id) = object {
            self.global_rules.insert(id.into(), Arc::new(PluginSet::unusable(&event.key)));
            return;
        }
        let gone = Event { value: None, ..event.clone() };
        log_refused(event, self.take(object, &gone, out));
    }
}

fn log_refused(event: &Event, outcome: Result<(), Rejected>) {
    if let Err(reason) = outcome {
        tracing::error!(key = &*event.key, %reason, "object is not taken");
    }
}

fn plugins_of(catalog: &Catalog, key: &str, text: Option<&str>) -> Result<Option<Arc<PluginSet>>, Rejected> {
    let Some(text) = text else { return Ok(None) };
    let PluginsSpec { plugins } = read(text)?;
    Ok(Some(catalog.build(key, plugins)))
}

/// The last event of each key, in order.
fn folded(events: &[Event]) -> impl Iterator<Item = &Event> {
    let mut last: HashMap<&str, usize> = HashMap::default();
    // One event is by far the most frequent batch.
    if events.len() > 1 {
        last.reserve(events.len());
        last.extend(events.iter().enumerate().map(|(index, event)| (&*event.key, index)));
    }
    events
        .iter()
        .enumerate()
        .filter(move |(index, event)| last.get(&*event.key).is_none_or(|last| last == index))
        .map(|(_, event)| event)
}
