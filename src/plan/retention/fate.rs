//! What becomes of one object: every rule that touches it, which wins, what keeps it, when it may and when it will go.
//!
//! For explanations. May not: differ from what is planned.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ground::Ground;
use super::judgement::{Verdict, eligible, judge, place, written};
use super::run::reference;
use crate::api::{DisposalMode, RetentionStart};
use crate::model::{
    Held, Keep, ObjectKey, ResourceKind, RetentionPolicy, Rule, Shelf, Source, Terms, Touch,
    Tracker, World, time,
};
use crate::plan::RuleRef;

/// A preview shows so many objects of each policy that follow.
const FOLLOWING: usize = 100;

/// What becomes of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Fate {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its key.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Every rule that selects it: policies by name, then its baseline's.
    pub rules: Vec<FateRule>,
    /// Until when it is kept at least: the longest minimum.
    pub minimum: Option<Keep>,
    /// When it is past its maximum: the earliest of all policies that would dispose of it, else of those that preview.
    pub maximum: Option<Timestamp>,
    /// When anybody may delete it, as far as periods say; none while a minimum keeps it for good.
    pub may_go_at: Option<Timestamp>,
    /// When it goes, or would under a preview, as far as is known; none when nothing would have it gone.
    pub goes_at: Option<Timestamp>,
    /// The policy under which it goes, or would.
    pub goes_by: Option<RuleRef>,
    /// Whether that policy disposes; otherwise it only previews.
    pub disposes: bool,
    /// What keeps it first; before it is past its maximum only a hold is told.
    pub withheld: Option<Withheld>,
}

/// A rule that selects an object.
#[derive(Clone, Debug, PartialEq)]
pub struct FateRule {
    /// Whose rule it is, such as `RetentionPolicy build-logs`.
    pub source: String,
    /// Whether it disposes, previews, or, as a baseline's, only keeps.
    pub mode: Option<DisposalMode>,
    /// From when it counts; none where that cannot be read.
    pub starts_at: Option<RetentionStart>,
    /// That instant for this object; none where it is not known.
    pub start: Option<Timestamp>,
    /// The minimum as it is written.
    pub at_least: Option<String>,
    /// Until when it keeps the object at least.
    pub minimum: Option<Keep>,
    /// The maximum as it is written.
    pub at_most: Option<String>,
    /// When it would have the object gone.
    pub maximum: Option<Timestamp>,
    /// Whether its minimum is the longest.
    pub wins_minimum: bool,
    /// Whether it is under this rule that the object goes.
    pub wins_maximum: bool,
}

/// What keeps an object that is past its maximum, in the order in which it is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withheld {
    /// A hold keeps it, or the grace after its release.
    Hold {
        /// Its name.
        name: String,
        /// Whether it is released and its grace runs.
        released: bool,
    },
    /// The namespace is not in force: it only observes, is being deleted, is not enrolled, or its baseline cannot be read.
    NotInForce,
    /// A minimum runs; none where it is the guards' that have not been told that it is over.
    Minimum(Option<Keep>),
    /// Somebody else tracks it and would make it anew.
    ManagedElsewhere(Tracker),
    /// Another object owns and controls it.
    Owner,
    /// The grace between being due and going runs until then.
    Grace(Timestamp),
    /// More is due than a run may take.
    Limit {
        /// How many objects of the policy are due.
        due: i64,
        /// How many may go.
        may: i64,
    },
    /// Something else, in words.
    Otherwise(String),
}

/// What becomes of an object; none where it is not watched.
#[must_use]
pub fn fate(world: &World, kind: &ResourceKind, key: &ObjectKey, now: Timestamp) -> Option<Fate> {
    let held = world.item(kind, key)?;
    let ground = Ground::new(world, &key.namespace, now);
    let known = Known::new(&ground);
    Some(known.fate(held))
}

/// Everything in a namespace, or under one policy of it, that is due or withheld, and what follows next; in the order in
/// which it goes.
#[must_use]
pub fn preview(world: &World, namespace: &str, policy: Option<&str>, now: Timestamp) -> Vec<Fate> {
    let ground = Ground::new(world, namespace, now);
    let known = Known::new(&ground);
    let mut shown: BTreeMap<(&ResourceKind, &str), &Held> = BTreeMap::new();
    for entry in &known.policies {
        let is_asked = policy.is_none_or(|name| entry.policy.meta.key.name == name);
        if !is_asked {
            continue;
        }
        let past = entry.verdicts.values().map(|verdict| verdict.held);
        let place = place(&ground, entry.policy).filter(|_| entry.is_judged);
        let following = place
            .into_iter()
            .flat_map(|(shelf, rule)| shelf.free(rule, Some(now), None))
            .map(|(_, held)| held)
            .take(FOLLOWING);
        for held in past.chain(following) {
            shown.insert((&held.kind, &held.name), held);
        }
    }
    let mut fates: Vec<Fate> = shown.into_values().map(|held| known.fate(held)).collect();
    fates.sort_by(|a, b| {
        let when = |fate: &Fate| (fate.goes_at.is_none(), fate.goes_at);
        (when(a), &a.kind, &a.key).cmp(&(when(b), &b.kind, &b.key))
    });
    fates
}

/// What was judged, by object.
struct Known<'a> {
    ground: &'a Ground<'a>,
    policies: Vec<Entry<'a>>,
}

struct Entry<'a> {
    policy: &'a RetentionPolicy,
    is_judged: bool,
    /// Why nothing goes under it now, if a kind that it selects is not fully read.
    unread: Option<String>,
    verdicts: BTreeMap<(&'a ResourceKind, &'a str), Verdict<'a>>,
}

impl<'a> Known<'a> {
    fn new(ground: &'a Ground<'a>) -> Self {
        let policies = ground.world.retention_policies_in(ground.namespace);
        let entries = policies.zip(judge(ground)).map(|(policy, judged)| {
            let verdicts = judged.verdicts.into_iter().map(|verdict| {
                let held = verdict.held;
                ((held.kind.as_ref(), &*held.name), verdict)
            });
            Entry {
                policy,
                is_judged: judged.is_judged,
                unread: ground.unread(policy),
                verdicts: verdicts.collect(),
            }
        });
        Self {
            ground,
            policies: entries.collect(),
        }
    }

    fn fate(&self, held: &'a Held) -> Fate {
        let ground = self.ground;
        let key = ObjectKey::new(ground.namespace, &*held.name);
        let terms = ground
            .shelf
            .map(|shelf| shelf.terms(held))
            .unwrap_or_default();
        let winner = self.winner(held, &terms);
        let rules = ground.shelf.map(Shelf::rules).unwrap_or_default();
        let touches = terms.touches.iter().filter_map(|touch| {
            let rule = rules.get(touch.rule)?;
            Some(self.rule(rule, touch, &terms, winner.as_ref()))
        });
        let withheld = winner
            .as_ref()
            .and_then(|winner| winner.verdict)
            .and_then(|verdict| verdict.withheld.clone())
            .or_else(|| {
                let obstacle = ground.obstacle(held);
                obstacle.filter(|by| matches!(by, Withheld::Hold { .. }))
            })
            .or_else(|| {
                let unread = winner.as_ref()?.unread?.clone();
                Some(Withheld::Otherwise(unread))
            });
        Fate {
            kind: held.kind.as_ref().clone(),
            uid: held.item.uid.to_string(),
            rules: touches.collect(),
            minimum: terms.minimum,
            maximum: winner.as_ref().and_then(|winner| winner.maximum),
            may_go_at: match terms.minimum {
                None => Some(ground.now),
                Some(Keep::Until(until)) => Some(until.max(ground.now)),
                Some(Keep::Forever) => None,
            },
            goes_at: winner.as_ref().and_then(|winner| winner.goes_at),
            goes_by: winner.as_ref().map(|winner| reference(winner.policy)),
            disposes: winner.is_some_and(|winner| winner.disposes()),
            withheld,
            key,
        }
    }

    /// The policy under which an object goes: of those that dispose, else of those that preview, the first by the instant
    /// at which it would go, then by name. One of which a kind is not fully read comes after those that can be judged by.
    fn winner(&self, held: &'a Held, terms: &Terms) -> Option<Winner<'_>> {
        let ground = self.ground;
        let by_time = held.item.tracker.is_none() && !held.item.controlled;
        let would = self.policies.iter().filter_map(|entry| {
            let (_, rule) = place(ground, entry.policy)?;
            let touch = terms.touches.iter().find(|touch| touch.rule == rule)?;
            let since = entry.policy.since().unwrap_or(ground.now);
            let goes_at = eligible(terms, rule)
                .filter(|_| by_time)
                .map(|eligible| time::grace_over(eligible.max(since), &ground.bounds.grace));
            Some(Winner {
                policy: entry.policy,
                maximum: Some(touch.maximum?),
                goes_at,
                verdict: entry.verdicts.get(&(held.kind.as_ref(), &*held.name)),
                unread: entry.unread.as_ref(),
            })
        });
        would.min_by_key(|one| {
            let when = (one.goes_at.is_none(), one.goes_at, one.maximum);
            (!one.disposes(), one.unread.is_some(), when)
        })
    }

    fn rule(
        &self,
        rule: &Rule,
        touch: &Touch,
        terms: &Terms,
        winner: Option<&Winner<'_>>,
    ) -> FateRule {
        let policy = match &rule.source {
            Source::Policy(name) => {
                let key = ObjectKey::new(self.ground.namespace, name);
                self.ground.world.retention_policy(&key)
            }
            Source::Baseline(..) => None,
        };
        let wins = |winner: &Winner<'_>| {
            policy.is_some_and(|policy| policy.meta.key == winner.policy.meta.key)
        };
        FateRule {
            source: rule.source.label(),
            mode: policy.map(|policy| policy.mode),
            starts_at: rule.starts_at,
            start: touch.start,
            at_least: rule
                .at_least
                .as_ref()
                .map(|least| written(least).to_owned()),
            minimum: touch.minimum,
            at_most: rule.at_most.as_ref().map(|most| most.0.clone()),
            maximum: touch.maximum,
            wins_minimum: touch.minimum.is_some() && touch.minimum == terms.minimum,
            wins_maximum: winner.is_some_and(wins),
        }
    }
}

struct Winner<'a> {
    policy: &'a RetentionPolicy,
    maximum: Option<Timestamp>,
    goes_at: Option<Timestamp>,
    verdict: Option<&'a Verdict<'a>>,
    unread: Option<&'a String>,
}

impl Winner<'_> {
    fn disposes(&self) -> bool {
        self.policy.mode == DisposalMode::Dispose
    }
}
