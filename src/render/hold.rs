//! The story of a hold: what it covers, what it has refused, what it cannot keep, what was decided, and how it ends.
//!
//! What it says about effects and scope is read by the rules of the guards ([`Hold::read`]), so that a hold which cannot be
//! read is told of as the stricter one that it is. May not: say that a hold is enforced unless its status does.

mod decided;
mod text;
mod words;

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::Value;

use super::REPORT_API_VERSION;
use crate::api::names::LABEL_HOLDS;
use crate::api::{Ending, HeldCount, HoldDecision, HoldEffect, SuspendedCount, WhenText};
use crate::model::{Hold, time};
pub use decided::{HoldDecided, hold_decided};
pub use text::{hold_decided_text, hold_stories_text, hold_story_text};

/// The stories of the holds of a namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldStories {
    /// Version of this form.
    pub api_version: &'static str,
    /// `HoldStoryList`.
    pub kind: &'static str,
    /// The instant that is told of.
    pub at: Timestamp,
    /// Namespace.
    pub namespace: String,
    /// One story a hold, by name.
    pub items: Vec<HoldStory>,
}

/// The story of one hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldStory {
    /// Version of this form.
    pub api_version: &'static str,
    /// `HoldStory`.
    pub kind: &'static str,
    /// The instant that is told of.
    pub at: Timestamp,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How it stands.
    pub state: HoldState,
    /// How it stands, in words.
    pub words: String,
    /// Id of the case.
    pub matter: String,
    /// Ground, as in the API.
    pub ground: String,
    /// Ground, in words.
    pub ground_words: &'static str,
    /// Why.
    pub reason: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it is to be reviewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review_by: Option<Timestamp>,
    /// What could not be read, and what it counts as.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// What is kept, in words.
    pub covers: Vec<String>,
    /// What happens, by effect in force.
    pub effects: Vec<EffectReport>,
    /// What is left out of what is kept, and why.
    pub left_out: Vec<LeftOut>,
    /// What the operator found, as far as it has.
    pub conditions: Vec<ConditionReport>,
    /// What it keeps, as counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldCount>,
    /// What stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<SuspendedCount>,
    /// What is lost by ending what runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// After a release: when disposal and erasure may resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Timestamp>,
    /// What it has refused.
    pub refused: Refusals,
    /// What it cannot keep.
    pub cannot_hold: Vec<String>,
    /// Decisions on record, oldest first.
    pub decisions: Vec<HoldDecision>,
    /// When the last of them was made, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// What comes next.
    pub next: Vec<String>,
    /// The command that releases it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// How a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HoldState {
    /// Every API server was seen to refuse in its name.
    Enforced,
    /// It is stored, so that the guards read it; nobody has proven that they refuse.
    Unproven,
    /// The operator found that it is not enforced, or not everywhere.
    NotEnforced,
    /// An officer ended it; the grace is not over or the record not kept.
    Released,
    /// It is over, and may be deleted.
    Restored,
}

/// An effect in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectReport {
    /// The effect.
    pub effect: HoldEffect,
    /// What it does.
    pub words: &'static str,
}

/// Something that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A condition of the hold's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionReport {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a hold has refused, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "events", content = "items")]
pub enum Refusals {
    /// Events may not be read.
    Unreadable,
    /// These are what events tell of.
    Read(Vec<Refused>),
    /// Events were not asked for: this is what an audit log tells of.
    Audited(Vec<Refused>),
}

/// Refusals that one object met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The object that complained, such as `ReplicaSet/web-5d4`; out of an audit log the one that it was about.
    pub object: String,
    /// What the guard said last.
    pub said: String,
    /// How often.
    pub count: i64,
    /// When last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// The stories of a namespace.
#[must_use]
pub fn hold_stories(namespace: &str, mut stories: Vec<HoldStory>, now: Timestamp) -> HoldStories {
    stories.sort_by(|one, other| one.name.cmp(&other.name));
    HoldStories {
        api_version: REPORT_API_VERSION,
        kind: "HoldStoryList",
        at: now,
        namespace: namespace.to_owned(),
        items: stories,
    }
}

/// Tells the story of a hold as it is stored.
#[must_use]
pub fn hold_story(object: DynamicObject, refused: Refusals, now: Timestamp) -> HoldStory {
    let spec = &object.data["spec"];
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    let (ground, reason) = (text("ground"), text("reason"));
    let since = object
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0);
    let terminating = object.metadata.deletion_timestamp.is_some();
    let decisions = decisions(&object.data);
    let decided_at = decided_at(&object);
    let hold = Hold::read(object);
    let state = state(&hold);
    let open = hold.release.is_none();
    HoldStory {
        api_version: REPORT_API_VERSION,
        kind: "HoldStory",
        at: now,
        namespace: hold.meta.key.namespace.clone(),
        name: hold.meta.key.name.clone(),
        state,
        words: words::state(&hold, state),
        matter: hold.matter.clone(),
        ground_words: words::ground(&ground),
        ground,
        reason,
        since,
        review_by: hold.review_by.filter(|_| open),
        problems: hold.errors.iter().map(ToString::to_string).collect(),
        covers: words::covers(&hold),
        effects: hold
            .effects
            .iter()
            .map(|effect| EffectReport {
                effect: *effect,
                words: words::effect(*effect),
            })
            .collect(),
        left_out: if open {
            words::left_out(&hold, &decisions)
        } else {
            Vec::new()
        },
        conditions: conditions(&hold),
        held: hold.status.held.clone(),
        suspended: hold.status.suspended.clone().filter(|_| open),
        ending: hold.status.ending.clone(),
        restored_at: hold.status.restored_at.as_ref().and_then(instant),
        refused,
        cannot_hold: if open {
            words::cannot_hold(&hold.status.cannot_hold)
        } else {
            Vec::new()
        },
        decided_at: decided_at.filter(|_| !decisions.is_empty()),
        next: next(&hold, state, terminating),
        release: open.then(|| words::release_command(&hold.meta.key)),
        decisions,
    }
}

/// When the last decision was written, by what the API server keeps of who wrote what.
#[must_use]
pub fn decided_at(object: &DynamicObject) -> Option<Timestamp> {
    let managed = object
        .metadata
        .managed_fields
        .as_deref()
        .unwrap_or_default();
    managed
        .iter()
        .filter(|entry| {
            let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
            fields.is_some_and(|fields| !fields["f:status"]["f:decisions"].is_null())
        })
        .filter_map(|entry| entry.time.as_ref().map(|time| time.0))
        .max()
}

fn instant(text: &WhenText) -> Option<Timestamp> {
    time::beginning(text).ok()
}

fn decisions(data: &Value) -> Vec<HoldDecision> {
    let listed = data["status"]["decisions"].as_array();
    listed
        .into_iter()
        .flatten()
        .filter_map(|decision| serde_json::from_value(decision.clone()).ok())
        .collect()
}

fn state(hold: &Hold) -> HoldState {
    let is = |kind: &str| {
        let mut conditions = hold.status.conditions.iter();
        conditions
            .find(|condition| condition.type_ == kind)
            .map(|condition| condition.status.as_str())
    };
    match (hold.release.is_some(), is("Restored"), is("Enforced")) {
        (true, Some("True"), _) => HoldState::Restored,
        (true, ..) => HoldState::Released,
        (false, _, Some("True")) => HoldState::Enforced,
        (false, _, Some("False")) => HoldState::NotEnforced,
        (false, ..) => HoldState::Unproven,
    }
}

fn conditions(hold: &Hold) -> Vec<ConditionReport> {
    let conditions = hold.status.conditions.iter();
    conditions
        .map(|condition| ConditionReport {
            kind: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            since: condition.last_transition_time.0,
        })
        .collect()
}

fn next(hold: &Hold, state: HoldState, terminating: bool) -> Vec<String> {
    let mut steps = Vec::new();
    match state {
        HoldState::Enforced => {}
        HoldState::Unproven => steps.push(
            "the guards read a hold from the moment it is stored; until the operator has proven it, `kubectl delete phold \
             NAME --dry-run=server` on it must be refused in its name"
                .replace(
                    "NAME",
                    &format!("{} -n {}", hold.meta.key.name, hold.meta.key.namespace),
                ),
        ),
        HoldState::NotEnforced => steps.push(format!(
            "the platform team looks at Enforced above, at the guards (`kubectl covenant guards` prints what must stand), \
             and at the label {LABEL_HOLDS} of namespace {}",
            hold.meta.key.namespace
        )),
        HoldState::Released => steps.push(match hold.status.restored_at.as_ref().and_then(instant) {
            Some(at) => format!(
                "processing is back; disposal and erasure wait until {at}. The object stays as the record until its \
                 condition Restored is True"
            ),
            None => "processing comes back as the operator takes notice; the object stays as the record until its condition \
                     Restored is True"
                .to_owned(),
        }),
        HoldState::Restored => steps.push(
            "nothing waits for it any more; it is the record, and may be deleted when no longer needed".to_owned(),
        ),
    }
    if terminating {
        steps.push(
            "somebody asked to delete it: it stays for as long as a finalizer does, and cannot be undeleted"
                .to_owned(),
        );
    }
    if let Some(review_by) = hold.review_by.filter(|_| hold.release.is_none()) {
        steps.push(format!(
            "to be reviewed by {review_by}; nothing is released by that alone"
        ));
    }
    steps
}

#[cfg(test)]
mod tests;
