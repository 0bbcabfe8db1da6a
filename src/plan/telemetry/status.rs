//! What the status of an opt-out says of each channel and agent.
//!
//! May not: call anything stopped that was not read back, or that no policy of a namespace stops.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

use super::before::weigh_objects;
use super::excluded::weigh_marks;
use super::restart::pods_current;
use super::{Pods, ranges_of, stopped};
use crate::api::names::{LABEL_PART, MANAGER_NETWORK, PART_PATH};
use crate::api::{
    AgentStatus, ChannelOptedOut, ChannelStatus, OptOutMeans, OptOutState, TelemetryChannel,
    TelemetryOptOutStatus,
};
use crate::model::{AgentTerms, BaselineTerms, Kind, ObjectKey, OptOut, World};
use crate::plan::standing::Standing;
use crate::plan::status::{Conditions, bounded, list, status_plan};
use crate::plan::{Notice, StatusPlan};

/// Longest that a reason is.
const REASON: usize = 512;

/// The status of an opt-out, with how the channels of its namespace stand.
pub(in crate::plan) fn of_opt_out(
    world: &World,
    opt_out: &OptOut,
    channels: &[ChannelStatus],
    standing: &Standing,
    now: Timestamp,
) -> StatusPlan {
    let mut conditions = Conditions::new(&opt_out.status.conditions, opt_out.meta.generation, now);
    if opt_out.errors.is_empty() {
        conditions.set("Ready", "True", "Read", "it was read and counts");
    } else {
        let message = format!(
            "it counts as every channel until it can be read: {}",
            list(&opt_out.errors)
        );
        conditions.set("Ready", "False", "PartlyUnreadable", &message);
        conditions.set("Stalled", "True", "PartlyUnreadable", &message);
    }
    let (status, reason, message) = told(channels);
    conditions.set("Stopped", status, reason, &message);
    let (status, reason, message) = pods_current(world, &opt_out.meta.key.namespace, standing);
    conditions.set("PodsCurrent", status, reason, &message);
    let made = TelemetryOptOutStatus {
        observed_generation: Some(opt_out.meta.generation),
        channels: channels.to_vec(),
        conditions: conditions.done(),
    };
    let changed = made != opt_out.status;
    let notices = turned(&opt_out.status.conditions, &made.conditions);
    status_plan(Kind::OptOut, &opt_out.meta, json!(made), changed, notices)
}

/// What people should hear of: that everything is stopped, that it is not any more, and that pods are to be started anew.
fn turned(before: &[Condition], now: &[Condition]) -> Vec<Notice> {
    fn of<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
        conditions.iter().find(|condition| condition.type_ == kind)
    }
    let is = |conditions, kind: &str, status: &str| {
        of(conditions, kind).is_some_and(|condition| condition.status == status)
    };
    let began = |kind, status| is(now, kind, status) && !is(before, kind, status);
    let ended = |kind, status| is(before, kind, status) && !is(now, kind, status);
    let notices = [
        ("Stopped", "TelemetryStopped", began("Stopped", "True")),
        ("Stopped", "TelemetryNotStopped", ended("Stopped", "True")),
        (
            "PodsCurrent",
            "RestartOffered",
            began("PodsCurrent", "False"),
        ),
    ];
    let heard = notices.into_iter().filter(|(.., is_heard)| *is_heard);
    heard
        .filter_map(|(kind, reason, _)| {
            Some(Notice {
                reason: reason.to_owned(),
                message: of(now, kind)?.message.clone(),
                warning: reason == "TelemetryNotStopped",
            })
        })
        .collect()
}

/// The channels as a posture tells them.
pub(in crate::plan) fn opt_outs(channels: &[ChannelStatus]) -> Vec<ChannelOptedOut> {
    let told = |channel: &ChannelStatus| ChannelOptedOut {
        channel: channel.name,
        state: channel.state,
    };
    channels.iter().map(told).collect()
}

fn told(channels: &[ChannelStatus]) -> (&'static str, &'static str, String) {
    for (state, status, reason) in [
        (OptOutState::CannotStop, "False", "CannotStop"),
        (OptOutState::Partly, "False", "Partly"),
        (OptOutState::NotFound, "Unknown", "NotFound"),
    ] {
        if let Some(first) = channels.iter().find(|channel| channel.state == state) {
            let message = format!("{}: {}", first.name.as_str(), first.reason);
            return (status, reason, bounded(&message));
        }
    }
    let message = "every means that applies was read back".to_owned();
    ("True", "ReadBack", message)
}

/// How each channel that a namespace opts out of stands.
pub(in crate::plan) fn channels(
    world: &World,
    namespace: &str,
    standing: &Standing,
    policies: &BTreeMap<String, NetworkPolicy>,
) -> Vec<ChannelStatus> {
    let opted_out = world.opted_out(namespace);
    if opted_out.is_empty() {
        return Vec::new();
    }
    let denial = denial(world, namespace, policies);
    let of = |channel: TelemetryChannel| match (channel, standing.floor()) {
        (TelemetryChannel::MarketingCommunications, _) => plain(
            channel,
            OptOutState::Recorded,
            "a preference in the posture for systems that send; nothing here stops them",
        ),
        _ if !standing.is_in_force() => plain(
            channel,
            OptOutState::CannotStop,
            "the namespace is not in force, so nothing is cut off; the platform team enrols it, or takes the stage label away",
        ),
        (_, None) => plain(
            channel,
            OptOutState::Partly,
            "the baseline cannot be read: everything is denied, and who collects is not known",
        ),
        (_, Some(terms)) => of_channel(world, namespace, channel, terms, &denial),
    };
    opted_out.into_iter().map(of).collect()
}

fn plain(name: TelemetryChannel, state: OptOutState, reason: &str) -> ChannelStatus {
    ChannelStatus {
        name,
        state,
        reason: reason.to_owned(),
        by: Vec::new(),
        agents: Vec::new(),
    }
}

fn of_channel(
    world: &World,
    namespace: &str,
    channel: TelemetryChannel,
    terms: &BaselineTerms,
    denial: &Result<(), &'static str>,
) -> ChannelStatus {
    let stopped = stopped(world, namespace, terms);
    let whole = stopped.denied_whole(terms);
    let agents: Vec<AgentStatus> = stopped
        .agents
        .into_iter()
        .filter(|agent| agent.channel == channel)
        .map(|agent| of_agent(world, namespace, agent, terms, denial))
        .collect();
    let all = |state: OptOutState| agents.iter().all(|agent| agent.state == state);
    let Some(worst) = agents.iter().min_by_key(|agent| agent.state) else {
        return plain(
            channel,
            OptOutState::NotFound,
            "the baseline registers no agent of this channel; the platform team lists who collects in spec.telemetry.agents",
        );
    };
    let state = if all(worst.state) {
        worst.state
    } else {
        OptOutState::Partly
    };
    let mut reason = format!("{}: {}", worst.name, worst.reason);
    if !whole.is_empty() {
        reason = format!(
            "denied whole, because the agents cannot be taken out of them within bounds: {}; {reason}",
            whole.join(", ")
        );
    }
    let by = worst.by.iter().copied();
    let by = by.filter(|means| agents.iter().all(|agent| agent.by.contains(means)));
    ChannelStatus {
        name: channel,
        state,
        reason: crate::plan::status::shortened(&reason, REASON),
        by: by.collect(),
        agents,
    }
}

fn of_agent(
    world: &World,
    namespace: &str,
    agent: &AgentTerms,
    terms: &BaselineTerms,
    denial: &Result<(), &'static str>,
) -> AgentStatus {
    let by = match denial {
        Ok(()) => vec![OptOutMeans::NetworkDenied],
        Err(_) => Vec::new(),
    };
    let (state, reason) = match (agent.reads_nodes, denial) {
        (Some(true), _) => (
            OptOutState::CannotStop,
            "it reads on the node what containers write, which nothing in a namespace stops; exclude the namespace in its own configuration".to_owned(),
        ),
        (_, Err(pending)) => (OptOutState::Partly, (*pending).to_owned()),
        (None, Ok(())) => (
            OptOutState::Partly,
            "its network is denied; whether it reads on nodes is not known: the platform team says so in readsNodes".to_owned(),
        ),
        (Some(false), Ok(())) => match beyond(world, agent, terms) {
            Some(reason) => (OptOutState::Partly, reason),
            None => (
                OptOutState::Stopped,
                "no policy here lets it in or lets pods reach it; whether the network carries them out is not observed here".to_owned(),
            ),
        },
    };
    let mut status = AgentStatus {
        name: agent.name.clone(),
        state,
        by,
        reason,
    };
    weigh_marks(world, namespace, agent, &mut status);
    weigh_objects(world, namespace, agent, &mut status);
    status.reason = crate::plan::status::shortened(&status.reason, REASON);
    status
}

/// What of an agent the denial does not reach.
fn beyond(world: &World, agent: &AgentTerms, terms: &BaselineTerms) -> Option<String> {
    let resolvers = terms.dns.as_ref();
    if let Some((namespaces, pods)) = &agent.pods {
        let agent = Pods::of(namespaces, pods.as_ref());
        let mut peers = resolvers.into_iter().flat_map(|dns| &dns.peers);
        if peers.any(|(namespaces, pods)| Pods::of(namespaces, pods.as_ref()).meets(&agent)) {
            return Some(
                "it may be where names are resolved too, and DNS is never cut off".to_owned(),
            );
        }
    }
    let processor = agent.processor.as_ref()?;
    let Some(ranges) = ranges_of(world, processor) else {
        return Some(format!(
            "DataProcessor {processor} is not registered or cannot be read, so its addresses are not known: every address range of the baseline is denied meanwhile"
        ));
    };
    let mut resolvers = resolvers.into_iter().flat_map(|dns| &dns.cidrs);
    if resolvers.any(|resolver| ranges.iter().any(|range| range.overlaps(resolver))) {
        return Some(format!(
            "addresses of DataProcessor {processor} are where names are resolved too, and DNS is never cut off"
        ));
    }
    let vendor = world.processor(processor)?.terms.as_ref().ok()?;
    let by_name = vendor
        .endpoints
        .values()
        .any(|endpoint| !endpoint.hosts.is_empty());
    let reaches_out = terms.allow.iter().any(|entry| !entry.cidrs.is_empty());
    (by_name && reaches_out).then(|| {
        format!(
            "DataProcessor {processor} has endpoints that are known by name alone, which may lie in an address range that the baseline allows"
        )
    })
}

/// Whether the floor stands as it must, with nothing of ours beside what is planned and nothing that reaches further.
fn denial(
    world: &World,
    namespace: &str,
    policies: &BTreeMap<String, NetworkPolicy>,
) -> Result<(), &'static str> {
    if world.breached(namespace) {
        return Err(
            "something in the namespace reaches further than the rules allow; its posture lists what",
        );
    }
    let stands = policies.iter().all(|(name, policy)| {
        let labels = policy.metadata.labels.as_ref();
        let part = labels.and_then(|labels| labels.get(LABEL_PART));
        let may_be_missing = part.is_some_and(|part| part == PART_PATH);
        let observed = world.policy(&ObjectKey::new(namespace, name));
        observed.map_or(may_be_missing, |observed| observed.stands_as(policy))
    });
    let beside = world.policies_in(namespace).any(|policy| {
        policy.is_ours(MANAGER_NETWORK) && !policies.contains_key(&policy.meta.key.name)
    });
    if stands && !beside {
        Ok(())
    } else {
        Err("the policies that cut it off were not all read back yet")
    }
}
