//! The hosts file, read again whenever it changes.

use crate::base::map::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A view of the hosts file that is as new as the last look-up.
#[derive(Debug)]
pub(super) struct Hosts {
    path: PathBuf,
    /// Of the file as it was read; `None` when there is no file.
    stamp: Option<Stamp>,
    names: HashMap<Box<str>, Vec<IpAddr>>,
}

/// Device, inode, length, and time of the last change in nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Hosts {
    /// The file at `path`, which is read at the first look-up.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), stamp: None, names: HashMap::default() }
    }

    /// The addresses of `name` (lower case), one `stat` per call; IPv6 ones only if it has no other. Empty when the
    /// file does not have the name.
    pub(super) fn addresses(&mut self, name: &str) -> Vec<IpAddr> {
        self.refresh();
        let all = self.names.get(name.strip_suffix('.').unwrap_or(name)).map_or(&[][..], |all| all);
        let has_v4 = all.iter().any(IpAddr::is_ipv4);
        all.iter().copied().filter(|address| address.is_ipv4() == has_v4).collect()
    }

    fn refresh(&mut self) {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .map(|meta| (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()));
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        let mut bytes = Vec::new();
        let read = File::open(&self.path).and_then(|file| file.take(HOSTS_BYTES_MAX).read_to_end(&mut bytes));
        if let Err(error) = read {
            tracing::warn!(path = %self.path.display(), %error, "hosts file cannot be read");
        }
        self.names = parse(&String::from_utf8_lossy(&bytes));
    }
}

/// `address name name… # comment`; lines that are not so are skipped.
fn parse(text: &str) -> HashMap<Box<str>, Vec<IpAddr>> {
    let mut names: HashMap<Box<str>, Vec<IpAddr>> = HashMap::default();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        for name in words {
            let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
            names.entry(name.into()).or_default().push(address);
        }
    }
    names
}

/// Bytes of a hosts file that are read; what is beyond is not seen.
const HOSTS_BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_edits_are_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hosts");
        let mut hosts = Hosts::new(&path);
        assert!(hosts.addresses("a").is_empty(), "no file, no names");
        let text =
            "\u{feff}127.0.0.1 Local.Test a # b\n::1 a six\n# 1.1.1.1 c\nnonsense d\n10.0.0.1\ta\n1.2.3.4 dot.\n";
        std::fs::write(&path, text).unwrap();
        let cases: [(&str, &[&str]); 8] = [
            ("a", &["127.0.0.1", "10.0.0.1"]),
            ("local.test", &["127.0.0.1"]),
            ("local.test.", &["127.0.0.1"]),
            ("six", &["::1"]),
            ("dot", &["1.2.3.4"]),
            ("b", &[]),
            ("c", &[]),
            ("d", &[]),
        ];
        for (name, want) in cases {
            let want: Vec<IpAddr> = want.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(hosts.addresses(name), want, "{name}");
        }
        std::fs::write(&path, "10.0.0.2 a\n").unwrap();
        assert_eq!(hosts.addresses("a"), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        assert!(hosts.addresses("a").is_empty());
    }
}
