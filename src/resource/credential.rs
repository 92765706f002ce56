//! Credentials.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A credential as stored, read leniently.
#[derive(Debug, Clone, Deserialize)]
pub struct CredentialSpec {
    /// `plugins`: at most one, an authentication plugin.
    #[serde(default)]
    pub plugins: Map<String, Value>,
}
