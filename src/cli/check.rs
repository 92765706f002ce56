//! `ringgate check`: is the configuration right?

use crate::config::{self, Source};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the configuration lies.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Directory that holds conf, logs and data.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) prefix: PathBuf,
    /// Configuration file; it must exist [default: conf/config.yaml, below the prefix].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl Place {
    /// The same for [`config`].
    pub(super) fn source(&self) -> Source {
        Source { prefix: self.prefix.clone(), file: self.config.clone() }
    }
}

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// Reads the configuration and says that it is right, or fails with what is wrong.
pub(super) fn check(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = config::check(&arguments.place.source(), &environment)?;
    writeln!(std::io::stdout().lock(), "{}: right", path.display())?;
    Ok(ExitCode::SUCCESS)
}

/// The process's environment; a variable that is not UTF-8 counts as not set.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

const EXAMPLES: &str = "\
Examples:
  ringgate check                            ./conf/config.yaml
  ringgate check --prefix /srv/gateway      /srv/gateway/conf/config.yaml
  APISIX_PROFILE=dev ringgate check         ./conf/config-dev.yaml";
