//! `apisix.lru.secret` and `ringgate.secret`: how references to secrets are resolved.

use super::error::Fault;
use super::section::Section;
use crate::secret::Settings;
use std::time::Duration;

/// Reads both sections. `warnings` learns of bounds that mean nothing here.
pub(super) fn read(lru: &mut Section, own: &mut Section, warnings: &mut Vec<String>) -> Result<Settings, Fault> {
    let default = Settings::default();
    for (key, default) in [("count", 512), ("neg_count", 512)] {
        if lru.count(key, 0, u64::MAX)?.is_some_and(|count| count != default) {
            warnings.push(format!("{} has no effect: every secret in use is kept", lru.path(key)));
        }
    }
    Ok(Settings {
        ttl: seconds(lru, "ttl")?.unwrap_or(default.ttl),
        neg_ttl: seconds(lru, "neg_ttl")?.unwrap_or(default.neg_ttl),
        ca_file: own.text("ca_file")?.map(Into::into),
        vault_loopback_http_fallback: own
            .switch_if_present("vault_loopback_http_fallback")?
            .unwrap_or(default.vault_loopback_http_fallback),
        unresolved_literals: own.switch_if_present("unresolved_literals")?.unwrap_or(default.unresolved_literals),
    })
}

fn seconds(section: &mut Section, key: &str) -> Result<Option<Duration>, Fault> {
    Ok(section.count(key, 1, SECONDS_MAX)?.map(Duration::from_secs))
}

const SECONDS_MAX: u64 = 86_400;
