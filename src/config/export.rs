//! `plugin_attr.prometheus`: where metrics are served.

use super::error::Fault;
use super::section::{Section, shown};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where metrics are served (spec/config-sources §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// `export_addr`. Port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// `export_uri`.
    pub uri: String,
    /// Whether `export_addr` was configured. The default one may be taken by a neighbour without harm.
    pub is_configured: bool,
}

/// Reads the section; `None` where `enable_export_server` is off.
pub(super) fn read(section: &mut Section) -> Result<Option<Export>, Fault> {
    let enabled = section.switch_if_present("enable_export_server")?.unwrap_or(true);
    let uri = section.text("export_uri")?.unwrap_or_else(|| URI.to_owned());
    let is_plain = uri.starts_with('/') && !uri.contains(['{', '}', '*', '?', '#', ':']);
    if !is_plain {
        return Err(section.unfit(
            "export_uri",
            "a path that starts with / and has no pattern in it",
            &shown(&uri.into()),
        ));
    }
    let address = section.section_if_present("export_addr")?;
    let is_configured = address.is_some();
    let (mut ip, mut port) = (None, None);
    if let Some(mut address) = address {
        ip = address.ip("ip")?;
        port = address.port("port")?;
        let mut left = Vec::new();
        address.finish(&mut left);
        if let Some((key, value)) = left.into_iter().next() {
            return Err(Fault::Value { key, expected: "only ip and port".to_owned(), found: shown(&value) });
        }
    }
    let address = SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port.unwrap_or(PORT));
    Ok(enabled.then_some(Export { address, uri, is_configured }))
}

const URI: &str = "/apisix/prometheus/metrics";
const PORT: u16 = 9091;
