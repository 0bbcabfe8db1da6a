//! StorageClasses, claims and scratch space, as far as encryption at rest concerns them.
//!
//! May not: decide whether they are encrypted.

use std::collections::BTreeMap;

use kube::core::DynamicObject;
use serde_json::Value;

use crate::model::Meta;

/// A StorageClass. What it says of volumes cannot be changed; one of the same name may be made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedClass {
    /// Metadata.
    pub meta: Meta,
    /// Which driver makes its volumes.
    pub provisioner: String,
    /// What it tells the driver.
    pub parameters: BTreeMap<String, String>,
}

impl ObservedClass {
    /// Reads a class. A parameter that is no text counts as not given.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Self {
        let parameters = object.data.get("parameters").and_then(Value::as_object);
        let text =
            |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        Self {
            meta: Meta::of(&object.metadata),
            provisioner: text_at(object, "/provisioner").unwrap_or_default(),
            parameters: parameters.into_iter().flatten().filter_map(text).collect(),
        }
    }
}

/// Came before the field and still beats it, for everything that makes volumes.
const ANNOTATION_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedClaim {
    /// Metadata.
    pub meta: Meta,
    /// The class that it names; none where it names none.
    pub class: Option<String>,
    /// The volume that it is bound to.
    pub volume: Option<String>,
}

impl ObservedClaim {
    /// Reads a claim. An empty class is none.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Self {
        let annotations = object.metadata.annotations.as_ref();
        let annotated = annotations
            .and_then(|all| all.get(ANNOTATION_CLASS))
            .cloned();
        let class = annotated.or_else(|| text_at(object, "/spec/storageClassName"));
        let volume = text_at(object, "/spec/volumeName");
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            meta: Meta::of(&object.metadata),
            class: some(class),
            volume: some(volume),
        }
    }
}

/// Whether a pod that has not finished keeps scratch space on its node's disk.
#[must_use]
pub fn has_scratch(pod: &DynamicObject) -> bool {
    if matches!(
        text_at(pod, "/status/phase").as_deref(),
        Some("Succeeded" | "Failed")
    ) {
        return false;
    }
    let volumes = pod.data.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().any(|volume| {
        volume.get("emptyDir").is_some_and(|directory| {
            let medium = directory.get("medium").and_then(Value::as_str);
            !medium.is_some_and(|medium| medium == "Memory" || medium.starts_with("HugePages"))
        })
    })
}

fn text_at(object: &DynamicObject, pointer: &str) -> Option<String> {
    Some(object.data.pointer(pointer)?.as_str()?.to_owned())
}
