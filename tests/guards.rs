//! What the API server refuses, with no operator running: who tries what, as whom, and what goes on as before.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "guards/enrolment.rs"]
mod enrolment;
#[path = "guards/kinds.rs"]
mod kinds;
#[path = "guards/network.rs"]
mod network;
#[path = "guards/pods.rs"]
mod pods;
#[path = "guards/privileged.rs"]
mod privileged;
#[path = "guards/publishing.rs"]
mod publishing;
#[path = "guards/stage.rs"]
mod stage;
#[path = "guards/stages.rs"]
mod stages;
#[path = "guards/timers.rs"]
mod timers;
