//! The one task that changes configuration: writes in groups, expiries, addresses of names, and secrets.

use super::index::Index;
use super::leases::Leases;
use super::names::{FirstAnswer, Names, Resolve, SecretSource, Secrets};
use super::settle::{Settling, settle};
use super::view::{Group, View};
use super::{Compile, GROUP_WRITES_MAX, Shared};
use crate::base::clock;
use crate::dns::Resolution;
use crate::secret;
use crate::snapshot::change::{Batch, Change};
use crate::snapshot::compile::Compiled;
use crate::snapshot::feed::Epoch;
use crate::store::{Event, Op, StoreError, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

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
    outside: Outside<N>,
    index: Index,
    leases: Leases,
    queue: mpsc::Receiver<Job>,
    /// No expiry is acted on before this: set after a failed attempt.
    expire_from: Instant,
}

impl<C: Compile, N: Resolve> Writer<C, N> {
    pub(super) fn new(
        shared: Arc<Shared>,
        compiler: C,
        outside: Outside<N>,
        index: Index,
        leases: Leases,
        queue: mpsc::Receiver<Job>,
    ) -> Self {
        Self { shared, compiler, outside, index, leases, queue, expire_from: Instant::now() }
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
                resolution = next(&mut self.outside.resolutions) => self.resolved(resolution).await,
                secret = next(&mut self.outside.found) => self.found(secret).await,
                () = sleep_until(expiry) => self.expire().await,
            }
        }
    }

    /// Publishes `changes`, the first batch, together with the addresses and secrets that come in until every wanted name
    /// and reference has had its first answer, at most until `deadline`.
    ///
    /// One batch, however many answers there are: no worker runs yet, so whatever is published only queues up.
    pub(super) async fn publish_first(&mut self, mut changes: Vec<Change>, deadline: Instant) {
        loop {
            let (names, secrets) = (self.outside.names.unanswered(), self.outside.secrets.unanswered());
            if names + secrets == 0 {
                break;
            }
            // Nobody waits for an answer yet but this loop.
            tokio::select! {
                resolution = next(&mut self.outside.resolutions) => drop(self.take_resolved(resolution, &mut changes)),
                secret = next(&mut self.outside.found) => drop(self.take_found(secret, &mut changes)),
                () = sleep_until(deadline) => {
                    tracing::warn!(names, secrets, "names have no address yet, or secrets no value");
                    break;
                }
            }
        }
        self.shared.feed.publish(Batch { revision: self.shared.store.revision(), changes }).await;
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
            let wanted = self.outside.take(compiled);
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
        let mut changes = Vec::new();
        let waiting = self.take_resolved(first, &mut changes);
        self.publish_found(changes, waiting).await;
    }

    /// Compiles what [`Writer::resolved`] takes, and returns who waits for it.
    fn take_resolved(&mut self, first: Resolution, changes: &mut Vec<Change>) -> Vec<oneshot::Sender<Epoch>> {
        let mut waiting = Vec::new();
        let mut resolution = Some(first);
        let mut taken = 0;
        while let Some(Resolution { name, addresses }) = resolution {
            changes.append(&mut self.compiler.resolved(&name, &addresses));
            waiting.append(&mut self.outside.names.answered(&name));
            taken += 1;
            let more = if taken < GROUP_WRITES_MAX { self.outside.resolutions.as_mut() } else { None };
            resolution = more.and_then(|resolutions| resolutions.try_recv().ok());
        }
        waiting
    }

    /// Takes one reference's value, and those that have come in meanwhile, as one batch.
    async fn found(&mut self, first: secret::Resolution) {
        let mut changes = Vec::new();
        let waiting = self.take_found(first, &mut changes);
        self.publish_found(changes, waiting).await;
    }

    /// Compiles what [`Writer::found`] takes, and returns who waits for it.
    fn take_found(&mut self, first: secret::Resolution, changes: &mut Vec<Change>) -> Vec<oneshot::Sender<Epoch>> {
        let mut waiting = Vec::new();
        let mut resolution = Some(first);
        let mut taken = 0;
        while let Some(secret::Resolution { reference, value }) = resolution {
            let mut compiled = self.compiler.secret(&reference, value);
            changes.append(&mut compiled.changes);
            drop(self.outside.take(compiled));
            waiting.append(&mut self.outside.secrets.answered(&reference));
            taken += 1;
            let more = if taken < GROUP_WRITES_MAX { self.outside.found.as_mut() } else { None };
            resolution = more.and_then(|found| found.try_recv().ok());
        }
        waiting
    }

    /// Publishes what came from elsewhere, and tells those who wait for it.
    async fn publish_found(&mut self, changes: Vec<Change>, waiting: Vec<oneshot::Sender<Epoch>>) {
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

/// What is asked of others, and where their answers arrive.
pub(super) struct Outside<N> {
    pub(super) names: Names<N>,
    pub(super) secrets: Secrets,
    /// `None` once nobody sends any more.
    resolutions: Option<mpsc::UnboundedReceiver<Resolution>>,
    /// As above.
    found: Option<mpsc::UnboundedReceiver<secret::Resolution>>,
}

impl<N: Resolve> Outside<N> {
    pub(super) fn new(
        names: Names<N>,
        resolutions: mpsc::UnboundedReceiver<Resolution>,
        secrets: Option<SecretSource>,
    ) -> Self {
        let (resolver, found) = match secrets {
            Some(SecretSource { resolver, environment, resolutions }) => {
                (Some((resolver, environment)), Some(resolutions))
            }
            None => (None, None),
        };
        Self { names, secrets: Names::new(resolver), resolutions: Some(resolutions), found }
    }

    /// Passes on what a compilation needs, or no longer needs. What comes back is to be waited for.
    fn take(&mut self, compiled: Compiled) -> Vec<FirstAnswer> {
        self.names.release(&compiled.names_released);
        self.secrets.release(&compiled.secrets_released);
        self.secrets.configure(&compiled.managers);
        let mut wanted = self.names.want(compiled.names_wanted);
        wanted.append(&mut self.secrets.want(compiled.secrets_wanted));
        wanted
    }
}

/// The next result; never, once nobody sends any.
async fn next<T>(resolutions: &mut Option<mpsc::UnboundedReceiver<T>>) -> T {
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
