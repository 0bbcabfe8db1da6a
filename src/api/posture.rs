//! DataHandlingPosture: what is in force in a namespace now, why, and when that next changes.
//!
//! May not: be read by a guard. It is for people; guards read small, bounded objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::baseline::PolicyReference;
use super::encryption::EncryptionInForce;
use super::grant::Direction;
use super::hold::HoldEffect;
use super::telemetry::ChannelOptedOut;
use super::wire::WhenText;

/// The compiled answer for people. One a namespace, named `current`, written by the operator only.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "DataHandlingPosture",
    plural = "datahandlingpostures",
    shortname = "posture",
    category = "covenant",
    namespaced,
    status = "DataHandlingPostureStatus",
    derive = "PartialEq",
    doc = "What is in force in this namespace now, why, and when that next changes. One a namespace, named `current`, written by the operator only.",
    validation = Rule::new("self.metadata.name == 'current'").message("a namespace has one posture, named current"),
    printcolumn(name = "Enforced", type_ = "string", json_path = ".status.conditions[?(@.type==\"Enforced\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Enforced\")].reason"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "Stage", type_ = "string", json_path = ".spec.stage"),
    printcolumn(name = "Open", type_ = "integer", json_path = ".spec.openPathCount"),
    printcolumn(name = "Encrypted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Encrypted\")].status"),
    printcolumn(name = "Holds", type_ = "string", json_path = ".spec.holds[*].name"),
    printcolumn(name = "Next-Change", type_ = "string", json_path = ".spec.nextChangeAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataHandlingPostureSpec {
    /// The tenant of this namespace.
    #[schemars(length(max = 63))]
    pub tenant: String,
    /// `Enforce`, or `Observe`: compiled and reported, nothing is refused or cut yet.
    #[schemars(length(max = 16))]
    pub stage: String,
    /// The baseline that it stands on.
    pub baseline: BaselineInForce,
    /// How many paths are open, of which `openPaths` lists the first 500 by name.
    pub open_path_count: i64,
    /// The open paths.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub open_paths: Vec<OpenPath>,
    /// The holds that nobody released, by name.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub holds: Vec<HoldInForce>,
    /// What is encrypted here, as far as it was seen. Absent where the baseline cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<EncryptionInForce>,
    /// The channels of telemetry, analytics and marketing that are opted out of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub opt_outs: Vec<ChannelOptedOut>,
    /// The head of the ledger that covers every entry about this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerHeadKept>,
    /// The next instant at which the answer changes by time alone.
    #[serde(default)]
    pub next_change_at: Option<WhenText>,
    /// What was there before enrolment, or reached this namespace past the guards, and survives: policies that reach
    /// further than the grants, pods on the host's network, node volumes, objects under our names. While `Enforce`d,
    /// any entry keeps `Enforced` False. In the stage `observe`, also what enforcement would cut.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub findings: Vec<Finding>,
    /// How many findings there are, of which `findings` lists the first 200.
    pub finding_count: i64,
}

/// A head of the ledger, kept where the ledger is not. `covenant ledger verify` finds out a ledger that does not continue it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LedgerHeadKept {
    /// Which ledger.
    #[schemars(length(max = 253))]
    pub origin: String,
    /// How many entries it had.
    pub size: i64,
    /// Its root hash then, in base64.
    #[schemars(length(max = 64))]
    pub root: String,
}

/// A hold in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldInForce {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Id of the case.
    #[schemars(length(max = 64))]
    pub matter: String,
    /// What it does.
    #[schemars(length(max = 6))]
    pub effects: Vec<HoldEffect>,
}

/// The baseline that a namespace stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineInForce {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its generation; absent when there is no such baseline.
    #[serde(default)]
    pub generation: Option<i64>,
    /// The written policy that it carries out.
    #[serde(default)]
    pub policy_ref: Option<PolicyReference>,
}

/// An open path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenPath {
    /// Name of the grant.
    #[schemars(length(max = 253))]
    pub grant: String,
    /// Namespace of the grant, when it is another one: this namespace receives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub grant_namespace: Option<String>,
    /// Who receives, as `processor/NAME` or `namespace/NAME`.
    #[schemars(length(max = 270))]
    pub recipient: String,
    /// Who connects.
    pub direction: Direction,
    /// When it closes.
    pub closes_at: WhenText,
}

/// Something that reaches further than the rules allow.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Finding {
    /// The reason's name, such as `WiderNetworkPolicy`, `HostNetwork`, `NodeVolume`, `NameTaken` or `WouldCut`.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The object, as `Kind/name`.
    #[schemars(length(max = 300))]
    pub object: String,
    /// What it is about and what to do.
    #[schemars(length(max = 512))]
    pub message: String,
}

/// Whether the posture is in force. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataHandlingPostureStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// `Ready`: compiled. `Enforced`: every policy was read back, and nothing that was found reaches further. `Encrypted`: True
    /// when every item is `Verified`, `Proven` or `Attested`, False when one is not encrypted, else Unknown.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
