//! Which members of an object are secrets, and a walk over them.
//!
//! Plugins say it for their configurations: those of authentication plugins on consumers and credentials have a list of
//! their own, all others the route side's. Other objects are in [`OBJECTS`].

use crate::plugin::registry;
use crate::resource::PREFIX;
use serde_json::Value;
use std::fmt;

/// A part of an object that is of use only whole: a plugin's configuration, or an object without plugins.
pub(super) struct Holder<'o> {
    path: Path<'o>,
    part: &'o mut Value,
    /// Dotted paths of its secrets.
    fields: &'static [&'static str],
}

/// Where a member is: names of members and positions in arrays, from the object down.
#[derive(Debug, Clone, Default)]
pub(super) struct Path<'o>(Vec<Step<'o>>);

#[derive(Debug, Clone)]
enum Step<'o> {
    Member(&'o str),
    Index(usize),
}

/// Whether the object at `key` is of a kind that may hold secrets.
pub(super) fn may_hold_secrets(key: &str) -> bool {
    Place::of(key).is_some()
}

/// Whether a write of the object at `key` is answered with what was stored; secret resources are answered as they were
/// sent (spec/admin-api §9).
pub(super) fn is_answered_sealed(key: &str) -> bool {
    matches!(Place::of(key), Some(Place::Plugins { .. }))
}

/// The parts of the object stored at `key` that may hold secrets.
pub(super) fn holders<'o>(key: &'o str, object: &'o mut Value) -> Vec<Holder<'o>> {
    match Place::of(key) {
        None => Vec::new(),
        Some(Place::Object(fields)) => vec![Holder { path: Path::default(), part: object, fields }],
        Some(Place::Plugins { authenticates }) => {
            let Some(Value::Object(plugins)) = object.get_mut("plugins") else { return Vec::new() };
            let holders = plugins.iter_mut().filter_map(|(name, part)| {
                let plugin = registry::find(name)?;
                let fields = match plugin.auth.as_ref().filter(|_| authenticates) {
                    Some(auth) => auth.encrypted_fields,
                    None => plugin.encrypted_fields,
                };
                let path = Path(vec![Step::Member("plugins"), Step::Member(name)]);
                (!fields.is_empty()).then_some(Holder { path, part, fields })
            });
            holders.collect()
        }
    }
}

impl Holder<'_> {
    /// Shows every secret to `act`, until it fails.
    pub(super) fn visit<E>(&mut self, act: &mut dyn FnMut(&Path<'_>, &mut String) -> Result<(), E>) -> Result<(), E> {
        for field in self.fields {
            let names: Vec<&str> = field.split('.').collect();
            let mut path = Path(self.path.0.clone());
            visit(self.part, &names, &mut path, act)?;
        }
        Ok(())
    }

    /// Puts `reason` in place of the part, so that nothing can be built from it. Not where it is switched off: it is
    /// not built then, and its absence would switch on what it hides. Returns whether it did.
    pub(super) fn close(&mut self, reason: &str) -> bool {
        let is_plugin = !self.path.0.is_empty();
        let is_off = is_plugin && self.part.pointer("/_meta/disable") == Some(&Value::Bool(true));
        if !is_off {
            *self.part = Value::String(reason.to_owned());
        }
        !is_off
    }
}

/// The secrets of `value` that `names` lead to: through objects by name, through arrays always; a text, or the texts of
/// an array or object.
fn visit<'o, E>(
    value: &'o mut Value,
    names: &[&'o str],
    path: &mut Path<'o>,
    act: &mut dyn FnMut(&Path<'_>, &mut String) -> Result<(), E>,
) -> Result<(), E> {
    match (value, names.split_first()) {
        (Value::String(text), None) => act(path, text),
        (Value::Array(items), _) => items.iter_mut().enumerate().try_for_each(|(index, item)| {
            // An array in an array is no list of secrets.
            if names.is_empty() && !item.is_string() {
                return Ok(());
            }
            path.within(Step::Index(index), |path| visit(item, names, path, act))
        }),
        (Value::Object(members), Some((name, rest))) => match members.get_mut(*name) {
            Some(member) => path.within(Step::Member(name), |path| visit(member, rest, path, act)),
            None => Ok(()),
        },
        (Value::Object(members), None) => members.iter_mut().try_for_each(|(name, member)| match member {
            Value::String(text) => path.within(Step::Member(name), |path| act(path, text)),
            _ => Ok(()),
        }),
        _ => Ok(()),
    }
}

impl<'o> Path<'o> {
    fn within<T>(&mut self, step: Step<'o>, act: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(step);
        let end = act(self);
        self.0.pop();
        end
    }

    /// Bytes that name this member of the object at `key` and no other: each part behind its kind and length.
    pub(super) fn bound_to(&self, key: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(key.len() + 64);
        let mut add = |kind: u8, part: &[u8]| {
            bytes.push(kind);
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        };
        add(b'k', key.as_bytes());
        for step in &self.0 {
            match step {
                Step::Member(name) => add(b'm', name.as_bytes()),
                Step::Index(index) => add(b'i', &(*index as u64).to_be_bytes()),
            }
        }
        bytes
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Member(name) if position == 0 => write!(out, "{}", name.escape_debug())?,
                Step::Member(name) => write!(out, ".{}", name.escape_debug())?,
                Step::Index(index) => write!(out, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What an object's key says about its secrets.
enum Place {
    /// They are in plugins.
    Plugins {
        /// Authentication plugins say here who somebody is.
        authenticates: bool,
    },
    /// They are these members.
    Object(&'static [&'static str]),
}

impl Place {
    fn of(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.strip_prefix('/')?.split('/');
        let path = (parts.next()?, parts.next()?, parts.next(), parts.next(), parts.next());
        match path {
            (_, "", ..) => None,
            ("routes" | "services" | "plugin_configs" | "consumer_groups" | "global_rules", _, None, ..) => {
                Some(Self::Plugins { authenticates: false })
            }
            ("consumers", _, None, ..) | ("consumers", _, Some("credentials"), Some(_), None) => {
                Some(Self::Plugins { authenticates: true })
            }
            ("plugin_metadata", plugin, None, ..) => {
                let fields = registry::find(plugin)?.encrypted_fields;
                (!fields.is_empty()).then_some(Self::Object(fields))
            }
            (directory, kind, Some(_), None, _) => {
                let row = OBJECTS.iter().find(|row| (row.0, row.1) == (directory, kind));
                row.map(|(_, _, fields)| Self::Object(fields))
            }
            _ => None,
        }
    }
}

/// Directory, the part of the key behind it, and dotted paths of secrets.
pub(super) const OBJECTS: [(&str, &str, &[&str]); 3] = [
    ("secrets", "vault", &["token"]),
    ("secrets", "aws", &["secret_access_key", "session_token"]),
    ("secrets", "gcp", &["auth_config.private_key"]),
];
