//! What tenants may publish: no plain text, and no less than TLS 1.3, with the operator dead.
//!
//! No operator runs here: the API server alone refuses, and what the operator would write is written in its name. The kinds of
//! others are served from small copies of their schemas, with the fields that are read. One list of cases drives guards and judge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "transit_guards/before.rs"]
mod before;
#[path = "transit_guards/cases.rs"]
mod cases;
#[path = "transit_guards/definitions.rs"]
mod definitions;
#[path = "transit_guards/escapes.rs"]
mod escapes;
#[path = "transit_guards/judge.rs"]
mod judge;
#[path = "transit_guards/stage.rs"]
mod stage;
