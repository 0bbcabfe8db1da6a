//! A sibling of the tenant does not carry on what was stopped.

use covenant::model::Unit;
use serde_json::{Value, json};

use super::evaluator::{Pod, allows, pod};
use super::support::{apply, enrolled, namespace, world};
use super::{NAMESPACE, baseline, entries, opt_out, planned, planned_in, prometheus};

fn of_acme(name: &str) -> Pod {
    pod(
        name,
        &[("privacy.cloudnexus.io/tenant", "acme")],
        &[("app", "web")],
    )
}

fn objects() -> Vec<Value> {
    vec![
        enrolled(NAMESPACE, "acme"),
        enrolled("acme-lake", "acme"),
        baseline(entries(), json!([prometheus()])),
    ]
}

#[test]
fn a_sibling_is_a_peer_only_where_the_same_is_stopped_there() {
    let mut world = world(&objects());
    let lake = of_acme("acme-lake");
    assert!(allows(&planned(&world), "egress", NAMESPACE, &lake));
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    );
    for way in ["ingress", "egress"] {
        assert!(!allows(&planned(&world), way, NAMESPACE, &lake), "{way}");
        assert!(
            allows(&planned(&world), way, NAMESPACE, &of_acme(NAMESPACE)),
            "{way}"
        );
    }
    let dirty = apply(
        &mut world,
        &opt_out("acme-lake", json!(["ThirdPartyAnalytics"])),
    );
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert!(!allows(&planned(&world), "egress", NAMESPACE, &lake));
    let both = json!(["PlatformTelemetry", "ThirdPartyAnalytics"]);
    let dirty = apply(&mut world, &opt_out("acme-lake", both));
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert!(allows(&planned(&world), "egress", NAMESPACE, &lake));
    let back = planned_in(&world, "acme-lake");
    assert!(allows(&back, "ingress", "acme-lake", &of_acme(NAMESPACE)));
}

#[test]
fn a_sibling_on_a_baseline_that_knows_no_agent_is_no_peer() {
    let mut world = world(&objects());
    let mut other = super::support::baseline();
    other["metadata"]["name"] = json!("other");
    apply(&mut world, &other);
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/baseline": "other" });
    apply(&mut world, &namespace("acme-lake", labels));
    for name in [NAMESPACE, "acme-lake"] {
        apply(&mut world, &opt_out(name, json!(["PlatformTelemetry"])));
    }
    assert!(!allows(
        &planned(&world),
        "egress",
        NAMESPACE,
        &of_acme("acme-lake")
    ));
}

#[test]
fn a_sibling_that_leaves_its_tenant_is_no_peer_any_more() {
    let mut world = world(&objects());
    for name in [NAMESPACE, "acme-lake"] {
        apply(&mut world, &opt_out(name, json!(["PlatformTelemetry"])));
    }
    assert!(allows(
        &planned(&world),
        "egress",
        NAMESPACE,
        &of_acme("acme-lake")
    ));
    let dirty = apply(&mut world, &enrolled("acme-lake", "globex"));
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    assert!(!allows(
        &planned(&world),
        "egress",
        NAMESPACE,
        &of_acme("acme-lake")
    ));
}

#[test]
fn where_nobody_is_registered_siblings_stay_as_they_are() {
    let mut objects = objects();
    objects[2] = baseline(entries(), json!([]));
    let mut world = world(&objects);
    let before = planned(&world).namespace.unwrap().policies;
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    );
    assert_eq!(planned(&world).namespace.unwrap().policies, before);
}
