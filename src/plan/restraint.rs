//! What the unreleased holds of a namespace come to together. Each counts; the last release frees.
//!
//! May not: read whether a hold is proven. It is obeyed from the moment it is seen.

use crate::api::HoldEffect;
use crate::model::{Hold, World};

/// How far a hold cuts a namespace off, beyond closing the paths of its grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// Not at all.
    None,
    /// From the tenant's other namespaces, through which data would go on.
    Siblings,
    /// From everything: nothing here talks.
    Everything,
}

/// How far the holds of a namespace cut it off.
#[must_use]
pub fn cut(world: &World, namespace: &str) -> Cut {
    let of = |hold: &Hold| {
        if hold.has(HoldEffect::SuspendProcessing) {
            Cut::Everything
        } else if hold.has(HoldEffect::SuspendSharing) {
            Cut::Siblings
        } else {
            Cut::None
        }
    };
    world.holds_in(namespace).map(of).max().unwrap_or(Cut::None)
}

/// The holds that close the paths of a namespace's grants, with the effect by which they do.
pub fn closing<'a>(
    world: &'a World,
    namespace: &str,
) -> impl Iterator<Item = (&'a Hold, HoldEffect)> {
    world.holds_in(namespace).filter_map(|hold| {
        [HoldEffect::SuspendSharing, HoldEffect::SuspendProcessing]
            .into_iter()
            .find(|effect| hold.has(*effect))
            .map(|effect| (hold, effect))
    })
}

/// The unreleased hold, by name the first, that has an effect and whose scope has objects of a kind.
pub(super) fn keeping<'a>(
    world: &'a World,
    namespace: &str,
    effect: HoldEffect,
    group: &str,
    kind: &str,
) -> Option<&'a Hold> {
    world
        .holds_in(namespace)
        .find(|hold| hold.has(effect) && hold.covers_kind(group, kind))
}
