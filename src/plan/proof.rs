//! Whether a hold is enforced: proven by canaries on every API server, under guards that stand as they were released.
//!
//! A canary alone shows that a guard is alive, not that it says what it should; the comparison alone shows what is stored,
//! not that a server has it. `True` takes both.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::inquiry::Inquiry;
use super::standing::Standing;
use crate::model::{CanaryAnswer, Hold, Kind, Proof, World, guard};

/// A server that let a canary pass, or has not synced, is asked again after this long.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);
/// One that gave no answer, after this long.
const UNREACHABLE_AGAIN: SignedDuration = SignedDuration::from_secs(15);
/// Leases that fall silent make servers fewer, and nothing tells: they are counted again after this long.
const COUNTED_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Whether a hold is enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Enforced {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Reason in CamelCase.
    pub reason: &'static str,
    /// In words.
    pub message: String,
    /// What must be asked to know it.
    pub inquiry: Option<Inquiry>,
    /// When to ask again.
    pub next: Option<Timestamp>,
}

impl Enforced {
    fn known(status: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
            inquiry: None,
            next: None,
        }
    }
}

/// Judges a hold that is not released.
pub(super) fn enforced(
    world: &World,
    hold: &Hold,
    standing: &Standing,
    now: Timestamp,
) -> Enforced {
    if standing.tenant().is_none() {
        return Enforced::known(
            "False",
            "NamespaceNotEnrolled",
            "the namespace is not enrolled, so no guard looks at it; the platform team enrols it",
        );
    }
    if is_disarmed(world, &hold.meta.key.namespace) {
        return Enforced::known(
            "False",
            "NamespaceDisarmed",
            "the namespace carries the label privacy.cloudnexus.io/holds: disarmed, so no guard looks at it; the platform team takes it off",
        );
    }
    let deviations = deviations(world);
    if !deviations.is_empty() {
        return Enforced::known("False", "GuardsAltered", in_words(&deviations));
    }
    let fingerprint = fingerprint(world, hold);
    let servers = world.server_addresses();
    let ask = || Inquiry::Prove {
        hold: hold.meta.key.clone(),
        uid: hold.meta.uid.clone(),
        fingerprint: fingerprint.clone(),
        servers: servers.clone(),
    };
    match world.proof(&hold.meta.uid) {
        Some(proof) if proof.fingerprint == fingerprint => {
            let mut judged = judge(world, proof);
            let again = match judged.reason {
                "NotRefused" | "NotSynced" => Some(AGAIN),
                "ServerUnreachable" => Some(UNREACHABLE_AGAIN),
                _ => None,
            };
            if judged.reason == "ServersUncounted" {
                judged.next = now.checked_add(COUNTED_AGAIN).ok();
            }
            if let Some(at) = again.and_then(|again| proof.at.checked_add(again).ok()) {
                // A clock that was set back does not make it wait for where it was.
                if at <= now || proof.at > now {
                    judged.inquiry = Some(ask());
                } else {
                    judged.next = Some(at);
                }
            }
            judged
        }
        _ => Enforced {
            inquiry: Some(ask()),
            ..Enforced::known(
                "Unknown",
                "Proving",
                "canaries are on their way to every API server",
            )
        },
    }
}

fn is_disarmed(world: &World, namespace: &str) -> bool {
    use crate::api::names::{HOLDS_DISARMED, LABEL_HOLDS};
    world.namespace(namespace).is_some_and(|namespace| {
        namespace.labels.get(LABEL_HOLDS).map(String::as_str) == Some(HOLDS_DISARMED)
    })
}

/// Guards that are missing, on their way out, or not as they were released.
#[must_use]
pub fn deviations(world: &World) -> Vec<String> {
    let deviation = |entry: &(Kind, String)| {
        let (kind, name) = entry;
        match world.guard(entry) {
            None => Some(format!("{kind} {name} is missing")),
            Some(guard) if guard.meta.deleting => Some(format!("{kind} {name} is being deleted")),
            Some(guard) => guard
                .differs
                .first()
                .map(|path| format!("{kind} {name} was altered at {path}")),
        }
    };
    guard::expected().filter_map(deviation).collect()
}

pub(super) fn in_words(deviations: &[String]) -> String {
    let more = deviations.len().saturating_sub(3);
    let listed = deviations
        .iter()
        .take(3)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    let tail = if more == 0 {
        String::new()
    } else {
        format!("; and {more} more")
    };
    format!("{listed}{tail}. Install the chart of this release again; `covenant check` lists all")
}

/// What a proof is about: the hold, the guards as they are stored, the servers and each of their starts.
fn fingerprint(world: &World, hold: &Hold) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        digest.update(text.as_bytes());
        digest.update([0]);
    };
    add(&hold.meta.uid);
    for ((kind, name), guard) in world.guards() {
        add(kind.as_str());
        add(name);
        add(&guard.meta.uid);
        add(&guard.meta.generation.to_string());
    }
    add(&of_servers(world));
    data_encoding::HEXLOWER.encode(digest.finalize().get(..8).unwrap_or_default())
}

/// What tells the API servers of now from those of another time: where they are, and each of their starts.
pub(super) fn of_servers(world: &World) -> String {
    let holders: BTreeSet<&str> = world
        .server_leases()
        .map(|lease| lease.holder.as_str())
        .collect();
    let addresses = world.server_addresses();
    let addresses = addresses.iter().map(String::as_str);
    addresses.chain(holders).collect::<Vec<_>>().join(" ")
}

fn judge(world: &World, proof: &Proof) -> Enforced {
    let of = |wanted: fn(&CanaryAnswer) -> bool| {
        let servers = proof.answers.iter().filter(|(_, answer)| wanted(answer));
        servers
            .map(|(server, _)| server.as_str())
            .collect::<Vec<_>>()
    };
    let passed = of(|answer| matches!(answer, CanaryAnswer::Passed));
    if !passed.is_empty() {
        return Enforced::known(
            "False",
            "NotRefused",
            format!("{} would have let the hold be deleted", passed.join(", ")),
        );
    }
    if let Some((server, CanaryAnswer::Otherwise(said))) = proof
        .answers
        .iter()
        .find(|(_, answer)| matches!(answer, CanaryAnswer::Otherwise(_)))
    {
        return Enforced::known(
            "False",
            "NotSynced",
            format!("{server} does not refuse in the name of this hold yet: {said}"),
        );
    }
    if let Some((server, CanaryAnswer::Unreachable(said))) = proof
        .answers
        .iter()
        .find(|(_, answer)| matches!(answer, CanaryAnswer::Unreachable(_)))
    {
        return Enforced::known(
            "Unknown",
            "ServerUnreachable",
            format!("{server} gave no answer: {said}"),
        );
    }
    let (refused, servers) = (proof.answers.len(), world.live_servers());
    if servers == 0 {
        return Enforced::known(
            "Unknown",
            "ServersUncounted",
            format!(
                "{refused} refused a canary, and no identity Lease in kube-system tells how many API servers there are"
            ),
        );
    }
    if refused < servers {
        return Enforced::known(
            "Unknown",
            "ServersUncounted",
            format!(
                "{refused} refused a canary, but {servers} API servers say that they are there; name each address with --api-server"
            ),
        );
    }
    Enforced::known(
        "True",
        "ProvenOnAllServers",
        format!(
            "refused a canary on {refused} of {servers} API servers, under guards that stand as released"
        ),
    )
}
