//! What a minimum of retention refuses, with the operator dead: who tries what, by which way, and what goes on as before.
//!
//! No operator runs here: the API server alone refuses, and what the operator would write is written in its name. One cluster
//! serves every test; each has namespaces of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "retention_guards/chart.rs"]
mod chart;
#[path = "retention_guards/controllers.rs"]
mod controllers;
#[path = "retention_guards/decisions.rs"]
mod decisions;
#[path = "retention_guards/deletion.rs"]
mod deletion;
#[path = "retention_guards/escapes.rs"]
mod escapes;
#[allow(dead_code, reason = "the objects are those of the tests of holds")]
#[path = "holds/kinds.rs"]
mod kinds;
#[path = "retention_guards/limits.rs"]
mod limits;
#[path = "retention_guards/namespaces.rs"]
mod namespaces;
#[path = "retention_guards/policies.rs"]
mod policies;
#[path = "retention_guards/since.rs"]
mod since;
#[path = "retention_guards/stage.rs"]
mod stage;
#[path = "retention_guards/starts.rs"]
mod starts;
#[path = "retention_guards/uncompiled.rs"]
mod uncompiled;
