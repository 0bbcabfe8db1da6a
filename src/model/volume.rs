//! PersistentVolumes, as far as a hold concerns them: whose claim is behind one, and what becomes of its data.
//!
//! May not: decide which are held.

use kube::core::DynamicObject;

use super::identity::{Meta, ObjectKey};
use crate::api::names::{ANNOTATION_RECLAIM_POLICY, LABEL_HELD};

/// A volume that is bound to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedVolume {
    /// Metadata.
    pub meta: Meta,
    /// The claim.
    pub claim: ObjectKey,
    /// `spec.persistentVolumeReclaimPolicy`: `Delete`, `Retain` or `Recycle`.
    pub reclaim_policy: String,
    /// The CSI driver that serves it; none where none does.
    pub driver: Option<String>,
    /// Whether it carries the label of a held volume.
    pub held: bool,
    /// What the policy was before it was held.
    pub former_policy: Option<String>,
}

impl ObservedVolume {
    /// Reads a volume; one without a claim concerns nobody.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let text = |pointer: &str| Some(object.data.pointer(pointer)?.as_str()?.to_owned());
        let claim = ObjectKey::new(
            text("/spec/claimRef/namespace")?,
            text("/spec/claimRef/name")?,
        );
        let of = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
            map.as_ref().and_then(|map| map.get(key)).cloned()
        };
        Some(Self {
            meta: Meta::of(&object.metadata),
            claim,
            reclaim_policy: text("/spec/persistentVolumeReclaimPolicy")
                .unwrap_or_else(|| "Retain".to_owned()),
            driver: text("/spec/csi/driver"),
            held: of(&object.metadata.labels, LABEL_HELD).as_deref() == Some("true"),
            former_policy: of(&object.metadata.annotations, ANNOTATION_RECLAIM_POLICY),
        })
    }
}
