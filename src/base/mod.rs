//! Small things under both sides: bytes, maps, clock, networks. The only home of `unsafe`.

pub mod any_name;
pub mod array;
pub mod base64url;
pub mod block;
pub mod brake;
pub mod bytes;
pub mod clock;
pub mod fd;
pub mod log_limit;
pub mod map;
pub mod network;
