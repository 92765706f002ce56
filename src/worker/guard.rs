//! A task whose panic ends the task and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `task`; `Err` if it panicked. What it had borrowed is released by unwinding.
///
/// The task stays where its caller pinned it: taking it by value would double the size of the caller's future.
pub fn guarded<F: Future>(mut task: Pin<&mut F>) -> impl Future<Output = Result<F::Output, Panicked>> {
    std::future::poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(_) => Poll::Ready(Err(Panicked)),
    })
}

/// The task panicked. The panic hook has said where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[test]
    fn a_panic_is_an_error_and_others_pass() {
        let mut context = Context::from_waker(Waker::noop());
        let fine = pin!(async { 7 });
        assert_eq!(pin!(guarded(fine)).poll(&mut context), Poll::Ready(Ok(7)));
        let broken = pin!(async { panic!("on purpose") });
        assert!(matches!(pin!(guarded(broken)).poll(&mut context), Poll::Ready(Err::<(), _>(Panicked))));
    }
}
