//! `plan(world, unit, now)`: what must exist, what the statuses say and why, and when the answer next changes.
//!
//! A plan leaves its executor no choices. Planning is idempotent, independent of the order in which the World was
//! filled, and bounded by one unit: a namespace with its grants, one of these grants, what is kept and
//! disposed of in it, or one cluster-scoped object.
//!
//! May not: do I/O, know a clock, or write anything that [`crate::check`] would refuse.

mod announcement;
mod decision;
mod encryption;
mod hold;
mod inquiry;
mod losses;
mod name;
mod network;
mod parameters;
mod path;
mod posture;
mod proof;
mod reason;
mod restraint;
mod retention;
mod sharing;
mod standing;
mod status;
mod telemetry;
mod timer;
mod vendor;
mod volume;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;

use crate::api::{
    DataHandlingPostureSpec, DataHandlingPostureStatus, GuardParametersSpec, MarkerSet,
};
use crate::model::{Grant, ObjectKey, Target, Unit, World};

pub use decision::{Decision, End, Outcome};
pub use inquiry::{Candidate, Inquiry, RuleRef, Run};
pub use path::{PathEnd, PathState};
pub use proof::deviations;
pub use reason::{EndCause, Obstacle, Refusal};
pub use restraint::{Cut, closing, cut};
pub use retention::{Fate, FateRule, Withheld, fate, preview};
pub use sharing::decide;
pub use standing::{Floor, Standing, standing};
pub use timer::deadline_of;
pub use volume::VolumePlan;

/// The plan of one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What was planned.
    pub unit: Unit,
    /// What must exist in a namespace. None for cluster-scoped units, and for a grant that is not there.
    pub namespace: Option<NamespacePlan>,
    /// What guards must read of the namespace. None where the plan says nothing about it.
    pub parameters: Option<ParametersPlan>,
    /// Statuses of the unit's objects, whether they changed or not.
    pub statuses: Vec<StatusPlan>,
    /// What must be asked or done that is no write.
    pub inquiries: Vec<Inquiry>,
    /// The next instant at which this plan changes by time alone.
    pub next: Option<Timestamp>,
}

/// How much of a namespace a plan speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Everything in it.
    Whole,
    /// The policy and the timer of this name, and the one grant that they are for.
    Path(String),
}

/// What must exist in a namespace. What is ours, within the extent and not listed must go.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespacePlan {
    /// How much of the namespace this speaks of.
    pub extent: Extent,
    /// Whether and how the namespace is enrolled.
    pub standing: Standing,
    /// The namespace's own grants within the extent, with what was decided, by name.
    pub grants: Vec<GrantPlan>,
    /// NetworkPolicies by name: the baseline's, and those of paths that may stand now.
    pub policies: BTreeMap<String, NetworkPolicy>,
    /// Timers by name. A path's timer stands before its policy does.
    pub timers: BTreeMap<String, Job>,
    /// Volumes behind the namespace's claims that are not as they must be.
    pub volumes: Vec<VolumePlan>,
    /// Markers to be put on or taken off.
    pub marks: Vec<MarkPlan>,
    /// The posture; none where there must be none.
    pub posture: Option<PosturePlan>,
}

/// All annotations and labels that are to be Covenant's on a namespace or a pod, so that agents leave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkPlan {
    /// The object.
    pub target: Target,
    /// Its uid.
    pub uid: String,
    /// What is to be Covenant's; what was and is not here goes.
    pub marks: MarkerSet,
}

/// What was decided about a grant.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantPlan {
    /// Name.
    pub name: String,
    /// The decision.
    pub decision: Decision,
    /// The ends of its path, where the decision is to open.
    pub ends: Vec<(PathEnd, PathState)>,
}

impl GrantPlan {
    /// Whether every end of the path was read back as open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.ends.is_empty()
            && self
                .ends
                .iter()
                .all(|(_, state)| matches!(state, PathState::Open { .. }))
    }
}

/// A namespace's posture.
#[derive(Clone, Debug, PartialEq)]
pub struct PosturePlan {
    /// Spec.
    pub spec: DataHandlingPostureSpec,
    /// Status.
    pub status: DataHandlingPostureStatus,
}

/// What guards must read of a namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct ParametersPlan {
    /// The spec of its GuardParameters; none where there must be none.
    pub spec: Option<GuardParametersSpec>,
}

/// The status that an object must have.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusPlan {
    /// The object.
    pub target: Target,
    /// Its uid.
    pub uid: String,
    /// The whole status.
    pub status: Value,
    /// Whether it differs from the stored one.
    pub changed: bool,
    /// Transitions that people should hear of, told once the status is stored.
    pub notices: Vec<Notice>,
}

/// A transition, for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Reason in CamelCase.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// Whether somebody should look.
    pub warning: bool,
}

/// Plans one unit.
#[must_use]
pub fn plan(world: &World, unit: &Unit, now: Timestamp) -> Plan {
    match unit {
        Unit::Namespace(name) => plan_namespace(world, name, now),
        Unit::Grant(key) => plan_grant(world, key, now),
        Unit::Retention(name) => retention::plan_retention(world, name, now),
        Unit::Processor(name) => plan_status(unit, status::of_processor(world, name, now)),
        Unit::Prohibition(name) => plan_status(unit, status::of_prohibition(world, name, now)),
        Unit::Baseline(name) => plan_baseline(world, name, now),
    }
}

fn plan_status(unit: &Unit, planned: Option<(StatusPlan, Option<Timestamp>)>) -> Plan {
    let (status, next) = planned.unzip();
    Plan {
        unit: unit.clone(),
        namespace: None,
        parameters: None,
        statuses: status.into_iter().collect(),
        inquiries: Vec::new(),
        next: next.flatten(),
    }
}

fn plan_baseline(world: &World, name: &str, now: Timestamp) -> Plan {
    let secrets = encryption::verified(world, name, now);
    let announcement = announcement::announcement(world, name);
    let told = status::BaselineTold {
        secrets: secrets.told,
        announced: announcement.told,
    };
    let status = status::of_baseline(world, name, told, now);
    let inquiries = secrets.inquiry.into_iter().chain(announcement.inquiry);
    Plan {
        inquiries: inquiries.collect(),
        ..plan_status(
            &Unit::Baseline(name.to_owned()),
            status.map(|status| (status, secrets.next)),
        )
    }
}

/// What stands for the paths of a namespace.
#[derive(Default)]
struct Stand {
    policies: BTreeMap<String, NetworkPolicy>,
    timers: BTreeMap<String, Job>,
    next: decision::Earliest,
}

impl Stand {
    /// Decides about a grant and takes in the ends of its path that stand in `namespace`.
    fn take(&mut self, world: &World, namespace: &str, grant: &Grant, now: Timestamp) -> GrantPlan {
        let decision = decide(world, grant, now);
        let ends = path::ends(world, grant, &decision, now);
        for (end, state) in ends.iter().filter(|(end, _)| end.namespace == namespace) {
            self.next.note(state.next(), now);
            let timer = state.timer().map(|job| (end.name.clone(), job.clone()));
            self.timers.extend(timer);
            let policy = state.policy();
            let policy = policy.map(|policy| (end.name.clone(), policy.clone()));
            self.policies.extend(policy);
        }
        self.next.note(decision.next, now);
        GrantPlan {
            name: grant.meta.key.name.clone(),
            decision,
            ends,
        }
    }
}

fn plan_namespace(world: &World, name: &str, now: Timestamp) -> Plan {
    let standing = standing(world, name);
    let mut stand = Stand {
        policies: network::floor(world, name, &standing),
        ..Stand::default()
    };
    let mut grants = Vec::new();
    let mut statuses = Vec::new();
    for grant in world.grants_in(name) {
        let planned = stand.take(world, name, grant, now);
        statuses.push(status::of_grant(world, grant, &planned, now));
        grants.push(planned);
    }
    let mut received = Vec::new();
    for grant in world.grants_to(name) {
        let planned = stand.take(world, name, grant, now);
        received.push((grant, planned.ends));
    }
    for acceptance in world.acceptances_in(name) {
        statuses.push(status::of_acceptance(world, acceptance, now));
    }
    let Stand {
        policies,
        timers,
        mut next,
    } = stand;
    let channels = telemetry::channels(world, name, &standing, &policies);
    for opt_out in world.opt_outs_in(name) {
        statuses.push(telemetry::of_opt_out(
            world, opt_out, &channels, &standing, now,
        ));
    }
    let volumes = volume::volumes(world, name);
    let mut inquiries = Vec::new();
    for hold in world.holds_in(name) {
        let planned = hold::of_hold(world, hold, &standing, &grants, &policies, &volumes, now);
        statuses.push(planned.status);
        inquiries.extend(planned.inquiries);
        next.note(planned.next, now);
    }
    // Each hold of a namespace asks for the same survey.
    inquiries.dedup();
    let paths = posture::Paths {
        grants: &grants,
        received: &received,
    };
    let posture = posture::posture(world, name, &standing, &paths, &policies, &channels, now);
    let (posture, changes_at) = posture.unzip();
    next.note(changes_at.flatten(), now);
    let namespace = NamespacePlan {
        extent: Extent::Whole,
        grants,
        policies,
        timers,
        marks: telemetry::marks(world, name, &standing),
        volumes,
        standing,
        posture,
    };
    Plan {
        unit: Unit::Namespace(name.to_owned()),
        namespace: Some(namespace),
        parameters: None,
        statuses,
        inquiries,
        next: next.instant(),
    }
}

fn plan_grant(world: &World, key: &ObjectKey, now: Timestamp) -> Plan {
    let unit = Unit::Grant(key.clone());
    let Some(grant) = world.grant(key) else {
        return plan_status(&unit, None);
    };
    let mut stand = Stand::default();
    let planned = stand.take(world, &key.namespace, grant, now);
    let statuses = vec![status::of_grant(world, grant, &planned, now)];
    let namespace = NamespacePlan {
        extent: Extent::Path(name::of_path(&grant.meta, &key.namespace)),
        standing: standing(world, &key.namespace),
        grants: vec![planned],
        policies: stand.policies,
        timers: stand.timers,
        volumes: Vec::new(),
        marks: Vec::new(),
        posture: None,
    };
    Plan {
        unit,
        namespace: Some(namespace),
        parameters: None,
        statuses,
        inquiries: Vec::new(),
        next: stand.next.instant(),
    }
}
