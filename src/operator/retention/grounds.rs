//! What a run of disposal rests on. When it changes, the run is halted and planned anew.
//!
//! May not: judge whether the change matters to an object. Halting costs a plan; going on could cost a record.

use std::collections::BTreeSet;

use crate::api::HoldEffect;
use crate::model::{HeldScope, Kind, ObjectKey, World};
use crate::plan::{Standing, standing};

/// The part of one object that runs rest on.
#[derive(Clone, Debug, PartialEq)]
pub enum Grounds {
    /// Nothing rests on it.
    None,
    /// What a hold keeps; nothing, where it is released.
    Hold(BTreeSet<HoldEffect>, HeldScope, bool),
    /// A policy or a baseline, as it was written.
    Written(String, i64),
    /// How a namespace stands.
    Namespace(Box<Standing>),
}

/// What runs rest on, of this object.
#[must_use]
pub fn of(world: &World, kind: Kind, key: &ObjectKey) -> Grounds {
    match kind {
        Kind::Hold => world.hold(key).map_or(Grounds::None, |hold| {
            Grounds::Hold(
                hold.effects.clone(),
                hold.scope.clone(),
                hold.release.is_some(),
            )
        }),
        Kind::RetentionPolicy => world.retention_policy(key).map_or(Grounds::None, |policy| {
            Grounds::Written(policy.meta.uid.clone(), policy.meta.generation)
        }),
        Kind::Baseline => world.baseline(&key.name).map_or(Grounds::None, |baseline| {
            Grounds::Written(baseline.meta.uid.clone(), baseline.meta.generation)
        }),
        Kind::Namespace => Grounds::Namespace(Box::new(standing(world, &key.name))),
        _ => Grounds::None,
    }
}

/// Whose runs rest on it; none means all.
#[must_use]
pub fn namespace(kind: Kind, key: &ObjectKey) -> Option<&str> {
    match kind {
        Kind::Baseline => None,
        Kind::Namespace => Some(&key.name),
        _ => Some(&key.namespace),
    }
}
