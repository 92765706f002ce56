//! The built program as a running gateway, in a directory and on ports of its own.

use super::client::{self, Client, Response};
use super::{PATIENCE, program, wait_at_most, wait_for};
use ringgate::store::embedded::EmbeddedStore;
use ringgate::store::{Op, Store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// What to start; [`Setup::default`] suits most tests. `RINGGATE_TEST_DRIVER=epoll` runs them all on another driver.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// `--workers`.
    pub(crate) workers: usize,
    /// `--driver`: `auto`, `io_uring` or `epoll`.
    pub(crate) driver: &'static str,
    /// `nginx_config.worker_shutdown_timeout`: how long a stop waits for requests in flight.
    pub(crate) shutdown_timeout: &'static str,
    /// Lines below `apisix:`, indented by two blanks.
    pub(crate) apisix: &'static str,
    /// Lines below `nginx_config: http:`, indented by four blanks.
    pub(crate) http: &'static str,
    /// Further keys below `deployment: admin:`, indented by four blanks.
    pub(crate) admin: &'static str,
    /// Further top-level keys.
    pub(crate) top: &'static str,
    /// `nginx_config.error_log_level`.
    pub(crate) log_level: &'static str,
    /// Further environment variables.
    pub(crate) env: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        let wished = std::env::var("RINGGATE_TEST_DRIVER").unwrap_or_default();
        let driver = ["epoll", "io_uring"].into_iter().find(|driver| *driver == wished).unwrap_or("auto");
        let (apisix, http, admin, top) = ("", "", "", "");
        Self {
            workers: 2,
            driver,
            shutdown_timeout: "10s",
            apisix,
            http,
            admin,
            top,
            log_level: "warn",
            env: Vec::new(),
        }
    }
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    child: Child,
    directory: TempDir,
    setup: Setup,
    /// How often it was started in this directory.
    starts: usize,
    start_line: String,
    admin_key: String,
}

impl Gateway {
    /// Starts with the default setup.
    pub(crate) fn start() -> Self {
        Self::with(&Setup::default())
    }

    /// Starts in a new directory.
    pub(crate) fn with(setup: &Setup) -> Self {
        Self::in_directory(program::directory(), setup)
    }

    /// Starts in `directory` and waits for the start line.
    pub(crate) fn in_directory(directory: TempDir, setup: &Setup) -> Self {
        fs::create_dir_all(directory.path().join("conf")).expect("a directory can be made");
        fs::write(directory.path().join(CONFIG), config(setup)).expect("a file can be written");
        let mut gateway = Self {
            child: spawn(directory.path(), setup),
            directory,
            setup: setup.clone(),
            starts: 1,
            start_line: String::new(),
            admin_key: String::new(),
        };
        gateway.await_start();
        gateway.admin_key = gateway.written_key();
        gateway
    }

    /// Starts on a store that already holds `stored`, by keys without the prefix: also what the Admin API cannot write.
    pub(crate) fn holding(stored: &[(&str, Value)], setup: &Setup) -> Self {
        let directory = program::directory();
        if !stored.is_empty() {
            let data = directory.path().join("data");
            fs::create_dir(&data).expect("a directory can be made");
            let puts = stored.iter().map(|(key, value)| Op::Put {
                key: format!("/apisix/{key}").into(),
                value: value.to_string().into(),
                expires_unix_s: None,
            });
            EmbeddedStore::open(&data).expect("a new store").commit(&[puts.collect()]).expect("a commit");
        }
        Self::in_directory(directory, setup)
    }

    /// What it said when it was ready: addresses, workers, driver.
    pub(crate) fn start_line(&self) -> &str {
        &self.start_line
    }

    /// Where clients connect.
    pub(crate) fn data(&self) -> SocketAddr {
        self.announced("proxy on ")
    }

    /// Where the Admin API listens.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.announced("Admin API on ")
    }

    /// Where `GET /status` is answered, if `apisix.status` is configured.
    pub(crate) fn status_address(&self) -> SocketAddr {
        self.announced("status on ")
    }

    /// The value of a series at the metrics address, by its name with labels; 0 when there is no such series.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let address = self.announced("metrics on ");
        let answer = client::once(address, "GET", "/apisix/prometheus/metrics", &[], b"").expect("metrics are served");
        let text = answer.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
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
        let answer =
            client::once(self.admin_address(), method, &target, &[("X-API-KEY", &self.admin_key)], sent.as_bytes())
                .unwrap_or_else(|error| panic!("{method} {target}: {error}\n{}", self.output()));
        let value = if answer.body.is_empty() { Value::Null } else { answer.json() };
        (answer.status, value)
    }

    /// A keep-alive connection to the Admin API, and what to say on it.
    pub(crate) fn admin_client(&self) -> AdminClient {
        let client = Client::connect(self.admin_address()).expect("the Admin API accepts");
        AdminClient { client, key: self.admin_key.clone() }
    }

    /// PUTs a resource; panics unless it was created or replaced.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Value {
        let (status, value) = self.admin("PUT", path, body);
        assert!(matches!(status, 200 | 201), "PUT {path}: {status} {value}");
        value
    }

    /// One request through the gateway on a connection of its own.
    pub(crate) fn request(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        client::once(self.data(), method, target, fields, body)
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

    /// Stops it, then starts it again in the same directory, on other ports. How it ended.
    pub(crate) fn restart(&mut self) -> ExitStatus {
        let ended = self.stop();
        self.start_again();
        ended
    }

    /// Starts it again in the same directory after [`Gateway::stop`].
    pub(crate) fn restart_stopped(&mut self) {
        self.start_again();
    }

    /// Stops it, then starts it again in the same directory with another configuration.
    pub(crate) fn reconfigure(&mut self, setup: &Setup) {
        self.stop();
        let text = config(setup).replace("key: \"\"", &format!("key: {}", self.admin_key));
        fs::write(self.directory.path().join(CONFIG), text).expect("a file can be written");
        self.setup = setup.clone();
        self.start_again();
    }

    /// Ends it without warning, then starts it again: what was acknowledged must still be there.
    pub(crate) fn crash(&mut self) {
        self.child.kill().expect("the child can be killed");
        self.wait();
        self.start_again();
    }

    /// Starts it again after [`Gateway::stop`], and returns while it starts.
    pub(crate) fn start_without_waiting(&mut self) {
        self.child = spawn(self.directory.path(), &self.setup);
        self.starts += 1;
    }

    fn start_again(&mut self) {
        self.start_without_waiting();
        self.await_start();
    }

    /// Waits for the start line; panics with the output if the process ends instead.
    fn await_start(&mut self) {
        // Loading a large store in a debug build on a busy machine takes its time.
        self.start_line = wait_at_most(PATIENCE * 4, "the start line", || {
            let ended = self.child.try_wait().expect("the child can be waited for");
            assert!(ended.is_none(), "the gateway ended at start:\n{}", self.output());
            let text = fs::read_to_string(self.directory.path().join(STDOUT)).ok()?;
            let (whole_lines, _) = text.rsplit_once('\n')?;
            let lines: Vec<&str> = whole_lines.lines().filter(|line| line.starts_with(START)).collect();
            (lines.len() == self.starts).then(|| lines.last().copied().unwrap_or_default().to_owned())
        });
    }

    /// The address behind `what` in the start line.
    fn announced(&self, what: &str) -> SocketAddr {
        let rest = self.start_line.split(what).nth(1).unwrap_or_default();
        let address = rest.split([',', ' ']).next().unwrap_or_default();
        address.parse().unwrap_or_else(|_| panic!("no address behind {what:?}: {}", self.start_line))
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

/// One connection to the Admin API.
#[derive(Debug)]
pub(crate) struct AdminClient {
    client: Client,
    key: String,
}

impl AdminClient {
    /// One call, `path` from `/apisix/admin/`; an error when the gateway is gone.
    pub(crate) fn call(&mut self, method: &str, path: &str, body: &Value) -> io::Result<Response> {
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let target = format!("/apisix/admin/{path}");
        self.client.request(method, &target, &[("X-API-KEY", &self.key)], sent.as_bytes())
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
        .envs(setup.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(append(STDOUT))
        .stderr(append(STDERR))
        .spawn()
        .expect("the built program starts")
}

/// Every port is 0: the kernel chooses, the start line tells.
fn config(setup: &Setup) -> String {
    let Setup { shutdown_timeout, apisix, http, admin, top, log_level, .. } = setup;
    format!(
        "apisix:\n  node_listen:\n    - ip: 127.0.0.1\n      port: 0\n{apisix}\
         nginx_config:\n  worker_shutdown_timeout: {shutdown_timeout}\n  error_log_level: {log_level}\n  \
         http:\n    enable_access_log: true\n{http}\
         deployment:\n  admin:\n    admin_listen:\n      ip: 127.0.0.1\n      port: 0\n    \
         admin_key:\n      - name: admin\n        key: \"\"\n        role: admin\n{admin}\
         plugin_attr:\n  prometheus:\n    export_addr: {{ip: 127.0.0.1, port: 0}}\n{top}"
    )
}

fn output(directory: &Path) -> String {
    [STDOUT, STDERR].map(|name| fs::read_to_string(directory.join(name)).unwrap_or_default()).concat()
}

const CONFIG: &str = "conf/config.yaml";
const STDOUT: &str = "stdout.log";
const STDERR: &str = "stderr.log";
const START: &str = concat!("ringgate ", env!("CARGO_PKG_VERSION"), ": ");
