//! Finding, making and checking the file.
//!
//! A file is opened only when every page that its committed trees reach has the checksum written for it, the trees
//! are ours, and the format is one we know. Until then nothing is written to it. A new file comes into being under
//! another name and is moved into place whole, so a crash while it is made leaves no file or a good one.

use super::held::hold;
use super::{META, OBJECTS};
use crate::store::StoreError;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTableMetadata, StorageBackend};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// How the file's bytes are reached; tests put faults in between.
pub(super) type BackendOf = fn(File) -> io::Result<Box<dyn StorageBackend>>;

/// The file's bytes as they are.
pub(super) fn file_backend(file: File) -> io::Result<Box<dyn StorageBackend>> {
    Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
}

/// Creates `data_dir` (mode 0700) if it is not there, and takes it for this process for as long as the file lives.
pub(super) fn claim(data_dir: &Path) -> Result<File, StoreError> {
    let failed = |error: io::Error| StoreError::Io(format!("{}: {error}", data_dir.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(failed)?;
    let path = data_dir.join(LOCK_NAME);
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: data_dir.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Opens the file at `path`, making it if it is absent or empty. Returns it with its revision.
pub(super) fn open(path: &Path, backend: BackendOf) -> Result<(Database, u64), StoreError> {
    let io_failed = |error: io::Error| StoreError::Io(format!("{}: {error}", path.display()));
    match path.metadata() {
        Ok(found) if !found.is_file() => return Err(unusable(path, "expected a regular file")),
        Ok(found) if found.len() > 0 => {}
        Ok(_) => create(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(io_failed(error)),
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(io_failed)?;
    let (held, hold) = hold(backend(file).map_err(io_failed)?);
    // redb reports what it finds damaged; a panic would be a find it has no report for, and says the same to us.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = redb::Builder::new()
            .set_cache_size(CACHE_BYTES_MAX)
            .set_check_integrity_on_open(true)
            .create_with_backend(held)
            .map_err(|error| refusal(path, error.into()))?;
        let revision = check_format(&database).map_err(|reason| unusable(path, &reason))?;
        Ok((database, revision))
    }));
    let (database, revision) = opened.unwrap_or_else(|_| Err(unusable(path, "damaged: its structure is invalid")))?;
    hold.release().map_err(io_failed)?;
    Ok((database, revision))
}

/// Our marker, a version we know, both tables: the revision, or what is wrong.
fn check_format(database: &Database) -> Result<u64, String> {
    let read = database.begin_read().map_err(|error| error.to_string())?;
    let foreign = |error: redb::TableError| format!("a redb file of another program: {error}");
    let meta = read.open_table(META).map_err(foreign)?;
    let number = |name: &str| match meta.get(name) {
        Ok(Some(number)) => Ok(number.value()),
        Ok(None) => Err(format!("a redb file of another program: its meta table has no `{name}`")),
        Err(error) => Err(error.to_string()),
    };
    if number("format")? != FORMAT {
        return Err("a redb file of another program: its format marker is not ringgate's".to_owned());
    }
    let version = number("version")?;
    if version != VERSION {
        return Err(format!("format version {version}, expected {VERSION}: another release of ringgate wrote it"));
    }
    read.open_table(OBJECTS).map_err(foreign)?.len().map_err(|error| error.to_string())?;
    number("revision")
}

/// Makes an empty store and moves it to `path`. The caller has claimed the directory.
fn create(path: &Path) -> Result<(), StoreError> {
    let failed = |error: redb::Error| StoreError::Io(format!("{}: cannot create: {error}", path.display()));
    let io_failed = |error: io::Error| StoreError::Io(format!("{}: cannot create: {error}", path.display()));
    let draft = path.with_extension(DRAFT_EXTENSION);
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_failed(error)),
        _ => {}
    }
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft).map_err(io_failed)?;
    let fill = || -> Result<(), redb::Error> {
        let database = redb::Builder::new().create_with_backend(FileBackend::new(file)?)?;
        let write = database.begin_write()?;
        write.open_table(OBJECTS)?;
        let mut meta = write.open_table(META)?;
        for (name, number) in [("format", FORMAT), ("version", VERSION), ("revision", 0)] {
            meta.insert(name, number)?;
        }
        drop(meta);
        write.commit()?;
        Ok(())
    };
    fill().map_err(failed)?;
    let settle = || {
        File::open(&draft)?.sync_all()?;
        std::fs::rename(&draft, path)?;
        // The new name is durable only once the directory is.
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    settle().map_err(io_failed)
}

/// redb's refusal of a file, as ours.
fn refusal(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked { path: path.display().to_string() },
        // What is no redb file, or ends too early, comes as one of these two.
        redb::Error::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            unusable(path, &format!("not a ringgate store, or cut short: {error}"))
        }
        redb::Error::Io(error) => StoreError::Io(format!("{}: {error}", path.display())),
        error => unusable(path, &format!("damaged: {error}")),
    }
}

fn unusable(path: &Path, reason: &str) -> StoreError {
    StoreError::Unusable { path: path.display().to_string(), reason: reason.to_owned() }
}

/// "ringgate", as a number: says that the meta table is ours.
pub(super) const FORMAT: u64 = u64::from_be_bytes(*b"ringgate");
/// Version of the tables' layout.
pub(super) const VERSION: u64 = 1;
/// Pages that redb may keep in memory. Reads are rare: the compiler holds what requests need.
const CACHE_BYTES_MAX: usize = 64 << 20;
const LOCK_NAME: &str = "ringgate.lock";
const DRAFT_EXTENSION: &str = "redb.new";
