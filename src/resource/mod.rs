//! What can be configured: one file per kind, each a schema, a key rule, its references and its checks.
//!
//! In: an object as someone wants it stored, and the committed state. Out: the same object, completed where a plugin
//! says so, or the first reason not to store it, in APISIX's order and words (spec/admin-api §5). A kind is a row: a
//! static [`Kind`] with its schema and the list of its checks; what all kinds share stands in [`check`] once.
//! Nothing here does I/O, reads a clock or knows HTTP.
//!
//! Only `admin`, `control` and `snapshot` know this module.

pub mod check;
pub mod consumer;
pub mod consumer_group;
pub mod credential;
mod fields;
pub mod global_rule;
pub mod kind;
#[cfg(test)]
pub(crate) mod memory;
pub mod plugin_config;
pub mod plugin_metadata;
pub mod plugins;
pub mod route;
pub mod secret;
pub mod service;
pub mod state;
pub mod upstream;

pub use check::Subject;
pub use kind::Kind;
pub use state::{Refusal, State};

/// APISIX's default key prefix.
pub const PREFIX: &str = "/apisix";

/// An id as APISIX takes it: text or a positive integer, compared as text (spec/admin-api §3).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "IdForm")]
pub struct Id(pub String);

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum IdForm {
    Text(String),
    Integer(i64),
}

impl From<IdForm> for Id {
    fn from(form: IdForm) -> Self {
        match form {
            IdForm::Text(text) => Self(text),
            IdForm::Integer(number) => Self(number.to_string()),
        }
    }
}

impl Id {
    /// The id that a JSON value stands for, whether or not it is a valid one; `None` for what is neither text nor
    /// number.
    pub fn of(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::String(text) => Some(Self(text.clone())),
            serde_json::Value::Number(number) => Some(Self(number.to_string())),
            _ => None,
        }
    }

    /// Whether `text` may be an id: 1 to 64 of `[a-zA-Z0-9-_.]`. So an id never reaches outside its directory.
    pub fn is_valid(text: &str) -> bool {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    }
}

#[cfg(test)]
mod tests;
