//! The invariants of one end of a path.
//!
//! May not: find a grant's reasons all over again. What must hold of every open path is looked up; the rest is the
//! planner's, and the network tests'.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Findings, Rule, in_force, peers, selects_all};
use crate::api::names::{
    ANNOTATION_GRANT, LABEL_GRANT_NAMESPACE, LABEL_GRANT_UID, LABEL_NAMESPACE_NAME, MANAGER_TIMER,
};
use crate::api::{AssessmentOutcome, HoldEffect, Purpose};
use crate::model::{Grant, GrantTerms, ObjectKey, RecipientTerms, Target, World};
use crate::plan::NamespacePlan;

/// Checks one end of a path.
pub(super) fn check(
    findings: &mut Findings,
    target: &Target,
    policy: &NetworkPolicy,
    planned: &NamespacePlan,
    world: &World,
    now: Timestamp,
) {
    let Some((grant, terms)) = granted(findings, target, policy, planned, world, now) else {
        return;
    };
    no_hold(findings, target, world, grant, terms);
    timer(findings, target, policy, planned, world, grant, terms);
    width(findings, target, policy, world, grant, terms);
}

/// Where a hold suspends sharing or processing, at either end, nothing is open.
fn no_hold(
    findings: &mut Findings,
    target: &Target,
    world: &World,
    grant: &Grant,
    terms: &GrantTerms,
) {
    let mut ends = BTreeSet::from([&target.key.namespace, &grant.meta.key.namespace]);
    if let RecipientTerms::Namespace { name } = &terms.recipient {
        ends.insert(name);
    }
    let closes = |effect: &HoldEffect| {
        matches!(
            effect,
            HoldEffect::SuspendSharing | HoldEffect::SuspendProcessing
        )
    };
    for hold in ends
        .into_iter()
        .flat_map(|namespace| world.holds_in(namespace))
    {
        if hold.effects.iter().any(closes) {
            let message = format!("hold {} keeps every path closed", hold.meta.key);
            findings.add(Rule::NoPathUnderHold, target, message);
        }
    }
}

/// The grant that the path is for, if it may stand at all.
fn granted<'a>(
    findings: &mut Findings,
    target: &Target,
    policy: &NetworkPolicy,
    planned: &NamespacePlan,
    world: &'a World,
    now: Timestamp,
) -> Option<(&'a Grant, &'a GrantTerms)> {
    let label = |key: &str| {
        policy
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(key))
            .cloned()
    };
    let name = policy
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(ANNOTATION_GRANT));
    let key = ObjectKey::new(
        label(LABEL_GRANT_NAMESPACE).unwrap_or_default(),
        name.cloned().unwrap_or_default(),
    );
    let mut refuse = |message: String| findings.add(Rule::PathNeedsGrant, target, message);
    let Some(grant) = world.grant(&key) else {
        refuse(format!("there is no grant {key}"));
        return None;
    };
    if label(LABEL_GRANT_UID).as_ref() != Some(&grant.meta.uid) {
        refuse(format!(
            "grant {key} is another one than the path was made for"
        ));
    }
    let Ok(terms) = &grant.terms else {
        refuse(format!("grant {key} cannot be read"));
        return None;
    };
    if key.namespace == target.key.namespace
        && let Some(own) = planned.grants.iter().find(|own| own.name == key.name)
        && !own.decision.refusals.is_empty()
    {
        refuse(format!("grant {key} is refused"));
    }
    for reason in closed(world, grant, terms, now) {
        refuse(format!("grant {key}: {reason}"));
    }
    Some((grant, terms))
}

/// What must not be of any open path, looked up in the World.
fn closed(world: &World, grant: &Grant, terms: &GrantTerms, now: Timestamp) -> Vec<&'static str> {
    let source = &grant.meta.key.namespace;
    let mut reasons = Vec::new();
    let mut because = |holds: bool, reason: &'static str| {
        if holds {
            reasons.push(reason);
        }
    };
    because(grant.meta.deleting, "it is being deleted");
    because(terms.revoked.is_some(), "its tenant revoked it");
    because(
        matches!(
            terms.purpose,
            Purpose::SellDataToThirdParties | Purpose::Advertising
        ),
        "its purpose is never permitted",
    );
    because(
        terms.not_before.is_some_and(|from| now < from),
        "its window has not begun",
    );
    because(now >= terms.not_after, "its window is over");
    because(!in_force(world, source), "its namespace is not in force");
    let tenant = world
        .namespace(source)
        .and_then(|namespace| namespace.tenant.as_deref());
    let prohibited = world.prohibitions().values().any(|prohibition| {
        prohibition.binds(tenant, source) && prohibition.covers(&terms.recipient, &terms.categories)
    });
    because(prohibited, "a prohibition covers it");
    match &terms.recipient {
        RecipientTerms::Processor { name, .. } => {
            let vendor = world
                .processor(name)
                .and_then(|processor| processor.terms.as_ref().ok());
            because(
                vendor.is_none(),
                "its vendor is not registered, or cannot be read",
            );
            if let Some(vendor) = vendor {
                let agreed = vendor
                    .agreements
                    .iter()
                    .any(|(from, until)| *from <= now && now < *until);
                because(!agreed, "no agreement with its vendor is in force");
                let latest = vendor
                    .assessments
                    .iter()
                    .rfind(|(completed, ..)| *completed <= now);
                let approved = latest.is_some_and(|(_, lapses, outcome)| {
                    *outcome == AssessmentOutcome::AuditApproved && now < *lapses
                });
                because(!approved, "its vendor's assessment does not count");
            }
        }
        RecipientTerms::Namespace { name } => {
            let same = world
                .namespace(name)
                .is_some_and(|namespace| namespace.tenant.as_deref() == tenant);
            because(
                !same || tenant.is_none(),
                "its recipient is not of the same tenant",
            );
            because(!in_force(world, name), "its recipient is not in force");
            because(
                world.breached(name),
                "something in its recipient reaches further",
            );
            let accepted = world
                .acceptances_of(&grant.meta.key, name)
                .any(|acceptance| {
                    !acceptance.meta.deleting
                        && acceptance.terms.as_ref().is_ok_and(|accepted| {
                            terms.categories.is_subset(&accepted.categories)
                                && accepted.not_after.is_none_or(|until| now < until)
                        })
                });
            because(!accepted, "its recipient does not agree");
        }
    }
    reasons
}

fn timer(
    findings: &mut Findings,
    target: &Target,
    policy: &NetworkPolicy,
    planned: &NamespacePlan,
    world: &World,
    grant: &Grant,
    terms: &GrantTerms,
) {
    let mut refuse = |message: &str| findings.add(Rule::PathNeedsTimer, target, message);
    let Some(job) = planned.timers.get(&target.key.name) else {
        refuse("no timer of its name is planned");
        return;
    };
    let owners = policy
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default();
    let [owner] = owners else {
        refuse("it must have one owner, its timer");
        return;
    };
    if owner.kind != "Job" || owner.api_version != "batch/v1" || owner.name != target.key.name {
        refuse("its owner is not the Job of its name");
        return;
    }
    let Some(timer) = world
        .timer(&target.key)
        .filter(|timer| timer.meta.uid == owner.uid)
    else {
        refuse("its owner was not read back");
        return;
    };
    let sound = timer.is_ours(MANAGER_TIMER)
        && !timer.meta.deleting
        && !timer.finished
        && !timer.suspended
        && timer.finalizers.is_empty()
        && timer.ttl_seconds == Some(0);
    let Some(started) = timer.started.filter(|_| sound) else {
        refuse("its timer does not run, or would not take it away");
        return;
    };
    // The end that this namespace's plan decided; at a recipient, the end that the grant's own namespace stored.
    let own = planned.grants.iter().find(|own| {
        grant.meta.key.namespace == target.key.namespace && own.name == grant.meta.key.name
    });
    let stored = grant
        .status
        .closes_at
        .as_ref()
        .and_then(|text| crate::model::time::beginning(text).ok());
    let end = match own.map(|own| own.decision.end) {
        Some(Some(end)) => end.at.min(terms.not_after),
        Some(None) => {
            refuse("its grant has no end");
            return;
        }
        None => stored.map_or(terms.not_after, |stored| stored.min(terms.not_after)),
    };
    let ends_by = |seconds: Option<i64>| {
        let seconds = seconds.map(SignedDuration::from_secs);
        seconds
            .and_then(|seconds| started.checked_add(seconds).ok())
            .is_some_and(|deadline| deadline <= end)
    };
    let planned_seconds = job
        .spec
        .as_ref()
        .and_then(|spec| spec.active_deadline_seconds);
    // A path that already stands on this timer may stay while the timer is made shorter, and only then.
    let stands = world.policy(&target.key).is_some_and(|policy| {
        policy.owners.len() == 1
            && policy
                .owners
                .iter()
                .all(|owner| owner.uid == timer.meta.uid)
    });
    let in_time = ends_by(timer.deadline_seconds) || (stands && ends_by(planned_seconds));
    // At a recipient an end that moved later is stored by the grant's own plan, which may come after this one.
    if !in_time && (own.is_some() || !ends_by_window(started, timer.deadline_seconds, terms)) {
        refuse("its timer outlives the grant's end");
    }
}

fn ends_by_window(started: Timestamp, seconds: Option<i64>, terms: &GrantTerms) -> bool {
    seconds
        .and_then(|seconds| started.checked_add(SignedDuration::from_secs(seconds)).ok())
        .is_some_and(|deadline| deadline <= terms.not_after)
}

fn width(
    findings: &mut Findings,
    target: &Target,
    policy: &NetworkPolicy,
    world: &World,
    grant: &Grant,
    terms: &GrantTerms,
) {
    let Some(spec) = &policy.spec else {
        findings.add(
            Rule::NoWiderThanGranted,
            target,
            "it says nothing, which means everything",
        );
        return;
    };
    if selects_all(spec.pod_selector.as_ref()) {
        findings.add(Rule::OnlyFloorSelectsAll, target, "it selects every pod");
    }
    let mut refuse = |message: String| findings.add(Rule::NoWiderThanGranted, target, message);
    let at_source = target.key.namespace == grant.meta.key.namespace;
    if at_source && spec.pod_selector.as_ref() != Some(&terms.source.to_label_selector()) {
        refuse("it selects other pods than the grant".to_owned());
    }
    let portless = spec
        .ingress
        .iter()
        .flatten()
        .any(|rule| rule.ports.as_ref().is_none_or(Vec::is_empty))
        || spec
            .egress
            .iter()
            .flatten()
            .any(|rule| rule.ports.as_ref().is_none_or(Vec::is_empty));
    if portless {
        refuse("a rule of it names no port".to_owned());
    }
    let (cidrs, neighbour) = match &terms.recipient {
        RecipientTerms::Processor { name, endpoints } => {
            let vendor = world
                .processor(name)
                .and_then(|processor| processor.terms.as_ref().ok());
            let named = vendor.into_iter().flat_map(|vendor| {
                endpoints
                    .iter()
                    .filter_map(|endpoint| vendor.endpoints.get(endpoint))
            });
            let cidrs: BTreeSet<String> = named
                .flat_map(|endpoint| &endpoint.cidrs)
                .map(|(cidr, _)| cidr.to_string())
                .collect();
            (cidrs, None)
        }
        RecipientTerms::Namespace { name } => {
            let other = if at_source {
                name.clone()
            } else {
                grant.meta.key.namespace.clone()
            };
            (BTreeSet::new(), Some(other))
        }
    };
    for peers in peers(policy) {
        if peers.is_empty() {
            refuse("a rule of it is open to everybody".to_owned());
        }
        for peer in peers {
            let granted = match (&peer.ip_block, &peer.namespace_selector) {
                (Some(block), None) => cidrs.contains(&block.cidr),
                (None, Some(namespaces)) => {
                    is_exactly(namespaces, neighbour.as_deref())
                        && !selects_all(peer.pod_selector.as_ref())
                }
                _ => false,
            };
            if !granted {
                let what = peer
                    .ip_block
                    .as_ref()
                    .map_or("other pods", |block| block.cidr.as_str());
                refuse(format!(
                    "it is open to {what}, which the grant does not name"
                ));
            }
        }
    }
}

/// Whether a selector names one namespace, by the label that the API server keeps.
fn is_exactly(selector: &LabelSelector, namespace: Option<&str>) -> bool {
    namespace.is_some_and(|namespace| {
        selector
            .match_expressions
            .as_ref()
            .is_none_or(Vec::is_empty)
            && selector.match_labels.as_ref().is_some_and(|labels| {
                labels.len() == 1
                    && labels
                        .get(LABEL_NAMESPACE_NAME)
                        .is_some_and(|name| name == namespace)
            })
    })
}
