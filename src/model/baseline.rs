//! Baselines, read.

use std::sync::Arc;

use kube::core::DynamicObject;
use serde_json::Value;

use super::address::Cidr;
use super::encryption::{self, EncryptionTerms};
use super::error::{FieldError, read};
use super::grant::{Validity, keep, split};
use super::identity::Meta;
use super::retention::{self, Rule, Source, Unselectable};
use super::telemetry::{self, TelemetryTerms};
use super::time;
use crate::api::{
    AllowedPeer, BaselineDirection, BaselineRetention, PeriodText, PolicyReference, Protocol,
    ReachableNetwork, RetentionStart, SameTenant, Selector, TenantBaselineSpec,
    TenantBaselineStatus,
};

/// A baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Metadata.
    pub meta: Meta,
    /// The spec, if it could be read. Under a baseline without terms everything is denied and nothing opens.
    /// Shared, because every decision in every namespace on it reads it.
    pub terms: Validity<Arc<BaselineTerms>>,
    /// The minimums of every namespace on it. Read by themselves: what else of the baseline cannot be read undoes none.
    pub minimums: Arc<Minimums>,
    /// The stored status.
    pub status: TenantBaselineStatus,
}

/// What a readable baseline says.
#[derive(Clone, Debug, PartialEq)]
pub struct BaselineTerms {
    /// The written policy.
    pub policy_ref: Option<PolicyReference>,
    /// Traffic among pods of one tenant.
    pub same_tenant: SameTenant,
    /// Where pods resolve names.
    pub dns: Option<DnsTerms>,
    /// Further peers, sorted by name.
    pub allow: Vec<AllowedEntry>,
    /// Reserved ranges that grants may reach all the same.
    pub grants_may_reach: Vec<Cidr>,
    /// Further ranges that grants never reach.
    pub protected: Vec<(Cidr, String)>,
    /// Longest time that a grant may last, known to be readable.
    pub maximum_duration: PeriodText,
    /// Bounds of disposal.
    pub disposal: DisposalBounds,
    /// What is asked of encryption.
    pub encryption: EncryptionTerms,
    /// Who collects from tenants.
    pub telemetry: TelemetryTerms,
}

/// Bounds of disposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisposalBounds {
    /// Most objects that one run of one policy may dispose of.
    pub maximum_per_run: i64,
    /// Most objects that all policies of a namespace may dispose of within 24 hours.
    pub maximum_per_day: i64,
    /// How long an object that is due waits before it goes.
    pub grace: PeriodText,
}

impl Default for DisposalBounds {
    fn default() -> Self {
        Self {
            maximum_per_run: 50,
            maximum_per_day: 500,
            grace: PeriodText("P1D".to_owned()),
        }
    }
}

/// Minimums of every namespace on a baseline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minimums {
    /// Those that could be read, in their order.
    pub rules: Vec<Rule>,
    /// Whether some could not, so that what is stored for them stays.
    pub has_unreadable: bool,
}

/// Where pods resolve names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsTerms {
    /// Resolvers in the cluster: namespaces, and pods of them.
    pub peers: Vec<(Selector, Option<Selector>)>,
    /// Resolvers by address.
    pub cidrs: Vec<Cidr>,
    /// Ports, for UDP and TCP both.
    pub ports: Vec<i32>,
}

/// A peer that every tenant may reach or be reached by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedEntry {
    /// Its name.
    pub name: String,
    /// Direction.
    pub direction: BaselineDirection,
    /// Peers in the cluster: namespaces, and pods of them.
    pub peers: Option<(Selector, Option<Selector>)>,
    /// Peers by address.
    pub cidrs: Vec<Cidr>,
    /// Ports; empty means all.
    pub ports: Vec<(i32, Protocol)>,
}

impl Baseline {
    /// Reads a baseline. What cannot be read is kept as errors.
    #[must_use]
    pub fn read(object: DynamicObject) -> Self {
        let (meta, spec, status) = split(object);
        let mut errors = Vec::new();
        let minimums = minimums(&mut errors, &meta.key.name, &spec);
        let terms = read::<TenantBaselineSpec>(spec, "spec")
            .and_then(terms)
            .map(Arc::new);
        let terms = match terms {
            Err(mut found) => {
                found.extend(errors);
                Err(found)
            }
            Ok(_) if !errors.is_empty() => Err(errors),
            readable => readable,
        };
        Self {
            meta,
            terms,
            minimums: Arc::new(minimums),
            status: serde_json::from_value(status).unwrap_or_default(),
        }
    }
}

fn terms(spec: TenantBaselineSpec) -> Validity<BaselineTerms> {
    let mut errors = Vec::new();
    let network = spec.network;
    let dns = network.dns.map(|dns| {
        if dns.peers.is_empty() && dns.cidrs.is_empty() {
            errors.push(FieldError::new("spec.network.dns", "needs peers or cidrs"));
        }
        for (index, peer) in dns.peers.iter().enumerate() {
            if peer.namespace_selector.is_empty() {
                errors.push(FieldError::new(
                    format!("spec.network.dns.peers[{index}].namespaceSelector"),
                    "an empty selector would allow every namespace: name the resolver's",
                ));
            }
        }
        for (index, port) in dns.ports.iter().enumerate() {
            check_port(
                &mut errors,
                &format!("spec.network.dns.ports[{index}]"),
                *port,
            );
        }
        DnsTerms {
            peers: dns
                .peers
                .into_iter()
                .map(|peer| (peer.namespace_selector, peer.pod_selector))
                .collect(),
            cidrs: cidrs(&mut errors, "spec.network.dns.cidrs", &dns.cidrs),
            ports: if dns.ports.is_empty() {
                vec![53]
            } else {
                dns.ports
            },
        }
    });
    let mut allow: Vec<AllowedEntry> = Vec::new();
    for (index, peer) in network.allow.into_iter().enumerate() {
        let path = format!("spec.network.allow[{index}]");
        if allow.iter().any(|entry| entry.name == peer.name) {
            errors.push(FieldError::new(
                &path,
                format!("the name `{}` is used twice", peer.name),
            ));
        }
        let entry = allowed_entry(&mut errors, &path, peer);
        allow.push(entry);
    }
    allow.sort_by(|a, b| a.name.cmp(&b.name));
    let grants_may_reach = ranges(
        &mut errors,
        "spec.network.grantsMayReach",
        network.grants_may_reach,
    )
    .into_iter()
    .map(|(cidr, _)| cidr)
    .collect();
    let protected = ranges(&mut errors, "spec.network.protected", network.protected);
    keep(
        &mut errors,
        "spec.grants.maximumDuration",
        time::after(jiff::Timestamp::UNIX_EPOCH, &spec.grants.maximum_duration),
    );
    let disposal = bounds(&mut errors, spec.retention.as_ref());
    let encryption = encryption::terms(&mut errors, spec.encryption);
    let telemetry = telemetry::terms(&mut errors, spec.telemetry);
    if errors.is_empty() {
        Ok(BaselineTerms {
            policy_ref: spec.policy_ref,
            same_tenant: network.same_tenant,
            dns,
            allow,
            grants_may_reach,
            protected,
            maximum_duration: spec.grants.maximum_duration,
            disposal,
            encryption,
            telemetry,
        })
    } else {
        Err(errors)
    }
}

fn bounds(errors: &mut Vec<FieldError>, spec: Option<&BaselineRetention>) -> DisposalBounds {
    let defaults = DisposalBounds::default();
    let Some(spec) = spec else {
        return defaults;
    };
    let per_run = spec.maximum_per_run.unwrap_or(defaults.maximum_per_run);
    let per_day = spec
        .maximum_per_day
        .unwrap_or_else(|| per_run.saturating_mul(10));
    let limits = [("maximumPerRun", per_run), ("maximumPerDay", per_day)];
    for (field, limit) in limits {
        if limit < 1 {
            errors.push(FieldError::new(
                format!("spec.retention.{field}"),
                "must be at least 1",
            ));
        }
    }
    let grace = spec.grace.clone().unwrap_or(defaults.grace);
    keep(errors, "spec.retention.grace", time::grace(&grace));
    DisposalBounds {
        maximum_per_run: per_run,
        maximum_per_day: per_day,
        grace,
    }
}

fn minimums(errors: &mut Vec<FieldError>, baseline: &str, spec: &Value) -> Minimums {
    let mut minimums = Minimums {
        has_unreadable: !spec.is_object(),
        ..Minimums::default()
    };
    let listed = match spec.pointer("/retention/keep") {
        None | Some(Value::Null) => return minimums,
        Some(Value::Array(listed)) => listed,
        Some(_) => {
            minimums.has_unreadable = true;
            return minimums;
        }
    };
    for (index, entry) in listed.iter().enumerate() {
        let path = format!("spec.retention.keep[{index}]");
        let nothing = Value::Null;
        let select = entry.get("select").unwrap_or(&nothing);
        let selection = match retention::selection(select, &format!("{path}.select")) {
            Ok(selection) => selection,
            Err(Unselectable::Never(error)) => {
                errors.push(error);
                continue;
            }
            Err(Unselectable::Unreadable(found)) => {
                errors.extend(found);
                minimums.has_unreadable = true;
                continue;
            }
        };
        let starts_at = match entry.get("startsAt") {
            None | Some(Value::Null) => Some(RetentionStart::default()),
            Some(value) => keep(
                errors,
                format!("{path}.startsAt"),
                serde_json::from_value(value.clone()),
            ),
        };
        if starts_at == Some(RetentionStart::CompletedAt) && !selection.kind.completes() {
            errors.push(FieldError::new(
                format!("{path}.startsAt"),
                format!(
                    "CompletedAt is known of Jobs and Pods only, not of {}",
                    selection.kind
                ),
            ));
        }
        let at_least = entry.get("atLeast").unwrap_or(&nothing);
        let at_least = retention::minimum(errors, at_least, &format!("{path}.atLeast"));
        minimums.rules.push(Rule {
            source: Source::Baseline(baseline.to_owned(), index),
            selections: vec![selection],
            starts_at,
            at_least: Some(at_least),
            at_most: None,
        });
    }
    minimums
}

fn allowed_entry(errors: &mut Vec<FieldError>, path: &str, peer: AllowedPeer) -> AllowedEntry {
    let dns_label = !peer.name.is_empty()
        && peer.name.len() <= 40
        && peer
            .name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !peer.name.starts_with('-')
        && !peer.name.ends_with('-');
    if !dns_label {
        errors.push(FieldError::new(
            format!("{path}.name"),
            "a name is at most 40 lower-case letters, digits and inner dashes",
        ));
    }
    if peer.namespace_selector.is_some() != peer.cidrs.is_empty() {
        errors.push(FieldError::new(
            path,
            "exactly one of namespaceSelector and cidrs must be given",
        ));
    }
    if peer
        .namespace_selector
        .as_ref()
        .is_some_and(Selector::is_empty)
    {
        errors.push(FieldError::new(
            format!("{path}.namespaceSelector"),
            "an empty selector would join every tenant: name the peers",
        ));
    }
    for (index, port) in peer.ports.iter().enumerate() {
        check_port(errors, &format!("{path}.ports[{index}].port"), port.port);
    }
    AllowedEntry {
        name: peer.name,
        direction: peer.direction,
        peers: peer
            .namespace_selector
            .map(|namespaces| (namespaces, peer.pod_selector)),
        cidrs: cidrs(errors, &format!("{path}.cidrs"), &peer.cidrs),
        ports: peer
            .ports
            .into_iter()
            .map(|port| (port.port, port.protocol.unwrap_or_default()))
            .collect(),
    }
}

fn check_port(errors: &mut Vec<FieldError>, path: &str, port: i32) {
    if !(1..=65535).contains(&port) {
        errors.push(FieldError::new(path, "a port is a number from 1 to 65535"));
    }
}

fn cidrs(errors: &mut Vec<FieldError>, path: &str, texts: &[String]) -> Vec<Cidr> {
    let read = |(index, text): (usize, &String)| {
        keep(errors, format!("{path}[{index}]"), Cidr::parse(text))
    };
    texts.iter().enumerate().filter_map(read).collect()
}

fn ranges(
    errors: &mut Vec<FieldError>,
    path: &str,
    networks: Vec<ReachableNetwork>,
) -> Vec<(Cidr, String)> {
    let mut ranges = Vec::new();
    for (index, network) in networks.into_iter().enumerate() {
        if let Some(cidr) = keep(
            errors,
            format!("{path}[{index}].cidr"),
            Cidr::parse(&network.cidr),
        ) {
            ranges.push((cidr, network.reason));
        }
    }
    ranges
}
