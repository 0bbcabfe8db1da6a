//! What is planned for the retention of a namespace: value in, value out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "support/world.rs"]
mod support;

#[path = "retention_plan/boundary.rs"]
mod boundary;
#[path = "retention_plan/course.rs"]
mod course;
#[path = "retention_plan/due.rs"]
mod due;
#[path = "retention_plan/explained.rs"]
mod explained;
#[path = "retention_plan/filing.rs"]
mod filing;
#[path = "retention_plan/heads.rs"]
mod heads;
#[path = "retention_plan/limit.rs"]
mod limit;
#[path = "retention_plan/linter.rs"]
mod linter;
#[path = "retention_plan/reading.rs"]
mod reading;
#[path = "retention_plan/withheld.rs"]
mod withheld;

use covenant::check::check;
use covenant::diff::diff;
use covenant::model::{
    KindState, LedgerState, ObjectKey, ResourceKind, RunResult, Settings, Unit, World,
};
use covenant::plan::{Candidate, Inquiry, Plan, Run, plan};
use covenant::simulate;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};
use support::{apply, enrolled};

const NAMESPACE: &str = "acme-prod";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-24T12:00:00Z")
}

fn hours(from: Timestamp, hours: i64) -> Timestamp {
    from + SignedDuration::from_hours(hours)
}

fn days(from: Timestamp, days: i64) -> Timestamp {
    hours(from, 24 * days)
}

fn unit() -> Unit {
    Unit::Retention(NAMESPACE.to_owned())
}

fn config_maps() -> ResourceKind {
    ResourceKind::parse("v1", "ConfigMap")
}

fn jobs() -> ResourceKind {
    ResourceKind::parse("batch/v1", "Job")
}

/// A baseline with these bounds of disposal.
fn baseline(retention: Value) -> Value {
    let mut baseline = support::baseline();
    baseline["spec"]["retention"] = retention;
    baseline
}

/// A policy about ConfigMaps that are logs.
fn policy(name: &str, keep: Value, mode: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": format!("policy-{name}"), "generation": 1,
            "creationTimestamp": "2025-01-01T00:00:00Z"
        },
        "spec": {
            "dataCategory": "InfrastructureTelemetry", "basis": "Contract §7", "keep": keep,
            "select": [{ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "app": "log" } }],
            "disposal": { "mode": mode }
        },
        // Its generation was read long ago.
        "status": { "observedGeneration": 1, "since": "2025-01-01T00:00:00Z" }
    })
}

/// A policy that disposes of logs after thirty days.
fn thirty_days(name: &str) -> Value {
    policy(name, json!({ "atMost": "P30D" }), "Dispose")
}

/// A namespace in force with these objects, whose kinds are read and whose ledger can be written.
fn ground(objects: &[Value]) -> World {
    let mut world = World::new(Settings {
        operator_namespace: Some("covenant-system".to_owned()),
        ..Settings::default()
    });
    apply(&mut world, &enrolled(NAMESPACE, "acme"));
    if !objects
        .iter()
        .any(|object| object["kind"] == "TenantBaseline")
    {
        apply(&mut world, &baseline(json!({ "grace": "P1D" })));
    }
    for object in objects {
        apply(&mut world, object);
    }
    for kind in [config_maps(), jobs()] {
        world.tell_kind(&kind, KindState::Synced);
    }
    world.learn_ledger(LedgerState::default());
    world
}

fn metadata(name: &str, created: &str, labels: Value) -> Value {
    json!({
        "name": name, "namespace": NAMESPACE, "uid": format!("uid-{name}"), "resourceVersion": "7",
        "creationTimestamp": created, "labels": labels
    })
}

fn put(world: &mut World, kind: &ResourceKind, metadata: &Value) -> covenant::model::Dirty {
    let metadata: ObjectMeta = serde_json::from_value(metadata.clone()).unwrap();
    world.apply_item(kind, &metadata)
}

/// A log that was created then.
fn log(world: &mut World, name: &str, created: &str) {
    let metadata = metadata(name, created, json!({ "app": "log" }));
    put(world, &config_maps(), &metadata);
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(NAMESPACE, name)
}

fn planned(world: &World, now: Timestamp) -> Plan {
    let planned = plan(world, &unit(), now);
    let violations = check(&planned, world, now);
    assert!(violations.is_empty(), "{violations:?}");
    planned
}

/// Writes what is planned until nothing is left to write.
fn settle(world: &mut World, now: Timestamp) -> Plan {
    for round in 0..8 {
        let planned = planned(world, now);
        let changes = diff(&planned, world);
        if changes.is_empty() {
            return planned;
        }
        for change in &changes {
            simulate::write(world, change, now, round);
        }
    }
    panic!("it does not come to rest");
}

fn run(plan: &Plan) -> Option<&Run> {
    plan.inquiries.iter().find_map(|inquiry| match inquiry {
        Inquiry::Dispose(run) => Some(run),
        _ => None,
    })
}

fn candidates(plan: &Plan) -> Vec<&Candidate> {
    run(plan)
        .map(|run| run.candidates.iter().collect())
        .unwrap_or_default()
}

fn goes(plan: &Plan) -> Vec<&str> {
    candidates(plan)
        .iter()
        .map(|candidate| candidate.key.name.as_str())
        .collect()
}

fn status(plan: &Plan, name: &str) -> Value {
    let of = |status: &&covenant::plan::StatusPlan| status.target.key.name == name;
    plan.statuses.iter().find(of).unwrap().status.clone()
}

fn condition(status: &Value, kind: &str) -> Option<(String, String, String)> {
    let conditions = status["conditions"].as_array().unwrap();
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

fn ready(plan: &Plan, name: &str) -> (String, String, String) {
    condition(&status(plan, name), "Ready").unwrap()
}

fn notices(plan: &Plan) -> Vec<&str> {
    let all = plan.statuses.iter().flat_map(|status| &status.notices);
    all.map(|notice| notice.reason.as_str()).collect()
}

/// Carries a run out: its objects are gone, and the operator learned of it.
fn carry_out(world: &mut World, run: &Run, now: Timestamp, first_entry: u64) {
    let mut result = RunResult {
        namespace: run.namespace.clone(),
        at: now,
        policies: std::collections::BTreeMap::new(),
        refused: Vec::new(),
    };
    let last = first_entry + 2 * run.candidates.len() as u64 - 1;
    for candidate in &run.candidates {
        world.remove_item(&candidate.kind, &candidate.key);
        let part = result
            .policies
            .entry(candidate.policy.uid.clone())
            .or_default();
        part.disposed += 1;
        part.ledger = Some((first_entry, last));
    }
    world.learn_run(result);
}
