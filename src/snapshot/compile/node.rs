//! One upstream object, compiled: nodes parsed, `Host` values rendered, waits converted.
//!
//! Addresses of nodes that are names are filled in by [`super::upstreams`]. What is not understood is refused with
//! its reason; the caller then serves an upstream without nodes, never a guess.

use crate::resource::upstream::{KeepalivePoolSpec, NodeSpec, Nodes, TimeoutSpec, UpstreamSpec};
use crate::upstream::{KeepalivePool, Node, PassHost, Timeouts, Upstream};
use serde_json::Value;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Compiles `spec`, stored at `key`; `keepalive` holds unless the spec says otherwise.
pub(super) fn compile(key: &str, spec: &UpstreamSpec, keepalive: KeepalivePool) -> Result<Upstream, String> {
    let default_port = match spec.scheme.as_deref().unwrap_or("http") {
        "http" => 80,
        scheme => return Err(format!("scheme {scheme:?} is not supported")),
    };
    match spec.kind.as_deref().unwrap_or("roundrobin") {
        "roundrobin" => {}
        kind => return Err(format!("type {kind:?} is not supported")),
    }
    if spec.service_name.is_some() || spec.discovery_type.is_some() {
        return Err("service discovery is not supported".into());
    }
    let mut nodes = nodes(spec.nodes.as_ref(), default_port)?;
    nodes.sort_by_key(|node| std::cmp::Reverse(node.priority));
    reduce_weights(&mut nodes);
    Ok(Upstream {
        key: key.into(),
        nodes,
        pass_host: pass_host(spec)?,
        retries: spec.retries,
        retry_timeout: match spec.retry_timeout {
            None => Duration::ZERO,
            Some(seconds) => duration(seconds).ok_or("retry_timeout is out of range")?,
        },
        timeouts: spec.timeout.as_ref().map(timeouts).transpose()?,
        keepalive: match &spec.keepalive_pool {
            None => keepalive,
            Some(pool) => keepalive_pool(pool)?,
        },
    })
}

/// An upstream that can be used for nothing: requests to it get 503.
pub(super) fn without_nodes(key: &str, keepalive: KeepalivePool) -> Upstream {
    Upstream {
        key: key.into(),
        nodes: Vec::new(),
        pass_host: PassHost::Pass,
        retries: None,
        retry_timeout: Duration::ZERO,
        timeouts: None,
        keepalive,
    }
}

/// A `timeout` object; each wait must be more than nothing, and lasts at least a millisecond.
pub(super) fn timeouts(spec: &TimeoutSpec) -> Result<Timeouts, String> {
    let wait = |name, seconds| {
        let wait = duration(seconds).filter(|_| seconds > 0.0);
        wait.map(|wait| wait.max(WAIT_MIN)).ok_or_else(|| format!("timeout.{name} is out of range"))
    };
    Ok(Timeouts {
        connect: wait("connect", spec.connect)?,
        send: wait("send", spec.send)?,
        read: wait("read", spec.read)?,
    })
}

/// The name that `node` needs resolved, in lower case; `None` for an address.
pub(super) fn name_of(node: &Node) -> Option<Box<str>> {
    node.host.parse::<IpAddr>().is_err().then(|| node.host.to_ascii_lowercase().into())
}

fn nodes(nodes: Option<&Nodes>, default_port: u16) -> Result<Vec<Node>, String> {
    match nodes {
        None => Ok(Vec::new()),
        Some(Nodes::Array(list)) => {
            list.iter().enumerate().map(|(index, spec)| array_node(index, spec, default_port)).collect()
        }
        Some(Nodes::Hash(map)) => map
            .iter()
            .map(|(name, weight)| {
                let (host, port) = split_host_port(name)?;
                let weight = hash_weight(weight).ok_or_else(|| format!("nodes: weight of {name:?} is out of range"))?;
                node(host, port, default_port, weight, 0)
            })
            .collect(),
    }
}

fn array_node(index: usize, spec: &NodeSpec, default_port: u16) -> Result<Node, String> {
    let unbracketed = spec.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&spec.host);
    if spec.port == Some(0) {
        return Err(format!("nodes[{index}]: port is out of range"));
    }
    node(unbracketed, spec.port, default_port, spec.weight, spec.priority)
}

fn node(host: &str, port: Option<u16>, default_port: u16, weight: u32, priority: i64) -> Result<Node, String> {
    let address: Option<IpAddr> = host.parse().ok();
    // The host is rendered into a header line and asked of name servers.
    if address.is_none() && !is_name(host) {
        return Err(format!("nodes: {host:?} is neither an address nor a domain name"));
    }
    let port = port.unwrap_or(default_port);
    let mut host_field = match address {
        Some(IpAddr::V6(_)) => format!("[{host}]"),
        _ => host.to_owned(),
    };
    if port != default_port {
        host_field = format!("{host_field}:{port}");
    }
    Ok(Node {
        host: host.into(),
        port,
        weight,
        priority,
        addresses: address.map(|address| SocketAddr::new(address, port)).into_iter().collect(),
        host_field: host_field.into_bytes().into(),
    })
}

/// The hash form's `host[:port]`. Without brackets an IPv6 address takes the whole text: `::1:1980` has no port
/// (spec/routing-and-upstreams §5).
fn split_host_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let invalid = || format!("nodes: {text:?} is not host or host:port");
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']').ok_or_else(invalid)?;
            host.parse::<Ipv6Addr>().map_err(|_| invalid())?;
            match tail {
                "" => (host, None),
                _ => (host, Some(tail.strip_prefix(':').ok_or_else(invalid)?)),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let Some(port) = port else { return Ok((host, None)) };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
    Ok((host, Some(port)))
}

/// Whether `text` can be asked of a name server: letters, digits, `-`, `_` and dots between non-empty labels, within
/// the lengths of RFC 1035 §2.3.4.
fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

/// Integers, also as other writers store them (`1.0`).
fn hash_weight(value: &Value) -> Option<u32> {
    match value.as_u64() {
        Some(weight) => u32::try_from(weight).ok(),
        None => value
            .as_f64()
            .filter(|weight| weight.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(weight))
            .map(|weight| weight as u32),
    }
}

/// Divides the weights of each priority by their greatest common divisor.
fn reduce_weights(nodes: &mut [Node]) {
    for group in nodes.chunk_by_mut(|one, other| one.priority == other.priority) {
        let divisor = group.iter().fold(0, |divisor, node| greatest_common_divisor(divisor, node.weight));
        if divisor > 1 {
            for node in group {
                node.weight /= divisor;
            }
        }
    }
}

fn greatest_common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

fn pass_host(spec: &UpstreamSpec) -> Result<PassHost, String> {
    match spec.pass_host.as_deref().unwrap_or("pass") {
        "pass" => Ok(PassHost::Pass),
        "node" => Ok(PassHost::Node),
        "rewrite" => match spec.upstream_host.as_deref() {
            Some(host) if !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(PassHost::Rewrite(host.as_bytes().into()))
            }
            Some(_) => Err("upstream_host is not a host".into()),
            None => Err("pass_host is \"rewrite\" and upstream_host is missing".into()),
        },
        other => Err(format!("pass_host {other:?} is unknown")),
    }
}

fn keepalive_pool(spec: &KeepalivePoolSpec) -> Result<KeepalivePool, String> {
    let default = KeepalivePool::default();
    Ok(KeepalivePool {
        size: spec.size.unwrap_or(default.size),
        idle_timeout: match spec.idle_timeout {
            None => default.idle_timeout,
            Some(seconds) => duration(seconds).ok_or("keepalive_pool.idle_timeout is out of range")?,
        },
        requests: spec.requests.unwrap_or(default.requests),
    })
}

/// Seconds as a duration; `None` when negative, not a number, or more than [`SECONDS_MAX`].
fn duration(seconds: f64) -> Option<Duration> {
    (0.0..=SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// The longest wait that may be configured: a year, far from overflowing any clock.
const SECONDS_MAX: f64 = 365.0 * 24.0 * 3600.0;
/// The shortest wait: less could only fail.
const WAIT_MIN: Duration = Duration::from_millis(1);
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compiled(spec: Value) -> Result<Upstream, String> {
        compile("/upstreams/1", &serde_json::from_value(spec).unwrap(), KeepalivePool::default())
    }

    /// Host, port, weight, number of addresses, rendered host.
    type Brief = (String, u16, u32, usize, String);

    fn brief(spec: Value) -> Result<Vec<Brief>, String> {
        Ok(compiled(spec)?
            .nodes
            .into_iter()
            .map(|node| {
                let field = String::from_utf8(node.host_field.into_vec()).unwrap();
                (node.host.into_string(), node.port, node.weight, node.addresses.len(), field)
            })
            .collect())
    }

    #[test]
    fn both_forms_of_nodes_are_read() {
        let one =
            |host: &str, port, weight, addresses, field: &str| (host.into(), port, weight, addresses, field.into());
        let cases = [
            (json!({"127.0.0.1:1980": 1}), vec![one("127.0.0.1", 1980, 1, 1, "127.0.0.1:1980")]),
            (json!({"127.0.0.1": 1}), vec![one("127.0.0.1", 80, 1, 1, "127.0.0.1")]),
            (json!({"Foo.com:80": 1}), vec![one("Foo.com", 80, 1, 0, "Foo.com")]),
            (json!({"[::1]:1980": 1}), vec![one("::1", 1980, 1, 1, "[::1]:1980")]),
            (json!({"[::1]": 1.0}), vec![one("::1", 80, 1, 1, "[::1]")]),
            (json!({"::1:1980": 0}), vec![one("::1:1980", 80, 0, 1, "[::1:1980]")]),
            (
                json!({"a:1": 10, "b:2": 4, "c:3": 0}),
                vec![one("a", 1, 5, 0, "a:1"), one("b", 2, 2, 0, "b:2"), one("c", 3, 0, 0, "c:3")],
            ),
            (json!([{"host": "[::1]", "weight": 1}]), vec![one("::1", 80, 1, 1, "[::1]")]),
            (
                json!([{"host": "a", "port": 8, "weight": 3, "priority": -1}, {"host": "b", "weight": 4}]),
                vec![one("b", 80, 1, 0, "b"), one("a", 8, 1, 0, "a:8")],
            ),
            (json!({}), vec![]),
            (json!([]), vec![]),
        ];
        for (nodes, want) in cases {
            assert_eq!(brief(json!({ "nodes": nodes })), Ok(want), "{nodes}");
        }
        assert_eq!(brief(json!({})), Ok(vec![]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let cases = [
            json!({"nodes": {"a:0": 1}}),
            json!({"nodes": {"a:+80": 1}}),
            json!({"nodes": {"a:65536": 1}}),
            json!({"nodes": {"a:": 1}}),
            json!({"nodes": {"": 1}}),
            json!({"nodes": {"[::1": 1}}),
            json!({"nodes": {"[a]:80": 1}}),
            json!({"nodes": {"[::1]80": 1}}),
            json!({"nodes": {"a b": 1}}),
            json!({"nodes": {"a\r\nX: y": 1}}),
            json!({"nodes": {"a..b": 1}}),
            json!({"nodes": {"a": -1}}),
            json!({"nodes": {"a": 1.5}}),
            json!({"nodes": {"a": "1"}}),
            json!({"nodes": [{"host": "a", "port": 0, "weight": 1}]}),
            json!({"nodes": [{"host": "a:80", "weight": 1}]}),
            json!({"scheme": "https"}),
            json!({"scheme": "kafka"}),
            json!({"type": "chash"}),
            json!({"type": "nonsense"}),
            json!({"service_name": "a", "discovery_type": "dns"}),
            json!({"pass_host": "rewrite"}),
            json!({"pass_host": "rewrite", "upstream_host": "a\r\nb"}),
            json!({"pass_host": "other"}),
            json!({"timeout": {"connect": 0, "send": 1, "read": 1}}),
            json!({"timeout": {"connect": -1, "send": 1, "read": 1}}),
            json!({"timeout": {"connect": 1e300, "send": 1, "read": 1}}),
            json!({"retry_timeout": -1}),
            json!({"keepalive_pool": {"idle_timeout": -1}}),
        ];
        for spec in cases {
            assert!(compiled(spec.clone()).is_err(), "{spec}");
        }
    }

    #[test]
    fn options_are_converted() {
        let upstream = compiled(json!({
            "pass_host": "rewrite", "upstream_host": "b:81", "retries": 2, "retry_timeout": 1.5,
            "timeout": {"connect": 0.5, "send": 2, "read": 3}, "keepalive_pool": {"size": 7, "idle_timeout": 0},
        }))
        .unwrap();
        assert_eq!(upstream.pass_host, PassHost::Rewrite(b"b:81".as_slice().into()));
        assert_eq!((upstream.retries, upstream.retry_timeout), (Some(2), Duration::from_millis(1500)));
        assert_eq!(upstream.timeouts.unwrap().connect, Duration::from_millis(500));
        assert_eq!(upstream.keepalive, KeepalivePool { size: 7, idle_timeout: Duration::ZERO, requests: 1000 });
    }
}
