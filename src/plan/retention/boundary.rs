//! What guards must read: one rule for each selection with a minimum, and up to which start objects are free.
//!
//! A boundary only ever advances while its rule stays the same, and only when that frees an object, so that writes are in
//! proportion to what is freed. May not: look at a clock that is doubted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::{PeriodText, RetentionRule, RetentionStart, WhenText};
use crate::model::{
    Completion, Held, KindState, Minimum, ResourceKind, RetainedSince, Rule, Selection, Shelf,
    Source, World, time,
};
use crate::plan::Standing;
use crate::plan::decision::Earliest;

/// Guards read no more rules than this.
const MOST_RULES: usize = 64;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What guards must read.
#[derive(Default)]
pub(super) struct Boundaries {
    /// The minimums.
    pub rules: Vec<RetentionRule>,
    /// Stored rules that stay because what they were made of cannot be read; or the one that keeps everything.
    pub staying: Vec<RetentionRule>,
    /// Whether there are more minimums than guards read.
    pub too_many: bool,
    /// When the next object is freed.
    pub next: Option<Timestamp>,
}

/// What guards must read of a namespace.
pub(super) fn boundaries(
    world: &World,
    namespace: &str,
    standing: &Standing,
    now: Timestamp,
) -> Boundaries {
    let baseline = match standing {
        Standing::InForce { baseline, .. } | Standing::Observing { baseline, .. } => baseline,
        Standing::Terminating { .. } | Standing::NotEnrolled | Standing::Exempt => {
            return Boundaries::default();
        }
    };
    let stored = stored(world, namespace);
    let mut next = Earliest::default();
    let mut rules = Vec::new();
    if let Some(shelf) = world.shelf(namespace) {
        for (index, rule) in shelf.rules().iter().enumerate() {
            let Some(minimum) = &rule.at_least else {
                continue;
            };
            for selection in &rule.selections {
                let mut made = rule_of(rule, minimum, selection);
                let before = stored.iter().find(|known| is_same(known, &made));
                made.started_before = match readable(rule) {
                    None => None,
                    Some(period) => {
                        let advance = Advance {
                            world,
                            shelf,
                            index,
                            period,
                            kind: &selection.kind,
                            now,
                        };
                        advance.boundary(before, &mut next)
                    }
                };
                rules.push(made);
            }
        }
    }
    let mut staying = staying(world, namespace, baseline, stored, &rules);
    rules.extend(staying.iter().cloned());
    rules.sort_by(|a, b| order(a).cmp(&order(b)));
    rules.dedup();
    let too_many = rules.len() > MOST_RULES;
    if too_many {
        rules = vec![everything()];
        staying.clone_from(&rules);
    }
    Boundaries {
        rules,
        staying,
        too_many,
        next: next.instant(),
    }
}

/// The rules that guards read now.
pub(super) fn stored<'a>(world: &'a World, namespace: &str) -> &'a [RetentionRule] {
    let spec = world
        .parameters(namespace)
        .and_then(|parameters| parameters.spec.as_ref());
    spec.map(|spec| spec.retention.as_slice())
        .unwrap_or_default()
}

fn readable(rule: &Rule) -> Option<&PeriodText> {
    match (&rule.at_least, rule.starts_at) {
        (Some(Minimum::Period(period)), Some(_)) => Some(period),
        _ => None,
    }
}

fn rule_of(rule: &Rule, minimum: &Minimum, selection: &Selection) -> RetentionRule {
    let at_least = match (minimum, rule.starts_at) {
        // Another text than before, so that nothing of what was free stays so.
        (_, None) => "unreadable",
        (Minimum::Period(period), _) => period.0.as_str(),
        (Minimum::Forever(written), _) => written.as_str(),
    };
    RetentionRule {
        rule: rule.source.label(),
        api_group: selection.kind.group.clone(),
        kind: selection.kind.kind.clone(),
        match_labels: selection.match_labels.clone(),
        names: selection.names.iter().cloned().collect(),
        name_prefix: selection.name_prefix.clone(),
        starts_at: rule.starts_at.unwrap_or_default(),
        at_least: at_least.to_owned(),
        started_before: None,
    }
}

/// Keeps everything in the namespace.
fn everything() -> RetentionRule {
    RetentionRule {
        rule: format!("more than {MOST_RULES} rules"),
        api_group: "*".to_owned(),
        kind: "*".to_owned(),
        ..RetentionRule::default()
    }
}

/// Rules of a policy or baseline of which something cannot be read stay as they are stored.
fn staying(
    world: &World,
    namespace: &str,
    baseline: &str,
    stored: &[RetentionRule],
    made: &[RetentionRule],
) -> Vec<RetentionRule> {
    let mut unreadable: Vec<String> = world
        .retention_policies_in(namespace)
        .filter(|policy| policy.has_unreadable_selection)
        .map(|policy| Source::Policy(policy.meta.key.name.clone()).label())
        .collect();
    let known = world.baseline(baseline);
    if known.is_none_or(|known| known.minimums.has_unreadable) {
        unreadable.push(Source::Baseline(baseline.to_owned(), 0).label());
    }
    let stays = |rule: &&RetentionRule| {
        unreadable.contains(&rule.rule) && !made.iter().any(|made| is_same(made, rule))
    };
    stored.iter().filter(stays).cloned().collect()
}

type Order<'a> = (
    (&'a str, &'a str, &'a str),
    &'a BTreeMap<String, String>,
    &'a [String],
    Option<&'a str>,
    u8,
    &'a str,
);

fn order(rule: &RetentionRule) -> Order<'_> {
    let starts_at = match rule.starts_at {
        RetentionStart::CreatedAt => 0,
        RetentionStart::CompletedAt => 1,
        RetentionStart::RetainedSince => 2,
    };
    (
        (&rule.rule, &rule.api_group, &rule.kind),
        &rule.match_labels,
        &rule.names,
        rule.name_prefix.as_deref(),
        starts_at,
        &rule.at_least,
    )
}

/// Whether two rules are one but for how far they have come.
pub(super) fn is_same(one: &RetentionRule, other: &RetentionRule) -> bool {
    order(one) == order(other)
}

/// How far a boundary has come; none where everything is kept.
pub(super) fn instant(text: Option<&WhenText>) -> Option<Timestamp> {
    text.and_then(|text| time::beginning(text).ok())
}

struct Advance<'a> {
    world: &'a World,
    shelf: &'a Shelf,
    index: usize,
    period: &'a PeriodText,
    kind: &'a ResourceKind,
    now: Timestamp,
}

impl Advance<'_> {
    fn boundary(&self, before: Option<&RetentionRule>, next: &mut Earliest) -> Option<WhenText> {
        let stored = before.and_then(|rule| rule.started_before.as_ref());
        if self.world.clock_problem().is_some() {
            return stored.cloned();
        }
        let Ok(latest) = time::latest_start(self.now, self.period) else {
            return stored.cloned();
        };
        let following = self.shelf.next_start(self.index, latest);
        let freed_at = following.and_then(|start| time::kept_until(start, self.period).ok());
        next.note(freed_at, self.now);
        let freed = self.shelf.last_start(self.index, latest);
        // Objects begin at whole seconds, but for what an annotation says.
        let reach =
            |latest: Timestamp| freed.map_or(second(latest), |freed| freed.max(second(latest)));
        let Some(known) = instant(stored) else {
            return Some(time::text(reach(latest)));
        };
        let frees = freed.is_some_and(|freed| freed > known);
        let reached = if frees {
            reach(latest)
        } else {
            self.unseen(next).unwrap_or(known)
        };
        if reached > known {
            Some(time::text(reached))
        } else {
            stored.cloned()
        }
    }

    /// Where objects cannot be seen, nobody knows which are freed: the boundary advances once a day.
    fn unseen(&self, next: &mut Earliest) -> Option<Timestamp> {
        let state = self.world.kind_state(self.kind);
        if !matches!(
            state,
            KindState::Forbidden { .. } | KindState::Failing { .. }
        ) {
            return None;
        }
        let seconds = self.now.as_second();
        let day = seconds - seconds.rem_euclid(DAY.as_secs());
        let today = Timestamp::from_second(day).unwrap_or(self.now);
        next.note(today.checked_add(DAY).ok(), self.now);
        time::latest_start(today, self.period).ok().map(second)
    }
}

fn second(instant: Timestamp) -> Timestamp {
    let fraction = instant.as_nanosecond().rem_euclid(1_000_000_000);
    Timestamp::from_nanosecond(instant.as_nanosecond() - fraction).unwrap_or(instant)
}

/// Whether guards that read this rule refuse to let an object go.
pub(super) fn refuses(rule: &RetentionRule, held: &Held) -> bool {
    selects(rule, held)
        && match (start(rule, held), instant(rule.started_before.as_ref())) {
            (Some(start), Some(boundary)) => start > boundary,
            _ => true,
        }
}

fn selects(rule: &RetentionRule, held: &Held) -> bool {
    let is_kind = (rule.api_group == held.kind.group && rule.kind == held.kind.kind)
        || (rule.api_group == "*" && rule.kind == "*");
    is_kind
        && (rule.names.is_empty() || rule.names.iter().any(|name| **name == *held.name))
        && rule
            .name_prefix
            .as_ref()
            .is_none_or(|prefix| held.name.starts_with(prefix.as_str()))
        && held.item.has_labels(&rule.match_labels)
}

fn start(rule: &RetentionRule, held: &Held) -> Option<Timestamp> {
    let item = &held.item;
    match (rule.starts_at, item.retained_since, item.completion) {
        (RetentionStart::CreatedAt, ..)
        | (RetentionStart::RetainedSince, RetainedSince::Absent, _) => item.created,
        (RetentionStart::RetainedSince, RetainedSince::At(at), _)
        | (RetentionStart::CompletedAt, _, Completion::At(at)) => Some(at),
        _ => None,
    }
}
