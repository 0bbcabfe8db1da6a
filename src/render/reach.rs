//! Who may reach whom, told from the policies in the World: a view for people.
//!
//! NetworkPolicy semantics in small: a direction is isolated once a policy selects the pod for it, and then only what some
//! policy allows goes through; both ends must allow. May not: be what a decision or a test rests on; tests have a judge of
//! their own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::table::{Table, bad, good, plain};
use crate::api::Protocol;
use crate::model::{Cidr, World};

/// A pod as an end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAt {
    /// Namespace; its labels are the World's.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Container ports by name.
    pub ports: BTreeMap<String, i32>,
}

/// An end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// A pod.
    Pod(PodAt),
    /// An address outside the cluster.
    Outside(IpAddr),
}

/// A connection that is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it is called in the table.
    pub name: String,
    /// Who connects.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// At which port.
    pub port: i32,
    /// Over what.
    pub protocol: Protocol,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both ends allow it.
    Allowed,
    /// The one who connects may not.
    RefusedAtSource,
    /// The other may not be reached.
    RefusedAtDestination,
}

impl Verdict {
    /// Whether the connection goes through.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }
}

/// Whether the policies in the World let a connection through.
#[must_use]
pub fn reach(world: &World, probe: &Probe) -> Verdict {
    if let Party::Pod(pod) = &probe.from
        && !lets(world, pod, &probe.to, probe, Way::Egress)
    {
        return Verdict::RefusedAtSource;
    }
    if let Party::Pod(pod) = &probe.to
        && !lets(world, pod, &probe.from, probe, Way::Ingress)
    {
        return Verdict::RefusedAtDestination;
    }
    Verdict::Allowed
}

/// A table of probes and answers, each line behind two spaces.
#[must_use]
pub fn reach_table(world: &World, probes: &[Probe]) -> String {
    let mut table = Table::new(["CONNECTION", "PORT", "ALLOWED"]);
    for probe in probes {
        let (word, style) = match reach(world, probe) {
            Verdict::Allowed => ("yes", good()),
            Verdict::RefusedAtSource => ("no: may not go out", bad()),
            Verdict::RefusedAtDestination => ("no: may not come in", bad()),
        };
        table.row([
            (probe.name.clone(), plain()),
            (
                format!("{}/{}", probe.port, probe.protocol.as_str()),
                plain(),
            ),
            (word.to_owned(), style),
        ]);
    }
    let mut text = table.lines(2).join("\n");
    text.push('\n');
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Ingress,
    Egress,
}

fn lets(world: &World, pod: &PodAt, peer: &Party, probe: &Probe, way: Way) -> bool {
    let selecting: Vec<&NetworkPolicySpec> = world
        .policies_in(&pod.namespace)
        .filter_map(|policy| policy.spec.as_ref())
        .filter(|spec| governs(spec, way))
        .filter(|spec| {
            spec.pod_selector
                .as_ref()
                .is_none_or(|pods| selects(pods, &pod.labels))
        })
        .collect();
    // The destination's container ports give their numbers to named ports, whichever end the policy stands at.
    let ports = match &probe.to {
        Party::Pod(pod) => pod.ports.clone(),
        Party::Outside(_) => BTreeMap::new(),
    };
    let fits = |peers: Option<&Vec<NetworkPolicyPeer>>,
                rule_ports: Option<&Vec<NetworkPolicyPort>>| {
        let peer_fits = peers.is_none_or(|peers| {
            peers.is_empty()
                || peers
                    .iter()
                    .any(|rule| is_peer(world, &pod.namespace, rule, peer))
        });
        let port_fits = rule_ports.is_none_or(|rules| {
            rules.is_empty() || rules.iter().any(|rule| is_port(rule, probe, &ports))
        });
        peer_fits && port_fits
    };
    selecting.is_empty()
        || selecting.iter().any(|spec| match way {
            Way::Ingress => {
                let mut rules = spec.ingress.iter().flatten();
                rules.any(|rule| fits(rule.from.as_ref(), rule.ports.as_ref()))
            }
            Way::Egress => {
                let mut rules = spec.egress.iter().flatten();
                rules.any(|rule| fits(rule.to.as_ref(), rule.ports.as_ref()))
            }
        })
}

fn governs(spec: &NetworkPolicySpec, way: Way) -> bool {
    match (&spec.policy_types, way) {
        (Some(types), Way::Ingress) if !types.is_empty() => {
            types.iter().any(|kind| kind == "Ingress")
        }
        (Some(types), Way::Egress) if !types.is_empty() => {
            types.iter().any(|kind| kind == "Egress")
        }
        // Without types a policy governs ingress always, and egress where it speaks of it.
        (_, Way::Ingress) => true,
        (_, Way::Egress) => spec.egress.is_some(),
    }
}

fn is_peer(world: &World, own_namespace: &str, rule: &NetworkPolicyPeer, party: &Party) -> bool {
    match party {
        Party::Outside(address) => rule.ip_block.as_ref().is_some_and(|block| {
            let within =
                |text: &String| Cidr::parse(text).is_ok_and(|cidr| cidr.contains_address(*address));
            within(&block.cidr) && !block.except.iter().flatten().any(within)
        }),
        Party::Pod(pod) => {
            if rule.ip_block.is_some() {
                return false;
            }
            let namespace_fits = match &rule.namespace_selector {
                None => pod.namespace == own_namespace,
                Some(selector) => world
                    .namespace(&pod.namespace)
                    .is_some_and(|namespace| selects(selector, &namespace.labels)),
            };
            let pod_fits = rule
                .pod_selector
                .as_ref()
                .is_none_or(|selector| selects(selector, &pod.labels));
            namespace_fits && pod_fits
        }
    }
}

fn is_port(rule: &NetworkPolicyPort, probe: &Probe, named: &BTreeMap<String, i32>) -> bool {
    let protocol = rule.protocol.as_deref().unwrap_or("TCP");
    if protocol != probe.protocol.as_str() {
        return false;
    }
    match (&rule.port, rule.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), Some(last)) => (*first..=last).contains(&probe.port),
        (Some(IntOrString::Int(port)), None) => *port == probe.port,
        (Some(IntOrString::String(name)), _) => named.get(name) == Some(&probe.port),
    }
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector
        .match_expressions
        .iter()
        .flatten()
        .all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value
                .is_some_and(|value| requirement.values.iter().flatten().any(|one| one == value));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        });
    equal && expressions
}
