//! What the process says of itself. Here: the status listener (`apisix.status`, spec/config-sources §5): is the process
//! up, is every worker up to date, how are the secrets doing?

pub mod prometheus;
mod secrets;

use crate::control::Control;
use crate::secret::Board;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves `GET /status`, `GET /status/ready` and `GET /v1/secrets` until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    control: Control,
    board: Arc<Board>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let secrets = Router::new().route("/v1/secrets", get(secrets::list)).with_state(board);
    let router = router().with_state(control).merge(secrets);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(shutdown).await {
        tracing::error!(%error, "the status listener ended");
    }
}

fn router() -> Router<Control> {
    Router::new().route("/status", get(async || answer(Ok(())))).route("/status/ready", get(ready))
}

async fn ready(State(control): State<Control>) -> Response {
    let health = control.health();
    let behind = health.applied.iter().position(|applied| *applied < health.published);
    answer(match behind {
        _ if !health.writable => Err("the control side has ended".to_owned()),
        // A write that is just being fed is no fault; a worker that has stopped taking them is.
        Some(worker) if health.lagging_since_unix_s.is_some() => {
            Err(format!("worker id: {worker} has not received configuration"))
        }
        _ => Ok(()),
    })
}

fn answer(state: Result<(), String>) -> Response {
    let (status, body) = match state {
        Ok(()) => (StatusCode::OK, serde_json::json!({"status": "ok"})),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({"status": "error", "error": error})),
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
