//! One run of disposal: what goes now, under which policy.
//!
//! May not: name an object that the stored GuardParameters would not let go, or one under a policy whose generation was not
//! stored first.

use std::collections::BTreeMap;

use super::boundary::{refuses, stored};
use super::ground::Ground;
use super::judgement::Judged;
use crate::api::DisposalMode;
use crate::model::{ObjectKey, RetentionPolicy};
use crate::plan::inquiry::{Candidate, RuleRef, Run};

/// The run that is due; none where nothing is.
pub(super) fn run(ground: &Ground<'_>, judged: &[Judged<'_>]) -> Option<Run> {
    let is_ready = ground.stopped.is_none()
        // Before the ledger was told of it is not known whether it can be written.
        && ground.world.ledger().is_some();
    if !is_ready {
        return None;
    }
    // Where what guards read cannot be read back, nobody knows what they let go.
    let parameters = ground.world.parameters(ground.namespace);
    if parameters.is_some_and(|parameters| parameters.spec.is_none()) {
        return None;
    }
    let rules = stored(ground.world, ground.namespace);
    let mut first: BTreeMap<_, Candidate> = BTreeMap::new();
    let policies = ground.world.retention_policies_in(ground.namespace);
    for (policy, judged) in policies.zip(judged) {
        let disposes = policy.mode == DisposalMode::Dispose
            && policy.since().is_some()
            && !policy.meta.deleting;
        if !disposes {
            continue;
        }
        for verdict in &judged.verdicts {
            let (None, Some(due)) = (&verdict.withheld, verdict.goes_at) else {
                continue;
            };
            let held = verdict.held;
            if rules.iter().any(|rule| refuses(rule, held)) {
                continue;
            }
            // The same object is served in every version of its kind.
            let place = (&held.kind.group, &held.kind.kind, &held.name);
            if first.get(&place).is_some_and(|known| known.due <= due) {
                continue;
            }
            let candidate = Candidate {
                kind: held.kind.as_ref().clone(),
                key: ObjectKey::new(ground.namespace, &*held.name),
                uid: held.item.uid.to_string(),
                version: held.item.version.to_string(),
                policy: reference(policy),
                due,
                propagation: policy.propagation,
            };
            first.insert(place, candidate);
        }
    }
    let mut candidates: Vec<Candidate> = first.into_values().collect();
    if candidates.is_empty() {
        return None;
    }
    candidates.sort_by(|a, b| (a.due, &a.kind, &a.key).cmp(&(b.due, &b.kind, &b.key)));
    let floor = ground.standing.floor();
    Some(Run {
        namespace: ground.namespace.to_owned(),
        tenant: ground.standing.tenant().unwrap_or_default().to_owned(),
        policy_version: floor.and_then(|terms| terms.policy_ref.clone()),
        candidates,
    })
}

/// A policy as it was read.
pub(super) fn reference(policy: &RetentionPolicy) -> RuleRef {
    RuleRef {
        name: policy.meta.key.name.clone(),
        uid: policy.meta.uid.clone(),
        generation: policy.meta.generation,
    }
}
