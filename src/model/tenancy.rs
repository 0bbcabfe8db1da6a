//! Namespaces and their enrolment.

use kube::core::DynamicObject;

use super::identity::Meta;
use super::telemetry::Marks;
use crate::api::names::{
    BASELINE_DEFAULT, LABEL_BASELINE, LABEL_STAGE, LABEL_TENANT, STAGE_OBSERVE,
};

/// How far enrolment reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Everything is enforced. Also what an unknown stage counts as.
    Enforce,
    /// Compiled and reported; nothing is refused or cut.
    Observe,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Metadata.
    pub meta: Meta,
    /// Tenant that it is enrolled for.
    pub tenant: Option<String>,
    /// The stage label's value, as written.
    pub stage_label: Option<String>,
    /// Name of its baseline.
    pub baseline: String,
    /// Labels, for the tables of who may reach whom.
    pub labels: std::collections::BTreeMap<String, String>,
    /// What it carries by which agents leave it out.
    pub marks: Marks,
}

impl Namespace {
    /// Reads a namespace.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Self {
        let labels = object.metadata.labels.clone().unwrap_or_default();
        let label = |key: &str| labels.get(key).filter(|value| !value.is_empty()).cloned();
        Self {
            meta: Meta::of(&object.metadata),
            tenant: label(LABEL_TENANT),
            stage_label: labels.get(LABEL_STAGE).cloned(),
            baseline: label(LABEL_BASELINE).unwrap_or_else(|| BASELINE_DEFAULT.to_owned()),
            labels,
            marks: Marks::read(&object.metadata, ""),
        }
    }

    /// The stage. Only the exact word `observe` holds enforcement back.
    #[must_use]
    pub fn stage(&self) -> Stage {
        if self.stage_label.as_deref() == Some(STAGE_OBSERVE) {
            Stage::Observe
        } else {
            Stage::Enforce
        }
    }
}
