//! What becomes of the objects under each policy of a namespace: what is due, what is past its maximum and kept all the same
//! and by what, and when any of that next changes.
//!
//! An object is past its maximum when `keep.atMost` after its start has passed; it is eligible when the longest minimum of all
//! policies and baselines has passed too, and goes when the grace has passed after that and after the policy's generation
//! was first stored. Each policy is judged by itself, so that an edit of one never delays what another has due.
//!
//! May not: look at objects whose time has not come, beyond the next day.

use jiff::{SignedDuration, Timestamp};

use super::boundary::refuses;
use super::fate::Withheld;
use super::ground::Ground;
use super::limit::{Day, Limit};
use crate::api::DisposalMode;
use crate::model::{Held, Keep, Minimum, RetentionPolicy, Source, Terms, time};
use crate::plan::decision::Earliest;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What becomes of the objects under one policy.
#[derive(Default)]
pub(super) struct Judged<'a> {
    /// How many objects it selects; none while a kind is not fully read.
    pub matched: Option<usize>,
    /// Whether it has a maximum that could be judged by.
    pub is_judged: bool,
    /// Objects that are past its maximum.
    pub verdicts: Vec<Verdict<'a>>,
    /// What the limit says of those that are due.
    pub limit: Limit,
    /// How many objects follow within a day.
    pub within_a_day: usize,
    /// When the next one is due.
    pub next_at: Option<Timestamp>,
    /// When any of this changes by time alone.
    pub next: Option<Timestamp>,
}

/// What becomes of an object that is past its maximum.
pub(super) struct Verdict<'a> {
    pub held: &'a Held,
    /// When it goes, as far as time says; none while a minimum keeps it for good.
    pub goes_at: Option<Timestamp>,
    /// What keeps it first.
    pub withheld: Option<Withheld>,
}

/// Judges every policy of the namespace, in the order of their names.
pub(super) fn judge<'a>(ground: &Ground<'a>) -> Vec<Judged<'a>> {
    let mut day = Day::of(ground);
    let policies = ground.world.retention_policies_in(ground.namespace);
    policies
        .map(|policy| judge_one(ground, policy, &mut day))
        .collect()
}

/// The total that a policy disposed of, with runs that its status does not contain yet.
pub(super) fn disposed_total(ground: &Ground<'_>, policy: &RetentionPolicy) -> i64 {
    let stored = policy.status.disposed.as_ref();
    let stored = stored.map_or(0, |disposed| disposed.total);
    let runs = ground.world.runs_in(ground.namespace).iter();
    let parts = runs.filter_map(|run| Some((run.at, run.policies.get(&policy.meta.uid)?)));
    parts
        .filter(|(at, part)| part.is_beyond(*at, policy))
        .fold(stored, |total, (_, part)| {
            total.saturating_add(part.disposed)
        })
}

fn judge_one<'a>(ground: &Ground<'a>, policy: &RetentionPolicy, day: &mut Day) -> Judged<'a> {
    let mut judged = Judged::default();
    let Some((shelf, rule)) = place(ground, policy) else {
        return judged;
    };
    if ground.world.clock_problem().is_some() || ground.unread(policy).is_some() {
        return judged;
    }
    judged.matched = Some(shelf.matched(rule));
    if policy.at_most.is_none() || !policy.errors.is_empty() {
        return judged;
    }
    judged.is_judged = true;
    let now = ground.now;
    let tomorrow = now.checked_add(DAY).unwrap_or(Timestamp::MAX);
    let yesterday = |at: Timestamp| at.checked_sub(DAY).ok();
    let since = policy.since().unwrap_or(now);
    let goes_at = |eligible: Timestamp| time::grace_over(eligible.max(since), &ground.bounds.grace);
    let mut next = Earliest::default();
    let mut next_at = Earliest::default();
    for (eligible, held) in shelf.free(rule, None, Some(tomorrow)) {
        let goes = goes_at(eligible);
        next.note(goes, now);
        next.note(yesterday(goes), now);
        let kept = ground.obstacle(held).or_else(|| stays(ground, held));
        let kept = kept.or_else(|| (goes > now).then_some(Withheld::Grace(goes)));
        if matches!(kept, Some(Withheld::Grace(_))) {
            judged.within_a_day += usize::from(goes <= tomorrow);
            next_at.note(goes, now);
        }
        if eligible > now {
            next.note(eligible, now);
            continue;
        }
        judged.verdicts.push(Verdict {
            held,
            goes_at: Some(goes),
            withheld: kept,
        });
    }
    for (_, held) in shelf.kept(rule, None, Some(now)) {
        let terms = shelf.terms(held);
        let eligible = eligible(&terms, rule);
        let by_time = held.item.tracker.is_none() && !held.item.controlled;
        if by_time && eligible.is_some_and(|eligible| eligible <= now) {
            continue;
        }
        next.note(eligible, now);
        judged.verdicts.push(Verdict {
            held,
            goes_at: eligible.filter(|_| by_time).map(goes_at),
            withheld: kept(ground, held, terms.minimum),
        });
    }
    let beyond = shelf.free(rule, Some(tomorrow), None).next();
    // A day before its time comes it is looked at for the first time, and what keeps it is seen.
    let seen_at = beyond.as_ref().map(|(eligible, _)| *eligible);
    next.note(seen_at.and_then(yesterday), now);
    let beyond = beyond.map(|(eligible, _)| goes_at(eligible));
    next.note(beyond.and_then(yesterday), now);
    if ground.standing.is_in_force() {
        next_at.note(beyond, now);
    }
    let kept = shelf.kept(rule, Some(now), None).next();
    next.note(kept.map(|(maximum, _)| maximum), now);
    judged.next_at = next_at.instant();
    limited(ground, policy, day, &mut judged, &mut next);
    judged.next = next.instant();
    judged
}

/// The shelf, and the policy's place among its rules.
pub(super) fn place<'a>(
    ground: &Ground<'a>,
    policy: &RetentionPolicy,
) -> Option<(&'a crate::model::Shelf, usize)> {
    let shelf = ground.shelf?;
    let source = Source::Policy(policy.meta.key.name.clone());
    let mut rules = shelf.rules().iter();
    let rule = rules.position(|rule| rule.source == source)?;
    Some((shelf, rule))
}

/// When the maximum of a rule takes effect on an object.
pub(super) fn eligible(terms: &Terms, rule: usize) -> Option<Timestamp> {
    let mut touches = terms.touches.iter();
    let touch = touches.find(|touch| touch.rule == rule)?;
    terms.eligible(touch.maximum?)
}

/// A stored rule keeps it, of which nobody knows any more what it was made of.
fn stays(ground: &Ground<'_>, held: &Held) -> Option<Withheld> {
    let mut staying = ground.boundaries.staying.iter();
    let keeps = staying.any(|rule| refuses(rule, held));
    keeps.then_some(Withheld::Minimum(None))
}

/// What keeps an object that does not go by time alone.
fn kept(ground: &Ground<'_>, held: &Held, minimum: Option<Keep>) -> Option<Withheld> {
    let runs = minimum.filter(|keep| keep.keeps(ground.now));
    ground
        .obstacle(held)
        .or_else(|| runs.map(|keep| Withheld::Minimum(Some(keep))))
        .or_else(|| stays(ground, held))
        .or_else(|| held.item.tracker.map(Withheld::ManagedElsewhere))
        .or_else(|| held.item.controlled.then_some(Withheld::Owner))
}

/// The limit, and what else keeps what is within it.
fn limited(
    ground: &Ground<'_>,
    policy: &RetentionPolicy,
    day: &mut Day,
    judged: &mut Judged<'_>,
    next: &mut Earliest,
) {
    let now = ground.now;
    let mut due: Vec<usize> = (0..judged.verdicts.len())
        .filter(|index| judged.verdicts[*index].withheld.is_none())
        .collect();
    // The order in which they go does not depend on the order in which they were filed.
    due.sort_by_key(|index| {
        let Verdict { held, goes_at, .. } = &judged.verdicts[*index];
        (*goes_at, &held.kind, &held.name)
    });
    let number = i64::try_from(due.len()).unwrap_or(i64::MAX);
    let disposes = policy.mode == DisposalMode::Dispose;
    let total = disposed_total(ground, policy);
    judged.limit = day.take(ground, policy, total, number, disposes);
    if judged.limit.waits_for_the_day {
        next.note(day.easier_at, now);
    }
    let may = usize::try_from(judged.limit.may).unwrap_or(usize::MAX);
    for (place, index) in due.into_iter().enumerate() {
        let verdict = &mut judged.verdicts[index];
        if place >= may {
            verdict.withheld = Some(Withheld::Limit {
                due: judged.limit.due,
                may: judged.limit.may,
            });
            continue;
        }
        let held = verdict.held;
        let key = crate::model::ObjectKey::new(ground.namespace, &*held.name);
        let refused = ground
            .world
            .refusal(&held.kind, &key, &held.item.uid)
            .filter(|refused| refused.until > now);
        if let Some(refused) = refused {
            next.note(refused.until, now);
            let said = format!("{}: {}", refused.category, refused.message);
            verdict.withheld = Some(Withheld::Otherwise(said));
        } else if let Some(stopped) = &ground.stopped {
            verdict.withheld = Some(Withheld::Otherwise(stopped.clone()));
        }
    }
}

/// The minimum of a policy as it is written.
pub(super) fn written(minimum: &Minimum) -> &str {
    match minimum {
        Minimum::Period(period) => &period.0,
        Minimum::Forever(written) => written,
    }
}
