//! Stories about retention with the operator running: what is previewed, what goes and leaves a receipt, what stays and why, and
//! who tries to have it otherwise. What the API server refuses by itself is told in `retention_guards.rs`.

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

#[allow(
    dead_code,
    reason = "shared with the stories about holds, which use more of it"
)]
#[path = "hold_stories/case.rs"]
mod holds;

#[path = "retention_stories/case.rs"]
mod case;
#[path = "retention_stories/changes.rs"]
mod changes;
#[path = "retention_stories/clock.rs"]
mod clock;
#[path = "retention_stories/dead.rs"]
mod dead;
#[path = "retention_stories/disagreement.rs"]
mod disagreement;
#[path = "retention_stories/escapes.rs"]
mod escapes;
#[path = "retention_stories/faults.rs"]
mod faults;
#[path = "retention_stories/holding.rs"]
mod holding;
#[path = "retention_stories/kinds.rs"]
mod kinds;
#[path = "retention_stories/life.rs"]
mod life;
#[path = "retention_stories/limit.rs"]
mod limit;
#[path = "retention_stories/minimum.rs"]
mod minimum;
#[path = "retention_stories/owners.rs"]
mod owners;
#[path = "retention_stories/scene.rs"]
mod scene;
#[path = "retention_stories/starts.rs"]
mod starts;
#[path = "retention_stories/unwritable.rs"]
mod unwritable;
#[path = "retention_stories/volumes.rs"]
mod volumes;
