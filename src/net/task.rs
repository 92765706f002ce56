//! Tasks of a worker and their time, for code that does not name the runtime.

use std::future::Future;
use std::time::Duration;

/// Runs `task` on this worker beside everything else. Only within a worker's runtime.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Waits for `future` at most that long. It is dropped when the time is up, so it must not have an operation of a
/// socket in flight.
pub async fn within<F: Future>(wait: Duration, future: F) -> Option<F::Output> {
    monoio::time::timeout(wait, future).await.ok()
}

/// Waits.
pub async fn sleep(wait: Duration) {
    monoio::time::sleep(wait).await;
}
