//! Both sides of the gateway, started, supervised and stopped.

use std::path::PathBuf;
use std::process::ExitCode;

/// What `ringgate run` decided from arguments and configuration.
#[derive(Debug)]
pub struct Plan {
    /// The configuration.
    pub config: crate::config::Config,
    /// Directory that relative paths of the configuration start from.
    pub prefix: PathBuf,
    /// Directory of the embedded store.
    pub data_dir: PathBuf,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// The I/O driver to use.
    pub driver: DriverChoice,
}

/// Which I/O driver workers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DriverChoice {
    /// io_uring where the kernel allows it, else epoll with one line in the log.
    Auto,
    /// io_uring or an error.
    #[value(name = "io_uring")]
    IoUring,
    /// epoll.
    Epoll,
}

/// Serves until told to stop.
pub fn serve(_plan: Plan) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
