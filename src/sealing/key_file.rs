//! The keys of the authenticated format: one file, mode 0600, one key per line, the newest first.

use super::Key;
use crate::config::atomic;
use std::fmt::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};
use zeroize::Zeroizing;

/// The file's keys.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    /// Newest first; at least one.
    keys: Vec<Key>,
}

/// Why there are no keys. The text names the file and never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The disk refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A line is no key.
    #[error("{}: line {line}: expected a key, the base64 of 32 bytes", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// There is no key in it.
    #[error("{}: expected at least one key, the base64 of 32 bytes on a line, found none", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no random bytes.
    #[error("{}: no random bytes to make a key from", path.display())]
    Random {
        /// The file.
        path: PathBuf,
    },
}

impl KeyFile {
    /// Reads the file at `path`; `None` when there is none. Others who may read it are warned of.
    pub fn read(path: &Path) -> Result<Option<Self>, KeyFileError> {
        let failed = |error| KeyFileError::Io { path: path.to_owned(), error };
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            tracing::warn!("{path}: other users may use this file: expected mode 0600, found {mode:04o}");
        }
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let malformed = || KeyFileError::Malformed { path: path.to_owned(), line: index + 1 };
                keys.push(Key::parse(line).ok_or_else(malformed)?);
            }
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty { path: path.to_owned() });
        }
        Ok(Some(Self { path: path.to_owned(), keys }))
    }

    /// Makes the file at `path` with a new key, durable when this returns. Where there is one meanwhile, reads that.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        let failed = |error| KeyFileError::Io { path: path.to_owned(), error };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let key = Key::generate().ok_or_else(|| KeyFileError::Random { path: path.to_owned() })?;
        let made = Self { path: path.to_owned(), keys: vec![key] };
        match atomic::write_new(path, &made.text()) {
            Ok(()) => Ok(made),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::read(path)?.ok_or_else(|| failed(error))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts a new key before the others, durable when this returns.
    pub fn add(&mut self) -> Result<(), KeyFileError> {
        let key = Key::generate().ok_or_else(|| KeyFileError::Random { path: self.path.clone() })?;
        self.keys.insert(0, key);
        self.write()
    }

    /// Forgets all but the newest key; how many went.
    pub fn drop_old(&mut self) -> Result<usize, KeyFileError> {
        let old = self.keys.len().saturating_sub(1);
        if old > 0 {
            self.keys.truncate(1);
            self.write()?;
        }
        Ok(old)
    }

    /// Its keys, newest first.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&self) -> Result<(), KeyFileError> {
        let failed = |error| KeyFileError::Io { path: self.path.clone(), error };
        atomic::write(&self.path, &self.text()).map_err(failed)?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600)).map_err(failed)
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(HEADING.to_owned());
        for key in &self.keys {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", &*key.to_text());
        }
        text
    }
}

const HEADING: &str = "\
# Keys that seal the secrets in ringgate's store, the newest first. Without them the store's secrets are lost:
# keep a copy of this file, and not beside copies of the store.
";
