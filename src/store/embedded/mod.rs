//! The embedded store: one redb file, owned by this process.
//!
//! Goes in: writes; comes out: their events, once they are on the disk. Every [`EmbeddedStore::commit`] is one
//! durable two-phase transaction, whatever the number of writes in it: a process killed at any moment has lost no
//! acknowledged write and left no half of one. Two phases cost a second sync and buy that damage to the newest
//! transaction is seen as damage, where one phase would take it for a write cut short and step back silently.
//!
//! One bit of redb's head says which of its two newest commits counts and is covered by no checksum: if just that
//! bit turns over in a file that was not closed in order, the last commit is not seen.
//!
//! It never writes to a file that it does not take for its own, whole and undamaged (`open.rs`).

mod held;
mod open;

use super::apply::{Cells, apply};
use super::{Event, Item, Store, StoreError, Write};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, Table, TableDefinition};
use std::fs::File;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Configuration in `<data_dir>/ringgate.redb`.
#[derive(Debug)]
pub struct EmbeddedStore {
    path: PathBuf,
    backend: open::BackendOf,
    /// Of the newest acknowledged write.
    revision: AtomicU64,
    /// One commit at a time, its recovery included.
    commits: Mutex<()>,
    /// `None` after a failed write, until the file has been opened again.
    database: RwLock<Option<Database>>,
    /// The directory is ours; let go last, when the file is closed.
    _claim: File,
}

impl EmbeddedStore {
    /// Opens the store in `data_dir`; directory (0700) and file (0600) are created if they are not there.
    ///
    /// Reads the whole file once to verify it. A file that cannot be used is left as it is, byte for byte.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        Self::open_through(data_dir, open::file_backend)
    }

    fn open_through(data_dir: &Path, backend: open::BackendOf) -> Result<Self, StoreError> {
        let claim = open::claim(data_dir)?;
        let path = data_dir.join(FILE_NAME);
        let (database, revision) = open::open(&path, backend)?;
        Ok(Self {
            path,
            backend,
            revision: AtomicU64::new(revision),
            commits: Mutex::new(()),
            database: RwLock::new(Some(database)),
            _claim: claim,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `act` on the open file. A panic in redb (a file changed under our feet) is an error like any other.
    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_ref() else {
            return Err(self.failed("closed after a failed write, and could not be opened again"));
        };
        match catch_unwind(AssertUnwindSafe(|| act(database))) {
            Ok(result) => result.map_err(|error| self.failed(error)),
            Err(_) => Err(self.failed("the file changed while it was open")),
        }
    }

    /// Opens the file again after a failed write, which redb asks for, and returns the revision that it is at.
    fn reopen(&self) -> Result<u64, StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Closing releases the file's lock and may fail like the write did; opening will say what matters.
        let old = database.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(old)));
        let (reopened, revision) = open::open(&self.path, self.backend)?;
        *database = Some(reopened);
        Ok(revision)
    }

    fn is_closed(&self) -> bool {
        self.database.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn close(&self) {
        let closed = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(closed)));
    }

    fn failed(&self, error: impl std::fmt::Display) -> StoreError {
        StoreError::Io(format!("{}: {error}", self.path.display()))
    }
}

impl Store for EmbeddedStore {
    fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn get(&self, key: &str) -> Result<Option<Item>, StoreError> {
        self.with(|database| {
            let objects = database.begin_read()?.open_table(OBJECTS)?;
            Ok(objects.get(key)?.map(|object| item(key, object.value())))
        })
    }

    fn range(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Item>, StoreError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.with(|database| {
            let objects = database.begin_read()?.open_table(OBJECTS)?;
            let mut items = Vec::new();
            for object in objects.range::<&str>((start, Bound::Unbounded))?.take(limit) {
                let (key, object) = object?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                items.push(item(key.value(), object.value()));
            }
            Ok(items)
        })
    }

    fn commit(&self, writes: &[Write]) -> Result<Vec<Event>, StoreError> {
        let _turn = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.revision();
        if self.is_closed() && self.reopen()? != before {
            // The write that failed has reached the disk after all, but its caller was told otherwise.
            self.close();
            return Err(self.failed("a write that seemed to have failed is stored: restart to load it"));
        }
        let attempt = match self.with(|database| write(database, writes, before)) {
            Ok(Attempt { events, revision, failure: None }) => Ok((events, revision)),
            // redb takes no more writes after a failed one, and cannot say whether it reached the disk: look.
            Ok(Attempt { events, revision, failure: Some(error) }) => match self.reopen()? {
                found if found == revision => Ok((events, revision)),
                found if found == before => Err(self.failed(error)),
                found => Err(self.failed(format_args!("at revision {found} after a failed write: {error}"))),
            },
            Err(error) => match self.reopen()? {
                found if found == before => Err(error),
                found => {
                    // What reached the disk is more than the caller will be told: nothing may build on either state.
                    self.close();
                    Err(self
                        .failed(format_args!("at revision {found} after a failed write: {error}: restart to load it")))
                }
            },
        };
        let (events, revision) = attempt?;
        self.revision.store(revision, Ordering::Release);
        Ok(events)
    }
}

/// What became of a transaction.
struct Attempt {
    events: Vec<Event>,
    /// The revision that its last write has, if it happened.
    revision: u64,
    /// Why it may not have happened.
    failure: Option<redb::Error>,
}

/// One transaction: all writes and the new revision, on the disk.
fn write(database: &Database, writes: &[Write], before: u64) -> Result<Attempt, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    let (events, revision) = apply(&mut Objects(transaction.open_table(OBJECTS)?), writes, before)?;
    if events.is_empty() {
        transaction.abort()?;
        return Ok(Attempt { events, revision, failure: None });
    }
    transaction.open_table(META)?.insert("revision", revision)?;
    let failure = transaction.commit().err().map(Into::into);
    Ok(Attempt { events, revision, failure })
}

/// The objects, inside a transaction.
struct Objects<'t>(Table<'t, &'static str, Object>);

impl Cells for Objects<'_> {
    type Error = redb::Error;

    fn create_revision(&self, key: &str) -> Result<Option<u64>, redb::Error> {
        Ok(self.0.get(key)?.map(|object| object.value().0))
    }

    fn put(&mut self, item: Item) -> Result<(), redb::Error> {
        let expires = item.expires_unix_s.unwrap_or(NEVER);
        self.0.insert(&*item.key, (item.create_revision, item.mod_revision, expires, &*item.value))?;
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Result<bool, redb::Error> {
        Ok(self.0.remove(key)?.is_some())
    }
}

fn item(key: &str, (create_revision, mod_revision, expires, value): (u64, u64, u64, &str)) -> Item {
    Item {
        key: Arc::from(key),
        value: Arc::from(value),
        create_revision,
        mod_revision,
        expires_unix_s: (expires != NEVER).then_some(expires),
    }
}

/// Create revision, modification revision, expiry in seconds since the Unix epoch ([`NEVER`]: none), JSON text.
type Object = (u64, u64, u64, &'static str);
const OBJECTS: TableDefinition<'_, &str, Object> = TableDefinition::new("objects");
/// `format` (a marker), `version`, `revision`.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const NEVER: u64 = u64::MAX;
const FILE_NAME: &str = "ringgate.redb";

#[cfg(test)]
mod tests;
