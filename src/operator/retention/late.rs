//! Deletions that were found out about afterwards and that no run has counted: one run a namespace, however many they are.
//!
//! May not: count what an outcome in the ledger said before.

use std::collections::BTreeMap;

use super::super::clock;
use crate::ledger::{EntryKind, OpenIntent};
use crate::model::{LastRun, PolicyRun, RunResult};
use crate::record;

/// By namespace, and whether the status of the policy contains them; by uid of the policy.
#[derive(Debug, Default)]
pub struct Late(BTreeMap<(String, bool), BTreeMap<String, PolicyRun>>);

impl Late {
    /// Takes in that the object of an intent is gone or going. Where a status tells of later entries than its intent (`last`),
    /// and nothing was recorded after the intent, its outcome was still on its way to the disk when the process ended: the
    /// total in the status contains it, and it counts for the limit of a day alone.
    pub fn take(&mut self, open: &OpenIntent, last: &BTreeMap<String, LastRun>) {
        let intent = &open.intent;
        let counted = open.so_far.as_ref().is_some_and(record::is_disposed);
        let (Some(namespace), Some(cause)) = (&intent.subject.namespace, &intent.cause) else {
            return;
        };
        if counted || intent.kind != EntryKind::Disposal {
            return;
        }
        let last = last.get(&cause.uid);
        let contained = open.so_far.is_none() && last.is_some_and(|last| open.index <= last.to);
        let policies = self.0.entry((namespace.clone(), contained)).or_default();
        let part = policies.entry(cause.uid.clone()).or_default();
        part.count((!contained).then_some(open.index));
    }

    /// The runs that they come to, as of now.
    pub fn runs(self) -> impl Iterator<Item = RunResult> {
        self.0
            .into_iter()
            .map(|((namespace, _), policies)| RunResult {
                namespace,
                at: clock::now(),
                policies,
                refused: Vec::new(),
            })
    }
}
