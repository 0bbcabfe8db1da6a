//! The ends of a grant's path, and how far each is from open.
//!
//! The order of writes is the order of proof: the end is stored in the grant's status, the timer is stored and read back
//! as running and ending in time, and only then the policy is written, with that timer as its one and only owner.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::decision::Decision;
use super::reason::Obstacle;
use super::timer::{self, Verdict};
use super::{name, network, sharing};
use crate::api::names::{
    ANNOTATION_GRANT, LABEL_GRANT_NAMESPACE, LABEL_GRANT_UID, LABEL_MANAGED_BY, LABEL_PART,
    MANAGED_BY_COVENANT, MANAGER_NETWORK, PART_PATH,
};
use crate::model::{Grant, Kind, ObjectKey, RecipientTerms, Target, World, time};

/// One end of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct PathEnd {
    /// Namespace in which it stands.
    pub namespace: String,
    /// Name of its policy and of its timer.
    pub name: String,
    /// The grant.
    pub grant: ObjectKey,
    /// The grant's uid.
    pub grant_uid: String,
    /// When it closes.
    pub closes_at: Timestamp,
    /// Whether that end is stored in the grant's status, for its present generation.
    pub stored: bool,
    /// What its policy allows.
    pub spec: NetworkPolicySpec,
}

/// How far an end is from open.
#[derive(Clone, Debug, PartialEq)]
pub enum PathState {
    /// Not open, or not any more.
    Opening {
        /// What stands in the way.
        obstacle: Obstacle,
        /// The timer that must stand.
        timer: Option<Box<Job>>,
        /// The policy that may stand.
        policy: Option<Box<NetworkPolicy>>,
        /// When to look again.
        next: Option<Timestamp>,
    },
    /// The policy was read back as it must be, owned by a running timer alone.
    Open {
        /// The timer as it must stay.
        timer: Box<Job>,
        /// The policy as it must stay.
        policy: Box<NetworkPolicy>,
        /// Uid of the timer.
        timer_uid: String,
        /// Uid of the policy.
        policy_uid: String,
    },
}

impl PathState {
    /// The timer that must stand.
    #[must_use]
    pub fn timer(&self) -> Option<&Job> {
        match self {
            Self::Opening { timer, .. } => timer.as_deref(),
            Self::Open { timer, .. } => Some(timer),
        }
    }

    /// The policy that may stand.
    #[must_use]
    pub fn policy(&self) -> Option<&NetworkPolicy> {
        match self {
            Self::Opening { policy, .. } => policy.as_deref(),
            Self::Open { policy, .. } => Some(policy),
        }
    }

    /// When to look again, beyond the decision's own instants.
    pub(super) fn next(&self) -> Option<Timestamp> {
        match self {
            Self::Opening { next, .. } => *next,
            Self::Open { .. } => None,
        }
    }
}

impl PathEnd {
    /// Labels of what stands for this end.
    pub(super) fn labels(&self, part: &str) -> BTreeMap<String, String> {
        [
            (LABEL_MANAGED_BY, MANAGED_BY_COVENANT),
            (LABEL_PART, part),
            (LABEL_GRANT_UID, &self.grant_uid),
            (LABEL_GRANT_NAMESPACE, &self.grant.namespace),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }

    fn policy(&self, timer_uid: &str) -> NetworkPolicy {
        NetworkPolicy {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                labels: Some(self.labels(PART_PATH)),
                annotations: Some([(ANNOTATION_GRANT.to_owned(), self.grant.name.clone())].into()),
                owner_references: Some(vec![OwnerReference {
                    api_version: "batch/v1".to_owned(),
                    kind: "Job".to_owned(),
                    name: self.name.clone(),
                    uid: timer_uid.to_owned(),
                    controller: None,
                    block_owner_deletion: None,
                }]),
                ..ObjectMeta::default()
            },
            spec: Some(self.spec.clone()),
        }
    }
}

/// The ends of a grant's path where the decision is to open it, and how far each is; none where it stays closed.
pub(super) fn ends(
    world: &World,
    grant: &Grant,
    decision: &Decision,
    now: Timestamp,
) -> Vec<(PathEnd, PathState)> {
    let (Ok(terms), Some(end)) = (&grant.terms, decision.end) else {
        return Vec::new();
    };
    let closes_at = time::text(end.at);
    let stored = grant.status.observed_generation == Some(grant.meta.generation)
        && grant.status.closes_at.as_ref() == Some(&closes_at);
    let make = |namespace: &str, spec: NetworkPolicySpec| PathEnd {
        namespace: namespace.to_owned(),
        name: name::of_path(&grant.meta, namespace),
        grant: grant.meta.key.clone(),
        grant_uid: grant.meta.uid.clone(),
        closes_at: end.at,
        stored,
        spec,
    };
    let source = &grant.meta.key.namespace;
    let ends = match &terms.recipient {
        RecipientTerms::Processor { name, endpoints } => {
            let Some(Ok(vendor)) = world.processor(name).map(|processor| &processor.terms) else {
                return Vec::new();
            };
            let endpoints = endpoints
                .iter()
                .filter_map(|endpoint| vendor.endpoints.get(endpoint));
            vec![make(source, network::to_vendor(terms, endpoints))]
        }
        RecipientTerms::Namespace { name } => {
            let Some((_, accepted)) = sharing::sufficient(world, grant, terms, name, now) else {
                return Vec::new();
            };
            vec![
                make(source, network::source_end(terms, name, accepted)),
                make(name, network::recipient_end(terms, source, accepted)),
            ]
        }
    };
    let judged = |end: PathEnd| {
        let state = judge(world, &end, now);
        (end, state)
    };
    ends.into_iter().map(judged).collect()
}

fn judge(world: &World, end: &PathEnd, now: Timestamp) -> PathState {
    let target = Target::new(
        Kind::NetworkPolicy,
        ObjectKey::new(&end.namespace, &end.name),
    );
    let observed = world.policy(&target.key);
    let verdict = timer::judge(world, end, now);
    if observed.is_some_and(|policy| !policy.is_ours(MANAGER_NETWORK)) {
        let obstacle = Obstacle::NameTaken {
            object: target.to_string(),
        };
        return PathState::Opening {
            obstacle,
            timer: None,
            policy: None,
            next: None,
        };
    }
    let (timer, timer_uid) = match verdict {
        Verdict::Proven { job, uid } => (job, uid),
        Verdict::NotYet {
            job,
            obstacle,
            holds,
            next,
        } => {
            // Only a path that already stands on this very timer may stay while the timer is set to another end.
            let stands = |uid: &String| {
                observed.is_some_and(|policy| {
                    policy.owners.iter().any(|owner| &owner.uid == uid) && policy.owners.len() == 1
                })
            };
            let policy = holds.filter(stands).map(|uid| Box::new(end.policy(&uid)));
            return PathState::Opening {
                obstacle,
                timer: job,
                policy,
                next,
            };
        }
    };
    let policy = end.policy(&timer_uid);
    match observed {
        None if !end.stored => PathState::Opening {
            obstacle: Obstacle::EndNotStored,
            timer: Some(timer),
            policy: None,
            next: None,
        },
        None => {
            let obstacle = match world.failure(&target) {
                Some(failure) if failure.category == "NameTaken" => Obstacle::NameTaken {
                    object: target.to_string(),
                },
                Some(failure) if failure.category == "LedgerUnavailable" => {
                    Obstacle::LedgerUnavailable {
                        message: failure.message.clone(),
                    }
                }
                Some(failure) => Obstacle::PolicyRefused {
                    message: failure.message.clone(),
                },
                None => Obstacle::PolicyPending,
            };
            PathState::Opening {
                obstacle,
                timer: Some(timer),
                policy: Some(Box::new(policy)),
                next: None,
            }
        }
        Some(observed) => {
            let as_made = !observed.meta.deleting
                && observed.finalizers.is_empty()
                && observed.owners == policy.metadata.owner_references.clone().unwrap_or_default()
                && observed.spec == policy.spec;
            if as_made {
                let policy_uid = observed.meta.uid.clone();
                PathState::Open {
                    timer,
                    policy: Box::new(policy),
                    timer_uid,
                    policy_uid,
                }
            } else {
                let obstacle = Obstacle::PolicyPending;
                PathState::Opening {
                    obstacle,
                    timer: Some(timer),
                    policy: Some(Box::new(policy)),
                    next: None,
                }
            }
        }
    }
}
