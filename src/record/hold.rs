//! Holds: placed, proven or not, narrowed, restored; and the volumes that they keep. A release is recorded by an inquiry of
//! its own, because the record of a hold may go only once it is in the ledger.

use serde_json::Value;

use super::{Draft, cause, condition, subject};
use crate::api::names::LABEL_HELD;
use crate::diff::Change;
use crate::ledger::{EntryKind, Subject};
use crate::model::{Hold, Kind, World};

/// What a hold's new status says that the stored one did not.
pub(super) fn transitions(world: &World, change: &Change, body: &Value) -> Vec<Draft> {
    let (Some(hold), Some(status)) = (world.hold(&change.target.key), body.get("status")) else {
        return Vec::new();
    };
    let draft = |kind: EntryKind| about(world, hold, kind);
    let before = |kind: &str| {
        let found = hold
            .status
            .conditions
            .iter()
            .find(|found| found.type_ == kind);
        found.map(|found| found.status.as_str())
    };
    let mut drafts = Vec::new();
    if hold.status.observed_generation.is_none() {
        let effects: Vec<String> = hold
            .effects
            .iter()
            .map(|effect| format!("{effect:?}"))
            .collect();
        drafts.push(draft(EntryKind::HoldPlaced).with("effects", effects));
    }
    let enforced = condition(status, "Enforced");
    if let Some((now, reason)) = enforced
        && before("Enforced") != Some(now)
    {
        let kind = if now == "True" {
            EntryKind::HoldEnforced
        } else {
            EntryKind::HoldUnproven
        };
        drafts.push(draft(kind).with("enforced", now).with("reason", reason));
    }
    let effects: Vec<&str> = effects(status);
    let narrowed = hold.status.observed_generation.is_some()
        && hold.release.is_none()
        && effects.len() < hold.status.effects.len();
    if narrowed {
        drafts.push(draft(EntryKind::HoldNarrowed).with("effects", effects));
    }
    let restored = condition(status, "Restored").map(|(now, _)| now);
    if restored == Some("True") && before("Restored") != Some("True") {
        drafts.push(draft(EntryKind::HoldRestored));
    }
    drafts
}

/// The release of a hold, with who decided it.
#[must_use]
pub fn release(world: &World, hold: &Hold) -> Option<Draft> {
    let release = hold.release.as_ref()?;
    let mut draft = about(world, hold, EntryKind::HoldReleased);
    draft.person = Some(release.by.clone());
    Some(match &release.restore_after {
        Some(period) => draft.with("restoreAfter", period.0.as_str()),
        None => draft,
    })
}

/// What became of pods that a hold ends.
#[must_use]
pub fn ending(world: &World, hold: &Hold) -> Draft {
    about(world, hold, EntryKind::PodsEnded)
}

/// A volume is kept for a hold, or given back.
pub(super) fn volume(world: &World, change: &Change, body: &Value) -> Draft {
    let held = body
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(LABEL_HELD))
        .is_some_and(|held| held == "true");
    let kind = if held {
        EntryKind::VolumeRetained
    } else {
        EntryKind::VolumeReturned
    };
    let uid = body.pointer("/metadata/uid").and_then(Value::as_str);
    let about = Subject {
        api_version: Kind::Volume.api_version(),
        kind: Kind::Volume.as_str().to_owned(),
        namespace: None,
        uid: uid.unwrap_or_default().to_owned(),
    };
    let claim = world
        .volume(&change.target.key.name)
        .map(|volume| volume.claim.namespace.clone());
    let mut draft = Draft::new(world, kind, about).with("why", change.why.as_str());
    if let Some(namespace) = claim {
        draft.tenant = world
            .namespace(&namespace)
            .and_then(|namespace| namespace.tenant.clone());
        draft = draft.with("claimNamespace", namespace);
    }
    draft
}

fn about(world: &World, hold: &Hold, kind: EntryKind) -> Draft {
    Draft::new(world, kind, subject(Kind::Hold, &hold.meta))
        .because(cause(Kind::Hold, &hold.meta))
        .with("matter", hold.matter.as_str())
}

fn effects(status: &Value) -> Vec<&str> {
    let listed = status.get("effects").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
