//! Small things under both sides: bytes, maps, clock. The only home of `unsafe`.

pub mod base64url;
pub mod brake;
pub mod bytes;
pub mod clock;
pub mod fd;
pub mod map;
