//! Kinds of resources: a row each.

use super::check::Check;
use super::{
    consumer, consumer_group, credential, global_rule, plugin_config, plugin_metadata, route, secret, service, upstream,
};
use crate::schema::Schema;
use serde_json::Value;
use std::sync::LazyLock;

/// One kind of resource, described.
#[derive(Debug)]
pub struct Kind {
    /// What messages call one (`plugin config`).
    pub word: &'static str,
    /// Its directory in keys and Admin API paths (`plugin_configs`).
    pub directory: &'static str,
    /// What `GET /apisix/admin/schema/…` calls it (`plugin_config`).
    pub schema_name: &'static str,
    /// How keys of this kind are made.
    pub naming: Naming,
    /// Whether POST makes one under a generated id.
    pub takes_post: bool,
    /// Whether PATCH changes one.
    pub takes_patch: bool,
    /// Whether `create_time` and `update_time` are kept.
    pub keeps_times: bool,
    /// Its JSON schema, as a document and ready to use.
    pub schema: LazyLock<Document>,
    /// What is checked on a write, in this order; the first failure is the answer.
    pub checks: &'static [Check],
    /// How messages name one that is in use (`can not delete this <…>, route [1] is still using it now`); `None`:
    /// nothing keeps one from being deleted.
    pub in_use_word: Option<&'static str>,
}

/// How keys of a kind are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `<prefix>/<directory>/<id>`.
    Id,
    /// `<prefix>/consumers/<username>`; the object's name is its `username`.
    Username,
    /// `<prefix>/consumers/<username>/<directory>/<id>`.
    BelowConsumer,
    /// `<prefix>/<directory>/<id>`; the object's id is the name of a plugin.
    Plugin,
    /// `<prefix>/<directory>/<manager>/<id>`; the object's `id` is `<manager>/<id>`.
    BelowManager,
}

/// A schema, as a document and ready to use.
#[derive(Debug)]
pub struct Document {
    /// The document.
    pub json: Value,
    /// Ready to use, or why it cannot be: then every write is refused.
    pub schema: Result<Schema, String>,
}

impl Document {
    /// Parses `json`, the schema of an object whose own members nothing resolves: what it refers to would be stored
    /// unjudged, and could not be used.
    pub fn new(json: Value) -> Self {
        let schema = Schema::parse(&json).map(Schema::literal);
        Self { json, schema }
    }

    /// Parses `json`, the schema of what may hold references to secrets: see [`Schema::check`].
    pub fn with_references(json: Value) -> Self {
        let schema = Schema::parse(&json);
        Self { json, schema }
    }

    /// Checks `value`.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        match &self.schema {
            Ok(schema) => schema.check(value),
            Err(reason) => Err(format!("unusable schema: {reason}")),
        }
    }
}

impl Kind {
    /// The kind whose objects live in `directory`.
    pub fn in_directory(directory: &str) -> Option<&'static Self> {
        KINDS.iter().copied().find(|kind| kind.directory == directory)
    }

    /// The kind that schemas call `name`.
    pub fn with_schema_name(name: &str) -> Option<&'static Self> {
        KINDS.iter().copied().find(|kind| kind.schema_name == name)
    }

    /// The directory of this kind's objects, with the slash at its end; `parent` is the name of the consumer or the
    /// manager where the kind lives below one.
    pub fn directory_key(&self, prefix: &str, parent: Option<&str>) -> String {
        match parent {
            Some(manager) if self.naming == Naming::BelowManager => format!("{prefix}/{}/{manager}/", self.directory),
            Some(parent) => format!("{prefix}/{}/{parent}/{}/", consumer::KIND.directory, self.directory),
            None => format!("{prefix}/{}/", self.directory),
        }
    }

    /// The key of one object.
    pub fn key(&self, prefix: &str, parent: Option<&str>, id: &str) -> String {
        self.directory_key(prefix, parent) + id
    }
}

/// Every kind there is.
pub static KINDS: &[&Kind] = &[
    &route::KIND,
    &service::KIND,
    &upstream::KIND,
    &consumer::KIND,
    &credential::KIND,
    &consumer_group::KIND,
    &plugin_config::KIND,
    &global_rule::KIND,
    &plugin_metadata::KIND,
    &secret::KIND,
];
