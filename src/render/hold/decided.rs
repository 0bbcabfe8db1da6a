//! What an officer has just decided about a hold, and what follows.
//!
//! May not: promise what the operator has not done yet. It says what will be looked at, and where it shows.

use jiff::Timestamp;
use serde::Serialize;

use super::words;
use crate::api::{HoldDecision, HoldDecisionType, HoldEffect};
use crate::model::{Hold, time};
use crate::render::REPORT_API_VERSION;

/// A decision that was just made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldDecided {
    /// Version of this form.
    pub api_version: &'static str,
    /// `HoldDecided`.
    pub kind: &'static str,
    /// Namespace of the hold.
    pub namespace: String,
    /// The hold.
    pub name: String,
    /// Whether it was only checked, and nothing stored.
    pub dry_run: bool,
    /// The decision.
    pub decision: HoldDecision,
    /// The effects that are in force after it.
    pub effects: Vec<HoldEffect>,
    /// What follows.
    pub next: Vec<String>,
}

/// Tells of a decision. `before` is the hold as it was, `others` are the unreleased holds beside it.
#[must_use]
pub fn hold_decided(
    before: &Hold,
    decision: &HoldDecision,
    others: &[String],
    dry_run: bool,
    now: Timestamp,
) -> HoldDecided {
    let effects: Vec<HoldEffect> = match decision.decision {
        HoldDecisionType::Released => Vec::new(),
        HoldDecisionType::Narrowed => before
            .effects
            .iter()
            .filter(|effect| !decision.effects.contains(effect))
            .copied()
            .collect(),
    };
    let mut next = Vec::new();
    let ended = |effect: HoldEffect| before.has(effect) && !effects.contains(&effect);
    if ended(HoldEffect::PreventDeletion) || ended(HoldEffect::PreventAlteration) {
        next.push(
            "at once: what it kept can be changed or deleted again by whoever may, unless another hold keeps it".to_owned(),
        );
    }
    if ended(HoldEffect::SuspendProcessing) {
        next.push(
            "processing comes back by itself: pods may start at once, the operator takes away what cut them off and tells \
             the controllers of the workloads; with the operator dead they come back as their own back-off ends, minutes \
             later, and the network stays cut until the operator is back"
                .to_owned(),
        );
    }
    if ended(HoldEffect::EndProcessing) {
        next.push("what was ended comes back as far as its controllers make it anew; losses that were published stay lost".to_owned());
    }
    let closes = [HoldEffect::SuspendSharing, HoldEffect::SuspendProcessing];
    if closes.into_iter().any(ended) && !closes.iter().any(|effect| effects.contains(effect)) {
        next.push(
            "paths of grants that are still valid open again, once the operator has decided so"
                .to_owned(),
        );
    }
    if decision.decision == HoldDecisionType::Released {
        let waits = decision
            .restore_after
            .as_ref()
            .and_then(|period| time::after(now, period).ok());
        next.push(match waits {
            Some(at) => format!("disposal and erasure wait until about {at}; the exact instant is in status.restoredAt"),
            None => "disposal and erasure may resume: no --restore-after was given".to_owned(),
        });
        next.push(
            "the object stays as the record; it may be deleted once its condition Restored is True"
                .to_owned(),
        );
    } else {
        if !decision.except_kinds.is_empty() {
            next.push(format!(
                "no longer kept: {}",
                words::kinds(&decision.except_kinds, "core")
            ));
        }
        let names: Vec<&str> = effects.iter().map(|effect| effect.as_str()).collect();
        next.push(if names.is_empty() {
            format!(
                "no effect is left; the hold stays as the record until it is released ({})",
                words::release_command(&before.meta.key)
            )
        } else {
            format!("still in force: {}", names.join(", "))
        });
    }
    next.push(
        "applying the hold's manifest again (GitOps) does not undo this: a decision stands once made. To hold again, write \
         another hold"
            .to_owned(),
    );
    if !others.is_empty() {
        next.push(format!(
            "other holds of namespace {} are not released and bind on: {}",
            before.meta.key.namespace,
            others.join(", ")
        ));
    }
    HoldDecided {
        api_version: REPORT_API_VERSION,
        kind: "HoldDecided",
        namespace: before.meta.key.namespace.clone(),
        name: before.meta.key.name.clone(),
        dry_run,
        decision: decision.clone(),
        effects,
        next,
    }
}
