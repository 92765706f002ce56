//! A disk that refuses: the write fails whole, the store goes on once the disk does.

use super::*;
use crate::store::tests::delete;
use redb::StorageBackend;
use redb::backends::FileBackend;
use std::cell::Cell;
use std::io;

thread_local! {
    /// Steps on the disk that still succeed on this thread; `None`: all.
    static STEPS_LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

#[derive(Debug)]
struct Faulty(FileBackend);

impl Faulty {
    fn step() -> io::Result<()> {
        match STEPS_LEFT.get() {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            left => {
                STEPS_LEFT.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::step()?;
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Self::step()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        Self::step()?;
        self.0.write(offset, data)
    }
}

fn faulty(file: File) -> io::Result<Box<dyn StorageBackend>> {
    Ok(Box::new(Faulty(FileBackend::new(file).map_err(io::Error::other)?)))
}

#[test]
fn a_full_disk_fails_the_write_whole_and_the_store_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open_through(dir.path(), faulty).unwrap();
    store.commit(&[vec![put("/kept", "0")]]).unwrap();
    let mut failures = 0;
    for steps in 0..40 {
        let before = (store.revision(), store.range("", None, usize::MAX).unwrap());
        STEPS_LEFT.set(Some(steps));
        let result = store.commit(&[vec![put("/new", &"x".repeat(9_000)), put("/kept", &steps.to_string())]]);
        STEPS_LEFT.set(None);
        if result.is_err() {
            failures += 1;
        }
        // With the disk back, the next write goes through and shows which of the two states this one left.
        match (result, store.commit(&[vec![delete("/absent")]])) {
            (Ok(events), Ok(_)) => assert_eq!(events.len(), 2, "{steps}"),
            (Err(_), Ok(_)) => {
                let after = (store.revision(), store.range("", None, usize::MAX).unwrap());
                assert_eq!(after, before, "{steps}: a failed write has left something");
            }
            // It reached the disk though it seemed not to: nothing more is taken until a restart has loaded it.
            (result, Err(error)) => {
                assert!(result.is_err(), "{steps}: {error}");
                assert!(error.to_string().contains("restart"), "{steps}: {error}");
                drop(store);
                let store = EmbeddedStore::open(dir.path()).unwrap();
                assert_eq!(store.revision(), before.0 + 1);
                assert_eq!(&*store.get("/kept").unwrap().unwrap().value, steps.to_string());
                return;
            }
        }
    }
    assert!(failures > 0, "no fault has hit");
    assert_eq!(&*store.get("/kept").unwrap().unwrap().value, "39", "the last write had steps enough");
}
