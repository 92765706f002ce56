//! House rules that lints cannot say: who may name whom, where `unsafe` lives, how long files and functions may be,
//! and that documents cite files that exist.
//!
//! Each test lists every breach, as `file:line: what`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "these are tests and their tools: a panic is a report"
)]

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_folder_of_src_is_on_a_side() {
    let breaches = folders_of_src()
        .into_iter()
        .filter(|name| ![DATA_SIDE, CONTROL_SIDE, UNDER_BOTH].concat().contains(&name.as_str()))
        .map(|name| format!("src/{name}: name its side in tests/tidy.rs"))
        .collect::<Vec<_>>();
    report(&breaches);
}

#[test]
fn the_data_side_knows_nothing_of_the_control_side() {
    let mut breaches = Vec::new();
    for file in files(&["src"], &["rs"]).iter().filter(|file| on_side(file, DATA_SIDE)) {
        let code = code(&read(file));
        for (line, word) in words(&code) {
            if matches!(word, "tokio" | "axum") {
                breaches.push(format!("{}:{line}: `{word}` belongs to the control side", shown(file)));
            }
        }
        for (line, module) in crate_modules(&code) {
            if HIDDEN_FROM_DATA_SIDE.contains(&module.as_str()) {
                breaches.push(format!("{}:{line}: `crate::{module}` belongs to the control side", shown(file)));
            }
        }
    }
    report(&breaches);
}

#[test]
fn the_control_side_leaves_the_rings_to_the_workers() {
    let mut breaches = Vec::new();
    for file in files(&["src"], &["rs"]).iter().filter(|file| on_side(file, CONTROL_SIDE)) {
        // The built-in echo upstream is a data path of its own, started from the command line.
        if shown(file).starts_with("src/cli/echo") {
            continue;
        }
        for (line, word) in words(&code(&read(file))) {
            if word == "monoio" || word.starts_with("monoio_") {
                breaches.push(format!("{}:{line}: `{word}` belongs to the data side", shown(file)));
            }
        }
    }
    report(&breaches);
}

#[test]
fn unsafe_lives_in_base() {
    let mut breaches = Vec::new();
    for file in files(&["src", "tests", "benches", "fuzz/fuzz_targets", "fuzz/properties"], &["rs"]) {
        // An allocator that counts, to show that a path does not allocate, implements an unsafe trait.
        if shown(&file).starts_with("src/base/") || shown(&file).ends_with("allocations.rs") {
            continue;
        }
        for (line, word) in words(&code(&read(&file))) {
            if word == concat!("un", "safe") {
                breaches.push(format!("{}:{line}: {word} code belongs to src/base", shown(&file)));
            }
        }
    }
    report(&breaches);
}

#[test]
fn nothing_is_left_for_later() {
    let markers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];
    let mut breaches = Vec::new();
    for file in files(&["."], &["rs", "md", "toml", "py", "sh", ""]) {
        for (line, word) in words(&read(&file)) {
            if markers.contains(&word) {
                breaches.push(format!("{}:{line}: {word}", shown(&file)));
            }
        }
    }
    report(&breaches);
}

#[test]
fn files_and_functions_fit_a_reader() {
    let mut breaches = Vec::new();
    for file in files(&["src"], &["rs"]) {
        let text = read(&file);
        let lines = text.lines().count();
        let name = shown(&file);
        if lines > FILE_LINES_MAX && !LONG_FILES.iter().any(|(known, _)| *known == name) {
            breaches.push(format!("{name}: {lines} lines, split it by idea or state of the message"));
        }
        for (line, function, length) in functions(before_tests(&file, &text)) {
            let known = LONG_FUNCTIONS.iter().any(|(file, known, _)| *file == name && *known == function);
            if length > FUNCTION_LINES_MAX && !known {
                breaches.push(format!("{name}:{line}: `{function}` has {length} lines"));
            }
        }
    }
    report(&breaches);
}

#[test]
fn lines_fit_a_screen() {
    let mut breaches = Vec::new();
    for file in files(
        &["src", "tests", "benches", "fuzz/fuzz_targets", "fuzz/properties", "scripts", ".ci"],
        &["rs", "py", "sh", ""],
    ) {
        let text = read(&file);
        for (index, line) in before_tests(&file, &text).lines().enumerate() {
            // A key or token cannot be broken.
            let unbreakable = line.split_whitespace().any(|word| word.len() > LINE_CHARS_MAX - 40);
            if line.chars().count() > LINE_CHARS_MAX && !unbreakable {
                breaches.push(format!("{}:{}: {} characters", shown(&file), index + 1, line.chars().count()));
            }
        }
    }
    report(&breaches);
}

#[test]
fn documents_cite_files_that_exist() {
    let mut breaches = Vec::new();
    for file in files(&["."], &["md"]) {
        for (index, line) in read(&file).lines().enumerate() {
            for path in cited_paths(line).filter(|path| !root().join(path).exists()) {
                breaches.push(format!("{}:{}: there is no {path}", shown(&file), index + 1));
            }
        }
    }
    report(&breaches);
}

/// The rules' own eyes: what they must see, and what they must not mistake.
#[test]
fn the_rules_can_see() {
    let code = code(
        "use crate::{\n    base::{clock, map}, store,\n};\n// crate::admin\nlet x = crate::config::Config; // tokio\n",
    );
    let modules: Vec<_> = crate_modules(&code).into_iter().map(|(line, module)| format!("{line} {module}")).collect();
    assert_eq!(modules, ["1 base", "1 store", "5 config"]);
    assert!(!words(&code).any(|(_, word)| word == "tokio"));
    assert!(words("use monoio_http::h1;").any(|(_, word)| word == "monoio_http"));
    let cited: Vec<_> = cited_paths("See `src/lib.rs`, `src/log/`, src/**, a/src/x.rs and (tests/tidy.rs).").collect();
    assert_eq!(cited, ["src/lib.rs", "src/log", "tests/tidy.rs"]);
    let source =
        "impl A {\n    pub fn one() {\n        body\n    }\n\n    fn two(\n        a: u8,\n    ) {\n    }\n}\n";
    let found: Vec<_> = functions(source).into_iter().map(|(_, name, length)| (name, length)).collect();
    assert_eq!(found, [("one".to_owned(), 3), ("two".to_owned(), 4)]);
}

/// Fails with every breach on a line of its own.
fn report(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folders` with one of the `extensions` (the empty one for none), in order.
fn files(folders: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !NOT_OURS.iter().any(|skipped| path == root().join(skipped)) {
                    open.push(path);
                }
            } else if extensions.contains(&&*extension) && !NOT_OURS.iter().any(|name| path == root().join(name)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The text of a file; empty when it is not text.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn folders_of_src() -> Vec<String> {
    let entries = fs::read_dir(root().join("src")).expect("src can be read").flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn on_side(file: &Path, side: &[&str]) -> bool {
    side.iter().any(|folder| file.starts_with(root().join("src").join(folder)))
}

/// Rust without its line comments. A `//` inside a string also cuts the line: that hides no path of a module.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// Runs of letters, digits and `_`, each with its line number.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        let parts = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        parts.filter(|word| !word.is_empty()).map(move |word| (index + 1, word))
    })
}

/// The first segment of every path behind `crate::`, also of each path in `crate::{…}`.
fn crate_modules(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let path = &code[at + start.len()..];
        let group = path.strip_prefix('{').map(outermost);
        let paths = group.as_deref().map_or_else(|| vec![path], |group| group.split(',').collect());
        found.extend(paths.into_iter().filter_map(|path| words(path).next()).map(|(_, word)| (line, word.to_owned())));
    }
    found
}

/// The text up to the brace that closes, without what stands in further braces.
fn outermost(group: &str) -> String {
    let mut depth = 0;
    let mut text = String::new();
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ if depth == 0 => text.push(letter),
            _ => {}
        }
    }
    text
}

/// What stands before a file's unit tests: nothing in a file of tests. Tables of cases may be as long as they need,
/// and a wire text is compared most easily in one piece.
fn before_tests<'a>(file: &Path, text: &'a str) -> &'a str {
    if file.starts_with(root().join("src")) && shown(file).contains("/tests") {
        return "";
    }
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// Functions by line, name and length. Relies on rustfmt: a body ends at the first brace in its `fn`'s column.
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let is_head = line.trim_start().split("fn ").next().is_some_and(|before| {
            before.len() < line.trim_start().len() && before.split_whitespace().all(|word| BEFORE_FN.contains(&word))
        });
        if !is_head || line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        let name = words(line.split("fn ").nth(1).unwrap_or_default()).next().map_or("", |(_, word)| word);
        let end = " ".repeat(indent) + "}";
        if let Some(length) = lines[index..].iter().position(|line| *line == end) {
            found.push((index + 1, name.to_owned(), length + 1));
        }
    }
    found
}

/// Paths of this repository that a line of a document cites.
fn cited_paths(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |letter: char| letter.is_alphanumeric() || "/._-*{}".contains(letter);
    line.split(move |letter| !is_path(letter))
        .filter(|path| CITED_FOLDERS.iter().any(|folder| path.starts_with(folder)))
        .filter(|path| !path.contains(['*', '{', '}']))
        .map(|path| path.trim_end_matches(['.', '/']))
}

/// One of each per core.
const DATA_SIDE: &[&str] = &[
    "auth", "http", "limit", "listener", "log", "metrics", "net", "plugin", "proxy", "redis", "route", "upstream",
    "vars", "worker",
];
/// One thread for all.
const CONTROL_SIDE: &[&str] =
    &["admin", "cli", "config", "control", "dns", "resource", "secret", "snapshot", "status", "store"];
/// Used by both sides, naming neither.
const UNDER_BOTH: &[&str] = &["base", "schema"];
/// Modules that hold what only the control side may know.
const HIDDEN_FROM_DATA_SIDE: &[&str] =
    &["admin", "cli", "config", "control", "dns", "resource", "secret", "status", "store"];
/// Folders whose mention in a document is checked.
const CITED_FOLDERS: &[&str] = &["src/", "tests/", "benches/", "scripts/", "fuzz/"];
/// What is fetched, built or written at run time, and the licence's text.
const NOT_OURS: &[&str] = &[
    ".git",
    "target",
    "conf",
    "data",
    "logs",
    "LICENSE",
    "fuzz/target",
    "fuzz/artifacts",
    "fuzz/seeds",
    "fuzz/corpus-work",
];
const BEFORE_FN: &[&str] =
    &["pub", "pub(crate)", "pub(super)", "const", "async", concat!("un", "safe"), "extern", "\"C\""];
const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 100;
const LINE_CHARS_MAX: usize = 140;
/// Files over [`FILE_LINES_MAX`], each with the reason why it stays whole.
const LONG_FILES: &[(&str, &str)] = &[];
/// Functions over [`FUNCTION_LINES_MAX`] (file, name, reason).
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];
