//! Disposal with the process killed at every write to the API server and at every step of the ledger's disk, and the operator on
//! a disk that is full, torn, or cannot sync. Nothing is deleted without an intent; afterwards every delete has its outcome and
//! the ledger verifies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects, and reads its switches from the environment"
)]

#[allow(
    dead_code,
    reason = "shared with the stories about grants, which use more of it"
)]
#[path = "stories/stage.rs"]
mod stage;

#[allow(dead_code, reason = "shared with the stories about retention")]
#[path = "retention_stories/case.rs"]
mod case;
#[path = "retention_faults/counted.rs"]
mod counted;
#[path = "retention_faults/disk.rs"]
mod disk;
#[path = "retention_faults/killed.rs"]
mod killed;
