//! What a run of disposal and the boundaries that guards read must never ask for.
//!
//! Judged policy by policy from what is written, not from the index that the planner keeps. May not: decide what is due.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Findings, Rule};
use crate::api::names::PARAMETERS_NAME;
use crate::api::{DisposalMode, RetentionRule, RetentionStart};
use crate::model::{
    Completion, Item, Kind, KindState, Minimum, ObjectKey, ResourceKind, RetainedSince,
    RetentionPolicy, Selection, Stage, Target, World, is_never_selected, time,
};
use crate::plan::{Candidate, ParametersPlan, Run};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a run must not ask for.
pub(super) fn run(
    findings: &mut Findings,
    world: &World,
    namespace: &str,
    run: &Run,
    now: Timestamp,
) {
    let mut seen = BTreeSet::new();
    let mut by_policy: BTreeMap<&str, i64> = BTreeMap::new();
    let is_ready = is_ready(world, namespace);
    for candidate in &run.candidates {
        let policy_key = ObjectKey::new(namespace, &candidate.policy.name);
        let target = Target::new(Kind::RetentionPolicy, policy_key.clone());
        let Candidate {
            kind, key, policy, ..
        } = candidate;
        let mut object = |rule, words: &str| {
            findings.add(rule, &target, format!("{kind} {key} {words}"));
        };
        if let Some(problem) = is_ready {
            object(Rule::DisposalNeedsGround, problem);
        }
        if key.namespace != namespace || run.namespace != namespace {
            object(Rule::DisposalStaysInside, "is in another namespace");
        }
        if !seen.insert((kind, key)) {
            object(Rule::DisposedOfOnce, "is named twice");
        }
        if is_never_selected(&kind.group, &kind.kind) {
            object(
                Rule::DisposalStaysInside,
                "is of a kind that is never selected",
            );
        }
        let known = world.item(kind, key).map(|held| &held.item);
        let Some(item) =
            known.filter(|item| *item.uid == *candidate.uid && *item.version == *candidate.version)
        else {
            object(Rule::DisposalNeedsGround, "is not as it was decided about");
            continue;
        };
        if item.ours || item.deleting || item.controlled || item.tracker.is_some() {
            object(
                Rule::DisposalStaysInside,
                "is ours, going already, or somebody else's to dispose of",
            );
        }
        if is_held(world, key, kind, item) {
            object(Rule::NothingGoesUnderHold, "is under a hold");
        }
        if let Some(by) = kept_by(world, kind, key, item, now) {
            object(Rule::NothingGoesEarly, &format!("is kept by {by}"));
        }
        if guards_keep(world, kind, key, item) {
            object(
                Rule::NothingGoesEarly,
                "would be refused by guards, as far as they have been told",
            );
        }
        let asked = world.retention_policy(&policy_key).filter(|known| {
            known.meta.uid == policy.uid && known.meta.generation == policy.generation
        });
        if !asked.is_some_and(|policy| asks(world, policy, kind, key, item, now)) {
            object(
                Rule::NothingGoesEarly,
                "is not past its maximum and its grace under the policy that is named",
            );
        }
        if asked.is_some_and(|policy| !is_read(world, policy)) {
            object(
                Rule::DisposalNeedsGround,
                "goes while a kind that its policy selects is not fully read",
            );
        }
        *by_policy.entry(&policy.name).or_default() += 1;
    }
    limit(findings, world, namespace, &by_policy, now);
}

/// What must hold for anything to go, but does not.
fn is_ready(world: &World, namespace: &str) -> Option<&'static str> {
    let enrolled = world.namespace(namespace);
    let in_force = enrolled.is_some_and(|namespace| {
        namespace.tenant.is_some()
            && !namespace.meta.deleting
            && namespace.stage() == Stage::Enforce
    });
    if !in_force {
        Some("is in a namespace that is not in force")
    } else if world.clock_problem().is_some() {
        Some("goes by a clock that is doubted")
    } else if world.ledger().is_none_or(|ledger| ledger.problem.is_some()) {
        Some("goes while no receipt can be written")
    } else {
        None
    }
}

fn is_read(world: &World, policy: &RetentionPolicy) -> bool {
    let mut selections = policy.selections.iter();
    selections.all(|selection| world.kind_state(&selection.kind) == KindState::Synced)
}

fn is_held(world: &World, key: &ObjectKey, kind: &ResourceKind, item: &Item) -> bool {
    world.holds_in(&key.namespace).any(|hold| {
        let restored = hold
            .status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Restored" && condition.status == "True");
        let over = hold.release.is_some() && restored;
        let labelled = hold
            .scope
            .match_labels
            .iter()
            .all(|(label, value)| item.label(label) == Some(value));
        !over && labelled && hold.scope.covers_kind(&kind.group, &kind.kind)
    })
}

fn begins(starts_at: Option<RetentionStart>, item: &Item) -> Option<Timestamp> {
    match (starts_at?, item.retained_since, item.completion) {
        (RetentionStart::CompletedAt, _, Completion::At(at)) => Some(at),
        (RetentionStart::CompletedAt, ..) => None,
        (RetentionStart::RetainedSince, RetainedSince::At(at), _) => Some(at),
        (RetentionStart::RetainedSince, RetainedSince::Unreadable, _) => None,
        _ => item.created,
    }
}

fn has(selections: &[Selection], kind: &ResourceKind, key: &ObjectKey, item: &Item) -> bool {
    selections.iter().any(|selection| {
        selection.kind.group == kind.group
            && selection.kind.kind == kind.kind
            && (selection.names.is_empty() || selection.names.contains(&key.name))
            && key
                .name
                .starts_with(selection.name_prefix.as_deref().unwrap_or_default())
            && selection
                .match_labels
                .iter()
                .all(|(label, value)| item.label(label) == Some(value))
    })
}

/// Whose minimum still runs, if any does.
fn kept_by(
    world: &World,
    kind: &ResourceKind,
    key: &ObjectKey,
    item: &Item,
    now: Timestamp,
) -> Option<String> {
    let runs = |starts_at, minimum: &Minimum| match (minimum, begins(starts_at, item)) {
        (Minimum::Period(period), Some(start)) => {
            !time::after(start, period).is_ok_and(|end| end <= now)
        }
        _ => true,
    };
    let policies = world
        .retention_policies_in(&key.namespace)
        .filter(|policy| {
            let minimum = policy.at_least.as_ref();
            has(&policy.selections, kind, key, item)
                && minimum.is_some_and(|minimum| runs(policy.starts_at, minimum))
        });
    let mut names = policies.map(|policy| format!("RetentionPolicy {}", policy.meta.key.name));
    names.next().or_else(|| {
        let baseline = &world.namespace(&key.namespace)?.baseline;
        let minimums = &world.baseline(baseline)?.minimums;
        let mut rules = minimums.rules.iter();
        let keeps = rules.any(|rule| {
            let minimum = rule.at_least.as_ref();
            has(&rule.selections, kind, key, item)
                && minimum.is_some_and(|minimum| runs(rule.starts_at, minimum))
        });
        keeps.then(|| format!("TenantBaseline {baseline}"))
    })
}

fn guards_keep(world: &World, kind: &ResourceKind, key: &ObjectKey, item: &Item) -> bool {
    let Some(parameters) = world.parameters(&key.namespace) else {
        return false;
    };
    let Some(spec) = &parameters.spec else {
        return true;
    };
    spec.retention.iter().any(|rule| {
        let selects = (rule.kind == "*"
            || (rule.kind == kind.kind && rule.api_group == kind.group))
            && (rule.names.is_empty() || rule.names.contains(&key.name))
            && key
                .name
                .starts_with(rule.name_prefix.as_deref().unwrap_or_default())
            && rule
                .match_labels
                .iter()
                .all(|(label, value)| item.label(label) == Some(value));
        let boundary = boundary(rule);
        let free = begins(Some(rule.starts_at), item)
            .zip(boundary)
            .is_some_and(|(start, boundary)| start <= boundary);
        selects && !free
    })
}

fn boundary(rule: &RetentionRule) -> Option<Timestamp> {
    let text = rule.started_before.as_ref()?;
    time::beginning(text).ok()
}

/// Whether a policy asks for an object to go now.
fn asks(
    world: &World,
    policy: &RetentionPolicy,
    kind: &ResourceKind,
    key: &ObjectKey,
    item: &Item,
    now: Timestamp,
) -> bool {
    let grace = world
        .namespace(&key.namespace)
        .and_then(|namespace| world.baseline(&namespace.baseline))
        .and_then(|baseline| baseline.terms.as_ref().ok())
        .map(|terms| &terms.disposal.grace);
    let over = |from: Timestamp| grace.is_some_and(|grace| time::grace_end(from, grace) <= now);
    let maximum = policy
        .at_most
        .as_ref()
        .zip(begins(policy.starts_at, item))
        .and_then(|(period, start)| time::after(start, period).ok());
    policy.mode == DisposalMode::Dispose
        && policy.errors.is_empty()
        && has(&policy.selections, kind, key, item)
        && maximum.is_some_and(over)
        && policy.since().is_some_and(over)
}

fn limit(
    findings: &mut Findings,
    world: &World,
    namespace: &str,
    by_policy: &BTreeMap<&str, i64>,
    now: Timestamp,
) {
    let bounds = world
        .namespace(namespace)
        .and_then(|namespace| world.baseline(&namespace.baseline))
        .and_then(|baseline| baseline.terms.as_ref().ok())
        .map(|terms| terms.disposal.clone())
        .unwrap_or_default();
    let today = world
        .disposals_in(namespace)
        .filter(|(at, _)| now.duration_since(*at) < DAY)
        .map(|(_, number)| number);
    let mut left = bounds
        .maximum_per_day
        .saturating_sub(today.fold(0, i64::saturating_add));
    for (name, number) in by_policy {
        let target = Target::new(Kind::RetentionPolicy, ObjectKey::new(namespace, *name));
        let Some(policy) = world.retention_policy(&target.key) else {
            continue;
        };
        let stored = policy.status.disposed.as_ref();
        let total = stored.map_or(0, |disposed| disposed.total);
        let generation = policy.meta.generation;
        let decisions = policy.decisions.iter();
        let lifted = decisions
            .filter(|decision| decision.generation == generation)
            .map(|decision| decision.until_total.saturating_sub(total))
            .max();
        let past = *number > bounds.maximum_per_run || *number > left;
        if past && lifted.is_none_or(|lifted| *number > lifted) {
            findings.add(
                Rule::DisposalWithinLimit,
                &target,
                format!(
                    "{number} objects would go, and {} a run and {left} more today may",
                    bounds.maximum_per_run
                ),
            );
        }
        left = left.saturating_sub(*number).max(0);
    }
}

/// What guards must not be told.
pub(super) fn parameters(
    findings: &mut Findings,
    world: &World,
    namespace: &str,
    planned: &ParametersPlan,
    now: Timestamp,
) {
    let target = Target::new(
        Kind::GuardParameters,
        ObjectKey::new(namespace, PARAMETERS_NAME),
    );
    let rules = planned.spec.iter().flat_map(|spec| &spec.retention);
    let stored = world.parameters(namespace);
    let stored = stored.and_then(|parameters| parameters.spec.as_ref());
    let stored: Vec<&RetentionRule> = stored
        .into_iter()
        .flat_map(|spec| &spec.retention)
        .collect();
    for rule in rules.clone() {
        let unbounded = |rule: &RetentionRule| RetentionRule {
            started_before: None,
            ..rule.clone()
        };
        let (new, same) = (boundary(rule), unbounded(rule));
        let before = stored.iter().find(|stored| unbounded(stored) == same);
        let old = before.and_then(|before| boundary(before));
        if old.is_some() && new < old {
            findings.add(
                Rule::BoundaryOnlyAdvances,
                &target,
                format!("the boundary of {} would go back", rule.rule),
            );
        }
        let period = crate::api::PeriodText(rule.at_least.clone());
        let is_early =
            |boundary: Timestamp| !time::after(boundary, &period).is_ok_and(|end| end <= now);
        if new > old && (new.is_some_and(is_early) || world.clock_problem().is_some()) {
            findings.add(
                Rule::NothingGoesEarly,
                &target,
                format!(
                    "the boundary of {} would let go what is within its minimum",
                    rule.rule
                ),
            );
        }
    }
    // A minimum that is written has a rule, or everything is kept.
    let everything = rules.clone().any(|rule| rule.kind == "*");
    let kept = |selection: &Selection, source: &str| {
        rules.clone().any(|rule| {
            rule.rule == source
                && rule.kind == selection.kind.kind
                && rule.api_group == selection.kind.group
                && rule.match_labels == selection.match_labels
        })
    };
    if everything || !super::in_force(world, namespace) {
        return;
    }
    for policy in world.retention_policies_in(namespace) {
        let source = format!("RetentionPolicy {}", policy.meta.key.name);
        let missing = policy.at_least.is_some()
            && !policy
                .selections
                .iter()
                .all(|selection| kept(selection, &source));
        if missing {
            findings.add(
                Rule::MinimumNeedsRule,
                &target,
                format!("the minimum of {source} is left out"),
            );
        }
    }
}
