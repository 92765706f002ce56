//! Deadlines of a worker's connections, and which of them are idle.
//!
//! A timer per operation would be half a kilobyte in every future and work in every wheel; here a wait is one store
//! into the connection's cell, and one task looks at all cells every [`TICK`]. A connection whose deadline has passed
//! is shut down, so its operation ends by itself: nothing is cancelled, and no outcome can be lost. A wait ends at
//! most two ticks late, and never early while the worker keeps turning.

use crate::base::fd::{self, Peeked};
use rustix::net::Shutdown;
use std::cell::{Cell, RefCell};
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

/// The connections of one worker.
#[derive(Debug, Default)]
pub struct Watch {
    slots: RefCell<Slots>,
    /// Monotonic microseconds at the last tick: what deadlines are counted from, so that arming reads no clock.
    ticked_us: Cell<u64>,
}

#[derive(Debug, Default)]
struct Slots {
    entries: Vec<Slot>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Slot {
    /// Open for as long as its `Watched` lives; `None` while the slot is free.
    fd: Option<RawFd>,
    deadline_us: u64,
    /// What the operation that waits needs ended.
    direction: Direction,
    end: Option<End>,
    /// The client that a wait is for: when it has gone, the wait is over.
    client: Option<RawFd>,
    /// Waits for a request: to be woken when the worker drains.
    is_idle: bool,
}

/// What a wait is for. A read that takes too long ends the reading side only: the peer can still be told why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// For bytes.
    Read,
    /// For room.
    Write,
}

/// Why a wait was ended, and its connection shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The deadline passed.
    TimedOut,
    /// The client that it was for has gone.
    Abandoned,
}

/// A connection's place. Drop it before the connection closes.
#[derive(Debug)]
pub struct Watched {
    watch: Rc<Watch>,
    index: usize,
}

impl Watch {
    /// Takes a connection in.
    pub fn enter(self: &Rc<Self>, fd: RawFd) -> Watched {
        let mut slots = self.slots.borrow_mut();
        let slot = Slot { fd: Some(fd), ..Slot::default() };
        let index = slots.free.pop().unwrap_or(slots.entries.len());
        match slots.entries.get_mut(index) {
            Some(free) => *free = slot,
            None => slots.entries.push(slot),
        }
        Watched { watch: Rc::clone(self), index }
    }

    /// Shuts down every connection whose deadline has passed at `now_us`, and those whose client has gone: one system
    /// call for each request that has waited since the last tick. Called every [`TICK`].
    pub fn tick(&self, now_us: u64) {
        self.ticked_us.set(now_us);
        for slot in &mut self.slots.borrow_mut().entries {
            let Some(number) = slot.fd.filter(|_| slot.deadline_us != NEVER) else { continue };
            let end = if slot.deadline_us <= now_us {
                End::TimedOut
            } else if slot.client.is_some_and(|client| fd::peek(client) == Peeked::Ended) {
                End::Abandoned
            } else {
                continue;
            };
            slot.deadline_us = NEVER;
            slot.end = Some(end);
            fd::shutdown(
                number,
                match slot.direction {
                    Direction::Read => Shutdown::Read,
                    Direction::Write => Shutdown::Both,
                },
            );
        }
    }

    /// Lets every idle connection read its end: its task wakes and closes it.
    pub fn wake_idle(&self) {
        for slot in &self.slots.borrow().entries {
            if let (Some(number), true) = (slot.fd, slot.is_idle) {
                fd::shutdown(number, Shutdown::Read);
            }
        }
    }
}

impl Watched {
    /// Starts a wait; an earlier one is forgotten.
    pub fn arm(&self, direction: Direction, wait: Duration) {
        // Not `as_micros`, whose 128 bits cost more than the rest of this.
        let wait_us = wait.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(wait.subsec_micros()));
        // The last tick may be one tick ago; counting from it alone could end the wait early.
        let deadline_us = self.watch.ticked_us.get().saturating_add(TICK_US).saturating_add(wait_us).min(NEVER - 1);
        self.update(|slot| {
            slot.deadline_us = deadline_us;
            slot.direction = direction;
            slot.end = None;
        });
    }

    /// Ends a wait. `Some` if it was ended before: then the connection is shut down.
    pub fn disarm(&self) -> Option<End> {
        self.update(|slot| {
            slot.deadline_us = NEVER;
            slot.end
        })
    }

    /// Waits on this connection are for `client` from now on; `None`: for nobody in particular.
    pub fn wait_for(&self, client: Option<&Watched>) {
        let client = client.and_then(|client| client.update(|slot| slot.fd));
        self.update(|slot| slot.client = client);
    }

    /// Shuts the connection down.
    pub fn shutdown(&self) {
        if let Some(number) = self.update(|slot| slot.fd) {
            fd::shutdown(number, Shutdown::Both);
        }
    }

    /// Says whether the connection waits for a request.
    pub fn set_idle(&self, is_idle: bool) {
        self.update(|slot| slot.is_idle = is_idle);
    }

    fn update<T: Default>(&self, change: impl FnOnce(&mut Slot) -> T) -> T {
        self.watch.slots.borrow_mut().entries.get_mut(self.index).map(change).unwrap_or_default()
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self { fd: None, deadline_us: NEVER, direction: Direction::Read, end: None, client: None, is_idle: false }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut slots = self.watch.slots.borrow_mut();
        if let Some(slot) = slots.entries.get_mut(self.index) {
            *slot = Slot::default();
            slots.free.push(self.index);
        }
    }
}

/// How often deadlines are looked at.
pub const TICK: Duration = Duration::from_millis(50);
const TICK_US: u64 = TICK.as_micros() as u64;
const NEVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn is_open(stream: &mut UnixStream) -> bool {
        stream.set_nonblocking(true).unwrap();
        matches!(stream.read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    #[test]
    fn a_wait_ends_after_its_time_and_not_before() {
        let watch = Rc::new(Watch::default());
        let (mut ours, _peer) = UnixStream::pair().unwrap();
        let watched = watch.enter(ours.as_raw_fd());
        watch.tick(1_000_000);
        watched.arm(Direction::Read, Duration::from_millis(200));
        watch.tick(1_200_000);
        assert!(is_open(&mut ours));
        watch.tick(1_250_000);
        assert!(!is_open(&mut ours));
        assert_eq!(watched.disarm(), Some(End::TimedOut));
    }

    #[test]
    fn a_wait_ends_when_the_client_it_is_for_has_gone() {
        let watch = Rc::new(Watch::default());
        let (mut upstream, _origin) = UnixStream::pair().unwrap();
        let (ours, client) = UnixStream::pair().unwrap();
        let (asked, asking) = (watch.enter(upstream.as_raw_fd()), watch.enter(ours.as_raw_fd()));
        asked.wait_for(Some(&asking));
        asked.arm(Direction::Read, Duration::from_secs(60));
        watch.tick(1);
        assert!(is_open(&mut upstream));
        drop(client);
        asked.disarm();
        watch.tick(2);
        assert!(is_open(&mut upstream), "nobody waits");
        asked.arm(Direction::Read, Duration::from_secs(60));
        watch.tick(3);
        assert!(!is_open(&mut upstream));
        assert_eq!(asked.disarm(), Some(End::Abandoned));
    }

    #[test]
    fn a_disarmed_or_left_place_is_never_shut_down() {
        let watch = Rc::new(Watch::default());
        let (mut ours, _peer) = UnixStream::pair().unwrap();
        let watched = watch.enter(ours.as_raw_fd());
        watched.arm(Direction::Read, Duration::ZERO);
        assert_eq!(watched.disarm(), None);
        watch.tick(u64::MAX - 1);
        watched.arm(Direction::Read, Duration::ZERO);
        drop(watched);
        watch.tick(u64::MAX - 1);
        assert!(is_open(&mut ours));
        assert_eq!(watch.enter(0).index, 0, "the place is used again");
    }

    #[test]
    fn waking_ends_idle_connections_only() {
        let watch = Rc::new(Watch::default());
        let (mut idle, _peer) = UnixStream::pair().unwrap();
        let (mut busy, _other) = UnixStream::pair().unwrap();
        let entry = watch.enter(idle.as_raw_fd());
        let _second = watch.enter(busy.as_raw_fd());
        entry.set_idle(true);
        watch.wake_idle();
        assert!(!is_open(&mut idle) && is_open(&mut busy));
    }
}
