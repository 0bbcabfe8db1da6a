//! Encryption on a real API server, with the operator at work and without it: what tenants may name, what the posture says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "encryption_stories/case.rs"]
mod case;
#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "stories/stage.rs"]
mod stage;
#[path = "encryption_stories/volumes.rs"]
mod volumes;
