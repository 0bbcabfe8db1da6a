//! The kinds whose objects tell an agent to collect, as far as their definitions are read here.

use serde_json::{Value, json};

/// Group, version in which it is stored, kind and plural.
pub type Kind = (&'static str, &'static str, &'static str, &'static str);

const PROMETHEUS: &str = "monitoring.coreos.com";
const OPEN_TELEMETRY: &str = "opentelemetry.io";
pub const COLLECTOR: Kind = (
    OPEN_TELEMETRY,
    "v1beta1",
    "OpenTelemetryCollector",
    "opentelemetrycollectors",
);

pub const KINDS: [Kind; 7] = [
    (PROMETHEUS, "v1", "ServiceMonitor", "servicemonitors"),
    (PROMETHEUS, "v1", "PodMonitor", "podmonitors"),
    (PROMETHEUS, "v1", "Probe", "probes"),
    (PROMETHEUS, "v1alpha1", "ScrapeConfig", "scrapeconfigs"),
    (
        OPEN_TELEMETRY,
        "v1alpha1",
        "Instrumentation",
        "instrumentations",
    ),
    COLLECTOR,
    ("monitoring.grafana.com", "v1alpha2", "PodLogs", "podlogs"),
];

/// A definition with the fields that are read.
pub fn definition(kind: &Kind) -> Value {
    let (group, version, kind, plural) = kind;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{ "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                    "spec": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "mode": { "type": "string" } } },
                    "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                } } } }],
        },
    })
}

/// The path of all of a kind in a namespace.
pub fn all(kind: &Kind, namespace: &str) -> String {
    format!(
        "/apis/{}/{}/namespaces/{namespace}/{}",
        kind.0, kind.1, kind.3
    )
}
