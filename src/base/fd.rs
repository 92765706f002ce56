//! Single system calls on sockets whose types only tell their descriptor's number.
#![allow(unsafe_code, reason = "monoio's sockets implement AsRawFd but not AsFd, and a watch keeps numbers")]

use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};
use std::os::fd::{BorrowedFd, RawFd};
use std::time::Duration;

/// What a look at a socket's queue found, without taking anything from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// Bytes are waiting.
    Bytes,
    /// The peer has ended or reset the connection, and nothing is left to read.
    Ended,
    /// Nothing, for now.
    Nothing,
}

/// Looks at what waits to be read from `fd`. Never blocks.
pub fn peek(fd: RawFd) -> Peeked {
    let mut byte = [0_u8; 1];
    match rustix::net::recv(number(fd), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((0, _)) => Peeked::Ended,
        Ok(_) => Peeked::Bytes,
        Err(Errno::AGAIN | Errno::INTR) => Peeked::Nothing,
        Err(_) => Peeked::Ended,
    }
}

/// Ends one direction or both; that the peer was quicker is no failure.
pub fn shutdown(fd: RawFd, how: Shutdown) {
    let _ = rustix::net::shutdown(number(fd), how);
}

/// Makes closing `fd` send a reset instead of an end.
pub fn reset_on_close(fd: RawFd) {
    let _ = rustix::net::sockopt::set_socket_linger(number(fd), Some(Duration::ZERO));
}

/// For the length of one call. A number that was closed meanwhile makes that call fail with `EBADF`; callers see to it
/// that it cannot have come to mean another socket, by forgetting it before they close it.
fn number<'call>(fd: RawFd) -> BorrowedFd<'call> {
    // SAFETY: `fd` is a descriptor that its owner keeps open (it is not -1); the functions above use it for one system
    // call that touches no memory but theirs, and keep nothing of it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_peek_tells_the_three_states_apart() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        assert_eq!(peek(ours.as_raw_fd()), Peeked::Nothing);
        theirs.write_all(b"x").unwrap();
        assert_eq!(peek(ours.as_raw_fd()), Peeked::Bytes);
        assert_eq!(peek(ours.as_raw_fd()), Peeked::Bytes, "nothing was taken");
        shutdown(theirs.as_raw_fd(), Shutdown::Write);
        drop(theirs);
        assert_eq!(peek(ours.as_raw_fd()), Peeked::Bytes, "what came before the end is still there");
        let (ended, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert_eq!(peek(ended.as_raw_fd()), Peeked::Ended);
    }
}
