//! What guards are told of opt-outs: channels, markers, and kinds of objects that are refused.

use covenant::api::{GuardedTelemetry, TelemetryChannel};
use covenant::check::{Rule, check};
use covenant::model::{Kind, Unit, World};
use covenant::plan::{Plan, plan};
use serde_json::{Value, json};

use super::support::{apply, enrolled, vendor, world};
use super::{NAMESPACE, baseline, datadog, entries, now, opt_out, prometheus};

fn opted_out(agents: Value, channels: Value) -> World {
    world(&[
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries(), agents),
        opt_out(NAMESPACE, channels),
    ])
}

fn of_guards(world: &World) -> Plan {
    let plan = plan(world, &Unit::Retention(NAMESPACE.to_owned()), now());
    let violations = check(&plan, world, now());
    assert!(violations.is_empty(), "{violations:?}");
    plan
}

fn told(world: &World) -> Option<GuardedTelemetry> {
    let parameters = of_guards(world).parameters.unwrap();
    parameters.spec.unwrap().telemetry
}

/// What guards read while these agents are stopped.
pub fn guarded(agents: Value) -> GuardedTelemetry {
    told(&opted_out(agents, json!(["PlatformTelemetry"]))).unwrap()
}

/// An agent of no row that reads these markers.
fn own(name: &str, markers: Value) -> Value {
    json!({ "name": name, "channel": "PlatformTelemetry", "respects": "None", "processorRef": { "name": "x" }, "markers": markers })
}

#[test]
fn guards_are_told_of_the_channels_and_of_the_agents_that_are_stopped_and_of_no_other() {
    let mut world = opted_out(
        json!([prometheus(), datadog()]),
        json!(["PlatformTelemetry"]),
    );
    let of_platform = told(&world).unwrap();
    assert_eq!(of_platform.channels, [TelemetryChannel::PlatformTelemetry]);
    assert!(
        of_platform
            .refuses
            .contains(&"servicemonitors.monitoring.coreos.com".to_owned())
    );
    assert!(
        of_platform.pods.annotations.is_empty(),
        "Datadog is on another channel"
    );
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    );
    let of_vendors = told(&world).unwrap();
    assert!(of_vendors.refuses.is_empty());
    assert_eq!(
        of_vendors.pods.annotations["ad.datadoghq.com/exclude"],
        "true"
    );
    assert_eq!(
        of_vendors.pods.labels["admission.datadoghq.com/enabled"],
        "false"
    );
    let key = world.keys(Kind::OptOut).remove(0);
    let dirty = world.remove(Kind::OptOut, &key);
    assert!(dirty.0.contains(&Unit::Retention(NAMESPACE.to_owned())));
    assert_eq!(told(&world), None);
}

#[test]
fn without_a_readable_baseline_every_way_to_collect_is_refused_and_no_pod_kept_from_starting() {
    let mut unreadable = baseline(entries(), json!([datadog()]));
    unreadable["spec"]["network"]["sameTenant"] = json!("Newer");
    let mut world = opted_out(json!([]), json!(["PlatformTelemetry"]));
    apply(&mut world, &unreadable);
    let strict = told(&world).unwrap();
    assert_eq!(strict.refuses.len(), 7);
    assert_eq!(
        strict.where_present.annotations["sidecar.opentelemetry.io/inject"],
        "false"
    );
    assert!(strict.pods.annotations.is_empty() && strict.pods.labels.is_empty());
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["MarketingCommunications"])),
    );
    let recorded = told(&world).unwrap();
    assert!(recorded.refuses.is_empty() && recorded.where_present.annotations.is_empty());
}

#[test]
fn markers_of_a_platforms_own_are_read_beside_those_of_the_table() {
    let mut agent = datadog();
    agent["channel"] = json!("PlatformTelemetry");
    agent["markers"] = json!({
        "pods": { "annotations": { "ad.datadoghq.com/exclude": "true", "logs.example.com/skip": "yes" }, "labels": { "quiet": "" } },
        "namespaces": { "labels": { "monitoring": "off" }, "annotations": { "monitoring.example.com/why": "opted out" } },
    });
    let told = guarded(json!([agent]));
    let keys =
        |map: &std::collections::BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&told.pods.annotations),
        ["ad.datadoghq.com/exclude", "logs.example.com/skip"]
    );
    assert_eq!(
        keys(&told.pods.labels),
        ["admission.datadoghq.com/enabled", "quiet"]
    );
    assert_eq!(told.namespaces.labels["monitoring"], "off");
    assert_eq!(
        told.namespaces.annotations["monitoring.example.com/why"],
        "opted out"
    );
}

#[test]
fn a_marker_that_cannot_stand_makes_the_baseline_unreadable() {
    let pods = |key: &str, value: &str| json!({ "pods": { "labels": { key: value } } });
    let sound = [
        pods("quiet", "yes"),
        pods("a.example/Quiet_1.x", ""),
        pods("notkubernetes.io/x", "yes"),
        json!({ "namespaces": { "annotations": { "example.com/why": "any text, at all" } } }),
    ];
    let unsound = [
        pods("privacy.cloudnexus.io/tenant", "globex"),
        pods("x.privacy.cloudnexus.io/tenant", "globex"),
        pods("kubernetes.io/os", "linux"),
        pods("app.kubernetes.io/name", "web"),
        pods("node.k8s.io/x", "y"),
        pods("", "y"),
        pods("/x", "y"),
        pods("a/b/c", "y"),
        pods("UPPER.example/x", "y"),
        pods("a..example/x", "y"),
        pods("-x", "y"),
        pods("x-", "y"),
        pods("x y", "y"),
        pods(&"x".repeat(64), "y"),
        pods("x", "not a value"),
        pods("x", "-"),
        json!({ "namespaces": { "labels": { "privacy.cloudnexus.io/stage": "observe" } } }),
        json!({ "namespaces": { "annotations": { "kubernetes.io/x": "y" } } }),
    ];
    let reads = |markers: &Value| {
        let world = world(&[baseline(json!([]), json!([own("a", markers.clone())]))]);
        world.baseline("default").unwrap().terms.is_ok()
    };
    for markers in &sound {
        assert!(reads(markers), "{markers}");
    }
    for markers in &unsound {
        assert!(!reads(markers), "{markers}");
    }
}

#[test]
fn agents_that_ask_for_different_values_of_one_marker_make_the_baseline_unreadable() {
    let with = |value: &str| json!({ "pods": { "annotations": { "example.com/skip": value } } });
    let reads = |agents: Value| {
        let world = world(&[baseline(json!([]), agents)]);
        world.baseline("default").unwrap().terms.is_ok()
    };
    assert!(reads(json!([own("a", with("yes")), own("b", with("yes"))])));
    assert!(!reads(json!([own("a", with("yes")), own("b", with("no"))])));
    let scraped = json!({ "pods": { "annotations": { "prometheus.io/scrape": "true" } } });
    let mut annotated = own("b", json!({}));
    annotated["respects"] = json!("PrometheusAnnotations");
    assert!(
        !reads(json!([own("a", scraped), annotated])),
        "a row asks for another"
    );
    let mut contradicts = datadog();
    contradicts["markers"] =
        json!({ "pods": { "annotations": { "ad.datadoghq.com/exclude": "false" } } });
    assert!(!reads(json!([contradicts])), "its own row asks for another");
}

#[test]
fn more_markers_than_guards_read_make_the_baseline_unreadable() {
    let agents = |agents: usize| -> Value {
        let agent = |agent: usize| {
            let keys = (0..8).map(|key| (format!("example.com/a{agent}-{key}"), json!("x")));
            let keys: serde_json::Map<String, Value> = keys.collect();
            own(
                &format!("a{agent}"),
                json!({ "pods": { "annotations": keys } }),
            )
        };
        (0..agents).map(agent).collect()
    };
    let reads = |agents: Value| {
        let world = world(&[baseline(json!([]), agents)]);
        world.baseline("default").unwrap().terms.is_ok()
    };
    assert!(reads(agents(8)));
    assert!(!reads(agents(9)));
}

#[test]
fn the_linter_finds_guards_that_are_told_too_little_or_too_much() {
    let world = opted_out(
        json!([
            prometheus(),
            datadog(),
            own(
                "own",
                json!({ "namespaces": { "labels": { "quiet": "yes" } } })
            )
        ]),
        json!(["PlatformTelemetry", "ThirdPartyAnalytics"]),
    );
    type Change = fn(&mut GuardedTelemetry);
    let changes: [Change; 8] = [
        |told| told.channels.truncate(1),
        |told| told.refuses.truncate(1),
        |told| told.refuses.push("pods.".to_owned()),
        |told| told.pods.annotations.clear(),
        |told| told.pods.labels.clear(),
        |told| {
            drop(
                told.pods
                    .annotations
                    .insert("app".to_owned(), "x".to_owned()),
            )
        },
        |told| told.namespaces.labels.clear(),
        |told| told.where_present.annotations.clear(),
    ];
    let rules = |plan: &Plan| -> Vec<Rule> {
        let violations = check(plan, &world, now());
        violations
            .into_iter()
            .map(|violation| violation.rule)
            .collect()
    };
    for change in changes {
        let mut plan = of_guards(&world);
        let parameters = plan.parameters.as_mut().unwrap().spec.as_mut().unwrap();
        change(parameters.telemetry.as_mut().unwrap());
        assert_eq!(rules(&plan), [Rule::OptOutNeedsGuard]);
    }
    let mut plan = of_guards(&world);
    plan.parameters
        .as_mut()
        .unwrap()
        .spec
        .as_mut()
        .unwrap()
        .telemetry = None;
    assert!(rules(&plan).contains(&Rule::OptOutNeedsGuard));
}
