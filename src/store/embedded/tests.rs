//! The file: what is created, what is refused and left alone, what survives.

mod crash;
mod faults;

use super::open::{FORMAT, VERSION};
use super::*;
use crate::store::tests::put;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

/// The byte of redb's head that says which of its two commit slots counts. It has no checksum and cannot have one:
/// between the phases of a commit both values are right.
const NEWEST_SLOT_OFFSET: usize = 9;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// A store of `writes` writes, as bytes: closed in order, or as a killed process leaves it.
fn store_bytes(writes: u64, closed: bool) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for number in 0..writes {
        store.commit(&[vec![put(&format!("/k/{number}"), &number.to_string().repeat(50))]]).unwrap();
    }
    let path = store.path().to_owned();
    let store = (!closed).then_some(store);
    let bytes = std::fs::read(path).unwrap();
    drop(store);
    bytes
}

fn open_bytes(bytes: &[u8]) -> (Result<EmbeddedStore, StoreError>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, bytes).unwrap();
    let opened = EmbeddedStore::open(dir.path());
    let after = std::fs::read(&path).unwrap();
    (opened, after)
}

/// A redb file that some program filled.
fn redb_file(fill: impl Fn(&redb::WriteTransaction)) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.redb");
    let database = Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    fill(&write);
    write.commit().unwrap();
    drop(database);
    std::fs::read(path).unwrap()
}

fn ours(format: u64, version: u64) -> Vec<u8> {
    redb_file(|write| {
        write.open_table(OBJECTS).unwrap();
        let mut meta = write.open_table(META).unwrap();
        for (name, number) in [("format", format), ("version", version), ("revision", 0)] {
            meta.insert(name, number).unwrap();
        }
    })
}

#[test]
fn directory_and_file_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("a/b");
    let store = EmbeddedStore::open(&data_dir).unwrap();
    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(mode(store.path()), 0o600);
}

#[test]
fn an_empty_file_and_an_unfinished_creation_become_a_new_store() {
    for name in [FILE_NAME, "ringgate.redb.new"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), if name == FILE_NAME { "" } else { "half" }).unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        assert_eq!(store.revision(), 0, "{name}");
        store.commit(&[vec![put("/a", "1")]]).unwrap();
        drop(store);
        assert_eq!(EmbeddedStore::open(dir.path()).unwrap().revision(), 1, "{name}");
    }
}

#[test]
fn a_directory_is_used_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert!(matches!(EmbeddedStore::open(dir.path()), Err(StoreError::Locked { .. })));
    drop(store);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[test]
fn a_file_that_another_program_holds_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(dir.path()).unwrap());
    let other = Database::open(dir.path().join(FILE_NAME)).unwrap();
    assert!(matches!(EmbeddedStore::open(dir.path()), Err(StoreError::Locked { .. })));
    drop(other);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[test]
fn what_is_not_ours_is_refused_with_a_reason_and_left_alone() {
    let good = store_bytes(40, true);
    let strange_table = TableDefinition::<u64, u64>::new("meta");
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("text", b"routes:\n  - id: 1\n".to_vec(), "not a ringgate store"),
        ("one byte", vec![0], "not a ringgate store"),
        ("zeros", vec![0; 70_000], "not a ringgate store"),
        ("half", good[..good.len() / 2].to_vec(), ""),
        ("header only", good[..64].to_vec(), ""),
        ("redb without our tables", redb_file(|_| {}), "of another program"),
        (
            "redb with another meta table",
            redb_file(|write| drop(write.open_table(strange_table).unwrap().insert(1, 1).map(drop))),
            "of another program",
        ),
        ("another marker", ours(FORMAT + 1, VERSION), "format marker"),
        ("a newer version", ours(FORMAT, VERSION + 1), "format version 2, expected 1"),
    ];
    for (name, bytes, reason) in cases {
        let (opened, after) = open_bytes(&bytes);
        let Err(StoreError::Unusable { path, reason: found }) = opened else { panic!("{name}: {opened:?}") };
        assert!(path.ends_with(FILE_NAME), "{name}: {path}");
        assert!(found.contains(reason), "{name}: {found}");
        assert!(after == bytes, "{name}: the file changed");
    }
    assert!(open_bytes(&ours(FORMAT, VERSION)).0.is_ok(), "the cases' own maker is right");
}

#[test]
fn a_directory_in_the_files_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(FILE_NAME)).unwrap();
    assert!(matches!(EmbeddedStore::open(dir.path()), Err(StoreError::Unusable { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damage_is_refused_untouched_or_has_hit_nothing_that_counts(
        place in any::<prop::sample::Index>(),
        in_head in any::<bool>(),
        killed in any::<bool>(),
        flip in 1_u8..,
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        static CLOSED: LazyLock<Vec<u8>> = LazyLock::new(|| store_bytes(60, true));
        static KILLED: LazyLock<Vec<u8>> = LazyLock::new(|| store_bytes(60, false));
        let mut bytes = if killed { KILLED.clone() } else { CLOSED.clone() };
        let reach = if in_head { 512 } else { bytes.len() };
        let place = place.index(reach);
        prop_assume!(place != NEWEST_SLOT_OFFSET);
        bytes[place] ^= flip;
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()).max(1));
        }
        let (opened, after) = open_bytes(&bytes);
        match opened {
            Err(StoreError::Unusable { .. }) => prop_assert!(after == bytes, "the file changed"),
            Err(error) => prop_assert!(false, "{error:?}"),
            Ok(store) => {
                prop_assert_eq!(store.revision(), 60);
                let items = store.range("", None, usize::MAX).unwrap();
                prop_assert_eq!(items.len(), 60);
                for item in items {
                    let number = item.key.strip_prefix("/k/").unwrap();
                    prop_assert!(*item.value == *number.repeat(50), "{}", item.key);
                }
            }
        }
    }
}
