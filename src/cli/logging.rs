//! The process log: lines on standard error. Started once, before any thread.

use crate::config::{LogFormat, LogLevel, ProcessLog};
use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts the process log. `RINGGATE_LOG` (`debug`, `ringgate::dns=debug,warn`, …) outranks the configured level.
pub(super) fn start(log: ProcessLog) -> anyhow::Result<()> {
    let filter = filter(log.level, super::check::environment(VARIABLE).as_deref())?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the process log cannot be started: {error}"))
}

fn filter(level: LogLevel, variable: Option<&str>) -> anyhow::Result<EnvFilter> {
    let level = match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    match variable.filter(|text| !text.trim().is_empty()) {
        Some(text) => EnvFilter::builder()
            .parse(text)
            .with_context(|| format!("{VARIABLE}: expected a level or a list of module=level, found {text:?}")),
        None => Ok(EnvFilter::new(level)),
    }
}

const VARIABLE: &str = "RINGGATE_LOG";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_outranks_the_configuration() {
        for (variable, want) in [(None, "warn"), (Some(" "), "warn"), (Some("debug"), "debug")] {
            assert_eq!(filter(LogLevel::Warn, variable).unwrap().to_string(), want, "{variable:?}");
        }
        let error = filter(LogLevel::Warn, Some("ringgate=loud")).unwrap_err().to_string();
        assert!(error.starts_with("RINGGATE_LOG: expected a level"), "{error}");
    }
}
