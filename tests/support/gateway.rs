//! The built program, in a directory and on ports of its own.

use super::client::{self, Response};
use super::{PATIENCE, free_ports, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What to start; [`Setup::default`] suits most tests.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// `--workers`.
    pub(crate) workers: usize,
    /// `--driver`: `auto`, `io_uring` or `epoll`.
    pub(crate) driver: &'static str,
    /// Lines below `apisix:`, indented by two blanks.
    pub(crate) apisix: String,
    /// Lines below `nginx_config: http:`, indented by four blanks.
    pub(crate) http: String,
    /// Whole further top-level blocks.
    pub(crate) top: String,
    /// Environment of the process.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: 2,
            driver: "auto",
            apisix: String::new(),
            http: String::new(),
            top: String::new(),
            environment: Vec::new(),
        }
    }
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    directory: TempDir,
    setup: Setup,
    data: SocketAddr,
    admin: SocketAddr,
    admin_key: String,
}

impl Gateway {
    /// Starts with the default setup.
    pub(crate) fn start() -> Self {
        Self::with(&Setup::default())
    }

    /// Starts and waits until both listeners accept. A port lost to another process is tried again with others.
    pub(crate) fn with(setup: &Setup) -> Self {
        for _ in 1..START_TRIES {
            if let Ok(gateway) = Self::try_start(setup) {
                return gateway;
            }
        }
        Self::try_start(setup).unwrap_or_else(|log| panic!("the gateway ended at start:\n{log}"))
    }

    /// Where clients connect.
    pub(crate) fn data(&self) -> SocketAddr {
        self.data
    }

    /// Where the Admin API listens.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The key that the Admin API made at its first start.
    pub(crate) fn admin_key(&self) -> &str {
        &self.admin_key
    }

    /// The working directory: `conf/`, `data/`, `logs/`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// One Admin API call, `path` from `/apisix/admin/`; the body is `Null` when the answer has none.
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let target = format!("/apisix/admin/{path}");
        let answer = client::once(self.admin, method, &target, &[("X-API-KEY", &self.admin_key)], sent.as_bytes())
            .unwrap_or_else(|error| panic!("{method} {target}: {error}\n{}", self.output()));
        let value = if answer.body.is_empty() { Value::Null } else { answer.json() };
        (answer.status, value)
    }

    /// PUTs a resource; panics unless it was created or replaced.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Value {
        let (status, value) = self.admin("PUT", path, body);
        assert!(matches!(status, 200 | 201), "PUT {path}: {status} {value}");
        value
    }

    /// One request through the gateway on a connection of its own.
    pub(crate) fn request(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        client::once(self.data, method, target, fields, body)
            .unwrap_or_else(|error| panic!("{method} {target}: {error}\n{}", self.output()))
    }

    /// What it wrote to standard output, then to standard error.
    pub(crate) fn output(&self) -> String {
        output(self.directory.path())
    }

    /// The access log so far; empty before its first line.
    pub(crate) fn access_log(&self) -> String {
        fs::read_to_string(self.directory.path().join("logs/access.log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process id is positive");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Stops it in order, by `SIGTERM`, and waits for its end.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("the gateway's end", || self.child.try_wait().expect("the child can be waited for"))
    }

    /// Stops it, then starts it again in the same directory and on the same ports.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Ends it without warning, then starts it again: what was acknowledged must still be there.
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("the child can be killed");
        self.wait();
        self.start_again();
    }

    fn start_again(&mut self) {
        self.child = spawn(self.directory.path(), &self.setup);
        self.await_listeners().unwrap_or_else(|log| panic!("the gateway ended at restart:\n{log}"));
    }

    fn try_start(setup: &Setup) -> Result<Self, String> {
        let directory = tempfile::Builder::new().prefix("ringgate-").tempdir().expect("a temporary directory");
        let [data, admin, control] = free_ports();
        fs::create_dir(directory.path().join("conf")).expect("a directory can be made");
        fs::write(directory.path().join(CONFIG), config(setup, data, admin, control)).expect("a file can be written");
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut gateway = Self {
            child: spawn(directory.path(), setup),
            directory,
            setup: setup.clone(),
            data: loopback(data),
            admin: loopback(admin),
            admin_key: String::new(),
        };
        gateway.await_listeners()?;
        gateway.admin_key = gateway.written_key();
        Ok(gateway)
    }

    /// Waits until both listeners accept; the log if the process ended first.
    fn await_listeners(&mut self) -> Result<(), String> {
        wait_for("the gateway's listeners", || {
            if self.child.try_wait().expect("the child can be waited for").is_some() {
                return Some(Err(self.output()));
            }
            let accepts = |address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
            (accepts(self.admin) && accepts(self.data)).then_some(Ok(()))
        })
    }

    /// The admin key, from where the first start writes it.
    fn written_key(&self) -> String {
        wait_for("the admin key in conf/config.yaml", || {
            let text = fs::read_to_string(self.directory.path().join(CONFIG)).ok()?;
            let key = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix("key:"))?;
            let key = key.trim().trim_matches(['"', '\'']);
            (!key.is_empty()).then(|| key.to_owned())
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of the gateway\n{}", self.output());
        }
    }
}

/// Its output goes to files: a pipe that nobody reads would stop it, and a file can be read at any time.
fn spawn(directory: &Path, setup: &Setup) -> Child {
    let append = |name| File::options().create(true).append(true).open(directory.join(name)).expect("a log file");
    Command::new(env!("CARGO_BIN_EXE_ringgate"))
        .args(["run", "--workers", &setup.workers.to_string(), "--driver", setup.driver])
        .current_dir(directory)
        .envs(setup.environment.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .stdout(append(STDOUT))
        .stderr(append(STDERR))
        .spawn()
        .expect("the built program starts")
}

fn config(setup: &Setup, data: u16, admin: u16, control: u16) -> String {
    let Setup { apisix, http, top, .. } = setup;
    let patience_s = PATIENCE.as_secs() / 2;
    format!(
        "apisix:\n  node_listen:\n    - ip: 127.0.0.1\n      port: {data}\n  \
         control:\n    ip: 127.0.0.1\n    port: {control}\n{apisix}\
         nginx_config:\n  worker_shutdown_timeout: {patience_s}s\n  http:\n    enable_access_log: true\n{http}\
         deployment:\n  admin:\n    admin_listen:\n      ip: 127.0.0.1\n      port: {admin}\n    \
         admin_key:\n      - name: admin\n        key: \"\"\n        role: admin\n{top}"
    )
}

fn output(directory: &Path) -> String {
    [STDOUT, STDERR].map(|name| fs::read_to_string(directory.join(name)).unwrap_or_default()).concat()
}

const CONFIG: &str = "conf/config.yaml";
const STDOUT: &str = "stdout.log";
const STDERR: &str = "stderr.log";
/// Starts before a failure counts as the gateway's own.
const START_TRIES: usize = 3;
