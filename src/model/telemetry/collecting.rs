//! The kinds of objects that tell an agent to collect, and what of such an object decides.
//!
//! The guard of charts/covenant/guards/telemetry.yaml refuses the same objects. May not: say whom an object tells; that is the
//! table of agents.

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
            Decides::Sidecar => {
                object.data.pointer("/spec/mode").and_then(|it| it.as_str()) == Some("sidecar")
            }
        }
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
