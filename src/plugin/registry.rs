//! Every plugin ringgate has, highest priority first.

use super::{PluginType, jwt_auth, limit_count, limit_req, public_api};

/// All plugin types, highest priority first.
pub static PLUGINS: &[&PluginType] = &[&jwt_auth::TYPE, &limit_count::TYPE, &limit_req::TYPE, &public_api::TYPE];

/// The plugin called `name`.
pub fn find(name: &str) -> Option<&'static PluginType> {
    PLUGINS.iter().copied().find(|plugin| plugin.name == name)
}

/// The attribute by which configurations of the plugin called `name` belong together wherever they stand; writes are
/// checked against the others of the same value.
pub fn group_attribute(name: &str) -> Option<&'static str> {
    (name == limit_count::NAME).then_some("group")
}
