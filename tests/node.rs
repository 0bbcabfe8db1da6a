//! Stories about holds with real containers: a kubelet and containerd of the testbed's own, and what a person sees on the
//! node's disk and among its processes. Run by `make e2e`; the same on a pretend node is in `hold_stories`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects, and this one what it measured"
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
mod case;
#[path = "node/containers.rs"]
mod containers;
#[path = "node/workloads.rs"]
mod workloads;
