//! Pods that reach past network policies: on the host's network, over node volumes, or by probes that the node sends.
//!
//! The guards refuse new ones; this finds those that were stored before a namespace was enrolled. Of all other pods the World
//! keeps what agents read of them, and nothing else.

use kube::core::DynamicObject;
use serde_json::Value;

use super::identity::Meta;

/// A pod that reaches past network policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPod {
    /// Metadata.
    pub meta: Meta,
    /// How it does; never empty.
    pub problems: Vec<PodProblem>,
}

/// A way past network policies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodProblem {
    /// `hostNetwork`: policies do not apply to it.
    HostNetwork,
    /// A volume that the node reads or mounts over the network, by its kind.
    NodeVolume(String),
    /// A probe or lifecycle hook that makes the node connect to this host.
    ProbeHost(String),
}

/// Kinds of volume that carry nothing out of the namespace by the node.
const CONTAINED_VOLUMES: [&str; 8] = [
    "configMap",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

impl ObservedPod {
    /// Reads a pod; none when it keeps within network policies, or has finished.
    #[must_use]
    pub fn read(object: &DynamicObject) -> Option<Self> {
        let phase = object
            .data
            .pointer("/status/phase")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if matches!(phase, "Succeeded" | "Failed") {
            return None;
        }
        let spec = object.data.get("spec")?;
        let mut problems = Vec::new();
        if spec.get("hostNetwork").and_then(Value::as_bool) == Some(true) {
            problems.push(PodProblem::HostNetwork);
        }
        for volume in items(spec.get("volumes")) {
            let kinds = volume
                .as_object()
                .into_iter()
                .flat_map(|fields| fields.keys());
            for kind in
                kinds.filter(|key| *key != "name" && !CONTAINED_VOLUMES.contains(&key.as_str()))
            {
                problems.push(PodProblem::NodeVolume(kind.clone()));
            }
        }
        for container in items(spec.get("containers")).chain(items(spec.get("initContainers"))) {
            for at in [
                "/livenessProbe",
                "/readinessProbe",
                "/startupProbe",
                "/lifecycle/postStart",
                "/lifecycle/preStop",
            ] {
                for action in ["httpGet", "tcpSocket"] {
                    let host = container
                        .pointer(at)
                        .and_then(|hook| hook.get(action))
                        .and_then(|action| action.get("host"));
                    if let Some(host) = host.and_then(Value::as_str).filter(|host| !host.is_empty())
                    {
                        problems.push(PodProblem::ProbeHost(host.chars().take(253).collect()));
                    }
                }
            }
        }
        problems.sort();
        problems.dedup();
        (!problems.is_empty()).then(|| Self {
            meta: Meta::of(&object.metadata),
            problems,
        })
    }
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}
