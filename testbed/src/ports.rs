//! Which loopback ports a cluster listens on.
//!
//! May not: hold a port. Whoever asks binds it at once, and tries again with another when it was taken in between.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;

/// Below the range from which the kernel takes ports for outgoing connections: a server that is restarted finds its
/// port free again.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

static STEP: AtomicU16 = AtomicU16::new(0);

/// A port on which nothing listens now.
pub(crate) fn free() -> anyhow::Result<u16> {
    // Processes begin at different places, and one process never offers a port twice in a row.
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    let begin = std::process::id()
        .wrapping_mul(7919)
        .wrapping_add(clock >> 8);
    for _ in 0..COUNT {
        let step = u32::from(STEP.fetch_add(1, Ordering::Relaxed));
        let offset = begin.wrapping_add(step.wrapping_mul(31)) % u32::from(COUNT);
        let Ok(offset) = u16::try_from(offset) else {
            continue;
        };
        let port = FIRST + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!(
        "no free port on loopback between {FIRST} and {}",
        FIRST + COUNT
    )
}
