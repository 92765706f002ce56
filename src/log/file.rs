//! The access log's file: appended to, reopened after rotation, never fatal.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// The last write failed. Kept so that only changes are reported.
    failing: bool,
    /// The last write ended inside a line; the next one starts with a line feed, so that only that line is lost.
    torn: bool,
}

impl LogFile {
    /// Opens `path` for appending; creates it, and directories above it, as needed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, failing: false, torn: false })
    }

    /// Opens the path anew, after the file was moved away. If that fails the old file stays in use.
    pub(super) fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
                tracing::info!(path = %self.path.display(), "access log reopened");
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), "access log not reopened, the old file stays: {error}");
            }
        }
    }

    /// Appends whole lines; `false` if not all of them were written. Reports the first failure and the recovery.
    pub(super) fn append(&mut self, lines: &[u8]) -> bool {
        let result = self.write(lines);
        let path = self.path.display();
        match &result {
            Err(error) if !self.failing => {
                tracing::error!(%path, "access log cannot be written, lines are lost: {error}");
            }
            Ok(()) if self.failing => tracing::warn!(%path, "access log is written again"),
            _ => {}
        }
        self.failing = result.is_err();
        result.is_ok()
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    let (done, left) = rest.split_at_checked(written).unwrap_or((rest, &[]));
                    self.torn = !done.ends_with(b"\n");
                    rest = left;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    }
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

/// Lines hold addresses and query strings: not for everyone on the machine.
const FILE_MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn appends_to_what_is_there_and_keeps_it_from_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logs/access.log");
        assert!(LogFile::open(&path).unwrap().append(b"one\n"));
        assert!(LogFile::open(&path).unwrap().append(b"two\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
    }

    #[test]
    fn rotation_moves_the_old_lines_and_starts_a_new_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"one\n");
        fs::rename(&path, &old).unwrap();
        log.append(b"two\n");
        log.reopen();
        log.append(b"three\n");
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_full_disk_is_survived_and_left_by_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        symlink("/dev/full", &path).unwrap();
        let mut log = LogFile::open(&path).unwrap();
        assert!(!log.append(b"one\n"));
        assert!(!log.append(b"two\n"));
        fs::remove_file(&path).unwrap();
        log.reopen();
        assert!(log.append(b"three\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_line_cut_short_does_not_swallow_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"cut sh");
        log.append(b"whole\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "cut sh\nwhole\n");
    }

    #[test]
    fn a_path_that_cannot_be_opened_is_an_error_at_start() {
        let directory = tempfile::tempdir().unwrap();
        assert!(LogFile::open(directory.path()).is_err());
    }
}
