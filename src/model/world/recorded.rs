//! What is known of the ledger: its head where it matters to a namespace, and which releases are in it.
//!
//! May not: say that something is recorded before it is durable.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::api::PolicyAnnouncement;
use crate::model::{Dirty, LedgerHead, ObjectKey, Unit};

/// The part of the World that is about the ledger's entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    /// The first head that covers every entry about a namespace.
    heads: BTreeMap<String, LedgerHead>,
    /// Index of the entry of a hold's release, by uid of the hold.
    releases: BTreeMap<String, u64>,
    /// What was announced last, by uid of the baseline.
    announced: BTreeMap<String, PolicyAnnouncement>,
}

impl Recorded {
    pub(super) fn forget_head(&mut self, namespace: &str) {
        self.heads.remove(namespace);
    }
}

impl World {
    /// Learns that entries about these namespaces are covered by this head.
    pub fn learn_head(&mut self, namespaces: BTreeSet<String>, head: &LedgerHead) -> Dirty {
        let mut dirty = Dirty::default();
        for namespace in namespaces {
            dirty.namespace(&namespace);
            self.recorded.heads.insert(namespace, head.clone());
        }
        dirty
    }

    /// Learns that the release of a hold is in the ledger.
    pub fn learn_release(&mut self, hold: &ObjectKey, uid: &str, index: u64) -> Dirty {
        let mut dirty = Dirty::default();
        if self.hold(hold).is_some_and(|hold| hold.meta.uid == uid) {
            self.recorded.releases.insert(uid.to_owned(), index);
            dirty.namespace(&hold.namespace);
        }
        dirty
    }

    /// Learns that a version of the written policy is announced in the ledger.
    pub fn learn_announced(
        &mut self,
        baseline: &ObjectKey,
        uid: &str,
        announced: PolicyAnnouncement,
    ) -> Dirty {
        let mut dirty = Dirty::default();
        let known = self.baseline(&baseline.name);
        if known.is_some_and(|known| known.meta.uid == uid) {
            self.recorded.announced.insert(uid.to_owned(), announced);
            dirty.unit(Unit::Baseline(baseline.name.clone()));
        }
        dirty
    }

    /// What was announced last, as far as this process did it.
    #[must_use]
    pub fn announced(&self, baseline_uid: &str) -> Option<&PolicyAnnouncement> {
        self.recorded.announced.get(baseline_uid)
    }

    pub(super) fn forget_announced(&mut self, baseline_uid: &str) {
        self.recorded.announced.remove(baseline_uid);
    }

    /// The head that covers every entry about a namespace, as far as this process made them.
    #[must_use]
    pub fn head_of(&self, namespace: &str) -> Option<&LedgerHead> {
        self.recorded.heads.get(namespace)
    }

    /// Index of the entry of a hold's release, if it is known to be in the ledger.
    #[must_use]
    pub fn recorded_release(&self, uid: &str) -> Option<u64> {
        self.recorded.releases.get(uid).copied()
    }

    pub(super) fn forget_release(&mut self, uid: &str) {
        self.recorded.releases.remove(uid);
    }
}
