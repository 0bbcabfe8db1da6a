//! What an opt-out of telemetry cuts off, and what is said of it: value in, value out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "support/world.rs"]
mod support;

#[path = "telemetry_plan/agents.rs"]
mod agents;
#[path = "telemetry_plan/evaluator.rs"]
mod evaluator;
#[path = "telemetry_plan/exact.rs"]
mod exact;
#[path = "telemetry_plan/grants.rs"]
mod grants;
#[path = "telemetry_plan/linter.rs"]
mod linter;
#[path = "telemetry_plan/marked.rs"]
mod marked;
#[path = "telemetry_plan/markers.rs"]
mod markers;
#[path = "telemetry_plan/monitors.rs"]
mod monitors;
#[path = "telemetry_plan/recorded.rs"]
mod recorded;
#[path = "telemetry_plan/refused.rs"]
mod refused;
#[path = "telemetry_plan/siblings.rs"]
mod siblings;
#[path = "telemetry_plan/told.rs"]
mod told;

use covenant::check::check;
use covenant::model::{Unit, World};
use covenant::plan::{Plan, plan};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::opt_out;

const NAMESPACE: &str = "acme-prod";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn prometheus() -> Value {
    json!({
        "name": "prometheus", "channel": "PlatformTelemetry", "respects": "PrometheusOperator",
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } },
        "podSelector": { "matchLabels": { "app": "prometheus" } },
    })
}

fn datadog() -> Value {
    json!({
        "name": "datadog", "channel": "ThirdPartyAnalytics", "respects": "Datadog", "readsNodes": false,
        "processorRef": { "name": "datadog" },
    })
}

/// A baseline with these entries and agents.
fn baseline(allow: Value, agents: Value) -> Value {
    let mut baseline = support::baseline();
    baseline["spec"]["network"]["allow"] = allow;
    baseline["spec"]["telemetry"] = json!({ "agents": agents });
    baseline
}

/// Metrics from all of a namespace to pods that opted in, and ranges outside.
fn entries() -> Value {
    json!([
        { "name": "metrics", "direction": "Ingress", "reason": "dashboards", "ports": [{ "port": 9090 }],
          "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } },
        { "name": "out", "direction": "Egress", "reason": "the internet", "cidrs": ["203.0.112.0/23", "198.51.100.0/24"] },
    ])
}

fn planned(world: &World) -> Plan {
    planned_in(world, NAMESPACE)
}

fn planned_in(world: &World, namespace: &str) -> Plan {
    let planned = plan(world, &Unit::Namespace(namespace.to_owned()), now());
    let violations = check(&planned, world, now());
    assert!(violations.is_empty(), "{violations:?}");
    planned
}
