//! Consumer groups: plugins that their members share.

use super::check::Check;
use super::kind::{Kind, Naming};
use super::plugin_config;
use super::plugins::Holder;
use std::sync::LazyLock;

/// The kind.
pub static KIND: Kind = Kind {
    word: "consumer group",
    directory: "consumer_groups",
    schema_name: "consumer_group",
    naming: Naming::Id,
    takes_post: false,
    takes_patch: true,
    keeps_times: true,
    schema: LazyLock::new(plugin_config::document),
    checks: &[Check::Schema, Check::Plugins(Holder::Route)],
    in_use_word: Some("consumer group"),
};
