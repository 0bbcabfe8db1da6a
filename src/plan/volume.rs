//! The reclaim policies of volumes: `Retain` while a hold keeps their claim, and afterwards what they were.
//!
//! Labels of a claim do not show in its volume, so a hold by labels counts for every claim: the stricter reading.

use super::restraint;
use crate::api::HoldEffect;
use crate::model::{Kind, ObjectKey, Target, World};

/// What a volume must become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePlan {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Whether it is held.
    pub held: bool,
    /// The reclaim policy that it must have.
    pub reclaim_policy: String,
    /// The policy before the hold, to be remembered; none once it is back.
    pub former_policy: Option<String>,
}

impl VolumePlan {
    /// The object.
    #[must_use]
    pub fn target(&self) -> Target {
        Target::new(Kind::Volume, ObjectKey::cluster(&self.name))
    }
}

/// The volumes behind a namespace's claims that are not as they must be.
pub(super) fn volumes(world: &World, namespace: &str) -> Vec<VolumePlan> {
    let deletion = HoldEffect::PreventDeletion;
    let kept =
        restraint::keeping(world, namespace, deletion, "", "PersistentVolumeClaim").is_some();
    let plan = |volume: &crate::model::ObservedVolume| {
        let former = volume
            .former_policy
            .clone()
            .unwrap_or_else(|| volume.reclaim_policy.clone());
        let as_it_must_be = if kept {
            volume.held && volume.reclaim_policy == "Retain"
        } else {
            !volume.held
        };
        (!as_it_must_be && !volume.meta.deleting).then(|| VolumePlan {
            name: volume.meta.key.name.clone(),
            uid: volume.meta.uid.clone(),
            held: kept,
            reclaim_policy: if kept {
                "Retain".to_owned()
            } else {
                former.clone()
            },
            former_policy: kept.then_some(former),
        })
    };
    world.volumes_of(namespace).filter_map(plan).collect()
}
