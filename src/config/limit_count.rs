//! `ringgate.limit_count`: how limits work for the whole process.

use super::error::Fault;
use super::section::Section;
use crate::limit::Settings;

/// Reads the section.
pub(super) fn read(section: &mut Section) -> Result<Settings, Fault> {
    let default = Settings::default();
    Ok(Settings {
        windows_max: section
            .count("windows_max", WINDOWS_LEAST, WINDOWS_MOST)?
            .map_or(default.windows_max, |windows| windows as usize),
        retry_after: section.switch("retry_after")?,
        ..Settings::default()
    })
}

/// A few for each part of the table.
const WINDOWS_LEAST: u64 = 1024;
/// Some 11 GB.
const WINDOWS_MOST: u64 = 1 << 27;
