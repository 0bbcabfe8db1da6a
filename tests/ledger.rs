//! The ledger: what it writes, what it takes up again, what it refuses, and what `verify` finds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "ledger/corruption.rs"]
mod corruption;
#[path = "ledger/directory.rs"]
mod directory;
#[path = "ledger/entries.rs"]
mod entries;
#[path = "ledger/faults.rs"]
mod faults;
#[path = "ledger/intents.rs"]
mod intents;
#[path = "ledger/keys.rs"]
mod keys;
#[path = "ledger/memory.rs"]
mod memory;
#[path = "ledger/recovery.rs"]
mod recovery;
#[path = "ledger/size.rs"]
mod size;
#[path = "ledger/stage.rs"]
mod stage;
#[path = "ledger/tampering.rs"]
mod tampering;
