//! Where a configuration's counters are, out of its Redis members (spec/limit-count §2).

use crate::redis::{Access, Deployment, Kind, Target, Tls};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// The deployment that the policy names; none for `local`. What the schema cannot say is judged here.
pub(super) fn read(configuration: &Value) -> Result<Option<Deployment>, String> {
    let kind = match configuration.get("policy").and_then(Value::as_str) {
        Some("redis") => {
            let port = port(configuration, "redis_port", "redis_port")?;
            let access = access(configuration, tls(configuration, "redis_ssl", "redis_ssl_verify")?);
            let host = text(configuration, "redis_host").unwrap_or_default().into();
            Kind::Single(Arc::new(Target { host, port, access }))
        }
        Some("redis-cluster") => {
            let tls = tls(configuration, "redis_cluster_ssl", "redis_cluster_ssl_verify")?;
            // A cluster has one database.
            let access = Access { database: 0, ..access(configuration, tls) };
            let listed = configuration.get("redis_cluster_nodes").and_then(Value::as_array);
            let nodes = listed.into_iter().flatten().map(|node| address(node.as_str().unwrap_or_default()));
            Kind::Cluster { nodes: nodes.collect::<Result<_, _>>()?, access }
        }
        Some("redis-sentinel") => {
            if text(configuration, "redis_role").is_some_and(|role| role != "master") {
                return Err(refused("redis_role", "a replica cannot count, only 'master' is supported"));
            }
            let sentinels = configuration.get("redis_sentinels").and_then(Value::as_array);
            let sentinels = sentinels.into_iter().flatten().map(|sentinel| sentinel_of(configuration, sentinel));
            let master = text(configuration, "redis_master_name").unwrap_or_default().into();
            Kind::Sentinel {
                sentinels: sentinels.collect::<Result<_, _>>()?,
                master,
                access: access(configuration, None),
            }
        }
        _ => return Ok(None),
    };
    let ms = |name: &str, default| {
        Duration::from_millis(configuration.get(name).and_then(Value::as_f64).map_or(default, |ms| ms as u64))
    };
    let (timeout, keepalive) = match kind {
        Kind::Sentinel { .. } => {
            let timeout = ms("redis_read_timeout", TIMEOUT_MS).max(ms("redis_connect_timeout", TIMEOUT_MS));
            (timeout, ms("redis_keepalive_timeout", SENTINEL_KEEPALIVE_MS))
        }
        _ => (ms("redis_timeout", TIMEOUT_MS), ms("redis_keepalive_timeout", KEEPALIVE_MS)),
    };
    Ok(Some(Deployment { kind: Arc::new(kind), timeout: timeout.min(TIMEOUT_MAX), keepalive }))
}

fn sentinel_of(configuration: &Value, sentinel: &Value) -> Result<Arc<Target>, String> {
    let access = Access {
        username: text(configuration, "sentinel_username").filter(|name| !name.is_empty()).map(Into::into),
        password: text(configuration, "sentinel_password").unwrap_or_default().into(),
        ..Access::default()
    };
    let host = text(sentinel, "host").unwrap_or_default().into();
    Ok(Arc::new(Target { host, port: port(sentinel, "port", "redis_sentinels")?, access }))
}

fn access(configuration: &Value, tls: Option<Tls>) -> Access {
    Access {
        username: text(configuration, "redis_username").filter(|name| !name.is_empty()).map(Into::into),
        password: text(configuration, "redis_password").unwrap_or_default().into(),
        database: configuration.get("redis_database").and_then(Value::as_f64).map_or(0, |number| number as u64),
        tls,
    }
}

fn tls(configuration: &Value, switch: &str, verify: &str) -> Result<Option<Tls>, String> {
    let is_on = |name| super::switch(configuration, name, false);
    is_on(switch).then(|| Tls::new(is_on(verify)).map_err(|why| refused(verify, &why))).transpose()
}

fn port(object: &Value, name: &str, member: &str) -> Result<u16, String> {
    let Some(port) = object.get(name) else { return Ok(PORT) };
    let number = port.as_f64().unwrap_or_default();
    let is_port = (1.0..=f64::from(u16::MAX)).contains(&number);
    if is_port { Ok(number as u16) } else { Err(refused(member, &format!("expected {port} to be at most 65535"))) }
}

fn address(text: &str) -> Result<(Box<str>, u16), String> {
    let found =
        text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok().filter(|port| *port > 0)?)));
    match found.filter(|(host, _)| !host.is_empty()) {
        Some((host, port)) => Ok((host.into(), port)),
        None => Err(refused("redis_cluster_nodes", &format!("'{text}' is not host:port"))),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn refused(member: &str, why: &str) -> String {
    format!("property \"{member}\" validation failed: {why}")
}

const PORT: u16 = 6379;
const TIMEOUT_MS: u64 = 1000;
/// Longer ones are cut: nobody waits an hour for a counter.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);
const KEEPALIVE_MS: u64 = 10_000;
const SENTINEL_KEEPALIVE_MS: u64 = 60_000;
