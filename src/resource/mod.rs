//! What can be configured: one file per kind, each a schema, a key rule, its references and its checks.
//!
//! Only `admin`, `control` and `snapshot` know this module.

pub mod consumer;
pub mod credential;
pub mod route;
pub mod service;
pub mod upstream;

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
