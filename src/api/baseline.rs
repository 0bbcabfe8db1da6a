//! TenantBaseline: the floor that every enrolled namespace stands on.
//!
//! May not: name a tenant. A baseline is chosen by a namespace's label.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::encryption::{BaselineEncryption, SecretsInForce};
use super::retention::{LedgerRange, RetentionSelection, RetentionStart};
use super::telemetry::BaselineTelemetry;
use super::wire::{NetworkPort, PeriodText, Selector};

/// The floor under every enrolled namespace that names it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "TenantBaseline",
    plural = "tenantbaselines",
    shortname = "baseline",
    category = "covenant",
    status = "TenantBaselineStatus",
    derive = "PartialEq",
    doc = "The floor under every enrolled namespace that names it with the label privacy.cloudnexus.io/baseline (or `default`): network, encryption, the bounds of grants, minimums.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.policyRef.version"
    ),
    printcolumn(
        name = "Same-Tenant",
        type_ = "string",
        json_path = ".spec.network.sameTenant"
    ),
    printcolumn(
        name = "Maximum",
        type_ = "string",
        json_path = ".spec.grants.maximumDuration"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantBaselineSpec {
    /// The written policy that this baseline carries out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<PolicyReference>,
    /// Traffic that every namespace on this baseline may have without a grant.
    pub network: BaselineNetwork,
    /// Encryption of what tenants keep and send. Without it nothing of it is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<BaselineEncryption>,
    /// Who collects telemetry from tenants, for opt-outs. Without it an opt-out finds nobody to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<BaselineTelemetry>,
    /// Bounds of grants.
    pub grants: BaselineGrants,
    /// Bounds of disposal, and minimums that no tenant's policy shortens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<BaselineRetention>,
}

/// A written policy and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyReference {
    /// Name of the document.
    #[schemars(length(min = 1, max = 128))]
    pub document: String,
    /// Its version, such as `2025-02-10`.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
}

/// Traffic without a grant. Everything else is denied, both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineNetwork {
    /// Traffic among pods of one tenant. `Allow`: between all its namespaces that are in force. `SameNamespace`: within
    /// each namespace. `Deny`: none.
    pub same_tenant: SameTenant,
    /// Where pods resolve names. Without it they cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Further peers that every tenant may reach or be reached by, each with a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub allow: Vec<AllowedPeer>,
    /// Reserved address ranges (private, link-local, loopback, the API server's) that grants may reach all the same. A
    /// vendor's endpoint in a reserved range is refused unless an entry here contains it whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub grants_may_reach: Vec<ReachableNetwork>,
    /// Address ranges of this cluster that are not private by their number (a public pod or node network): grants never
    /// reach them, unless `grantsMayReach` contains the endpoint whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub protected: Vec<ReachableNetwork>,
}

/// Traffic among pods of one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SameTenant {
    /// Between all namespaces of the tenant that are in force.
    Allow,
    /// Within each namespace.
    SameNamespace,
    /// None.
    Deny,
}

/// Where pods resolve names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.peers) && size(self.peers) > 0) || (has(self.cidrs) && size(self.cidrs) > 0)")
    .message("dns needs peers or cidrs; leave dns out where pods need no names"))]
pub struct Dns {
    /// Resolvers in the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub peers: Vec<DnsPeer>,
    /// Resolvers by address, such as `169.254.20.10/32`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 49)))]
    pub cidrs: Vec<String>,
    /// Ports, for UDP and TCP both; 53 when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(range(min = 1, max = 65535)))]
    pub ports: Vec<i32>,
}

/// A resolver in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DnsPeer {
    /// Its namespace.
    #[x_kube(validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)")
        .message("an empty namespaceSelector would allow every namespace: name the resolver's"))]
    pub namespace_selector: Selector,
    /// Its pods; all of the namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Selector>,
}

/// A peer that every tenant may reach or be reached by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("[has(self.namespaceSelector), has(self.cidrs) && size(self.cidrs) > 0].exists_one(given, given)")
    .message("exactly one of namespaceSelector and cidrs must be given"))]
#[x_kube(validation = Rule::new("!has(self.podSelector) || has(self.namespaceSelector)")
    .message("podSelector narrows namespaceSelector and needs it"))]
#[x_kube(validation = Rule::new("!has(self.namespaceSelector) || (has(self.namespaceSelector.matchLabels) && size(self.namespaceSelector.matchLabels) > 0) || (has(self.namespaceSelector.matchExpressions) && size(self.namespaceSelector.matchExpressions) > 0)")
    .message("an empty namespaceSelector would join every tenant: name the peers"))]
pub struct AllowedPeer {
    /// Its name, unique in the list. Pods opt in to an ingress entry with the label
    /// `allow.privacy.cloudnexus.io/<name>: "true"`.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// `Egress`: every pod may connect to the peer. `Ingress`: the peer may connect to pods that opted in.
    pub direction: BaselineDirection,
    /// Peers in the cluster, by namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
    /// Narrows the namespaces to some of their pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Selector>,
    /// Peers by address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 49)))]
    pub cidrs: Vec<String>,
    /// Ports: the peer's for `Egress`, the pods' for `Ingress`. All when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<NetworkPort>,
    /// Why every tenant has this.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// Direction of a baseline's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BaselineDirection {
    /// The peer connects to pods that opted in.
    Ingress,
    /// Every pod may connect to the peer.
    Egress,
}

/// An address range and why it is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReachableNetwork {
    /// The range.
    #[schemars(length(min = 1, max = 49))]
    pub cidr: String,
    /// Why.
    #[schemars(length(min = 1, max = 256))]
    pub reason: String,
}

/// Bounds of grants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineGrants {
    /// A grant ends at the latest this long after it may first open (its `notBefore` or its creation, whichever is
    /// later). To go on, it is created anew.
    pub maximum_duration: PeriodText,
}

/// Bounds of disposal, and minimums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineRetention {
    /// Most objects that one run of one policy may dispose of. When more are due, none goes until somebody with the verb
    /// `approve` lifts the limit. 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub maximum_per_run: Option<i64>,
    /// Most objects that all policies of a namespace may dispose of within 24 hours; ten times `maximumPerRun` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub maximum_per_day: Option<i64>,
    /// How long an object that is due waits before it goes, in which somebody may still place a hold. `P1D` when absent;
    /// `PT0S` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<PeriodText>,
    /// Minimums of every namespace on this baseline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub keep: Vec<BaselineMinimum>,
}

/// Objects that are kept at least so long in every namespace on the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BaselineMinimum {
    /// Which objects.
    pub select: RetentionSelection,
    /// Until this long after the start nobody deletes them.
    pub at_least: PeriodText,
    /// From when it counts; `CreatedAt` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<RetentionStart>,
    /// The law, contract or rule that asks for it.
    #[schemars(length(min = 1, max = 256))]
    pub basis: String,
}

/// What the operator read. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantBaselineStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// Namespaces that stand on it.
    #[serde(default)]
    pub namespaces: Option<i64>,
    /// The version of the written policy that was announced last: in the ledger, once for each tenant on this baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced: Option<PolicyAnnouncement>,
    /// Whether Secrets are ciphertext in etcd, where `encryption.atRest.secrets` is `Verify` and a namespace stands on this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<SecretsInForce>,
    /// `Ready`: it was read and is the floor of the namespaces that name it.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A version of the written policy, announced to every tenant that stood on the baseline then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAnnouncement {
    /// The policy.
    pub policy: PolicyReference,
    /// To how many tenants.
    pub tenants: i64,
    /// The entries of the ledger; absent where there was nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerRange>,
}
