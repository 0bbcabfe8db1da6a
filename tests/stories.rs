//! Stories on a real API server: what opens a path, everything that closes it, and those who try to keep it.
//!
//! The operator runs with exactly the rights that the chart gives it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "stories/stage.rs"]
mod stage;

#[path = "stories/closing.rs"]
mod closing;
#[path = "stories/crowd.rs"]
mod crowd;
#[path = "stories/dead.rs"]
mod dead;
#[path = "stories/faults.rs"]
mod faults;
#[path = "stories/input.rs"]
mod input;
#[path = "stories/neighbours.rs"]
mod neighbours;
#[path = "stories/observing.rs"]
mod observing;
#[path = "stories/obstacles.rs"]
mod obstacles;
