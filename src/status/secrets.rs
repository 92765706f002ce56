//! `GET /v1/secrets`: how every reference to a secret in use is doing, never what it stands for.

use crate::secret::Board;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// `{"total":N,"list":[{"reference","state","since_unix_s","reason"?,"detail"?},…]}`, by reference.
pub(super) async fn list(State(board): State<Arc<Board>>) -> Response {
    let rows: Vec<Value> = board
        .report()
        .into_iter()
        .map(|(reference, row)| {
            let mut shown = json!({"reference": reference});
            // A row of texts and a number always is JSON.
            if let (Value::Object(shown), Ok(Value::Object(row))) = (&mut shown, serde_json::to_value(row)) {
                shown.extend(row);
            }
            shown
        })
        .collect();
    let body = json!({"total": rows.len(), "list": rows});
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
