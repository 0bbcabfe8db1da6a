//! What an opt-out of telemetry cuts off: the agents of its channels, both ways, and grants that would go round it.
//!
//! May not: cut off where names are resolved. A resolver that is an agent too is told in the status.

mod before;
mod excluded;
mod labels;
mod marks;
mod refusal;
mod restart;
mod status;
mod subtraction;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;

use super::reason::Refusal;
use super::standing::{Standing, standing};
use crate::api::names::{LABEL_NAMESPACE_NAME, LABEL_STAGE, LABEL_TENANT};
use crate::api::{
    AgentKind, DataCategory, GuardedTelemetry, LabelOperator, LabelRequirement, MarkerSet,
    Selector, TelemetryChannel,
};
use crate::model::telemetry::agents::{self, Agent};
use crate::model::telemetry::joined;
use crate::model::{
    AgentTerms, AllowedEntry, BaselineTerms, Cidr, Grant, GrantTerms, MarkerTerms, RecipientTerms,
    World,
};
use labels::Labels;
use subtraction::{Left, Pods, pods_without, range_without};

pub(super) use marks::marks;
pub(super) use status::{channels, of_opt_out, opt_outs};

/// Which agents are stopped in a namespace, and where they are.
#[derive(Debug, Default)]
pub(super) struct Stopped<'a> {
    agents: Vec<&'a AgentTerms>,
    pods: Vec<Pods>,
    ranges: Vec<Cidr>,
    /// An agent sends to a vendor that is not registered or cannot be read: it may be anywhere.
    anywhere: bool,
}

/// The agents that the opt-outs of a namespace stop.
pub(super) fn stopped<'a>(world: &World, namespace: &str, terms: &'a BaselineTerms) -> Stopped<'a> {
    let channels = world.opted_out(namespace);
    let agents = terms.telemetry.agents.iter();
    let mut stopped = Stopped::default();
    for agent in agents.filter(|agent| channels.contains(&agent.channel)) {
        stopped.agents.push(agent);
        let pods = agent.pods.as_ref();
        stopped
            .pods
            .extend(pods.map(|(namespaces, pods)| Pods::of(namespaces, pods.as_ref())));
        if let Some(processor) = &agent.processor {
            match ranges_of(world, processor) {
                Some(ranges) => stopped.ranges.extend(ranges),
                None => stopped.anywhere = true,
            }
        }
    }
    stopped
}

/// The address ranges of a vendor's endpoints; none where it is not registered or cannot be read.
fn ranges_of(world: &World, processor: &str) -> Option<Vec<Cidr>> {
    let vendor = world.processor(processor)?.terms.as_ref().ok()?;
    let endpoints = vendor.endpoints.values();
    let ranges = endpoints.flat_map(|endpoint| endpoint.cidrs.iter().map(|(cidr, _)| *cidr));
    Some(ranges.collect())
}

impl Stopped<'_> {
    /// Whether nobody is stopped.
    pub fn is_nobody(&self) -> bool {
        self.agents.is_empty()
    }

    /// What is left of a peer in the cluster, which `whole` says, without the agents.
    pub fn left_of_pods(
        &self,
        namespaces: &Selector,
        pods: Option<&Selector>,
        whole: NetworkPolicyPeer,
    ) -> Vec<NetworkPolicyPeer> {
        taken(pods_without(&Pods::of(namespaces, pods), &self.pods), whole)
    }

    /// The baseline's entries that are denied whole, because no agent could be taken out of them within bounds.
    fn denied_whole<'b>(&self, terms: &'b BaselineTerms) -> Vec<&'b str> {
        let too_many = |entry: &&AllowedEntry| {
            let pods = entry.peers.as_ref().is_some_and(|(namespaces, pods)| {
                pods_without(&Pods::of(namespaces, pods.as_ref()), &self.pods) == Left::TooMany
            });
            let mut ranges = entry.cidrs.iter();
            pods || ranges.any(|range| range_without(range, &self.ranges) == Left::TooMany)
        };
        let entries = terms.allow.iter().filter(too_many);
        entries.map(|entry| entry.name.as_str()).collect()
    }

    /// What is left of an address range, which `whole` says, without the agents.
    pub fn left_of_range(&self, range: &Cidr, whole: NetworkPolicyPeer) -> Vec<NetworkPolicyPeer> {
        if self.anywhere {
            return Vec::new();
        }
        taken(range_without(range, &self.ranges), whole)
    }

    /// The siblings through which nothing goes on that is stopped here: in force, with the same agents stopped there.
    fn siblings(&self, world: &World, namespace: &str, tenant: &str) -> Vec<String> {
        let channels: BTreeSet<TelemetryChannel> =
            self.agents.iter().map(|agent| agent.channel).collect();
        let stops_the_same = |name: &str| {
            let standing = standing(world, name);
            let known = standing.floor().map(|terms| &terms.telemetry.agents);
            standing.is_in_force()
                && channels.is_subset(&world.opted_out(name))
                && known.is_some_and(|known| self.agents.iter().all(|agent| known.contains(agent)))
        };
        world
            .namespaces_of_tenant(tenant)
            .map(|sibling| sibling.meta.key.name.as_str())
            .filter(|name| *name != namespace && !world.breached(name) && stops_the_same(name))
            .map(str::to_owned)
            .collect()
    }

    /// Same-tenant peers while somebody is stopped: this namespace, and siblings by name where `with_siblings`. All of them
    /// without the agents, since an agent may run among the tenant's own pods.
    pub fn same_tenant(
        &self,
        world: &World,
        namespace: &str,
        tenant: &str,
        with_siblings: bool,
        own: NetworkPolicyPeer,
    ) -> Vec<NetworkPolicyPeer> {
        let here = Selector::labels([(LABEL_NAMESPACE_NAME, namespace)]);
        let mut peers = self.left_of_pods(&here, None, own);
        let named = if with_siblings {
            self.siblings(world, namespace, tenant)
        } else {
            Vec::new()
        };
        if !named.is_empty() {
            let requirement = |key: &str, operator, values| LabelRequirement {
                key: key.to_owned(),
                operator,
                values,
            };
            let siblings = Selector {
                match_labels: [(LABEL_TENANT.to_owned(), tenant.to_owned())].into(),
                match_expressions: vec![
                    requirement(LABEL_STAGE, LabelOperator::DoesNotExist, Vec::new()),
                    requirement(LABEL_NAMESPACE_NAME, LabelOperator::In, named),
                ],
            };
            let whole = Pods::of(&siblings, None).peer();
            peers.extend(self.left_of_pods(&siblings, None, whole));
        }
        peers
    }
}

fn taken(left: Left, whole: NetworkPolicyPeer) -> Vec<NetworkPolicyPeer> {
    match left {
        Left::Whole => vec![whole],
        Left::Parts(parts) => parts,
        Left::TooMany => Vec::new(),
    }
}

/// The opt-outs at both ends of a grant's path that cover it: an opt-out beats a grant.
pub(super) fn covering(world: &World, grant: &Grant, terms: &GrantTerms) -> Vec<Refusal> {
    let source = grant.meta.key.namespace.as_str();
    let mut refusals = at_end(world, source, |agent| match &terms.recipient {
        RecipientTerms::Processor { name, endpoints } => {
            agent.processor.as_ref() == Some(name)
                || shares_addresses(world, agent, name, endpoints)
        }
        RecipientTerms::Namespace { name } => {
            let mut acceptances = world.acceptances_of(&grant.meta.key, name);
            acceptances.any(|acceptance| {
                let accepted = acceptance.terms.as_ref();
                accepted.is_ok_and(|accepted| is_among(world, agent, name, &accepted.pods))
            })
        }
    });
    if let RecipientTerms::Namespace { name } = &terms.recipient {
        refusals.extend(at_end(world, name, |agent| {
            is_among(world, agent, source, &terms.source)
        }));
        if terms
            .categories
            .contains(&DataCategory::InfrastructureTelemetry)
        {
            refusals.extend(carried_on(world, source, name));
        }
    }
    refusals
}

/// What a sibling would go on with if telemetry were granted to it: it does not stop the same agents.
fn carried_on(world: &World, namespace: &str, sibling: &str) -> Vec<Refusal> {
    let beyond = standing(world, sibling);
    let stopped_there = beyond.floor().filter(|_| beyond.is_in_force());
    let stopped_there = stopped_there.map(|terms| stopped(world, sibling, terms).agents);
    let stopped_there = stopped_there.unwrap_or_default();
    let mut refusals = at_end(world, namespace, |agent| !stopped_there.contains(&agent));
    for refusal in &mut refusals {
        if let Refusal::OptedOut { carried_on_by, .. } = refusal {
            *carried_on_by = Some(sibling.to_owned());
        }
    }
    refusals
}

fn at_end(
    world: &World,
    namespace: &str,
    is_covered: impl Fn(&AgentTerms) -> bool,
) -> Vec<Refusal> {
    let standing = standing(world, namespace);
    let Some(terms) = standing.floor() else {
        return Vec::new();
    };
    let agents = stopped(world, namespace, terms).agents;
    let covered = agents.into_iter().filter(|agent| is_covered(agent));
    covered
        .map(|agent| Refusal::OptedOut {
            namespace: namespace.to_owned(),
            channel: agent.channel,
            agent: agent.name.clone(),
            carried_on_by: None,
        })
        .collect()
}

/// Whether a vendor's endpoints lie where the agent's vendor is, by whatever name.
fn shares_addresses(
    world: &World,
    agent: &AgentTerms,
    processor: &str,
    endpoints: &BTreeSet<String>,
) -> bool {
    let Some(stopped) = agent
        .processor
        .as_ref()
        .and_then(|processor| ranges_of(world, processor))
    else {
        return false;
    };
    let vendor = world.processor(processor);
    let Some(Ok(vendor)) = vendor.map(|vendor| &vendor.terms) else {
        return false;
    };
    let named = endpoints
        .iter()
        .filter_map(|endpoint| vendor.endpoints.get(endpoint));
    named
        .flat_map(|endpoint| &endpoint.cidrs)
        .any(|(cidr, _)| stopped.iter().any(|range| range.overlaps(cidr)))
}

/// Whether an agent may be among these pods of a namespace.
fn is_among(world: &World, agent: &AgentTerms, namespace: &str, pods: &Selector) -> bool {
    let Some((namespaces, agents)) = &agent.pods else {
        return false;
    };
    let Some(known) = world.namespace(namespace) else {
        return false;
    };
    let mut labels: BTreeMap<String, String> = known.labels.clone();
    labels.insert(LABEL_NAMESPACE_NAME.to_owned(), namespace.to_owned());
    let agents = agents.as_ref().map(Labels::of).unwrap_or_default();
    Labels::of(namespaces).matches(&labels) && !Labels::of(pods).both(&agents).is_nothing()
}

/// What guards must know of a namespace's opt-outs. Without a readable baseline every kind of object that tells an agent to
/// collect is refused, and every word of it: who collects is not known. What pods must carry stays as it was asked for before. More
/// is not guessed, because it would keep pods from starting; the network is denied whole meanwhile.
pub(super) fn guarded(
    world: &World,
    namespace: &str,
    standing: &Standing,
) -> Option<GuardedTelemetry> {
    let channels = world.opted_out(namespace);
    if channels.is_empty() {
        return None;
    }
    let only_recorded = channels
        .iter()
        .eq([&TelemetryChannel::MarketingCommunications]);
    let (kinds, markers): (BTreeSet<AgentKind>, Vec<MarkerTerms>) = match standing.floor() {
        Some(terms) => {
            let agents = stopped(world, namespace, terms).agents;
            let agents = agents.into_iter();
            agents
                .map(|agent| (agent.respects, agent.markers.clone()))
                .unzip()
        }
        None if only_recorded => Default::default(),
        None => {
            let words = |row: &Agent| MarkerTerms {
                where_present: MarkerTerms::of(row).where_present,
                ..MarkerTerms::default()
            };
            agents::TABLE
                .iter()
                .map(|row| (row.kind, words(row)))
                .unzip()
        }
    };
    let collects = kinds.into_iter().filter_map(agents::row);
    let refuses: BTreeSet<&str> = collects
        .flat_map(|row| row.collects_by.iter().copied())
        .collect();
    let all = |pick: fn(&MarkerTerms) -> &MarkerSet| joined(markers.iter().map(pick)).into();
    let asked_before = world
        .told_of_telemetry(namespace)
        .filter(|_| standing.floor().is_none());
    let (pods, namespaces) = match asked_before {
        Some(before) => (before.pods.clone(), before.namespaces.clone()),
        None => (
            all(|markers| &markers.pods),
            all(|markers| &markers.namespaces),
        ),
    };
    Some(GuardedTelemetry {
        channels: channels.into_iter().collect(),
        refuses: refuses.into_iter().map(str::to_owned).collect(),
        pods,
        namespaces,
        where_present: all(|markers| &markers.where_present),
    })
}
