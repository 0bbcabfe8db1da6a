//! How much a test tries: a part of all moments and cases each time, and far more with `COVENANT_EXHAUSTIVE` (`make soak`).
//!
//! May not: decide what a test asserts.

/// How many times more random cases an exhaustive run tries.
const MORE: u32 = 40;

/// Whether all is to be tried.
#[must_use]
pub fn is_exhaustive() -> bool {
    std::env::var_os("COVENANT_EXHAUSTIVE").is_some()
}

/// How many random cases of a property to try, for so many in a normal run.
#[must_use]
pub fn cases(normal: u32) -> u32 {
    if is_exhaustive() {
        normal.saturating_mul(MORE)
    } else {
        normal
    }
}
