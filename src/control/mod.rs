//! The control side's one thread, assembled: store, index, compiler, feed. The Admin API acts through [`Control`].
//!
//! One task writes, everybody reads what is committed. A write goes through these steps and is answered after the
//! last: its checks run on the state as it is when its turn has come; it is on the disk; it is compiled and fed;
//! every worker has applied it; the names it needs have their first addresses, or had a second to get them. Writes
//! that wait while the disk is busy are committed together, each under its own revision.
//!
//! Keys with an expiry are deleted by the same task, as ordinary writes. Nothing here blocks the thread longer than
//! a read of a few pages: commits and long reads run beside it.

mod facts;
mod index;
mod leases;
pub mod limits;
mod load;
mod names;
mod settle;
#[cfg(test)]
mod tests;
mod view;
mod writer;

pub use names::SecretSource;
pub use view::View;

use crate::dns::{Resolution, Resolver};
use crate::secret::Secret;
use crate::snapshot::change::Change;
use crate::snapshot::compile::{Compiled, Compiler};
use crate::snapshot::feed::{ACKNOWLEDGE_WAIT_MAX, Epoch, Feed};
use crate::store::{Event, Item, Store, StoreError, Write};
use names::Resolve;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use writer::Job;

/// A handle to the control side; cheap to clone. The writer ends when the last one is gone.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
}

/// What handles, the writer and the tasks that wait for workers look at.
struct Shared {
    store: Arc<dyn Store>,
    feed: Feed,
    waits: Waits,
    /// When a worker was first found lagging, in seconds since the Unix epoch; 0: none lags.
    lagging_since_unix_s: AtomicU64,
}

/// How a write ended.
#[derive(Debug)]
pub enum WriteError<R> {
    /// The checks refused it; nothing was stored.
    Refused(R),
    /// The store refused it; nothing was stored.
    Store(StoreError),
    /// Stored under this revision, but a worker has not applied it within the bound.
    NotLive {
        /// The revision.
        revision: u64,
        /// Which worker, and where it stands.
        reason: String,
    },
    /// A defect of ours. The checks panicked: nothing was stored. Or the writer has ended: what this write has come
    /// to is not known until a restart.
    Internal,
}

/// How the control side is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether writes are taken. False after a defect in the writer; a restart heals it.
    pub writable: bool,
    /// The newest revision of the store.
    pub revision: u64,
    /// The newest batch handed to workers.
    pub published: Epoch,
    /// The batch each worker has applied, by worker.
    pub applied: Vec<Epoch>,
    /// Since when a worker has kept writes waiting beyond the bound, in seconds since the Unix epoch; `None`: no
    /// worker lags now.
    pub lagging_since_unix_s: Option<u64>,
}

impl Control {
    /// Loads and compiles what the store holds, waits a bounded time for the names and secrets that it needs, publishes
    /// all that as the first batch, and from then on takes writes.
    ///
    /// Runs on a tokio runtime and keeps two kinds of task there: the writer, and one for each group of writes that
    /// waits for workers. Without a `resolver`, names are asked of nobody and not waited for; `resolutions` are
    /// taken all the same. Without `secrets`, references to secret managers stay unresolved. The workers need not run
    /// yet: the first batch waits in their mailboxes.
    pub async fn start(
        store: Arc<dyn Store>,
        feed: Feed,
        compiler: Compiler,
        resolver: Option<Resolver>,
        resolutions: mpsc::UnboundedReceiver<Resolution>,
        secrets: Option<SecretSource>,
    ) -> Result<Self, StoreError> {
        Self::start_with(store, feed, compiler, (resolver, resolutions), secrets, Waits::default()).await
    }

    async fn start_with<C: Compile, N: Resolve>(
        store: Arc<dyn Store>,
        feed: Feed,
        compiler: C,
        names: (N, mpsc::UnboundedReceiver<Resolution>),
        secrets: Option<SecretSource>,
        waits: Waits,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared { store, feed, waits, lagging_since_unix_s: AtomicU64::new(0) });
        let (queue, writes) = mpsc::channel(QUEUE_WRITES_MAX);
        let writer = load::load(Arc::clone(&shared), compiler, names, secrets, writes).await?;
        tokio::spawn(writer.run());
        Ok(Self { shared, queue })
    }

    /// One object, as committed.
    #[expect(clippy::unused_async, reason = "where a read runs is this side's business, not its callers'")]
    pub async fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        // A look-up touches a few pages that are nearly always in memory: cheaper here than on another thread.
        self.shared.store.get(key)
    }

    /// The objects below `prefix`, in key order, all as of one revision.
    pub async fn range(&self, prefix: &str) -> Result<Vec<Item>, StoreError> {
        self.range_page(prefix, None, usize::MAX).await
    }

    /// The first `limit` objects below `prefix` whose keys come after `after`, in key order, all as of one revision.
    pub async fn range_page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, StoreError> {
        let store = Arc::clone(&self.shared.store);
        let (prefix, after) = (prefix.to_owned(), after.map(ToOwned::to_owned));
        let read = tokio::task::spawn_blocking(move || store.range(&prefix, after.as_deref(), limit));
        read.await.unwrap_or_else(|failure| Err(StoreError::Io(format!("the read did not end: {failure}"))))
    }

    /// Runs `prepare` on the state as it is when this write's turn has come; what it returns is committed, compiled
    /// and fed. Returns `prepare`'s second value and the revision once the write is durable and live on every worker.
    ///
    /// A write without effect (no operation, or only deletions of absent keys) takes no revision: it returns the one
    /// it found. Dropping the future does not take the write back. `prepare` runs on the control thread, so it must
    /// not block; its panic is an internal error of this write alone.
    pub async fn write<T, R, F>(&self, prepare: F) -> Result<(T, u64), WriteError<R>>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<(Write, T), R> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |view| {
            // Nothing of ours is changed by `prepare`, so a panic leaves nothing half done.
            let (write, value) = match catch_unwind(AssertUnwindSafe(|| prepare(view))) {
                Ok(Ok(accepted)) => accepted,
                Ok(Err(refusal)) => {
                    let _ = answer.send(Err(WriteError::Refused(refusal)));
                    return None;
                }
                Err(_) => {
                    let _ = answer.send(Err(WriteError::Internal));
                    return None;
                }
            };
            let finish = Box::new(move |end: Result<u64, writer::Failure>| {
                let _ = answer.send(match end {
                    Ok(revision) => Ok((value, revision)),
                    Err(writer::Failure::Store(error)) => Err(WriteError::Store(error)),
                    Err(writer::Failure::NotLive { revision, reason }) => Err(WriteError::NotLive { revision, reason }),
                });
            });
            Some(writer::Accepted { write, finish })
        });
        if self.queue.send(job).await.is_err() {
            return Err(WriteError::Internal);
        }
        answered.await.unwrap_or(Err(WriteError::Internal))
    }

    /// See [`Store::stored_form`].
    pub fn stored_form(&self, key: &str, value: serde_json::Value, revision: u64) -> serde_json::Value {
        self.shared.store.stored_form(key, value, revision)
    }

    /// The newest revision of the store.
    pub fn revision(&self) -> u64 {
        self.shared.store.revision()
    }

    /// How the control side is doing, now.
    pub fn health(&self) -> Health {
        let (published, applied) = self.shared.feed.progress();
        if applied.iter().all(|applied| *applied >= published) {
            self.shared.caught_up();
        }
        let since = self.shared.lagging_since_unix_s.load(Ordering::Relaxed);
        Health {
            writable: !self.queue.is_closed(),
            revision: self.revision(),
            published,
            applied,
            lagging_since_unix_s: (since != 0).then_some(since),
        }
    }
}

impl Shared {
    fn lags(&self) {
        let now = crate::base::clock::unix().as_secs().max(1);
        // The first to notice says since when.
        let _ = self.lagging_since_unix_s.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn caught_up(&self) {
        self.lagging_since_unix_s.store(0, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Control").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// Turns events into changes for workers.
trait Compile: Send + 'static {
    /// See [`Compiler::apply`].
    fn apply(&mut self, events: &[Event]) -> Compiled;
    /// See [`Compiler::resolved`].
    fn resolved(&mut self, name: &str, addresses: &[IpAddr]) -> Vec<Change>;
    /// See [`Compiler::secret`].
    fn secret(&mut self, reference: &str, value: Option<Secret>) -> Compiled;
}

impl Compile for Compiler {
    fn apply(&mut self, events: &[Event]) -> Compiled {
        Self::apply(self, events)
    }

    fn resolved(&mut self, name: &str, addresses: &[IpAddr]) -> Vec<Change> {
        Self::resolved(self, name, addresses)
    }

    fn secret(&mut self, reference: &str, value: Option<Secret>) -> Compiled {
        Self::secret(self, reference, value)
    }
}

/// How long things may take before their wait is given up.
#[derive(Debug, Clone, Copy)]
struct Waits {
    /// For every worker to have applied a batch.
    live: Duration,
    /// For the first answer to a name or a reference that a write made wanted.
    first_resolution: Duration,
    /// For the first answers to all names and references that the stored configuration needs.
    start_resolution: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            live: ACKNOWLEDGE_WAIT_MAX,
            first_resolution: FIRST_RESOLUTION_WAIT,
            start_resolution: START_RESOLUTION_WAIT,
        }
    }
}

/// Writes that may wait for their turn; a caller beyond that waits to be queued.
pub const QUEUE_WRITES_MAX: usize = 1024;
/// Writes committed together at most.
pub const GROUP_WRITES_MAX: usize = 512;
/// How long a write's answer waits for the first addresses of names, and values of references, that it made wanted.
pub const FIRST_RESOLUTION_WAIT: Duration = Duration::from_secs(1);
/// How long the start waits for the first addresses of names, and values of references, that the stored configuration
/// needs.
pub const START_RESOLUTION_WAIT: Duration = Duration::from_secs(5);
