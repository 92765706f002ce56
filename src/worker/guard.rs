//! A task whose panic ends the task and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Runs `task`; `Err` if it panicked. What it had borrowed is released by unwinding.
pub async fn guarded<F: Future>(task: F) -> Result<F::Output, Panicked> {
    let mut task = pin!(task);
    std::future::poll_fn(move |context| {
        let task: Pin<&mut F> = task.as_mut();
        match catch_unwind(AssertUnwindSafe(|| task.poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// The task panicked. The panic hook has said where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panicked;

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};

    #[test]
    fn a_panic_is_an_error_and_others_pass() {
        let mut context = Context::from_waker(Waker::noop());
        let fine = pin!(guarded(async { 7 }));
        assert_eq!(fine.poll(&mut context), Poll::Ready(Ok(7)));
        let broken = pin!(guarded(async { panic!("on purpose") }));
        assert!(matches!(broken.poll(&mut context), Poll::Ready(Err::<(), _>(Panicked))));
    }
}
