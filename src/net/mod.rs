//! Sockets of the data side: the one module, beside `listener` and `worker`, that names monoio's types.
//!
//! Buffers travel into an operation and back out of it, as `io_uring` requires. A wait that expires shuts its
//! connection down, so that the operation ends by itself: dropping one in flight would lose the bytes it had taken.

pub mod buffer;
pub mod conn;
pub mod race;
pub mod task;
pub mod watch;

pub use conn::{Conn, NetError};
