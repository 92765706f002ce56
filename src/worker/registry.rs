//! A worker's open connections: how many, which are idle, and how to wake those when the worker drains.

use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;

/// The connections of one worker.
#[derive(Debug, Default)]
pub struct Registry {
    slots: RefCell<Slots>,
    open: Cell<usize>,
}

#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Option<(RawFd, bool)>>,
    free: Vec<usize>,
}

/// A connection's place in the registry, left when dropped. Drop it before the connection.
#[derive(Debug)]
pub struct Entry {
    registry: Rc<Registry>,
    index: usize,
}

impl Registry {
    /// Connections open.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Enters a connection as busy.
    pub fn enter(self: &Rc<Self>, fd: RawFd) -> Entry {
        let mut slots = self.slots.borrow_mut();
        let index = slots.free.pop().unwrap_or(slots.entries.len());
        match slots.entries.get_mut(index) {
            Some(entry) => *entry = Some((fd, false)),
            None => slots.entries.push(Some((fd, false))),
        }
        self.open.set(self.open.get() + 1);
        Entry { registry: Rc::clone(self), index }
    }

    /// Lets every idle connection read its end: its task wakes and closes it.
    ///
    /// Ending the reading side rather than cancelling the wait leaves no operation whose outcome could be lost.
    pub fn wake_idle(&self) {
        for (fd, is_idle) in self.slots.borrow().entries.iter().flatten() {
            if *is_idle {
                let _ = rustix::net::shutdown(crate::base::fd::borrow(fd), rustix::net::Shutdown::Read);
            }
        }
    }
}

impl Entry {
    /// Says whether the connection waits for a request.
    pub fn set_idle(&self, is_idle: bool) {
        if let Some(Some(entry)) = self.registry.slots.borrow_mut().entries.get_mut(self.index) {
            entry.1 = is_idle;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut slots = self.registry.slots.borrow_mut();
        if let Some(entry) = slots.entries.get_mut(self.index) {
            *entry = None;
            slots.free.push(self.index);
        }
        self.registry.open.set(self.registry.open.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn waking_ends_idle_connections_only() {
        let registry = Rc::new(Registry::default());
        let (mut idle, _peer) = UnixStream::pair().unwrap();
        let (mut busy, _other) = UnixStream::pair().unwrap();
        busy.set_nonblocking(true).unwrap();
        let entry = registry.enter(idle.as_raw_fd());
        let _second = registry.enter(busy.as_raw_fd());
        entry.set_idle(true);
        registry.wake_idle();
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        assert_eq!(busy.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        drop(entry);
        assert_eq!(registry.open(), 1);
    }
}
