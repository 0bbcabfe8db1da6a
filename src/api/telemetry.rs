//! TelemetryOptOut: these channels collect nothing here. And what a baseline says of who collects.
//!
//! May not: say which marker an agent reads; that is data of [`crate::model`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wire::{Selector, label_map};

/// These channels collect nothing here.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "privacy.cloudnexus.io",
    version = "v1alpha1",
    kind = "TelemetryOptOut",
    plural = "telemetryoptouts",
    shortname = "optout",
    category = "covenant",
    namespaced,
    status = "TelemetryOptOutStatus",
    derive = "PartialEq",
    doc = "These channels collect nothing in this namespace. One a namespace, named `default`. Agents that the baseline registers for a channel are cut off from the namespace, both ways, and grants to them close at once. The status tells for each agent what was stopped and what cannot be stopped from here. Deleting it restores what was there.",
    validation = Rule::new("self.metadata.name == 'default'").message("a namespace has one opt-out, named default"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Channels", type_ = "string", json_path = ".spec.channels"),
    printcolumn(name = "Stopped", type_ = "string", json_path = ".status.conditions[?(@.type==\"Stopped\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelemetryOptOutSpec {
    /// The channels that are opted out of.
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub channels: Vec<TelemetryChannel>,
}

/// A channel by which something is collected or sent.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum TelemetryChannel {
    /// Metrics, logs and traces that the platform collects for itself.
    PlatformTelemetry,
    /// What goes to vendors of monitoring and analytics.
    ThirdPartyAnalytics,
    /// Mail and messages to people. It has no pods: the preference is recorded, and systems that send read it.
    MarketingCommunications,
}

impl TelemetryChannel {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::PlatformTelemetry,
        Self::ThirdPartyAnalytics,
        Self::MarketingCommunications,
    ];

    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformTelemetry => "PlatformTelemetry",
            Self::ThirdPartyAnalytics => "ThirdPartyAnalytics",
            Self::MarketingCommunications => "MarketingCommunications",
        }
    }
}

/// What was stopped, as far as it was seen. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryOptOutStatus {
    /// Generation of the spec that this status is about.
    #[serde(default)]
    pub observed_generation: Option<i64>,
    /// Each channel that counts here, and how it stands.
    #[serde(default)]
    #[schemars(length(max = 3))]
    pub channels: Vec<ChannelStatus>,
    /// `Ready`: it was read and counts. What of it cannot be read counts as every channel, and the message says so. `Stopped`:
    /// True when every channel is `Stopped` or `Recorded`, False when one is `Partly` or `CannotStop`, else Unknown.
    /// `PodsCurrent`: False while pods run that were started before and may go on with what agents read or gave them then; the
    /// message counts them and says how to start them anew, which nobody does for you.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// How a channel stands: as all agents of it do, and `Partly` where they differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelStatus {
    /// The channel.
    pub name: TelemetryChannel,
    /// How it stands.
    pub state: OptOutState,
    /// Why, and what to do where something is to be done.
    #[schemars(length(max = 512))]
    pub reason: String,
    /// What stops every agent of it.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub by: Vec<OptOutMeans>,
    /// The agents that the baseline registers for it.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub agents: Vec<AgentStatus>,
}

/// How one agent stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Its name in the baseline.
    #[schemars(length(max = 63))]
    pub name: String,
    /// How it stands.
    pub state: OptOutState,
    /// What stops it.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub by: Vec<OptOutMeans>,
    /// Why, and what to do where something is to be done.
    #[schemars(length(max = 512))]
    pub reason: String,
}

/// How an opt-out stands. Nothing is called stopped that was not seen to be.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum OptOutState {
    /// It cannot be stopped from here.
    CannotStop,
    /// Some of it is stopped, or it is not known yet whether all is.
    Partly,
    /// The baseline registers nobody who collects on this channel.
    NotFound,
    /// Every means that applies was read back.
    Stopped,
    /// It is a preference that others read, and no more than that.
    Recorded,
}

impl OptOutState {
    /// As the API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CannotStop => "CannotStop",
            Self::Partly => "Partly",
            Self::NotFound => "NotFound",
            Self::Stopped => "Stopped",
            Self::Recorded => "Recorded",
        }
    }
}

/// A means by which an agent is stopped.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum OptOutMeans {
    /// No policy of the namespace lets the agent in, or lets pods reach it.
    NetworkDenied,
    /// The namespace and its pods carry the marker that makes the agent leave them out.
    AgentExcluded,
    /// New objects that would tell the agent to collect here are refused, and none of before is left.
    MonitorsRefused,
}

/// Who collects telemetry here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.agents.all(one, self.agents.exists_one(other, other.name == one.name))")
    .message("an agent is listed once"))]
pub struct BaselineTelemetry {
    /// Agents that collect from tenants, so that an opt-out knows whom to stop. An agent that is not listed is not stopped
    /// where the baseline's own network allows it.
    // Atomic: of a list that is merged by names, a server-side apply of `[]` takes away the list, and with it `telemetry`.
    #[schemars(length(max = 16))]
    pub agents: Vec<TelemetryAgent>,
}

/// An agent that collects from tenants: its pods, the vendor to whom it sends, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.namespaceSelector) || has(self.processorRef)")
    .message("an agent is known by namespaceSelector, by processorRef, or by both"))]
#[x_kube(validation = Rule::new("!has(self.podSelector) || has(self.namespaceSelector)")
    .message("podSelector narrows namespaceSelector and needs it"))]
#[x_kube(validation = Rule::new("self.channel != 'MarketingCommunications'")
    .message("MarketingCommunications has no agents: it is a preference that is recorded"))]
#[x_kube(validation = Rule::new("!has(self.namespaceSelector) || has(self.podSelector) || (has(self.namespaceSelector.matchLabels) && size(self.namespaceSelector.matchLabels) > 0) || (has(self.namespaceSelector.matchExpressions) && size(self.namespaceSelector.matchExpressions) > 0)")
    .message("an empty namespaceSelector without podSelector would be every pod: name the agent's"))]
pub struct TelemetryAgent {
    /// Its name, unique in the list.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The channel on which it collects.
    pub channel: TelemetryChannel,
    /// Namespaces of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
    /// Narrows the namespaces to its pods; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Selector>,
    /// The vendor to whom it sends. The addresses of all endpoints of this DataProcessor are denied too, and grants to it close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_ref: Option<ProcessorReference>,
    /// Which agent it is, by which the markers that it reads are known.
    pub respects: AgentKind,
    /// Whether it reads on the node what containers write, or looks into them from there: no policy of a namespace stops that.
    /// As is known of `respects` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads_nodes: Option<bool>,
    /// Markers of its own that make it leave out a namespace or a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markers: Option<AgentMarkers>,
}

/// A vendor by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessorReference {
    /// Name of the DataProcessor.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Which agent it is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum AgentKind {
    /// None of these, or one that reads no marker.
    None,
    /// Prometheus that finds pods by the annotation `prometheus.io/scrape`.
    PrometheusAnnotations,
    /// prometheus-operator: ServiceMonitor, PodMonitor, Probe, ScrapeConfig.
    PrometheusOperator,
    /// The OpenTelemetry operator: injected instrumentation and sidecars.
    OpenTelemetryOperator,
    /// The Datadog agent.
    Datadog,
    /// Grafana Alloy.
    GrafanaAlloy,
    /// Promtail.
    Promtail,
    /// Fluent Bit.
    FluentBit,
    /// Fluentd.
    Fluentd,
    /// Vector.
    Vector,
    /// New Relic.
    NewRelic,
    /// Dynatrace.
    Dynatrace,
}

impl AgentKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::PrometheusAnnotations,
        Self::PrometheusOperator,
        Self::OpenTelemetryOperator,
        Self::Datadog,
        Self::GrafanaAlloy,
        Self::Promtail,
        Self::FluentBit,
        Self::Fluentd,
        Self::Vector,
        Self::NewRelic,
        Self::Dynatrace,
    ];
}

/// Markers that make an agent leave something out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentMarkers {
    /// On pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<MarkerSet>,
    /// On namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<MarkerSet>,
}

/// Annotations and labels that an object carries so that it is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkerSet {
    /// Annotations with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "marker_map")]
    pub annotations: BTreeMap<String, String>,
    /// Labels with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub labels: BTreeMap<String, String>,
}

/// A channel that is opted out of, as a posture tells it. Systems that send mail read `MarketingCommunications` here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelOptedOut {
    /// The channel.
    pub channel: TelemetryChannel,
    /// How it stands; the status of the opt-out tells more.
    pub state: OptOutState,
}

/// What guards read of an opt-out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardedTelemetry {
    /// The channels that are opted out of.
    #[serde(default)]
    #[schemars(length(max = 3))]
    pub channels: Vec<TelemetryChannel>,
    /// Kinds of objects that would tell an agent to collect here, as `plural.group`: new ones are refused.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    pub refuses: Vec<String>,
    /// What every new pod carries, and what no pod loses.
    #[serde(default)]
    pub pods: GuardedMarkers,
    /// What the namespace does not lose.
    #[serde(default)]
    pub namespaces: GuardedMarkers,
    /// What pods, what publishes them and the namespace may leave out, and not say otherwise.
    #[serde(default)]
    pub where_present: GuardedMarkers,
}

/// Annotations and labels with their values, of all agents together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardedMarkers {
    /// Annotations with exactly these values.
    #[serde(default)]
    #[schemars(schema_with = "guarded_map")]
    pub annotations: BTreeMap<String, String>,
    /// Labels with exactly these values.
    #[serde(default)]
    #[schemars(schema_with = "guarded_map")]
    pub labels: BTreeMap<String, String>,
}

impl From<MarkerSet> for GuardedMarkers {
    fn from(set: MarkerSet) -> Self {
        Self {
            annotations: set.annotations,
            labels: set.labels,
        }
    }
}

fn marker_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "description": "Annotations with exactly these values.",
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": { "type": "string", "maxLength": 253 },
    })
}

fn guarded_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "description": "Names, and exactly these values.",
        "type": "object",
        "default": {},
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 253 },
    })
}
