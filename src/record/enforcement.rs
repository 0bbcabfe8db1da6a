//! What enforcement itself rests on: the guards, and the clock.

use super::Draft;
use crate::ledger::{EntryKind, Subject};
use crate::model::World;

/// Most guards that are listed.
const LISTED: usize = 32;

/// How the guards stand: as they were released, or which are not.
#[must_use]
pub fn guards(world: &World, deviations: &[String]) -> Draft {
    let kind = if deviations.is_empty() {
        EntryKind::GuardProven
    } else {
        EntryKind::GuardUnproven
    };
    let listed: Vec<&str> = deviations.iter().take(LISTED).map(String::as_str).collect();
    Draft::new(
        world,
        kind,
        everywhere(
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            "guards",
        ),
    )
    .with("count", deviations.len())
    .with("deviations", listed)
}

/// Two clocks do not agree.
#[must_use]
pub fn clock(world: &World, doubt: &str) -> Draft {
    Draft::new(
        world,
        EntryKind::ClockDisagreed,
        everywhere("v1", "Clock", "operator"),
    )
    .with("why", doubt)
}

/// What has no uid of its own.
fn everywhere(api_version: &str, kind: &str, name: &str) -> Subject {
    Subject {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        uid: name.to_owned(),
    }
}
