//! ProcessingHold: nothing in scope is deleted or altered; processing and sharing stop.
//!
//! Guards read these objects as they are written: a hold binds from the moment the API server stores it, with or without
//! the operator. May not: be served in two versions by a conversion webhook, which would have to run before a guard could
//! read it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire::{PeriodText, WhenText, label_map};

/// Nothing in scope is deleted or altered; processing and sharing stop, until an officer releases it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "ProcessingHold",
    plural = "processingholds",
    shortname = "phold",
    category = "covenant",
    namespaced,
    status = "ProcessingHoldStatus",
    derive = "PartialEq",
    doc = "From the moment it is stored, nothing in its scope is deleted or altered by anyone, and what else its effects say. The API server itself refuses, whether or not the operator runs. The spec cannot be changed but for reviewBy; it is narrowed and released by a decision in its status (kubectl covenant hold release), which takes the verb release for the tenant. Deleting an unreleased hold is refused.",
    printcolumn(
        name = "Enforced",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Enforced\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Enforced\")].reason"
    ),
    printcolumn(name = "Matter", type_ = "string", json_path = ".spec.matter"),
    printcolumn(name = "Ground", type_ = "string", json_path = ".spec.ground"),
    printcolumn(
        name = "Objects",
        type_ = "integer",
        json_path = ".status.held.objects"
    ),
    printcolumn(name = "Review-By", type_ = "string", json_path = ".spec.reviewBy"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "Effects",
        type_ = "string",
        json_path = ".spec.effects",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Enforced\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.matter == oldSelf.matter && self.ground == oldSelf.ground && self.reason == oldSelf.reason && self.effects == oldSelf.effects && has(self.scope) == has(oldSelf.scope) && (!has(self.scope) || self.scope == oldSelf.scope) && has(self.slot) == has(oldSelf.slot) && (!has(self.slot) || self.slot == oldSelf.slot) && has(self.endingGrace) == has(oldSelf.endingGrace) && (!has(self.endingGrace) || self.endingGrace == oldSelf.endingGrace)")
    .message("a hold cannot be changed but for reviewBy: to hold more, write another one; to hold less, an officer narrows it (kubectl covenant hold narrow)"))]
#[x_kube(validation = Rule::new("!('EndProcessing' in self.effects) || 'SuspendProcessing' in self.effects")
    .message("EndProcessing needs SuspendProcessing beside it, or what it ends would start again"))]
#[x_kube(validation = Rule::new("!has(self.endingGrace) || 'EndProcessing' in self.effects")
    .message("endingGrace belongs to the effect EndProcessing"))]
pub struct ProcessingHoldSpec {
    /// Identifies the case, such as `CASE-2026-042`. Write an id and no title: tenants can read this.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    )]
    pub matter: String,
    /// On what ground.
    pub ground: HoldGround,
    /// Why, in a sentence that an auditor will read. Tenants can read it too.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// Which objects are kept from deletion and alteration. Absent or empty: everything in the namespace. The other
    /// effects always concern the whole namespace: a pod that is not in scope could read what is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<HoldScope>,
    /// What the hold does, one or more of:
    /// `PreventDeletion`: nothing in scope is deleted, by whatever way;
    /// `PreventAlteration`: nothing in scope has its data or spec changed, and no new pod mounts a held claim for writing;
    /// `SuspendProcessing`: no new pods or Jobs start, running ones are cut off the network and kept as they are;
    /// `EndProcessing`: running pods are ended too, after what will be lost was published in status;
    /// `SuspendSharing`: every path of a grant closes, and none opens;
    /// `FreezeAccess`: no exec, attach, port-forward, proxy, ephemeral containers or other images.
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub effects: Vec<HoldEffect>,
    /// `EndProcessing` only: how long what will be lost stays published before pods are ended, and the longest grace that
    /// a pod is given then. ISO 8601, at most one day; `PT30S` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending_grace: Option<PeriodText>,
    /// Reminds to review the hold at this instant or by the end of this day. Nothing is released by it. The one field that
    /// can be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_by: Option<WhenText>,
    /// The place of this hold among those of its namespace; 1 when absent. Each place is taken once, so that their number
    /// is bounded: 1 to 8 are the tenant's, 9 to 16 only an officer's (the verb release), so that an officer's hold
    /// always fits. A released hold gives its place back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub slot: Option<i32>,
}

/// The ground of a hold (GDPR, Article 18(1), and duties of preservation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HoldGround {
    /// Evidence is preserved for proceedings.
    LegalProceeding,
    /// An audit is under way.
    ComplianceAudit,
    /// Article 18(1)(a): the accuracy of the data is contested.
    AccuracyContested,
    /// Article 18(1)(b): processing is unlawful and erasure is opposed.
    UnlawfulProcessing,
    /// Article 18(1)(d): an objection is being verified.
    ObjectionPending,
}

/// What a hold does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum HoldEffect {
    /// Nothing in scope is deleted.
    PreventDeletion,
    /// Nothing in scope has its data or spec changed.
    PreventAlteration,
    /// No new pods or Jobs; running ones are cut off the network.
    SuspendProcessing,
    /// Running pods are ended after what will be lost was published.
    EndProcessing,
    /// Every path of a grant closes.
    SuspendSharing,
    /// No exec, attach, port-forward, proxy or ephemeral containers.
    FreezeAccess,
}

impl HoldEffect {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PreventDeletion,
        Self::PreventAlteration,
        Self::SuspendProcessing,
        Self::EndProcessing,
        Self::SuspendSharing,
        Self::FreezeAccess,
    ];

    /// Name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreventDeletion => "PreventDeletion",
            Self::PreventAlteration => "PreventAlteration",
            Self::SuspendProcessing => "SuspendProcessing",
            Self::EndProcessing => "EndProcessing",
            Self::SuspendSharing => "SuspendSharing",
            Self::FreezeAccess => "FreezeAccess",
        }
    }
}

/// Which objects a hold keeps from deletion and alteration: those that match every part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("!has(self.kinds) || !has(self.exceptKinds) || !self.kinds.exists(held, self.exceptKinds.exists(other, other.kind == held.kind && (has(other.apiGroup) ? other.apiGroup : '') == (has(held.apiGroup) ? held.apiGroup : '')))")
    .message("the same kind is in kinds and in exceptKinds"))]
pub struct HoldScope {
    /// Only objects with all of these labels. A label of a held object that is named here cannot be changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub match_labels: BTreeMap<String, String>,
    /// Only objects of these kinds. Absent or empty: every kind but the derived, short-lived ones (Event, Lease, Endpoints,
    /// EndpointSlice, ReplicaSets without replicas that a Deployment owns, ControllerRevision, and pods for as long as their
    /// controllers can make them anew); name one of these to hold it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub kinds: Vec<HeldKind>,
    /// Kinds that are left out because they must go on, such as the Secrets that a certificate renewal writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub except_kinds: Vec<HeldKind>,
}

/// A kind of objects.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldKind {
    /// API group without a version, such as `apps` or `cert-manager.io`; empty for the core group. Absent in `kinds`: a kind
    /// of this name in any group. Absent in `exceptKinds`: the core group. Each is the stricter reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 253),
        regex(
            pattern = r"^(|apps|autoscaling|batch|extensions|policy|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+)$"
        )
    )]
    pub api_group: Option<String>,
    /// The kind, such as `ConfigMap`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
}

/// What became of a hold. `decisions` are written by officers; the rest by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingHoldStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// What officers decided, oldest first. A decision stands once made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub decisions: Vec<HoldDecision>,
    /// `Ready`: the hold was read. `Enforced`: every API server refused a dry-run canary in its name, and the guards stand as
    /// they were released. `Suspended`: what runs is cut off the network. `Ended`: what ran is gone. `SharingSuspended`:
    /// every path is closed. `Released`: an officer decided so. `Restored`: the grace is over and the record is kept, so
    /// that the hold may be deleted. `ReviewDue`: `reviewBy` has passed.
    #[serde(default)]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The effects in force.
    #[serde(default)]
    #[schemars(length(max = 6))]
    pub effects: Vec<HoldEffect>,
    /// What the hold covers, as last counted.
    #[serde(default)]
    pub held: Option<HeldCount>,
    /// What stands still.
    #[serde(default)]
    pub suspended: Option<SuspendedCount>,
    /// `EndProcessing`: what will be lost and will not come back, published before anything is ended.
    #[serde(default)]
    pub ending: Option<Ending>,
    /// What this hold cannot keep from here, in words.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 512)))]
    pub cannot_hold: Vec<String>,
    /// After a release: index of its entry in the ledger. Before it is there the hold cannot be deleted.
    #[serde(default)]
    pub recorded: Option<i64>,
    /// After a release: when disposal and erasure may resume.
    #[serde(default)]
    pub restored_at: Option<WhenText>,
}

/// A decision about a hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.type == 'Narrowed' || !(has(self.effects) && size(self.effects) > 0 || has(self.exceptKinds) && size(self.exceptKinds) > 0)")
    .message("effects and exceptKinds belong to the decision Narrowed; a release ends all of them"))]
#[x_kube(validation = Rule::new("self.type != 'Narrowed' || has(self.effects) && size(self.effects) > 0 || has(self.exceptKinds) && size(self.exceptKinds) > 0")
    .message("Narrowed needs effects that end or kinds that are left out from now on"))]
#[x_kube(validation = Rule::new("self.type == 'Released' || !has(self.restoreAfter)")
    .message("restoreAfter belongs to the decision Released"))]
pub struct HoldDecision {
    /// `Released`: the hold is over. `Narrowed`: it holds less from now on.
    #[serde(rename = "type")]
    pub decision: HoldDecisionType,
    /// Who decided: the user name that the API server knows the writer by. Nobody decides in another's name.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// Why.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
    /// `Released` only: how long disposal and erasure still wait after the release. ISO 8601; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_after: Option<PeriodText>,
    /// `Narrowed` only: effects that end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    pub effects: Vec<HoldEffect>,
    /// `Narrowed` only: kinds that are left out from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub except_kinds: Vec<HeldKind>,
}

/// What kind of decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HoldDecisionType {
    /// The hold is over.
    Released,
    /// The hold holds less.
    Narrowed,
}

/// What a hold covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldCount {
    /// How many objects, of the kinds that the operator may count.
    pub objects: i64,
    /// By kind.
    #[serde(default)]
    #[schemars(schema_with = "count_map")]
    pub by_kind: BTreeMap<String, i64>,
    /// Kinds that are held and could not be counted, such as Secrets, which the operator may not list.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(max = 317)))]
    pub not_counted: Vec<String>,
    /// When they were counted.
    #[serde(default)]
    pub counted_at: Option<WhenText>,
}

/// What stands still under a hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuspendedCount {
    /// Deployments whose pods do not start.
    pub deployments: i64,
    /// StatefulSets, as above.
    pub stateful_sets: i64,
    /// DaemonSets, as above.
    pub daemon_sets: i64,
    /// CronJobs that start no Jobs.
    pub cron_jobs: i64,
    /// Pods that still run, cut off the network.
    pub running_pods: i64,
    /// Grants whose paths are closed.
    pub grants: i64,
    /// Pods from before the hold that mount a claim for writing, which no refusal stops.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(max = 253)))]
    pub writing_pods: Vec<String>,
}

/// What EndProcessing will lose, and what has become of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ending {
    /// When this list was published.
    pub published_at: WhenText,
    /// Not before this instant are pods ended.
    pub ends_at: WhenText,
    /// How many pods will be ended.
    pub pods: i64,
    /// How many losses there are, of which `losses` lists the first 100.
    pub loss_count: i64,
    /// What will be lost or will not come back at release.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub losses: Vec<Loss>,
}

/// One loss.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// `EmptyDir`, `Logs`, `BarePod`, `JobAtItsLimit`, `MissedRuns`.
    #[schemars(length(max = 64))]
    pub kind: String,
    /// The object, such as `Pod/web-0`.
    #[schemars(length(max = 317))]
    pub object: String,
    /// What is lost, and whether it comes back.
    #[schemars(length(max = 256))]
    pub message: String,
}

fn count_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "description": "How many objects of each kind.",
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "integer", "format": "int64" },
    })
}
