//! The table of agents: by which markers each leaves out a pod or a namespace, and by which objects it is told to collect.
//!
//! docs/telemetry.md prints the same rows, and a test compares them. A platform adds markers of its own to an agent in its
//! baseline. May not: say that an agent is stopped. A marker is a request, which an agent follows as it is configured.

use std::fmt;

use crate::api::AgentKind;

/// An agent's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Which agent it is.
    pub kind: AgentKind,
    /// Whether it reads on the node what containers write, or looks into them from there.
    pub reads_nodes: bool,
    /// Whether it puts something into pods when they are made, which goes on until they are made anew.
    pub injects: bool,
    /// What a pod must carry, because the agent collects from pods that say nothing.
    pub pods: Markers,
    /// What a namespace must carry.
    pub namespaces: Markers,
    /// What nothing here says otherwise: the agent collects from what says so.
    pub where_present: Markers,
    /// Kinds of objects that tell it to collect, as `plural.group`.
    pub collects_by: &'static [&'static str],
    /// Where that was read.
    pub source: &'static str,
    /// How far it was checked.
    pub checked: Checked,
    /// Which agent was run against it in a test.
    pub tried: Tried,
}

/// Annotations and labels with their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Markers {
    /// Annotations.
    pub annotations: &'static [(&'static str, &'static str)],
    /// Labels.
    pub labels: &'static [(&'static str, &'static str)],
}

/// How far a row was read up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// In the sources of the agent.
    Sources,
    /// In its manual, or in the configuration that is distributed with it.
    Manual,
    /// Not at all: the row is what is commonly said.
    Not,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sources => "sources read",
            Self::Manual => "manual read",
            Self::Not => "not verified",
        })
    }
}

/// Which agent was run against a row in a test. That markers are asked for and kept, and objects refused, is tested for all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The agent itself.
    Itself,
    /// An OpenTelemetry Collector that was configured to follow the row's marker.
    Collector,
    /// None.
    Not,
}

impl fmt::Display for Tried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Itself => "the agent itself",
            Self::Collector => "an OpenTelemetry Collector, by the marker",
            Self::Not => "none",
        })
    }
}

const NOTHING: Markers = annotations(&[]);

const fn annotations(annotations: &'static [(&'static str, &'static str)]) -> Markers {
    Markers {
        annotations,
        labels: &[],
    }
}

const fn labels(labels: &'static [(&'static str, &'static str)]) -> Markers {
    Markers {
        annotations: &[],
        labels,
    }
}

/// What nothing says otherwise where Prometheus reads annotations.
pub const SCRAPED: &[(&str, &str)] = &[
    ("prometheus.io/probe", "false"),
    ("prometheus.io/scrape", "false"),
    ("prometheus.io/scrape-slow", "false"),
];

const MONITORS: [&str; 4] = [
    "podmonitors.monitoring.coreos.com",
    "probes.monitoring.coreos.com",
    "scrapeconfigs.monitoring.coreos.com",
    "servicemonitors.monitoring.coreos.com",
];

/// Every row, in the order of [`AgentKind`]; `None` has none.
pub const TABLE: [Agent; 11] = [
    Agent {
        kind: AgentKind::PrometheusAnnotations,
        reads_nodes: false,
        injects: false,
        pods: NOTHING,
        namespaces: NOTHING,
        where_present: annotations(SCRAPED),
        collects_by: &[],
        source: "prometheus/prometheus documentation/examples/prometheus-kubernetes.yml, scrape_configs of the Prometheus chart",
        checked: Checked::Manual,
        tried: Tried::Itself,
    },
    Agent {
        kind: AgentKind::PrometheusOperator,
        reads_nodes: false,
        injects: false,
        pods: NOTHING,
        namespaces: NOTHING,
        where_present: NOTHING,
        collects_by: &MONITORS,
        source: "prometheus-operator/prometheus-operator pkg/apis/monitoring",
        checked: Checked::Sources,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::OpenTelemetryOperator,
        reads_nodes: false,
        injects: true,
        pods: NOTHING,
        namespaces: NOTHING,
        where_present: annotations(&[
            (
                "instrumentation.opentelemetry.io/inject-apache-httpd",
                "false",
            ),
            ("instrumentation.opentelemetry.io/inject-dotnet", "false"),
            ("instrumentation.opentelemetry.io/inject-go", "false"),
            ("instrumentation.opentelemetry.io/inject-java", "false"),
            ("instrumentation.opentelemetry.io/inject-nginx", "false"),
            ("instrumentation.opentelemetry.io/inject-nodejs", "false"),
            ("instrumentation.opentelemetry.io/inject-python", "false"),
            ("instrumentation.opentelemetry.io/inject-sdk", "false"),
            ("sidecar.opentelemetry.io/inject", "false"),
        ]),
        collects_by: &[
            "instrumentations.opentelemetry.io",
            "opentelemetrycollectors.opentelemetry.io",
            "podmonitors.monitoring.coreos.com",
            "probes.monitoring.coreos.com",
            "scrapeconfigs.monitoring.coreos.com",
            "servicemonitors.monitoring.coreos.com",
        ],
        source: "open-telemetry/opentelemetry-operator internal/instrumentation/annotation.go, README.md",
        checked: Checked::Sources,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::Datadog,
        reads_nodes: true,
        injects: true,
        pods: Markers {
            annotations: &[("ad.datadoghq.com/exclude", "true")],
            labels: &[("admission.datadoghq.com/enabled", "false")],
        },
        namespaces: NOTHING,
        where_present: annotations(&[("prometheus.io/scrape", "false")]),
        collects_by: &[],
        source: "DataDog/datadog-agent comp/core/workloadfilter, docs.datadoghq.com container discovery management",
        checked: Checked::Sources,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::GrafanaAlloy,
        reads_nodes: true,
        injects: false,
        pods: annotations(&[("logs.grafana.com/pods.enabled", "false")]),
        namespaces: NOTHING,
        where_present: annotations(&[("k8s.grafana.com/scrape", "false")]),
        collects_by: &[
            "podlogs.monitoring.grafana.com",
            "podmonitors.monitoring.coreos.com",
            "probes.monitoring.coreos.com",
            "scrapeconfigs.monitoring.coreos.com",
            "servicemonitors.monitoring.coreos.com",
        ],
        source: "grafana/k8s-monitoring-helm, where the keys can be configured; grafana/alloy prometheus.operator.*, loki.source.podlogs",
        checked: Checked::Manual,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::Promtail,
        reads_nodes: true,
        injects: false,
        pods: NOTHING,
        namespaces: NOTHING,
        where_present: NOTHING,
        collects_by: &[],
        source: "reads no marker unless it is configured to",
        checked: Checked::Not,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::FluentBit,
        reads_nodes: true,
        injects: false,
        pods: annotations(&[("fluentbit.io/exclude", "true")]),
        namespaces: NOTHING,
        where_present: NOTHING,
        collects_by: &[],
        source: "fluent/fluent-bit plugins/filter_kubernetes; only with K8S-Logging.Exclude On, which is off by default",
        checked: Checked::Sources,
        tried: Tried::Collector,
    },
    Agent {
        kind: AgentKind::Fluentd,
        reads_nodes: true,
        injects: false,
        pods: NOTHING,
        namespaces: NOTHING,
        where_present: NOTHING,
        collects_by: &[],
        source: "reads no marker unless it is configured to",
        checked: Checked::Not,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::Vector,
        reads_nodes: true,
        injects: false,
        pods: labels(&[("vector.dev/exclude", "true")]),
        namespaces: labels(&[("vector.dev/exclude", "true")]),
        where_present: NOTHING,
        collects_by: &[],
        source: "vectordotdev/vector kubernetes_logs; the namespace's label is what is commonly said",
        checked: Checked::Manual,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::NewRelic,
        reads_nodes: true,
        injects: false,
        pods: annotations(&[("fluentbit.io/exclude", "true")]),
        namespaces: NOTHING,
        where_present: NOTHING,
        collects_by: &[],
        source: "newrelic/helm-charts newrelic-logging, which is Fluent Bit; for logs alone",
        checked: Checked::Not,
        tried: Tried::Not,
    },
    Agent {
        kind: AgentKind::Dynatrace,
        reads_nodes: true,
        injects: true,
        pods: annotations(&[("dynatrace.com/inject", "false")]),
        namespaces: NOTHING,
        where_present: annotations(&[
            ("metadata-enrichment.dynatrace.com/inject", "false"),
            ("oneagent.dynatrace.com/inject", "false"),
            ("otlp-exporter-configuration.dynatrace.com/inject", "false"),
        ]),
        collects_by: &[],
        source: "docs.dynatrace.com, Dynatrace Operator, annotations",
        checked: Checked::Manual,
        tried: Tried::Not,
    },
];

/// The row of a kind. `None` has none.
#[must_use]
pub fn row(kind: AgentKind) -> Option<&'static Agent> {
    TABLE.iter().find(|agent| agent.kind == kind)
}
