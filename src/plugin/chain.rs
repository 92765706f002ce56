//! Plugin chains: what runs for a route, and what changes once the consumer is known.

use super::Plugin;
use std::sync::Arc;

/// One plugin in a chain.
#[derive(Debug, Clone)]
pub struct Link {
    /// The plugin's name.
    pub name: &'static str,
    /// Its place, higher first; `_meta.priority` or the type's.
    pub priority: i64,
    /// Whether it authenticates; such a plugin never runs twice.
    pub is_auth: bool,
    /// The plugin with its configuration.
    pub plugin: Arc<dyn Plugin>,
}

/// Plugins in the order they run.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// By falling priority; equal priorities by name.
    pub links: Vec<Link>,
}
