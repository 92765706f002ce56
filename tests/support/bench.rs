//! An origin and a gateway before it.

use super::client::Response;
use super::gateway::{Gateway, Setup};
use super::origin::Origin;
use serde_json::{Value, json};

pub(crate) struct Bench {
    pub(crate) origin: Origin,
    pub(crate) gateway: Gateway,
}

impl Bench {
    pub(crate) fn with(setup: &Setup) -> Self {
        Self { origin: Origin::start(), gateway: Gateway::with(setup) }
    }

    pub(crate) fn start(workers: usize) -> Self {
        Self::with(&Setup { workers, ..Setup::default() })
    }

    /// A route for `/<id>` with these plugins, which must be taken.
    pub(crate) fn route(&self, id: &str, plugins: &Value) {
        let (status, answer) = self.try_route(id, plugins);
        assert!(status < 300, "{answer}");
    }

    pub(crate) fn try_route(&self, id: &str, plugins: &Value) -> (u16, Value) {
        let upstream = json!({"nodes": {self.origin.node(): 1}});
        let route = json!({"uri": format!("/{id}"), "plugins": plugins, "upstream": upstream});
        self.gateway.admin("PUT", &format!("routes/{id}"), &route)
    }

    /// Asks for `/<target>`.
    pub(crate) fn ask(&self, target: &str) -> Response {
        self.gateway.request("GET", &format!("/{target}"), &[], b"")
    }
}
