//! How long what was refused is left alone: as long again as it has been refused for, between a minute and a quarter of an
//! hour. Each try is an intent and an outcome in the ledger, for as long as a right is missing or a webhook says no.
//!
//! May not: keep what was changed from being looked at again at once.

use jiff::SignedDuration;

use crate::model::{RunResult, World};

/// The longest that what was refused is left alone.
const LONGEST: SignedDuration = SignedDuration::from_mins(15);

/// Puts off what was refused before for the same, and is refused again.
pub fn extend(world: &World, run: &mut RunResult) {
    for refused in &mut run.refused {
        let before = world.refusal(&refused.kind, &refused.key, &refused.uid);
        let Some(before) = before.filter(|before| before.category == refused.category) else {
            continue;
        };
        refused.since = before.since;
        if refused.category == "Changed" {
            continue;
        }
        let so_long = run.at.duration_since(refused.since).min(LONGEST);
        if let Ok(until) = run.at.checked_add(so_long) {
            refused.until = refused.until.max(until);
        }
    }
}
