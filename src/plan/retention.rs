//! What is kept and disposed of in a namespace: the statuses of its retention policies, what guards read, and runs.
//!
//! May not: delete. It proposes; the shell deletes one by one, each with its uid and version, and the guards refuse again.

mod boundary;
mod fate;
mod ground;
mod judgement;
mod limit;
mod run;
mod status;

use jiff::Timestamp;

use super::Plan;
use super::decision::Earliest;
use super::inquiry::Inquiry;
use super::parameters::parameters;
use crate::model::{ObjectKey, Shelf, Unit, World};
use boundary::Boundaries;
use ground::Ground;

pub use fate::{Fate, FateRule, Withheld, fate, preview};

/// Most objects that one inquiry asks about.
const ASKED_AT_ONCE: usize = 256;

/// Plans what is kept and disposed of in a namespace.
pub(super) fn plan_retention(world: &World, name: &str, now: Timestamp) -> Plan {
    let ground = Ground::new(world, name, now);
    let mut next = Earliest::default();
    let judged = judgement::judge(&ground);
    let mut statuses = Vec::new();
    for (policy, judged) in world.retention_policies_in(name).zip(&judged) {
        statuses.push(status::of_policy(&ground, policy, judged));
        next.note(judged.next, now);
    }
    let mut inquiries = Vec::new();
    inquiries.extend(completions(&ground));
    inquiries.extend(run::run(&ground, &judged).map(Inquiry::Dispose));
    if world.clock_problem().is_none() {
        next.note(ground.boundaries.next, now);
        let asks = ground.shelf.and_then(|shelf| shelf.asks_after(now));
        next.note(asks, now);
    }
    let Boundaries { rules, .. } = ground.boundaries;
    Plan {
        unit: Unit::Retention(name.to_owned()),
        namespace: None,
        parameters: parameters(world, name, &ground.standing, rules),
        statuses,
        inquiries,
        next: next.instant(),
    }
}

/// Which objects must be looked at, because a period could be over, had they completed at once.
fn completions(ground: &Ground<'_>) -> Option<Inquiry> {
    if ground.world.clock_problem().is_some() {
        return None;
    }
    let asked = ground.shelf.into_iter();
    let mut objects: Vec<_> = asked
        .flat_map(|shelf: &Shelf| shelf.to_ask(ground.now))
        .filter(|held| ground.is_synced(&held.kind))
        .take(ASKED_AT_ONCE)
        .map(|held| {
            let key = ObjectKey::new(ground.namespace, &*held.name);
            let (uid, version) = (held.item.uid.to_string(), held.item.version.to_string());
            (held.kind.as_ref().clone(), key, uid, version)
        })
        .collect();
    objects.sort();
    (!objects.is_empty()).then(|| Inquiry::Complete {
        namespace: ground.namespace.to_owned(),
        objects,
    })
}
