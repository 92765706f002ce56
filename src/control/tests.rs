//! The whole control side on a real feed, with threads that apply mailboxes as workers do.

mod outside;
mod writes;

use super::*;
use crate::snapshot::feed::{Mailbox, QUEUE_BATCHES_MAX};
use crate::store::Op;
use crate::store::memory::MemoryStore;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Condvar, Mutex};
use std::thread::JoinHandle;

/// Turns each event into one change that says what happened; the text `wants <name>` in a value wants a name.
#[derive(Debug, Default)]
struct Echo;

/// A change that workers of these tests can tell.
fn said(text: &str) -> Change {
    Change::Credential { plugin: "test", key: text.into(), credential: None }
}

impl Compile for Echo {
    fn apply(&mut self, events: &[Event]) -> Compiled {
        let mut compiled = Compiled::default();
        for Event { key, value, .. } in events {
            let value = value.as_deref().unwrap_or("gone");
            compiled.changes.push(said(&format!("{key}={value}")));
            compiled.names_wanted.extend(value.strip_prefix("wants ").map(Into::into));
        }
        compiled
    }

    fn resolved(&mut self, name: &str, addresses: &[IpAddr]) -> Vec<Change> {
        vec![said(&format!("{name} is {addresses:?}"))]
    }

    fn secret(&mut self, reference: &str, value: Option<Secret>) -> Compiled {
        let text = value.map_or_else(|| "nothing".to_owned(), |value| value.expose().to_owned());
        Compiled { changes: vec![said(&format!("{reference} is {text}"))], ..Compiled::default() }
    }
}

/// A resolver that says yes and answers when the test does.
struct Patient;

impl Resolve for Patient {
    fn answers(&self) -> bool {
        true
    }

    fn want(&self, _name: &str) {}

    fn release(&self, _name: &str) {}
}

/// A memory store that can be made to wait before it commits, to fail, and to tell how often it was asked.
#[derive(Default)]
struct Gate {
    inner: MemoryStore,
    /// Commits that have begun to wait for the gate.
    arrivals: AtomicUsize,
    commits: AtomicUsize,
    fails: AtomicBool,
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn set_closed(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }
}

impl Store for Gate {
    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        self.inner.get(key)
    }

    fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.inner.range(prefix, after, limit)
    }

    fn commit(&self, writes: &[Write]) -> Result<Vec<Event>, StoreError> {
        self.arrivals.fetch_add(1, Ordering::SeqCst);
        drop(self.opened.wait_while(self.closed.lock().unwrap(), |closed| *closed).unwrap());
        self.commits.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::Io("no space left on device".into()));
        }
        self.inner.commit(writes)
    }
}

/// What a worker was told: revision and changes of each batch.
type Told = Vec<(u64, Vec<String>)>;

/// Applies what comes until the feed is gone.
fn work(mut mailbox: Mailbox, mut doorbell: UnixStream) -> JoinHandle<Told> {
    std::thread::spawn(move || {
        let mut told = Vec::new();
        loop {
            mailbox.apply(|batch| {
                let text = |change: &Change| match change {
                    Change::Credential { key, .. } => key.to_string(),
                    other => format!("{other:?}"),
                };
                told.push((batch.revision, batch.changes.iter().map(text).collect()));
            });
            if !matches!(doorbell.read(&mut [0; 64]), Ok(1..)) {
                return told;
            }
        }
    })
}

/// A control side with two workers.
struct House {
    control: Control,
    store: Arc<Gate>,
    resolutions: mpsc::UnboundedSender<Resolution>,
    workers: Vec<JoinHandle<Told>>,
}

impl House {
    async fn new() -> Self {
        Self::on(Gate::default()).await
    }

    async fn on(store: Gate) -> Self {
        let store = Arc::new(store);
        let (feed, mailboxes) = Feed::new(2).unwrap();
        let workers = mailboxes.into_iter().map(|(mailbox, doorbell)| work(mailbox, doorbell)).collect();
        let (resolutions, results) = mpsc::unbounded_channel();
        let as_store: Arc<dyn Store> = Arc::<Gate>::clone(&store);
        let control = Control::start_with(as_store, feed, Echo, (Patient, results), None, waits()).await.unwrap();
        Self { control, store, resolutions, workers }
    }

    /// Ends everything and returns what every worker was told, which must be the same.
    async fn told(self) -> Told {
        let Self { control, workers, .. } = self;
        drop(control);
        // The writer ends on this thread, so the workers are waited for on another.
        let told = tokio::task::spawn_blocking(|| workers.into_iter().map(|worker| worker.join().unwrap()).collect());
        let mut told: Vec<Told> = told.await.unwrap();
        let last = told.pop().unwrap();
        assert!(told.iter().all(|other| *other == last), "workers were told different things");
        last
    }

    /// Waits until a commit stands at the closed gate, and `count` writes are queued behind it.
    async fn queued(&self, count: usize) {
        while self.store.arrivals.load(Ordering::SeqCst) == 0
            || self.control.queue.capacity() != QUEUE_WRITES_MAX - count
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn waits() -> Waits {
    Waits {
        live: Duration::from_secs(20),
        first_resolution: Duration::from_millis(150),
        start_resolution: Duration::from_millis(50),
    }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put { key: key.into(), value: value.into(), expires_unix_s: None }
}

fn delete(key: &str) -> Op {
    Op::Delete { key: key.into() }
}

/// A write without checks.
async fn store(control: &Control, write: Write) -> Result<u64, WriteError<()>> {
    control.write(|_| Ok((write, ()))).await.map(|((), revision)| revision)
}
