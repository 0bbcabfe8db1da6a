//! What was decided about a grant, and the bookkeeping of a deliberation.

use jiff::Timestamp;

use super::reason::{EndCause, Refusal};

/// What was decided about a grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Every reason for which the path is closed, in the order of the gates. Empty: the path may be open.
    pub refusals: Vec<Refusal>,
    /// Where the path may be open: its end.
    pub end: Option<End>,
    /// Every end that was found, earliest first, whether or not the path may be open: for explanations.
    pub candidates: Vec<End>,
    /// The next instant at which this decision can change by time alone.
    pub next: Option<Timestamp>,
}

/// The earliest end of all that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// First instant at which the path is closed.
    pub at: Timestamp,
    /// What ends it.
    pub cause: EndCause,
}

/// The decision in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The path may be open.
    Permitted,
    /// Nothing is wrong; its time has not come, or the namespace only observes.
    Waiting,
    /// It has had its time, or was revoked.
    Ended,
    /// Something that must hold does not.
    Refused,
}

impl Decision {
    /// The decision in one word.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.refusals.is_empty() {
            Outcome::Permitted
        } else if self.refusals.iter().any(Refusal::is_end) {
            Outcome::Ended
        } else if self.refusals.iter().all(Refusal::is_waiting) {
            Outcome::Waiting
        } else {
            Outcome::Refused
        }
    }
}

/// The earliest of the instants after now that were noted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Earliest(Option<Timestamp>);

impl Earliest {
    /// Notes an instant; those that have passed do not count.
    pub fn note(&mut self, instant: impl Into<Option<Timestamp>>, now: Timestamp) {
        if let Some(instant) = instant.into()
            && instant > now
        {
            self.0 = Some(self.0.map_or(instant, |earliest| earliest.min(instant)));
        }
    }

    /// The earliest.
    pub fn instant(self) -> Option<Timestamp> {
        self.0
    }
}

/// A deliberation under way: the gates add what they find.
#[derive(Debug)]
pub(super) struct Deliberation {
    /// The instant that is decided about.
    pub now: Timestamp,
    refusals: Vec<Refusal>,
    ends: Vec<End>,
    next: Earliest,
}

impl Deliberation {
    /// Begins at an instant.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            refusals: Vec::new(),
            ends: Vec::new(),
            next: Earliest::default(),
        }
    }

    /// A reason to stay closed.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }

    /// Something holds until then, and no longer.
    pub fn ends(&mut self, at: Timestamp, cause: EndCause) {
        self.next.note(at, self.now);
        self.ends.push(End { at, cause });
    }

    /// Something may change then.
    pub fn changes(&mut self, at: Timestamp) {
        self.next.note(at, self.now);
    }

    /// The decision.
    pub fn conclude(self) -> Decision {
        let mut candidates = self.ends;
        candidates.sort_by_key(|end| (end.at, end.cause));
        let end = if self.refusals.is_empty() {
            candidates.first().copied()
        } else {
            None
        };
        Decision {
            refusals: self.refusals,
            end,
            candidates,
            next: self.next.instant(),
        }
    }
}
