//! What guards refuse where a tenant opts out of telemetry, with the operator dead.
//!
//! No operator runs here: the API server alone refuses, and what the operator would write is written in its name. The kinds of
//! others are served from small copies of their schemas, with the fields that are read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[path = "telemetry_guards/before.rs"]
mod before;
#[path = "telemetry_guards/collectors.rs"]
mod collectors;
#[path = "telemetry_guards/definitions.rs"]
mod definitions;
#[path = "telemetry_guards/markers.rs"]
mod markers;
#[path = "telemetry_guards/operator.rs"]
mod operator;
#[path = "telemetry_guards/stage.rs"]
mod stage;
#[path = "support/pod.rs"]
mod support;
#[path = "telemetry_guards/templates.rs"]
mod templates;
