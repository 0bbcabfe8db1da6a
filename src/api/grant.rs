//! DataSharingGrant, and SharingAcceptance, by which the recipient's side of a grant between namespaces agrees.
//!
//! May not: name a source other than the object's own namespace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::{DataCategory, LegalBasis, Purpose};
use super::wire::{PortRule, Selector, WhenText};

/// This recipient may receive these categories of this namespace's data, for this purpose, by this path, until then.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "DataSharingGrant",
    plural = "datasharinggrants",
    shortname = "dsg",
    category = "covenant",
    namespaced,
    status = "DataSharingGrantStatus",
    derive = "PartialEq",
    doc = "This recipient may receive these categories of this namespace's data, for this purpose, by this path, until then. The path opens only while everything holds: the window, the recipient's approval, the namespace's enrolment, and no prohibition. It closes at the earliest end of these, also when the operator is not running.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Open",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Open\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Open\")].reason"
    ),
    printcolumn(name = "Recipient", type_ = "string", json_path = ".status.recipient"),
    printcolumn(name = "Purpose", type_ = "string", json_path = ".spec.purpose"),
    printcolumn(name = "Closes", type_ = "string", json_path = ".status.closesAt"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Because",
        type_ = "string",
        json_path = ".status.closesBecause",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Open\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.direction != 'Pull' || (has(self.ports) && size(self.ports) > 0)")
    .message("direction Pull needs ports: the ports of our pods that the recipient may connect to"))]
#[x_kube(validation = Rule::new("self.direction != 'Push' || !has(self.ports) || size(self.ports) == 0")
    .message("ports belong to direction Pull; with Push the recipient's endpoints or its acceptance name the ports"))]
pub struct DataSharingGrantSpec {
    /// Who receives: exactly one of `processor` (a registered vendor) and `namespace` (of the same tenant).
    pub recipient: Recipient,
    /// Who connects. `Push`: our pods connect to the recipient. `Pull`: the recipient connects to `ports` of our pods,
    /// as a scraper does.
    pub direction: Direction,
    /// What is shared: one or more of the five categories of the policy.
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub data_categories: Vec<DataCategory>,
    /// What it is shared for. `SellDataToThirdParties` and `Advertising` are always refused.
    pub purpose: Purpose,
    /// On what legal basis.
    pub legal_basis: LegalBasis,
    /// Why, in a sentence that an auditor will read.
    #[schemars(length(min = 1, max = 512))]
    pub justification: String,
    /// Which of our pods may talk.
    pub source: GrantSource,
    /// `Pull` only: ports of our pods that the recipient may connect to, by number or by container port name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<PortRule>,
    /// When the path may be open. `notAfter` is required: nothing is shared without an end.
    pub window: Window,
    /// Set it to close the path at once and for good; the object stays as the record. Deleting the grant closes it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// Who receives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.processor), has(self.namespace)].exists_one(given, given)")
    .message("exactly one of processor and namespace must be given"))]
pub struct Recipient {
    /// A registered vendor, at some of its endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<ProcessorRecipient>,
    /// A namespace of the same tenant. It must agree with a SharingAcceptance that names this grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceRecipient>,
}

/// A vendor as recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessorRecipient {
    /// Name of the DataProcessor.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Names of the vendor's endpoints that the path reaches (`Push`) or is reached from (`Pull`).
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    pub endpoints: Vec<String>,
}

/// A namespace of the same tenant as recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceRecipient {
    /// Name of the namespace.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Our pods connect to the recipient.
    Push,
    /// The recipient connects to our pods.
    Pull,
}

/// Which of our pods may talk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantSource {
    /// Pods of this namespace. An empty selector is refused: say which pods.
    #[schemars(schema_with = "non_empty_selector")]
    pub pod_selector: Selector,
}

/// When the path may be open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Not open before this instant, or before the start of this day. At once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<WhenText>,
    /// Not open from this instant on, or after the end of this day.
    pub not_after: WhenText,
}

/// The tenant's own end of a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// Why.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}

/// What became of the grant. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataSharingGrantStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// Who receives, as `processor/NAME` or `namespace/NAME`.
    #[serde(default)]
    #[schemars(length(max = 270))]
    pub recipient: Option<String>,
    /// The earliest end of all that must hold, stored before the path opens. Once it has passed, only a new generation
    /// of the grant opens it again.
    #[serde(default)]
    pub closes_at: Option<WhenText>,
    /// What ends it: `WindowEnds`, `MaximumDurationReached`, `AgreementEnds`, `AssessmentLapses`, `CertificationLapses`
    /// or `AcceptanceEnds`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub closes_because: Option<String>,
    /// Every reason for which the path is closed, in a fixed order; the first is the reason of the condition `Open`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub refusals: Vec<RefusalStatus>,
    /// The ends of the path that stand: one for a vendor, two for a namespace. Each has its own timer.
    #[serde(default)]
    #[schemars(length(max = 2))]
    pub paths: Vec<PathStatus>,
    /// `Ready`: the grant is in the state that its spec and the rules call for (a grant that ended as planned is healthy).
    /// `Open`: the path stands in the cluster, as read back. `TrafficStopped`: after a close, whether anything still flows.
    /// `Reconciling` and `Stalled` as in kstatus.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// One reason for which a path is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusalStatus {
    /// The reason's name.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What it is about, and what would make it open.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// One end of an open path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathStatus {
    /// Namespace in which this end stands.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// The one NetworkPolicy that opens it.
    pub network_policy: ObjectIdentity,
    /// The podless Job whose deadline takes the policy away.
    pub timer: TimerIdentity,
}

/// An object by name and uid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectIdentity {
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Uid.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// A timer by the name of its Job and its uid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimerIdentity {
    /// Name of the Job.
    #[schemars(length(max = 253))]
    pub job: String,
    /// Uid of the Job.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// This namespace agrees to receive what a grant of another namespace of the same tenant shares with it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "SharingAcceptance",
    plural = "sharingacceptances",
    shortname = "dsaccept",
    category = "covenant",
    namespaced,
    status = "SharingAcceptanceStatus",
    derive = "PartialEq",
    doc = "This namespace agrees to receive what a DataSharingGrant of another namespace of the same tenant shares with it: these categories, at these pods and ports, until then. Without it the grant stays closed; deleting it closes the path at both ends.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.from.namespace"),
    printcolumn(name = "Grant", type_ = "string", json_path = ".spec.from.grant"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharingAcceptanceSpec {
    /// The grant that this accepts.
    pub from: AcceptedSource,
    /// At most these categories are accepted; a grant that shares more stays closed.
    #[schemars(length(min = 1, max = 5))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub data_categories: Vec<DataCategory>,
    /// Which of this namespace's pods receive. An empty selector is refused: say which pods.
    #[schemars(schema_with = "non_empty_selector")]
    pub pod_selector: Selector,
    /// A grant with direction `Push` only: ports of this namespace's pods that the source may connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<PortRule>,
    /// The acceptance ends at this instant, or after the end of this day. Without it, it lasts as long as the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<WhenText>,
}

/// The grant that an acceptance is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptedSource {
    /// Namespace of the grant.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the grant.
    #[schemars(length(min = 1, max = 253))]
    pub grant: String,
}

/// What became of the acceptance. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SharingAcceptanceStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether a grant uses this acceptance; `Reconciling` and `Stalled` as in kstatus.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

fn non_empty_selector(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = <Selector as JsonSchema>::json_schema(generator);
    schema.insert(
        "description".to_owned(),
        "Which pods. An empty selector is refused: say which pods.".into(),
    );
    schema.insert(
        "x-kubernetes-validations".to_owned(),
        serde_json::json!([{
            "rule": "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "message": "an empty podSelector is refused: name the pods, for instance by matchLabels"
        }]),
    );
    schema
}
