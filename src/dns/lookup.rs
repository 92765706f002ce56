//! One look-up: the hosts file, then A records, then AAAA records.

use super::ResolverOptions;
use super::hosts::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Looks names up, without a cache: the caller asks when the last answer has expired.
pub(super) struct Lookup {
    resolver: TokioResolver,
    hosts: Mutex<Hosts>,
    search: bool,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) struct Answer {
    /// In rising order, each once, at least one.
    pub(super) addresses: Vec<IpAddr>,
    /// How long they hold.
    pub(super) ttl: Duration,
}

impl Lookup {
    /// Prepares look-ups with the servers of `options` or the system's.
    pub(super) fn new(options: ResolverOptions, hosts: &Path) -> Result<Self, String> {
        let ResolverOptions { servers, timeout_s, search, valid_s: _ } = options;
        let (config, mut settings) = configuration(&servers);
        settings.cache_size = 0;
        // Read by ourselves: hickory reads it once.
        settings.use_hosts_file = ResolveHosts::Never;
        if let Some(timeout_s) = timeout_s {
            settings.timeout = Duration::from_secs(timeout_s.clamp(1, TIMEOUT_S_MAX));
        }
        let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(settings)
            .build()
            .map_err(|error| format!("resolver: {error}"))?;
        Ok(Self { resolver, hosts: Mutex::new(Hosts::new(hosts)), search })
    }

    /// The addresses of `name` (lower case). A record type that fails for another reason than that there are no such
    /// records fails the look-up: a lost answer must not turn an IPv4 upstream into an IPv6 one.
    pub(super) async fn addresses(&self, name: &str) -> Result<Answer, NetError> {
        let known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner).addresses(name);
        if !known.is_empty() {
            return Ok(Answer::new(known, HOSTS_TTL));
        }
        let mut query = Name::from_utf8(name)?;
        if !self.search {
            query.set_fqdn(true);
        }
        match self.records(query.clone(), RecordType::A).await {
            Err(error) if error.is_no_records_found() => self.records(query, RecordType::AAAA).await,
            result => result,
        }
    }

    async fn records(&self, name: Name, kind: RecordType) -> Result<Answer, NetError> {
        let found = self.resolver.lookup(name, kind).await?;
        let addresses: Vec<IpAddr> = found.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
        if addresses.is_empty() {
            return Err("the answer has no addresses".into());
        }
        Ok(Answer::new(addresses, found.valid_until().saturating_duration_since(Instant::now())))
    }
}

impl Answer {
    fn new(mut addresses: Vec<IpAddr>, ttl: Duration) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        Self { addresses, ttl }
    }
}

/// Servers and search list. Where `/etc/resolv.conf` names no server the local host is asked, as resolv.conf(5) says.
fn configuration(servers: &[SocketAddr]) -> (ResolverConfig, ResolverOpts) {
    let nothing = || (ResolverConfig::from_name_servers(Vec::new()), ResolverOpts::default());
    let (config, settings) = match std::fs::read(RESOLV_CONF_PATH).map(parse_resolv_conf) {
        Ok(Ok(system)) => system,
        Ok(Err(error)) => {
            tracing::warn!(path = RESOLV_CONF_PATH, %error, "file is not used");
            nothing()
        }
        Err(_) => nothing(),
    };
    let local = [SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT))];
    let servers = match (servers, config.name_servers()) {
        ([], []) => &local,
        ([], _) => return (config, settings),
        (configured, _) => configured,
    };
    let servers = servers.iter().map(server).collect();
    let (domain, search, _) = config.into_parts();
    (ResolverConfig::from_parts(domain, search, servers), settings)
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// How long the hosts file's word is taken before the file is looked at again.
const HOSTS_TTL: Duration = Duration::from_secs(5);
/// Addresses of one name that are used; the highest are dropped.
const ADDRESSES_MAX: usize = 256;
const TIMEOUT_S_MAX: u64 = 60;
const DNS_PORT: u16 = 53;
const RESOLV_CONF_PATH: &str = "/etc/resolv.conf";
