//! IP networks as configurations write them.

use ipnet::IpNet;
use std::net::IpAddr;

/// An address or a CIDR, as a network; host bits are allowed and ignored.
pub fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => text.parse().ok(),
    }
}
