//! Plugin configurations of one object, built once and shared by everything that merges them.
//!
//! In: a `plugins` object. Out: a [`PluginSet`]: for each name a link that runs, a name that is switched off, or a
//! name that cannot run. What cannot run stays in the set, so that whoever needs it fails closed instead of serving
//! without it (spec/config-sources §2.4).

use super::read::Rejected;
use super::secrets::Secrets;
use crate::auth::consumer::AuthMaterial;
use crate::base::map::HashMap;
use crate::http::answer::page;
use crate::limit::pace::Paces;
use crate::limit::{Settings, Table};
use crate::plugin::chain::{Chain, Link};
use crate::plugin::filter::Filter;
use crate::plugin::meta::{AwaitsSecret, Disabled, Meta, Refuses};
use crate::plugin::{PluginType, Rules, Side, Site};
use crate::schema::{Schema, holds_reference};
use crate::secret::wipe;
use serde_json::{Map, Value};
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// The plugin types with their schemas parsed.
pub(super) struct Catalog {
    known: HashMap<&'static str, Known>,
    rules: Rules,
    unusable: Arc<[Link]>,
    /// Shared by all objects without plugins: most consumers are such.
    no_plugins: Arc<PluginSet>,
    no_links: Arc<[Link]>,
    limits: Arc<Table>,
    paces: Arc<Paces>,
    /// What references stand for.
    pub(super) secrets: Secrets,
    /// See [`crate::secret::Settings::unresolved_literals`].
    pub(super) unresolved_literals: bool,
}

struct Known {
    kind: &'static PluginType,
    schema: Result<Schema, String>,
    consumer_schema: Option<Result<Schema, String>>,
    metadata_schema: Option<Result<Schema, String>>,
    /// What holds for all configurations of the plugin.
    metadata: Option<Value>,
}

impl Catalog {
    /// A catalog of `types`, which are built by `rules`.
    pub(super) fn new(types: &[&'static PluginType], rules: Rules) -> Self {
        let parse = |text: &str| -> Result<Schema, String> {
            let document: Value = serde_json::from_str(text).map_err(|error| format!("its schema: {error}"))?;
            Schema::parse(&document).map_err(|error| format!("its schema: {error}"))
        };
        let known = types.iter().map(|kind| {
            let consumer_schema = kind.auth.as_ref().map(|auth| parse(auth.consumer_schema));
            let metadata_schema = kind.metadata.as_ref().map(|metadata| parse(metadata.schema).map(Schema::literal));
            let schema = parse(kind.schema);
            (kind.name, Known { kind, schema, consumer_schema, metadata_schema, metadata: None })
        });
        Self {
            known: known.collect(),
            rules,
            unusable: Arc::from([unusable_link()]),
            no_plugins: Arc::new(PluginSet::new(Box::default())),
            no_links: Arc::default(),
            limits: Arc::new(Table::new(Settings::default().windows_max, 0, 0)),
            paces: Arc::default(),
            secrets: Secrets::default(),
            unresolved_literals: false,
        }
    }

    /// Lets the plugins count in `limits`.
    pub(super) fn count_in(&mut self, limits: Arc<Table>) {
        self.limits = limits;
    }

    /// The plugin type called `name`, if it is an authentication plugin.
    pub(super) fn auth(&self, name: &str) -> Option<&'static PluginType> {
        self.known.get(name).map(|known| known.kind).filter(|kind| kind.auth.is_some())
    }

    /// One link that answers every request with 503: plugins of a consumer that cannot be served.
    pub(super) fn unusable(&self) -> Arc<[Link]> {
        Arc::clone(&self.unusable)
    }

    /// Builds the plugins of the object at `key`. What cannot be built is logged and marked.
    pub(super) fn build(&self, key: &str, plugins: Map<String, Value>) -> Arc<PluginSet> {
        self.build_for(key, None, plugins)
    }

    /// [`Catalog::build`] for the consumer at `key`.
    pub(super) fn build_for_consumer(&self, key: &str, username: &str, plugins: Map<String, Value>) -> Arc<PluginSet> {
        self.build_for(key, Some(username), plugins)
    }

    fn build_for(&self, key: &str, consumer: Option<&str>, plugins: Map<String, Value>) -> Arc<PluginSet> {
        if plugins.is_empty() {
            return Arc::clone(&self.no_plugins);
        }
        let members = plugins.into_iter().map(|(name, configuration)| {
            let takes_metadata = self.known.get(&*name).is_some_and(|known| known.metadata_schema.is_some());
            let source = takes_metadata.then(|| configuration.to_string().into());
            Member { state: self.state(key, consumer, &name, configuration), name: name.into(), source }
        });
        Arc::new(PluginSet::new(members.collect()))
    }

    fn state(&self, key: &str, consumer: Option<&str>, name: &str, configuration: Value) -> State {
        let metadata = self.known.get(name).and_then(|known| known.metadata.as_ref());
        let site = Site { key, consumer, meta: None, metadata, paces: &self.paces, limits: &self.limits };
        self.build_one(name, configuration, site).unwrap_or_else(|reason| {
            tracing::error!(key, plugin = name, reason, "plugin cannot run: what uses it answers 503");
            State::Broken
        })
    }

    /// Tells the plugin called `name` what holds for all its configurations. Returns whether that is news.
    pub(super) fn set_metadata(&mut self, name: &str, metadata: Option<Value>) -> Result<bool, Rejected> {
        let Some(known) = self.known.get_mut(name) else { return Ok(false) };
        let (Some(schema), Some(kind)) = (&known.metadata_schema, &known.kind.metadata) else { return Ok(false) };
        if let Some(metadata) = &metadata {
            // The texts of both may quote what they refuse.
            let is_right = schema.as_ref().is_ok_and(|schema| schema.check(metadata).is_ok());
            if !is_right || (kind.check)(metadata).is_err() {
                return Err(Rejected("the plugin cannot use it: what it was told before stays".into()));
            }
        }
        let is_news = known.metadata != metadata;
        known.metadata = metadata;
        Ok(is_news)
    }

    /// `plugins`, which stand on the object at `key`, with the one called `name` built again.
    pub(super) fn rebuild(&self, key: &str, consumer: Option<&str>, plugins: &PluginSet, name: &str) -> Arc<PluginSet> {
        let rebuilt = plugins.members.iter().map(|member| {
            let source = member.source.as_deref().filter(|_| *member.name == *name);
            let configuration = source.and_then(|source| serde_json::from_str(source).ok());
            let state = match configuration {
                Some(configuration) => self.state(key, consumer, name, configuration),
                None => member.state.clone(),
            };
            Member { state, ..member.clone() }
        });
        Arc::new(PluginSet::new(rebuilt.collect()))
    }

    fn build_one(&self, name: &str, mut configuration: Value, site: Site<'_>) -> Result<State, String> {
        if Meta::of(&configuration)?.disable {
            return Ok(State::Off);
        }
        let known = self.known.get(name).ok_or("unknown plugin")?;
        let has_values = self.secrets.resolve(&mut configuration);
        // A filter that compares with a reference's own text could switch off the plugin that guards a route.
        let is_needed = |path: &&str| holds_reference_at(&configuration, path);
        let has_unresolved_secret = !self.unresolved_literals && known.kind.encrypted_fields.iter().any(is_needed);
        if is_needed(&"_meta") || has_unresolved_secret {
            let key = site.key;
            if self.secrets.awaits(&configuration) {
                tracing::debug!(key, plugin = name, "a secret of the plugin is awaited: what uses it answers 500");
            } else {
                tracing::error!(key, plugin = name, "a secret of the plugin is not resolved: what uses it answers 500");
            }
            return Ok(State::Runs(unresolved_link(known.kind)));
        }
        let built = known.build(&mut configuration, site);
        if has_values {
            let built = built.map_err(|reason| without_values(reason, &configuration));
            wipe(&mut configuration);
            return built;
        }
        built
    }

    /// What a consumer lays over a route: `sets` merged as by [`merge`], without authentication plugins; a plugin that
    /// is switched off becomes a link that does nothing, because it must hide the route's.
    pub(super) fn overlay(&self, sets: &[&Arc<PluginSet>]) -> Result<Arc<[Link]>, Broken> {
        let mut links = Vec::new();
        for member in effective(sets) {
            match &member.state {
                State::Runs(link) if link.is_auth => {}
                State::Runs(link) => links.push(link.clone()),
                // A name outside the catalog runs on no route either.
                State::Off => links.extend(self.known.get(&*member.name).map(|known| known.kind).map(|kind| Link {
                    name: kind.name,
                    priority: kind.priority,
                    is_auth: kind.auth.is_some(),
                    filter: None,
                    plugin: Arc::new(Disabled),
                })),
                State::Broken => return Err(Broken(member.name.clone())),
            }
        }
        Ok(if links.is_empty() { Arc::clone(&self.no_links) } else { links.into() })
    }

    /// Reads the consumer side of an authentication plugin on the object at `key` as far as its look-up attribute.
    ///
    /// `Ok(None)`: switched off by `_meta.disable`, or a secret is awaited. The rest is checked when it is built, by
    /// [`Catalog::material`]; where references stood, here: the schema is for what was written, and its words may quote
    /// what it judges.
    pub(super) fn login(&self, key: &str, name: &str, mut configuration: Value) -> Result<Option<Login>, String> {
        let known = self.known.get(name).filter(|known| known.kind.auth.is_some());
        let known = known.ok_or("not an authentication plugin")?;
        let attribute = known.kind.auth.as_ref().map_or("", |auth| auth.lookup_attribute);
        if Meta::of(&configuration)?.disable {
            return Ok(None);
        }
        if let Value::Object(members) = &mut configuration {
            members.shift_remove("_meta");
        }
        let is_checked = holds_reference(&configuration);
        if is_checked {
            known.check_credential(&configuration)?;
            self.secrets.resolve(&mut configuration);
            if self.secrets.awaits(&configuration) {
                tracing::debug!(key, plugin = name, "a secret is awaited: nobody can authenticate with it yet");
                return Ok(None);
            }
            if holds_reference(&configuration) {
                return Err("a secret reference is not resolved".into());
            }
        }
        let lookup = configuration.get(attribute).and_then(Value::as_str).filter(|value| !value.is_empty());
        let lookup: Arc<str> = lookup.ok_or_else(|| format!("{attribute} is missing"))?.into();
        let text = Zeroizing::new(configuration.to_string().into_boxed_str());
        if is_checked {
            wipe(&mut configuration);
        }
        Ok(Some(Login { plugin: known.kind.name, lookup, is_checked, configuration: text }))
    }

    /// Builds what verifies a login.
    pub(super) fn material(&self, login: &Login) -> Result<AuthMaterial, String> {
        let known = self.known.get(login.plugin).ok_or("unknown plugin")?;
        let auth = known.kind.auth.as_ref().ok_or("not an authentication plugin")?;
        let mut configuration: Value = serde_json::from_str(&login.configuration).map_err(|_| "not readable")?;
        if !login.is_checked {
            known.check_credential(&configuration)?;
            return (auth.build_credential)(&configuration, self.rules);
        }
        let built = (auth.build_credential)(&configuration, self.rules);
        let built = built.map_err(|reason| without_values(reason, &configuration));
        wipe(&mut configuration);
        built
    }
}

impl Known {
    /// Builds a plugin once its references are replaced; those left stand for themselves, in fields that hold no secret.
    fn build(&self, configuration: &mut Value, site: Site<'_>) -> Result<State, String> {
        let mut meta = Meta::of(configuration)?;
        let own_meta = match configuration {
            Value::Object(members) => members.shift_remove("_meta"),
            _ => None,
        };
        self.schema.as_ref().map_err(Clone::clone)?.check(configuration)?;
        (self.kind.check)(configuration, Side::Route)?;
        let plugin = (self.kind.build)(configuration, &Site { meta: own_meta.as_ref(), ..site })?;
        Ok(State::Runs(Link {
            name: self.kind.name,
            priority: meta.priority.unwrap_or(self.kind.priority),
            is_auth: self.kind.auth.is_some(),
            filter: meta.filter.take().map(|expression| Arc::new(Filter::new(expression, self.kind.first_phase))),
            plugin: meta.wrap(plugin),
        }))
    }

    fn check_credential(&self, configuration: &Value) -> Result<(), String> {
        let schema = self.consumer_schema.as_ref().ok_or("not an authentication plugin")?;
        schema.as_ref().map_err(Clone::clone)?.check(configuration)?;
        (self.kind.check)(configuration, Side::Consumer)
    }
}

/// The consumer side of an authentication plugin on one object. Holds secrets, so it has no `Debug`.
pub(super) struct Login {
    /// The plugin.
    pub(super) plugin: &'static str,
    /// The value of its look-up attribute.
    pub(super) lookup: Arc<str>,
    /// It was checked before its references were replaced.
    is_checked: bool,
    /// The configuration as JSON text: a tenth of the size of its parsed form, kept for every credential.
    configuration: Zeroizing<Box<str>>,
}

/// The plugins of one object.
pub(super) struct PluginSet {
    members: Box<[Member]>,
    /// Of this object alone, which is what most routes of a service share. Made when first asked for.
    chain: OnceLock<Result<Arc<Chain>, Broken>>,
}

#[derive(Clone)]
struct Member {
    name: Box<str>,
    state: State,
    /// The configuration as JSON text, where it may have to be built again: for plugins that take metadata.
    source: Option<Box<str>>,
}

#[derive(Clone)]
enum State {
    Runs(Link),
    Off,
    Broken,
}

impl PluginSet {
    fn new(members: Box<[Member]>) -> Self {
        Self { members, chain: OnceLock::new() }
    }

    /// What stands for the object at `key` where it cannot be used: a plugin that cannot run, under a name that no other
    /// has, because a name that two global rules have counts in neither.
    pub(super) fn unusable(key: &str) -> Self {
        Self::new(Box::new([Member { name: key.into(), state: State::Broken, source: None }]))
    }

    fn chain(&self) -> Result<Arc<Chain>, Broken> {
        self.chain.get_or_init(|| chain_of(self.members.iter())).clone()
    }

    /// Whether no plugin is named.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The names of the plugins that metadata may change.
    pub(super) fn names_with_metadata(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|member| member.source.is_some()).map(|member| &*member.name)
    }

    /// The names of the plugins, whatever their state.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &*member.name)
    }
}

/// A plugin that is needed and cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken(pub(super) Box<str>);

/// The chain of `sets`, the first of which outranks the next, whole plugin by name
/// (spec/consumers-credentials-secrets §4.1).
pub(super) fn merge(sets: &[&Arc<PluginSet>]) -> Result<Arc<Chain>, Broken> {
    let mut filled = sets.iter().filter(|set| !set.is_empty());
    match (filled.next(), filled.next()) {
        (None, _) => Ok(Arc::new(Chain::default())),
        (Some(only), None) => only.chain(),
        _ => chain_of(effective(sets)),
    }
}

fn chain_of<'a>(members: impl Iterator<Item = &'a Member>) -> Result<Arc<Chain>, Broken> {
    let mut links = Vec::new();
    for member in members {
        match &member.state {
            State::Runs(link) => links.push(link.clone()),
            State::Off => {}
            State::Broken => return Err(Broken(member.name.clone())),
        }
    }
    Ok(Arc::new(Chain::new(links)))
}

/// The global rules as one chain: a plugin that two rules name is dropped from all of them
/// (spec/consumers-credentials-secrets §4.4); one that cannot run makes every request answer 503.
pub(super) fn merge_global_rules<'a>(rules: impl Iterator<Item = &'a Arc<PluginSet>>) -> Arc<Chain> {
    let rules: Vec<_> = rules.collect();
    let mut links = Vec::new();
    for member in rules.iter().flat_map(|rule| &rule.members) {
        if rules.iter().filter(|rule| rule.names().any(|name| name == &*member.name)).count() > 1 {
            tracing::error!(plugin = &*member.name, "plugin stands in several global rules: dropped from all of them");
            continue;
        }
        match &member.state {
            State::Runs(link) => links.push(link.clone()),
            State::Off => {}
            State::Broken => return Arc::new(Chain::new(vec![unusable_link()])),
        }
    }
    Arc::new(Chain::new(links))
}

/// The members that win their names.
fn effective<'a>(sets: &'a [&Arc<PluginSet>]) -> impl Iterator<Item = &'a Member> {
    sets.iter().enumerate().flat_map(move |(rank, set)| {
        let higher = sets.get(..rank).unwrap_or_default();
        set.members.iter().filter(move |member| !higher.iter().any(|set| set.names().any(|name| name == &*member.name)))
    })
}

/// Ahead of everything else that a consumer brings or a global rule runs.
fn unusable_link() -> Link {
    let plugin = Arc::new(Refuses(Arc::new(page(503))));
    Link { name: "unusable", priority: i64::MAX, is_auth: false, filter: None, plugin }
}

/// Ahead of everything else wherever `kind` stands, until its secret is resolved.
fn unresolved_link(kind: &PluginType) -> Link {
    let plugin = Arc::new(AwaitsSecret(Arc::new(page(500))));
    Link { name: kind.name, priority: i64::MAX, is_auth: false, filter: None, plugin }
}

/// Whether a reference stands at `path`, whose names are joined by dots and lead through lists, or below it.
fn holds_reference_at(value: &Value, path: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds_reference_at(item, path)),
        Value::Object(members) => match path.split_once('.') {
            Some((name, rest)) => members.get(name).is_some_and(|member| holds_reference_at(member, rest)),
            None => members.get(path).is_some_and(holds_reference),
        },
        _ => false,
    }
}

/// `reason`, unless it quotes a text of `configuration`, which may be a secret.
pub(super) fn without_values(reason: String, configuration: &Value) -> String {
    if quotes(&reason, configuration) { "a resolved value cannot be used".to_owned() } else { reason }
}

fn quotes(reason: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && reason.contains(text.as_str()),
        Value::Array(items) => items.iter().any(|item| quotes(reason, item)),
        Value::Object(members) => members.values().any(|member| quotes(reason, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
