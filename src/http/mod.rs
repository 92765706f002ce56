//! HTTP/1.1 messages, strictly (RFC 9110, RFC 9112): heads parsed in place, framing decided once, bodies streamed.
//!
//! Sans-I/O: bytes in, spans and verdicts out. Nothing here allocates per request after warm-up, waits or panics.

pub mod answer;
pub mod chunked;
pub mod field;
pub mod framing;
pub mod host;
pub mod path;
pub mod query;
mod regular;
pub mod request;
pub mod request_head;
pub mod response_head;
