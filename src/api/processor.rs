//! DataProcessor: a vetted vendor.
//!
//! May not: decide whether the vendor is approved now; that is [`crate::plan`]'s.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::{DataCategory, Purpose};
use super::wire::{NetworkPort, WhenText};

/// A vetted vendor: its agreements, assessments, endpoints, and what it was approved for.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "DataProcessor",
    plural = "dataprocessors",
    shortname = "dproc",
    category = "covenant",
    status = "DataProcessorStatus",
    derive = "PartialEq",
    doc = "A vetted vendor: its agreements, assessments, endpoints, and what it was approved for. No grant to it opens without a data processing agreement in force and an assessment at most twelve months old; when either lapses, every path to it closes.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Approved",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Approved\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Approved\")].reason"
    ),
    printcolumn(name = "Category", type_ = "string", json_path = ".spec.category"),
    printcolumn(name = "Until", type_ = "string", json_path = ".status.approvedUntil"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataProcessorSpec {
    /// The vendor's name as people know it.
    #[schemars(length(min = 1, max = 128))]
    pub display_name: String,
    /// What kind of vendor it is. `PaymentProcessing` needs a PCI-DSS level 1 certification; `Communication` serves
    /// transactional purposes only.
    pub category: ProcessorCategory,
    /// Agreements with the vendor, by name. Renewals may overlap; where they join without a gap they count as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub agreements: Vec<Agreement>,
    /// Security assessments of the vendor. The latest one counts, for twelve months.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub assessments: Vec<Assessment>,
    /// Certifications that the vendor holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub certifications: Vec<Certification>,
    /// What the vendor was approved for. A grant must fit into one entry whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub approved_for: Vec<ApprovedUse>,
    /// Countries or regions where the vendor processes, such as `US` or `EU`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 32)))]
    pub locations: Vec<String>,
    /// Where the vendor can be reached, and connects from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub endpoints: Vec<Endpoint>,
}

/// Kind of vendor, as the policy's section 3 lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProcessorCategory {
    /// Such as Prometheus, Datadog, PagerDuty.
    InfrastructureMonitoring,
    /// Such as Okta, Auth0, AWS Cognito.
    IdentityAccess,
    /// Such as Stripe, Adyen. Needs PCI-DSS level 1.
    PaymentProcessing,
    /// Such as SendGrid, Twilio. Transactional purposes only: ServiceProvision, IdentityAuthentication,
    /// AccountManagement, PaymentManagement, EnforceSecurity.
    Communication,
}

/// An agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Agreement {
    /// Its name, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What it is. `DataProcessingAgreement`, `ControllerProcessorAgreement` and `SubProcessorAgreement` permit
    /// processing; the others are on record only.
    #[serde(rename = "type")]
    pub type_: AgreementType,
    /// In force from this instant, or the start of this day.
    pub effective_from: WhenText,
    /// In force until this instant, or the end of this day.
    pub effective_until: WhenText,
    /// SHA-256 of the signed document, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

/// Kind of agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AgreementType {
    /// Permits processing.
    DataProcessingAgreement,
    /// Permits processing.
    ControllerProcessorAgreement,
    /// Permits processing.
    SubProcessorAgreement,
    /// On record only.
    JointDataControllersAgreement,
    /// On record only.
    NonDisclosureAgreement,
}

/// A security assessment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Assessment {
    /// Its name, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it was completed. It counts for twelve calendar months; a bare date to the end of that day.
    pub completed_on: WhenText,
    /// What came out. Only `AuditApproved` permits sharing.
    pub outcome: AssessmentOutcome,
    /// The team that did it.
    #[schemars(length(min = 1, max = 128))]
    pub by: String,
    /// SHA-256 of the report, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

/// Outcome of an assessment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AssessmentOutcome {
    /// Permits sharing.
    AuditApproved,
    /// Does not permit sharing until its conditions are met and recorded as an approval.
    AuditConditionallyApproved,
    /// Does not permit sharing, whatever an earlier assessment said.
    AuditRejected,
}

/// A certification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certification {
    /// The scheme.
    pub scheme: CertificationScheme,
    /// Level within the scheme, such as `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub level: Option<String>,
    /// Valid until this instant, or the end of this day.
    pub valid_until: WhenText,
}

/// A certification scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CertificationScheme {
    /// Payment Card Industry Data Security Standard.
    #[serde(rename = "PCI-DSS")]
    PciDss,
    /// ISO/IEC 27001.
    #[serde(rename = "ISO-27001")]
    Iso27001,
    /// ISO/IEC 27701.
    #[serde(rename = "ISO-27701")]
    Iso27701,
    /// SOC 2 Type II.
    #[serde(rename = "SOC-2")]
    Soc2,
}

/// A use for which a vendor was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovedUse {
    /// Its name, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Categories that may be shared under this entry.
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub data_categories: Vec<DataCategory>,
    /// Purposes for which they may be shared.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub purposes: Vec<Purpose>,
    /// Tenants that may use this entry. Absent or empty: every tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)))]
    pub tenants: Vec<String>,
}

/// Where a vendor can be reached, and connects from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.cidrs) && size(self.cidrs) > 0, has(self.hosts) && size(self.hosts) > 0].exists_one(given, given)")
    .message("exactly one of cidrs and hosts must be given"))]
pub struct Endpoint {
    /// Its name, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Address ranges, such as `203.0.113.0/24` or `2001:db8::/48`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 49)))]
    pub cidrs: Vec<String>,
    /// Host names. They need something in the cluster that enforces names; where nothing does, a grant that names this
    /// endpoint says so and stays closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub hosts: Vec<String>,
    /// Ports of the vendor, for grants with direction `Push`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<NetworkPort>,
}

/// The vendor's standing. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataProcessorStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// The earlier end of the agreements in force and of the assessment.
    #[serde(default)]
    pub approved_until: Option<WhenText>,
    /// `Ready`: the object was read. `Approved`: an agreement is in force and the assessment counts.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
