//! Every plugin ringgate has, highest priority first.

use super::{PluginType, jwt_auth, public_api};

/// All plugin types, highest priority first.
pub static PLUGINS: &[&PluginType] = &[&jwt_auth::TYPE, &public_api::TYPE];

/// The plugin called `name`.
pub fn find(name: &str) -> Option<&'static PluginType> {
    PLUGINS.iter().copied().find(|plugin| plugin.name == name)
}
