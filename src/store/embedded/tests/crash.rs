//! Killed while it writes: what was acknowledged is there, whole, and nothing is half there.

use super::*;
use crate::store::Op;
use proptest::strategy::ValueTree;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};

/// Set to a data directory in the process that is to be killed.
const VICTIM: &str = "RINGGATE_TEST_STORE_VICTIM";

/// Every write: two keys of its own and one that all share, so half a write would show.
fn write(number: u64) -> Write {
    let value = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(number as usize % 900));
    vec![
        put(&format!("/a/{number}"), &value),
        put("/newest", &number.to_string()),
        put(&format!("/b/{number}"), &value),
    ]
}

/// Not a test by itself: the process that [`acknowledged_writes_survive_a_kill`] starts and kills.
#[test]
fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let store = EmbeddedStore::open(Path::new(&dir)).unwrap();
    for round in 0_u64.. {
        let next = store.revision() + 1;
        let writes: Vec<_> = (next..next + 1 + round % 5).map(write).collect();
        store.commit(&writes).unwrap();
        writeln!(std::io::stdout().lock(), "acknowledged {}", store.revision()).unwrap();
    }
}

#[test]
fn acknowledged_writes_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut runner = proptest::test_runner::TestRunner::default();
    let mut revision = 0;
    for round in 0..8 {
        let moment = (1_u64..30, 0_u64..3_000).new_tree(&mut runner).unwrap().current();
        let acknowledged = kill_after(dir.path(), moment).unwrap_or(revision);
        let store = EmbeddedStore::open(dir.path()).unwrap();
        assert!(store.revision() >= acknowledged, "round {round}: {} < {acknowledged}", store.revision());
        assert!(store.revision() <= acknowledged.max(revision) + 5, "round {round}: only one group was on its way");
        revision = store.revision();
        let items = store.range("", None, usize::MAX).unwrap();
        assert_eq!(items.len() as u64, 2 * revision + u64::from(revision > 0), "round {round}");
        for number in 1..=revision {
            for op in write(number) {
                let Op::Put { key, value, .. } = op else { unreachable!() };
                let item = store.get(&key).unwrap().unwrap();
                if &*key == "/newest" {
                    assert_eq!((&*item.value, item.mod_revision), (revision.to_string().as_str(), revision));
                } else {
                    assert_eq!((item.value, item.create_revision, item.mod_revision), (value, number, number));
                }
            }
        }
    }
    assert!(revision > 8, "the victims wrote");
}

/// Starts a victim, lets it acknowledge `groups` groups, and kills it `delay_us` later. Its last acknowledgement.
fn kill_after(dir: &Path, (groups, delay_us): (u64, u64)) -> Option<u64> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::embedded::tests::crash::victim", "--nocapture", "--test-threads=1"])
        .env(VICTIM, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let mut last = None;
    for line in lines.map_while(Result::ok) {
        let Some((_, number)) = line.split_once("acknowledged ") else { continue };
        last = Some(number.parse().unwrap());
        seen += 1;
        if seen == groups {
            // The moment of the kill within the next commit; nothing waits for it.
            std::thread::sleep(std::time::Duration::from_micros(delay_us));
            victim.kill().unwrap();
        }
    }
    assert!(!victim.wait().unwrap().success());
    last
}
