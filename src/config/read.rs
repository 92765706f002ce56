//! The merged tree to a typed [`Config`]: every key that has an effect is read here, once.

use super::error::Fault;
use super::section::{Section, shown};
use super::yaml::Table;
use super::{
    AccessLog, Admin, Config, LogFormat, LogLevel, ProcessLog, admin, data_encryption, export, jwt, keys, limit_count,
    listen, merge, secret, substitute,
};
use crate::dns::ResolverOptions;
use crate::log::Escape;
use crate::upstream::KeepalivePool;
use crate::worker::settings::{ClientTimeouts, Limits, Settings};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A configuration, and the admin keys that it still lacks.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) config: Config,
    /// Positions in `deployment.admin.admin_key` whose key is to be generated.
    pub(super) blank_keys: Vec<usize>,
}

/// Reads the user's `table` over the defaults.
pub(super) fn read(table: Table, environment: substitute::Environment<'_>) -> Result<Reading, Fault> {
    let table = substitute::substitute(table, environment)?;
    let mut root = Section::root(merge::over_defaults(table)?);
    let mut apisix = root.section("apisix")?;
    let mut router = apisix.section("router")?;
    let mut encryption = apisix.section("data_encryption")?;
    let mut lru = apisix.section("lru")?;
    let mut lru_secret = lru.section("secret")?;
    let mut nginx = root.section("nginx_config")?;
    let mut http = nginx.section("http")?;
    let mut upstream = http.section("upstream")?;
    let mut deployment = root.section("deployment")?;
    let mut admin_section = deployment.section("admin")?;
    let mut own = root.section("ringgate")?;
    let mut limits = own.section("limits")?;
    let mut jwt = own.section("jwt")?;
    let mut limit_count = own.section("limit_count")?;
    let mut own_encryption = own.section("data_encryption")?;
    let mut own_secret = own.section("secret")?;
    let mut plugin_attr = root.section("plugin_attr")?;
    let mut prometheus = plugin_attr.section("prometheus")?;

    role(&mut deployment, environment)?;
    modes(&mut apisix, &mut router)?;

    let enabled = apisix.switch("enable_admin")?;
    let admin = admin::read(&mut admin_section)?;
    let (blank_keys, warning) = if enabled { (admin.blank, admin.warning) } else { (Vec::new(), None) };
    let mut warnings: Vec<String> = warning.into_iter().collect();
    let plugins = plugins(&mut root, &mut warnings)?;
    let ipv6 = apisix.switch("enable_ipv6")?;
    let config = Config {
        listeners: listen::nodes(&mut apisix, ipv6)?,
        admin: enabled.then_some(admin.admin),
        status: status(&mut apisix)?,
        export: export::read(&mut prometheus)?,
        access_log: access_log(&mut http)?,
        process_log: ProcessLog {
            level: nginx.choice("error_log_level", LEVELS)?.unwrap_or(LogLevel::Warn),
            format: own.choice("log_format", FORMATS)?.unwrap_or(LogFormat::Text),
        },
        resolver: resolver(&mut apisix)?,
        secrets: secret::read(&mut lru_secret, &mut own_secret, &mut warnings)?,
        plugins,
        plugin_rules: jwt::plugin_rules(&mut jwt)?,
        data_encryption: data_encryption::read(&mut encryption, &mut own_encryption)?,
        workers: workers(&mut nginx, environment)?,
        settings: Settings {
            server: server(apisix.switch("enable_server_tokens")?),
            show_upstream_status: apisix.switch("show_upstream_status_in_response_header")?,
            delete_uri_tail_slash: apisix.switch("delete_uri_tail_slash")?,
            real_ip_header: http.text("real_ip_header")?.unwrap_or_else(|| Settings::default().real_ip_header),
            real_ip_from: http.networks("real_ip_from")?.unwrap_or_default(),
            trusted_addresses: apisix.networks("trusted_addresses")?,
            timeouts: timeouts(&mut http)?,
            limits: limits_of(&mut limits, &mut http)?,
            keepalive: keepalive(&mut upstream)?,
            jwt: jwt::read(&mut jwt)?,
            limit_count: limit_count::read(&mut limit_count)?,
            drain_max: nginx.time("worker_shutdown_timeout")?.unwrap_or_else(|| Settings::default().drain_max),
        },
        warnings: Vec::new(),
    };
    conflicts(&config)?;

    let mut left = Vec::new();
    for section in [
        upstream,
        http,
        nginx,
        router,
        encryption,
        lru_secret,
        lru,
        apisix,
        admin_section,
        deployment,
        limits,
        jwt,
        limit_count,
        own_encryption,
        own_secret,
        own,
        prometheus,
        plugin_attr,
        root,
    ] {
        section.finish(&mut left);
    }
    warnings.extend(keys::judge(left)?);
    Ok(Reading { config: Config { warnings, ..config }, blank_keys })
}

/// Refuses every role and every source of configuration but the one that exists.
fn role(deployment: &mut Section, environment: substitute::Environment<'_>) -> Result<(), Fault> {
    if environment("APISIX_STAND_ALONE").is_some_and(|value| value == "true") {
        let why = "stand-alone mode is not supported yet, only the embedded store is; expected no such variable";
        return Err(Fault::Unsupported { key: "APISIX_STAND_ALONE".to_owned(), why: why.to_owned() });
    }
    let unsupported = |key: String, what: &str, found: &str, only: &str| Fault::Unsupported {
        key,
        why: format!("{what} {found:?} is not supported yet; expected {only}"),
    };
    if let Some(role) = deployment.text("role")?
        && role != "traditional"
    {
        return Err(unsupported(deployment.path("role"), "role", &role, "traditional"));
    }
    let mut traditional = deployment.section("role_traditional")?;
    if let Some(provider) = traditional.text("config_provider")?
        && provider != "embedded"
    {
        return Err(unsupported(traditional.path("config_provider"), "config provider", &provider, "embedded"));
    }
    let mut left = Vec::new();
    traditional.finish(&mut left);
    match left.into_iter().next() {
        None => Ok(()),
        Some((key, value)) => {
            Err(Fault::Value { key, expected: "only config_provider".to_owned(), found: shown(&value) })
        }
    }
}

/// Refuses other protocols and other ways of matching.
fn modes(apisix: &mut Section, router: &mut Section) -> Result<(), Fault> {
    let choices = [(&mut *apisix, "proxy_mode", "http"), (router, "http", "radixtree_host_uri")];
    for (section, key, only) in choices {
        if let Some(found) = section.text(key)?
            && found != only
        {
            let why = format!("{found:?} is not supported yet; expected {only}");
            return Err(Fault::Unsupported { key: section.path(key), why });
        }
    }
    Ok(())
}

fn plugins(root: &mut Section, warnings: &mut Vec<String>) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    let mut unknown = Vec::new();
    for (index, item) in root.list("plugins")?.unwrap_or_default().into_iter().enumerate() {
        match item {
            Value::String(name) if crate::plugin::registry::find(&name).is_some() => names.push(name),
            // Escaped, so that a warning stays one line.
            Value::String(name) if !name.is_empty() => unknown.push(name.escape_debug().to_string()),
            other => return Err(root.unfit(&format!("plugins[{index}]"), "the name of a plugin", &shown(&other))),
        }
    }
    if !unknown.is_empty() {
        warnings.push(format!("plugins names what is not available: {}", unknown.join(", ")));
    }
    Ok(names)
}

fn status(apisix: &mut Section) -> Result<Option<SocketAddr>, Fault> {
    let Some(mut status) = apisix.section_if_present("status")? else { return Ok(None) };
    let ip = status.ip("ip")?.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let address = SocketAddr::new(ip, status.port("port")?.unwrap_or(STATUS_PORT));
    let mut left = Vec::new();
    status.finish(&mut left);
    match left.into_iter().next() {
        None => Ok(Some(address)),
        Some((key, value)) => Err(Fault::Value { key, expected: "only ip and port".to_owned(), found: shown(&value) }),
    }
}

fn access_log(http: &mut Section) -> Result<AccessLog, Fault> {
    let log = AccessLog {
        enabled: http.switch("enable_access_log")?,
        path: http.text("access_log")?.unwrap_or_else(|| "logs/access.log".to_owned()).into(),
        format: http.text("access_log_format")?.unwrap_or_default(),
        escape: http.choice("access_log_format_escape", ESCAPES)?.unwrap_or(Escape::Default),
        buffer_bytes: http.size("access_log_buffer", 0, 1 << 30)?.unwrap_or(0) as usize,
    };
    if log.enabled && log.format.is_empty() {
        return Err(http.unfit("access_log_format", "a string", "none"));
    }
    Ok(log)
}

fn resolver(apisix: &mut Section) -> Result<ResolverOptions, Fault> {
    let mut servers = Vec::new();
    for (index, item) in apisix.list("dns_resolver")?.unwrap_or_default().iter().enumerate() {
        let text = item.as_str().unwrap_or_default();
        let server = text
            .parse::<SocketAddr>()
            .ok()
            .or_else(|| super::section::bare_ip(text).map(|ip| SocketAddr::new(ip, DNS_PORT)));
        let Some(server) = server else {
            let key = format!("dns_resolver[{index}]");
            return Err(apisix.unfit(&key, "an IP address, with or without a port", &shown(item)));
        };
        servers.push(server);
    }
    Ok(ResolverOptions {
        servers,
        valid_s: apisix.count("dns_resolver_valid", 1, SECONDS_MAX)?,
        timeout_s: apisix.count("resolver_timeout", 1, SECONDS_MAX)?,
        search: apisix.switch("enable_resolv_search_opt")?,
    })
}

/// `APISIX_WORKER_PROCESSES` outranks `worker_processes`; `None` means one per core.
fn workers(nginx: &mut Section, environment: substitute::Environment<'_>) -> Result<Option<usize>, Fault> {
    let expected = format!("auto or a whole number from 1 to {WORKERS_MAX}");
    let parsed = |text: &str| match text {
        "auto" => Some(None),
        digits => {
            let count = crate::base::bytes::decimal(digits.as_bytes())?;
            (1..=WORKERS_MAX).contains(&count).then_some(Some(count as usize))
        }
    };
    let configured = match nginx.take("worker_processes") {
        None => None,
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parsed(&text).ok_or_else(|| nginx.unfit("worker_processes", &expected, &shown(&value)))?
        }
    };
    match environment("APISIX_WORKER_PROCESSES") {
        None => Ok(configured),
        Some(text) => parsed(&text).ok_or_else(|| Fault::Value {
            key: "APISIX_WORKER_PROCESSES".to_owned(),
            expected,
            found: shown(&Value::String(text)),
        }),
    }
}

fn timeouts(http: &mut Section) -> Result<ClientTimeouts, Fault> {
    let default = ClientTimeouts::default();
    Ok(ClientTimeouts {
        keepalive: http.time("keepalive_timeout")?.unwrap_or(default.keepalive),
        head: time_above_zero(http, "client_header_timeout")?.unwrap_or(default.head),
        body: time_above_zero(http, "client_body_timeout")?.unwrap_or(default.body),
        send: time_above_zero(http, "send_timeout")?.unwrap_or(default.send),
    })
}

fn time_above_zero(http: &mut Section, key: &str) -> Result<Option<Duration>, Fault> {
    match http.time(key)? {
        Some(Duration::ZERO) => Err(http.unfit(key, "a time above zero", "0")),
        time => Ok(time),
    }
}

fn limits_of(own: &mut Section, http: &mut Section) -> Result<Limits, Fault> {
    let default = Limits::default();
    let mut bytes = |key: &str, default: usize| -> Result<usize, Fault> {
        Ok(own.size(key, HEAD_BYTES_LEAST, HEAD_BYTES_MOST)?.map_or(default, |bytes| bytes as usize))
    };
    let request_line_bytes_max = bytes("request_line_bytes_max", default.request_line_bytes_max)?;
    let field_bytes_max = bytes("field_bytes_max", default.field_bytes_max)?;
    let fields_bytes_max = bytes("fields_bytes_max", default.fields_bytes_max)?;
    let response_head_bytes_max = bytes("response_head_bytes_max", default.response_head_bytes_max)?;
    let count = |number: Option<u64>, default: usize| number.map_or(default, |number| number as usize);
    Ok(Limits {
        request_line_bytes_max,
        field_bytes_max,
        fields_bytes_max,
        fields_max: count(own.count("fields_max", 16, 1024)?, default.fields_max),
        body_bytes_max: http.size("client_max_body_size", 0, u64::MAX)?.unwrap_or(default.body_bytes_max),
        response_head_bytes_max,
        connections_max: count(own.count("connections_max", 1, 1 << 20)?, default.connections_max),
    })
}

fn keepalive(upstream: &mut Section) -> Result<KeepalivePool, Fault> {
    let default = KeepalivePool::default();
    Ok(KeepalivePool {
        size: upstream.count("keepalive", 0, 1 << 20)?.map_or(default.size, |size| size as usize),
        idle_timeout: upstream.time("keepalive_timeout")?.unwrap_or(default.idle_timeout),
        requests: upstream.count("keepalive_requests", 1, u64::from(u32::MAX))?.unwrap_or(default.requests),
    })
}

fn conflicts(config: &Config) -> Result<(), Fault> {
    let nodes = config.listeners.iter().map(|address| ("apisix.node_listen", *address));
    let admin = config.admin.iter().map(|Admin { listen, .. }| ("deployment.admin.admin_listen", *listen));
    let status = config.status.iter().map(|address| ("apisix.status", *address));
    let export = config.export.iter().map(|export| ("plugin_attr.prometheus.export_addr", export.address));
    let all: Vec<_> = nodes.chain(admin).chain(status).chain(export).collect();
    listen::no_conflicts(&all)
}

fn server(tokens: bool) -> String {
    let full = Settings::default().server;
    if tokens { full } else { full.split('/').next().unwrap_or_default().to_owned() }
}

const LEVELS: &[(&str, LogLevel)] = &[
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("notice", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("crit", LogLevel::Error),
    ("alert", LogLevel::Error),
    ("emerg", LogLevel::Error),
];
const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const ESCAPES: &[(&str, Escape)] = &[("default", Escape::Default), ("json", Escape::Json), ("none", Escape::None)];
const STATUS_PORT: u16 = 7085;
const DNS_PORT: u16 = 53;
const SECONDS_MAX: u64 = 86_400;
/// More workers than any machine has cores.
const WORKERS_MAX: u64 = 4_096;
/// Below this no ordinary request fits; the upper bound keeps every offset far inside `u32`.
const HEAD_BYTES_LEAST: u64 = 1 << 10;
const HEAD_BYTES_MOST: u64 = 1 << 20;

#[cfg(test)]
mod tests;
