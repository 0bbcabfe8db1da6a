//! When a status says that objects which tell an agent to collect are refused.

use covenant::api::{OptOutMeans, TelemetryOptOutStatus, guards};
use covenant::model::{Dirty, Kind, KindState, ObjectKey, Unit, World};
use serde_json::{Value, json};

use super::support::{apply, enrolled, vendor, world};
use super::{NAMESPACE, baseline, datadog, entries, opt_out, planned, prometheus};

const GUARD: &str = "covenant-telemetry-collectors";

/// The guards of this release.
pub fn guarded(world: &mut World) {
    for document in documents() {
        apply(world, &document);
    }
}

fn documents() -> Vec<Value> {
    let (_, text) = guards::FILES
        .iter()
        .find(|(file, _)| *file == "telemetry.yaml")
        .unwrap();
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    for document in &mut documents {
        document["metadata"]["uid"] = json!("guard");
    }
    documents
}

pub fn told(world: &mut World, refuses: &Value) -> Dirty {
    let telemetry = json!({ "channels": ["PlatformTelemetry"], "refuses": refuses });
    apply(
        world,
        &json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": NAMESPACE, "uid": "told" }, "spec": { "retention": [], "telemetry": telemetry },
        }),
    )
}

fn monitors() -> Value {
    json!([
        "podmonitors.monitoring.coreos.com",
        "probes.monitoring.coreos.com",
        "scrapeconfigs.monitoring.coreos.com",
        "servicemonitors.monitoring.coreos.com",
    ])
}

fn opted_out(agent: Value) -> World {
    let mut agent = agent;
    agent["channel"] = json!("PlatformTelemetry");
    let mut world = world(&[
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries(), json!([agent])),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ]);
    world.tell_definitions(KindState::Synced);
    world
}

fn is_told_as_refused(world: &World) -> bool {
    let planned = planned(world);
    let status = planned
        .statuses
        .iter()
        .find(|status| status.target.kind == Kind::OptOut)
        .unwrap();
    let status: TelemetryOptOutStatus = serde_json::from_value(status.status.clone()).unwrap();
    let agent = &status.channels[0].agents[0];
    let by = agent.by.contains(&OptOutMeans::MonitorsRefused);
    assert_eq!(
        by,
        agent.reason.contains("refused, and none of before is left"),
        "{agent:?}"
    );
    by
}

#[test]
fn monitors_are_refused_only_where_guard_and_parameters_were_read_back() {
    let mut world = opted_out(prometheus());
    assert!(!is_told_as_refused(&world), "nothing was read back");
    guarded(&mut world);
    assert!(!is_told_as_refused(&world), "guards read nothing yet");
    told(&mut world, &monitors());
    assert!(is_told_as_refused(&world));
    told(&mut world, &json!(["podmonitors.monitoring.coreos.com"]));
    assert!(!is_told_as_refused(&world), "one kind of four");
}

#[test]
fn a_guard_that_is_altered_missing_or_on_its_way_out_refuses_nothing() {
    let guard_and_binding = || {
        documents()
            .into_iter()
            .filter(|document| document["metadata"]["name"] == GUARD)
    };
    assert_eq!(guard_and_binding().count(), 2);
    for document in guard_and_binding() {
        let kind = Kind::of(
            "admissionregistration.k8s.io/v1",
            document["kind"].as_str().unwrap(),
        )
        .unwrap();
        let mut world = opted_out(prometheus());
        guarded(&mut world);
        told(&mut world, &monitors());
        assert!(is_told_as_refused(&world));
        let mut altered = document.clone();
        match kind {
            Kind::Guard => altered["spec"]["validations"][0]["expression"] = json!("true"),
            _ => altered["spec"]["validationActions"] = json!(["Warn"]),
        }
        apply(&mut world, &altered);
        assert!(!is_told_as_refused(&world));
        let mut leaving = document.clone();
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-24T12:00:00Z");
        apply(&mut world, &leaving);
        assert!(!is_told_as_refused(&world));
        apply(&mut world, &document);
        assert!(is_told_as_refused(&world));
        let dirty = world.remove(kind, &ObjectKey::cluster(GUARD));
        assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
        assert!(!is_told_as_refused(&world));
    }
}

#[test]
fn what_guards_read_refuses_nothing_any_more_once_it_is_on_its_way_out() {
    let mut world = opted_out(prometheus());
    guarded(&mut world);
    told(&mut world, &monitors());
    assert!(is_told_as_refused(&world));
    let telemetry = json!({ "channels": ["PlatformTelemetry"], "refuses": monitors() });
    apply(
        &mut world,
        &json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": NAMESPACE, "uid": "told", "deletionTimestamp": "2026-11-24T12:00:00Z" },
            "spec": { "retention": [], "telemetry": telemetry },
        }),
    );
    assert!(!is_told_as_refused(&world));
}

#[test]
fn a_status_is_made_anew_when_what_guards_read_of_telemetry_changes() {
    let mut world = opted_out(prometheus());
    let namespace = Unit::Namespace(NAMESPACE.to_owned());
    assert!(told(&mut world, &monitors()).0.contains(&namespace));
    assert!(!told(&mut world, &monitors()).0.contains(&namespace));
}

#[test]
fn an_agent_that_no_object_tells_to_collect_has_none_to_refuse() {
    let mut world = opted_out(datadog());
    guarded(&mut world);
    told(&mut world, &monitors());
    assert!(!is_told_as_refused(&world));
}
