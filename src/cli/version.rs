//! `ringgate version`: what this is and what the kernel lets it use.

use std::io::Write;
use std::process::ExitCode;

/// Prints the version.
pub(super) fn version() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ringgate {}", env!("CARGO_PKG_VERSION"))?;
    Ok(ExitCode::SUCCESS)
}
