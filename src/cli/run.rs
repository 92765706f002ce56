//! `ringgate run`: arguments and configuration become a [`Plan`], which is served.

use super::serve::{self, DriverChoice, Plan};
use super::{check, logging};
use crate::config;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `run`, and of `ringgate` alone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) place: check::Place,
    /// Directory of the embedded store [default: data, below the prefix].
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// Worker threads [default: as configured, else one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) workers: Option<u16>,
    /// How workers wait for the network.
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) driver: DriverChoice,
}

/// Loads the configuration, starts the process log and serves until told to stop.
pub(super) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = config::load(&arguments.place.source(), &check::environment)?;
    logging::start(config.process_log)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    serve::serve(plan(arguments, config))
}

fn plan(arguments: Arguments, config: config::Config) -> Plan {
    let prefix = arguments.place.prefix;
    Plan {
        workers: arguments.workers.map_or_else(|| config.worker_count(), usize::from),
        data_dir: arguments.data.unwrap_or_else(|| prefix.join("data")),
        driver: arguments.driver,
        prefix,
        config,
    }
}

const EXAMPLES: &str = "\
Examples:
  ringgate run                                      run with ./conf/config.yaml
  ringgate run --prefix /srv/gateway --workers 4    4 workers, everything below /srv/gateway
  ringgate run --config test.yaml --data /tmp/data  a file and a store of one's own
  RINGGATE_LOG=debug ringgate run                   more in the process log than configured";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_outrank_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.yaml");
        std::fs::write(&file, "apisix: {enable_admin: false}\nnginx_config: {worker_processes: 2}\n").unwrap();
        let planned = |workers, data: Option<&str>| {
            let place = check::Place { prefix: directory.path().to_owned(), config: Some(file.clone()) };
            let config = config::load(&place.source(), &|_| None).unwrap();
            plan(Arguments { place, data: data.map(PathBuf::from), workers, driver: DriverChoice::Auto }, config)
        };
        let (plain, own) = (planned(None, None), planned(Some(5), Some("/d")));
        assert_eq!((plain.workers, plain.data_dir), (2, directory.path().join("data")));
        assert_eq!((own.workers, own.data_dir), (5, PathBuf::from("/d")));
        assert_eq!(own.prefix, directory.path());
    }
}
