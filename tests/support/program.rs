//! The built program as a command that ends.

use super::wait_for;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// A new directory to run in.
pub(crate) fn directory() -> TempDir {
    tempfile::Builder::new().prefix("ringgate-").tempdir().expect("a temporary directory")
}

/// Runs `ringgate` with these arguments in `directory`; panics if it does not end by itself.
pub(crate) fn ringgate(directory: &Path, arguments: &[&str], input: &str) -> Ended {
    run(Command::new(env!("CARGO_BIN_EXE_ringgate")).args(arguments).current_dir(directory), input)
}

/// Runs any command to its end. What it says must fit a pipe.
pub(crate) fn run(command: &mut Command, input: &str) -> Ended {
    let name = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut child = Killed(child);
    if let Some(mut stdin) = child.0.stdin.take() {
        // A command that does not read its input may be gone already.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = wait_for(&name, || child.0.try_wait().expect("the child can be waited for"));
    let mut ended = Ended { code: status.code(), stdout: String::new(), stderr: String::new() };
    if let (Some(stdout), Some(stderr)) = (&mut child.0.stdout, &mut child.0.stderr) {
        stdout.read_to_string(&mut ended.stdout).expect("its output is text");
        stderr.read_to_string(&mut ended.stderr).expect("its output is text");
    }
    ended
}

/// Does not outlive a test that fails.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only when it has ended, as it should have.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
