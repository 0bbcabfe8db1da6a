//! The end of what runs: first what will be lost is published, and only a stored publication lets anything end.
//!
//! May not: publish or end anything under a hold that is not proven to be enforced: what is ended there may start again,
//! and what that would lose was never published.

use jiff::{SignedDuration, Timestamp};

use super::{Making, count};
use crate::api::{Ending, HoldEffect};
use crate::model::{Ended, Survey, time};
use crate::plan::inquiry::Inquiry;
use crate::plan::losses::losses;

/// A status lists as many losses, and counts the rest.
const LISTED_LOSSES: usize = 100;
/// Pods that would not end are looked at again after this long, and later after a tenth of the time that it has taken.
const AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// But never after more than this.
const AGAIN_AT_LAST: SignedDuration = SignedDuration::from_mins(5);

impl Making<'_> {
    /// `enforced`: status and reason of the condition.
    pub(super) fn ending(&mut self, enforced: (&str, &str)) -> Option<Ending> {
        if !self.hold.has(HoldEffect::EndProcessing) {
            return None;
        }
        let published = self.hold.status.ending.clone();
        match (enforced, self.conditions.previous("Ended")) {
            (("True", _), _) => {}
            // It is being asked for, after a start too; until then nothing is known to have changed.
            ((_, "Proving"), Some(before)) => {
                let (status, reason) = (before.status.clone(), before.reason.clone());
                self.conditions
                    .set("Ended", &status, &reason, &before.message);
                return published;
            }
            (_, before) => {
                let was = before.is_some_and(|before| before.status != "False");
                let status = if was { "Unknown" } else { "False" };
                let message = "nothing is ended, and nothing is said to have ended, while the hold is not known to be enforced: the condition Enforced says why";
                self.conditions.set("Ended", status, "NotEnforced", message);
                return published;
            }
        }
        let Some(published) = published else {
            return self.publishing();
        };
        let ends_at = time::beginning(&published.ends_at).unwrap_or(self.now);
        if ends_at > self.now {
            self.next.note(ends_at, self.now);
            let message = format!("{} pods end at {ends_at}", published.pods);
            self.conditions.set("Ended", "False", "Waiting", &message);
        } else {
            self.end(ends_at);
        }
        Some(published)
    }

    fn publishing(&mut self) -> Option<Ending> {
        // One from before this hold, or its proof, tells what ran then.
        let survey = self.survey.filter(|survey| self.is_of_these_holds(survey));
        // A list that is not whole would be a promise that nothing else is lost.
        if let Some(survey) = survey.filter(|survey| !survey.unread.is_empty()) {
            let message = format!(
                "nothing is ended while it is not known what would be lost: {}; it is asked for again",
                survey.unread.join("; ")
            );
            self.conditions
                .set("Ended", "False", "LossesUnknown", &message);
            return None;
        }
        let ending = survey.map(|survey| self.publish(survey));
        let message = "what will be lost is being published; nothing is ended yet";
        self.conditions.set("Ended", "False", "Publishing", message);
        if let Some(ending) = &ending {
            let message = format!(
                "{} pods end at {}; {} losses are listed in status.ending",
                ending.pods, ending.ends_at.0, ending.loss_count
            );
            self.tell("LossesPublished", true, &message);
            self.next
                .note(time::beginning(&ending.ends_at).ok(), self.now);
        }
        ending
    }

    fn publish(&self, survey: &Survey) -> Ending {
        let mut losses = losses(survey);
        let loss_count = count(losses.len());
        losses.truncate(LISTED_LOSSES);
        let ends_at = self
            .now
            .checked_add(self.hold.ending_grace)
            .unwrap_or(self.now);
        Ending {
            published_at: time::text(self.now),
            ends_at: time::text(ends_at),
            pods: count(survey.ending().count()),
            loss_count,
            losses,
        }
    }

    fn end(&mut self, ends_at: Timestamp) {
        let ask = Inquiry::End {
            hold: self.hold.meta.key.clone(),
            uid: self.hold.meta.uid.clone(),
            grace: self.hold.ending_grace,
        };
        let ended = self.world.ended(&self.hold.meta.uid);
        // Nothing can have started since: that is what SuspendProcessing is for. But one look is better than that.
        let seen_since = self
            .survey
            .filter(|survey| self.is_of_these_holds(survey))
            .filter(|survey| ended.is_none_or(|ended| ended.at < survey.at))
            .is_some_and(|survey| survey.ending().next().is_some());
        let over = match ended {
            Some(ended) => ended.is_all(),
            None => self.was("Ended") == Some("True"),
        };
        match ended {
            _ if over && !seen_since => {
                let message = "what ran is gone; workloads come back at release";
                self.turn("Ended", "True", "Ended", message, "ProcessingEnded");
            }
            Some(ended) => {
                let wait = self.now.duration_since(ends_at).checked_div(10);
                let wait = wait.unwrap_or(AGAIN).clamp(AGAIN, AGAIN_AT_LAST);
                let again = ended.at.checked_add(wait).unwrap_or(self.now);
                // A clock that was set back does not make it wait for where it was.
                if again <= self.now || ended.at > self.now || seen_since {
                    self.inquiries.push(ask);
                } else {
                    self.next.note(again, self.now);
                }
                let (reason, message) = if seen_since {
                    ("Ending", "pods are there again; they are ended".to_owned())
                } else {
                    of_pods(ended)
                };
                self.conditions.set("Ended", "False", reason, &message);
            }
            None => {
                self.inquiries.push(ask);
                self.conditions
                    .set("Ended", "False", "Ending", "pods are being ended");
            }
        }
    }
}

fn of_pods(ended: &Ended) -> (&'static str, String) {
    let left = ended.remaining.map_or_else(
        || "pods may be left".to_owned(),
        |left| format!("{left} pods are left"),
    );
    match &ended.problem {
        Some(problem) => ("PodsKept", format!("{left}: {problem}")),
        None => ("Ending", left),
    }
}
