//! Waking one task of this worker, and handing it one value.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Wakes the one task that waits for it. Raised before anybody waits, it is remembered.
#[derive(Debug, Default)]
pub(super) struct Signal {
    is_raised: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes who waits, or who will.
    pub(super) fn raise(&self) {
        self.is_raised.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until it is raised, and lowers it.
    pub(super) fn raised(&self) -> impl Future<Output = ()> {
        poll_fn(|context| {
            if self.is_raised.replace(false) {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
    }
}

/// A value that comes later, for one task.
#[derive(Debug)]
pub(super) struct Later<T> {
    value: RefCell<Option<T>>,
    signal: Signal,
}

impl<T> Later<T> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { value: RefCell::new(None), signal: Signal::default() })
    }

    /// Hands the value over; if nobody waits any more it is dropped with this.
    pub(super) fn set(&self, value: T) {
        *self.value.borrow_mut() = Some(value);
        self.signal.raise();
    }

    /// Waits for the value.
    pub(super) async fn take(&self) -> T {
        loop {
            let value = self.value.borrow_mut().take();
            if let Some(value) = value {
                return value;
            }
            self.signal.raised().await;
        }
    }
}
