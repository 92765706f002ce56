//! Memory for the futures of busy connections, used again and again.
//!
//! The future that serves a request is a few kilobytes; inside an idle connection's task it would be carried around
//! for nothing, boxed anew it would cost an allocation per request, and put into a slot anew it would be copied there
//! twice. So the futures stay where they are: each serves one job after another at its [`Desk`], and is lent to a
//! connection for as long as that is busy.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A worker's slots for futures of one kind.
pub struct Slots<F, Job, Outcome> {
    free: RefCell<Vec<Slot<F, Job, Outcome>>>,
    make: Make<F, Job, Outcome>,
}

/// Makes the future that serves a desk.
type Make<F, Job, Outcome> = Box<dyn Fn(Rc<Desk<Job, Outcome>>) -> F>;

/// A future with the desk that it serves at.
struct Slot<F, Job, Outcome> {
    desk: Rc<Desk<Job, Outcome>>,
    future: Pin<Box<F>>,
}

/// Where a slot's future takes its jobs and leaves their outcomes.
pub struct Desk<Job, Outcome> {
    job: Cell<Option<Job>>,
    outcome: Cell<Option<Outcome>>,
}

impl<Job, Outcome> Desk<Job, Outcome> {
    /// The next job. Whoever brings one polls the future, so nothing needs to be woken.
    pub fn job(&self) -> impl Future<Output = Job> {
        poll_fn(|_| self.job.take().map_or(Poll::Pending, Poll::Ready))
    }

    /// The last job is done.
    pub fn done(&self, outcome: Outcome) {
        self.outcome.set(Some(outcome));
    }
}

impl<F: Future<Output = Infallible>, Job, Outcome> Slots<F, Job, Outcome> {
    /// No slots yet; `make` makes the future of one, which serves its desk for ever.
    pub fn new(make: impl Fn(Rc<Desk<Job, Outcome>>) -> F + 'static) -> Self {
        Self { free: RefCell::default(), make: Box::new(make) }
    }

    /// Serves `job` in a slot.
    pub fn run(&self, job: Job) -> Running<'_, F, Job, Outcome> {
        let free = self.free.borrow_mut().pop();
        let slot = free.unwrap_or_else(|| {
            let desk = Rc::new(Desk { job: Cell::default(), outcome: Cell::default() });
            Slot { future: Box::pin((self.make)(Rc::clone(&desk))), desk }
        });
        slot.desk.job.set(Some(job));
        Running { slots: self, slot: Some(slot) }
    }

    fn give(&self, slot: Slot<F, Job, Outcome>) {
        let mut free = self.free.borrow_mut();
        if free.len() < SLOTS_KEPT_MAX {
            free.push(slot);
        }
    }
}

/// A job in a slot. Only a slot whose job is done is used again: one that panicked, or was left, is freed.
pub struct Running<'s, F, Job, Outcome> {
    slots: &'s Slots<F, Job, Outcome>,
    slot: Option<Slot<F, Job, Outcome>>,
}

impl<F: Future<Output = Infallible>, Job, Outcome> Future for Running<'_, F, Job, Outcome> {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        // The slot is there until the outcome is.
        let Some(slot) = &mut self.slot else { return Poll::Pending };
        match slot.future.as_mut().poll(context) {
            Poll::Ready(never) => match never {},
            Poll::Pending => {}
        }
        let Some(outcome) = slot.desk.outcome.take() else { return Poll::Pending };
        if let Some(slot) = self.slot.take() {
            self.slots.give(slot);
        }
        Poll::Ready(outcome)
    }
}

/// Free slots kept per worker.
const SLOTS_KEPT_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    /// Doubles numbers; waits once at an odd one, breaks at 0.
    async fn double(desk: Rc<Desk<u32, u32>>) -> Infallible {
        loop {
            let number = desk.job().await;
            assert_ne!(number, 0, "on purpose");
            let mut may_wait = number % 2 == 1;
            poll_fn(|_| if std::mem::take(&mut may_wait) { Poll::Pending } else { Poll::Ready(()) }).await;
            desk.done(number * 2);
        }
    }

    #[test]
    fn a_slot_serves_one_job_after_another() {
        let slots = Slots::new(double);
        let mut context = Context::from_waker(Waker::noop());
        let mut addresses = Vec::new();
        for number in 1..6 {
            let mut running = pin!(slots.run(number));
            addresses.push(running.slot.as_ref().map(|slot| std::ptr::from_ref(&*slot.future).addr()));
            if number % 2 == 1 {
                assert_eq!(running.as_mut().poll(&mut context), Poll::Pending);
            }
            assert_eq!(running.as_mut().poll(&mut context), Poll::Ready(number * 2));
        }
        assert_eq!(slots.free.borrow().len(), 1);
        addresses.dedup();
        assert_eq!(addresses.len(), 1, "each round used the slot that the one before gave back");
    }

    #[test]
    fn a_slot_that_was_left_or_broke_is_not_used_again() {
        let slots = Slots::new(double);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut running = pin!(slots.run(1));
            assert_eq!(running.as_mut().poll(&mut context), Poll::Pending);
        }
        assert!(slots.free.borrow().is_empty(), "its job was not done");
        let broke = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = pin!(slots.run(0)).poll(&mut Context::from_waker(Waker::noop()));
        }));
        assert!(broke.is_err() && slots.free.borrow().is_empty());
        assert_eq!(pin!(slots.run(2)).poll(&mut context), Poll::Ready(4));
    }
}
