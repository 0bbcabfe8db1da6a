//! The one place that asks what time it is.

use std::time::Instant;

use jiff::Timestamp;

/// The instant now, by this machine's clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the shell's one clock; the core is given its instants"
)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The beginning of something that the shell itself measures.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "durations of the shell's own work; nothing is decided by them but when to look again"
)]
pub fn started() -> Instant {
    Instant::now()
}
