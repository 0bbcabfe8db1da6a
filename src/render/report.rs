//! What a plan over files comes to, as data: printed as text, JSON or YAML.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::REPORT_API_VERSION;
use super::retention::{RetentionReport, retention};
use crate::api::{DataCategory, Direction, Finding, Purpose};
use crate::diff::{Action, Change};
use crate::model::{Grant, Kind, Target, Unit, World};
use crate::plan::{Floor, GrantPlan, Outcome, PathState, Plan, Standing, plan};
use crate::simulate::Converged;

/// What a plan comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// Version of this form.
    pub api_version: &'static str,
    /// `PlanReport`.
    pub kind: &'static str,
    /// The instant that was planned for.
    pub at: Timestamp,
    /// Namespaces that are enrolled, hold a grant, or are changed.
    pub namespaces: Vec<NamespaceReport>,
    /// Vendors.
    pub vendors: Vec<VendorReport>,
    /// Counts.
    pub summary: Summary,
    /// The next instant at which any of this changes by time alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_change_at: Option<Timestamp>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceReport {
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
    /// What is wrong with the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_problem: Option<String>,
    /// Its grants, by name.
    pub grants: Vec<GrantReport>,
    /// What reaches further than the rules allow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// What is kept and disposed of, where anything is said about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionReport>,
    /// Objects that would be written, statuses aside.
    pub changes: Vec<ObjectChange>,
    /// The next instant at which something changes by time alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_change_at: Option<Timestamp>,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantReport {
    /// Name.
    pub name: String,
    /// `Open`, `Opening`, `Waiting`, `Ended` or `Refused`.
    pub state: &'static str,
    /// Who receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Who connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// What is shared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_categories: Vec<DataCategory>,
    /// What for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// When the path closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<Timestamp>,
    /// What closes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes_because: Option<&'static str>,
    /// Every reason for which it is closed, or what stands in the way of its opening.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// Its name.
    pub reason: &'static str,
    /// What it is about, and what would make it open.
    pub message: String,
}

/// An object that would be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// `Create`, `Update` or `Delete`.
    pub action: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// A vendor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VendorReport {
    /// Name.
    pub name: String,
    /// Whether an agreement and an assessment count now: `True`, `False` or `Unknown`.
    pub approved: String,
    /// Why.
    pub reason: String,
    /// In words.
    pub message: String,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Grants that are open.
    pub open: usize,
    /// Grants that would be open and are not yet.
    pub opening: usize,
    /// Grants whose time has not come, or whose namespace only observes.
    pub waiting: usize,
    /// Grants that had their time.
    pub ended: usize,
    /// Grants that something refuses.
    pub refused: usize,
    /// Objects to create.
    pub create: usize,
    /// Objects to change.
    pub update: usize,
    /// Objects to delete.
    pub delete: usize,
    /// Statuses to write.
    pub statuses: usize,
}

impl Summary {
    /// Whether nothing would be written.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        self.create == 0 && self.update == 0 && self.delete == 0 && self.statuses == 0
    }
}

/// Reports what planning came to. Where paths cannot be seen to open (there is nobody to run timers), `converged` is a
/// simulation's result.
#[must_use]
pub fn report(converged: &Converged, now: Timestamp) -> PlanReport {
    let world = &converged.world;
    let (mut objects, statuses) = net(&converged.changes);
    let mut summary = Summary {
        statuses,
        ..Summary::default()
    };
    for change in objects.values().flatten() {
        match change.action {
            "Create" => summary.create += 1,
            "Delete" => summary.delete += 1,
            _ => summary.update += 1,
        }
    }
    // A grant in a namespace that is not among the files is closed, and must not be passed over in silence.
    let holders = world.grants().map(|grant| grant.meta.key.namespace.clone());
    let retained = world.retained_namespaces().cloned();
    let names: std::collections::BTreeSet<String> = world
        .namespaces()
        .keys()
        .cloned()
        .chain(holders)
        .chain(retained)
        .collect();
    let mut next = None;
    let mut namespaces = Vec::new();
    for name in names {
        let planned = plan(world, &Unit::Namespace(name.clone()), now);
        next = earliest(next, planned.next);
        let changes = objects.remove(&name).unwrap_or_default();
        let Some(namespace) = namespace(world, name, &planned, changes, now) else {
            continue;
        };
        for grant in &namespace.grants {
            match grant.state {
                "Open" => summary.open += 1,
                "Opening" => summary.opening += 1,
                "Waiting" => summary.waiting += 1,
                "Ended" => summary.ended += 1,
                _ => summary.refused += 1,
            }
        }
        if namespace.tenant.is_some()
            || !namespace.grants.is_empty()
            || namespace.retention.is_some()
            || !namespace.changes.is_empty()
        {
            namespaces.push(namespace);
        }
    }
    for unit in world.units() {
        next = earliest(next, plan(world, &unit, now).next);
    }
    PlanReport {
        api_version: REPORT_API_VERSION,
        kind: "PlanReport",
        at: now,
        namespaces,
        vendors: vendors(world),
        summary,
        next_change_at: next,
    }
}

pub(super) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn namespace(
    world: &World,
    name: String,
    planned: &Plan,
    changes: Vec<ObjectChange>,
    now: Timestamp,
) -> Option<NamespaceReport> {
    let namespace = planned.namespace.as_ref()?;
    let (standing, baseline, baseline_problem) = standing_words(&namespace.standing);
    let grants = world.grants_in(&name).zip(&namespace.grants);
    Some(NamespaceReport {
        standing,
        tenant: namespace.standing.tenant().map(str::to_owned),
        baseline,
        baseline_problem,
        grants: grants
            .map(|(grant, planned)| self::grant(grant, planned))
            .collect(),
        findings: namespace
            .posture
            .as_ref()
            .map(|posture| posture.spec.findings.clone())
            .unwrap_or_default(),
        retention: retention(world, &name, now),
        changes,
        next_change_at: planned.next,
        name,
    })
}

pub(super) fn standing_words(
    standing: &Standing,
) -> (&'static str, Option<String>, Option<String>) {
    let (word, baseline, floor) = match standing {
        Standing::NotEnrolled => return ("NotEnrolled", None, None),
        Standing::Exempt => return ("Exempt", None, None),
        Standing::Terminating { .. } => return ("Terminating", None, None),
        Standing::Observing {
            baseline, floor, ..
        } => ("Observing", baseline, floor),
        Standing::InForce {
            baseline, floor, ..
        } => ("InForce", baseline, floor),
    };
    let problem = match floor {
        Floor::Readable(_) => None,
        Floor::Missing => Some("it does not exist, so everything is denied".to_owned()),
        Floor::Invalid => Some("it cannot be read, so everything is denied".to_owned()),
    };
    (word, Some(baseline.clone()), problem)
}

/// A grant as it is planned.
pub(super) fn grant(grant: &Grant, planned: &GrantPlan) -> GrantReport {
    let terms = grant.terms.as_ref().ok();
    let decision = &planned.decision;
    let mut reasons: Vec<Reason> = decision
        .refusals
        .iter()
        .map(|refusal| Reason {
            reason: refusal.name(),
            message: refusal.message(),
        })
        .collect();
    for (end, state) in &planned.ends {
        if let PathState::Opening { obstacle, .. } = state {
            reasons.push(Reason {
                reason: obstacle.name(),
                message: format!("in namespace {}: {}", end.namespace, obstacle.message()),
            });
        }
    }
    let state = match decision.outcome() {
        Outcome::Permitted if planned.is_open() => "Open",
        Outcome::Permitted => "Opening",
        Outcome::Waiting => "Waiting",
        Outcome::Ended => "Ended",
        Outcome::Refused => "Refused",
    };
    GrantReport {
        name: planned.name.clone(),
        state,
        recipient: terms.map(|terms| terms.recipient.label()),
        direction: terms.map(|terms| terms.direction),
        data_categories: terms
            .map(|terms| terms.categories.iter().copied().collect())
            .unwrap_or_default(),
        purpose: terms.map(|terms| terms.purpose),
        closes_at: decision.end.map(|end| end.at),
        closes_because: decision.end.map(|end| end.cause.as_str()),
        reasons,
    }
}

fn vendors(world: &World) -> Vec<VendorReport> {
    let processors = world.keys(Kind::Processor);
    let processors = processors
        .iter()
        .filter_map(|key| world.processor(&key.name));
    processors
        .map(|processor| {
            let condition = |kind: &str| {
                let mut conditions = processor.status.conditions.iter();
                conditions.find(|condition| condition.type_ == kind)
            };
            let shown = condition("Approved").or_else(|| condition("Ready"));
            VendorReport {
                name: processor.meta.key.name.clone(),
                approved: shown
                    .map_or("Unknown", |condition| &condition.status)
                    .to_owned(),
                reason: shown.map_or("", |condition| &condition.reason).to_owned(),
                message: shown.map_or("", |condition| &condition.message).to_owned(),
                until: processor
                    .status
                    .approved_until
                    .as_ref()
                    .map(|until| until.0.clone()),
            }
        })
        .collect()
}

/// The net effect on each object by namespace, and how many objects' statuses are written.
fn net(changes: &[Change]) -> (BTreeMap<String, Vec<ObjectChange>>, usize) {
    let mut effects: BTreeMap<&Target, (&'static str, &Change)> = BTreeMap::new();
    let mut statuses = std::collections::BTreeSet::new();
    for change in changes {
        let target = &change.target;
        let before = effects.get(target).map(|(action, _)| *action);
        let effect = match (&change.action, before) {
            (Action::ReplaceStatus { .. }, _) => {
                statuses.insert(target);
                continue;
            }
            (
                Action::Create { .. } | Action::Apply { .. } | Action::Replace { .. },
                Some("Delete"),
            ) => "Update",
            (Action::Create { .. }, _)
            | (Action::Apply { .. } | Action::Replace { .. }, Some("Create")) => "Create",
            (
                Action::Apply { .. }
                | Action::Replace { .. }
                | Action::Mark { .. }
                | Action::Merge { .. },
                _,
            ) => "Update",
            (Action::Delete { .. } | Action::StripFinalizers { .. }, Some("Create")) => {
                effects.remove(target);
                continue;
            }
            (Action::Delete { .. } | Action::StripFinalizers { .. }, _) => "Delete",
        };
        // What made the difference first explains it best.
        let because = effects.get(target).map_or(change, |(_, first)| *first);
        effects.insert(target, (effect, because));
    }
    let mut namespaces: BTreeMap<String, Vec<ObjectChange>> = BTreeMap::new();
    for (target, (action, change)) in effects {
        statuses.remove(target);
        let objects = namespaces.entry(target.key.namespace.clone()).or_default();
        objects.push(ObjectChange {
            action,
            kind: target.kind.as_str(),
            name: target.key.name.clone(),
            why: change.why.clone(),
        });
    }
    (namespaces, statuses.len())
}
