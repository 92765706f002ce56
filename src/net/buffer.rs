//! A worker's free lists of buffers: an idle connection owns none, a busy one borrows them.

use std::cell::RefCell;

/// Free lists of one worker.
#[derive(Debug, Default)]
pub struct Buffers {
    heads: RefCell<Vec<Vec<u8>>>,
    relays: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer with room for a head and a small body.
    pub fn head(&self) -> Vec<u8> {
        self.heads.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(HEAD_BYTES))
    }

    /// An empty buffer for relaying bodies.
    pub fn relay(&self) -> Vec<u8> {
        self.relays.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(RELAY_BYTES))
    }

    /// Takes a buffer back. One that has grown past its class, or for which there is no room, is freed.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let (list, kept_max) = match buffer.capacity() {
            HEAD_BYTES => (&self.heads, HEADS_KEPT_MAX),
            RELAY_BYTES => (&self.relays, RELAYS_KEPT_MAX),
            _ => return,
        };
        let mut list = list.borrow_mut();
        if list.len() < kept_max {
            buffer.clear();
            list.push(buffer);
        }
    }
}

/// Bytes of a head buffer: most requests and small responses fit.
pub const HEAD_BYTES: usize = 8 << 10;
/// Bytes of a relay buffer; 64 kB measured best among 16 to 128.
pub const RELAY_BYTES: usize = 64 << 10;
/// Free head buffers kept per worker (8 MiB).
const HEADS_KEPT_MAX: usize = 1024;
/// Free relay buffers kept per worker (4 MiB).
const RELAYS_KEPT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_empty_and_only_in_their_class() {
        let buffers = Buffers::default();
        let mut head = buffers.head();
        head.push(1);
        let address = head.as_ptr();
        buffers.give(head);
        let again = buffers.head();
        assert_eq!((again.len(), again.as_ptr()), (0, address));
        buffers.give(Vec::with_capacity(HEAD_BYTES + 1));
        assert!(buffers.heads.borrow().is_empty());
    }
}
