//! What a release gives back: processing and volumes at once; disposal and erasure wait for the grace.
//!
//! May not: say that nothing waits any more while something does.

use super::Making;
use crate::api::WhenText;
use crate::model::time;
use crate::plan::inquiry::Inquiry;

impl Making<'_> {
    pub(super) fn released(&mut self, recorded: Option<i64>) -> Option<WhenText> {
        let release = self.hold.release.as_ref()?;
        let message = format!("released by {}: {}", release.by, release.reason);
        let since = self
            .conditions
            .previous("Released")
            .map(|before| before.last_transition_time.0);
        self.turn("Released", "True", "Decided", &message, "HoldReleased");
        let since = since.unwrap_or(self.now);
        let stored = self
            .hold
            .status
            .restored_at
            .as_ref()
            .and_then(|text| time::beginning(text).ok());
        let at = stored.unwrap_or_else(|| {
            let period = release.restore_after.as_ref();
            period.map_or(since, |period| time::grace_end(since, period))
        });
        let was_restored = self.was("Restored") == Some("True");
        let nudged = was_restored || self.world.is_nudged(&self.hold.meta.uid);
        if !nudged {
            self.inquiries.push(Inquiry::Nudge {
                hold: self.hold.meta.key.clone(),
                uid: self.hold.meta.uid.clone(),
            });
        }
        if at > self.now {
            self.next.note(at, self.now);
            let message = format!("processing is back; disposal and erasure wait until {at}");
            self.conditions.set("Restored", "False", "Grace", &message);
        } else if !nudged {
            let message = "the controllers of the workloads are being told";
            self.conditions
                .set("Restored", "False", "Restoring", message);
        } else if recorded.is_none() {
            let message = "its release is being recorded in the ledger; until it is there, this object is the only record";
            self.conditions
                .set("Restored", "False", "NotRecorded", message);
        } else if let Some(message) = self.volumes_not_given_back() {
            self.conditions
                .set("Restored", "False", "VolumesHeld", &message);
        } else {
            let message =
                "nothing waits for it any more; the object is the record and may be deleted";
            self.turn("Restored", "True", "GraceOver", message, "HoldRestored");
        }
        Some(time::text(at))
    }

    /// Index of the release's entry in the ledger. What no status remembers is recorded once more: twice is better than never.
    pub(super) fn recorded(&mut self) -> Option<i64> {
        let meta = &self.hold.meta;
        let learned = self.world.recorded_release(&meta.uid);
        let learned = learned.and_then(|index| i64::try_from(index).ok());
        let known = self.hold.status.recorded.or(learned);
        if known.is_none() {
            self.inquiries.push(Inquiry::Record {
                hold: meta.key.clone(),
                uid: meta.uid.clone(),
            });
        }
        known
    }

    /// A record that goes before its volumes were given back would leave them held for good.
    fn volumes_not_given_back(&self) -> Option<String> {
        let left: Vec<_> = self.volumes.iter().filter(|volume| !volume.held).collect();
        let first = left.first()?;
        let failed = left.iter().find_map(|volume| {
            let failure = self.world.failure(&volume.target())?;
            Some(format!("; {}: {}", volume.name, failure.message))
        });
        Some(format!(
            "PersistentVolume {} is not given back yet{}",
            first.name,
            failed.unwrap_or_default()
        ))
    }
}
