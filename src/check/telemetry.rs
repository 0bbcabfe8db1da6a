//! What no policy of an opted-out namespace may do: let in or reach an agent that is stopped there. And what its guards must be
//! told.
//!
//! May not: take anything away. It asks of each peer whether an agent could be among it, by trying labels.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Findings, Rule};
use crate::api::names::{LABEL_NAMESPACE_NAME, PARAMETERS_NAME, PART_PATH};
use crate::api::{GuardedTelemetry, Selector, TelemetryChannel};
use crate::model::telemetry::agents;
use crate::model::{AgentTerms, BaselineTerms, Cidr, Kind, ObjectKey, Target, World};
use crate::plan::ParametersPlan;

type Labels = BTreeMap<String, String>;

pub(super) fn policy(
    findings: &mut Findings,
    world: &World,
    namespace: &str,
    target: &Target,
    policy: &NetworkPolicy,
) {
    let channels: BTreeSet<TelemetryChannel> = world
        .opt_outs_in(namespace)
        .flat_map(|opt_out| opt_out.channels.iter().copied())
        .collect();
    let known = world.namespace(namespace);
    let baseline = known.and_then(|known| world.baseline(&known.baseline));
    let Some(Ok(terms)) = baseline.map(|baseline| &baseline.terms) else {
        return;
    };
    let mut labels = known.map(|known| known.labels.clone()).unwrap_or_default();
    labels.insert(LABEL_NAMESPACE_NAME.to_owned(), namespace.to_owned());
    let agents = terms.telemetry.agents.iter();
    for agent in agents.filter(|agent| channels.contains(&agent.channel)) {
        for peer in peers(policy, terms) {
            // A path leads to addresses that were approved by name; a vendor that nobody knows is sought in the floor's ranges.
            let anywhere = super::part(policy) != Some(PART_PATH);
            if joins(world, &labels, peer, agent, anywhere) {
                findings.add(
                    Rule::OptedOutMeetsNoAgent,
                    target,
                    format!(
                        "the namespace opts out of {}, and a peer of it may be {}",
                        agent.channel.as_str(),
                        agent.name
                    ),
                );
            }
        }
    }
}

/// What guards must be told of opt-outs.
pub(super) fn parameters(
    findings: &mut Findings,
    world: &World,
    namespace: &str,
    planned: &ParametersPlan,
) {
    let Some(spec) = &planned.spec else {
        return;
    };
    let key = ObjectKey::new(namespace, PARAMETERS_NAME);
    let target = Target::new(Kind::GuardParameters, key);
    let mut add = |message: String| findings.add(Rule::OptOutNeedsGuard, &target, message);
    let opt_outs = world.opt_outs_in(namespace);
    let channels: BTreeSet<TelemetryChannel> = opt_outs
        .flat_map(|opt_out| opt_out.channels.iter().copied())
        .collect();
    let nothing = GuardedTelemetry::default();
    let told = spec.telemetry.as_ref().unwrap_or(&nothing);
    if told.channels.iter().copied().collect::<BTreeSet<_>>() != channels {
        add("tells guards of other channels than the opt-out".to_owned());
    }
    let known = world.namespace(namespace);
    let baseline = known.and_then(|known| world.baseline(&known.baseline));
    let Some(Ok(terms)) = baseline.map(|baseline| &baseline.terms) else {
        return;
    };
    let stopped = || {
        let agents = terms.telemetry.agents.iter();
        agents.filter(|agent| channels.contains(&agent.channel))
    };
    let kinds = stopped().filter_map(|agent| agents::row(agent.respects));
    let refused: BTreeSet<&str> = kinds.flat_map(|row| row.collects_by).copied().collect();
    if told
        .refuses
        .iter()
        .map(String::as_str)
        .collect::<BTreeSet<_>>()
        != refused
    {
        add("refuses other kinds of objects than those by which the agents collect".to_owned());
    }
    for (of, told, asked) in [
        (
            "pods",
            &told.pods,
            stopped()
                .map(|agent| &agent.markers.pods)
                .collect::<Vec<_>>(),
        ),
        (
            "the namespace",
            &told.namespaces,
            stopped().map(|agent| &agent.markers.namespaces).collect(),
        ),
        (
            "what is present",
            &told.where_present,
            stopped()
                .map(|agent| &agent.markers.where_present)
                .collect(),
        ),
    ] {
        let annotations = asked.iter().map(|set| &set.annotations);
        let labels = asked.iter().map(|set| &set.labels);
        if !covers(&told.annotations, annotations) || !covers(&told.labels, labels) {
            add(format!(
                "asks {of} for other markers than those that the agents read"
            ));
        }
    }
}

/// Whether these are all of them, and nothing beside.
fn covers<'a>(told: &Labels, asked: impl Iterator<Item = &'a Labels>) -> bool {
    let asked: BTreeSet<(&String, &String)> = asked.flatten().collect();
    told.iter().collect::<BTreeSet<_>>() == asked
}

/// The peers of every rule but the resolvers', which are known by being exactly where the baseline says names are resolved.
fn peers<'a>(
    policy: &'a NetworkPolicy,
    terms: &'a BaselineTerms,
) -> impl Iterator<Item = &'a NetworkPolicyPeer> {
    let spec = policy.spec.iter();
    let resolves = |peer: &NetworkPolicyPeer, ports: &BTreeSet<i32>| {
        terms.dns.as_ref().is_some_and(|dns| {
            let in_cluster = dns.peers.iter().any(|(namespaces, pods)| {
                peer.namespace_selector == Some(namespaces.to_label_selector())
                    && peer.pod_selector == pods.as_ref().map(Selector::to_label_selector)
            });
            let by_address = dns.cidrs.iter().any(|cidr| {
                let block = peer.ip_block.as_ref();
                block.is_some_and(|block| block.cidr == cidr.to_string())
            });
            (in_cluster || by_address)
                && !ports.is_empty()
                && ports.iter().all(|port| dns.ports.contains(port))
        })
    };
    let numbers = |ports: Option<&Vec<k8s_openapi::api::networking::v1::NetworkPolicyPort>>| {
        use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
        let ports = ports.into_iter().flatten();
        ports
            .map(|port| match port.port {
                Some(IntOrString::Int(number)) => number,
                _ => 0,
            })
            .collect::<BTreeSet<i32>>()
    };
    spec.flat_map(move |spec| {
        let ingress = spec.ingress.iter().flatten();
        let ingress = ingress.flat_map(|rule| rule.from.iter().flatten());
        let egress = spec.egress.iter().flatten();
        let egress = egress.flat_map(move |rule| {
            let ports = numbers(rule.ports.as_ref());
            let peers = rule.to.iter().flatten();
            peers.filter(move |peer| !resolves(peer, &ports))
        });
        ingress.chain(egress)
    })
}

fn joins(
    world: &World,
    here: &Labels,
    peer: &NetworkPolicyPeer,
    agent: &AgentTerms,
    anywhere: bool,
) -> bool {
    if let Some(block) = &peer.ip_block {
        let Some(vendor) = &agent.processor else {
            return false;
        };
        let vendor = world.processor(vendor);
        let Some(Ok(vendor)) = vendor.map(|vendor| &vendor.terms) else {
            return anywhere;
        };
        let Ok(range) = Cidr::parse(&block.cidr) else {
            return true;
        };
        let except = block.except.iter().flatten();
        let except: Vec<Cidr> = except.filter_map(|text| Cidr::parse(text).ok()).collect();
        let endpoints = vendor.endpoints.values();
        return endpoints
            .flat_map(|endpoint| &endpoint.cidrs)
            .any(|(cidr, _)| range.overlaps(cidr) && !except.iter().any(|out| out.contains(cidr)));
    }
    let Some((namespaces, pods)) = &agent.pods else {
        return false;
    };
    let namespaces = namespaces.to_label_selector();
    let pods = pods.as_ref().map(Selector::to_label_selector);
    let among_namespaces = match &peer.namespace_selector {
        Some(selector) => can_both(selector, &namespaces),
        None => holds(&namespaces, here),
    };
    let every = LabelSelector::default();
    let of_peer = peer.pod_selector.as_ref().unwrap_or(&every);
    among_namespaces && can_both(of_peer, pods.as_ref().unwrap_or(&every))
}

/// Whether some labels are matched by both. Keys do not depend on each other, so it is enough to try for each key the values
/// that are named, one that is not, and none at all.
fn can_both(one: &LabelSelector, other: &LabelSelector) -> bool {
    let mut tried: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for selector in [one, other] {
        for (key, value) in selector.match_labels.iter().flatten() {
            tried.entry(key).or_default().insert(value);
        }
        for requirement in selector.match_expressions.iter().flatten() {
            let values = tried.entry(&requirement.key).or_default();
            values.extend(requirement.values.iter().flatten().map(String::as_str));
        }
    }
    tried.into_iter().all(|(key, values)| {
        let with = |value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
        let unnamed = Labels::from([(key.to_owned(), "a value that nobody names".to_owned())]);
        let mut candidates = values.into_iter().map(with).chain([unnamed, Labels::new()]);
        candidates.any(|labels| holds_of(one, key, &labels) && holds_of(other, key, &labels))
    })
}

fn holds(selector: &LabelSelector, labels: &Labels) -> bool {
    let equal = selector.match_labels.iter().flatten().map(|(key, _)| key);
    let expressions = selector.match_expressions.iter().flatten();
    equal
        .chain(expressions.map(|requirement| &requirement.key))
        .all(|key| holds_of(selector, key, labels))
}

/// Whether what a selector says of one key holds of these labels.
fn holds_of(selector: &LabelSelector, key: &str, labels: &Labels) -> bool {
    let value = labels.get(key);
    let equal = selector.match_labels.iter().flatten();
    let mut equal = equal.filter(|(known, _)| *known == key);
    let expressions = selector.match_expressions.iter().flatten();
    let mut expressions = expressions.filter(|requirement| requirement.key == key);
    equal.all(|(_, wanted)| value == Some(wanted))
        && expressions.all(|requirement| {
            let named = value.is_some_and(|value| {
                let mut values = requirement.values.iter().flatten();
                values.any(|known| known == value)
            });
            match requirement.operator.as_str() {
                "In" => named,
                "NotIn" => !named,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}
