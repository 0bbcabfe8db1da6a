//! What would go from a namespace, when, why and under which policy, and what keeps the rest.

use jiff::Timestamp;
use serde::Serialize;

use super::policy::{RetentionReport, retention};
use super::words;
use crate::model::World;
use crate::plan::{Fate, preview, standing};
use crate::render::REPORT_API_VERSION;
use crate::render::report::standing_words;

/// What would go.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPreview {
    /// Version of this form.
    pub api_version: &'static str,
    /// `RetentionPreview`.
    pub kind: &'static str,
    /// The instant that was asked about.
    pub at: Timestamp,
    /// Namespaces, by name.
    pub namespaces: Vec<NamespacePreview>,
    /// What was assumed, and what is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What would go from a namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespacePreview {
    /// Name.
    pub name: String,
    /// `NotEnrolled`, `Exempt`, `Terminating`, `Observing` or `InForce`.
    pub standing: &'static str,
    /// Tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// Its policies and minimums.
    #[serde(flatten)]
    pub retention: RetentionReport,
    /// What is past a maximum, and what follows next; in the order in which it goes.
    pub objects: Vec<ObjectPreview>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectPreview {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What becomes of it.
    pub fate: ObjectFate,
    /// The policy under which it goes, or would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When it is past its maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_maximum_at: Option<Timestamp>,
    /// When it goes, or would, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goes_at: Option<Timestamp>,
    /// Until when it is kept at least; `for good` where no end is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_at_least_until: Option<String>,
    /// What keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<KeptBy>,
}

/// What becomes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ObjectFate {
    /// It goes now.
    Goes,
    /// It would go now: its policy only previews.
    WouldGo,
    /// It is past its maximum and kept all the same.
    Kept,
    /// It follows.
    Follows,
    /// Nothing has it gone.
    Stays,
}

/// What keeps an object that is past its maximum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptBy {
    /// `Hold`, `NotInForce`, `Minimum`, `ManagedElsewhere`, `Owner`, `Grace`, `Limit` or `Otherwise`.
    pub by: &'static str,
    /// Until when, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// In words.
    pub message: String,
}

/// Previews namespaces, or one policy of each.
#[must_use]
pub fn retention_preview(
    world: &World,
    namespaces: &[String],
    policy: Option<&str>,
    notes: Vec<String>,
    now: Timestamp,
) -> RetentionPreview {
    RetentionPreview {
        api_version: REPORT_API_VERSION,
        kind: "RetentionPreview",
        at: now,
        namespaces: namespaces
            .iter()
            .map(|name| namespace(world, name, policy, now))
            .collect(),
        notes,
    }
}

fn namespace(world: &World, name: &str, policy: Option<&str>, now: Timestamp) -> NamespacePreview {
    let standing = standing(world, name);
    let (word, baseline, _) = standing_words(&standing);
    let mut report = retention(world, name, now).unwrap_or(RetentionReport {
        policies: Vec::new(),
        boundaries: Vec::new(),
    });
    if let Some(asked) = policy {
        report.policies.retain(|policy| policy.name == asked);
        let own = format!("RetentionPolicy {asked}");
        report.boundaries.retain(|boundary| boundary.rule == own);
    }
    NamespacePreview {
        name: name.to_owned(),
        standing: word,
        tenant: standing.tenant().map(str::to_owned),
        baseline,
        retention: report,
        objects: preview(world, name, policy, now)
            .iter()
            .map(|fate| object(fate, now))
            .collect(),
    }
}

fn object(fate: &Fate, now: Timestamp) -> ObjectPreview {
    ObjectPreview {
        api_version: fate.kind.api_version(),
        kind: fate.kind.kind.clone(),
        name: fate.key.name.clone(),
        uid: fate.uid.clone(),
        fate: object_fate(fate, now),
        policy: fate.goes_by.as_ref().map(|policy| policy.name.clone()),
        past_maximum_at: fate.maximum,
        goes_at: fate.goes_at,
        kept_at_least_until: fate.minimum.map(words::keep),
        kept_by: kept_by(fate),
    }
}

/// What keeps an object.
pub(super) fn kept_by(fate: &Fate) -> Option<KeptBy> {
    let withheld = fate.withheld.as_ref()?;
    Some(KeptBy {
        by: words::keeper(withheld),
        until: words::kept_until(withheld),
        message: words::withheld(withheld, fate),
    })
}

/// What becomes of an object.
pub(super) fn object_fate(fate: &Fate, now: Timestamp) -> ObjectFate {
    let is_past = fate.maximum.is_some_and(|maximum| maximum <= now);
    match (&fate.withheld, fate.goes_at) {
        (Some(_), _) if is_past => ObjectFate::Kept,
        (None, Some(at)) if is_past && at <= now && fate.disposes => ObjectFate::Goes,
        (None, Some(at)) if is_past && at <= now => ObjectFate::WouldGo,
        (_, Some(_)) => ObjectFate::Follows,
        (_, None) => ObjectFate::Stays,
    }
}
