//! Authentication: find the token, verify it, find who it names. Cores without I/O; `plugin::jwt_auth` is their glue.
#![forbid(unsafe_code)]

pub mod consumer;
pub mod extract;
pub mod jwt;
mod shards;
