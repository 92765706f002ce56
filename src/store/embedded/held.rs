//! A redb backend whose writes stay in memory until the file has been found good.
//!
//! redb writes while it opens: it marks the file as in use and commits what a repair found. A file that turns out to
//! be damaged, or another program's, must not be touched by that. So every step is kept, in order, and seen by reads;
//! [`Hold::release`] then takes the same steps on the file, syncs included: a crash in their middle leaves what a
//! crash in redb's own opening would leave, which redb repairs.

use redb::{BackendError, StorageBackend};
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// `file`, with its writes held back, and the handle that lets them through.
pub(super) fn hold(file: Box<dyn StorageBackend>) -> (HeldBackend, Hold) {
    let shared = Arc::new(Shared { file, released: AtomicBool::new(false), steps: Mutex::default() });
    (HeldBackend(Arc::clone(&shared)), Hold(shared))
}

/// What redb is given.
#[derive(Debug)]
pub(super) struct HeldBackend(Arc<Shared>);

/// Lets the writes through.
#[derive(Debug)]
pub(super) struct Hold(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: Box<dyn StorageBackend>,
    released: AtomicBool,
    /// Steps not taken on the file yet; empty once released.
    steps: Mutex<Vec<Step>>,
}

#[derive(Debug)]
enum Step {
    Write { offset: u64, bytes: Box<[u8]> },
    Length(u64),
    Sync,
}

impl Hold {
    /// Takes the held steps on the file, in order; later ones go straight to it.
    pub(super) fn release(self) -> io::Result<()> {
        let mut steps = self.0.steps.lock().unwrap_or_else(PoisonError::into_inner);
        for step in steps.drain(..) {
            match step {
                Step::Write { offset, bytes } => self.0.file.write(offset, &bytes)?,
                Step::Length(length) => self.0.file.set_len(length)?,
                Step::Sync => self.0.file.sync_data()?,
            }
        }
        self.0.released.store(true, Ordering::Release);
        Ok(())
    }
}

impl Shared {
    /// Runs `direct` on the file if released, else `held` on the steps.
    fn run<T>(
        &self,
        direct: impl FnOnce(&dyn StorageBackend) -> io::Result<T>,
        held: impl FnOnce(&mut Vec<Step>) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.released.load(Ordering::Acquire) {
            return direct(&*self.file);
        }
        held(&mut self.steps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn length(&self, steps: &[Step]) -> io::Result<u64> {
        Ok(steps.iter().fold(self.file.len()?, |length, step| match step {
            Step::Write { offset, bytes } => length.max(offset + bytes.len() as u64),
            Step::Length(length) => *length,
            Step::Sync => length,
        }))
    }

    /// What the file would hold had the steps been taken: its own bytes, then each step over them.
    fn read(&self, steps: &[Step], offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.length(steps)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from_file = usize::try_from(self.file.len()?.saturating_sub(offset)).unwrap_or(usize::MAX).min(out.len());
        let (existing, beyond) = out.split_at_mut(from_file);
        if !existing.is_empty() {
            self.file.read(offset, existing)?;
        }
        beyond.fill(0);
        for step in steps {
            match step {
                Step::Write { offset: at, bytes } => {
                    let (from, to) = ((*at).max(offset), (*at + bytes.len() as u64).min(end));
                    if from < to {
                        let target = out.get_mut((from - offset) as usize..(to - offset) as usize);
                        let source = bytes.get((from - at) as usize..(to - at) as usize);
                        if let (Some(target), Some(source)) = (target, source) {
                            target.copy_from_slice(source);
                        }
                    }
                }
                // What a shorter file loses is zero when it grows again.
                Step::Length(length) => {
                    let kept = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
                    out.get_mut(kept..).unwrap_or_default().fill(0);
                }
                Step::Sync => {}
            }
        }
        Ok(())
    }
}

impl StorageBackend for HeldBackend {
    fn len(&self) -> io::Result<u64> {
        self.0.run(StorageBackend::len, |steps| self.0.length(steps))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.released.load(Ordering::Acquire) {
            return self.0.file.read(offset, out);
        }
        let steps = self.0.steps.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.read(&steps, offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.run(
            |file| file.set_len(length),
            |steps| {
                steps.push(Step::Length(length));
                Ok(())
            },
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.run(StorageBackend::sync_data, |steps| {
            steps.push(Step::Sync);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.run(
            |file| file.write(offset, data),
            |steps| {
                let held: usize = steps.iter().map(Step::bytes).sum();
                if held + data.len() > HELD_BYTES_MAX {
                    return Err(io::Error::other("opening the file needs more memory than is allowed for it"));
                }
                steps.push(Step::Write { offset, bytes: data.into() });
                Ok(())
            },
        )
    }

    fn close(&self) -> io::Result<()> {
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}

impl Step {
    fn bytes(&self) -> usize {
        match self {
            Self::Write { bytes, .. } => bytes.len(),
            Self::Length(_) | Self::Sync => 0,
        }
    }
}

/// Bytes of writes held while a file is opened. An opening writes its header and the allocator's state: kilobytes.
const HELD_BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;

    #[derive(Debug, Clone)]
    enum Action {
        Write(u64, Vec<u8>),
        Length(u64),
        Sync,
        Read(u64, usize),
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            (0_u64..96, prop::collection::vec(any::<u8>(), 1..24)).prop_map(|(at, bytes)| Action::Write(at, bytes)),
            (0_u64..128).prop_map(Action::Length),
            Just(Action::Sync),
            (0_u64..128, 0_usize..64).prop_map(|(at, length)| Action::Read(at, length)),
        ]
    }

    fn contents(file: &dyn StorageBackend) -> Vec<u8> {
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read(0, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn held_steps_read_like_taken_ones_and_are_taken_on_release(
            start in prop::collection::vec(any::<u8>(), 0..100),
            actions in prop::collection::vec(action(), 0..24),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("file");
            std::fs::write(&path, &start).unwrap();
            let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
            let (held, hold) = hold(Box::new(redb::backends::FileBackend::new(file).unwrap()));
            let plain = InMemoryBackend::new();
            plain.set_len(start.len() as u64).unwrap();
            plain.write(0, &start).unwrap();
            for action in actions {
                match action {
                    // The memory backend does not grow by itself, and redb never relies on it.
                    Action::Write(at, bytes) => {
                        let end = at + bytes.len() as u64;
                        if plain.len().unwrap() < end {
                            plain.set_len(end).unwrap();
                        }
                        plain.write(at, &bytes).unwrap();
                        held.write(at, &bytes).unwrap();
                    }
                    Action::Length(length) => {
                        plain.set_len(length).unwrap();
                        held.set_len(length).unwrap();
                    }
                    Action::Sync => held.sync_data().unwrap(),
                    Action::Read(at, length) => {
                        let mut got = vec![0; length];
                        let read = held.read(at, &mut got);
                        if at + length as u64 <= plain.len().unwrap() {
                            let mut want = vec![0; length];
                            plain.read(at, &mut want).unwrap();
                            read.unwrap();
                            prop_assert_eq!(got, want);
                        } else {
                            prop_assert!(read.is_err());
                        }
                    }
                }
                prop_assert_eq!(held.len().unwrap(), plain.len().unwrap());
            }
            prop_assert_eq!(std::fs::read(&path).unwrap(), start);
            prop_assert_eq!(contents(&held), contents(&plain));
            hold.release().unwrap();
            prop_assert_eq!(std::fs::read(&path).unwrap(), contents(&plain));
            held.set_len(3).unwrap();
            prop_assert_eq!(std::fs::metadata(&path).unwrap().len(), 3);
        }
    }
}
