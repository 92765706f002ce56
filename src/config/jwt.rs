//! `ringgate.jwt`: how jwt-auth works for the whole process.

use super::error::Fault;
use super::section::Section;
use crate::auth::jwt::Settings;
use crate::plugin::{Rules, jwt_auth};
use std::num::NonZeroU32;

/// Reads what workers are told.
pub(super) fn read(section: &mut Section) -> Result<Settings, Fault> {
    let default = Settings::default();
    let mut rate = |key: &str, default: NonZeroU32| -> Result<NonZeroU32, Fault> {
        let number = section.count(key, 1, u64::from(u32::MAX))?;
        Ok(number.and_then(|number| NonZeroU32::new(number as u32)).unwrap_or(default))
    };
    Ok(Settings {
        failed_verifications_per_s: rate("failed_verifications_per_s", default.failed_verifications_per_s)?,
        failed_verifications_burst: rate("failed_verifications_burst", default.failed_verifications_burst)?,
        lenient_base64: section.switch("lenient_base64")?,
        strict_credential_claim: section.switch("strict_credential_claim")?,
        cache_entries: section
            .count("cache_entries", 0, CACHE_ENTRIES_MAX)?
            .map_or(default.cache_entries, |entries| entries as usize),
        cache_without_exp_s: section
            .count("cache_without_exp_s", 0, u64::from(u32::MAX))?
            .unwrap_or(default.cache_without_exp_s),
    })
}

/// Reads what the control side judges and builds credentials by.
pub(super) fn plugin_rules(section: &mut Section) -> Result<Rules, Fault> {
    let jwt_auth =
        jwt_auth::Rules { require_secret: section.switch("require_secret")?, sign_x5c: section.switch("sign_x5c")? };
    Ok(Rules { jwt_auth })
}

/// Some 100 MB per worker.
const CACHE_ENTRIES_MAX: u64 = 1 << 20;
