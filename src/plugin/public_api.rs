//! `public-api`: lets a route reach an endpoint of the gateway's own.
//!
//! The request's path in, or the configured one; that endpoint's answer out, or 404. Such endpoints are reached in no
//! other way, so none is open until somebody makes a route for it, with whatever plugins shall guard it. Runs in the
//! access phase, after authentication and limits; the route needs no upstream. Endpoints may allocate and may take
//! their time on the worker, as each says of itself; none waits or panics.

use super::jwt_auth::sign;
use super::{Answer, Context, Phase, Plugin, PluginType, Verdict};
use crate::auth::consumer::ConsumerTable;
use crate::http::answer::page;
use crate::http::request::Request;
use serde_json::Value;
use std::sync::Arc;

/// The plugin type.
pub static TYPE: PluginType = PluginType {
    name: "public-api",
    priority: 501,
    first_phase: Phase::Access,
    version: "0.1",
    schema: include_str!("public_api/schema.json"),
    encrypted_fields: &[],
    auth: None,
    metadata: None,
    check: |_, _| Ok(()),
    build: |configuration, _site| Ok(Arc::new(PublicApi::new(configuration))),
};

/// One endpoint of the gateway's own.
pub(super) struct Endpoint {
    /// The only method it has; with any other it does not exist, as in the original.
    pub(super) method: &'static [u8],
    /// Its path, to the byte.
    pub(super) path: &'static [u8],
    /// Answers a request, at a time in whole seconds since the Unix epoch.
    pub(super) answer: fn(&Request<'_>, &ConsumerTable, u64) -> Answer,
}

/// Every endpoint there is.
static ENDPOINTS: &[Endpoint] = &[sign::ENDPOINT];

/// The plugin on one route, service or global rule.
#[derive(Debug)]
struct PublicApi {
    /// Instead of the request's path.
    uri: Option<Box<[u8]>>,
    not_found: Arc<Answer>,
}

impl PublicApi {
    fn new(configuration: &Value) -> Self {
        // An empty text is a path like any other, and no endpoint's.
        let uri = configuration.get("uri").and_then(Value::as_str).map(|uri| uri.as_bytes().into());
        Self { uri, not_found: Arc::new(page(404)) }
    }
}

impl Plugin for PublicApi {
    fn access(&self, request: &Request<'_>, context: &mut Context<'_>) -> Verdict {
        let path = self.uri.as_deref().unwrap_or(request.path);
        let endpoint = ENDPOINTS.iter().find(|endpoint| endpoint.path == path && endpoint.method == request.method);
        Verdict::Respond(match endpoint {
            Some(endpoint) => Arc::new((endpoint.answer)(request, context.consumers, context.now.unix_s())),
            None => Arc::clone(&self.not_found),
        })
    }
}

#[cfg(test)]
mod tests;
