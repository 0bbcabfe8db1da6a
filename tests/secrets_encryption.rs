//! Whether Secrets are ciphertext in etcd: what an API server's counters come to, and stories on real API servers in which
//! etcd's own bytes judge the judge.

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
#[allow(dead_code, reason = "shared with the tests of other plans")]
#[path = "support/world.rs"]
mod world;

#[path = "secrets_encryption/counters.rs"]
mod counters;
#[path = "secrets_encryption/course.rs"]
mod course;
#[path = "secrets_encryption/crowd.rs"]
mod crowd;
#[path = "secrets_encryption/planned.rs"]
mod planned;
#[path = "secrets_encryption/rights.rs"]
mod rights;
#[path = "secrets_encryption/scene.rs"]
mod scene;
#[path = "secrets_encryption/servers.rs"]
mod servers;
