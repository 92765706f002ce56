//! References to secrets: which objects hold which, and what each stands for
//! (spec/consumers-credentials-secrets §5).
//!
//! The environment is read here, when a reference is first held. References to secret managers are wanted from the
//! resolver; when its answer comes, the objects that hold the reference are compiled again from their text. What an
//! object without references costs is one look for the characters that every reference has.

use super::Compiled;
use crate::base::map::HashMap;
use crate::schema::starts_like_reference;
use crate::secret::env::{self, Environment};
use crate::secret::{Board, Failure, REFERENCES_MAX, Reference, Secret};
use crate::store::Event;
use memchr::{memchr, memmem};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// All references in use.
pub(super) struct Secrets {
    environment: Environment,
    board: Arc<Board>,
    by_reference: HashMap<Box<str>, Held>,
    holders: HashMap<Arc<str>, Holder>,
}

struct Held {
    /// `None`: not resolved.
    value: Option<Secret>,
    /// A secret manager is asked for it.
    is_wanted: bool,
    /// It has not answered yet.
    is_awaited: bool,
    /// Whole keys.
    holders: BTreeSet<Arc<str>>,
}

struct Holder {
    /// The object as it was written last, to be compiled again.
    event: Event,
    references: BTreeSet<Box<str>>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new(env::process, Arc::default())
    }
}

impl Secrets {
    /// No references yet.
    pub(super) fn new(environment: Environment, board: Arc<Board>) -> Self {
        Self { environment, board, by_reference: HashMap::default(), holders: HashMap::default() }
    }

    /// Takes note of the references that an object holds from now on.
    pub(super) fn hold(&mut self, event: &Event, out: &mut Compiled) {
        let mut now = event.value.as_deref().map(references).unwrap_or_default();
        let before = self.holders.remove(&event.key).map(|holder| holder.references).unwrap_or_default();
        for reference in before.difference(&now) {
            self.remove(reference, &event.key, out);
        }
        // One for which there is no room is tried again whenever the object is compiled.
        now.retain(|reference| before.contains(reference) || self.add(reference, &event.key, out));
        if !now.is_empty() {
            self.holders.insert(Arc::clone(&event.key), Holder { event: event.clone(), references: now });
        }
    }

    /// Takes what a reference stands for. Returns the objects that change by it, as they were written; they do too when
    /// its first answer is that it stands for nothing, so that it is said of each.
    pub(super) fn set(&mut self, reference: &str, value: Option<Secret>) -> Vec<Event> {
        // A result may come after its reference went.
        let is_news = |held: &&mut Held| held.value != value || held.is_awaited;
        let Some(held) = self.by_reference.get_mut(reference).filter(is_news) else {
            return Vec::new();
        };
        held.value = value;
        held.is_awaited = false;
        held.holders.iter().filter_map(|key| Some(self.holders.get(key)?.event.clone())).collect()
    }

    /// Replaces every reference in `configuration` that is resolved. Returns whether there was one.
    pub(super) fn resolve(&self, configuration: &mut Value) -> bool {
        match configuration {
            Value::String(text) => {
                let held = if starts_like_reference(text) { self.by_reference.get(text.as_str()) } else { None };
                let value = held.and_then(|held| held.value.as_ref());
                if let Some(value) = value {
                    value.expose().clone_into(text);
                }
                value.is_some()
            }
            Value::Array(items) => self.resolve_each(items.iter_mut()),
            Value::Object(members) => self.resolve_each(members.values_mut()),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Whether `configuration`, its resolved references replaced, holds one that only waits for its first answer.
    pub(super) fn awaits(&self, configuration: &Value) -> bool {
        match configuration {
            Value::String(text) => self.by_reference.get(text.as_str()).is_some_and(|held| held.is_awaited),
            Value::Array(items) => items.iter().any(|item| self.awaits(item)),
            Value::Object(members) => members.values().any(|member| self.awaits(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn resolve_each<'v>(&self, values: impl Iterator<Item = &'v mut Value>) -> bool {
        let mut has_any = false;
        for value in values {
            has_any |= self.resolve(value);
        }
        has_any
    }

    /// Returns whether there was room for it.
    fn add(&mut self, reference: &str, key: &Arc<str>, out: &mut Compiled) -> bool {
        if let Some(held) = self.by_reference.get_mut(reference) {
            held.holders.insert(Arc::clone(key));
            return true;
        }
        let known = self.by_reference.len();
        let (mut value, mut is_wanted) = (None, false);
        let failure = match Reference::parse(reference) {
            _ if known >= REFERENCES_MAX => Some(Failure::TooMany),
            Err(failure) => Some(failure),
            Ok(Reference::Env { name, field }) => match env::resolve(self.environment, name, field) {
                Ok(secret) => {
                    value = Some(secret);
                    self.board.succeeded(reference);
                    None
                }
                Err(failure) => Some(failure),
            },
            Ok(Reference::Managed { .. }) => {
                is_wanted = true;
                self.board.wait(reference);
                out.secrets_wanted.push(reference.into());
                None
            }
        };
        if let Some(failure) = failure {
            let reason = failure.reason().name();
            tracing::error!(key = &**key, secret_uri = reference, reason, %failure, "failed to resolve secret reference");
            // Beyond the bound nothing is kept.
            if failure == Failure::TooMany {
                self.board.refused(&failure);
                return false;
            }
            self.board.failed(reference, &failure, false);
        }
        let holders = BTreeSet::from([Arc::clone(key)]);
        self.by_reference.insert(reference.into(), Held { value, is_wanted, is_awaited: is_wanted, holders });
        true
    }

    fn remove(&mut self, reference: &str, key: &str, out: &mut Compiled) {
        let Some(held) = self.by_reference.get_mut(reference) else { return };
        held.holders.remove(key);
        if !held.holders.is_empty() {
            return;
        }
        if held.is_wanted {
            out.secrets_released.push(reference.into());
        }
        self.by_reference.remove(reference);
        self.board.forget(reference);
    }
}

/// The references in the plugins of an object; none of plugins that are switched off.
fn references(text: &str) -> BTreeSet<Box<str>> {
    let mut found = BTreeSet::new();
    // A reference begins with `$`, which JSON may write as an escape.
    if memchr(b'$', text.as_bytes()).is_none() && memmem::find(text.as_bytes(), b"\\u").is_none() {
        return found;
    }
    let Ok(object) = serde_json::from_str::<Value>(text) else { return found };
    let plugins = object.get("plugins").and_then(Value::as_object);
    for configuration in plugins.into_iter().flat_map(|plugins| plugins.values()) {
        if configuration.pointer("/_meta/disable") != Some(&Value::Bool(true)) {
            collect(configuration, &mut found);
        }
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Box<str>>) {
    match value {
        Value::String(text) if starts_like_reference(text) => {
            if !found.contains(text.as_str()) {
                found.insert(text.as_str().into());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(members) => members.values().for_each(|member| collect(member, found)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
