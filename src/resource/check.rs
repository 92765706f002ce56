//! The checks of a write, in the order that a kind lists them (spec/admin-api §5).

use super::kind::{Kind, Naming};
use super::plugins::{self, Holder};
use super::{Id, Refusal, State, consumer, credential, secret};
use crate::plugin::{Rules, limit_count, registry};
use crate::schema::is_reference;
use serde_json::{Map, Value};

/// One step of judging an object.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// On the members alone; the text is the answer's.
    Members(fn(&Map<String, Value>) -> Result<(), String>),
    /// The kind's JSON schema, and that the object's own name is one.
    Schema,
    /// What the object refers to by id exists.
    Refers(&'static Reference),
    /// Each plugin is known and its configuration right; authentication plugins complete theirs.
    Plugins(Holder),
    /// No other consumer or credential has the same value of an authentication plugin's lookup attribute.
    AuthKeys,
    /// The consumer above exists.
    ConsumerExists,
    /// No other global rule names one of the plugins.
    GlobalPlugins,
    /// The secret manager above is one, and the object has what it needs.
    Manager,
}

/// A member that holds the id of another object.
#[derive(Debug)]
pub struct Reference {
    /// The member (`plugin_config_id`).
    pub member: &'static str,
    /// The directory of what it names (`plugin_configs`).
    pub directory: &'static str,
    /// What messages call that (`plugin config`).
    pub word: &'static str,
}

/// What is being written.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its kind.
    pub kind: &'static Kind,
    /// The prefix of all keys.
    pub prefix: &'a str,
    /// The consumer or the secret manager above, where the kind lives below one.
    pub parent: Option<&'a str>,
    /// The name asked for outside the object, if any.
    pub id: Option<&'a str>,
    /// What the configuration file says about plugins.
    pub rules: Rules,
}

impl Subject<'_> {
    /// Judges `object` and completes it. Returns its name: what stands last in its key.
    ///
    /// Forbidden times are not looked at: see [`forbid_times`].
    pub fn check(&self, state: &dyn State, object: &mut Map<String, Value>) -> Result<String, Refusal> {
        for check in self.kind.checks {
            match check {
                Check::Members(check) => check(object)?,
                Check::Schema => self.schema(object)?,
                Check::Refers(reference) => self.refers(state, object, reference)?,
                Check::Plugins(holder) => {
                    plugins::check(object, *holder, self.rules)?;
                    self.groups(state, object, *holder)?;
                }
                Check::AuthKeys => self.auth_keys(state, object)?,
                Check::ConsumerExists => self.consumer_exists(state)?,
                Check::GlobalPlugins => self.global_plugins(state, object)?,
                Check::Manager => secret::check(self.parent.unwrap_or_default(), object)?,
            }
        }
        self.name(object)
    }

    /// [`Subject::check`] without what other objects have a say in: what this one refers to need not exist, and it may
    /// take what another has.
    pub fn check_alone(&self, object: &mut Map<String, Value>) -> Result<String, Refusal> {
        for check in self.kind.checks {
            match check {
                Check::Members(check) => check(object)?,
                Check::Schema => self.schema(object)?,
                Check::Plugins(holder) => plugins::check(object, *holder, self.rules)?,
                Check::Manager => secret::check(self.parent.unwrap_or_default(), object)?,
                Check::Refers(_) | Check::AuthKeys | Check::ConsumerExists | Check::GlobalPlugins => {}
            }
        }
        self.name(object)
    }

    /// The key of the object called `name`.
    pub fn key(&self, name: &str) -> String {
        self.kind.key(self.prefix, self.parent, name)
    }

    fn schema(&self, object: &mut Map<String, Value>) -> Result<(), Refusal> {
        // The engine judges values; the object is lent to it as one.
        let whole = Value::Object(std::mem::take(object));
        let verdict = self.kind.schema.check(&whole);
        if let Value::Object(members) = whole {
            *object = members;
        }
        verdict.map_err(|text| format!("invalid configuration: {text}"))?;
        self.name(object).map(|_| ())
    }

    /// The object's name, valid as part of a key. Schema rules alone would not do: a secret reference passes them.
    fn name(&self, object: &Map<String, Value>) -> Result<String, Refusal> {
        let (member, is_valid, rule): (_, fn(&str) -> bool, _) = match self.kind.naming {
            Naming::Id | Naming::BelowConsumer | Naming::BelowManager | Naming::Plugin => {
                ("id", Id::is_valid, "object matches none of the required")
            }
            Naming::Username => ("username", consumer::is_username, "not a username"),
        };
        let mut name = object.get(member).and_then(Id::of).map(|Id(name)| name).unwrap_or_default();
        if self.kind.naming == Naming::BelowManager {
            let below = self.parent.and_then(|manager| name.strip_prefix(manager)?.strip_prefix('/'));
            name = below.unwrap_or_default().to_owned();
        }
        if !is_valid(&name) {
            let text = format!("invalid configuration: property \"{member}\" validation failed: {rule}");
            return Err(Refusal::Invalid(text));
        }
        if self.kind.naming == Naming::Username && self.id.is_some_and(|id| id != name) {
            return Err(Refusal::Invalid("wrong username".to_owned()));
        }
        Ok(name)
    }

    fn refers(&self, state: &dyn State, object: &Map<String, Value>, reference: &Reference) -> Result<(), Refusal> {
        let Some(Id(id)) = object.get(reference.member).and_then(Id::of) else { return Ok(()) };
        let key = format!("{}/{}/{id}", self.prefix, reference.directory);
        if Id::is_valid(&id) && state.get(&key)?.is_some() {
            return Ok(());
        }
        let word = reference.word;
        Err(format!("failed to fetch {word} info by {word} id [{id}], response code: 404").into())
    }

    fn auth_keys(&self, state: &dyn State, object: &Map<String, Value>) -> Result<(), Refusal> {
        for (name, conf) in object.get("plugins").and_then(Value::as_object).into_iter().flatten() {
            let Some(auth) = registry::find(name).and_then(|plugin| plugin.auth.as_ref()) else { continue };
            let value = conf.get(auth.lookup_attribute).and_then(Value::as_str);
            let Some(value) = value.filter(|value| !is_reference(value)) else { continue };
            let own = self.key(&self.name(object)?);
            // A consumer's own credentials may repeat its key; a credential may repeat nobody's.
            let below = consumer_key_prefix(self, &own);
            let owners = state.auth_key_owners(name, value);
            let other = owners
                .iter()
                .find(|owner| ***owner != *own && !below.as_ref().is_some_and(|below| owner.starts_with(&**below)));
            if let Some(owner) = other {
                let owner = owner_words(self.prefix, owner);
                return Err(format!("duplicate key of plugin {name} found with {owner}").into());
            }
        }
        Ok(())
    }

    /// A limit that counts in a group has the same settings as the others that do (spec/limit-count §6.3). Compared with
    /// what is live only, so a group that is used once can be edited.
    fn groups(&self, state: &dyn State, object: &Map<String, Value>, holder: Holder) -> Result<(), Refusal> {
        let Some(conf) = object.get("plugins").and_then(|plugins| plugins.get(limit_count::NAME)) else {
            return Ok(());
        };
        let Some(group) = limit_count::group(conf) else { return Ok(()) };
        let own = self.key(&self.name(object)?);
        for owner in state.auth_key_owners(limit_count::NAME, group) {
            if *owner == *own {
                continue;
            }
            let stored = state.get(&owner)?.and_then(|item| serde_json::from_str::<Value>(&item.value).ok());
            let other = stored.as_ref().and_then(|value| value.get("plugins")?.get(limit_count::NAME));
            let is_live = |other: &&Value| limit_count::group(other) == Some(group);
            if other.filter(is_live).is_some_and(|other| !limit_count::may_share(conf, other)) {
                tracing::warn!(
                    key = own,
                    group,
                    other = &*owner,
                    "limit-count: not written, the group's settings differ"
                );
                let text = plugins::refused(limit_count::NAME, holder, "group conf mismatched");
                return Err(Refusal::Invalid(text));
            }
        }
        Ok(())
    }

    fn consumer_exists(&self, state: &dyn State) -> Result<(), Refusal> {
        let parent = self.parent.filter(|parent| consumer::is_username(parent)).ok_or(Refusal::ConsumerAbsent)?;
        match state.get(&consumer::KIND.key(self.prefix, None, parent))? {
            Some(_) => Ok(()),
            None => Err(Refusal::ConsumerAbsent),
        }
    }

    /// A plugin that several global rules name would run in none of them (spec/consumers-credentials-secrets §4.4).
    fn global_plugins(&self, state: &dyn State, object: &Map<String, Value>) -> Result<(), Refusal> {
        let own = self.key(&self.name(object)?);
        let plugins = object.get("plugins").and_then(Value::as_object);
        let directory = self.kind.directory_key(self.prefix, None);
        for key in state.keys(&directory)?.iter().filter(|key| ***key != *own) {
            let stored = state.get(key)?.and_then(|item| serde_json::from_str::<Value>(&item.value).ok());
            let Some(others) = stored.as_ref().and_then(|rule| rule.get("plugins")?.as_object()) else { continue };
            if let Some(name) = plugins.into_iter().flat_map(Map::keys).find(|name| others.contains_key(*name)) {
                let id = key.strip_prefix(&*directory).unwrap_or(key);
                return Err(format!("plugin '{name}' already exists in global rule with id '{id}'").into());
            }
        }
        Ok(())
    }
}

/// Refuses times sent by a client: at the top, in `upstream`, or as names of `plugins` (spec/admin-api §3).
pub fn forbid_times(object: &Map<String, Value>) -> Result<(), String> {
    for holder in [None, Some("upstream"), Some("plugins")] {
        let members = match holder {
            None => Some(object),
            Some(holder) => object.get(holder).and_then(Value::as_object),
        };
        for time in ["create_time", "update_time"] {
            if members.is_some_and(|members| members.contains_key(time)) {
                let path = holder.map(|holder| format!("{holder}.")).unwrap_or_default();
                // The two spaces are the original's.
                return Err(format!("the property is forbidden:  {path}{time}"));
            }
        }
    }
    Ok(())
}

/// Refuses the deletion of what others refer to (spec/admin-api §8).
pub fn forbid_use(kind: &Kind, prefix: &str, key: &str, state: &dyn State) -> Result<(), Refusal> {
    let Some(in_use_word) = kind.in_use_word else { return Ok(()) };
    let referrers = state.referrers(key);
    let Some(referrer) = referrers.first() else { return Ok(()) };
    let path = referrer.strip_prefix(prefix).unwrap_or(referrer).trim_start_matches('/');
    let (directory, id) = path.split_once('/').unwrap_or((path, ""));
    let word = Kind::in_directory(directory).map_or(directory, |kind| kind.word);
    Err(format!("can not delete this {in_use_word}, {word} [{id}] is still using it now").into())
}

fn consumer_key_prefix(subject: &Subject<'_>, own: &str) -> Option<String> {
    (subject.kind.naming == Naming::Username).then(|| format!("{own}/"))
}

/// `consumer: X` or `credential: C of consumer: X`, from the owner's key.
fn owner_words(prefix: &str, key: &str) -> String {
    let consumers = consumer::KIND.directory_key(prefix, None);
    let path = key.strip_prefix(&*consumers).unwrap_or(key);
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(username), Some(directory), Some(id)) if directory == credential::KIND.directory => {
            format!("credential: {id} of consumer: {username}")
        }
        _ => format!("consumer: {path}"),
    }
}
