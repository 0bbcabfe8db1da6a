//! What the shell must find out or do that is no write of desired state: the plan asks, the shell answers into the World.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::api::{PolicyReference, Propagation};
use crate::model::{ObjectKey, ResourceKind};

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
    /// Record in the ledger that a hold was released.
    Record {
        /// The hold.
        hold: ObjectKey,
        /// Its uid.
        uid: String,
    },
    /// Record in the ledger that a version of the written policy is announced to these tenants.
    Announce {
        /// The baseline that carries it out.
        baseline: ObjectKey,
        /// Its uid.
        uid: String,
        /// The policy.
        policy: PolicyReference,
        /// The tenants.
        tenants: BTreeSet<String>,
    },
    /// Read whether objects have completed.
    Complete {
        /// The namespace.
        namespace: String,
        /// Kind, key, uid and version of each.
        objects: Vec<(ResourceKind, ObjectKey, String, String)>,
    },
    /// Find out how every API server stores Secrets, by canaries in this namespace.
    Secrets {
        /// The operator's own namespace.
        namespace: String,
        /// What is tried: the servers, each with its holder.
        fingerprint: String,
        /// How often one of them may have been started again until now.
        starts: u64,
        /// Where; empty means through the operator's own configuration.
        servers: BTreeSet<String>,
    },
    /// Dispose of objects.
    Dispose(Run),
}

/// One run of disposal in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The namespace.
    pub namespace: String,
    /// The tenant that it is enrolled for.
    pub tenant: String,
    /// The written policy in force.
    pub policy_version: Option<PolicyReference>,
    /// What goes, in the order in which it was due.
    pub candidates: Vec<Candidate>,
}

/// An object that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its key.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// Its resource version, as it was decided about.
    pub version: String,
    /// The policy under which it goes.
    pub policy: RuleRef,
    /// Since when it may go.
    pub due: Timestamp,
    /// What becomes of objects that it owns.
    pub propagation: Propagation,
}

/// A policy as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleRef {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Generation.
    pub generation: i64,
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
            Self::Record { hold, .. } => ("record", hold.clone()),
            Self::Announce { baseline, .. } => ("announce", baseline.clone()),
            Self::Complete { namespace, .. } => ("complete", ObjectKey::new(namespace, "")),
            Self::Secrets { .. } => ("secrets", ObjectKey::cluster("")),
            Self::Dispose(run) => Self::dispose_key(&run.namespace),
        }
    }

    /// The key of a run in this namespace.
    #[must_use]
    pub fn dispose_key(namespace: &str) -> (&'static str, ObjectKey) {
        ("dispose", ObjectKey::new(namespace, ""))
    }
}
