//! The posture of a namespace: what is in force, what was found that reaches further, and when that changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::decision::Earliest;
use super::encryption::encryption;
use super::path::{PathEnd, PathState};
use super::standing::{Floor, Standing};
use super::{GrantPlan, PosturePlan, status, telemetry};
use crate::api::names::{LABEL_PART, MANAGER_NETWORK, PART_BASELINE, POSTURE_NAME};
use crate::api::{
    BaselineInForce, ChannelStatus, DataHandlingPostureSpec, DataHandlingPostureStatus, Finding,
    HoldInForce, LedgerHeadKept, OpenPath,
};
use crate::model::{
    Grant, Kind, LedgerHead, ObjectKey, ObservedPolicy, PodProblem, Target, World, time,
};

/// A posture is read by people; beyond this many paths they read the count.
const LISTED_PATHS: usize = 500;
/// As above, for holds; the guards let no more than 16 be unreleased.
const LISTED_HOLDS: usize = 64;
/// As above, for findings.
const LISTED_FINDINGS: usize = 200;

/// What was decided about the paths that begin or end in a namespace.
pub(super) struct Paths<'a> {
    /// Its own grants.
    pub grants: &'a [GrantPlan],
    /// Those of others that lead to it.
    pub received: &'a [(&'a Grant, Vec<(PathEnd, PathState)>)],
}

/// The posture that a namespace must have, and when what it says of encryption changes by time alone; none where it is not
/// enrolled, or nothing can be written any more.
pub(super) fn posture(
    world: &World,
    name: &str,
    standing: &Standing,
    paths: &Paths<'_>,
    policies: &BTreeMap<String, NetworkPolicy>,
    channels: &[ChannelStatus],
    now: Timestamp,
) -> Option<(PosturePlan, Option<Timestamp>)> {
    let (tenant, baseline, floor, stage) = match standing {
        Standing::Observing {
            tenant,
            baseline,
            floor,
        } => (tenant, baseline, floor, "Observe"),
        Standing::InForce {
            tenant,
            baseline,
            floor,
        } => (tenant, baseline, floor, "Enforce"),
        Standing::NotEnrolled | Standing::Exempt | Standing::Terminating { .. } => return None,
    };
    let encrypted = encryption(world, name, standing, now);
    let (mut open_paths, next) = open_paths(world, name, paths, now);
    let next = next.into_iter().chain(encrypted.next).min();
    let mut findings = findings(world, name, standing);
    let spec = DataHandlingPostureSpec {
        tenant: tenant.clone(),
        stage: stage.to_owned(),
        baseline: BaselineInForce {
            name: baseline.clone(),
            generation: world
                .baseline(baseline)
                .map(|baseline| baseline.meta.generation),
            policy_ref: standing.floor().and_then(|terms| terms.policy_ref.clone()),
        },
        open_path_count: count(open_paths.len()),
        finding_count: count(findings.len()),
        next_change_at: next.map(time::text),
        holds: holds(world, name),
        encryption: encrypted.in_force,
        opt_outs: telemetry::opt_outs(channels),
        ledger: ledger(world, name),
        open_paths: {
            open_paths.truncate(LISTED_PATHS);
            open_paths
        },
        findings: {
            findings.truncate(LISTED_FINDINGS);
            findings
        },
    };
    let enforced = match standing {
        Standing::InForce { .. } => enforced(world, name, &spec, policies),
        _ => (
            "False",
            "Observing",
            "the namespace only observes: nothing is refused or cut yet".to_owned(),
        ),
    };
    let found = Found {
        ready: ready(floor, baseline),
        enforced,
        encrypted: encrypted.condition,
    };
    let status = posture_status(world, name, &found, now);
    Some((PosturePlan { spec, status }, encrypted.next))
}

/// The newest head that is known to cover this namespace's entries. An older process's stays until there are new ones; where
/// none was written yet, the ledger's newest covers them too.
fn ledger(world: &World, name: &str) -> Option<LedgerHeadKept> {
    let kept = |head: &LedgerHead| LedgerHeadKept {
        origin: head.origin.clone(),
        size: i64::try_from(head.size).unwrap_or(i64::MAX),
        root: head.root.clone(),
    };
    let learned = world.head_of(name).map(kept);
    let stored = || {
        let key = ObjectKey::new(name, POSTURE_NAME);
        world.posture(&key)?.spec.as_ref()?.ledger.clone()
    };
    let newest = || world.ledger()?.head.as_ref().map(kept);
    learned.or_else(stored).or_else(newest)
}

fn holds(world: &World, name: &str) -> Vec<HoldInForce> {
    let unreleased = world.holds_in(name).filter(|hold| hold.release.is_none());
    unreleased
        .take(LISTED_HOLDS)
        .map(|hold| HoldInForce {
            name: hold.meta.key.name.clone(),
            matter: hold.matter.clone(),
            effects: hold.effects.iter().copied().collect(),
        })
        .collect()
}

fn open_paths(
    world: &World,
    name: &str,
    Paths { grants, received }: &Paths<'_>,
    now: Timestamp,
) -> (Vec<OpenPath>, Option<Timestamp>) {
    let mut next = Earliest::default();
    let mut paths = Vec::new();
    let own = grants.iter().filter_map(|planned| {
        let grant = world.grant(&ObjectKey::new(name, &planned.name))?;
        Some((grant, &planned.ends))
    });
    for (grant, ends) in own.chain(received.iter().map(|(grant, ends)| (*grant, ends))) {
        let open = !ends.is_empty()
            && ends
                .iter()
                .all(|(_, state)| matches!(state, PathState::Open { .. }));
        let (Ok(terms), Some((end, _)), true) = (&grant.terms, ends.first(), open) else {
            continue;
        };
        next.note(end.closes_at, now);
        let namespace = &grant.meta.key.namespace;
        paths.push(OpenPath {
            grant: grant.meta.key.name.clone(),
            grant_namespace: (namespace != name).then(|| namespace.clone()),
            recipient: terms.recipient.label(),
            direction: terms.direction,
            closes_at: time::text(end.closes_at),
        });
    }
    paths.sort_by(|a, b| (&a.grant_namespace, &a.grant).cmp(&(&b.grant_namespace, &b.grant)));
    (paths, next.instant())
}

/// What reaches further than the rules allow. In the stage `observe` also what enforcement would cut.
fn findings(world: &World, name: &str, standing: &Standing) -> Vec<Finding> {
    let mut findings = Vec::new();
    for policy in world
        .policies_in(name)
        .filter(|policy| !policy.is_ours(MANAGER_NETWORK))
    {
        let object = format!("NetworkPolicy/{}", policy.meta.key.name);
        if policy.reaches_out() {
            findings.push(Finding {
                reason: "WiderNetworkPolicy".to_owned(),
                object: object.clone(),
                message: format!(
                    "it {}; remove it, or share by a grant",
                    reach_in_words(policy)
                ),
            });
        }
        if is_our_name(&policy.meta.key.name) {
            findings.push(Finding {
                reason: "NameTaken".to_owned(),
                object,
                message: "it is not ours and has a name that is; its owner must remove it"
                    .to_owned(),
            });
        }
    }
    for pod in world.pods_in(name) {
        for problem in &pod.problems {
            let (reason, message) = match problem {
                PodProblem::HostNetwork => (
                    "HostNetwork",
                    "it is on the host's network, where policies do not apply; replace it"
                        .to_owned(),
                ),
                PodProblem::NodeVolume(kind) => (
                    "NodeVolume",
                    format!(
                        "its {kind} volume is the node's to read or mount, past policies; replace it"
                    ),
                ),
                PodProblem::ProbeHost(host) => (
                    "ProbeHost",
                    format!("a probe or hook makes the node connect to {host}; leave out host"),
                ),
            };
            findings.push(Finding {
                reason: reason.to_owned(),
                object: format!("Pod/{}", pod.meta.key.name),
                message,
            });
        }
    }
    if matches!(standing, Standing::Observing { .. }) {
        for direction in ["Ingress", "Egress"] {
            if !world
                .policies_in(name)
                .any(|policy| selects_every_pod(policy, direction))
            {
                findings.push(Finding {
                    reason: "WouldCut".to_owned(),
                    object: format!("Namespace/{name}"),
                    message: format!(
                        "no policy covers every pod for {}: enforcement would cut all of it but the baseline's and open grants'",
                        direction.to_lowercase()
                    ),
                });
            }
        }
    }
    findings.sort();
    findings
}

fn is_our_name(name: &str) -> bool {
    use crate::api::names::{POLICY_ALLOW_PREFIX, POLICY_BASELINE, POLICY_DEFAULT_DENY};
    name == POLICY_DEFAULT_DENY || name == POLICY_BASELINE || name.starts_with(POLICY_ALLOW_PREFIX)
}

fn selects_every_pod(policy: &ObservedPolicy, direction: &str) -> bool {
    let Some(spec) = &policy.spec else {
        return false;
    };
    let every = spec.pod_selector.as_ref().is_none_or(|selector| {
        selector
            .match_labels
            .as_ref()
            .is_none_or(BTreeMap::is_empty)
            && selector
                .match_expressions
                .as_ref()
                .is_none_or(Vec::is_empty)
    });
    every
        && spec
            .policy_types
            .iter()
            .flatten()
            .any(|kind| kind == direction)
}

fn reach_in_words(policy: &ObservedPolicy) -> String {
    let Some(spec) = &policy.spec else {
        return "cannot be read".to_owned();
    };
    let ingress = spec
        .ingress
        .iter()
        .flatten()
        .map(|rule| ("from", rule.from.as_ref()));
    let egress = spec
        .egress
        .iter()
        .flatten()
        .map(|rule| ("to", rule.to.as_ref()));
    let mut words = Vec::new();
    for (way, peers) in ingress.chain(egress) {
        let peers = peers.map(Vec::as_slice).unwrap_or_default();
        if peers.is_empty() {
            words.push(format!("{way} anywhere"));
        }
        for peer in peers {
            if let Some(block) = &peer.ip_block {
                words.push(format!("{way} {}", block.cidr));
            } else if peer.namespace_selector.is_some() {
                words.push(format!("{way} other namespaces"));
            }
        }
    }
    words.dedup();
    let more = words.len().saturating_sub(4);
    words.truncate(4);
    let tail = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("allows traffic {}{tail}", words.join(", "))
}

/// A condition's status, reason and message.
type Told = (&'static str, &'static str, String);

/// What the conditions say.
struct Found {
    ready: Told,
    enforced: Told,
    encrypted: Told,
}

fn ready(floor: &Floor, baseline: &str) -> Told {
    match floor {
        Floor::Readable(_) => (
            "True",
            "Compiled",
            "compiled from the baseline and the grants".to_owned(),
        ),
        Floor::Missing => (
            "False",
            "BaselineMissing",
            format!("there is no TenantBaseline {baseline}; everything is denied"),
        ),
        Floor::Invalid => (
            "False",
            "BaselineInvalid",
            format!("TenantBaseline {baseline} cannot be read; everything is denied"),
        ),
    }
}

fn posture_status(
    world: &World,
    name: &str,
    found: &Found,
    now: Timestamp,
) -> DataHandlingPostureStatus {
    let observed = world.posture(&ObjectKey::new(name, POSTURE_NAME));
    let generation = observed.map_or(0, |posture| posture.meta.generation);
    let previous = observed
        .map(|posture| posture.status.conditions.as_slice())
        .unwrap_or_default();
    let mut conditions = status::Conditions::new(previous, generation, now);
    let mut set = |kind: &str, told: &Told| conditions.set(kind, told.0, told.1, &told.2);
    set("Ready", &found.ready);
    set("Enforced", &found.enforced);
    set("Encrypted", &found.encrypted);
    let stalled = found.ready.0 == "False";
    conditions.set_if("Stalled", stalled, found.ready.1, &found.ready.2);
    DataHandlingPostureStatus {
        observed_generation: Some(generation),
        conditions: conditions.done(),
    }
}

/// True only when every policy of the floor was read back as it must be, and nothing was found that reaches further.
fn enforced(
    world: &World,
    name: &str,
    spec: &DataHandlingPostureSpec,
    policies: &BTreeMap<String, NetworkPolicy>,
) -> (&'static str, &'static str, String) {
    let of_floor = |policy: &&NetworkPolicy| {
        policy
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(LABEL_PART))
            .is_some_and(|part| part == PART_BASELINE)
    };
    for policy in policies.values().filter(of_floor) {
        let policy_name = policy.metadata.name.clone().unwrap_or_default();
        let key = ObjectKey::new(name, &policy_name);
        let as_made = world
            .policy(&key)
            .is_some_and(|observed| observed.stands_as(policy));
        if !as_made {
            return match world.failure(&Target::new(Kind::NetworkPolicy, key)) {
                Some(failure) => (
                    "False",
                    "PolicyRefused",
                    format!(
                        "NetworkPolicy {policy_name} could not be stored: {}",
                        failure.message
                    ),
                ),
                None => (
                    "False",
                    "PolicyPending",
                    format!("NetworkPolicy {policy_name} does not stand as it must yet"),
                ),
            };
        }
    }
    if spec.finding_count > 0 {
        let first = spec
            .findings
            .first()
            .map(|finding| format!("{} {}", finding.object, finding.message));
        let message = format!(
            "{} found that reach further; first: {}",
            spec.finding_count,
            first.unwrap_or_default()
        );
        return ("False", "ReachesFurther", message);
    }
    (
        "True",
        "ReadBack",
        "every policy was stored and read back; whether the network carries them out is not observed here".to_owned(),
    )
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
