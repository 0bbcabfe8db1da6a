//! Whether and how a namespace is enrolled.

use std::sync::Arc;

use crate::model::{BaselineTerms, Stage, World};

/// How a namespace stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// There is no such namespace, or it carries no tenant label.
    NotEnrolled,
    /// A system namespace, or the operator's own: its label counts for nothing.
    Exempt,
    /// It is being deleted.
    Terminating {
        /// The tenant.
        tenant: String,
    },
    /// Compiled and reported only.
    Observing {
        /// The tenant.
        tenant: String,
        /// Name of the baseline.
        baseline: String,
        /// What the baseline says, if it could be read.
        floor: Floor,
    },
    /// Enforced.
    InForce {
        /// The tenant.
        tenant: String,
        /// Name of the baseline.
        baseline: String,
        /// What the baseline says, if it could be read.
        floor: Floor,
    },
}

/// The floor that a namespace stands on. Without a readable baseline it is the strictest: everything denied.
#[derive(Clone, Debug, PartialEq)]
pub enum Floor {
    /// A readable baseline.
    Readable(Arc<BaselineTerms>),
    /// The baseline does not exist.
    Missing,
    /// The baseline could not be read.
    Invalid,
}

impl Standing {
    /// The tenant, where there is one.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Self::NotEnrolled | Self::Exempt => None,
            Self::Terminating { tenant }
            | Self::Observing { tenant, .. }
            | Self::InForce { tenant, .. } => Some(tenant),
        }
    }

    /// What the baseline says, where it could be read.
    #[must_use]
    pub fn floor(&self) -> Option<&BaselineTerms> {
        match self {
            Self::Observing {
                floor: Floor::Readable(terms),
                ..
            }
            | Self::InForce {
                floor: Floor::Readable(terms),
                ..
            } => Some(terms),
            _ => None,
        }
    }

    /// Whether it is enforced.
    #[must_use]
    pub const fn is_in_force(&self) -> bool {
        matches!(self, Self::InForce { .. })
    }
}

/// How a namespace stands.
#[must_use]
pub fn standing(world: &World, name: &str) -> Standing {
    let Some(namespace) = world.namespace(name) else {
        return Standing::NotEnrolled;
    };
    let Some(tenant) = namespace.tenant.clone() else {
        return Standing::NotEnrolled;
    };
    if is_exempt(world, name) {
        return Standing::Exempt;
    }
    if namespace.meta.deleting {
        return Standing::Terminating { tenant };
    }
    let baseline = namespace.baseline.clone();
    let floor = match world.baseline(&baseline).map(|baseline| &baseline.terms) {
        Some(Ok(terms)) => Floor::Readable(Arc::clone(terms)),
        Some(Err(_)) => Floor::Invalid,
        None => Floor::Missing,
    };
    match namespace.stage() {
        Stage::Observe => Standing::Observing {
            tenant,
            baseline,
            floor,
        },
        Stage::Enforce => Standing::InForce {
            tenant,
            baseline,
            floor,
        },
    }
}

/// `kube-*`, `default` and the operator's own namespace are never enrolled, whatever their labels say.
fn is_exempt(world: &World, name: &str) -> bool {
    name.starts_with("kube-")
        || name == "default"
        || world.settings().operator_namespace.as_deref() == Some(name)
}
