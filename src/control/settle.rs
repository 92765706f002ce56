//! The last leg of a group: its callers are answered once it is live, while the writer has gone on.

use super::Shared;
use super::names::FirstAnswer;
use super::writer::{Failure, Finish};
use crate::snapshot::feed::Epoch;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// A committed write whose caller waits.
pub(super) struct Settling {
    pub(super) revision: u64,
    pub(super) finish: Finish,
    /// The names that it made wanted.
    pub(super) names: Vec<FirstAnswer>,
}

/// Waits until the group published as `epoch` is live, and for the names of its writes, and answers.
///
/// At most one task per published batch is here, and the feed bounds how many batches may be on their way.
pub(super) async fn settle(shared: Arc<Shared>, epoch: Epoch, group: Vec<Settling>) {
    let deadline = Instant::now() + shared.waits.first_resolution;
    let live = live(&shared, epoch).await;
    let (mut named, unnamed): (Vec<_>, Vec<_>) = group.into_iter().partition(|write| !write.names.is_empty());
    for write in unnamed {
        (write.finish)(ended(write.revision, &live));
    }
    for write in named.drain(..) {
        let mut carried = epoch;
        for name in write.names {
            // No answer in time is no fault of the write: it is live, and requests are told what is amiss.
            if let Ok(Ok(epoch)) = timeout_at(deadline, name).await {
                carried = carried.max(epoch);
            }
        }
        let live = if carried > epoch && live.is_ok() { self::live(&shared, carried).await } else { live.clone() };
        (write.finish)(ended(write.revision, &live));
    }
}

async fn live(shared: &Shared, epoch: Epoch) -> Result<(), String> {
    match shared.feed.live_within(epoch, shared.waits.live).await {
        Ok(()) => {
            shared.caught_up();
            Ok(())
        }
        Err(lagging) => {
            tracing::error!(worker = lagging.worker, epoch, applied = lagging.applied, "a worker lags");
            shared.lags();
            Err(lagging.to_string())
        }
    }
}

fn ended(revision: u64, live: &Result<(), String>) -> Result<u64, Failure> {
    match live {
        Ok(()) => Ok(revision),
        Err(reason) => Err(Failure::NotLive { revision, reason: reason.clone() }),
    }
}
