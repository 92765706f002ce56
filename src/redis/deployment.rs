//! Where a configuration's counters are: one server, a cluster, or whichever server the sentinels name.

use rustls::ClientConfig;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A Redis deployment, with the waits of the configuration that names it.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// What is out there.
    pub kind: Arc<Kind>,
    /// `redis_timeout` or `redis_read_timeout`: how long one question may take, connecting included.
    pub timeout: Duration,
    /// `redis_keepalive_timeout`: an idle connection is closed after that.
    pub keepalive: Duration,
}

impl Deployment {
    /// Whether different keys may be on different servers.
    pub fn is_spread(&self) -> bool {
        matches!(*self.kind, Kind::Cluster { .. })
    }
}

/// The three ways to run it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Policy `redis`.
    Single(Arc<Target>),
    /// Policy `redis-cluster`: any of the listed nodes tells of the others.
    Cluster {
        /// Host and port of the listed nodes, at least one.
        nodes: Box<[(Box<str>, u16)]>,
        /// How to talk to all of them.
        access: Access,
    },
    /// Policy `redis-sentinel`.
    Sentinel {
        /// At least one.
        sentinels: Box<[Arc<Target>]>,
        /// The name that they know the master by.
        master: Box<str>,
        /// How to talk to the master.
        access: Access,
    },
}

/// One server and how to talk to it: two configurations with equal targets share a connection, others never do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Name or address.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// TLS, user, password, database.
    pub access: Access,
}

/// Who we are and where we count.
#[derive(Clone, Default)]
pub struct Access {
    /// ACL user; with a password only.
    pub username: Option<Box<str>>,
    /// Empty: no `AUTH`.
    pub password: Box<str>,
    /// 0: no `SELECT`.
    pub database: u64,
    /// TLS, and whether the certificate is verified.
    pub tls: Option<Tls>,
}

/// A TLS mode with the configuration made for it.
#[derive(Clone)]
pub struct Tls {
    /// Whether the server's certificate is verified against the system's roots.
    pub verifies: bool,
    /// Made once per process and mode.
    pub config: Arc<ClientConfig>,
}

impl Access {
    fn identity(&self) -> (Option<&str>, &str, u64, Option<bool>) {
        (self.username.as_deref(), &self.password, self.database, self.tls.as_ref().map(|tls| tls.verifies))
    }
}

impl PartialEq for Access {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Access {}

impl Hash for Access {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// Says nothing of the password.
impl fmt::Debug for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = self.tls.as_ref().map(|tls| tls.verifies);
        formatter
            .debug_struct("Access")
            .field("database", &self.database)
            .field("tls_verifies", &tls)
            .finish_non_exhaustive()
    }
}
