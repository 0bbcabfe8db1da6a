//! What the API's names of effects, grounds and kinds mean, in words for officers and auditors.
//!
//! May not: differ from what the guards do (`charts/covenant/guards/holds.yaml`).

use super::{HoldState, LeftOut};
use crate::api::{HeldKind, HoldDecision, HoldDecisionType, HoldEffect};
use crate::model::{Hold, ObjectKey};

/// What no hold keeps, with words by which the operator's own findings say the same.
const BEYOND: [(&str, &str); 5] = [
    (
        "its own protocol",
        "data that a running application deletes or changes through its own protocol, such as rows of a database",
    ),
    (
        "snapshots",
        "snapshots, backups and copies outside the cluster",
    ),
    (
        "copied out",
        "data that was copied out before the hold, and what whoever has it does with it",
    ),
    (
        "nodes/proxy",
        "access through a node: its own shell, its disks, or nodes/proxy, which passes no admission",
    ),
    (
        "other clusters",
        "objects that other clusters store, and what is written to etcd past the API server",
    ),
];

const SHORT_LIVED: &str = "the cluster makes them for the moment: nothing is lost with one, and much stands still when one cannot be written";

pub(super) const fn effect(effect: HoldEffect) -> &'static str {
    match effect {
        HoldEffect::PreventDeletion => {
            "nothing that is kept is deleted, by whatever way and by whomever"
        }
        HoldEffect::PreventAlteration => {
            "nothing that is kept has its data or spec changed, and no new pod mounts a held claim for writing"
        }
        HoldEffect::SuspendProcessing => {
            "no new pods or Jobs start in the namespace; running pods are cut off the network and kept, and paths of grants close"
        }
        HoldEffect::EndProcessing => {
            "running pods are ended too, after what will be lost was published"
        }
        HoldEffect::SuspendSharing => {
            "every path by which data is shared is closed, and none opens"
        }
        HoldEffect::FreezeAccess => {
            "nobody gets into running pods: no exec, attach, port-forward, proxy, ephemeral containers or other images"
        }
    }
}

pub(super) fn ground(ground: &str) -> &'static str {
    match ground {
        "LegalProceeding" => "evidence is preserved for proceedings",
        "ComplianceAudit" => "an audit is under way",
        "AccuracyContested" => "the accuracy of the data is contested (GDPR, Article 18(1)(a))",
        "UnlawfulProcessing" => {
            "processing is unlawful and erasure is opposed (GDPR, Article 18(1)(b))"
        }
        "ObjectionPending" => "an objection is being verified (GDPR, Article 18(1)(d))",
        _ => "on a ground that this release does not know",
    }
}

pub(super) fn state(hold: &Hold, state: HoldState) -> String {
    match (&hold.release, state) {
        (Some(release), HoldState::Restored) => {
            format!("over: {} released it, and the record is kept", release.by)
        }
        (Some(release), _) => format!("released by {}", release.by),
        (None, HoldState::Enforced) => {
            "in force: every API server was seen to refuse in its name".to_owned()
        }
        (None, HoldState::NotEnforced) => "stored, and not enforced as it should be".to_owned(),
        (None, _) => "stored, and not yet proven to be enforced".to_owned(),
    }
}

/// A kind as it is written on the command line. What an absent group means depends on where the kind is named.
pub(super) fn kind(held: &HeldKind, no_group: &str) -> String {
    match held.api_group.as_deref() {
        Some("") => format!("{} (core)", held.kind),
        Some(group) => format!("{group}/{}", held.kind),
        None => format!("{} ({no_group})", held.kind),
    }
}

pub(super) fn kinds<'a>(kinds: impl IntoIterator<Item = &'a HeldKind>, no_group: &str) -> String {
    let names: Vec<String> = kinds.into_iter().map(|held| kind(held, no_group)).collect();
    names.join(", ")
}

fn keeps(hold: &Hold) -> bool {
    hold.has(HoldEffect::PreventDeletion) || hold.has(HoldEffect::PreventAlteration)
}

/// What is kept from deletion and alteration, and what the other effects concern.
pub(super) fn covers(hold: &Hold) -> Vec<String> {
    let namespace = &hold.meta.key.namespace;
    if hold.release.is_some() {
        return vec!["nothing any more".to_owned()];
    }
    let mut lines = Vec::new();
    let scope = &hold.scope;
    if keeps(hold) {
        let what = if scope.kinds.is_empty() {
            "every object".to_owned()
        } else {
            format!(
                "objects of these kinds: {}",
                kinds(&scope.kinds, "in any group")
            )
        };
        let labels: Vec<String> = scope
            .match_labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let labelled = if labels.is_empty() {
            String::new()
        } else {
            format!(
                ", if it has all of the labels {} (which cannot be changed then)",
                labels.join(", ")
            )
        };
        lines.push(format!("kept: {what} in namespace {namespace}{labelled}"));
        lines.push(format!(
            "kept: namespace {namespace} itself, and this hold as the record of a duty"
        ));
    } else {
        let pods = hold.has(HoldEffect::SuspendProcessing) && !hold.has(HoldEffect::EndProcessing);
        let rest = if pods {
            "of the rest only pods, as they are"
        } else {
            "nothing else"
        };
        lines.push(format!(
            "kept: this hold as the record of a duty, and namespace {namespace}, in which it is; {rest}"
        ));
    }
    if hold.effects.iter().any(|effect| {
        !matches!(
            effect,
            HoldEffect::PreventDeletion | HoldEffect::PreventAlteration
        )
    }) {
        lines.push(format!(
            "the other effects concern all of namespace {namespace}: a pod that is not in scope could read what is"
        ));
    }
    lines
}

/// What is not kept although it is there, and why.
pub(super) fn left_out(hold: &Hold, decisions: &[HoldDecision]) -> Vec<LeftOut> {
    if !keeps(hold) {
        return Vec::new();
    }
    let mut left = Vec::new();
    let mut leave = |what: String, why: &str| {
        left.push(LeftOut {
            what,
            why: why.to_owned(),
        });
    };
    if hold.scope.kinds.is_empty() {
        leave(
            "Event, Lease, Endpoints, EndpointSlice, ControllerRevision".to_owned(),
            SHORT_LIVED,
        );
        leave(
            "ReplicaSets without replicas that a Deployment owns".to_owned(),
            "they are a Deployment's history, which it clears away by itself",
        );
        if !hold.has(HoldEffect::SuspendProcessing) || hold.has(HoldEffect::EndProcessing) {
            leave(
                "Pods".to_owned(),
                if hold.has(HoldEffect::EndProcessing) {
                    "this hold ends them, after what they hold was published"
                } else {
                    "their controllers make them anew"
                },
            );
        }
    }
    leave(
        "Covenant's own timers, network policies and postures".to_owned(),
        "they must be able to go, or a hold would keep a path open; they have guards of their own",
    );
    if !hold.has(HoldEffect::SuspendSharing) {
        leave(
            "DataSharingGrants and SharingAcceptances".to_owned(),
            "to delete one is how a tenant closes a path",
        );
    }
    let narrowed = || {
        let narrowed = decisions
            .iter()
            .filter(|decision| decision.decision == HoldDecisionType::Narrowed);
        narrowed.filter(|decision| !decision.except_kinds.is_empty())
    };
    let by_decision =
        |held: &HeldKind| narrowed().any(|decision| decision.except_kinds.contains(held));
    let written: Vec<&HeldKind> = hold
        .scope
        .except_kinds
        .iter()
        .filter(|held| !by_decision(held))
        .collect();
    if !written.is_empty() {
        leave(
            kinds(written, "core"),
            "whoever wrote the hold left them out, because they must go on",
        );
    }
    for decision in narrowed() {
        leave(
            kinds(&decision.except_kinds, "core"),
            &format!("{} decided so: {}", decision.by, decision.reason),
        );
    }
    left
}

/// What the operator found that it cannot keep, and what no hold keeps.
pub(super) fn cannot_hold(found: &[String]) -> Vec<String> {
    let mut limits = found.to_vec();
    for (mark, words) in BEYOND {
        if !found.iter().any(|limit| limit.contains(mark)) {
            limits.push(words.to_owned());
        }
    }
    limits
}

pub(super) fn release_command(hold: &ObjectKey) -> String {
    format!(
        "kubectl covenant hold release {} -n {} --reason 'WHY'",
        hold.name, hold.namespace
    )
}
