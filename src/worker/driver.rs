//! The I/O driver: which ring this kernel gives, and the runtime on it.
//!
//! `SINGLE_ISSUER` with `DEFER_TASKRUN` runs completions when the worker asks for them instead of interrupting it: the
//! default ring costs 60 % more CPU per request. Kernels before 6.1 refuse that, before 5.19 also `COOP_TASKRUN`;
//! containers often refuse `io_uring` as a whole, and then epoll serves at about the same cost on loopback.

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::fmt;
use std::future::Future;

/// What the workers run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// The kind.
    pub kind: DriverKind,
    /// Why nothing better was available, if it was not.
    pub reason: Option<String>,
}

/// The drivers, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// `io_uring` with `SINGLE_ISSUER | DEFER_TASKRUN` (Linux 6.1).
    UringDeferTaskrun,
    /// `io_uring` with `COOP_TASKRUN` (Linux 5.19).
    UringCoopTaskrun,
    /// `io_uring` without flags.
    UringPlain,
    /// epoll.
    Epoll,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::UringDeferTaskrun => "io_uring (SINGLE_ISSUER, DEFER_TASKRUN)",
            Self::UringCoopTaskrun => "io_uring (COOP_TASKRUN)",
            Self::UringPlain => "io_uring (no setup flags)",
            Self::Epoll => "epoll",
        })
    }
}

impl DriverKind {
    fn ring(self) -> io_uring::Builder {
        let mut builder = io_uring::IoUring::builder();
        match self {
            Self::UringDeferTaskrun => builder.setup_single_issuer().setup_defer_taskrun(),
            Self::UringCoopTaskrun => builder.setup_coop_taskrun(),
            Self::UringPlain | Self::Epoll => &mut builder,
        };
        builder.setup_cqsize(COMPLETION_ENTRIES);
        builder
    }
}

/// Finds the best driver that this kernel grants.
pub fn probe() -> Driver {
    let mut reason = None;
    for kind in [DriverKind::UringDeferTaskrun, DriverKind::UringCoopTaskrun, DriverKind::UringPlain] {
        match kind.ring().build(SUBMISSION_ENTRIES) {
            Ok(_) if monoio::utils::detect_uring() => return Driver { kind, reason },
            Ok(_) => {
                reason = Some("the kernel lacks io_uring operations that are needed (Linux 5.15 has them)".to_owned());
                break;
            }
            Err(error) => reason = Some(refusal(&error)),
        }
    }
    Driver { kind: DriverKind::Epoll, reason }
}

/// Runs `main` on a runtime of this kind, on the calling thread. `main` is called inside the runtime.
pub fn run<F: Future<Output = ()>>(kind: DriverKind, main: impl FnOnce() -> F) -> std::io::Result<()> {
    if kind == DriverKind::Epoll {
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
        runtime.block_on(async { main().await });
    } else {
        let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(SUBMISSION_ENTRIES);
        let mut runtime = builder.uring_builder(kind.ring()).enable_timer().build()?;
        runtime.block_on(async { main().await });
    }
    Ok(())
}

fn refusal(error: &std::io::Error) -> String {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOMEM) => {
            "the ring's memory exceeds RLIMIT_MEMLOCK: raise it (`ulimit -l`, systemd LimitMEMLOCK=infinity)".to_owned()
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            "io_uring is forbidden here (kernel.io_uring_disabled, or a container's seccomp profile)".to_owned()
        }
        Some(Errno::NOSYS) => "this kernel has no io_uring".to_owned(),
        _ => format!("the kernel refused the ring: {error}"),
    }
}

const SUBMISSION_ENTRIES: u32 = 1024;
/// Room for completions while a worker is busy; monoio cannot report an overflow.
const COMPLETION_ENTRIES: u32 = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_probe_finds_can_be_run() {
        for kind in [probe().kind, DriverKind::Epoll] {
            let mut ran = false;
            std::thread::scope(|scope| {
                scope.spawn(|| run(kind, || async { ran = true }).unwrap());
            });
            assert!(ran, "{kind}");
        }
    }
}
