//! AWS as moto plays it (`moto[server]` in Python): it verifies signatures by botocore's own code.
#![allow(clippy::expect_used, reason = "a peer that cannot be set up fails its test, with the text as the reason")]

use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Moto {
    child: Child,
    url: String,
    _directory: TempDir,
}

impl Moto {
    /// Starts one that holds `secrets`, and returns it with the access key of a user who may read them.
    pub(crate) fn holding(secrets: &Value) -> (Self, Value) {
        let environment = environment();
        let directory = super::support::program::directory();
        let log = directory.path().join("moto.log");
        let child = Command::new(environment.join("bin/moto_server"))
            .args(["-p", "0"])
            // So many calls make secrets and the user; every later one must be signed by that user's key.
            .env("INITIAL_NO_AUTH_ACTION_COUNT", (secrets.as_object().map_or(0, serde_json::Map::len) + 3).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log file"))
            .spawn()
            .expect("moto starts");
        let mut moto = Self { child, url: String::new(), _directory: directory };
        moto.url = super::support::wait_for("moto's address", || {
            let text = fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once("Running on ")?;
            rest.split_once('\n').map(|(url, _)| url.trim().to_owned())
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/moto_setup.py");
        let made =
            Command::new(environment.join("bin/python")).arg(script).args([&moto.url, &secrets.to_string()]).output();
        let made = made.expect("Python starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        (moto, serde_json::from_slice(&made.stdout).expect("an access key"))
    }

    /// Has the user of `account` delete the secret `name`, which can be restored for seven days.
    pub(crate) fn schedule_deletion(&self, account: &Value, name: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/moto_delete.py");
        let mut python = Command::new(environment().join("bin/python"));
        let ended = python.arg(script).args([&self.url, &account.to_string(), name]).output().expect("Python starts");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python environment with moto, made once per target directory; a file tells that it is whole.
fn environment() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto-venv");
    let whole = path.join("whole");
    if !whole.exists() {
        let run = |command: &mut Command| {
            let status = command.stdin(Stdio::null()).status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert!(status.success(), "{command:?}: {status}");
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&path));
        let mut install = Command::new(path.join("bin/pip"));
        run(install.args(["--quiet", "install", MOTO]));
        fs::write(&whole, "").expect("a file can be written");
    }
    path
}

const MOTO: &str = "moto[server]==5.2.5";
