//! Descriptors of types that only tell their number.
#![allow(unsafe_code, reason = "monoio's sockets implement AsRawFd but not AsFd")]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Borrows the descriptor of `owner` for as long as `owner` is borrowed.
pub fn borrow<T: AsRawFd>(owner: &T) -> BorrowedFd<'_> {
    // SAFETY: `owner` keeps its descriptor open while it lives, and the result cannot outlive the borrow of it.
    unsafe { BorrowedFd::borrow_raw(owner.as_raw_fd()) }
}
