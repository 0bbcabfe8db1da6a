//! What pods and namespaces carry by which agents leave them out, as it stands, and what of it Covenant put there.
//!
//! May not: decide what must be carried; keep more of an object than could be a marker.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::Value;

use super::markers::may_be_marker;
use crate::api::names::MANAGER_TELEMETRY;
use crate::api::{GuardedMarkers, MarkerSet};

/// Most annotations, and most labels, that are kept of one object. One with more is not read, and counts as carrying nothing.
const KEPT: usize = 256;
/// Longest value of a marker. Of a longer one so much is kept that it is no marker's.
const LONGEST: usize = 253;

/// What could be markers of agents on an object; what means something to Kubernetes or to Covenant is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Annotations, by name.
    pub annotations: Carried,
    /// Labels, by name.
    pub labels: Carried,
    /// It has more of them than are kept.
    pub is_unread: bool,
}

/// Annotations or labels of an object. There is one for every pod, so it takes no more room than it must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried(Box<[Mark]>);

/// An annotation or a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub key: Box<str>,
    /// Its value.
    pub value: Box<str>,
    /// Whether Covenant put it there.
    pub is_ours: bool,
}

impl Carried {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.0.iter()
    }

    /// One by its name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Mark> {
        let at = self.0.binary_search_by(|mark| mark.key.as_ref().cmp(key));
        self.0.get(at.ok()?)
    }

    /// Those that Covenant put there.
    pub fn ours(&self) -> impl Iterator<Item = &Mark> {
        self.iter().filter(|mark| mark.is_ours)
    }

    /// Reads them; none where there are more than are kept.
    fn read(pairs: Option<&BTreeMap<String, String>>, ours: &BTreeSet<&str>) -> Option<Self> {
        let pairs = pairs.into_iter().flatten();
        let pairs = pairs.filter(|(key, _)| may_be_marker(key)).take(KEPT + 1);
        let kept: Box<[Mark]> = pairs
            .map(|(key, value)| Mark {
                key: key.as_str().into(),
                value: value.chars().take(LONGEST + 1).collect(),
                is_ours: ours.contains(key.as_str()),
            })
            .collect();
        (kept.len() <= KEPT).then_some(Self(kept))
    }

    /// Whether all of these are there, with these values.
    fn has(&self, asked: &BTreeMap<String, String>) -> bool {
        let mut asked = asked.iter();
        asked.all(|(key, value)| self.get(key).is_some_and(|mark| *mark.value == **value))
    }

    /// The first of these that is there with another value.
    fn contrary(&self, asked: &BTreeMap<String, String>) -> Option<&Mark> {
        self.iter().find(|mark| {
            let asked = asked.get(mark.key.as_ref());
            asked.is_some_and(|asked| **asked != *mark.value)
        })
    }

    fn put(&mut self, marks: &BTreeMap<String, String>) {
        let others = self.iter().filter(|mark| !mark.is_ours);
        let mut now: BTreeMap<&str, Mark> = others
            .map(|mark| (mark.key.as_ref(), mark.clone()))
            .collect();
        for (key, value) in marks {
            let mark = Mark {
                key: key.as_str().into(),
                value: value.as_str().into(),
                is_ours: true,
            };
            now.insert(key, mark);
        }
        self.0 = now.into_values().collect();
    }
}

/// A pod, as far as agents read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkedPod {
    /// Its uid.
    pub uid: Box<str>,
    /// When the API server stored it; absent in files.
    pub created: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What started it, by kind and name: a Deployment rather than its ReplicaSet. None where nothing starts it anew.
    pub workload: Option<(Box<str>, Box<str>)>,
    /// What it carries.
    pub marks: Marks,
}

impl Marks {
    /// Reads what an object carries. `subresource` is the one through which Covenant writes marks of this kind, or empty: what
    /// somebody else writes elsewhere in Covenant's name is not Covenant's.
    #[must_use]
    pub fn read(metadata: &ObjectMeta, subresource: &str) -> Self {
        let ours = |field| ours(metadata, subresource, field);
        let annotations = Carried::read(metadata.annotations.as_ref(), &ours("f:annotations"));
        let labels = Carried::read(metadata.labels.as_ref(), &ours("f:labels"));
        let is_unread = annotations.is_none() || labels.is_none();
        Self {
            annotations: annotations.unwrap_or_default(),
            labels: labels.unwrap_or_default(),
            is_unread,
        }
    }

    /// Whether all of these are carried, with these values.
    #[must_use]
    pub fn carry(&self, asked: &GuardedMarkers) -> bool {
        !self.is_unread
            && self.annotations.has(&asked.annotations)
            && self.labels.has(&asked.labels)
    }

    /// The first of these that is carried with another value, as it stands.
    #[must_use]
    pub fn contrary(&self, asked: &GuardedMarkers) -> Option<&Mark> {
        let annotation = self.annotations.contrary(&asked.annotations);
        annotation.or_else(|| self.labels.contrary(&asked.labels))
    }

    /// Whether Covenant put any there.
    #[must_use]
    pub fn are_ours(&self) -> bool {
        self.annotations
            .ours()
            .chain(self.labels.ours())
            .next()
            .is_some()
    }

    /// Takes in that Covenant put these there, and took off what it had put there before.
    pub(crate) fn put(&mut self, marks: &MarkerSet) {
        self.annotations.put(&marks.annotations);
        self.labels.put(&marks.labels);
    }
}

/// Names of what server-side apply says is Covenant's.
fn ours<'a>(metadata: &'a ObjectMeta, subresource: &str, field: &str) -> BTreeSet<&'a str> {
    let entries = metadata.managed_fields.iter().flatten();
    let entries = entries.filter(|entry| {
        entry.manager.as_deref() == Some(MANAGER_TELEMETRY)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default() == subresource
    });
    entries
        .filter_map(|entry| {
            let fields = &entry.fields_v1.as_ref()?.0;
            fields.get("f:metadata")?.get(field)?.as_object()
        })
        .flat_map(|fields| fields.keys())
        .filter_map(|name| name.strip_prefix("f:"))
        .collect()
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
            uid: object.metadata.uid.as_deref().unwrap_or_default().into(),
            created: object
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0),
            deleting: object.metadata.deletion_timestamp.is_some(),
            workload: workload(&object.metadata),
            marks: Marks::read(&object.metadata, PODS_MARKED_THROUGH),
        })
    }
}

fn workload(metadata: &ObjectMeta) -> Option<(Box<str>, Box<str>)> {
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
        Some(name) => ("Deployment".into(), name.into()),
        None => (owner.kind.as_str().into(), owner.name.as_str().into()),
    })
}
