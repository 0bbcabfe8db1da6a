//! The kinds of objects that tell an agent to collect, and what of such an object decides.
//!
//! The guard of charts/covenant/guards/telemetry.yaml refuses the same objects. May not: say whom an object tells; that is the
//! table of agents.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;

use super::agents;
use crate::api::AgentKind;

/// A kind of objects that tell an agent to collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CollectingKind {
    /// API group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Its plural.
    pub plural: &'static str,
    /// What of its objects decides.
    pub decides: Decides,
}

/// What of an object decides whether it tells an agent to collect where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decides {
    /// That it is there.
    Presence,
    /// That its `spec.mode` is `sidecar`: in other modes it is an agent of its own, and not put into pods.
    Sidecar,
    /// That one of these annotations of it says anything else.
    Asking(&'static [(&'static str, &'static str)]),
}

impl CollectingKind {
    /// The name of its definition.
    #[must_use]
    pub fn definition(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// Whether an object of this kind tells an agent to collect.
    #[must_use]
    pub fn tells(&self, object: &DynamicObject) -> bool {
        match self.decides {
            Decides::Presence => true,
            Decides::Asking(_) => self.asks(&object.metadata),
            Decides::Sidecar => {
                object.data.pointer("/spec/mode").and_then(|it| it.as_str()) == Some("sidecar")
            }
        }
    }
}

impl CollectingKind {
    /// Whether an object with this metadata asks to be collected from.
    #[must_use]
    pub fn asks(&self, metadata: &ObjectMeta) -> bool {
        let Decides::Asking(words) = self.decides else {
            return false;
        };
        let annotations = metadata.annotations.as_ref();
        words.iter().any(|(key, silent)| {
            let said = annotations.and_then(|annotations| annotations.get(*key));
            said.is_some_and(|said| said != silent)
        })
    }

    /// Whether the API server serves it by itself.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        matches!(self.decides, Decides::Asking(_))
    }
}

const PROMETHEUS: &str = "monitoring.coreos.com";
const OPEN_TELEMETRY: &str = "opentelemetry.io";

const fn presence(group: &'static str, kind: &'static str, plural: &'static str) -> CollectingKind {
    CollectingKind {
        group,
        kind,
        plural,
        decides: Decides::Presence,
    }
}

/// Every kind that the table of agents names.
pub const KINDS: [CollectingKind; 7] = [
    presence(PROMETHEUS, "PodMonitor", "podmonitors"),
    presence(PROMETHEUS, "Probe", "probes"),
    presence(PROMETHEUS, "ScrapeConfig", "scrapeconfigs"),
    presence(PROMETHEUS, "ServiceMonitor", "servicemonitors"),
    presence("monitoring.grafana.com", "PodLogs", "podlogs"),
    presence(OPEN_TELEMETRY, "Instrumentation", "instrumentations"),
    CollectingKind {
        decides: Decides::Sidecar,
        ..presence(
            OPEN_TELEMETRY,
            "OpenTelemetryCollector",
            "opentelemetrycollectors",
        )
    },
];

/// The kinds by which an agent is told.
pub fn kinds_of(agent: AgentKind) -> impl Iterator<Item = CollectingKind> {
    let told_by = agents::row(agent).map_or(&[][..], |row| row.collects_by);
    let is_named = move |kind: &CollectingKind| {
        let mut named = told_by.iter().filter_map(|name| name.split_once('.'));
        named.any(|(plural, group)| plural == kind.plural && group == kind.group)
    };
    KINDS.into_iter().filter(is_named)
}

const fn asking(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    words: &'static [(&'static str, &'static str)],
) -> CollectingKind {
    CollectingKind {
        group,
        kind,
        plural,
        decides: Decides::Asking(words),
    }
}

const K8S_MONITORING: &[(&str, &str)] = &[("k8s.grafana.com/scrape", "false")];

/// What publishes pods, in whose name they are collected from where it asks for it.
pub const ASKING: [CollectingKind; 3] = [
    asking("", "Service", "services", agents::SCRAPED),
    asking("", "Service", "services", K8S_MONITORING),
    asking("networking.k8s.io", "Ingress", "ingresses", agents::SCRAPED),
];

/// What may ask an agent to collect from the pods that it publishes.
pub fn asking_of(agent: AgentKind) -> impl Iterator<Item = CollectingKind> {
    let silent = agents::row(agent).map_or(&[][..], |row| row.where_present.annotations);
    ASKING.into_iter().filter(move |kind| match kind.decides {
        Decides::Asking(words) => words.iter().any(|word| silent.contains(word)),
        Decides::Presence | Decides::Sidecar => false,
    })
}
