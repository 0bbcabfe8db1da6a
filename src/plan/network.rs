//! What plain NetworkPolicies say: the floor of a namespace, and the ends of paths.
//!
//! This is the one backend so far. What it cannot express exactly (host names) is refused before it gets here, never
//! widened.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::restraint::{Cut, cut};
use super::standing::Standing;
use super::telemetry::{self, Stopped};
use crate::api::names::{
    LABEL_MANAGED_BY, LABEL_NAMESPACE_NAME, LABEL_PART, LABEL_PREFIX_ALLOW, LABEL_STAGE,
    LABEL_TENANT, MANAGED_BY_COVENANT, MANAGER_NETWORK, PART_BASELINE, POLICY_ALLOW_PREFIX,
    POLICY_BASELINE, POLICY_DEFAULT_DENY,
};
use crate::api::{BaselineDirection, Direction, IntOrName, Protocol, SameTenant, Selector};
use crate::model::{
    AcceptanceTerms, AllowedEntry, BaselineTerms, Cidr, EndpointTerms, GrantTerms, PortTerms, World,
};

/// The floor under a namespace. Default deny stands even where the baseline cannot be read.
pub(super) fn floor(
    world: &World,
    namespace: &str,
    standing: &Standing,
) -> BTreeMap<String, NetworkPolicy> {
    let mut policies = BTreeMap::new();
    let mut stand = |name: String, spec: NetworkPolicySpec| {
        let policy = baseline_policy(namespace, &name, spec);
        policies.insert(name, policy);
    };
    let cut = cut(world, namespace);
    match standing {
        // Holds are enforced in both stages.
        Standing::Observing { .. } if cut == Cut::Everything => {
            stand(POLICY_DEFAULT_DENY.to_owned(), default_deny());
        }
        Standing::NotEnrolled | Standing::Exempt | Standing::Observing { .. } => {}
        // Pods may outlive the policies of a namespace that is being deleted: nothing of the floor is taken away, and
        // nothing can be created any more.
        Standing::Terminating { .. } => {
            let ours = |policy: &&crate::model::ObservedPolicy| {
                policy.is_ours(MANAGER_NETWORK)
                    && policy
                        .labels
                        .get(LABEL_PART)
                        .is_some_and(|part| part == PART_BASELINE)
            };
            for policy in world.policies_in(namespace).filter(ours) {
                if let Some(spec) = policy.spec.clone() {
                    stand(policy.meta.key.name.clone(), spec);
                }
            }
        }
        Standing::InForce { tenant, .. } => {
            stand(POLICY_DEFAULT_DENY.to_owned(), default_deny());
            // Default deny and nothing beside it: policies only add up.
            if let Some(terms) = standing.floor().filter(|_| cut != Cut::Everything) {
                let stopped = telemetry::stopped(world, namespace, terms);
                if let Some(spec) = baseline(world, namespace, tenant, terms, &stopped) {
                    stand(POLICY_BASELINE.to_owned(), spec);
                }
                for entry in terms
                    .allow
                    .iter()
                    .filter(|entry| entry.direction == BaselineDirection::Ingress)
                {
                    stand(
                        format!("{POLICY_ALLOW_PREFIX}{}", entry.name),
                        allowed_ingress(entry, &stopped),
                    );
                }
            }
        }
    }
    policies
}

fn baseline_policy(namespace: &str, name: &str, spec: NetworkPolicySpec) -> NetworkPolicy {
    let labels = [
        (LABEL_MANAGED_BY, MANAGED_BY_COVENANT),
        (LABEL_PART, PART_BASELINE),
    ];
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
    }
}

fn default_deny() -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(both_ways()),
        ..NetworkPolicySpec::default()
    }
}

/// DNS, same-tenant traffic and the baseline's egress, for every pod.
fn baseline(
    world: &World,
    namespace: &str,
    tenant: &str,
    terms: &BaselineTerms,
    stopped: &Stopped<'_>,
) -> Option<NetworkPolicySpec> {
    let same_tenant = same_tenant(world, namespace, tenant, terms.same_tenant, stopped);
    let mut egress = Vec::new();
    if let Some(dns) = &terms.dns {
        let peers = dns
            .peers
            .iter()
            .map(|(namespaces, pods)| in_cluster(namespaces, pods.as_ref()));
        let ports = dns
            .ports
            .iter()
            .flat_map(|&number| [(number, Protocol::Udp), (number, Protocol::Tcp)]);
        egress.push(NetworkPolicyEgressRule {
            to: Some(peers.chain(dns.cidrs.iter().map(address)).collect()),
            ports: Some(ports.map(numbered).collect()),
        });
    }
    if let Some(peers) = &same_tenant {
        egress.push(NetworkPolicyEgressRule {
            to: Some(peers.clone()),
            ports: None,
        });
    }
    for entry in terms
        .allow
        .iter()
        .filter(|entry| entry.direction == BaselineDirection::Egress)
    {
        let peers = entry_peers(entry, stopped);
        // A rule without peers would be open to everybody.
        if !peers.is_empty() {
            egress.push(NetworkPolicyEgressRule {
                to: Some(peers),
                ports: entry_ports(entry),
            });
        }
    }
    let ingress = same_tenant.map(|peers| {
        vec![NetworkPolicyIngressRule {
            from: Some(peers),
            ports: None,
        }]
    });
    if egress.is_empty() && ingress.is_none() {
        return None;
    }
    Some(NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(both_ways()),
        ingress,
        egress: (!egress.is_empty()).then_some(egress),
    })
}

/// Pods of this namespace, and of the tenant's other namespaces that are in force. The API server's own labels decide
/// about stage and tenant, so one policy does for any number of siblings; only those through which data could be
/// relayed are left out by name.
fn same_tenant(
    world: &World,
    namespace: &str,
    tenant: &str,
    rule: SameTenant,
    stopped: &Stopped<'_>,
) -> Option<Vec<NetworkPolicyPeer>> {
    let own = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    // Through a sibling, data would go on: neither from where something reaches further, nor from where a hold suspends
    // sharing.
    let alone = world.breached(namespace) || cut(world, namespace) != Cut::None;
    if rule != SameTenant::Deny && !stopped.is_nobody() {
        let with_siblings = rule == SameTenant::Allow && !alone;
        let peers = stopped.same_tenant(world, namespace, tenant, with_siblings, own);
        return (!peers.is_empty()).then_some(peers);
    }
    match rule {
        SameTenant::Deny => None,
        SameTenant::SameNamespace => Some(vec![own]),
        SameTenant::Allow => {
            let mut expressions = vec![LabelSelectorRequirement {
                key: LABEL_STAGE.to_owned(),
                operator: "DoesNotExist".to_owned(),
                values: None,
            }];
            let breached: Vec<String> = world
                .breached_of_tenant(tenant)
                .filter(|name| *name != namespace)
                .map(str::to_owned)
                .collect();
            if alone {
                return Some(vec![own]);
            }
            if !breached.is_empty() {
                expressions.push(LabelSelectorRequirement {
                    key: LABEL_NAMESPACE_NAME.to_owned(),
                    operator: "NotIn".to_owned(),
                    values: Some(breached),
                });
            }
            let siblings = NetworkPolicyPeer {
                namespace_selector: Some(LabelSelector {
                    match_labels: Some([(LABEL_TENANT.to_owned(), tenant.to_owned())].into()),
                    match_expressions: Some(expressions),
                }),
                pod_selector: Some(LabelSelector::default()),
                ip_block: None,
            };
            Some(vec![own, siblings])
        }
    }
}

/// A baseline's ingress reaches only pods that opted in.
fn allowed_ingress(entry: &AllowedEntry, stopped: &Stopped<'_>) -> NetworkPolicySpec {
    let opted_in = LabelSelector {
        match_labels: Some(
            [(
                format!("{LABEL_PREFIX_ALLOW}{}", entry.name),
                "true".to_owned(),
            )]
            .into(),
        ),
        match_expressions: None,
    };
    let peers = entry_peers(entry, stopped);
    NetworkPolicySpec {
        pod_selector: Some(opted_in),
        policy_types: Some(vec!["Ingress".to_owned()]),
        // A rule without peers would be open to everybody.
        ingress: (!peers.is_empty()).then(|| {
            vec![NetworkPolicyIngressRule {
                from: Some(peers),
                ports: entry_ports(entry),
            }]
        }),
        egress: None,
    }
}

fn entry_peers(entry: &AllowedEntry, stopped: &Stopped<'_>) -> Vec<NetworkPolicyPeer> {
    let cluster = entry.peers.iter().flat_map(|(namespaces, pods)| {
        let whole = in_cluster(namespaces, pods.as_ref());
        stopped.left_of_pods(namespaces, pods.as_ref(), whole)
    });
    let ranges = entry.cidrs.iter();
    cluster
        .chain(ranges.flat_map(|range| stopped.left_of_range(range, address(range))))
        .collect()
}

fn entry_ports(entry: &AllowedEntry) -> Option<Vec<NetworkPolicyPort>> {
    (!entry.ports.is_empty()).then(|| entry.ports.iter().copied().map(numbered).collect())
}

/// The end of a path between our pods and a vendor: one rule an endpoint, so that no port of one is opened at another.
pub(super) fn to_vendor<'a>(
    terms: &GrantTerms,
    endpoints: impl Iterator<Item = &'a EndpointTerms>,
) -> NetworkPolicySpec {
    let addresses = |endpoint: &EndpointTerms| {
        endpoint
            .cidrs
            .iter()
            .map(|(cidr, _)| address(cidr))
            .collect()
    };
    match terms.direction {
        Direction::Push => egress_only(
            &terms.source,
            endpoints
                .map(|endpoint| NetworkPolicyEgressRule {
                    to: Some(addresses(endpoint)),
                    ports: Some(endpoint.ports.iter().copied().map(numbered).collect()),
                })
                .collect(),
        ),
        Direction::Pull => ingress_only(
            &terms.source,
            endpoints
                .map(|endpoint| NetworkPolicyIngressRule {
                    from: Some(addresses(endpoint)),
                    ports: Some(terms.ports.iter().map(port).collect()),
                })
                .collect(),
        ),
    }
}

/// The grant's own end of a path to a namespace.
pub(super) fn source_end(
    terms: &GrantTerms,
    recipient: &str,
    accepted: &AcceptanceTerms,
) -> NetworkPolicySpec {
    let peer = vec![pods_of(recipient, &accepted.pods)];
    match terms.direction {
        Direction::Push => egress_only(
            &terms.source,
            vec![NetworkPolicyEgressRule {
                to: Some(peer),
                ports: Some(accepted.ports.iter().map(port).collect()),
            }],
        ),
        Direction::Pull => ingress_only(
            &terms.source,
            vec![NetworkPolicyIngressRule {
                from: Some(peer),
                ports: Some(terms.ports.iter().map(port).collect()),
            }],
        ),
    }
}

/// The recipient's end of a path from a namespace.
pub(super) fn recipient_end(
    terms: &GrantTerms,
    source: &str,
    accepted: &AcceptanceTerms,
) -> NetworkPolicySpec {
    let peer = vec![pods_of(source, &terms.source)];
    match terms.direction {
        Direction::Push => ingress_only(
            &accepted.pods,
            vec![NetworkPolicyIngressRule {
                from: Some(peer),
                ports: Some(accepted.ports.iter().map(port).collect()),
            }],
        ),
        Direction::Pull => egress_only(
            &accepted.pods,
            vec![NetworkPolicyEgressRule {
                to: Some(peer),
                ports: Some(terms.ports.iter().map(port).collect()),
            }],
        ),
    }
}

fn egress_only(pods: &Selector, rules: Vec<NetworkPolicyEgressRule>) -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(pods.to_label_selector()),
        policy_types: Some(vec!["Egress".to_owned()]),
        ingress: None,
        egress: Some(rules),
    }
}

fn ingress_only(pods: &Selector, rules: Vec<NetworkPolicyIngressRule>) -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(pods.to_label_selector()),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ingress: Some(rules),
        egress: None,
    }
}

fn both_ways() -> Vec<String> {
    vec!["Ingress".to_owned(), "Egress".to_owned()]
}

fn in_cluster(namespaces: &Selector, pods: Option<&Selector>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(namespaces.to_label_selector()),
        pod_selector: pods.map(Selector::to_label_selector),
        ip_block: None,
    }
}

fn pods_of(namespace: &str, pods: &Selector) -> NetworkPolicyPeer {
    in_cluster(
        &Selector::labels([(LABEL_NAMESPACE_NAME, namespace)]),
        Some(pods),
    )
}

fn address(cidr: &Cidr) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_string(),
            except: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn numbered((number, protocol): (i32, Protocol)) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.as_str().to_owned()),
        end_port: None,
    }
}

fn port(terms: &PortTerms) -> NetworkPolicyPort {
    let port = match &terms.port {
        IntOrName::Number(number) => IntOrString::Int(*number),
        IntOrName::Name(name) => IntOrString::String(name.clone()),
    };
    NetworkPolicyPort {
        port: Some(port),
        protocol: Some(terms.protocol.as_str().to_owned()),
        end_port: None,
    }
}
