//! Pods that run since before the opt-out: which of them go on with what they were started with, and how they are started anew.
//!
//! May not: start one anew. That is offered, and the tenant's to do.

use std::collections::BTreeMap;

use super::excluded::AtStart;
use super::stopped;
use crate::model::{MarkedPod, World};
use crate::plan::standing::Standing;
use crate::plan::status::bounded;

/// Most workloads that are named.
const NAMED: usize = 8;

/// The condition `PodsCurrent`: status, reason and message.
pub(super) fn pods_current(
    world: &World,
    namespace: &str,
    standing: &Standing,
) -> (&'static str, &'static str, String) {
    let Some(terms) = standing.floor().filter(|_| standing.is_in_force()) else {
        return (
            "Unknown",
            "AgentsNotKnown",
            "which agents read what pods say is not known here".to_owned(),
        );
    };
    let agents = stopped(world, namespace, terms).agents;
    let agents: Vec<AtStart> = agents.into_iter().map(AtStart::of).collect();
    let since = world.opted_out_since(namespace).flatten();
    let is_before = |pod: &MarkedPod| agents.iter().any(|agent| agent.is_before(pod, since));
    let pods = world.marked_pods_in(namespace);
    let pods: Vec<&MarkedPod> = pods
        .map(|(_, pod)| pod)
        .filter(|pod| !pod.deleting && is_before(pod))
        .collect();
    if pods.is_empty() {
        let message = "no pod goes on with what agents read or gave it before the opt-out";
        return ("True", "NoneOfBefore", message.to_owned());
    }
    let mut workloads: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut alone = 0;
    for pod in &pods {
        match &pod.workload {
            Some((kind, name)) => *workloads.entry((kind, name)).or_default() += 1,
            None => alone += 1,
        }
    }
    let can_restart = |kind: &str| matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet");
    let restarted: Vec<String> = workloads
        .keys()
        .filter(|(kind, _)| can_restart(kind))
        .map(|(kind, name)| format!("{}/{name}", kind.to_lowercase()))
        .collect();
    let others: usize = workloads
        .iter()
        .filter(|((kind, _), _)| !can_restart(kind))
        .map(|(_, count)| count)
        .sum();
    let mut message = format!(
        "the network is cut at once; {} from before the opt-out may go on with what agents read or gave them when they started",
        if pods.len() == 1 {
            "1 pod".to_owned()
        } else {
            format!("{} pods", pods.len())
        },
    );
    if !restarted.is_empty() {
        let more = restarted.len().saturating_sub(NAMED);
        let named = restarted
            .get(..NAMED.min(restarted.len()))
            .unwrap_or_default();
        message.push_str(&format!(
            ". When it suits you: kubectl rollout restart -n {namespace} {}{}",
            named.join(" "),
            if more == 0 {
                String::new()
            } else {
                format!(" (and {more} more)")
            }
        ));
    }
    if others + alone > 0 {
        message.push_str(&format!(
            ". {} no rollout: they go when they end or are deleted",
            if others + alone == 1 {
                "1 of them has".to_owned()
            } else {
                format!("{} of them have", others + alone)
            },
        ));
    }
    ("False", "RestartOffered", bounded(&message))
}
