//! `jwt-auth`: glue over [`crate::auth`].

use super::{AuthType, PluginType};

/// The plugin type.
pub static TYPE: PluginType = PluginType {
    name: "jwt-auth",
    priority: 2510,
    version: "0.1",
    schema: "{}",
    auth: Some(AuthType {
        consumer_schema: "{}",
        lookup_attribute: "key",
        encrypted_fields: &["secret"],
        complete: |_| {},
        build_credential: |_| Err("not built".into()),
    }),
    check: |_, _| Ok(()),
    build: |_| Err("not built".into()),
};
