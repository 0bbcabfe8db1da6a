//! What a ledger says, by the command that people read it with.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Every entry of a ledger, as CloudEvents.
pub fn entries(ledger: &Path) -> Vec<Value> {
    let listed = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args(["ledger", "list", "-o", "json", "--dir"])
        .arg(ledger)
        .output()
        .unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let lines = String::from_utf8(listed.stdout).unwrap();
    // The first line is the head.
    let items = lines.lines().skip(1);
    let event = |line: &str| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
    items.map(event).collect()
}
