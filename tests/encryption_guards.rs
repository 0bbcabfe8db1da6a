//! What is refused so that tenants' data lies on nothing that is not known to be encrypted, with the operator dead: claims, scratch
//! space, and storage classes that are made anew.
//!
//! No operator runs here: the API server alone refuses, and what the operator would write is written in its name. One cluster
//! serves every test; each has namespaces and classes of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "encryption_guards/claims.rs"]
mod claims;
#[path = "encryption_guards/classes.rs"]
mod classes;
#[path = "encryption_guards/scratch.rs"]
mod scratch;
#[path = "encryption_guards/stage.rs"]
mod stage;
