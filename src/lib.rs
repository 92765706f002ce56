//! ringgate: an API gateway data plane for Linux.
//!
//! One thread per core serves requests over `io_uring` (monoio); one further thread holds the configuration
//! (tokio): it stores what the Admin API writes, compiles it and feeds every worker its own copy. The two sides
//! meet in [`snapshot::feed`] and nowhere else.
#![doc = include_str!("ARCHITECTURE.md")]

// Under both sides.
pub mod base;
pub mod schema;

// Data side, one of each per core.
pub mod auth;
pub mod http;
pub mod limit;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod net;
pub mod plugin;
pub mod proxy;
pub mod redis;
pub mod route;
pub mod upstream;
pub mod vars;
pub mod worker;

// Control side, one thread.
pub mod admin;
pub mod cli;
pub mod config;
pub mod control;
pub mod dns;
pub mod resource;
pub mod sealing;
pub mod secret;
pub mod snapshot;
pub mod status;
pub mod store;
