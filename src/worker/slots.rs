//! Memory for the futures of busy connections, used again and again.
//!
//! The future that serves a request is a few kilobytes; inside an idle connection's task it would be carried around
//! for nothing, and boxed anew it would cost an allocation per request. Here it moves into a slot of the worker's
//! free list when the connection becomes busy and gives the slot back when it is done.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A worker's slots for futures of one kind.
#[derive(Debug)]
pub struct Slots<F> {
    free: RefCell<Vec<Slot<F>>>,
}

type Slot<F> = Pin<Box<Option<F>>>;

impl<F: Future> Slots<F> {
    /// No slots yet.
    pub fn new() -> Self {
        Self { free: RefCell::new(Vec::new()) }
    }

    /// The future that `make` returns, in a slot. `make` is called at once, so that the caller's own future need not
    /// have room for what it returns.
    pub fn run(&self, make: impl FnOnce() -> F) -> Running<'_, F> {
        let mut slot = self.free.borrow_mut().pop().unwrap_or_else(|| Box::pin(None));
        slot.set(Some(make()));
        Running { slots: self, slot: Some(slot) }
    }
}

impl<F: Future> Default for Slots<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// A future in a slot. The slot goes back when this is dropped, also by a panic.
#[derive(Debug)]
pub struct Running<'s, F> {
    slots: &'s Slots<F>,
    slot: Option<Slot<F>>,
}

impl<F: Future> Future for Running<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.slot.as_mut().and_then(|slot| slot.as_mut().as_pin_mut()) {
            Some(future) => future.poll(context),
            // The slot is there until the drop.
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Running<'_, F> {
    fn drop(&mut self) {
        if let Some(mut slot) = self.slot.take() {
            slot.set(None);
            let mut free = self.slots.free.borrow_mut();
            if free.len() < SLOTS_KEPT_MAX {
                free.push(slot);
            }
        }
    }
}

/// Free slots kept per worker.
const SLOTS_KEPT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    #[test]
    fn a_slot_serves_one_future_after_another() {
        let slots = Slots::new();
        let mut context = Context::from_waker(Waker::noop());
        let double = |number: u32| async move { number * 2 };
        let mut addresses = Vec::new();
        for number in 0..3 {
            let mut running = pin!(slots.run(|| double(number)));
            addresses.push(running.slot.as_ref().map(|slot| std::ptr::from_ref(&**slot).addr()));
            assert_eq!(running.as_mut().poll(&mut context), Poll::Ready(number * 2));
        }
        assert_eq!(slots.free.borrow().len(), 1);
        addresses.dedup();
        assert_eq!(addresses.len(), 1, "each round used the slot that the one before gave back");
    }
}
