//! Real Redis servers, clusters and sentinels, each in a directory and on ports of its own.

use super::{program, wait_for};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    directory: TempDir,
    options: Vec<String>,
    port: u16,
    tls_port: Option<u16>,
    /// What `redis-cli` needs to be let in.
    login: Vec<String>,
}

impl Redis {
    /// Starts a server without password.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with further options, as on its command line.
    pub(crate) fn with(options: &[&str]) -> Self {
        Self::launch(program::directory(), options.iter().map(|option| (*option).to_owned()).collect(), None)
    }

    /// Starts one that speaks TLS beside plain text, with a certificate of its own making.
    pub(crate) fn with_tls() -> Self {
        let directory = program::directory();
        let [key, certificate] = ["tls.key", "tls.crt"].map(|name| directory.path().join(name));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let tls_port = free_port();
        let path = |path: &Path| path.display().to_string();
        let options = [
            ("--tls-port", tls_port.to_string()),
            ("--tls-cert-file", path(&certificate)),
            ("--tls-key-file", path(&key)),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        Self::launch(directory, options, Some(tls_port))
    }

    fn launch(directory: TempDir, options: Vec<String>, tls_port: Option<u16>) -> Self {
        let mut words = options.iter().skip_while(|option| *option != "--requirepass").skip(1);
        let login = words.next().map(|password| ["-a", password, "--no-auth-warning"].map(str::to_owned).to_vec());
        let login = login.unwrap_or_default();
        let port = free_port();
        let child = spawn("redis-server", directory.path(), port, &options);
        let mut redis = Self { child, directory, options, port, tls_port, login };
        // Somebody else may have taken the port before the server did.
        for _ in 0..5 {
            if redis.is_up() {
                return redis;
            }
            redis.port = free_port();
            redis.child = spawn("redis-server", redis.directory.path(), redis.port, &redis.options);
        }
        panic!("redis-server does not start: {:?}", redis.options);
    }

    fn is_up(&mut self) -> bool {
        wait_for("redis-server", || {
            if self.child.try_wait().expect("the child can be waited for").is_some() {
                return Some(false);
            }
            self.try_cli(&["PING"]).contains("PONG").then_some(true)
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn tls_port(&self) -> u16 {
        self.tls_port.expect("a server with TLS")
    }

    /// The certificate of a server with TLS.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.path().join("tls.crt")
    }

    /// Its key.
    pub(crate) fn private_key(&self) -> PathBuf {
        self.directory.path().join("tls.key")
    }

    /// What `redis-cli` says to a command, without the line end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        self.try_cli(arguments)
    }

    fn try_cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(&self.login).args(arguments);
        let output = command.stdin(Stdio::null()).output().expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Every key, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect();
        keys.retain(|key| !key.is_empty());
        keys.sort();
        keys
    }

    /// Ends it without warning.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child can be waited for");
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn("redis-server", self.directory.path(), self.port, &self.options);
        assert!(self.is_up(), "redis-server does not start again");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster of masters without replicas.
pub(crate) fn cluster(nodes: usize) -> Vec<Redis> {
    let nodes: Vec<Redis> = (0..nodes).map(|_| node()).collect();
    let addresses = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(addresses)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .expect("redis-cli runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    wait_for("the cluster", || {
        nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")).then_some(())
    });
    nodes
}

/// The only node of its cluster, with all slots.
pub(crate) fn lone_node() -> Redis {
    let node = node();
    assert_eq!(node.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]), "OK");
    wait_for("the cluster", || node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok").then_some(()));
    node
}

/// A server in cluster mode.
fn node() -> Redis {
    let bus = free_port().to_string();
    let coverage = ["--cluster-require-full-coverage", "no"];
    let mode = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
    Redis::with(&[&mode[..], &coverage].concat())
}

/// A sentinel that watches one master, called `mymaster`.
#[derive(Debug)]
pub(crate) struct Sentinel {
    child: Child,
    _directory: TempDir,
    port: u16,
}

impl Sentinel {
    /// Starts one; a quorum of one, so that it decides alone.
    pub(crate) fn of(master: &Redis, password: &str, masters_password: &str) -> Self {
        let (directory, port) = (program::directory(), free_port());
        let file = directory.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nrequirepass {password}\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel auth-pass mymaster {masters_password}\n\
             sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n",
            master.port
        );
        std::fs::write(&file, text).expect("a file can be written");
        let child = Command::new("redis-sentinel")
            .arg(&file)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-sentinel starts");
        let sentinel = Self { child, _directory: directory, port };
        let port = port.to_string();
        wait_for("the sentinel to know the replica", || {
            let cli = ["-p", &port, "-a", password, "--no-auth-warning", "SENTINEL", "replicas", "mymaster"];
            let output = Command::new("redis-cli").args(cli).output().expect("redis-cli runs");
            String::from_utf8_lossy(&output.stdout).contains("master-link-status\nok").then_some(())
        });
        sentinel
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &str, directory: &Path, port: u16, options: &[String]) -> Child {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(directory)
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is installed (see scripts/test)")
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound address").port()
}
