//! What is known of the ledger: its head where it matters to a namespace, and which releases are in it.
//!
//! May not: say that something is recorded before it is durable.

use std::collections::{BTreeMap, BTreeSet};

use super::World;
use crate::model::{Dirty, LedgerHead, ObjectKey};

/// The part of the World that is about the ledger's entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorded {
    /// The first head that covers every entry about a namespace.
    heads: BTreeMap<String, LedgerHead>,
    /// Index of the entry of a hold's release, by uid of the hold.
    releases: BTreeMap<String, u64>,
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
