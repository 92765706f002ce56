//! Sockets of the data side.
