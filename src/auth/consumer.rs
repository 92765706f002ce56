//! Who may call: the worker's own table of consumers and credentials.

use crate::plugin::chain::Link;
use std::sync::Arc;

/// A consumer as routes that admit anonymous callers look it up.
#[derive(Debug)]
pub struct Consumer {
    /// APISIX `username`.
    pub username: Box<str>,
    /// How requests appear that continue as this consumer without a credential (`anonymous_consumer`).
    pub anonymous: Arc<Identity>,
}

/// Who is calling, as the upstream will be told.
#[derive(Debug)]
pub struct Identity {
    /// APISIX `username`.
    pub username: Box<str>,
    /// Its group, as text.
    pub group_id: Option<Box<str>>,
    /// The credential's id; none when the match was on the consumer itself or is anonymous.
    pub credential_id: Option<Box<str>>,
    /// The `X-Consumer-Username`, `X-Credential-Identifier` and `X-Consumer-Custom-ID` lines to send, rendered.
    pub fields: Box<[u8]>,
    /// The consumer's plugins, to be merged over the route's.
    pub plugins: Arc<[Link]>,
}

/// One way to authenticate: what a token names, and what verifies it.
#[derive(Debug)]
pub struct Credential {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What verifies.
    pub material: AuthMaterial,
    /// Changes whenever anything that verification depends on changes.
    pub version: u64,
}

/// Verification material by plugin.
#[derive(Debug)]
pub enum AuthMaterial {
    /// For jwt-auth.
    Jwt(super::jwt::JwtCredential),
}

/// The worker's own consumers and credentials. One change costs one look-up.
#[derive(Debug, Default)]
pub struct ConsumerTable {}
