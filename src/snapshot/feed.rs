//! The one bridge between the sides: batches go to every worker, acknowledgements come back.
//!
//! Each worker has a bounded queue, a doorbell (a socket pair) that wakes it when idle, and shares one epoch counter
//! that a busy worker compares before each request. A worker applies between requests and then acknowledges; the
//! control side waits for all of them before a write is answered.

use super::change::Batch;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::watch;

/// The control side's end.
#[derive(Debug)]
pub struct Feed {
    epoch: Arc<AtomicU64>,
    workers: Vec<WorkerLine>,
}

#[derive(Debug)]
struct WorkerLine {
    queue: mpsc::SyncSender<Arc<Batch>>,
    doorbell: UnixStream,
    acknowledged: watch::Receiver<u64>,
}

/// A worker's end.
#[derive(Debug)]
pub struct Mailbox {
    epoch: Arc<AtomicU64>,
    /// Batches taken so far; equal to `epoch` when nothing waits.
    seen: u64,
    queue: mpsc::Receiver<Arc<Batch>>,
    acknowledge: watch::Sender<u64>,
}

/// Names one published batch: how many came before it, plus one.
pub type Epoch = u64;

/// A worker took longer than the bound, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} has not applied batch {epoch} (it is at {applied})")]
pub struct Lagging {
    /// Index of the slowest worker.
    pub worker: usize,
    /// What was awaited.
    pub epoch: Epoch,
    /// What the worker has applied.
    pub applied: Epoch,
}

impl Feed {
    /// A feed to `workers` workers: the control end, and for each worker its mailbox and the doorbell to listen on.
    pub fn new(workers: usize) -> std::io::Result<(Self, Vec<(Mailbox, UnixStream)>)> {
        let epoch = Arc::new(AtomicU64::new(0));
        let mut lines = Vec::with_capacity(workers);
        let mut mailboxes = Vec::with_capacity(workers);
        for _ in 0..workers {
            let (queue, receiver) = mpsc::sync_channel(QUEUE_BATCHES_MAX);
            let (ring, listen) = UnixStream::pair()?;
            ring.set_nonblocking(true)?;
            let (acknowledge, acknowledged) = watch::channel(0);
            lines.push(WorkerLine { queue, doorbell: ring, acknowledged });
            let mailbox = Mailbox { epoch: Arc::clone(&epoch), seen: 0, queue: receiver, acknowledge };
            mailboxes.push((mailbox, listen));
        }
        Ok((Self { epoch, workers: lines }, mailboxes))
    }

    /// Hands a batch to every worker and wakes the idle ones. Waits while a queue is full.
    ///
    /// Only one task may publish at a time, and it must not give up in between: a batch that only some workers have got
    /// would leave the others behind for good.
    pub async fn publish(&self, batch: Batch) -> Epoch {
        let batch = Arc::new(batch);
        for line in &self.workers {
            let mut item = Arc::clone(&batch);
            // A full queue means a worker is far behind; a gone worker ends the process elsewhere.
            while let Err(mpsc::TrySendError::Full(back)) = line.queue.try_send(item) {
                item = back;
                press(&line.doorbell);
                tokio::time::sleep(FULL_QUEUE_PAUSE).await;
            }
        }
        let epoch = self.epoch.fetch_add(1, Ordering::Release) + 1;
        for line in &self.workers {
            press(&line.doorbell);
        }
        epoch
    }

    /// Waits until every worker has applied `epoch`, at most [`ACKNOWLEDGE_WAIT_MAX`].
    pub async fn live(&self, epoch: Epoch) -> Result<(), Lagging> {
        self.live_within(epoch, ACKNOWLEDGE_WAIT_MAX).await
    }

    /// As [`Feed::live`], with a bound of the caller's.
    pub async fn live_within(&self, epoch: Epoch, wait_max: Duration) -> Result<(), Lagging> {
        let deadline = tokio::time::Instant::now() + wait_max;
        for (worker, line) in self.workers.iter().enumerate() {
            let mut acknowledged = line.acknowledged.clone();
            let wait = acknowledged.wait_for(|applied| *applied >= epoch);
            if !matches!(tokio::time::timeout_at(deadline, wait).await, Ok(Ok(_))) {
                return Err(Lagging { worker, epoch, applied: *line.acknowledged.borrow() });
            }
        }
        Ok(())
    }

    /// The doorbells alone, to wake workers for another reason than a batch.
    pub fn bells(&self) -> std::io::Result<Bells> {
        self.workers.iter().map(|line| line.doorbell.try_clone()).collect::<Result<_, _>>().map(Bells)
    }

    /// The batch each worker has applied, and the newest one published.
    pub fn progress(&self) -> (Epoch, Vec<Epoch>) {
        let applied = self.workers.iter().map(|line| *line.acknowledged.borrow()).collect();
        (self.epoch.load(Ordering::Acquire), applied)
    }
}

/// Every worker's doorbell.
#[derive(Debug)]
pub struct Bells(Vec<UnixStream>);

impl Bells {
    /// Wakes every worker.
    pub fn ring(&self) {
        self.0.iter().for_each(press);
    }
}

fn press(mut doorbell: &UnixStream) {
    // A full doorbell has already rung.
    let _ = doorbell.write(&[1]);
}

impl Mailbox {
    /// Whether a batch waits. One atomic load: cheap enough to ask before each request.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.epoch.load(Ordering::Acquire) != self.seen
    }

    /// Applies every waiting batch in order, then acknowledges. Returns the newest revision applied, if any was.
    pub fn apply(&mut self, mut apply: impl FnMut(&Batch)) -> Option<u64> {
        let mut revision = None;
        while let Ok(batch) = self.queue.try_recv() {
            apply(&batch);
            self.seen += 1;
            revision = Some(batch.revision);
        }
        if revision.is_some() {
            self.acknowledge.send_replace(self.seen);
        }
        revision
    }
}

/// Batches a worker may be behind before publishing waits for it.
pub const QUEUE_BATCHES_MAX: usize = 1024;
/// How long a write waits for every worker before it is answered "stored, not yet live".
pub const ACKNOWLEDGE_WAIT_MAX: Duration = Duration::from_secs(5);
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(revision: u64) -> Batch {
        Batch { revision, changes: Vec::new() }
    }

    #[tokio::test]
    async fn a_batch_is_live_once_every_worker_has_applied_it() {
        let (feed, mut mailboxes) = Feed::new(2).unwrap();
        let epoch = feed.publish(batch(7)).await;
        assert!(mailboxes.iter().all(|(mailbox, _)| mailbox.is_behind()));
        assert_eq!(mailboxes[0].0.apply(|_| {}), Some(7));
        let lagging = feed.live_within(epoch, Duration::from_millis(5)).await.unwrap_err();
        assert_eq!((lagging.worker, lagging.epoch, lagging.applied), (1, 1, 0));
        assert_eq!(mailboxes[1].0.apply(|_| {}), Some(7));
        feed.live(epoch).await.unwrap();
        assert!(mailboxes.iter().all(|(mailbox, _)| !mailbox.is_behind()));
    }

    #[tokio::test]
    async fn a_full_queue_holds_the_publisher_back() {
        let (feed, mut mailboxes) = Feed::new(1).unwrap();
        for revision in 0..QUEUE_BATCHES_MAX as u64 {
            feed.publish(batch(revision)).await;
        }
        let one_more = feed.publish(batch(9999));
        tokio::pin!(one_more);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut one_more).await.is_err());
        mailboxes[0].0.apply(|_| {});
        let epoch = one_more.await;
        mailboxes[0].0.apply(|_| {});
        feed.live(epoch).await.unwrap();
    }
}
