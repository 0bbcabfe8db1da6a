//! Stories about holds with the operator running: what closes, what is cut off, what ends, what comes back, and when a hold
//! may be said to be enforced. What the API server refuses by itself is told in `holds.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(
    dead_code,
    reason = "shared with the stories about grants, which use more of it"
)]
#[path = "stories/stage.rs"]
mod stage;

#[path = "hold_stories/case.rs"]
mod case;
#[path = "hold_stories/faults.rs"]
mod faults;
#[path = "hold_stories/life.rs"]
mod life;
#[path = "hold_stories/proof.rs"]
mod proof;
#[path = "hold_stories/workloads.rs"]
mod workloads;
