//! Opt-outs of telemetry, read; what a baseline says of who collects; and what is known of agents.
//!
//! What of an opt-out cannot be read counts as every channel: a tenant's no is never weakened by a typing error or a newer
//! version's word. May not: decide who is stopped. That is the planner's.

pub mod agents;
pub mod collecting;
mod marked;
mod markers;

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use serde_json::Value;

use super::error::FieldError;
use super::grant::split;
use super::identity::Meta;
pub use marked::{Carried, Mark, MarkedPod, Marks, PODS_MARKED_THROUGH};
pub use markers::{MarkerTerms, joined};

use crate::api::names::OPT_OUT_NAME;
use crate::api::{
    AgentKind, BaselineTelemetry, LabelOperator, Selector, TelemetryAgent, TelemetryChannel,
    TelemetryOptOutStatus,
};

/// An opt-out.
#[derive(Clone, Debug, PartialEq)]
pub struct OptOut {
    /// Metadata.
    pub meta: Meta,
    /// The channels that it opts out of.
    pub channels: BTreeSet<TelemetryChannel>,
    /// What could not be read, and so counts as every channel.
    pub errors: Vec<FieldError>,
    /// The stored status.
    pub status: TelemetryOptOutStatus,
}

impl OptOut {
    /// Reads an opt-out.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        let mut errors = Vec::new();
        if meta.key.name != OPT_OUT_NAME {
            errors.push(FieldError::new(
                "metadata.name",
                format!("an opt-out is named {OPT_OUT_NAME}"),
            ));
        }
        let channels = channels(&mut errors, &spec);
        let channels = if errors.is_empty() {
            channels
        } else {
            TelemetryChannel::ALL.into()
        };
        Self {
            meta,
            channels,
            errors,
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

fn channels(errors: &mut Vec<FieldError>, spec: &Value) -> BTreeSet<TelemetryChannel> {
    for field in spec.as_object().into_iter().flat_map(|spec| spec.keys()) {
        if field != "channels" {
            errors.push(FieldError::new(
                format!("spec.{field}"),
                "there is no such field",
            ));
        }
    }
    let Some(listed) = spec.get("channels") else {
        errors.push(FieldError::new("spec.channels", "is missing"));
        return BTreeSet::new();
    };
    match serde_json::from_value::<BTreeSet<TelemetryChannel>>(listed.clone()) {
        Ok(channels) if channels.is_empty() => {
            errors.push(FieldError::new("spec.channels", "names no channel"));
            channels
        }
        Ok(channels) => channels,
        Err(error) => {
            errors.push(FieldError::new("spec.channels", error));
            BTreeSet::new()
        }
    }
}

/// What a readable baseline says of who collects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryTerms {
    /// Agents, sorted by name.
    pub agents: Vec<AgentTerms>,
}

/// An agent that collects from tenants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentTerms {
    /// Its name.
    pub name: String,
    /// The channel on which it collects.
    pub channel: TelemetryChannel,
    /// Its pods: namespaces, and pods of them. Absent where it is known by its vendor alone.
    pub pods: Option<(Selector, Option<Selector>)>,
    /// The vendor to whom it sends.
    pub processor: Option<String>,
    /// Which agent it is.
    pub respects: AgentKind,
    /// Whether it reads on nodes, as the baseline or the table says; absent where neither does.
    pub reads_nodes: Option<bool>,
    /// The markers by which it leaves out and is told to collect: those of the table, and its own.
    pub markers: MarkerTerms,
}

/// Reads what a baseline says of who collects.
pub(super) fn terms(
    errors: &mut Vec<FieldError>,
    spec: Option<BaselineTelemetry>,
) -> TelemetryTerms {
    let mut agents: Vec<AgentTerms> = Vec::new();
    let listed = spec.map(|spec| spec.agents).unwrap_or_default();
    for (index, agent) in listed.into_iter().enumerate() {
        let path = format!("spec.telemetry.agents[{index}]");
        if agents.iter().any(|known| known.name == agent.name) {
            let message = format!("the agent `{}` is listed twice", agent.name);
            errors.push(FieldError::new(&path, message));
        }
        agents.push(agent_terms(errors, &path, agent));
    }
    agents.sort_by(|a, b| a.name.cmp(&b.name));
    markers::together(errors, &agents);
    TelemetryTerms { agents }
}

fn agent_terms(errors: &mut Vec<FieldError>, path: &str, agent: TelemetryAgent) -> AgentTerms {
    if agent.channel == TelemetryChannel::MarketingCommunications {
        errors.push(FieldError::new(
            format!("{path}.channel"),
            "MarketingCommunications has no agents: it is a preference that is recorded",
        ));
    }
    if agent.namespace_selector.is_none() && agent.processor_ref.is_none() {
        errors.push(FieldError::new(
            path,
            "an agent is known by namespaceSelector, by processorRef, or by both",
        ));
    }
    if agent.pod_selector.is_some() && agent.namespace_selector.is_none() {
        errors.push(FieldError::new(
            format!("{path}.podSelector"),
            "narrows namespaceSelector and needs it",
        ));
    }
    let everywhere = |selector: &Option<Selector>| selector.as_ref().is_none_or(Selector::is_empty);
    if agent.namespace_selector.is_some()
        && everywhere(&agent.namespace_selector)
        && everywhere(&agent.pod_selector)
    {
        errors.push(FieldError::new(
            format!("{path}.namespaceSelector"),
            "an empty selector without podSelector would be every pod: name the agent's",
        ));
    }
    for (field, selector) in [
        ("namespaceSelector", &agent.namespace_selector),
        ("podSelector", &agent.pod_selector),
    ] {
        requirements(errors, &format!("{path}.{field}"), selector.as_ref());
    }
    AgentTerms {
        name: agent.name,
        channel: agent.channel,
        pods: agent
            .namespace_selector
            .map(|namespaces| (namespaces, agent.pod_selector)),
        processor: agent.processor_ref.map(|reference| reference.name),
        respects: agent.respects,
        reads_nodes: agent
            .reads_nodes
            .or_else(|| agents::row(agent.respects).map(|row| row.reads_nodes)),
        markers: markers::terms(
            errors,
            &format!("{path}.markers"),
            agents::row(agent.respects),
            agent.markers.unwrap_or_default(),
        ),
    }
}

/// A requirement that no label can be judged by would leave it open who is meant.
fn requirements(errors: &mut Vec<FieldError>, path: &str, selector: Option<&Selector>) {
    let listed = selector.map(|selector| selector.match_expressions.as_slice());
    for (index, requirement) in listed.unwrap_or_default().iter().enumerate() {
        let needs_values = matches!(
            requirement.operator,
            LabelOperator::In | LabelOperator::NotIn
        );
        if needs_values == requirement.values.is_empty() {
            errors.push(FieldError::new(
                format!("{path}.matchExpressions[{index}].values"),
                if needs_values {
                    "In and NotIn need values"
                } else {
                    "Exists and DoesNotExist take no values"
                },
            ));
        }
    }
}
