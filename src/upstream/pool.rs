//! Idle connections to upstream nodes, kept per worker and address, last in first out.

use crate::base::map::HashMap;
use crate::net::Conn;
use std::cell::RefCell;
use std::net::SocketAddr;

use super::KeepalivePool;

/// This worker's idle upstream connections.
#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
}

/// A connection with its history.
#[derive(Debug)]
pub struct Pooled {
    /// The connection.
    pub conn: Conn,
    /// Requests it has carried.
    pub uses: u64,
}

#[derive(Debug)]
struct Idle {
    pooled: Pooled,
    until_us: u64,
}

impl Pool {
    /// The connection to `address` that was used last, if one is still good at `now_us`.
    ///
    /// It is first asked whether the upstream has closed it, or has sent something nobody asked for, which would
    /// become the answer to this request: one system call.
    pub fn take(&self, address: SocketAddr, now_us: u64) -> Option<Pooled> {
        loop {
            let idle = self.idle.borrow_mut().get_mut(&address)?.pop()?;
            if idle.until_us > now_us && !idle.pooled.conn.is_stale() {
                return Some(idle.pooled);
            }
        }
    }

    /// Keeps a connection whose last response has ended exactly, unless the settings say otherwise.
    pub fn give(&self, address: SocketAddr, pooled: Pooled, settings: &KeepalivePool, now_us: u64) {
        if settings.idle_timeout.is_zero() || pooled.uses >= settings.requests {
            return;
        }
        pooled.conn.wait_for(None);
        let mut idle = self.idle.borrow_mut();
        let list = idle.entry(address).or_default();
        if list.len() < settings.size {
            let until_us = now_us.saturating_add(settings.idle_timeout.as_micros() as u64);
            list.push(Idle { pooled, until_us });
        }
    }

    /// Closes connections that have idled out or that their upstream has closed. Called about once a second.
    pub fn sweep(&self, now_us: u64) {
        self.idle.borrow_mut().retain(|_, list| {
            list.retain(|idle| idle.until_us > now_us && !idle.pooled.conn.is_stale());
            !list.is_empty()
        });
    }

    /// Idle connections held.
    pub fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
