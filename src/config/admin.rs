//! `deployment.admin`: who may use the Admin API, and from where (spec/admin-api §1 and §1.1).

use super::error::Fault;
use super::section::Section;
use super::yaml::kind;
use crate::admin::{AdminKey, Role};
use ipnet::IpNet;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The Admin API's listener and its rules.
#[derive(Debug, Clone)]
pub struct Admin {
    /// `admin_listen`.
    pub listen: SocketAddr,
    /// `allow_admin`: peers that may connect; `None` means all.
    pub allow: Option<Vec<IpNet>>,
    /// `admin_key`: whoever shows one of them; `None` means no key is asked for.
    pub keys: Option<Vec<AdminKey>>,
    /// `enable_admin_cors`.
    pub cors: bool,
}

/// What was read, and which keys of the list still have to be generated.
pub(super) struct Reading {
    pub(super) admin: Admin,
    /// Positions in `admin_key` of entries with `role: admin` and `key: ""`.
    pub(super) blank: Vec<usize>,
    /// The start-up warning when no key is asked for.
    pub(super) warning: Option<String>,
}

/// Reads `deployment.admin` of a node whose Admin API is on.
pub(super) fn read(section: &mut Section) -> Result<Reading, Fault> {
    let listen = {
        let mut listen = section.section("admin_listen")?;
        let ip = listen.ip("ip")?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let address = SocketAddr::new(ip, listen.port("port")?.unwrap_or(DEFAULT_PORT));
        reject_rest(listen)?;
        address
    };
    let allow = section.networks("allow_admin")?;
    // Only an explicit false opens it: an `admin:` whose keys are all commented out must not.
    let required = section.switch_if_present("admin_key_required")?.unwrap_or(true);
    let entries = section.list("admin_key")?;
    if let Some(version) = section.text("admin_api_version")?
        && version != "v3"
    {
        let why = format!("only the shapes of version \"v3\" are spoken, found {version:?}");
        return Err(Fault::Unsupported { key: section.path("admin_api_version"), why });
    }
    let missing = match &entries {
        None => Some("none"),
        Some(entries) if entries.is_empty() => Some("an empty list"),
        Some(_) => None,
    };
    let local = allow.as_deref() == Some(&[LOCAL]);
    let (keys, warning) = match (required, missing) {
        (false, _) => (None, Some("deployment.admin.admin_key_required is false")),
        (true, Some(what)) if !local => return Err(Fault::Open(what)),
        (true, Some(_)) => (None, Some("deployment.admin.admin_key is empty")),
        (true, None) => (Some(read_keys(section, entries.unwrap_or_default())?), None),
    };
    let blank = keys.iter().flatten().enumerate().filter(|(_, key)| key.key.is_empty()).map(|(index, _)| index);
    Ok(Reading {
        blank: blank.collect(),
        warning: warning.map(|why| format!("{why}: the Admin API asks for no key")),
        admin: Admin { listen, allow, keys, cors: section.switch("enable_admin_cors")? },
    })
}

fn read_keys(section: &Section, entries: Vec<Value>) -> Result<Vec<AdminKey>, Fault> {
    let mut keys: Vec<AdminKey> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let place = format!("admin_key[{index}]");
        let Value::Object(table) = entry else {
            return Err(section.unfit(&place, "a mapping with name, key and role", kind(&entry)));
        };
        let mut entry = Section::root(table);
        let unfit =
            |field: &str, expected: &str, found: &str| section.unfit(&format!("{place}.{field}"), expected, found);
        let role = match entry.take("role") {
            Some(Value::String(role)) if role == "admin" => Role::Admin,
            Some(Value::String(role)) if role == "viewer" => Role::Viewer,
            other => return Err(unfit("role", "admin or viewer", other.as_ref().map_or("none", kind))),
        };
        let key = match entry.take("key") {
            Some(Value::String(key)) if role == Role::Admin || !key.is_empty() => key,
            // The original takes a number for its digits.
            Some(Value::Number(key)) if key.is_u64() => key.to_string(),
            other => return Err(unfit("key", "a string", other.as_ref().map_or("none", kind))),
        };
        if !key.is_empty() && keys.iter().any(|other| other.key == key) {
            return Err(unfit("key", "a key that no other entry has", "a repeated one"));
        }
        let name = match entry.take("name") {
            Some(Value::String(name)) => name,
            None | Some(Value::Null) => String::new(),
            Some(other) => return Err(unfit("name", "a string", kind(&other))),
        };
        let mut left = Vec::new();
        entry.finish(&mut left);
        if let Some((field, value)) = left.first() {
            return Err(unfit(field, "only name, key and role", kind(value)));
        }
        keys.push(AdminKey { name, key, role });
    }
    Ok(keys)
}

fn reject_rest(section: Section) -> Result<(), Fault> {
    let mut left = Vec::new();
    section.finish(&mut left);
    match left.into_iter().next() {
        None => Ok(()),
        Some((key, value)) => {
            Err(Fault::Value { key, expected: "only ip and port".to_owned(), found: kind(&value).to_owned() })
        }
    }
}

const DEFAULT_PORT: u16 = 9180;
/// The only network from which an Admin API without a key may be used: a /24, as the original has it.
const LOCAL: IpNet = IpNet::V4(ipnet::Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 24));
