//! `ringgate version`: what this is.

use std::io::Write;
use std::process::ExitCode;

/// Prints the version, and the I/O driver that workers would get here.
pub(super) fn version() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "ringgate {}", env!("CARGO_PKG_VERSION"))?;
    let driver = crate::worker::driver::probe();
    writeln!(out, "I/O driver: {}", driver.kind)?;
    if let Some(reason) = driver.reason {
        writeln!(out, "nothing better because: {reason}")?;
    }
    Ok(ExitCode::SUCCESS)
}
