//! The one place that asks what time it is.

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
