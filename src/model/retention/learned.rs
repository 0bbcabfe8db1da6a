//! What the operator learned about disposal by doing it, and about what disposal rests on.
//!
//! May not: be stored. What a restart forgets is told again, or counts as the stricter case.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ResourceKind, RetentionPolicy};
use crate::model::{ObjectKey, time};

/// What one run of disposal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunResult {
    /// The namespace.
    pub namespace: String,
    /// When it ended.
    pub at: Timestamp,
    /// By uid of the policy.
    pub policies: BTreeMap<String, PolicyRun>,
    /// What the API server would not let go.
    pub refused: Vec<RefusedItem>,
}

/// What one run came to for one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRun {
    /// Objects whose deletion was accepted.
    pub disposed: i64,
    /// Indices of its first and last entry in the ledger.
    pub ledger: Option<(u64, u64)>,
}

/// The last run that the status of a policy tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastRun {
    /// When it ended.
    pub at: Timestamp,
    /// Index of its last entry in the ledger.
    pub to: u64,
}

/// An object that the API server would not let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedItem {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its key.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Short name of the kind of failure.
    pub category: String,
    /// What the API server said.
    pub message: String,
    /// Since when it has been refused for this, without a break.
    pub since: Timestamp,
    /// It is not tried again before then.
    pub until: Timestamp,
}

/// How the ledger stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// Its newest signed head.
    pub head: Option<LedgerHead>,
    /// Why nothing can be written to it, if so.
    pub problem: Option<String>,
}

/// A signed head of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerHead {
    /// Whose ledger it is.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// Its root hash.
    pub root: String,
}

impl PolicyRun {
    /// Counts one object whose deletion was accepted. `intent`: where its intent is in the ledger, if that is to be told.
    pub fn count(&mut self, intent: Option<u64>) {
        self.join(&Self {
            disposed: 1,
            ledger: intent.map(|intent| (intent, intent)),
        });
    }

    /// Takes in what another run came to for the same policy.
    pub fn join(&mut self, other: &Self) {
        self.disposed = self.disposed.saturating_add(other.disposed);
        self.ledger = match (self.ledger, other.ledger) {
            (Some((from, to)), Some((also_from, also_to))) => {
                Some((from.min(also_from), to.max(also_to)))
            }
            (known, also) => known.or(also),
        };
    }

    /// Whether the stored status of the policy does not contain it: it is later than the last run there, or further on in
    /// the ledger.
    #[must_use]
    pub fn is_beyond(&self, at: Timestamp, policy: &RetentionPolicy) -> bool {
        let Some((_, to)) = self.ledger.filter(|_| self.disposed > 0) else {
            return false;
        };
        let Some(stored) = &policy.status.disposed else {
            return true;
        };
        let last = stored.last_run_at.as_ref();
        let last = last.and_then(|text| time::beginning(text).ok());
        let further = stored
            .ledger
            .as_ref()
            .is_none_or(|range| i64::try_from(to).unwrap_or(i64::MAX) > range.to);
        further || last.is_none_or(|last| at > last)
    }
}
