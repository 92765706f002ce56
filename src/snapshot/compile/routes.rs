//! Routes with what they refer to: services and plugin configs (spec/routing-and-upstreams §4).
//!
//! A route is compiled when it changes and when its service or plugin config does; each at most once per batch of
//! events. What a route needs for that is kept with its plugins built and its upstream compiled.

use super::dependents::Dependents;
use super::plugins::{self, Broken, Catalog, PluginSet};
use super::read::{Rejected, read};
use super::upstreams::{Source, Upstreams};
use super::{Compiled, node};
use crate::base::map::HashMap;
use crate::plugin::Chain;
use crate::resource::Id;
use crate::resource::route::RouteSpec;
use crate::resource::service::ServiceSpec;
use crate::route::{Route, Rule, RuleParts, Target};
use crate::snapshot::change::Change;
use crate::upstream::Timeouts;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Routes, services and plugin configs.
#[derive(Default)]
pub(super) struct Routes {
    by_id: HashMap<Arc<str>, Entry>,
    services: HashMap<Box<str>, Service>,
    plugin_configs: HashMap<Box<str>, Arc<PluginSet>>,
    by_service: Dependents,
    by_plugin_config: Dependents,
    /// Routes to compile at the end of the batch, in order of their ids.
    dirty: BTreeSet<Arc<str>>,
}

struct Entry {
    /// Without `plugins` and `upstream`, which are compiled below.
    spec: RouteSpec,
    plugins: Arc<PluginSet>,
    source: Source,
    timeouts: Option<Timeouts>,
    /// Why it is served as 503, whatever it refers to.
    fault: Option<String>,
    /// Workers have it.
    is_live: bool,
}

struct Service {
    name: Option<String>,
    hosts: Vec<String>,
    plugins: Arc<PluginSet>,
    source: Source,
    enable_websocket: Option<bool>,
}

impl Routes {
    /// Takes the object `routes/{id}`, which is stored at `key`.
    ///
    /// Unless it is rejected it is served; one with a member that we do not know as 503, or not at all while the route
    /// before it is served (spec/config-sources §2.1).
    pub(super) fn put_route(
        &mut self,
        catalog: &Catalog,
        upstreams: &mut Upstreams,
        key: &str,
        id: &str,
        text: &str,
        out: &mut Compiled,
    ) -> Result<(), Rejected> {
        let value: Value = read(text)?;
        let is_foreign = has_foreign_member(&value);
        let has_script_id = value.get("script_id").is_some();
        let mut spec: RouteSpec = serde_json::from_value(value).map_err(|error| Rejected::json(&error))?;
        if is_foreign && self.by_id.contains_key(id) {
            tracing::error!(key, reason = FOREIGN_MEMBER, "object is not taken: the route before it is served");
            return Ok(());
        }
        if spec.status == Some(0) {
            self.remove_route(upstreams, id, out);
            return Ok(());
        }
        if has_script_id || spec.script.is_some() || spec.filter_func.is_some() {
            self.remove_route(upstreams, id, out);
            return Err(Rejected("filter_func and script are not supported: the route is not served".into()));
        }
        rule(&spec, &[])?;
        let timeouts = spec.timeout.as_ref().map(node::timeouts).transpose();
        let (timeouts, fault) = match timeouts {
            _ if is_foreign => (None, Some(FOREIGN_MEMBER.to_owned())),
            Ok(timeouts) => (timeouts, None),
            Err(reason) => (None, Some(reason)),
        };

        let owner = format!("/routes/{id}");
        let id: Arc<str> = id.into();
        let before = self.by_id.remove(&id);
        let reference = |entry: &Option<Entry>, of: fn(&RouteSpec) -> &Option<Id>| {
            entry.as_ref().and_then(|entry| of(&entry.spec).clone()).map(|Id(id)| id)
        };
        let (service_before, config_before) =
            (reference(&before, |spec| &spec.service_id), reference(&before, |spec| &spec.plugin_config_id));
        self.by_service.move_to(&id, service_before.as_deref(), text_of(spec.service_id.as_ref()));
        self.by_plugin_config.move_to(&id, config_before.as_deref(), text_of(spec.plugin_config_id.as_ref()));

        let (source_before, is_live) = before.map_or((Source::None, false), |entry| (entry.source, entry.is_live));
        let source =
            upstreams.source(&owner, source_before, spec.upstream_id.as_ref(), spec.upstream.take().as_ref(), out);
        let plugins = catalog.build(key, std::mem::take(&mut spec.plugins));
        self.by_id.insert(Arc::clone(&id), Entry { spec, plugins, source, timeouts, fault, is_live });
        self.dirty.insert(id);
        Ok(())
    }

    /// The object `routes/{id}` went, or is switched off.
    pub(super) fn remove_route(&mut self, upstreams: &mut Upstreams, id: &str, out: &mut Compiled) {
        let Some((id, entry)) = self.by_id.remove_entry(id) else { return };
        self.by_service.move_to(&id, text_of(entry.spec.service_id.as_ref()), None);
        self.by_plugin_config.move_to(&id, text_of(entry.spec.plugin_config_id.as_ref()), None);
        upstreams.release(entry.source, out);
        self.dirty.remove(&id);
        if entry.is_live {
            out.changes.push(Change::Route { id, route: None });
        }
    }

    /// Takes the object `services/{id}`, which is stored at `key`.
    pub(super) fn put_service(
        &mut self,
        catalog: &Catalog,
        upstreams: &mut Upstreams,
        key: &str,
        id: &str,
        text: &str,
        out: &mut Compiled,
    ) -> Result<(), Rejected> {
        let spec: ServiceSpec = read(text)?;
        let owner = format!("/services/{id}");
        let before = self.services.remove(id).map(|service| service.source).unwrap_or_default();
        let source = upstreams.source(&owner, before, spec.upstream_id.as_ref(), spec.upstream.as_ref(), out);
        let plugins = catalog.build(key, spec.plugins);
        let service =
            Service { name: spec.name, hosts: spec.hosts, plugins, source, enable_websocket: spec.enable_websocket };
        self.services.insert(id.into(), service);
        self.dirty.extend(self.by_service.of(id).cloned());
        Ok(())
    }

    /// The object `services/{id}` went.
    pub(super) fn remove_service(&mut self, upstreams: &mut Upstreams, id: &str, out: &mut Compiled) {
        let Some(service) = self.services.remove(id) else { return };
        upstreams.release(service.source, out);
        self.dirty.extend(self.by_service.of(id).cloned());
    }

    /// The object `plugin_configs/{id}` as it is now.
    pub(super) fn set_plugin_config(&mut self, id: &str, plugins: Option<Arc<PluginSet>>) {
        match plugins {
            Some(plugins) => drop(self.plugin_configs.insert(id.into(), plugins)),
            None => drop(self.plugin_configs.remove(id)),
        }
        self.dirty.extend(self.by_plugin_config.of(id).cloned());
    }

    /// The plugins of the route, if it is known.
    pub(super) fn plugins_of_route(&self, id: &str) -> Option<&Arc<PluginSet>> {
        self.by_id.get(id).map(|entry| &entry.plugins)
    }

    /// The plugins of the service, if it is known.
    pub(super) fn plugins_of_service(&self, id: &str) -> Option<&Arc<PluginSet>> {
        self.services.get(id).map(|service| &service.plugins)
    }

    /// The plugin config, if it is known.
    pub(super) fn plugin_config(&self, id: &str) -> Option<&Arc<PluginSet>> {
        self.plugin_configs.get(id)
    }

    /// Lets a route that is known have `plugins`.
    pub(super) fn set_plugins_of_route(&mut self, id: &str, plugins: Arc<PluginSet>) {
        if let Some(entry) = self.by_id.get_mut(id) {
            entry.plugins = plugins;
            self.dirty.insert(id.into());
        }
    }

    /// Lets a service that is known have `plugins`.
    pub(super) fn set_plugins_of_service(&mut self, id: &str, plugins: Arc<PluginSet>) {
        if let Some(service) = self.services.get_mut(id) {
            service.plugins = plugins;
            self.dirty.extend(self.by_service.of(id).cloned());
        }
    }

    /// Compiles every route that the batch touched.
    pub(super) fn compile_dirty(&mut self, out: &mut Compiled) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.by_id.get(&id) else { continue };
            let route = self.compile(&id, entry);
            let Some(entry) = self.by_id.get_mut(&id) else { continue };
            let was_live = std::mem::replace(&mut entry.is_live, route.is_some());
            if route.is_some() || was_live {
                out.changes.push(Change::Route { id, route });
            }
        }
    }

    /// `None`: what the route asks for cannot be matched, so it cannot even refuse.
    fn compile(&self, id: &str, entry: &Entry) -> Option<Arc<Route>> {
        let spec = &entry.spec;
        let service = text_of(spec.service_id.as_ref()).and_then(|id| self.services.get(id));
        let inherited_hosts = service.map_or(&[][..], |service| &service.hosts);
        let rule = match rule(spec, inherited_hosts) {
            Ok(rule) => rule,
            Err(Rejected(reason)) => {
                tracing::error!(key = format!("/routes/{id}"), reason, "route is not served");
                return None;
            }
        };
        let (target, chain) = self.run(entry, service).unwrap_or_else(|(target, reason)| {
            tracing::error!(key = format!("/routes/{id}"), reason, "route cannot be served: it answers an error");
            (target, Arc::new(Chain::default()))
        });
        let enable_websocket = spec.enable_websocket.or_else(|| service?.enable_websocket).unwrap_or(false);
        Some(Arc::new(Route {
            id: id.into(),
            name: spec.name.as_deref().map(Into::into),
            service_id: text_of(spec.service_id.as_ref()).map(Into::into),
            service_name: service.and_then(|service| service.name.as_deref()).map(Into::into),
            rule,
            chain,
            target,
            timeouts: entry.timeouts,
            enable_websocket,
        }))
    }

    /// What runs and where requests go; or which error they get and why.
    fn run(&self, entry: &Entry, service: Option<&Service>) -> Result<(Target, Arc<Chain>), (Target, String)> {
        if let Some(fault) = &entry.fault {
            return Err((Target::Unusable, fault.clone()));
        }
        let mut sets = vec![&entry.plugins];
        if let Some(Id(id)) = &entry.spec.plugin_config_id {
            let config = self.plugin_configs.get(id.as_str());
            sets.push(config.ok_or_else(|| (Target::Unusable, format!("plugin_config {id} does not exist")))?);
        }
        if let Some(Id(id)) = &entry.spec.service_id {
            let service = service.ok_or_else(|| (Target::ServiceMissing, format!("service {id} does not exist")))?;
            sets.push(&service.plugins);
        }
        let chain =
            plugins::merge(&sets).map_err(|Broken(name)| (Target::Unusable, format!("plugin {name} cannot run")))?;
        let slot = entry.source.slot().or_else(|| service?.source.slot());
        Ok((slot.map_or(Target::None, Target::Upstream), chain))
    }
}

/// What a request must look like. A route without hosts has its service's.
fn rule(spec: &RouteSpec, inherited_hosts: &[String]) -> Result<Rule, Rejected> {
    let own_hosts: Vec<String> = spec.host.iter().chain(&spec.hosts).cloned().collect();
    let parts = RuleParts {
        uris: spec.uri.iter().chain(&spec.uris).cloned().collect(),
        hosts: if own_hosts.is_empty() { inherited_hosts.to_vec() } else { own_hosts },
        priority: spec.priority,
        methods: spec.methods.clone(),
        remote_addrs: spec.remote_addr.iter().chain(&spec.remote_addrs).cloned().collect(),
        vars: spec.vars.as_ref(),
    };
    Rule::new(parts).map_err(|error| Rejected(error.to_string()))
}

/// Whether a route has a top-level member that we do not know. It could be a condition of a newer release, and a
/// route without one of its conditions is wider than its owner meant (spec/config-sources §2.1).
fn has_foreign_member(value: &Value) -> bool {
    value.as_object().map_or(&Map::new(), |members| members).keys().any(|name| !ROUTE_MEMBERS.contains(&name.as_str()))
}

fn text_of(id: Option<&Id>) -> Option<&str> {
    id.map(|Id(text)| text.as_str())
}

const FOREIGN_MEMBER: &str = "a member is unknown and could be a condition";

/// The members of APISIX's route schema, 3.18.
const ROUTE_MEMBERS: &[&str] = &[
    "create_time",
    "desc",
    "enable_websocket",
    "filter_func",
    "host",
    "hosts",
    "id",
    "labels",
    "methods",
    "name",
    "plugin_config_id",
    "plugins",
    "priority",
    "remote_addr",
    "remote_addrs",
    "script",
    "script_id",
    "service_id",
    "service_protocol",
    "status",
    "timeout",
    "update_time",
    "upstream",
    "upstream_id",
    "uri",
    "uris",
    "vars",
];
