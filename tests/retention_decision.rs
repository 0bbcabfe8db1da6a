//! What is disposed of and what is kept, over random policies, objects, holds and instants: the planner against an oracle that
//! reads raw objects, and the laws over the course of time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[path = "oracle"]
mod oracle {
    pub mod calendar;
    pub mod policy;
    pub mod raw;
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
#[path = "retention_decision/laws.rs"]
mod laws;
#[path = "retention_decision/seldom.rs"]
mod seldom;
#[path = "retention_decision/worlds.rs"]
mod worlds;
