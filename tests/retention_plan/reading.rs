//! What of a policy can be read stands, and what cannot counts as the stricter case.

use serde_json::json;

use crate::support::{apply, enrolled, namespace};
use crate::*;

fn errors(spec: impl FnOnce(&mut Value)) -> String {
    let mut written = policy(
        "logs",
        json!({ "atLeast": "P30D", "atMost": "P90D" }),
        "Dispose",
    );
    spec(&mut written["spec"]);
    let mut world = ground(&[written]);
    log(&mut world, "old", "2020-01-01T00:00:00Z");
    let plan = settle(&mut world, now());
    let (_, reason, message) = ready(&plan, "logs");
    if reason == "Invalid" {
        assert!(run(&plan).is_none());
        message
    } else {
        assert_eq!(goes(&plan), ["old"]);
        String::new()
    }
}

#[test]
fn every_error_is_named_with_its_path_and_what_to_write() {
    let said = errors(|spec| {
        spec["keep"] = json!({ "atLeast": "P0D", "atMost": "1y" });
        spec["startsAt"] = json!("Sometime");
        spec["select"][0]["kind"] = json!("configmap");
        spec["disposal"]["mode"] = json!("Delete");
        spec["dataCategory"] = json!("Nonsense");
        spec["basis"] = json!("");
    });
    for part in [
        "spec.keep.atLeast: ",
        "spec.keep.atMost: ",
        "spec.startsAt: ",
        "spec.select[0]",
        "spec.disposal.mode: ",
        "spec.dataCategory: ",
        "spec.basis: ",
        "P90D",
        "write Preview or Dispose",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn absurd_periods_are_errors() {
    for period in [
        "P0D", "PT0S", "-P1D", "P-1D", "P1.5D", "PT1.5S", "P1000Y", "P99999D", "1d", "P", "p1d",
        "", " P1D",
    ] {
        let said = errors(|spec| spec["keep"]["atMost"] = json!(period));
        assert!(said.contains("spec.keep.atMost"), "{period}: {said}");
    }
    for period in ["P1D", "P12W", "P1Y2M3W4DT5H6M7S", "P6Y", "PT1S"] {
        let said = errors(|spec| spec["keep"] = json!({ "atMost": period }));
        assert!(!said.contains("spec.keep.atMost"), "{period}: {said}");
    }
}

#[test]
fn a_minimum_that_is_always_longer_than_the_maximum_is_an_error_and_binds() {
    for (least, most, is_error) in [
        ("P31D", "P30D", true),
        ("P1Y", "P364D", true),
        ("P30D", "P30D", false),
        ("P1M", "P30D", false),
        ("P31D", "P1M", false),
        ("P13M", "P1Y", true),
    ] {
        let said = errors(|spec| spec["keep"] = json!({ "atLeast": least, "atMost": most }));
        assert_eq!(
            said.contains("is longer than"),
            is_error,
            "{least} {most}: {said}"
        );
    }
}

#[test]
fn what_the_cluster_rests_on_is_never_selected() {
    for (api_version, kind) in [
        ("privacy.cloudnexus.io/v1alpha1", "ProcessingHold"),
        ("authority.privacy.cloudnexus.io/v1", "Tenant"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("coordination.k8s.io/v1", "Lease"),
        ("events.k8s.io/v1", "Event"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        ("apps/v1", "ControllerRevision"),
        ("v1", "Namespace"),
        ("v1", "Event"),
        ("v1", "Endpoints"),
    ] {
        let said = errors(|spec| {
            let never = json!({ "apiVersion": api_version, "kind": kind, "namePrefix": "a" });
            spec["select"].as_array_mut().unwrap().push(never);
        });
        assert!(
            said.contains("never selected"),
            "{api_version} {kind}: {said}"
        );
    }
    for (api_version, kind) in [
        ("notprivacy.cloudnexus.io/v1", "Thing"),
        ("example.com/v1", "Lease"),
    ] {
        let said = errors(|spec| {
            spec["select"][0] =
                json!({ "apiVersion": api_version, "kind": kind, "namePrefix": "a" });
            spec["select"].as_array_mut().unwrap().clear();
            let config_maps = json!({ "apiVersion": "v1", "kind": "ConfigMap", "names": ["old"] });
            spec["select"].as_array_mut().unwrap().push(config_maps);
        });
        assert_eq!(said, "");
        assert!(!covenant::model::is_never_selected(
            api_version.split('/').next().unwrap(),
            kind
        ));
    }
}

#[test]
fn an_empty_selection_takes_nothing() {
    for empty in [
        json!({ "apiVersion": "v1", "kind": "ConfigMap" }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": {}, "names": [], "namePrefix": "" }),
    ] {
        let said = errors(|spec| spec["select"] = json!([empty]));
        assert!(said.contains("empty selection"), "{said}");
    }
    assert!(errors(|spec| spec["select"] = json!([])).contains("spec.select"));
    assert!(errors(|spec| spec["select"] = json!("all")).contains("spec.select"));
}

#[test]
fn only_jobs_and_pods_complete() {
    let said = errors(|spec| spec["startsAt"] = json!("CompletedAt"));
    assert!(said.contains("Jobs and Pods only"), "{said}");
}

#[test]
fn an_error_is_told_once() {
    let mut broken = thirty_days("logs");
    broken["spec"]["keep"] = json!({ "atMost": "soon" });
    let mut world = ground(&[broken]);
    assert_eq!(notices(&planned(&world, now())), ["PolicyInvalid"]);
    assert!(notices(&settle(&mut world, now())).is_empty());
}

#[test]
fn kinds_are_wanted_by_enrolled_namespaces_alone_and_by_baselines() {
    let mut world = World::new(Settings::default());
    assert!(world.wanted_kinds().is_empty());
    apply(&mut world, &thirty_days("logs"));
    assert!(world.wanted_kinds().is_empty());
    apply(&mut world, &enrolled(NAMESPACE, "acme"));
    assert_eq!(world.wanted_kinds(), [config_maps()].into());
    let minimum = json!({ "select": { "apiVersion": "batch/v1", "kind": "Job", "namePrefix": "b" }, "atLeast": "P1Y", "basis": "law" });
    apply(&mut world, &baseline(json!({ "keep": [minimum] })));
    assert_eq!(world.wanted_kinds(), [config_maps(), jobs()].into());
    world.remove(covenant::model::Kind::RetentionPolicy, &key("logs"));
    assert_eq!(world.wanted_kinds(), [jobs()].into());
    apply(&mut world, &namespace(NAMESPACE, json!({})));
    assert!(world.wanted_kinds().is_empty());
}

#[test]
fn a_minimum_of_a_baseline_binds_though_the_rest_of_it_cannot_be_read() {
    let minimum = json!({ "select": { "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": "l" }, "atLeast": "P1Y", "basis": "law" });
    let mut broken = baseline(json!({ "keep": [minimum] }));
    broken["spec"]["network"] = json!("all");
    let mut world = ground(&[broken]);
    log(&mut world, "log", "2026-01-01T00:00:00Z");
    settle(&mut world, now());
    let stored = world.parameters(NAMESPACE).unwrap().spec.clone().unwrap();
    assert_eq!(stored.retention[0].rule, "TenantBaseline default");
}
