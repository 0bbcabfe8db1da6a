//! What stands in the cluster, as read back: policies, timers, postures.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::core::DynamicObject;

use super::grant::split;
use super::identity::Meta;
use crate::api::names::{LABEL_MANAGED_BY, MANAGED_BY_COVENANT, MANAGER_NETWORK};
use crate::api::{DataHandlingPostureSpec, DataHandlingPostureStatus};

/// A NetworkPolicy, ours or not.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedPolicy {
    /// Metadata.
    pub meta: Meta,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Owners.
    pub owners: Vec<OwnerReference>,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Field managers.
    pub managers: BTreeSet<String>,
    /// What it allows; none when it could not be read.
    pub spec: Option<NetworkPolicySpec>,
}

/// A Job under our label.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedTimer {
    /// Metadata.
    pub meta: Meta,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Owners.
    pub owners: Vec<OwnerReference>,
    /// Finalizers.
    pub finalizers: Vec<String>,
    /// Field managers.
    pub managers: BTreeSet<String>,
    /// `spec.parallelism`.
    pub parallelism: Option<i32>,
    /// `spec.activeDeadlineSeconds`.
    pub deadline_seconds: Option<i64>,
    /// `spec.ttlSecondsAfterFinished`.
    pub ttl_seconds: Option<i32>,
    /// `spec.suspend`.
    pub suspended: bool,
    /// `spec.managedBy`: another controller than the built-in one would not run the deadline.
    pub managed_by: Option<String>,
    /// `status.startTime`, by the clock of the cluster's controllers.
    pub started: Option<Timestamp>,
    /// Whether it has completed or failed.
    pub finished: bool,
}

/// A posture.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedPosture {
    /// Metadata.
    pub meta: Meta,
    /// The spec; none when it could not be read.
    pub spec: Option<DataHandlingPostureSpec>,
    /// The stored status.
    pub status: DataHandlingPostureStatus,
}

impl ObservedPolicy {
    /// Whether it is Covenant's, says what this one says, and is to stay.
    #[must_use]
    pub fn stands_as(&self, planned: &NetworkPolicy) -> bool {
        self.is_ours(MANAGER_NETWORK) && self.spec == planned.spec && !self.meta.deleting
    }

    /// Reads a policy.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let meta = Meta::of(&object.metadata);
        let spec = object
            .try_parse::<NetworkPolicy>()
            .map(|policy| (policy.metadata, policy.spec));
        match spec {
            Ok((metadata, spec)) => {
                let parts = Parts::of(metadata);
                Self {
                    meta,
                    labels: parts.labels,
                    annotations: parts.annotations,
                    owners: parts.owners,
                    finalizers: parts.finalizers,
                    managers: parts.managers,
                    spec,
                }
            }
            Err(_) => Self {
                meta,
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                owners: Vec::new(),
                finalizers: Vec::new(),
                managers: BTreeSet::new(),
                spec: None,
            },
        }
    }

    /// Whether it carries our label and was written under this field manager. A label alone is anybody's to set.
    #[must_use]
    pub fn is_ours(&self, manager: &str) -> bool {
        carries_our_label(&self.labels) && self.managers.contains(manager)
    }
}

impl ObservedTimer {
    /// Reads a timer.
    #[must_use]
    pub fn read(object: DynamicObject) -> Option<Self> {
        let meta = Meta::of(&object.metadata);
        let job: Job = object.try_parse().ok()?;
        let parts = Parts::of(job.metadata);
        let spec = job.spec.unwrap_or_default();
        let status = job.status.unwrap_or_default();
        let finished = status
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| {
                matches!(condition.type_.as_str(), "Complete" | "Failed")
                    && condition.status == "True"
            });
        Some(Self {
            meta,
            labels: parts.labels,
            annotations: parts.annotations,
            owners: parts.owners,
            finalizers: parts.finalizers,
            managers: parts.managers,
            parallelism: spec.parallelism,
            deadline_seconds: spec.active_deadline_seconds,
            ttl_seconds: spec.ttl_seconds_after_finished,
            suspended: spec.suspend.unwrap_or(false),
            managed_by: spec.managed_by,
            started: status.start_time.map(|time| time.0),
            finished,
        })
    }

    /// Whether it carries our label and was written under this field manager.
    #[must_use]
    pub fn is_ours(&self, manager: &str) -> bool {
        carries_our_label(&self.labels) && self.managers.contains(manager)
    }
}

impl ObservedPosture {
    /// Reads a posture.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        Self {
            meta,
            spec: serde_json::from_value(spec).ok(),
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

fn carries_our_label(labels: &BTreeMap<String, String>) -> bool {
    labels
        .get(LABEL_MANAGED_BY)
        .is_some_and(|value| value == MANAGED_BY_COVENANT)
}

struct Parts {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    owners: Vec<OwnerReference>,
    finalizers: Vec<String>,
    managers: BTreeSet<String>,
}

impl Parts {
    fn of(metadata: ObjectMeta) -> Self {
        let managers = metadata
            .managed_fields
            .unwrap_or_default()
            .into_iter()
            .filter_map(|entry| entry.manager);
        Self {
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            owners: metadata.owner_references.unwrap_or_default(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            managers: managers.collect(),
        }
    }
}

impl ObservedPolicy {
    /// Whether it allows anything at all. What cannot be read counts as allowing.
    #[must_use]
    pub fn lets_talk(&self) -> bool {
        self.spec.as_ref().is_none_or(|spec| {
            let rules =
                spec.ingress.iter().flatten().count() + spec.egress.iter().flatten().count();
            rules > 0
        })
    }

    /// Whether it allows anything but pods of its own namespace. What cannot be read counts as reaching out.
    #[must_use]
    pub fn reaches_out(&self) -> bool {
        let Some(spec) = &self.spec else { return true };
        let wide = |peers: Option<&Vec<NetworkPolicyPeer>>| {
            peers.is_none_or(|peers| {
                peers.is_empty()
                    || peers.iter().any(|peer| {
                        peer.ip_block.is_some()
                            || peer.namespace_selector.is_some()
                            || peer.pod_selector.is_none()
                    })
            })
        };
        let ingress = spec
            .ingress
            .iter()
            .flatten()
            .any(|rule| wide(rule.from.as_ref()));
        let egress = spec
            .egress
            .iter()
            .flatten()
            .any(|rule| wide(rule.to.as_ref()));
        ingress || egress
    }
}
