//! SharingProhibition: an officer's no.
//!
//! May not: name a grant by uid or generation. A prohibition speaks of recipients and categories, so that no edit,
//! re-creation or restore of a grant gets round it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::DataCategory;

/// Nothing of these tenants or namespaces goes to these recipients, or in these categories, whatever a grant says.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "SharingProhibition",
    plural = "sharingprohibitions",
    shortname = "prohib",
    category = "covenant",
    status = "SharingProhibitionStatus",
    derive = "PartialEq",
    doc = "Nothing of these tenants or namespaces goes to these recipients, or in these categories, whatever a grant says. Matching paths close at once and stay closed while it exists. An empty list means all. Only who holds the verb revoke for the tenant may write or lift it.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Tenants", type_ = "string", json_path = ".spec.tenants"),
    printcolumn(
        name = "Processors",
        type_ = "string",
        json_path = ".spec.recipients.processors"
    ),
    printcolumn(
        name = "Categories",
        type_ = "string",
        json_path = ".spec.dataCategories"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharingProhibitionSpec {
    /// Tenants that it binds. Empty or absent: all. Name one tenant a prohibition unless you hold `revoke` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub tenants: Vec<String>,
    /// Namespaces that it binds, of the tenants above. Empty or absent: all of theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// Recipients that receive nothing. Absent, or with both lists empty: every recipient.
    #[serde(default)]
    pub recipients: ProhibitedRecipients,
    /// Categories that are not shared. Empty or absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub data_categories: Vec<DataCategory>,
    /// Why. Tenants can read this in the status of their grants.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}

/// Recipients that receive nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProhibitedRecipients {
    /// DataProcessors by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    pub processors: Vec<String>,
    /// Recipient namespaces by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
}

/// What the operator read. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharingProhibitionStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// `Ready`: it binds. What of it could not be read binds everything, and the message says so.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
