//! What a worker is told at start: waits, limits, switches. Fixed for the life of the process.

use ipnet::IpNet;
use std::time::Duration;

/// Settings of the data path, from `conf/config.yaml` (spec/config-sources §1.1; the key stands at each field).
#[derive(Debug, Clone)]
pub struct Settings {
    /// `Server` of every answer: `ringgate/<version>`, or `ringgate` (`apisix.enable_server_tokens`).
    pub server: String,
    /// `apisix.show_upstream_status_in_response_header`.
    pub show_upstream_status: bool,
    /// `apisix.delete_uri_tail_slash`: one trailing `/` is cut from the path for matching.
    pub delete_uri_tail_slash: bool,
    /// `nginx_config.http.real_ip_header`.
    pub real_ip_header: String,
    /// `nginx_config.http.real_ip_from`: peers whose real-ip header is believed.
    pub real_ip_from: Vec<IpNet>,
    /// `apisix.trusted_addresses`: peers whose forwarded headers are kept; `None` when not configured.
    pub trusted_addresses: Option<Vec<IpNet>>,
    /// Waits towards clients.
    pub timeouts: ClientTimeouts,
    /// Bounds.
    pub limits: Limits,
    /// `nginx_config.http.upstream.keepalive*`: reuse of upstream connections unless the upstream says otherwise.
    pub keepalive: crate::upstream::KeepalivePool,
    /// `ringgate.jwt`.
    pub jwt: crate::auth::jwt::Settings,
    /// `ringgate.limit_count`.
    pub limit_count: crate::limit::Settings,
    /// `nginx_config.worker_shutdown_timeout`: how long a drain may take.
    pub drain_max: Duration,
}

/// Waits towards clients (`nginx_config.http.*`).
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// `keepalive_timeout`: idle between requests.
    pub keepalive: Duration,
    /// `client_header_timeout`: for a whole head.
    pub head: Duration,
    /// `client_body_timeout`: between two reads of a body.
    pub body: Duration,
    /// `send_timeout`: between two writes.
    pub send: Duration,
}

/// Bounds of the data path, with their defaults.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request line; more is 414. 8 KiB.
    pub request_line_bytes_max: usize,
    /// Bytes of one field line; more is 400. 8 KiB.
    pub field_bytes_max: usize,
    /// Bytes of all field lines; more is 400. 32 KiB.
    pub fields_bytes_max: usize,
    /// Field lines of a head; more is 400. 128.
    pub fields_max: usize,
    /// `client_max_body_size`: bytes of a request body; more is 413; 0 means none.
    pub body_bytes_max: u64,
    /// Bytes of an upstream's response head; more is 502. 64 KiB.
    pub response_head_bytes_max: usize,
    /// Connections per worker; more are closed at once. 65 536.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: 8 << 10,
            field_bytes_max: 8 << 10,
            fields_bytes_max: 32 << 10,
            fields_max: 128,
            body_bytes_max: 0,
            response_head_bytes_max: 64 << 10,
            connections_max: 65_536,
        }
    }
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { keepalive: minute, head: minute, body: minute, send: Duration::from_secs(10) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: concat!("ringgate/", env!("CARGO_PKG_VERSION")).to_owned(),
            show_upstream_status: false,
            delete_uri_tail_slash: false,
            real_ip_header: "X-Real-IP".to_owned(),
            real_ip_from: vec![IpNet::from(std::net::IpAddr::from([127, 0, 0, 1]))],
            trusted_addresses: None,
            timeouts: ClientTimeouts::default(),
            limits: Limits::default(),
            keepalive: crate::upstream::KeepalivePool::default(),
            jwt: crate::auth::jwt::Settings::default(),
            limit_count: crate::limit::Settings::default(),
            drain_max: Duration::from_secs(240),
        }
    }
}
