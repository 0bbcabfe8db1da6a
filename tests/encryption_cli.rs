//! `covenant encryption`: probes against servers that are made here, and reports of postures on a real API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[path = "encryption_cli/files.rs"]
mod files;
#[path = "encryption_cli/probes.rs"]
mod probes;
#[path = "encryption_cli/reports.rs"]
mod reports;
#[path = "encryption_cli/servers.rs"]
mod servers;

use std::process::{Command, Output};

use serde_json::Value;

/// Runs `covenant encryption`.
fn covenant(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covenant"))
        .arg("encryption")
        .args(arguments)
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

/// What was printed, when it exits with this code.
#[track_caller]
fn exits(code: i32, output: &Output) -> String {
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{printed}");
    printed
}

#[track_caller]
fn as_json(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

/// What was said on standard error, when it fails.
#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    let printed = exits(2, output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(printed, "", "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}
