//! Whether new objects that would tell an agent to collect are refused: what guards read and the guard itself, both read back.
//!
//! May not: say anything of objects that were there before.

use crate::api::GuardedTelemetry;
use crate::model::telemetry::agents;
use crate::model::{AgentTerms, Kind, World};

/// The guard that refuses them, and its binding.
const GUARD: &str = "covenant-telemetry-collectors";

/// Whether they are refused in this namespace for every kind by which the agent is told. False where there is no such kind.
pub(super) fn is_refused(world: &World, namespace: &str, agent: &AgentTerms) -> bool {
    let Some(row) = agents::row(agent.respects) else {
        return false;
    };
    let read = read_to_stay(world, namespace);
    let told = |kind: &str| {
        read.is_some_and(|telemetry| telemetry.refuses.iter().any(|known| known == kind))
    };
    stands(world, GUARD)
        && !row.collects_by.is_empty()
        && row.collects_by.iter().all(|kind| told(kind))
}

/// What guards read of a namespace's opt-outs, where it is not on its way out.
pub(super) fn read_to_stay<'a>(world: &'a World, namespace: &str) -> Option<&'a GuardedTelemetry> {
    let parameters = world.parameters(namespace)?;
    world
        .told_of_telemetry(namespace)
        .filter(|_| !parameters.meta.deleting)
}

/// Whether a guard and its binding stand as they were released.
pub(super) fn stands(world: &World, guard: &str) -> bool {
    [Kind::Guard, Kind::GuardBinding].into_iter().all(|kind| {
        let guard = world.guard(&(kind, guard.to_owned()));
        guard.is_some_and(|guard| !guard.meta.deleting && guard.differs.is_empty())
    })
}
