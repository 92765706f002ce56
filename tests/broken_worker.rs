//! A worker that cannot run takes the process with it, so that whoever supervises it starts another.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use support::gateway::{Gateway, Setup};
use support::program::run;

/// What a start opens last before its workers is the access log. A limit of descriptors right behind it, or a few later,
/// lets everything come up but one worker or all: each needs a ring or a poller, a way to be woken, and a handle of its
/// socket.
#[test]
fn a_worker_that_gets_no_descriptors_ends_the_process() {
    for driver in ["auto", "epoll"] {
        let mut gateway = Gateway::with(&Setup { driver, ..Setup::default() });
        let log = descriptor(gateway.pid(), Path::new("logs/access.log"));
        assert_eq!(gateway.stop().code(), Some(0), "{}", gateway.output());
        for left in [0, 1, 2, 4] {
            let ended = start_limited(gateway.directory(), driver, log + 1 + left);
            let told = format!("{driver}, {left} left for two workers: {ended:?}");
            assert_eq!(ended.code, Some(1), "{told}");
            let all = [ended.stdout, ended.stderr].concat();
            assert!(all.contains("a worker ended; the process ends with it"), "{told}");
            assert!(all.contains("os error 24"), "it says why: {told}");
        }
    }
}

/// The number of the descriptor that stands for the file at `path`.
fn descriptor(pid: u32, path: &Path) -> usize {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let is_it = |entry: &fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|target| target.ends_with(path));
    let entry = all.filter_map(Result::ok).find(is_it).unwrap();
    entry.file_name().to_str().unwrap().parse().unwrap()
}

fn start_limited(directory: &Path, driver: &str, descriptors: usize) -> support::program::Ended {
    let script = "ulimit -n \"$1\" && exec \"$2\" run --workers 2 --driver \"$3\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", &descriptors.to_string(), env!("CARGO_BIN_EXE_ringgate"), driver]);
    run(shell.current_dir(directory), "")
}
