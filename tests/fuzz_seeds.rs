//! Every property that is fuzzed holds for its seeds, for each of their beginnings, and with each byte changed.
//!
//! So the properties stay right, and what the fuzzers once found stays mended, without a nightly toolchain.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::items_after_statements,
    reason = "these are tests and their tools: a panic is a report"
)]

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

macro_rules! properties {
    ($($name:ident at $path:literal),* $(,)?) => {
        $(#[path = $path] mod $name;)*
        const PROPERTIES: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::holds)),*];
    };
}

properties! {
    access_log_template at "../fuzz/properties/access_log_template.rs",
    admin_body at "../fuzz/properties/admin_body.rs",
    chunked at "../fuzz/properties/chunked.rs",
    config at "../fuzz/properties/config.rs",
    decimal at "../fuzz/properties/decimal.rs",
    jwt_token at "../fuzz/properties/jwt_token.rs",
    monoio_http_differential at "../fuzz/properties/monoio_http_differential.rs",
    path at "../fuzz/properties/path.rs",
    public_key at "../fuzz/properties/public_key.rs",
    redis_reply at "../fuzz/properties/redis_reply.rs",
    request_head at "../fuzz/properties/request_head.rs",
    response_head at "../fuzz/properties/response_head.rs",
    vars at "../fuzz/properties/vars.rs",
}

#[test]
fn properties_hold_for_the_seeds_and_their_neighbours() {
    let mut breaches = Vec::new();
    for (name, holds) in PROPERTIES {
        let seeds = entries(&format!("fuzz/seeds/{name}"));
        assert!(seeds.len() >= SEEDS_MIN, "{name} has {} seeds, expected at least {SEEDS_MIN}", seeds.len());
        for seed in seeds {
            let text = fs::read(&seed).expect("a seed can be read");
            for input in neighbours(&text) {
                if catch_unwind(|| holds(&input)).is_err() {
                    breaches.push(format!("{}: {}", seed.display(), input.escape_ascii()));
                    break;
                }
            }
        }
    }
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn every_target_is_replayed() {
    let stems = |folder| -> BTreeSet<String> {
        let files = entries(folder).into_iter();
        files.map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect()
    };
    let replayed: BTreeSet<String> = PROPERTIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    for folder in ["fuzz/fuzz_targets", "fuzz/properties", "fuzz/seeds"] {
        assert_eq!(stems(folder), replayed, "{folder}");
    }
}

fn neighbours(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let beginnings = (0..=text.len()).rev().map(|end| text[..end].to_vec());
    let changed = (0..text.len()).flat_map(move |at| {
        CHANGES.iter().map(move |byte| {
            let mut changed = text.to_vec();
            changed[at] = *byte;
            changed
        })
    });
    beginnings.chain(changed)
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("the folder exists").map(|entry| entry.expect("it can be read").path()).collect();
    entries.sort();
    entries
}

const SEEDS_MIN: usize = 3;
/// Bytes that mean something to one parser or another.
const CHANGES: &[u8] = b"\0\t\n\r \"#%./:;A\\\xff";
