//! Holds, read. What of one cannot be read counts as the stricter case: every effect, the whole namespace, not released.
//!
//! May not: decide what follows from a hold. The guards read the same objects by the same rules
//! (`charts/covenant/guards/holds.yaml`), and a test compares the two.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::FieldError;
use super::grant::split;
use super::identity::Meta;
use super::time;
use crate::api::{
    HeldKind, HoldDecision, HoldDecisionType, HoldEffect, PeriodText, ProcessingHoldStatus,
    WhenText,
};

/// Grace of EndProcessing where the hold names none.
const ENDING_GRACE: SignedDuration = SignedDuration::from_secs(30);
/// Longest grace of EndProcessing.
const LONGEST_ENDING_GRACE: SignedDuration = SignedDuration::from_hours(24);

/// A hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Metadata.
    pub meta: Meta,
    /// Id of the case.
    pub matter: String,
    /// Which objects are kept from deletion and alteration.
    pub scope: HeldScope,
    /// The effects in force, after decisions that narrowed them; none once it is released.
    pub effects: BTreeSet<HoldEffect>,
    /// How long losses stay published before pods are ended, and the longest grace a pod is given.
    pub ending_grace: SignedDuration,
    /// When somebody should look at it again.
    pub review_by: Option<Timestamp>,
    /// Its place among the holds of the namespace.
    pub slot: i64,
    /// The release, once decided.
    pub release: Option<Release>,
    /// What could not be read, and so counts as the stricter case.
    pub errors: Vec<FieldError>,
    /// The stored status, without the decisions, which are officers' to write.
    pub status: ProcessingHoldStatus,
}

/// Which objects a hold keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldScope {
    /// Labels that an object must have.
    pub match_labels: BTreeMap<String, String>,
    /// Kinds that are held; empty means every kind.
    pub kinds: BTreeSet<HeldKind>,
    /// Kinds that are left out.
    pub except_kinds: BTreeSet<HeldKind>,
}

/// An officer's decision that a hold is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
    /// How long disposal and erasure still wait.
    pub restore_after: Option<PeriodText>,
}

impl Hold {
    /// Reads a hold.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, mut status) = split(object);
        let mut errors = Vec::new();
        if !spec.is_object() {
            errors.push(FieldError::new("spec", "is missing or unreadable"));
        }
        let decisions = decisions(&mut errors, &status);
        // One that cannot be read must not take with it what the operator wrote beside it.
        if let Some(fields) = status.as_object_mut() {
            fields.remove("decisions");
        }
        let status: ProcessingHoldStatus = serde_json::from_value(status).unwrap_or_default();
        let release = decisions
            .iter()
            .find(|decision| decision.decision == HoldDecisionType::Released)
            .map(|decision| Release {
                by: decision.by.clone(),
                reason: decision.reason.clone(),
                restore_after: decision.restore_after.clone(),
            });
        let narrowed = || {
            decisions
                .iter()
                .filter(|decision| decision.decision == HoldDecisionType::Narrowed)
        };
        let mut effects = effects(&mut errors, &spec);
        for lifted in narrowed().flat_map(|decision| &decision.effects) {
            effects.remove(lifted);
        }
        // What is ended would start again where nothing is kept from starting.
        if !effects.contains(&HoldEffect::SuspendProcessing) {
            effects.remove(&HoldEffect::EndProcessing);
        }
        if release.is_some() {
            effects.clear();
        }
        let mut scope = scope(&mut errors, spec.get("scope"));
        let excepted = narrowed().flat_map(|decision| decision.except_kinds.iter().cloned());
        scope.except_kinds.extend(excepted);
        Self {
            meta,
            matter: text(&spec, "matter").unwrap_or_default(),
            scope,
            effects,
            ending_grace: ending_grace(&mut errors, &spec),
            review_by: review_by(&mut errors, &spec),
            slot: spec.get("slot").and_then(Value::as_i64).unwrap_or(1),
            release,
            errors,
            status,
        }
    }

    /// Whether an effect is in force.
    #[must_use]
    pub fn has(&self, effect: HoldEffect) -> bool {
        self.effects.contains(&effect)
    }

    /// Whether objects of this kind are within its scope, as far as labels do not decide.
    #[must_use]
    pub fn covers_kind(&self, group: &str, kind: &str) -> bool {
        self.scope.covers_kind(group, kind)
    }
}

impl HeldScope {
    /// Whether objects of this kind are within, as far as labels do not decide. Every kind counts where none is named, the
    /// short-lived ones too: whoever asks knows which these are.
    #[must_use]
    pub fn covers_kind(&self, group: &str, kind: &str) -> bool {
        let named = self.kinds.is_empty()
            || self.kinds.iter().any(|held| {
                held.kind == kind && held.api_group.as_deref().is_none_or(|named| named == group)
            });
        let excepted = self.except_kinds.iter().any(|held| {
            held.kind == kind && held.api_group.as_deref().unwrap_or_default() == group
        });
        named && !excepted
    }
}

/// One decision that cannot be read decides nothing, and does not undo the others.
fn decisions(errors: &mut Vec<FieldError>, status: &Value) -> Vec<HoldDecision> {
    let listed = status.get("decisions").and_then(Value::as_array);
    let mut read = Vec::new();
    for (index, decision) in listed.into_iter().flatten().enumerate() {
        match serde_json::from_value(decision.clone()) {
            Ok(decision) => read.push(decision),
            Err(error) => errors.push(FieldError::new(
                format!("status.decisions[{index}]"),
                format!("{error}; it decides nothing"),
            )),
        }
    }
    read
}

fn effects(errors: &mut Vec<FieldError>, spec: &Value) -> BTreeSet<HoldEffect> {
    let read: Option<BTreeSet<HoldEffect>> =
        value(errors, spec, "effects", "all of them but EndProcessing");
    read.filter(|effects| !effects.is_empty())
        .unwrap_or_else(|| {
            let destroys = |effect: &HoldEffect| *effect == HoldEffect::EndProcessing;
            HoldEffect::ALL
                .into_iter()
                .filter(|effect| !destroys(effect))
                .collect()
        })
}

fn scope(errors: &mut Vec<FieldError>, scope: Option<&Value>) -> HeldScope {
    let empty = Value::Object(serde_json::Map::new());
    let scope = scope.filter(|scope| !scope.is_null()).unwrap_or(&empty);
    let whole = "the whole namespace";
    let before = errors.len();
    let read = HeldScope {
        match_labels: value(errors, scope, "matchLabels", whole).unwrap_or_default(),
        kinds: value(errors, scope, "kinds", whole).unwrap_or_default(),
        except_kinds: value(errors, scope, "exceptKinds", "none").unwrap_or_default(),
    };
    if errors.len() > before || !scope.is_object() {
        for error in errors.iter_mut().skip(before) {
            error.path = error.path.replacen("spec.", "spec.scope.", 1);
        }
        HeldScope::default()
    } else {
        read
    }
}

/// A part of the spec; what is there and cannot be read counts as `stricter`, and is said.
fn value<T: DeserializeOwned>(
    errors: &mut Vec<FieldError>,
    spec: &Value,
    field: &str,
    stricter: &str,
) -> Option<T> {
    let value = spec.get(field).filter(|value| !value.is_null())?;
    serde_json::from_value(value.clone())
        .map_err(|error| {
            errors.push(FieldError::new(
                format!("spec.{field}"),
                format!("{error}; until it can be read, it counts as {stricter}"),
            ));
        })
        .ok()
}

fn text(spec: &Value, field: &str) -> Option<String> {
    Some(spec.get(field)?.as_str()?.to_owned())
}

fn ending_grace(errors: &mut Vec<FieldError>, spec: &Value) -> SignedDuration {
    let Some(period) = text(spec, "endingGrace") else {
        return ENDING_GRACE;
    };
    match time::after(Timestamp::UNIX_EPOCH, &PeriodText(period)) {
        Ok(at) => Timestamp::UNIX_EPOCH
            .duration_until(at)
            .min(LONGEST_ENDING_GRACE),
        Err(error) => {
            errors.push(FieldError::new(
                "spec.endingGrace",
                format!("{error}; until it can be read, it counts as one day"),
            ));
            LONGEST_ENDING_GRACE
        }
    }
}

fn review_by(errors: &mut Vec<FieldError>, spec: &Value) -> Option<Timestamp> {
    let when = WhenText(text(spec, "reviewBy")?);
    time::end(&when)
        .map_err(|error| errors.push(FieldError::new("spec.reviewBy", error)))
        .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use serde_json::json;

    use super::*;

    fn hold(spec: Value, status: Value) -> Hold {
        let object = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
            "metadata": { "name": "case-1", "namespace": "acme" }, "spec": spec, "status": status
        });
        Hold::read(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_cannot_be_read_counts_as_every_effect_on_the_whole_namespace() {
        let strict: BTreeSet<HoldEffect> = HoldEffect::ALL
            .into_iter()
            .filter(|effect| *effect != HoldEffect::EndProcessing)
            .collect();
        for spec in [
            json!(null),
            json!({}),
            json!({ "effects": [] }),
            json!({ "effects": ["Freeze"], "scope": { "kinds": "ConfigMap" } }),
            json!({ "effects": 7, "scope": [] }),
        ] {
            let hold = hold(spec.clone(), json!({}));
            assert_eq!(hold.effects, strict, "{spec}");
            assert_eq!(hold.scope, HeldScope::default(), "{spec}");
        }
    }

    #[test]
    fn a_decision_that_cannot_be_read_releases_nothing() {
        let spec = json!({ "effects": ["PreventDeletion"] });
        let hold = hold(spec, json!({ "decisions": [{ "type": "Release" }, 3] }));
        assert!(hold.release.is_none());
        assert_eq!(hold.errors.len(), 2);
        assert!(hold.has(HoldEffect::PreventDeletion));
    }

    #[test]
    fn a_release_ends_every_effect_and_a_narrowing_the_ones_it_names() {
        let spec = json!({ "effects": ["PreventDeletion", "FreezeAccess"] });
        let narrowed = json!({ "type": "Narrowed", "by": "o", "reason": "r", "effects": ["FreezeAccess"], "exceptKinds": [{ "kind": "Secret" }] });
        let released = json!({ "type": "Released", "by": "o", "reason": "r" });
        let held = hold(spec.clone(), json!({ "decisions": [narrowed] }));
        assert_eq!(held.effects, BTreeSet::from([HoldEffect::PreventDeletion]));
        assert!(!held.covers_kind("", "Secret"));
        assert!(held.covers_kind("", "ConfigMap"));
        let over = hold(spec, json!({ "decisions": [narrowed, released] }));
        assert!(over.effects.is_empty());
        assert_eq!(over.release.unwrap().by, "o");
    }

    #[test]
    fn a_kind_without_a_group_is_read_as_more_when_held_and_as_less_when_left_out() {
        let spec = json!({ "effects": ["PreventDeletion"], "scope": { "kinds": [{ "kind": "Certificate" }] } });
        assert!(hold(spec, json!({})).covers_kind("cert-manager.io", "Certificate"));
        let spec = json!({ "effects": ["PreventDeletion"], "scope": { "exceptKinds": [{ "kind": "Certificate" }] } });
        assert!(hold(spec, json!({})).covers_kind("cert-manager.io", "Certificate"));
    }
}
