//! Retention: a run that was stopped by its limit or let go on, boundaries that moved, and each disposal.

use serde_json::{Value, json};

use super::{Draft, condition, subject};
use crate::api::RetentionRule;
use crate::diff::Change;
use crate::ledger::{Cause, Entry, EntryKind, PolicyVersion, Subject};
use crate::model::{Kind, World};
use crate::plan::{Candidate, Run};

/// What a policy's new status says that the stored one did not.
pub(super) fn transitions(world: &World, change: &Change, body: &Value) -> Vec<Draft> {
    let (Some(policy), Some(status)) = (
        world.retention_policy(&change.target.key),
        body.get("status"),
    ) else {
        return Vec::new();
    };
    let before = policy
        .status
        .conditions
        .iter()
        .find(|found| found.type_ == "LimitExceeded")
        .map(|found| found.status.as_str());
    let now = condition(status, "LimitExceeded").map(|(status, _)| status);
    let draft = |kind: EntryKind| {
        Draft::new(world, kind, subject(Kind::RetentionPolicy, &policy.meta))
            .because(super::cause(Kind::RetentionPolicy, &policy.meta))
    };
    let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let is_stopped = |status: Option<&str>| status == Some("True");
    if !is_stopped(before) {
        if !is_stopped(now) {
            return Vec::new();
        }
        let due = number("/due/now") + number("/withheld/byLimit");
        return vec![draft(EntryKind::DisposalStopped).with("due", due)];
    }
    // While it is stopped nothing is due now. What is, or went since, did so by a human's word: perhaps not all of it.
    let was_due = policy.status.due.as_ref().map_or(0, |due| due.now);
    let went = policy
        .status
        .disposed
        .as_ref()
        .map_or(0, |disposed| disposed.total);
    let goes_on = was_due == 0 && (number("/due/now") > 0 || number("/disposed/total") > went);
    let lifts = policy.decisions.iter().filter(|decision| {
        decision.generation == policy.meta.generation && decision.until_total > went
    });
    match lifts.max_by_key(|decision| decision.until_total) {
        Some(decision) if goes_on => {
            let mut approved =
                draft(EntryKind::DisposalApproved).with("untilTotal", decision.until_total);
            approved.person = Some(decision.by.clone());
            vec![approved]
        }
        _ => Vec::new(),
    }
}

/// What the guards let go from now on, where that is not what they let go before.
pub(super) fn boundaries(world: &World, change: &Change, body: &Value) -> Option<Draft> {
    let rules = body.pointer("/spec/retention")?.as_array()?;
    let stored = world.parameters(&change.target.key.namespace);
    let before = stored.and_then(|stored| stored.spec.as_ref());
    let before: &[RetentionRule] = before.map_or(&[], |before| &before.retention);
    if json!(before) == json!(rules) {
        return None;
    }
    let moved: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "rule": rule.get("rule"),
                "kind": rule.get("kind"),
                "startedBefore": rule.get("startedBefore"),
            })
        })
        .collect();
    let namespace = world.namespace(&change.target.key.namespace)?;
    let mut about = subject(Kind::Namespace, &namespace.meta);
    about.namespace = Some(change.target.key.namespace.clone());
    Some(Draft::new(world, EntryKind::BoundaryAdvanced, about).with("rules", moved))
}

/// An outcome: the deletion was accepted, and finalizers keep the object for now.
pub const ACCEPTED: &str = "accepted, not complete";
/// An outcome: it is gone.
pub const DELETED: &str = "deleted";
/// An outcome: a claim is gone, and the volume behind it is still there.
pub const DELETED_VOLUME_LEFT: &str = "deleted, its volume not yet";
/// An outcome: a claim is gone, and the volume that was behind it.
pub const DELETED_WITH_VOLUME: &str = "deleted, its volume too";

/// Whether an outcome says that a deletion was accepted: it counts as one, whatever is said of it later.
#[must_use]
pub fn is_disposed(outcome: &Entry) -> bool {
    let result = outcome.detail.get("result").and_then(Value::as_str);
    let accepted = [ACCEPTED, DELETED, DELETED_VOLUME_LEFT, DELETED_WITH_VOLUME];
    outcome.kind == EntryKind::Disposal && result.is_some_and(|result| accepted.contains(&result))
}

/// The receipt of one object, before it goes.
#[must_use]
pub fn disposal(run: &Run, candidate: &Candidate, digest: &str) -> Draft {
    Draft {
        kind: EntryKind::Disposal,
        subject: Subject {
            api_version: candidate.kind.api_version(),
            kind: candidate.kind.kind.clone(),
            namespace: Some(run.namespace.clone()),
            uid: candidate.uid.clone(),
        },
        tenant: Some(run.tenant.clone()),
        cause: Some(Cause {
            kind: Kind::RetentionPolicy.as_str().to_owned(),
            name: candidate.policy.name.clone(),
            uid: candidate.policy.uid.clone(),
            generation: candidate.policy.generation,
        }),
        person: None,
        policy: run.policy_version.as_ref().map(|policy| PolicyVersion {
            document: policy.document.clone(),
            version: policy.version.clone(),
        }),
        detail: serde_json::Map::new(),
    }
    .with("resourceVersion", candidate.version.as_str())
    .with("due", candidate.due.to_string())
    .with("sha256", digest)
}
