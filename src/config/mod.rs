//! `conf/config.yaml`: APISIX's keys over built-in defaults, typed.
//!
//! In goes the text of one file and the environment, out comes a [`Config`] or one line that says what is wrong
//! ([`ConfigError`]). Runs once, before any thread starts. What is configured and has no effect is named in
//! [`Config::warnings`]; what would be dangerous to pass over is an error. The only file ever written is the
//! configuration itself: when there is none yet, and when it lacks an admin key.

mod admin;
pub(crate) mod atomic;
mod data_encryption;
mod error;
mod export;
mod jwt;
mod key;
mod keys;
mod limit_count;
mod listen;
mod merge;
mod read;
mod secret;
mod section;
mod source;
mod substitute;
mod units;
mod write_back;
mod yaml;

pub use admin::Admin;
pub use data_encryption::DataEncryption;
pub use error::{ConfigError, Fault};
pub use export::Export;
pub use source::{Source, check, load, look, parse};
pub use substitute::Environment;

use crate::dns::ResolverOptions;
use crate::log::Escape;
use crate::plugin::Rules;
use crate::worker::settings::Settings;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The configuration, typed. Relative paths in it start from the prefix.
#[derive(Debug, Clone)]
pub struct Config {
    /// `apisix.node_listen`, with `[::]` beside `0.0.0.0` when `apisix.enable_ipv6` is on. At least one; port 0 lets
    /// the kernel choose.
    pub listeners: Vec<SocketAddr>,
    /// `deployment.admin`; `None` when `apisix.enable_admin` is off.
    pub admin: Option<Admin>,
    /// `apisix.status`; `None` when the block is absent.
    pub status: Option<SocketAddr>,
    /// `plugin_attr.prometheus`; `None` when `enable_export_server` is off.
    pub export: Option<Export>,
    /// `nginx_config.http.access_log*`.
    pub access_log: AccessLog,
    /// The process's own log.
    pub process_log: ProcessLog,
    /// `apisix.dns_resolver` and its neighbours.
    pub resolver: ResolverOptions,
    /// `apisix.lru.secret` and `ringgate.secret`.
    pub secrets: crate::secret::Settings,
    /// `plugins`: the enabled ones, all of which exist.
    pub plugins: Vec<String>,
    /// What `ringgate.jwt` says to the control side about plugins.
    pub plugin_rules: Rules,
    /// `apisix.data_encryption` and `ringgate.data_encryption`.
    pub data_encryption: DataEncryption,
    /// `nginx_config.worker_processes` or `APISIX_WORKER_PROCESSES`; `None` means one per core.
    pub workers: Option<usize>,
    /// What is configured and has no effect, one sentence each; to be logged once.
    pub warnings: Vec<String>,
    settings: Settings,
}

impl Config {
    /// What every worker is told.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// How many workers to start: as configured, else one per core this process may use.
    pub fn worker_count(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

/// Where and how requests are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// `enable_access_log`.
    pub enabled: bool,
    /// `access_log`.
    pub path: PathBuf,
    /// `access_log_format`: text with `$var` and `${var}`.
    pub format: String,
    /// `access_log_format_escape`.
    pub escape: Escape,
    /// `access_log_buffer`: bytes gathered before a write.
    pub buffer_bytes: usize,
}

/// The process's own log, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLog {
    /// `nginx_config.error_log_level`.
    pub level: LogLevel,
    /// `ringgate.log_format`.
    pub format: LogFormat,
}

/// The least severe level that is logged. `notice` counts as [`Info`](Self::Info); all above `error` as `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// `debug`.
    Debug,
    /// `info`, `notice`.
    Info,
    /// `warn`.
    Warn,
    /// `error`, `crit`, `alert`, `emerg`.
    Error,
}

/// How a line of the process log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
