//! Ways round the guards that were found, and that stay closed: who must pass passes, whatever the way.
//!
//! No operator runs here. One cluster serves every test; each has namespaces of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "guards_bypasses/enrolment.rs"]
mod enrolment;
#[path = "guards_bypasses/kinds.rs"]
mod kinds;
#[path = "guards_bypasses/network.rs"]
mod network;
#[path = "guards_bypasses/pods.rs"]
mod pods;
#[path = "guards_bypasses/stage.rs"]
mod stage;
#[path = "guards_bypasses/timers.rs"]
mod timers;
