//! A linter of invariants that runs before every write: what the planner must never ask for, whatever it decided.
//!
//! It judges a plan by the World alone, in its own words, so that a mistake in the planner has to be made twice. May not:
//! decide what should stand, or borrow the planner's reasoning; of a decision it reads the refusals and the end.

mod encryption;
mod marks;
mod path;
mod retention;
mod telemetry;

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};

use crate::api::names::{
    LABEL_MANAGED_BY, LABEL_PART, MANAGED_BY_COVENANT, MANAGER_NETWORK, MANAGER_TIMER, PART_PATH,
    POLICY_DEFAULT_DENY,
};
use crate::api::{DataSharingGrantStatus, HoldEffect};
use crate::model::{Kind, ObjectKey, Stage, Target, Unit, World};
use crate::plan::{Extent, Inquiry, NamespacePlan, Plan, StatusPlan};

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A path stands only with a running timer that ends in time, as its one and only owner.
    PathNeedsTimer,
    /// A path stands only for a grant that nothing refuses.
    PathNeedsGrant,
    /// A path's policy opens what was granted, and nothing beside it.
    NoWiderThanGranted,
    /// Only the floor speaks for every pod.
    OnlyFloorSelectsAll,
    /// The floor's policies name their peers.
    FloorNamesPeers,
    /// A namespace in force is denied by default, both ways.
    DeniedByDefault,
    /// Objects of ours stand only in namespaces that are in force.
    OnlyWhereInForce,
    /// A name that somebody else's object has is not asked for.
    NameIsForeign,
    /// Objects carry our label, and are within what was planned.
    Labelled,
    /// A status says open only where the path was read back.
    OpenNeedsReadBack,
    /// No path stands where a hold suspends sharing or processing.
    NoPathUnderHold,
    /// A posture says enforced only where the floor was read back.
    EnforcedNeedsReadBack,
    /// An object goes only where the namespace is in force, the clock is trusted, a receipt can be written, every selected
    /// kind is fully read, and the object is as it was decided about.
    DisposalNeedsGround,
    /// An object goes only in the namespace that was planned, and where it is nobody else's to dispose of.
    DisposalStaysInside,
    /// An object is named once.
    DisposedOfOnce,
    /// Nothing goes under a hold, or in the grace after its release.
    NothingGoesUnderHold,
    /// Nothing goes before every minimum, its maximum and its grace, or past what guards were told.
    NothingGoesEarly,
    /// A run and a day stay within their limits, unless somebody lifted them.
    DisposalWithinLimit,
    /// A boundary never goes back while its rule stays the same.
    BoundaryOnlyAdvances,
    /// Guards are told of every minimum.
    MinimumNeedsRule,
    /// Guards are told of no class that nothing shows to be encrypted, and of nothing less than the baseline asks for.
    ClassNeedsGround,
    /// No policy of a namespace lets in or reaches an agent of a channel that the namespace opts out of.
    OptedOutMeetsNoAgent,
    /// Guards are told of every channel that a namespace opts out of, and of its agents' markers, no more and no fewer.
    OptOutNeedsGuard,
    /// A mark is one that a stopped agent reads, on the namespace or a pod of it, and nobody else's word.
    MarkNeedsOptOut,
}

/// An invariant that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub rule: Rule,
    /// The object that breaks it.
    pub target: Target,
    /// How.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?}: {}: {}",
            self.rule, self.target, self.message
        )
    }
}

/// What is found.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, rule: Rule, target: &Target, message: impl Into<String>) {
        self.0.push(Violation {
            rule,
            target: target.clone(),
            message: message.into(),
        });
    }
}

/// Every invariant that the plan breaks; none means that it may be written, and its run begun.
#[must_use]
pub fn check(plan: &Plan, world: &World, now: Timestamp) -> Vec<Violation> {
    let mut findings = Findings::default();
    if let (Some(name), Some(namespace)) = (plan.unit.namespace(), &plan.namespace) {
        objects(&mut findings, world, name, namespace);
        if namespace.extent == Extent::Whole {
            denial(&mut findings, world, name, namespace);
        } else {
            only_the_path(&mut findings, name, namespace);
        }
        for (policy_name, policy) in &namespace.policies {
            let target = Target::new(Kind::NetworkPolicy, ObjectKey::new(name, policy_name));
            if in_force(world, name) {
                telemetry::policy(&mut findings, world, name, &target, policy);
            }
            if part(policy) == Some(PART_PATH) {
                path::check(&mut findings, &target, policy, namespace, world, now);
            } else {
                floor(&mut findings, &target, policy);
            }
        }
        marks::check(&mut findings, world, name, &namespace.marks);
        posture(&mut findings, world, name, namespace);
    }
    if let (Unit::Retention(name), Some(parameters)) = (&plan.unit, &plan.parameters) {
        retention::parameters(&mut findings, world, name, parameters, now);
        encryption::parameters(&mut findings, world, name, parameters);
        telemetry::parameters(&mut findings, world, name, parameters);
    }
    for inquiry in &plan.inquiries {
        if let Inquiry::Dispose(run) = inquiry {
            let name = plan.unit.namespace().unwrap_or_default();
            retention::run(&mut findings, world, name, run, now);
        }
    }
    for status in &plan.statuses {
        open_status(&mut findings, world, status);
    }
    findings.0
}

fn part(policy: &NetworkPolicy) -> Option<&str> {
    policy
        .metadata
        .labels
        .as_ref()?
        .get(LABEL_PART)
        .map(String::as_str)
}

/// Whether the namespace is enrolled and enforced, by its own labels.
fn in_force(world: &World, name: &str) -> bool {
    let exempt = name.starts_with("kube-")
        || name == "default"
        || world.settings().operator_namespace.as_deref() == Some(name);
    !exempt
        && world.namespace(name).is_some_and(|namespace| {
            namespace.tenant.is_some()
                && !namespace.meta.deleting
                && namespace.stage() == Stage::Enforce
        })
}

fn objects(findings: &mut Findings, world: &World, name: &str, planned: &NamespacePlan) {
    let in_force = in_force(world, name);
    let policies = planned
        .policies
        .iter()
        .map(|(key, policy)| (Kind::NetworkPolicy, key, &policy.metadata));
    let timers = planned
        .timers
        .iter()
        .map(|(key, job)| (Kind::Job, key, &job.metadata));
    for (kind, key, metadata) in policies.chain(timers) {
        let target = Target::new(kind, ObjectKey::new(name, key));
        let labels = metadata.labels.as_ref();
        let ours = labels
            .and_then(|labels| labels.get(LABEL_MANAGED_BY))
            .is_some_and(|value| value == MANAGED_BY_COVENANT);
        let placed =
            metadata.name.as_ref() == Some(key) && metadata.namespace.as_deref() == Some(name);
        if !ours || !placed {
            findings.add(
                Rule::Labelled,
                &target,
                "it lacks our label, or its name or namespace is not the planned one",
            );
        }
        // While a namespace is being deleted its floor is left standing until its last pod is gone.
        let is_path = labels
            .and_then(|labels| labels.get(LABEL_PART))
            .is_some_and(|part| part == PART_PATH);
        let stays = kind == Kind::NetworkPolicy
            && !is_path
            && world
                .namespace(name)
                .is_some_and(|namespace| namespace.meta.deleting)
            && world
                .policy(&target.key)
                .is_some_and(|policy| policy.is_ours(MANAGER_NETWORK));
        // A hold cuts off what runs in the stage `observe` too.
        let cuts = key == POLICY_DEFAULT_DENY && is_suspended(world, name);
        if !in_force && !stays && !cuts {
            findings.add(
                Rule::OnlyWhereInForce,
                &target,
                "its namespace is not in force",
            );
        }
        // A taken name of the floor is reported and never written; a path's must not even be planned.
        let foreign = match kind {
            Kind::Job => world
                .timer(&target.key)
                .is_some_and(|timer| !timer.is_ours(MANAGER_TIMER)),
            _ => {
                is_path
                    && world
                        .policy(&target.key)
                        .is_some_and(|policy| !policy.is_ours(MANAGER_NETWORK))
            }
        };
        if foreign {
            findings.add(
                Rule::NameIsForeign,
                &target,
                "somebody else's object has this name",
            );
        }
    }
}

/// Whether a hold that nobody released suspends processing in the namespace.
fn is_suspended(world: &World, name: &str) -> bool {
    world
        .holds_in(name)
        .any(|hold| hold.effects.contains(&HoldEffect::SuspendProcessing))
}

/// A plan of one path names its objects and no others.
fn only_the_path(findings: &mut Findings, name: &str, planned: &NamespacePlan) {
    let policies = planned
        .policies
        .keys()
        .map(|key| (Kind::NetworkPolicy, key));
    let timers = planned.timers.keys().map(|key| (Kind::Job, key));
    for (kind, key) in policies.chain(timers) {
        if planned.extent != Extent::Path(key.clone()) {
            let target = Target::new(kind, ObjectKey::new(name, key));
            findings.add(
                Rule::Labelled,
                &target,
                "it is not the path that was planned",
            );
        }
    }
}

fn denial(findings: &mut Findings, world: &World, name: &str, planned: &NamespacePlan) {
    if in_force(world, name) {
        let denied = planned
            .policies
            .get(POLICY_DEFAULT_DENY)
            .and_then(|policy| policy.spec.as_ref())
            .is_some_and(|spec| {
                let types: BTreeSet<&str> = spec
                    .policy_types
                    .iter()
                    .flatten()
                    .map(String::as_str)
                    .collect();
                selects_all(spec.pod_selector.as_ref())
                    && types == BTreeSet::from(["Egress", "Ingress"])
                    && spec.ingress.as_ref().is_none_or(Vec::is_empty)
                    && spec.egress.as_ref().is_none_or(Vec::is_empty)
            });
        if !denied {
            let target = Target::new(
                Kind::NetworkPolicy,
                ObjectKey::new(name, POLICY_DEFAULT_DENY),
            );
            findings.add(
                Rule::DeniedByDefault,
                &target,
                "the namespace is in force and not denied by default, both ways",
            );
        }
    }
}

fn selects_all(selector: Option<&LabelSelector>) -> bool {
    selector.is_none_or(|selector| {
        selector
            .match_labels
            .as_ref()
            .is_none_or(|labels| labels.is_empty())
            && selector
                .match_expressions
                .as_ref()
                .is_none_or(Vec::is_empty)
    })
}

/// Every rule's peers, with none where the rule names none and so means everybody.
fn peers(policy: &NetworkPolicy) -> Vec<&[NetworkPolicyPeer]> {
    let Some(spec) = &policy.spec else {
        return Vec::new();
    };
    let ingress = spec
        .ingress
        .iter()
        .flatten()
        .map(|rule| rule.from.as_deref());
    let egress = spec.egress.iter().flatten().map(|rule| rule.to.as_deref());
    ingress
        .chain(egress)
        .map(Option::unwrap_or_default)
        .collect()
}

fn floor(findings: &mut Findings, target: &Target, policy: &NetworkPolicy) {
    for peers in peers(policy) {
        let everybody = |peer: &NetworkPolicyPeer| {
            let every_namespace = peer
                .namespace_selector
                .as_ref()
                .is_some_and(|selector| selects_all(Some(selector)));
            let nothing_named = peer.ip_block.is_none()
                && peer.namespace_selector.is_none()
                && peer.pod_selector.is_none();
            every_namespace || nothing_named
        };
        if peers.is_empty() || peers.iter().any(everybody) {
            findings.add(
                Rule::FloorNamesPeers,
                target,
                "a rule of it is open to every peer or every namespace",
            );
        }
    }
}

fn true_condition(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

fn open_status(findings: &mut Findings, world: &World, planned: &StatusPlan) {
    if planned.target.kind != Kind::Grant {
        return;
    }
    let Ok(status) = serde_json::from_value::<DataSharingGrantStatus>(planned.status.clone())
    else {
        findings.add(
            Rule::OpenNeedsReadBack,
            &planned.target,
            "its status cannot be read",
        );
        return;
    };
    if !true_condition(&status.conditions, "Open") {
        return;
    }
    let read_back = |path: &crate::api::PathStatus| {
        let policy = world.policy(&ObjectKey::new(&path.namespace, &path.network_policy.name));
        let timer = world.timer(&ObjectKey::new(&path.namespace, &path.timer.job));
        policy.is_some_and(|policy| {
            policy.is_ours(MANAGER_NETWORK)
                && !policy.meta.deleting
                && policy.meta.uid == path.network_policy.uid
                && policy.owners.len() == 1
                && policy
                    .owners
                    .iter()
                    .all(|owner| owner.uid == path.timer.uid)
        }) && timer.is_some_and(|timer| timer.meta.uid == path.timer.uid && timer.started.is_some())
    };
    if status.paths.is_empty() || !status.paths.iter().all(read_back) {
        findings.add(
            Rule::OpenNeedsReadBack,
            &planned.target,
            "it says Open=True, and not every end of its path was read back with its timer",
        );
    }
}

fn posture(findings: &mut Findings, world: &World, name: &str, planned: &NamespacePlan) {
    let Some(posture) = &planned.posture else {
        return;
    };
    let target = Target::new(
        Kind::Posture,
        ObjectKey::new(name, crate::api::names::POSTURE_NAME),
    );
    let enrolled = world
        .namespace(name)
        .is_some_and(|namespace| namespace.tenant.is_some());
    if !enrolled {
        findings.add(
            Rule::OnlyWhereInForce,
            &target,
            "its namespace is not enrolled",
        );
    }
    if !true_condition(&posture.status.conditions, "Enforced") {
        return;
    }
    let denied = world
        .policy(&ObjectKey::new(name, POLICY_DEFAULT_DENY))
        .is_some_and(|policy| policy.is_ours(MANAGER_NETWORK) && !policy.meta.deleting);
    if !in_force(world, name) || !denied || world.breached(name) {
        findings.add(
            Rule::EnforcedNeedsReadBack,
            &target,
            "it says Enforced=True, and the denial by default was not read back, or something reaches further",
        );
    }
}
