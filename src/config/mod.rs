//! `conf/config.yaml`: APISIX's keys over built-in defaults.

/// The configuration, typed.
#[derive(Debug, Clone, Default)]
pub struct Config {}
