//! Retention, read: policies and the minimums of baselines, the kinds that they select, the objects of these kinds, and
//! what the operator learned about them by asking.
//!
//! What of a policy cannot be read counts as the stricter case: nothing is disposed of, and what it selects is kept.
//! May not: decide what goes.

mod completed;
mod item;
mod learned;
mod policy;
mod rule;
mod selection;
mod shelf;

use std::fmt;

pub use completed::completed;
pub(in crate::model) use item::Strings;
pub use item::{Completion, Item, RetainedSince, Tracker};
pub use learned::{LastRun, LedgerHead, LedgerState, PolicyRun, RefusedItem, RunResult};
pub use policy::RetentionPolicy;
pub(in crate::model) use policy::minimum;
pub use rule::{Keep, Minimum, Rule, Source, Terms, Touch};
pub use selection::{Selection, is_never_selected};
pub(in crate::model) use selection::{Unselectable, selection, selections};
pub use shelf::{Held, Shelf};

use super::grant::split;
use super::identity::Meta;
use crate::api::GuardParametersSpec;

/// A kind by group, version and name, known to the World or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind, such as `ConfigMap`.
    pub kind: String,
}

impl ResourceKind {
    /// A kind by what a manifest says.
    #[must_use]
    pub fn parse(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// `group/version`, or `v1` for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether it says of its objects when they completed, so that a period may count from there.
    #[must_use]
    pub fn completes(&self) -> bool {
        matches!(
            (self.group.as_str(), self.kind.as_str()),
            ("batch", "Job") | ("", "Pod")
        )
    }
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            write!(formatter, "{} {}", self.version, self.kind)
        } else {
            write!(formatter, "{}/{} {}", self.group, self.version, self.kind)
        }
    }
}

/// Whether the objects of a kind are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KindState {
    /// Its first list is not complete.
    #[default]
    Syncing,
    /// Every object of it is in the World.
    Synced,
    /// The cluster does not serve it.
    NotServed,
    /// Its objects are not in namespaces.
    NotNamespaced,
    /// The operator may not read it.
    Forbidden {
        /// The rule of RBAC that is to be added.
        message: String,
    },
    /// Its watch fails.
    Failing {
        /// Why.
        message: String,
    },
}

/// What guards read of a namespace, as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedParameters {
    /// Metadata.
    pub meta: Meta,
    /// The spec; none when it could not be read.
    pub spec: Option<GuardParametersSpec>,
}

impl ObservedParameters {
    /// Reads GuardParameters.
    #[must_use]
    pub fn read(object: kube::core::DynamicObject) -> Self {
        let (meta, spec, _) = split(object);
        Self {
            meta,
            spec: serde_json::from_value(spec).ok(),
        }
    }
}
