//! The listener of the Admin API: HTTP/1.1, bounded connections, a bounded wait for heads, a drain at the end.

use super::{AdminState, router};
use axum::Extension;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Serves the Admin API on `listener` until `shutdown` is ready, then lets open requests end.
///
/// At most [`CONNECTIONS_MAX`] connections are open at once; further ones wait to be accepted. A head must arrive within
/// [`HEAD_WAIT_MAX`] of the connection or of the request before it, and the drain takes at most [`DRAIN_WAIT_MAX`].
pub async fn serve(listener: TcpListener, state: AdminState, shutdown: impl Future<Output = ()>) {
    let allow = state.allow.clone();
    let router = router(state);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT_MAX).max_buf_size(HEAD_BYTES_MAX);
    tokio::pin!(shutdown);
    loop {
        // A place first, then a connection: whom there is no place for stays in the kernel's queue.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "admin listener: accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let is_stranger = allow.as_ref().is_some_and(|allow| !contains(allow, peer.ip()));
        let place = if is_stranger {
            // Only to be told so: they must not hold the places of those who may come in.
            match Arc::clone(&strangers).try_acquire_owned() {
                Ok(place) => Ok(place),
                Err(_) => continue,
            }
        } else {
            place
        };
        let service = TowerToHyperService::new(router.clone().layer(Extension(ConnectInfo(peer))));
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "admin connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_WAIT_MAX, open.shutdown()).await.is_err() {
        tracing::warn!("admin listener: requests were still open when the drain ended");
    }
}

fn contains(allow: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    allow.iter().any(|network| network.contains(&peer))
}

/// Connections open at once.
pub const CONNECTIONS_MAX: usize = 512;
/// How long a request's head may take, and how long a connection may idle between requests.
pub const HEAD_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long open requests may take to end after shutdown.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Connections from addresses outside `allow_admin`, which are only told so.
const STRANGERS_MAX: usize = 16;
const HEAD_BYTES_MAX: usize = 64 << 10;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
