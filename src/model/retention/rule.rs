//! What a policy or a baseline asks of an object: from when a period counts, and when it is over.
//!
//! Stated once, here: the start is what `startsAt` names; a start that is not known keeps the object for good. A minimum ends
//! [`time::kept_until`], a maximum [`time::after`]. May not: know the time.

use jiff::Timestamp;

use super::{Completion, Item, ResourceKind, RetainedSince, Selection};
use crate::api::{PeriodText, RetentionStart};
use crate::model::time;

/// A policy's or a baseline's periods and what they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whose rule it is.
    pub source: Source,
    /// What it selects.
    pub selections: Vec<Selection>,
    /// From when it counts; none where that cannot be read.
    pub starts_at: Option<RetentionStart>,
    /// How long objects are kept at least.
    pub at_least: Option<Minimum>,
    /// How long objects are kept at most; none also where the policy cannot be read whole.
    pub at_most: Option<PeriodText>,
}

/// Whose rule it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The policy of this name, in the same namespace.
    Policy(String),
    /// An entry of the baseline of this name.
    Baseline(String, usize),
}

impl Source {
    /// As GuardParameters and people name it.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Policy(name) => format!("RetentionPolicy {name}"),
            Self::Baseline(name, _) => format!("TenantBaseline {name}"),
        }
    }
}

/// How long objects are kept at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Minimum {
    /// So long.
    Period(PeriodText),
    /// For good, because what is written cannot be read. As it is written.
    Forever(String),
}

/// Until when an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Until then.
    Until(Timestamp),
    /// For good, as far as is known.
    Forever,
}

impl Keep {
    /// Whether it keeps at an instant.
    #[must_use]
    pub fn keeps(self, now: Timestamp) -> bool {
        self > Self::Until(now)
    }
}

/// What all rules of a namespace say of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The rules that select it in the version as which it is watched, in their order.
    pub touches: Vec<Touch>,
    /// The longest minimum of them all.
    pub minimum: Option<Keep>,
}

/// What one rule says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Its place among the rules of the namespace.
    pub rule: usize,
    /// From when it counts; none where that is not known.
    pub start: Option<Timestamp>,
    /// Until when it keeps the object at least.
    pub minimum: Option<Keep>,
    /// When it would have it gone.
    pub maximum: Option<Timestamp>,
}

impl Terms {
    /// What rules say of an object.
    #[must_use]
    pub fn of(rules: &[Rule], kind: &ResourceKind, name: &str, item: &Item) -> Self {
        let mut terms = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            let selects = |selection: &Selection| selection.selects(kind, name, item);
            if rule.selections.iter().any(selects) {
                let touch = rule.touch(index, item);
                terms.minimum = terms.minimum.max(touch.minimum);
                // Each version of a kind is watched by itself. A rule counts an object as the version that it names, and so
                // once, while a minimum keeps it in every one.
                let names = |selection: &Selection| selection.kind == *kind && selects(selection);
                if rule.selections.iter().any(names) {
                    terms.touches.push(touch);
                }
            }
        }
        terms
    }

    /// From when a maximum takes effect, when no minimum keeps the object longer; none where one keeps it for good.
    #[must_use]
    pub fn eligible(&self, maximum: Timestamp) -> Option<Timestamp> {
        match self.minimum {
            None => Some(maximum),
            Some(Keep::Until(until)) => Some(until.max(maximum)),
            Some(Keep::Forever) => None,
        }
    }
}

impl Rule {
    /// From when the rule counts for an object; none where that is not known.
    #[must_use]
    pub fn start(&self, item: &Item) -> Option<Timestamp> {
        match self.starts_at? {
            RetentionStart::CreatedAt => item.created,
            RetentionStart::CompletedAt => match item.completion {
                Completion::At(at) => Some(at),
                Completion::NotYet | Completion::Unknown => None,
            },
            RetentionStart::RetainedSince => match item.retained_since {
                RetainedSince::Absent => item.created,
                RetainedSince::At(at) => Some(at),
                RetainedSince::Unreadable => None,
            },
        }
    }

    fn touch(&self, rule: usize, item: &Item) -> Touch {
        let start = self.start(item);
        let minimum = self
            .at_least
            .as_ref()
            .map(|minimum| match (minimum, start) {
                (Minimum::Period(period), Some(start)) => {
                    time::kept_until(start, period).map_or(Keep::Forever, Keep::Until)
                }
                _ => Keep::Forever,
            });
        let maximum = self.at_most.as_ref().zip(start);
        Touch {
            rule,
            start,
            minimum,
            maximum: maximum.and_then(|(period, start)| time::after(start, period).ok()),
        }
    }

    /// When it must be known whether an object completed: as soon as a period could be over, had it completed at once.
    #[must_use]
    pub fn asks_at(&self, item: &Item) -> Option<Timestamp> {
        if self.starts_at != Some(RetentionStart::CompletedAt)
            || item.completion != Completion::Unknown
        {
            return None;
        }
        let created = item.created?;
        let least = match &self.at_least {
            Some(Minimum::Period(period)) => time::kept_until(created, period).ok(),
            _ => None,
        };
        let most = self
            .at_most
            .as_ref()
            .and_then(|period| time::after(created, period).ok());
        least.into_iter().chain(most).min()
    }
}
