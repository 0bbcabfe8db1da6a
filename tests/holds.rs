//! What a ProcessingHold keeps, with the operator dead: who tries what, by which way, and what goes on as before.
//!
//! No operator runs here: the API server alone refuses. One cluster serves every test; each has namespaces of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "holds/attempts.rs"]
mod attempts;
#[path = "holds/controllers.rs"]
mod controllers;
#[path = "holds/crooked.rs"]
mod crooked;
#[path = "holds/decisions.rs"]
mod decisions;
#[path = "holds/detours.rs"]
mod detours;
#[path = "holds/goes_on.rs"]
mod goes_on;
#[path = "holds/input.rs"]
mod input;
#[path = "holds/kinds.rs"]
mod kinds;
#[path = "holds/network.rs"]
mod network;
#[path = "holds/scope.rs"]
mod scope;
#[path = "holds/stage.rs"]
mod stage;
#[path = "holds/table.rs"]
mod table;
#[path = "holds/volumes.rs"]
mod volumes;
