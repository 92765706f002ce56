//! Answers: JSON, the few plain and HTML ones, and the fields that all of them carry.

use super::AdminState;
use crate::store::StoreError;
use axum::body::Body;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::json;

/// One answer, not yet on the wire.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: String,
    /// Whether a resource's handler made it: only those say `X-API-VERSION`.
    is_versioned: bool,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// Compact JSON and a line end.
    pub(super) fn json(status: StatusCode, body: impl serde::Serialize) -> Self {
        // What is serialised are JSON values and lists of them: that does not fail.
        let text = serde_json::to_string(&body).unwrap_or_default();
        Self::new(status, JSON, text + "\n")
    }

    /// `{"error_msg":"…"}`.
    pub(super) fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self::json(status, json!({"error_msg": text.into()}))
    }

    /// 400 with `{"error_msg":"…"}`.
    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, text)
    }

    /// 400 with bare text; still called JSON, as the original does.
    pub(super) fn bare(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, JSON, text.to_owned())
    }

    /// 200 with bare text; still called JSON, as the original does.
    pub(super) fn text(text: &str) -> Self {
        Self::new(StatusCode::OK, JSON, text.to_owned())
    }

    /// What a read, a change or a deletion of nothing gets.
    pub(super) fn key_not_found() -> Self {
        Self::json(StatusCode::NOT_FOUND, json!({"message": "Key not found"}))
    }

    /// The store could not be read or written.
    pub(super) fn store(error: &StoreError) -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }

    /// 401, or 429 after too many of them.
    pub(super) fn unauthorised(status: StatusCode, description: &str) -> Self {
        Self::json(status, json!({"error_msg": "failed to check token", "description": description}))
    }

    /// The HTML page of a status.
    pub(super) fn page(status: StatusCode) -> Self {
        Self::page_with(status, "")
    }

    /// The HTML page of a status, with a sentence that says why.
    pub(super) fn page_with(status: StatusCode, why: &str) -> Self {
        let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let why = if why.is_empty() { String::new() } else { format!("<p>{why}</p>\n") };
        let body = format!(
            "<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n{why}</body>\n</html>\n"
        );
        Self::new(status, "text/html", body)
    }

    /// A status and nothing else.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, JSON, String::new())
    }

    /// What `OPTIONS` gets.
    pub(super) fn preflight() -> Self {
        let methods = HeaderValue::from_static("POST, GET, PUT, OPTIONS, DELETE, PATCH");
        Self::new(StatusCode::OK, "text/plain", String::new())
            .with(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
            .with(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"))
    }

    /// The same answer with one more field.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// The same answer, as made by a resource's handler.
    pub(super) fn versioned(self) -> Self {
        Self { is_versioned: true, ..self }
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its body.
    #[cfg(test)]
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// The answer as it leaves, with the fields that every one carries.
    pub(super) fn into_response(self, state: &AdminState) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.extend(self.fields);
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Ok(server) = HeaderValue::from_str(&state.server) {
            fields.insert(header::SERVER, server);
        }
        if self.is_versioned {
            fields.insert("x-api-version", HeaderValue::from_static("v3"));
        }
        if state.cors {
            fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            fields.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
            fields.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
        }
        response
    }

    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        Self { status, content_type, body, is_versioned: false, fields: Vec::new() }
    }
}

const JSON: &str = "application/json";
