//! What the shell must find out or do that is no write of desired state: the plan asks, the shell answers into the World.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::model::ObjectKey;

/// Something to find out or to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// Send a dry-run canary in a hold's name to every server.
    Prove {
        /// The hold.
        hold: ObjectKey,
        /// Its uid.
        uid: String,
        /// What is proven by it.
        fingerprint: String,
        /// Where; empty means through the operator's own configuration.
        servers: BTreeSet<String>,
    },
    /// Count what there is in a namespace.
    Survey {
        /// The namespace.
        namespace: String,
        /// What was asked for.
        fingerprint: String,
        /// Labels by which holds narrow, by name of the hold.
        labels: BTreeMap<String, BTreeMap<String, String>>,
    },
    /// End the pods of a namespace, each with at most this grace.
    End {
        /// The hold that ends them.
        hold: ObjectKey,
        /// Its uid.
        uid: String,
        /// Longest grace.
        grace: SignedDuration,
    },
    /// Nudge the controllers of a namespace's workloads, which have backed off.
    Nudge {
        /// The hold that was released.
        hold: ObjectKey,
        /// Its uid.
        uid: String,
    },
}

impl Inquiry {
    /// What there is at most one of under way: its kind and what it is about.
    #[must_use]
    pub fn key(&self) -> (&'static str, ObjectKey) {
        match self {
            Self::Prove { hold, .. } => ("prove", hold.clone()),
            Self::Survey { namespace, .. } => ("survey", ObjectKey::new(namespace, "")),
            Self::End { hold, .. } => ("end", hold.clone()),
            Self::Nudge { hold, .. } => ("nudge", hold.clone()),
        }
    }
}
