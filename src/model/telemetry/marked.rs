//! What pods and namespaces carry by which agents leave them out, as it stands, and what of it Covenant put there.
//!
//! May not: decide what must be carried; keep more of an object than could be a marker.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::Value;

use super::markers::may_be_marker;
use crate::api::names::MANAGER_TELEMETRY;
use crate::api::{GuardedMarkers, MarkerSet};
use crate::model::Meta;

/// Most annotations, and most labels, that are kept of one object. One with more is not read, and counts as carrying nothing.
const KEPT: usize = 256;
/// Longest value of a marker. Of a longer one so much is kept that it is no marker's.
const LONGEST: usize = 253;

/// What could be markers of agents on an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Annotations and labels; what means something to Kubernetes or to Covenant is left out.
    pub carried: MarkerSet,
    /// Names of those that Covenant put there.
    pub ours: MarkerNames,
    /// It has more of them than are kept.
    pub is_unread: bool,
}

/// Names of annotations and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarkerNames {
    /// Of annotations.
    pub annotations: BTreeSet<String>,
    /// Of labels.
    pub labels: BTreeSet<String>,
}

impl MarkerNames {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.labels.is_empty()
    }
}

/// A pod, as far as agents read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedPod {
    /// Metadata.
    pub meta: Meta,
    /// What started it, by kind and name: a Deployment rather than its ReplicaSet. None where nothing starts it anew.
    pub workload: Option<(String, String)>,
    /// What it carries.
    pub marks: Marks,
}

impl Marks {
    /// Reads what an object carries. `subresource` is the one through which Covenant writes marks of this kind, or empty: what
    /// somebody else writes elsewhere in Covenant's name is not Covenant's.
    #[must_use]
    pub fn read(metadata: &ObjectMeta, subresource: &str) -> Self {
        let kept = |pairs: Option<&BTreeMap<String, String>>| {
            let pairs = pairs.into_iter().flatten();
            let pairs = pairs.filter(|(key, _)| may_be_marker(key));
            let kept: BTreeMap<String, String> = pairs
                .take(KEPT + 1)
                .map(|(key, value)| (key.clone(), value.chars().take(LONGEST + 1).collect()))
                .collect();
            (kept.len() <= KEPT).then_some(kept)
        };
        let annotations = kept(metadata.annotations.as_ref());
        let labels = kept(metadata.labels.as_ref());
        let is_unread = annotations.is_none() || labels.is_none();
        Self {
            carried: MarkerSet {
                annotations: annotations.unwrap_or_default(),
                labels: labels.unwrap_or_default(),
            },
            ours: ours(metadata, subresource),
            is_unread,
        }
    }

    /// Whether all of these are carried, with these values.
    #[must_use]
    pub fn carry(&self, asked: &GuardedMarkers) -> bool {
        let all = |asked: &BTreeMap<String, String>, carried: &BTreeMap<String, String>| {
            asked
                .iter()
                .all(|(key, value)| carried.get(key) == Some(value))
        };
        !self.is_unread
            && all(&asked.annotations, &self.carried.annotations)
            && all(&asked.labels, &self.carried.labels)
    }

    /// The first of these that is carried with another value, as it stands.
    #[must_use]
    pub fn contrary(&self, asked: &GuardedMarkers) -> Option<(&str, &str)> {
        fn other<'a>(
            asked: &BTreeMap<String, String>,
            carried: &'a BTreeMap<String, String>,
        ) -> Option<(&'a str, &'a str)> {
            carried
                .iter()
                .find(|(key, value)| asked.get(*key).is_some_and(|asked| asked != *value))
                .map(|(key, value)| (key.as_str(), value.as_str()))
        }
        other(&asked.annotations, &self.carried.annotations)
            .or_else(|| other(&asked.labels, &self.carried.labels))
    }

    /// Takes in that Covenant put these there, and took off what it had put there before.
    pub(crate) fn put(&mut self, marks: &MarkerSet) {
        let put = |carried: &mut BTreeMap<String, String>,
                   ours: &mut BTreeSet<String>,
                   marks: &BTreeMap<String, String>| {
            carried.retain(|key, _| !ours.contains(key));
            carried.extend(marks.clone());
            *ours = marks.keys().cloned().collect();
        };
        put(
            &mut self.carried.annotations,
            &mut self.ours.annotations,
            &marks.annotations,
        );
        put(
            &mut self.carried.labels,
            &mut self.ours.labels,
            &marks.labels,
        );
    }
}

/// What server-side apply says is Covenant's.
fn ours(metadata: &ObjectMeta, subresource: &str) -> MarkerNames {
    let mut ours = MarkerNames::default();
    let entries = metadata.managed_fields.iter().flatten();
    for entry in entries.filter(|entry| {
        entry.manager.as_deref() == Some(MANAGER_TELEMETRY)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default() == subresource
    }) {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let metadata = fields.and_then(|fields| fields.get("f:metadata"));
        let names = |of: &str| {
            let fields = metadata.and_then(|metadata| metadata.get(of));
            let fields = fields.and_then(Value::as_object).into_iter().flatten();
            let names = fields.filter_map(|(name, _)| name.strip_prefix("f:"));
            names.map(str::to_owned).take(KEPT).collect::<Vec<_>>()
        };
        ours.annotations.extend(names("f:annotations"));
        ours.labels.extend(names("f:labels"));
    }
    ours
}

/// By which Covenant marks pods: nothing of their spec can be changed through it.
pub const PODS_MARKED_THROUGH: &str = "status";

impl MarkedPod {
    /// Reads a pod; none when it has finished, because it sends nothing any more.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let phase = object.data.pointer("/status/phase").and_then(Value::as_str);
        if matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        Some(Self {
            meta: Meta::of(&object.metadata),
            workload: workload(&object.metadata),
            marks: Marks::read(&object.metadata, PODS_MARKED_THROUGH),
        })
    }
}

fn workload(metadata: &ObjectMeta) -> Option<(String, String)> {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    let labels = metadata.labels.as_ref();
    let hash = labels.and_then(|labels| labels.get("pod-template-hash"));
    let of_deployment = hash
        .filter(|_| owner.kind == "ReplicaSet")
        .and_then(|hash| {
            let name = owner.name.strip_suffix(hash.as_str())?;
            name.strip_suffix('-')
        });
    Some(match of_deployment {
        Some(name) => ("Deployment".to_owned(), name.to_owned()),
        None => (owner.kind.clone(), owner.name.clone()),
    })
}
