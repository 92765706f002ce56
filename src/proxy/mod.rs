//! A client's connection, request after request: see `LIFECYCLE.md` beside this file.
#![doc = include_str!("LIFECYCLE.md")]

pub mod answers;
pub mod attempt;
pub mod download;
pub mod exchange;
pub mod forward;
pub mod phases;
pub mod request_out;
pub mod response_out;
pub mod session;
pub mod upload;
