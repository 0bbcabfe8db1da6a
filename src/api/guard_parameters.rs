//! GuardParameters: the small, bounded part of what is in force that guards read.
//!
//! May not: hold what changes often, such as open paths. Every field reads stricter the older it is, so that a dead operator
//! is never laxer.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::encryption::{EmptyDirRule, MinimumTls};
use super::retention::RetentionStart;
use super::telemetry::GuardedTelemetry;
use super::wire::{WhenText, label_map};

/// What guards read of a namespace. One a namespace, named `current`, written by the operator only.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "GuardParameters",
    plural = "guardparameters",
    shortname = "guardparams",
    category = "covenant",
    namespaced,
    derive = "PartialEq",
    doc = "What guards read of this namespace: the boundaries of retention, the storage classes that claims may name, what scratch space and gateways must be like, the channels of telemetry that are opted out of. One a namespace, named `current`, written by the operator only. A boundary only ever advances: while the operator is dead, more is kept, never less.",
    validation = Rule::new("self.metadata.name == 'current'").message("a namespace has one, named current"),
    printcolumn(name = "Rules", type_ = "string", json_path = ".spec.retention[*].rule"),
    printcolumn(name = "Classes", type_ = "string", json_path = ".spec.storageClasses[*].name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardParametersSpec {
    /// Minimums that run here, one entry for each selection of each policy and baseline.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub retention: Vec<RetentionRule>,
    /// The only storage classes that claims may name. Absent: claims are not judged. Empty: none is let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub storage_classes: Option<Vec<AllowedClass>>,
    /// What becomes of scratch space on the node's disk. Absent: it is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirRule>,
    /// What gateways and ingresses must negotiate at least. Absent: they are not judged.
    #[serde(
        default,
        rename = "minimumTLS",
        skip_serializing_if = "Option::is_none"
    )]
    pub minimum_tls: Option<MinimumTls>,
    /// The channels of telemetry that are opted out of. Absent: none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<GuardedTelemetry>,
}

/// A storage class that claims may name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedClass {
    /// Name of the StorageClass.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// From this instant on no claim that names it is let in. It is compared with the claim's own creation, so that it binds with
    /// the operator dead. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<WhenText>,
}

/// Objects that nobody deletes yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionRule {
    /// Whose minimum it is, such as `RetentionPolicy build-logs` or `TenantBaseline default`.
    #[schemars(length(min = 1, max = 290))]
    pub rule: String,
    /// API group of the kind; empty for the core group. `*` with the kind `*`: every kind.
    #[schemars(length(max = 253))]
    pub api_group: String,
    /// The kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Labels that an object must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub match_labels: BTreeMap<String, String>,
    /// Names, of which an object must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub names: Vec<String>,
    /// What an object's name must begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name_prefix: Option<String>,
    /// From when the minimum counts.
    pub starts_at: RetentionStart,
    /// The minimum, for the message; ISO 8601.
    #[schemars(length(max = 32))]
    pub at_least: String,
    /// Objects whose time began at or before this instant may be deleted. Absent: none may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_before: Option<WhenText>,
}
