//! The README's commands, run as they stand there but for ports and the program's path.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use support::gateway::Gateway;
use support::program;

/// Kills the origin when the test ends, however it does.
struct Origin(Child);

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The shell blocks in order.
fn blocks(text: &str) -> Vec<String> {
    text.split("```shell\n").skip(1).filter_map(|rest| rest.split("```").next()).map(ToOwned::to_owned).collect()
}

#[test]
fn the_commands_do_what_the_text_says() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = blocks(&readme);
    let [start, tests, echo, calls @ ..] = blocks.as_slice() else { panic!("too few blocks: {blocks:?}") };
    assert_eq!(start, "cargo run --release\n", "the gateway below stands for it");
    assert_eq!(tests, "scripts/test\n", "this test is part of it");
    assert!(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/test")).exists());

    let gateway = Gateway::start();
    let echo = echo.replace("127.0.0.1:8080", "127.0.0.1:0");
    let arguments: Vec<&str> = echo.split_whitespace().skip(1).collect();
    assert!(echo.starts_with("target/release/ringgate echo "), "{echo}");
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_ringgate")).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _origin = Origin(child);
    let origin = line.trim().rsplit("http://").next().unwrap();

    let script = calls
        .concat()
        .replace("127.0.0.1:9180", &gateway.admin_address().to_string())
        .replace("127.0.0.1:9080", &gateway.data().to_string())
        .replace("127.0.0.1:8080", origin)
        .replace("target/release/ringgate", env!("CARGO_BIN_EXE_ringgate"));
    let mut bash = Command::new("bash");
    let ended = program::run(bash.args(["-eu", "-c", &script]).current_dir(gateway.directory()), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for expected in [
        "\"key\":\"/apisix/consumers/jack\"",
        "\"key\":\"/apisix/consumers/jack/credentials/cred-jack\"",
        "\"key\":\"/apisix/routes/headers\"",
        "HTTP/1.1 200 OK",
        "\"X-Consumer-Username\": \"jack\"",
        "\"X-Credential-Identifier\": \"cred-jack\"",
        "HTTP/1.1 401 Unauthorized",
        "{\"message\":\"Missing JWT token in request\"}",
        "failed to verify jwt",
        "\"key\":\"/apisix/routes/sign\"",
        "\neyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoicmVhZGVyIiwia2V5IjoiamFjay1rZXkiLCJleHAi",
    ] {
        assert!(ended.stdout.contains(expected), "{expected} in {}\n{}", ended.stdout, ended.stderr);
    }
}
