//! Sockets of the data side: the one module, beside `listener` and `worker`, that names monoio's types.
//!
//! Buffers travel into an operation and back out of it, as `io_uring` requires. A read that times out closes its
//! connection: dropping an operation in flight loses the bytes it had taken.

pub mod buffer;
pub mod conn;
pub mod race;

pub use conn::{Conn, NetError};
