//! Replaces a file as a whole: a reader sees the old text or the new one, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Writes `text` to `path` by way of a temporary file beside it, flushed to disk and renamed.
///
/// A new file gets mode 0600; one that exists keeps its mode, and a symbolic link keeps pointing to what it names.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mode = fs::metadata(&path).map_or(NEW_FILE_MODE, |metadata| metadata.permissions().mode() & 0o7777);
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    // Random, not the process id: in a container that is always the same, and a crash must not block the next start.
    name.push(format!(".{}.tmp", super::key::generate().unwrap_or_default()));
    let temporary = directory.join(name);
    let written = fill(&temporary, text, mode).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        // The first failure is the one to report.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    File::open(directory)?.sync_all()
}

/// [`write`] for a file that must not be there yet: one that is, is left alone ([`io::ErrorKind::AlreadyExists`]).
pub(crate) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", super::key::generate().unwrap_or_default()));
    let temporary = directory.join(name);
    // A link, unlike a rename, does not replace; some file systems have none.
    let linked = fill(&temporary, text, NEW_FILE_MODE).and_then(|()| match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => fs::rename(&temporary, path),
        linked => linked,
    });
    let _ = fs::remove_file(&temporary);
    linked?;
    File::open(directory)?.sync_all()
}

fn fill(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(NEW_FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// The file holds admin keys.
const NEW_FILE_MODE: u32 = 0o600;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn new_files_are_private_and_old_ones_keep_their_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        write(&path, "one").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("one", 0o600));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, "two").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("two", 0o644));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "one").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, "two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&target).unwrap(), "two");
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        assert!(write(&directory.path().join("none").join("a.yaml"), "x").is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
