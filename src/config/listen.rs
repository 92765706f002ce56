//! Where the process listens: proxy, Admin API, status.

use super::error::Fault;
use super::section::{Section, bare_ip, shown};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Reads `apisix.node_listen`: a port, a list of ports, or a list of `{ip, port}`; without repetitions.
///
/// With `ipv6`, what listens on every IPv4 address listens on `[::]` too. An address that was named stays alone: the
/// original would open `[::]` beside `127.0.0.1` as well, which exposes more than was asked for.
pub(super) fn nodes(apisix: &mut Section, ipv6: bool) -> Result<Vec<SocketAddr>, Fault> {
    let items = match apisix.take("node_listen") {
        Some(Value::Array(items)) => items,
        Some(item) => vec![item],
        None => Vec::new(),
    };
    let mut addresses = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(address) = node(item) else {
            let expected = "a port or {ip, port} without other keys";
            return Err(apisix.unfit(&format!("node_listen[{index}]"), expected, &shown(item)));
        };
        let twin = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
        let both = ipv6 && address.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        for address in [Some(address), both.then_some(twin)].into_iter().flatten() {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    if addresses.is_empty() {
        return Err(apisix.unfit("node_listen", "at least one port", "none"));
    }
    Ok(addresses)
}

fn node(item: &Value) -> Option<SocketAddr> {
    let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    let Value::Object(table) = item else {
        return Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port(item)?)));
    };
    let ip = match table.get("ip") {
        None | Some(Value::Null) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(ip) => bare_ip(ip.as_str()?)?,
    };
    let known = table.keys().all(|key| key == "ip" || key == "port");
    known.then_some(SocketAddr::new(ip, port(table.get("port")?)?))
}

/// Refuses two listeners on one port, whatever their addresses; port 0 is never in conflict.
pub(super) fn no_conflicts(listeners: &[(&str, SocketAddr)]) -> Result<(), Fault> {
    for (index, (first, address)) in listeners.iter().enumerate() {
        let port = address.port();
        let rest = listeners.get(index + 1..).unwrap_or_default();
        if let Some((second, _)) = rest.iter().find(|(name, other)| name != first && other.port() == port && port != 0)
        {
            return Err(Fault::Conflict { first: (*first).to_owned(), second: (*second).to_owned(), port });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value, ipv6: bool) -> Result<String, String> {
        let Value::Object(table) = json!({"node_listen": value}) else { panic!("not an object") };
        let addresses = nodes(&mut Section::root(table), ipv6).map_err(|fault| fault.to_string())?;
        Ok(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_form_of_node_listen() {
        let cases = [
            (json!(9080), false, "0.0.0.0:9080"),
            (json!(9080), true, "0.0.0.0:9080 [::]:9080"),
            (json!([9080, 9081, 9080]), false, "0.0.0.0:9080 0.0.0.0:9081"),
            (json!([{"ip": "127.0.0.1", "port": 1}, {"port": 2}]), true, "127.0.0.1:1 0.0.0.0:2 [::]:2"),
            (json!([{"ip": "[::1]", "port": 0}]), true, "[::1]:0"),
        ];
        for (value, ipv6, want) in cases {
            assert_eq!(read(value.clone(), ipv6).unwrap(), want, "{value}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let wrong = [
            json!("x"),
            json!(70_000),
            json!(-1),
            json!([null]),
            json!([{"ip": "localhost", "port": 1}]),
            json!([{"ip": "127.0.0.1"}]),
            json!([{"port": 1, "enable_http2": true}]),
        ];
        for value in wrong {
            let error = read(value.clone(), false).unwrap_err();
            assert!(error.starts_with("node_listen[0]: expected a port or {ip, port}"), "{value}: {error}");
        }
        assert_eq!(read(json!([]), false).unwrap_err(), "node_listen: expected at least one port, found none");
    }

    #[test]
    fn one_port_has_one_listener() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let node = [("node", at("0.0.0.0:1")), ("node", at("[::]:1"))];
        assert!(no_conflicts(&node).is_ok());
        assert!(no_conflicts(&[("node", at("0.0.0.0:0")), ("admin", at("0.0.0.0:0"))]).is_ok());
        let conflict =
            no_conflicts(&[("node", at("0.0.0.0:1")), ("status", at("127.0.0.1:2")), ("admin", at("[::]:1"))]);
        assert_eq!(conflict.unwrap_err().to_string(), "node and admin both listen on port 1");
    }
}
