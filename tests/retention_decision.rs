//! What is disposed of and what is kept, over random policies, objects, holds and instants: the planner against an oracle that
//! reads raw objects, and the laws over the course of time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

mod oracle {
    pub mod calendar;
    pub mod retention;
}
#[path = "support/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod support;

#[path = "retention_decision/agreement.rs"]
mod agreement;
#[path = "retention_decision/cluster.rs"]
mod cluster;
#[path = "retention_decision/course.rs"]
mod course;
#[path = "retention_decision/worlds.rs"]
mod worlds;
