//! The Admin API over a real control side: a store in memory, a compiler, no workers to wait for.

use super::*;
use crate::snapshot::compile::Compiler;
use crate::snapshot::feed::Feed;
use crate::store::StoreError;
use crate::store::memory::MemoryStore;
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

mod access;
mod plugin_holders;
mod resources;
mod wire;

/// A router on an empty store, and what to talk to it with.
struct Api {
    router: Router,
}

struct Heard {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn state() -> AdminState {
    let (feed, _) = Feed::new(0).unwrap();
    let (_, resolutions) = tokio::sync::mpsc::unbounded_channel();
    let store = Arc::new(MemoryStore::new());
    let control = Control::start(store, feed, Compiler::default(), None, resolutions, None).await.unwrap();
    let key = |name: &str, key: &str, role| AdminKey { name: name.to_owned(), key: key.to_owned(), role };
    AdminState {
        control,
        keys: vec![key("root", "admin-key", Role::Admin), key("eyes", "viewer-key", Role::Viewer)],
        key_required: true,
        allow: Some(vec!["127.0.0.0/24".parse().unwrap()]),
        cors: true,
        server: "ringgate/test".to_owned(),
        prefix: crate::resource::PREFIX.to_owned(),
        rules: crate::plugin::Rules::default(),
    }
}

impl Api {
    async fn new() -> Self {
        Self::of(state().await, "127.0.0.1")
    }

    fn of(state: AdminState, peer: &str) -> Self {
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        Self { router: router(state).layer(Extension(ConnectInfo(peer))) }
    }

    async fn send(&self, request: Request<Body>) -> Heard {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Heard { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// A call with the admin's key; `path` starts below `/apisix/admin`.
    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Heard {
        let request = Request::builder().method(method).uri(format!("/apisix/admin{path}"));
        self.send(request.header("x-api-key", "admin-key").body(body.into()).unwrap()).await
    }

    async fn put(&self, path: &str, body: Value) -> Heard {
        self.call("PUT", path, body.to_string()).await
    }

    async fn get(&self, path: &str) -> Heard {
        self.call("GET", path, "").await
    }
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and body on one line.
    fn line(&self) -> String {
        format!("{} {}", self.status, self.body.trim_end())
    }
}
