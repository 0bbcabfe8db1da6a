//! The limit of a run and of a day: over it nothing of a policy goes, until a human has lifted it.

use jiff::{SignedDuration, Timestamp};

use super::ground::Ground;
use crate::model::RetentionPolicy;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is left of a namespace's limit of a day.
pub(super) struct Day {
    left: i64,
    /// When what counts for it next becomes less.
    pub easier_at: Option<Timestamp>,
    used: i64,
}

/// What the limit says of what is due under a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limit {
    /// How many objects are due.
    pub due: i64,
    /// How many of them may go.
    pub may: i64,
    /// In words, where not all may.
    pub exceeded: Option<String>,
    /// Whether only time must pass.
    pub waits_for_the_day: bool,
    /// Up to how many objects in all a decision lets go past the limit, while it is needed.
    pub lifted_until: Option<i64>,
}

impl Day {
    pub fn of(ground: &Ground<'_>) -> Self {
        let counts = |at: &Timestamp| ground.now.duration_since(*at) < DAY;
        let runs = || {
            let runs = ground.world.disposals_in(ground.namespace);
            runs.filter(|(at, number)| counts(at) && *number > 0)
        };
        let used = runs().fold(0, |used: i64, (_, number)| used.saturating_add(number));
        let ends = runs().filter_map(|(at, _)| at.checked_add(DAY).ok());
        Self {
            left: ground.bounds.maximum_per_day.saturating_sub(used).max(0),
            easier_at: ends.min(),
            used,
        }
    }

    /// What may go of what is due. Where the policy disposes, what goes is taken off what is left.
    pub fn take(
        &mut self,
        ground: &Ground<'_>,
        policy: &RetentionPolicy,
        total: i64,
        due: i64,
        disposes: bool,
    ) -> Limit {
        let per_run = ground.bounds.maximum_per_run;
        let name = &policy.meta.key.name;
        let lifts = |needed: i64| {
            format!(
                "look at them, then lift the limit: kubectl covenant retention lift {name} -n {} --until {needed} --reason REASON",
                ground.namespace
            )
        };
        let lifted = policy.lifted_until().filter(|until| *until > total);
        let mut limit = Limit {
            due,
            ..Limit::default()
        };
        let fits = due <= per_run && due <= self.left;
        if fits {
            limit.may = due;
        } else if let Some(until) = lifted {
            limit.may = due.min(until.saturating_sub(total));
            limit.lifted_until = Some(until);
            if limit.may < due {
                limit.exceeded = Some(format!(
                    "{due} objects are due and the limit is lifted for {} of them; to let all go, {}",
                    limit.may,
                    lifts(total.saturating_add(due))
                ));
            }
        } else if due > per_run {
            limit.exceeded = Some(format!(
                "{due} objects are due and a run may dispose of {per_run}; none goes. {}",
                capitalised(&lifts(total.saturating_add(due)))
            ));
        } else {
            limit.waits_for_the_day = true;
            limit.exceeded = Some(format!(
                "{due} objects are due, {} went within 24 hours and all policies of the namespace may dispose of {}; none goes until fewer count, or {}",
                self.used,
                ground.bounds.maximum_per_day,
                lifts(total.saturating_add(due))
            ));
        }
        if disposes {
            self.left = self.left.saturating_sub(limit.may).max(0);
        }
        limit
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
