//! What keeps an object that is past its maximum, first of all that do.

use serde_json::json;

use crate::support::{apply, hold, namespace};
use crate::*;

fn evidence(scope: Value, status: Value) -> Value {
    let spec = json!({
        "matter": "CASE-2026-042", "ground": "LegalProceeding", "reason": "evidence",
        "effects": ["SuspendSharing"], "scope": scope
    });
    hold(NAMESPACE, "case", spec, status)
}

/// Which counter has the one object that is withheld; none where it is due.
fn counted(plan: &Plan) -> Option<String> {
    let status = status(plan, "logs");
    let withheld = status["withheld"].as_object().unwrap();
    let total = withheld["total"].as_i64().unwrap();
    assert_eq!(total + status["due"]["now"].as_i64().unwrap(), 1);
    assert_eq!(
        goes(plan).len() as i64,
        status["due"]["now"].as_i64().unwrap()
    );
    let mut by = withheld
        .iter()
        .filter(|(name, count)| *name != "total" && **count == json!(1));
    by.next().map(|(name, _)| name.clone())
}

fn one_old_log() -> World {
    let mut world = ground(&[thirty_days("logs")]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    world
}

#[test]
fn any_unreleased_hold_keeps_what_is_within_its_scope_whatever_its_effects() {
    for (scope, by) in [
        (json!({}), Some("byHold")),
        (
            json!({ "kinds": [{ "kind": "ConfigMap" }] }),
            Some("byHold"),
        ),
        (json!({ "kinds": [{ "kind": "Secret" }] }), None),
        (json!({ "exceptKinds": [{ "kind": "ConfigMap" }] }), None),
        (json!({ "matchLabels": { "app": "log" } }), Some("byHold")),
        (json!({ "matchLabels": { "app": "web" } }), None),
        // What cannot be read is everything.
        (json!({ "kinds": "ConfigMap" }), Some("byHold")),
        (json!([]), Some("byHold")),
    ] {
        let mut world = one_old_log();
        apply(&mut world, &evidence(scope.clone(), json!({})));
        let plan = settle(&mut world, now());
        assert_eq!(counted(&plan).as_deref(), by, "{scope}");
    }
}

#[test]
fn a_release_keeps_until_its_grace_is_over() {
    let decided = json!([{ "type": "Released", "by": "officer", "reason": "settled" }]);
    let condition = |status: &str| json!({ "type": "Restored", "status": status, "reason": "Grace", "message": "", "lastTransitionTime": "2026-11-01T00:00:00Z" });
    for (status, by) in [
        (json!({ "decisions": decided }), Some("byHold")),
        (
            json!({ "decisions": decided, "conditions": [condition("False")] }),
            Some("byHold"),
        ),
        (
            json!({ "decisions": decided, "conditions": [condition("True")] }),
            None,
        ),
        // A decision that cannot be read decides nothing.
        (
            json!({ "decisions": [7], "conditions": [condition("True")] }),
            Some("byHold"),
        ),
    ] {
        let mut world = one_old_log();
        apply(&mut world, &evidence(json!({}), status.clone()));
        let plan = settle(&mut world, now());
        assert_eq!(counted(&plan).as_deref(), by, "{status}");
    }
}

#[test]
fn a_hold_marks_the_unit_so_that_a_run_is_planned_anew() {
    let mut world = one_old_log();
    let dirty = apply(&mut world, &evidence(json!({}), json!({})));
    assert!(dirty.0.contains(&unit()));
}

#[test]
fn nothing_goes_where_the_namespace_is_not_in_force() {
    let tenant = "privacy.cloudnexus.io/tenant";
    let mut deleting = enrolled(NAMESPACE, "acme");
    deleting["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
    for (raw, reason) in [
        (
            namespace(
                NAMESPACE,
                json!({ tenant: "acme", "privacy.cloudnexus.io/stage": "observe" }),
            ),
            "Observing",
        ),
        (deleting, "Terminating"),
        (namespace(NAMESPACE, json!({})), "NotEnrolled"),
    ] {
        let mut world = one_old_log();
        settle(&mut world, now());
        let dirty = apply(&mut world, &raw);
        assert!(dirty.0.contains(&unit()), "{reason}");
        let plan = settle(&mut world, now());
        assert!(run(&plan).is_none(), "{reason}");
        assert_eq!(ready(&plan, "logs").1, reason);
    }
}

#[test]
fn what_argo_flux_or_helm_track_is_left_to_them_and_reported_by_name() {
    for (labels, annotations, is_tracked) in [
        (
            json!({}),
            json!({ "argocd.argoproj.io/tracking-id": "app:/ConfigMap:acme/x" }),
            true,
        ),
        (
            json!({ "argocd.argoproj.io/instance": "app" }),
            json!({}),
            true,
        ),
        (
            json!({ "app.kubernetes.io/instance": "app" }),
            json!({}),
            false,
        ),
        (
            json!({ "app.kubernetes.io/instance": "app" }),
            json!({ "argocd.argoproj.io/sync-wave": "1" }),
            true,
        ),
        (
            json!({ "kustomize.toolkit.fluxcd.io/name": "app" }),
            json!({}),
            true,
        ),
        (
            json!({ "helm.toolkit.fluxcd.io/name": "app" }),
            json!({}),
            true,
        ),
        (
            json!({}),
            json!({ "meta.helm.sh/release-name": "app" }),
            true,
        ),
        (
            json!({ "app.kubernetes.io/managed-by": "Helm" }),
            json!({}),
            true,
        ),
        (
            json!({ "app.kubernetes.io/managed-by": "somebody" }),
            json!({}),
            false,
        ),
    ] {
        let mut world = ground(&[thirty_days("logs")]);
        let mut object = metadata("old", "2026-01-01T00:00:00Z", labels.clone());
        object["labels"]["app"] = json!("log");
        object["annotations"] = annotations.clone();
        put(&mut world, &config_maps(), &object);
        let plan = settle(&mut world, now());
        let by = is_tracked.then_some("managedElsewhere");
        assert_eq!(counted(&plan).as_deref(), by, "{labels} {annotations}");
        let told = condition(&status(&plan, "logs"), "ManagedElsewhere");
        assert_eq!(told.is_some(), is_tracked);
        if let Some((_, _, message)) = told {
            assert!(message.contains("ConfigMap old"), "{message}");
        }
    }
}

#[test]
fn what_another_object_controls_is_left_to_that_one() {
    for (controller, by) in [
        (Some(true), Some("byOwner")),
        (Some(false), None),
        (None, None),
    ] {
        let mut world = ground(&[thirty_days("logs")]);
        let mut object = metadata("old", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
        let mut owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y" });
        if let Some(controller) = controller {
            owner["controller"] = json!(controller);
        }
        object["ownerReferences"] = json!([owner]);
        put(&mut world, &config_maps(), &object);
        assert_eq!(counted(&settle(&mut world, now())).as_deref(), by);
    }
}

#[test]
fn the_first_of_several_reasons_is_counted() {
    let minimum = policy("keeps", json!({ "atLeast": "P1Y" }), "Preview");
    let mut world = ground(&[thirty_days("logs"), minimum]);
    let mut object = metadata("old", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
    object["annotations"] = json!({ "meta.helm.sh/release-name": "app" });
    object["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "y", "controller": true }]);
    put(&mut world, &config_maps(), &object);
    assert_eq!(counted(&settle(&mut world, now())).unwrap(), "byMinimum");
    apply(&mut world, &evidence(json!({}), json!({})));
    assert_eq!(counted(&settle(&mut world, now())).unwrap(), "byHold");
    let later = days(now(), 365);
    assert_eq!(counted(&settle(&mut world, later)).unwrap(), "byHold");
    world.remove(covenant::model::Kind::Hold, &key("case"));
    assert_eq!(
        counted(&settle(&mut world, later)).unwrap(),
        "managedElsewhere"
    );
    object["annotations"] = json!({});
    put(&mut world, &config_maps(), &object);
    assert_eq!(counted(&settle(&mut world, later)).unwrap(), "byOwner");
    object["ownerReferences"] = json!([]);
    put(&mut world, &config_maps(), &object);
    assert_eq!(counted(&settle(&mut world, later)), None);
}

#[test]
fn what_is_going_already_or_is_the_operators_own_is_neither_due_nor_withheld() {
    let mut world = ground(&[thirty_days("logs")]);
    let mut going = metadata("going", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
    going["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
    put(&mut world, &config_maps(), &going);
    let labels = json!({ "app": "log", "privacy.cloudnexus.io/managed-by": "covenant" });
    put(
        &mut world,
        &config_maps(),
        &metadata("ours", "2026-01-01T00:00:00Z", labels),
    );
    let plan = settle(&mut world, now());
    assert!(run(&plan).is_none());
    let status = status(&plan, "logs");
    assert_eq!(status["matched"], 2);
    assert_eq!(status["due"]["now"], 0);
    assert_eq!(status["withheld"]["total"], 0);
}

#[test]
fn what_the_api_server_refused_is_left_alone_until_it_is_tried_again() {
    let mut world = one_old_log();
    settle(&mut world, now());
    let until = hours(now(), 1);
    let refused = covenant::model::RefusedItem {
        kind: config_maps(),
        key: key("old"),
        uid: "uid-old".to_owned(),
        category: "Forbidden".to_owned(),
        message: "a webhook says no".to_owned(),
        since: until,
        until,
    };
    world.learn_run(RunResult {
        namespace: NAMESPACE.to_owned(),
        at: now(),
        policies: std::collections::BTreeMap::new(),
        refused: vec![refused],
    });
    let plan = settle(&mut world, now());
    assert_eq!(counted(&plan).unwrap(), "otherwise");
    assert_eq!(plan.next, Some(until));
    assert_eq!(counted(&settle(&mut world, until)), None);
}

#[test]
fn under_a_baseline_that_cannot_be_read_nothing_goes() {
    let mut world = one_old_log();
    settle(&mut world, now());
    let mut broken = baseline(json!({ "grace": "soon" }));
    apply(&mut world, &broken);
    let plan = settle(&mut world, now());
    assert!(run(&plan).is_none());
    assert_eq!(ready(&plan, "logs").1, "BaselineUnreadable");
    broken = baseline(json!({ "grace": "PT0S" }));
    apply(&mut world, &broken);
    assert_eq!(goes(&settle(&mut world, now())), ["old"]);
}
