//! Consumers, their groups and their credentials (spec/consumers-credentials-secrets §3, §4).
//!
//! Built for a million of each: what is kept per object is its references, its built plugins, and for a credential
//! the JSON text of its one plugin. Credentials are kept in key order, so that those of a consumer lie together and a
//! consumer needs no list of them.

use super::Compiled;
use super::dependents::Dependents;
use super::logins::{LoginName, Logins};
use super::plugins::{Broken, Catalog, Login, PluginSet};
use super::read::{Rejected, read};
use crate::auth::consumer::{Consumer, Credential, Identity};
use crate::base::map::HashMap;
use crate::plugin::chain::Link;
use crate::resource::Id;
use crate::resource::consumer::{ConsumerSpec, is_custom_id};
use crate::resource::credential::CredentialSpec;
use crate::snapshot::change::Change;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Consumers, consumer groups and credentials.
#[derive(Default)]
pub(super) struct Consumers {
    /// By whole key.
    by_key: HashMap<Arc<str>, Entry>,
    /// By whole key; also those whose consumer does not exist (yet).
    credentials: BTreeMap<Arc<str>, CredentialEntry>,
    groups: HashMap<Box<str>, Arc<PluginSet>>,
    by_group: Dependents,
    logins: Logins,
    /// Whole keys of the consumers that the batch touched, existing or not.
    dirty: BTreeSet<Arc<str>>,
    /// Counts credentials built, see [`Credential::version`].
    version: u64,
}

struct Entry {
    revision: u64,
    username: Arc<str>,
    group_id: Option<Box<str>>,
    custom_id: Option<Box<str>>,
    plugins: Arc<PluginSet>,
    /// Its own authentication plugins.
    logins: Box<[Login]>,
    /// What it lays over routes: its group's plugins and its own. One allocation for all its identities, because
    /// workers tell merged chains apart by its address.
    links: Arc<[Link]>,
}

struct CredentialEntry {
    revision: u64,
    login: Login,
}

impl Consumers {
    /// Takes the consumer at `key`.
    pub(super) fn put_consumer(
        &mut self,
        catalog: &Catalog,
        key: &Arc<str>,
        username: &str,
        revision: u64,
        text: &str,
    ) -> Result<(), Rejected> {
        let mut spec: ConsumerSpec = read(text)?;
        let custom_id = spec.labels.get("custom_id").and_then(|label| label.as_str());
        if custom_id.is_some_and(|label| !is_custom_id(label)) {
            return Err(Rejected("labels.custom_id has white space or control characters".into()));
        }
        let custom_id = custom_id.filter(|label| !label.is_empty()).map(Into::into);

        let mut logins = Vec::new();
        let auth_names: Vec<String> =
            spec.plugins.keys().filter(|name| catalog.auth(name).is_some()).cloned().collect();
        for name in auth_names {
            let Some(configuration) = spec.plugins.shift_remove(&name) else { continue };
            logins.extend(usable_login(key, &name, catalog.login(key, &name, configuration)));
        }
        let plugins = catalog.build_for_consumer(key, username, spec.plugins);
        let entry = Entry {
            revision,
            username: username.into(),
            group_id: spec.group_id.map(|Id(id)| id.into()),
            custom_id,
            plugins,
            logins: logins.into(),
            links: Arc::default(),
        };
        let before = self.by_key.remove(key);
        self.move_entry(key, before.as_ref(), Some(&entry));
        self.by_key.insert(Arc::clone(key), entry);
        Ok(())
    }

    /// The consumer at `key` went. Its credentials cannot be used until it is back.
    pub(super) fn remove_consumer(&mut self, key: &Arc<str>) {
        if let Some(before) = self.by_key.remove(key) {
            self.move_entry(key, Some(&before), None);
        }
    }

    /// Takes the credential at `key`.
    pub(super) fn put_credential(
        &mut self,
        catalog: &Catalog,
        key: &Arc<str>,
        revision: u64,
        text: &str,
    ) -> Result<(), Rejected> {
        let spec: CredentialSpec = read(text)?;
        if spec.plugins.len() > 1 {
            return Err(Rejected("plugins has more than one member".into()));
        }
        let login = spec
            .plugins
            .into_iter()
            .next()
            .and_then(|(name, configuration)| usable_login(key, &name, catalog.login(key, &name, configuration)));
        self.remove_credential(key);
        if let Some(login) = login {
            self.logins.add(&login, key);
            self.credentials.insert(Arc::clone(key), CredentialEntry { revision, login });
        }
        Ok(())
    }

    /// The credential at `key` went.
    pub(super) fn remove_credential(&mut self, key: &str) {
        if let Some(before) = self.credentials.remove(key) {
            self.logins.remove(&before.login, key);
        }
    }

    /// The object `consumer_groups/{id}` as it is now.
    pub(super) fn set_group(&mut self, id: &str, plugins: Option<Arc<PluginSet>>) {
        match plugins {
            Some(plugins) => drop(self.groups.insert(id.into(), plugins)),
            None => drop(self.groups.remove(id)),
        }
        self.dirty.extend(self.by_group.of(id).cloned());
    }

    /// The consumer group, if it is known.
    pub(super) fn group(&self, id: &str) -> Option<&Arc<PluginSet>> {
        self.groups.get(id)
    }

    /// The plugins of the consumer at `key`, authentication plugins left out, if it is known.
    pub(super) fn plugins_of(&self, key: &str) -> Option<&Arc<PluginSet>> {
        self.by_key.get(key).map(|entry| &entry.plugins)
    }

    /// Lets a consumer that is known have `plugins`.
    pub(super) fn set_plugins_of(&mut self, key: &Arc<str>, plugins: Arc<PluginSet>) {
        if let Some(entry) = self.by_key.get_mut(key) {
            entry.plugins = plugins;
            self.dirty.insert(Arc::clone(key));
        }
    }

    /// Compiles every consumer and every login that the batch touched.
    pub(super) fn compile_dirty(&mut self, catalog: &Catalog, prefix: &str, out: &mut Compiled) {
        for key in std::mem::take(&mut self.dirty) {
            self.compile_consumer(catalog, prefix, &key, out);
        }
        for name in self.logins.take_dirty() {
            let credential = self.winner(catalog, &name).map(Arc::new);
            if self.logins.settle(&name, credential.is_some()) {
                out.changes.push(Change::Credential { plugin: name.plugin, key: name.lookup, credential });
            }
        }
    }

    fn compile_consumer(&mut self, catalog: &Catalog, prefix: &str, key: &Arc<str>, out: &mut Compiled) {
        for (_, credential) in credentials_of(&self.credentials, key) {
            self.logins.touch(&credential.login);
        }
        let Some(entry) = self.by_key.get_mut(key) else {
            let username = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("/consumers/"));
            out.changes.push(Change::Consumer { username: username.unwrap_or_default().into(), consumer: None });
            return;
        };
        for login in &entry.logins {
            self.logins.touch(login);
        }
        entry.links = entry.compile_links(catalog, &self.groups).unwrap_or_else(|reason| {
            tracing::error!(key = &**key, reason, "consumer cannot be served: its requests are answered 503");
            catalog.unusable()
        });
        let username = Arc::clone(&entry.username);
        // The original shows upstreams no custom id of an anonymous consumer (spec/jwt-auth §8.2).
        let anonymous = Arc::new(entry.identity(None, None));
        let consumer = Consumer { username: (&*username).into(), anonymous };
        out.changes.push(Change::Consumer { username, consumer: Some(Arc::new(consumer)) });
    }

    /// What a login names: of several objects that claim it, the one written last.
    fn winner(&mut self, catalog: &Catalog, name: &LoginName) -> Option<Credential> {
        let mut claims: Vec<(u64, Arc<str>)> = self
            .logins
            .owners(name)
            .iter()
            .filter_map(|key| Some((self.claim(name, key)?.revision, Arc::clone(key))))
            .collect();
        claims.sort_unstable_by(|one, other| other.cmp(one));
        if let [(_, first), (_, second), ..] = claims.as_slice() {
            tracing::warn!(
                key = &**first,
                over = &**second,
                claims = claims.len(),
                plugin = name.plugin,
                "several objects claim the same key: the one written last is used"
            );
        }
        let (credential, version) = claims.iter().find_map(|(_, key)| {
            let claim = self.claim(name, key)?;
            let material = catalog
                .material(claim.login)
                .inspect_err(|reason| {
                    tracing::error!(key = &**key, plugin = name.plugin, reason, "cannot be used to authenticate");
                })
                .ok()?;
            if let Some(fault) = material.fault() {
                tracing::warn!(key = &**key, plugin = name.plugin, %fault, "no token can be verified with it");
            }
            if let Some(fault) = material.signing_fault() {
                tracing::warn!(key = &**key, plugin = name.plugin, %fault, "no token can be signed with its private_key");
            }
            let version = self.version + 1;
            let identity = claim.consumer.identity(claim.credential_id, claim.consumer.custom_id.as_deref());
            Some((Credential { identity: Arc::new(identity), material, version }, version))
        })?;
        self.version = version;
        Some(credential)
    }

    /// What the object at `key` contributes to a login; `None` where its consumer does not exist.
    fn claim<'a>(&'a self, name: &LoginName, key: &'a str) -> Option<Claim<'a>> {
        if let Some(CredentialEntry { revision, login }) = self.credentials.get(key) {
            let (consumer_key, credential_id) = key.rsplit_once(BETWEEN)?;
            let consumer = self.by_key.get(consumer_key)?;
            return Some(Claim { revision: *revision, consumer, login, credential_id: Some(credential_id) });
        }
        let consumer = self.by_key.get(key)?;
        let login = consumer.logins.iter().find(|login| login.plugin == name.plugin && login.lookup == name.lookup)?;
        Some(Claim { revision: consumer.revision, consumer, login, credential_id: None })
    }

    /// Keeps the reverse references right while a consumer's entry changes, and marks it for compilation.
    fn move_entry(&mut self, key: &Arc<str>, before: Option<&Entry>, now: Option<&Entry>) {
        for login in before.into_iter().flat_map(|entry| &entry.logins) {
            self.logins.remove(login, key);
        }
        for login in now.into_iter().flat_map(|entry| &entry.logins) {
            self.logins.add(login, key);
        }
        let group = |entry: Option<&'_ Entry>| entry.and_then(|entry| entry.group_id.clone());
        self.by_group.move_to(key, group(before).as_deref(), group(now).as_deref());
        self.dirty.insert(Arc::clone(key));
    }
}

/// One object's claim to a login.
struct Claim<'a> {
    revision: u64,
    consumer: &'a Entry,
    login: &'a Login,
    credential_id: Option<&'a str>,
}

impl Entry {
    fn compile_links(
        &self,
        catalog: &Catalog,
        groups: &HashMap<Box<str>, Arc<PluginSet>>,
    ) -> Result<Arc<[Link]>, String> {
        let mut sets = vec![&self.plugins];
        if let Some(id) = &self.group_id {
            sets.push(groups.get(id).ok_or_else(|| format!("consumer group {id} does not exist"))?);
        }
        catalog.overlay(&sets).map_err(|Broken(name)| format!("plugin {name} cannot run"))
    }

    fn identity(&self, credential_id: Option<&str>, custom_id: Option<&str>) -> Identity {
        Identity {
            username: (&*self.username).into(),
            group_id: self.group_id.clone(),
            credential_id: credential_id.map(Into::into),
            fields: Identity::render_fields(&self.username, credential_id, custom_id),
            plugins: Arc::clone(&self.links),
        }
    }
}

/// Logs what makes a login unusable; such an entry is left out, so its tokens are refused
/// (spec/consumers-credentials-secrets §3.4).
fn usable_login(key: &str, plugin: &str, login: Result<Option<Login>, String>) -> Option<Login> {
    login.inspect_err(|reason| tracing::error!(key, plugin, reason, "cannot be used to authenticate")).ok().flatten()
}

/// The credentials of the consumer at `key`.
fn credentials_of<'a>(
    credentials: &'a BTreeMap<Arc<str>, CredentialEntry>,
    key: &str,
) -> impl Iterator<Item = (&'a Arc<str>, &'a CredentialEntry)> + use<'a> {
    let start = format!("{key}{BETWEEN}");
    let range = credentials.range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded));
    range.take_while(move |(key, _)| key.starts_with(start.as_str()))
}

/// Between a consumer's key and a credential's id.
const BETWEEN: &str = "/credentials/";
