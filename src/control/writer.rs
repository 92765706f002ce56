//! The one task that changes configuration: writes in groups, expiries, and addresses of names.

use super::index::Index;
use super::leases::Leases;
use super::names::{FirstAnswer, Names, Resolve};
use super::settle::{Settling, settle};
use super::view::{Group, View};
use super::{Compile, GROUP_WRITES_MAX, Shared};
use crate::base::clock;
use crate::dns::Resolution;
use crate::snapshot::change::{Batch, Change};
use crate::snapshot::feed::Epoch;
use crate::store::{Event, Op, StoreError, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A queued write: runs its checks and, if they accept it, says what to write. It answers a refusal by itself.
pub(super) type Job = Box<dyn FnOnce(&View<'_>) -> Option<Accepted> + Send>;
/// Answers an accepted write's caller.
pub(super) type Finish = Box<dyn FnOnce(Result<u64, Failure>) + Send>;

/// A write that its checks accepted.
pub(super) struct Accepted {
    pub(super) write: Write,
    pub(super) finish: Finish,
}

/// Why an accepted write did not end well.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not stored.
    Store(StoreError),
    /// Stored, not live everywhere within the bound.
    NotLive { revision: u64, reason: String },
}

/// Everything that a write changes.
pub(super) struct Writer<C, N> {
    shared: Arc<Shared>,
    compiler: C,
    names: Names<N>,
    index: Index,
    leases: Leases,
    queue: mpsc::Receiver<Job>,
    /// `None` once nobody sends any more.
    resolutions: Option<mpsc::UnboundedReceiver<Resolution>>,
    /// No expiry is acted on before this: set after a failed attempt.
    expire_from: Instant,
}

impl<C: Compile, N: Resolve> Writer<C, N> {
    pub(super) fn new(
        shared: Arc<Shared>,
        compiler: C,
        names: Names<N>,
        index: Index,
        leases: Leases,
        queue: mpsc::Receiver<Job>,
        resolutions: mpsc::UnboundedReceiver<Resolution>,
    ) -> Self {
        let resolutions = Some(resolutions);
        Self { shared, compiler, names, index, leases, queue, resolutions, expire_from: Instant::now() }
    }

    /// Serves until the last handle is gone.
    pub(super) async fn run(mut self) {
        loop {
            let expiry = self.next_expiry();
            tokio::select! {
                job = self.queue.recv() => match job {
                    Some(job) => self.write(job).await,
                    None => return,
                },
                resolution = next(&mut self.resolutions) => self.resolved(resolution).await,
                () = sleep_until(expiry) => self.expire().await,
            }
        }
    }

    /// Takes addresses until every wanted name has had its first answer, at most until `deadline`.
    pub(super) async fn resolve_until(&mut self, deadline: Instant) {
        while self.names.unanswered() > 0 {
            let Ok(resolution) = timeout_at(deadline, next(&mut self.resolutions)).await else {
                tracing::warn!(names = self.names.unanswered(), "names have no address yet");
                return;
            };
            self.resolved(resolution).await;
        }
    }

    /// Takes `first` and what has queued up behind it as one group.
    async fn write(&mut self, first: Job) {
        let mut group = Group::new(self.shared.store.revision());
        let mut writes = Vec::new();
        let mut settling = Vec::new();
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(job) = next {
            let view = View { store: &*self.shared.store, index: &self.index, group: &group };
            if let Some(Accepted { write, finish }) = job(&view) {
                match group.add(&*self.shared.store, &mut self.index, &write) {
                    Ok(revision) => {
                        settling.push(Settling { revision: group.revision(), finish, names: Vec::new() });
                        if revision.is_some() {
                            writes.push(write);
                        }
                    }
                    Err(error) => finish(Err(Failure::Store(error))),
                }
            }
            taken += 1;
            next = if taken < GROUP_WRITES_MAX { self.queue.try_recv().ok() } else { None };
        }
        self.commit(group, writes, settling).await;
    }

    /// Commits and publishes a group; its callers are answered by a task of their own, or now if it fails.
    async fn commit(&mut self, group: Group, writes: Vec<Write>, mut settling: Vec<Settling>) -> bool {
        let mut epoch = self.shared.feed.progress().0;
        if !writes.is_empty() {
            let store = Arc::clone(&self.shared.store);
            let committed = tokio::task::spawn_blocking(move || store.commit(&writes)).await;
            let committed =
                committed.unwrap_or_else(|failure| Err(StoreError::Io(format!("the commit ended: {failure}"))));
            let events = match committed {
                Ok(events) => events,
                Err(error) => {
                    tracing::error!(%error, "a group of writes was not stored");
                    group.abandon(&mut self.index);
                    for settling in settling {
                        (settling.finish)(Err(Failure::Store(error.clone())));
                    }
                    return false;
                }
            };
            for step in group.into_steps() {
                self.leases.set(&step.key, step.after.and_then(|item| item.expires_unix_s));
            }
            epoch = self.publish(&events, &mut settling).await;
        }
        if !settling.is_empty() {
            tokio::spawn(settle(Arc::clone(&self.shared), epoch, settling));
        }
        true
    }

    /// Compiles each write of `events` and publishes them together. Names that a write made wanted are noted on it.
    async fn publish(&mut self, events: &[Event], settling: &mut [Settling]) -> Epoch {
        let mut changes = Vec::new();
        let mut revision = self.shared.store.revision();
        let mut settling = settling.iter_mut();
        for write in events.chunk_by(|one, other| one.revision == other.revision) {
            let mut compiled = self.compiler.apply(write);
            changes.append(&mut compiled.changes);
            self.names.release(&compiled.names_released);
            let wanted: Vec<FirstAnswer> = self.names.want(compiled.names_wanted);
            revision = write.first().map_or(revision, |event| event.revision);
            // Both are in revision order; writes without effect share the revision of the one before them, which
            // comes first.
            if let Some(settling) = settling.find(|settling| settling.revision == revision) {
                settling.names = wanted;
            }
        }
        self.shared.feed.publish(Batch { revision, changes }).await
    }

    /// Takes one name's addresses, and those that have come in meanwhile, as one batch.
    async fn resolved(&mut self, first: Resolution) {
        let mut changes: Vec<Change> = Vec::new();
        let mut waiting = Vec::new();
        let mut resolution = Some(first);
        let mut taken = 0;
        while let Some(Resolution { name, addresses }) = resolution {
            changes.append(&mut self.compiler.resolved(&name, &addresses));
            waiting.append(&mut self.names.answered(&name));
            taken += 1;
            let more = if taken < GROUP_WRITES_MAX { self.resolutions.as_mut() } else { None };
            resolution = more.and_then(|resolutions| resolutions.try_recv().ok());
        }
        let epoch = if changes.is_empty() {
            self.shared.feed.progress().0
        } else {
            self.shared.feed.publish(Batch { revision: self.shared.store.revision(), changes }).await
        };
        for waiting in waiting {
            let _ = waiting.send(epoch);
        }
    }

    /// Deletes what has expired, each key as a write of its own: an expiry belongs to its key.
    async fn expire(&mut self) {
        let expired = self.leases.expired(clock::unix().as_secs(), GROUP_WRITES_MAX);
        let mut group = Group::new(self.shared.store.revision());
        let mut writes = Vec::new();
        for key in expired {
            let write = vec![Op::Delete { key }];
            if let Ok(Some(_)) = group.add(&*self.shared.store, &mut self.index, &write) {
                writes.push(write);
            }
        }
        let attempted = !writes.is_empty();
        if !attempted || !self.commit(group, writes, Vec::new()).await {
            self.expire_from = Instant::now() + EXPIRY_PAUSE;
        }
    }

    fn next_expiry(&self) -> Instant {
        let Some(expires) = self.leases.next_unix_s() else {
            return Instant::now() + EXPIRY_SLEEP_MAX;
        };
        let wait = Duration::from_secs(expires).saturating_sub(clock::unix());
        (Instant::now() + wait.min(EXPIRY_SLEEP_MAX)).max(self.expire_from)
    }
}

/// The next resolution; never, once nobody sends any.
async fn next(resolutions: &mut Option<mpsc::UnboundedReceiver<Resolution>>) -> Resolution {
    if let Some(open) = resolutions {
        if let Some(resolution) = open.recv().await {
            return resolution;
        }
        *resolutions = None;
    }
    std::future::pending().await
}

/// The wall clock may jump while we sleep, so it is looked at again after this long.
const EXPIRY_SLEEP_MAX: Duration = Duration::from_secs(30);
/// Between attempts to delete what has expired, while the store refuses.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);
