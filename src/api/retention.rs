//! RetentionPolicy: how long objects are kept at least and at most, and what disposes of them then.
//!
//! May not: name another namespace, or a kind that Covenant, RBAC or the cluster itself rests on.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vocabulary::DataCategory;
use super::wire::{PeriodText, WhenText, label_map};

/// These objects are kept at least and at most so long, then disposed of.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "RetentionPolicy",
    plural = "retentionpolicies",
    shortname = "retpol",
    category = "covenant",
    namespaced,
    status = "RetentionPolicyStatus",
    derive = "PartialEq",
    doc = "Objects that it selects are kept at least so long: until then the API server refuses their deletion by anyone. They are kept at most so long: after that, in the mode Dispose, the operator deletes them one by one, each with a receipt in the ledger; in the mode Preview it only says what would go. The longest minimum of all policies and baselines beats every maximum, and a hold beats both. Shortening a minimum, narrowing what it selects or deleting the policy takes the verb administer for the tenant.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.disposal.mode"),
    printcolumn(name = "Category", type_ = "string", json_path = ".spec.dataCategory"),
    printcolumn(name = "Keep", type_ = "string", json_path = ".status.keep"),
    printcolumn(name = "Due", type_ = "integer", json_path = ".status.due.now"),
    printcolumn(
        name = "Withheld",
        type_ = "integer",
        json_path = ".status.withheld.total"
    ),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.due.nextAt"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(
        name = "Matched",
        type_ = "integer",
        json_path = ".status.matched",
        priority = 1
    ),
    printcolumn(
        name = "Disposed",
        type_ = "integer",
        json_path = ".status.disposed.total",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionPolicySpec {
    /// What the objects hold.
    pub data_category: DataCategory,
    /// Which objects, in this namespace. An object that any entry selects is selected.
    #[schemars(length(min = 1, max = 16))]
    pub select: Vec<RetentionSelection>,
    /// How long they are kept.
    pub keep: RetentionPeriods,
    /// From when the periods count; `CreatedAt` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<RetentionStart>,
    /// What happens after `keep.atMost`; a preview when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposal: Option<RetentionDisposal>,
    /// The law, contract or rule that asks for it, such as `Contract §7`.
    #[schemars(length(min = 1, max = 256))]
    pub basis: String,
}

/// Which objects of one kind. At least one of `matchLabels`, `names` and `namePrefix` is given, and an object must satisfy
/// all that are. Names cannot be edited. Labels can, but while a minimum runs the API server refuses to take off or change
/// a label by which an object is selected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.matchLabels) && size(self.matchLabels) > 0 || has(self.names) && size(self.names) > 0 || has(self.namePrefix) && self.namePrefix != ''")
    .message("select by labels or by name: an empty selection would take every object of the kind, the cluster's own among them"))]
#[x_kube(validation = Rule::new("self.apiVersion.split('/').size() == 1 || !(self.apiVersion.split('/')[0].endsWith('privacy.cloudnexus.io') || self.apiVersion.split('/')[0] in ['rbac.authorization.k8s.io', 'coordination.k8s.io', 'events.k8s.io', 'authorization.k8s.io', 'authentication.k8s.io', 'metrics.k8s.io'])")
    .message("Covenant's own kinds, RBAC, Leases, Events and reviews are never selected"))]
#[x_kube(validation = Rule::new("self.apiVersion != 'v1' || !(self.kind in ['Namespace', 'Node', 'PersistentVolume', 'Event', 'Binding', 'ComponentStatus', 'Endpoints'])")
    .message("this kind is the cluster's own, or not in a namespace, and is never selected"))]
pub struct RetentionSelection {
    /// `v1`, or group and version such as `batch/v1`.
    #[schemars(
        length(min = 1, max = 317),
        regex(pattern = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9][a-z0-9]*$")
    )]
    pub api_version: String,
    /// The kind, such as `ConfigMap`. Any kind in namespaces that the cluster serves; the platform gives the operator the
    /// right to read and delete it (chart value `retention.kinds`).
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// Labels that an object must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub match_labels: BTreeMap<String, String>,
    /// Names, of which an object must have one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub names: Vec<String>,
    /// What an object's name must begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name_prefix: Option<String>,
}

/// How long objects are kept, by the calendar in UTC. At least one of the two is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.atLeast) || has(self.atMost)").message("give atLeast, atMost or both"))]
pub struct RetentionPeriods {
    /// Until this long after the start nobody deletes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<PeriodText>,
    /// This long after the start they are disposed of, unless a longer minimum or a hold keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<PeriodText>,
}

/// From when a period counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RetentionStart {
    /// From the object's creation, as the API server recorded it. Creating an object anew begins anew.
    #[default]
    CreatedAt,
    /// From its completion: Jobs that have finished, Pods that have ended. Until then nothing is due and, under a minimum,
    /// nothing is deleted.
    CompletedAt,
    /// From the annotation `privacy.cloudnexus.io/retained-since`, which survives re-creation and restores, and which only
    /// who has the verb `administer` for the tenant may set or change. From the creation where it is absent.
    RetainedSince,
}

/// What happens after `keep.atMost`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionDisposal {
    /// `Preview`: say what would go. `Dispose`: delete it.
    pub mode: DisposalMode,
    /// What becomes of objects that the deleted one owns; `Foreground` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
}

/// Whether anything is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DisposalMode {
    /// Say what would go, when, and why.
    #[default]
    Preview,
    /// Delete it.
    Dispose,
}

/// What becomes of objects that a deleted one owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Propagation {
    /// They go first.
    #[default]
    Foreground,
    /// They go after it.
    Background,
}

/// What became of a policy. `decisions` are written by people; the rest by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicyStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// What people decided, oldest first. A decision stands once made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub decisions: Vec<RetentionDecision>,
    /// `Ready`: the policy was read and what it selects is watched. `Enforced`: its minimum stands in the namespace's
    /// GuardParameters, so that the API server refuses. `LimitExceeded`: more is due than a run may take; nothing goes until
    /// somebody lifts the limit. `Reconciling`, `Stalled`: only while true.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The periods in short, such as `P30D to P1Y`.
    #[serde(default)]
    #[schemars(length(max = 80))]
    pub keep: Option<String>,
    /// When this generation was first read. The grace before a disposal counts from here at the earliest, so that an edit
    /// never deletes at once.
    #[serde(default)]
    pub since: Option<WhenText>,
    /// How many objects it selects; none while a kind is not fully read.
    #[serde(default)]
    pub matched: Option<i64>,
    /// What is due.
    #[serde(default)]
    pub due: Option<DueCount>,
    /// What is past `atMost` and is kept all the same, or waits.
    #[serde(default)]
    pub withheld: Option<WithheldCount>,
    /// What was disposed of.
    #[serde(default)]
    pub disposed: Option<DisposedCount>,
}

/// What is due.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DueCount {
    /// Objects that go now (`Dispose`) or would (`Preview`).
    pub now: i64,
    /// Objects that follow within 24 hours.
    pub within24h: i64,
    /// When the next one is due.
    #[serde(default)]
    pub next_at: Option<WhenText>,
}

/// What is past its maximum and is kept all the same, by what keeps it first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithheldCount {
    /// All of them.
    pub total: i64,
    /// A hold keeps them, or the grace after its release.
    pub by_hold: i64,
    /// A minimum of this or another policy, or of the baseline, still runs.
    pub by_minimum: i64,
    /// The grace between being due and going runs.
    pub by_grace: i64,
    /// More is due than a run may take.
    pub by_limit: i64,
    /// Argo CD, Flux or Helm tracks them and would make them anew.
    pub managed_elsewhere: i64,
    /// Another object owns and controls them: dispose of that one.
    pub by_owner: i64,
    /// Something else: the ledger cannot be written, the clock is doubted, the API server refused.
    pub otherwise: i64,
}

/// What was disposed of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisposedCount {
    /// Objects that went, since the policy was made.
    pub total: i64,
    /// Objects whose deletion was accepted and is not complete: finalizers, or a claim whose volume is still there.
    #[serde(default)]
    pub incomplete: i64,
    /// When the last run ended.
    #[serde(default)]
    pub last_run_at: Option<WhenText>,
    /// Where the last run stands in the ledger.
    #[serde(default)]
    pub ledger: Option<LedgerRange>,
}

/// Entries of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRange {
    /// Index of the first.
    pub from: i64,
    /// Index of the last.
    pub to: i64,
}

/// A decision about a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionDecision {
    /// `LimitLifted`: runs may go past the limit.
    #[serde(rename = "type")]
    pub decision: RetentionDecisionType,
    /// Who decided: the user name that the API server knows the writer by. Nobody decides in another's name.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// Why.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// The generation of the policy that was looked at. A later edit is not covered.
    pub generation: i64,
    /// Past the limit until this many objects were disposed of in all (`status.disposed.total`).
    #[schemars(range(min = 1))]
    pub until_total: i64,
}

/// What kind of decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionDecisionType {
    /// Runs may go past the limit.
    LimitLifted,
}
