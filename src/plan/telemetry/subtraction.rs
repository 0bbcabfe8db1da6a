//! Taking agents away from the peers of a policy: what stays allowed is exactly what was, without them.
//!
//! May not: leave an agent in where it cannot be taken out exactly. Then the whole peer goes.

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};

use super::labels::Labels;
use crate::api::Selector;
use crate::model::Cidr;

/// Most peers that one peer may become. Beyond this it is denied whole, and the status says so.
const PARTS: usize = 48;
/// Most ranges that are left out of one range.
const EXCEPTIONS: usize = 64;

/// Pods that a peer, or an agent, is: namespaces, and pods of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pods {
    pub namespaces: Labels,
    pub pods: Labels,
}

impl Pods {
    pub fn of(namespaces: &Selector, pods: Option<&Selector>) -> Self {
        Self {
            namespaces: Labels::of(namespaces),
            pods: pods.map(Labels::of).unwrap_or_default(),
        }
    }

    fn both(&self, other: &Self) -> Self {
        Self {
            namespaces: self.namespaces.both(&other.namespaces),
            pods: self.pods.both(&other.pods),
        }
    }

    fn is_nothing(&self) -> bool {
        self.namespaces.is_nothing() || self.pods.is_nothing()
    }

    pub fn meets(&self, other: &Self) -> bool {
        !self.both(other).is_nothing()
    }

    fn within(&self, other: &Self) -> bool {
        self.namespaces.within(&other.namespaces) && self.pods.within(&other.pods)
    }

    /// (A, P) without (B, Q): (A and not B, P), and (A and B, P and not Q).
    fn without(&self, agent: &Self) -> Vec<Self> {
        let both = self.namespaces.both(&agent.namespaces);
        let elsewhere = agent.namespaces.others().into_iter().map(|other| Self {
            namespaces: self.namespaces.both(&other),
            pods: self.pods.clone(),
        });
        let beside = agent.pods.others().into_iter().map(|other| Self {
            namespaces: both.clone(),
            pods: self.pods.both(&other),
        });
        elsewhere
            .chain(beside)
            .filter(|part| !part.is_nothing())
            .collect()
    }

    pub fn peer(&self) -> NetworkPolicyPeer {
        NetworkPolicyPeer {
            namespace_selector: Some(self.namespaces.selector()),
            pod_selector: Some(self.pods.selector()),
            ip_block: None,
        }
    }
}

/// What is left of a peer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Left {
    /// No agent is in it.
    Whole,
    /// These, in its place.
    Parts(Vec<NetworkPolicyPeer>),
    /// Nothing: an agent could not be taken out of it within bounds.
    TooMany,
}

/// What is left of pods without these agents.
pub(super) fn pods_without(peer: &Pods, agents: &[Pods]) -> Left {
    if !agents.iter().any(|agent| peer.meets(agent)) {
        return Left::Whole;
    }
    let mut parts = vec![peer.clone()];
    for agent in agents {
        let mut left: Vec<Pods> = Vec::new();
        for part in parts {
            if part.meets(agent) {
                left.extend(part.without(agent));
            } else {
                left.push(part);
            }
        }
        parts = widest(left);
        if parts.len() > PARTS {
            return Left::TooMany;
        }
    }
    Left::Parts(parts.iter().map(Pods::peer).collect())
}

/// Those that lie within no other, sorted.
fn widest(mut parts: Vec<Pods>) -> Vec<Pods> {
    parts.sort();
    parts.dedup();
    let within_another = |part: &Pods| {
        let mut others = parts.iter().filter(|other| *other != part);
        others.any(|other| part.within(other) && !other.within(part))
    };
    let kept: Vec<bool> = parts.iter().map(|part| !within_another(part)).collect();
    let mut kept = kept.into_iter();
    let mut widest = parts.clone();
    widest.retain(|_| kept.next().unwrap_or(true));
    widest
}

/// What is left of an address range without these. Two ranges lie within each other or apart, so it is always exact.
pub(super) fn range_without(range: &Cidr, agents: &[Cidr]) -> Left {
    if agents.iter().any(|agent| agent.contains(range)) {
        return Left::Parts(Vec::new());
    }
    let mut inside: Vec<&Cidr> = agents
        .iter()
        .filter(|agent| range.contains(agent))
        .collect();
    inside.sort();
    inside.dedup();
    let outermost: Vec<&Cidr> = inside
        .iter()
        .filter(|agent| {
            !inside
                .iter()
                .any(|other| other != *agent && other.contains(agent))
        })
        .copied()
        .collect();
    if outermost.is_empty() {
        return Left::Whole;
    }
    if outermost.len() > EXCEPTIONS {
        return Left::TooMany;
    }
    Left::Parts(vec![NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: range.to_string(),
            except: Some(outermost.iter().map(ToString::to_string).collect()),
        }),
        ..NetworkPolicyPeer::default()
    }])
}
