//! Crooked ways to delete, alter, escape or outlive a hold.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::always;
use testbed::raw::{APPLY, Call, JSON, MERGE};

use super::kinds::{
    AUTOSCALER, CONFIG_MAP, DEPLOYMENT, EVENT, GADGET, HOLD, Kind, POD, REPLICA_SET, SERVICE,
    STATEFUL_SET,
};
use super::stage::{FIVE, essence, held, hold, passes, refused, scoped, sign, stage};

#[tokio::test(flavor = "multi_thread")]
async fn replaced_by_force_pruned_or_tried_as_a_dry_run_it_stays() {
    let stage = stage().await;
    let admin = stage.cluster.admin();
    stage.enrolled("forced").await;
    let object = CONFIG_MAP.object("forced", "evidence");
    let apply = ["apply", "-n", "forced", "-f", "-"];
    admin
        .kubectl_with(&apply, &object.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.holds("forced", hold("forced", "matter", &FIVE)).await;
    let before = passes(&stage.admin(), CONFIG_MAP.get("forced", "evidence")).await;
    let mut changed = object.clone();
    changed["data"]["a"] = json!("changed");
    let other = CONFIG_MAP.object("forced", "other").to_string();
    let tries: [(&[&str], String); 6] = [
        (&["replace", "--force", "-f", "-"], changed.to_string()),
        (&["apply", "-f", "-"], changed.to_string()),
        (
            &["apply", "-n", "forced", "--prune", "--all", "-f", "-"],
            other,
        ),
        (
            &[
                "delete",
                "cm",
                "evidence",
                "-n",
                "forced",
                "--dry-run=server",
            ],
            String::new(),
        ),
        (
            &[
                "delete",
                "cm",
                "evidence",
                "-n",
                "forced",
                "--force",
                "--grace-period=0",
            ],
            String::new(),
        ),
        (
            &[
                "delete",
                "cm",
                "--all",
                "-n",
                "forced",
                "--ignore-not-found",
            ],
            String::new(),
        ),
    ];
    for (arguments, input) in tries {
        let output = admin.kubectl_with(arguments, &input).await.unwrap();
        let refusal = output.refusal().unwrap();
        assert!(
            refusal.contains(&sign("forced", "matter")),
            "{arguments:?}: {refusal}"
        );
    }
    let after = passes(&stage.admin(), CONFIG_MAP.get("forced", "evidence")).await;
    assert_eq!(essence(&before), essence(&after));
}

/// Since Kubernetes 1.35 the labels of a binding are written over the pod's.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_relabels_a_pod_out_of_scope_by_binding_it_to_a_node() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("binds").await;
    let effects = ["PreventDeletion", "PreventAlteration"];
    let scopes = [
        (
            "kept",
            "PreventDeletion",
            &effects[..1],
            json!([{ "kind": "Pod" }]),
        ),
        ("sealed", "PreventAlteration", &effects[1..], json!([])),
    ];
    for (case, effect, effects, kinds) in scopes {
        let also = format!("{case}-customer");
        let also = also.as_str();
        let names = ["by-binding", "by-bindings", "bound"].map(|name| format!("{case}-{name}"));
        for name in &names {
            let mut object = POD.object("binds", name);
            object["metadata"]["labels"] = json!({ case: "a", also: "7" });
            passes(&admin, POD.create("binds", object)).await;
        }
        let scope = json!({ "matchLabels": { case: "a", also: "7" }, "kinds": kinds });
        let mut hold = scoped("binds", case, effects, scope);
        hold["spec"]["slot"] = json!(1 + usize::from(case == "sealed"));
        stage.holds("binds", hold).await;
        let bind = |name: &str, path: String, labels: Value| {
            let binding = json!({
                "apiVersion": "v1", "kind": "Binding",
                "metadata": { "name": name, "namespace": "binds", "labels": labels },
                "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
            });
            Call::new("POST", path).with(JSON, binding)
        };
        let by_pod = |name: &str| format!("{}/binding", POD.one("binds", name));
        let by_all = "/api/v1/namespaces/binds/bindings";
        let [first, second, third] = &names;
        for labels in [
            json!({ case: "b" }),
            json!({ case: "", "more": "yes" }),
            json!({ case: "a", also: "8" }),
        ] {
            let call = bind(first, by_pod(first), labels.clone());
            held(&admin, call, &format!("binds/{case}"), effect).await;
            let call = bind(second, by_all.to_owned(), labels);
            held(&admin, call, &format!("binds/{case}"), effect).await;
        }
        // A scheduler's binding, whose labels say where the node is.
        let labels = json!({ "topology.kubernetes.io/zone": "a", case: "a" });
        passes(&admin, bind(third, by_pod(third), labels)).await;
        for name in &names {
            let there = passes(&admin, POD.get("binds", name)).await;
            assert_eq!(there["metadata"]["labels"][case], "a", "{there}");
            assert_eq!(there["metadata"]["labels"][also], "7", "{there}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relabels_out_of_scope_by_a_status_or_bit_by_bit() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("relabels").await;
    let kinds = [CONFIG_MAP, SERVICE, POD, GADGET, DEPLOYMENT];
    for kind in kinds {
        let mut object = kind.object("relabels", "kept");
        object["metadata"]["labels"] = json!({ "case": "a", "customer": "7" });
        passes(&admin, kind.create("relabels", object)).await;
    }
    let scope = json!({ "matchLabels": { "case": "a", "customer": "7" } });
    stage
        .holds("relabels", scoped("relabels", "matter", &FIVE, scope))
        .await;
    for kind in kinds {
        for labels in [
            json!({ "case": null }),
            json!({ "customer": "8" }),
            json!({ "case": null, "customer": null }),
            json!({ "case": "" }),
            Value::Null,
        ] {
            let patch = json!({ "metadata": { "labels": labels } });
            let call = kind.merge("relabels", "kept", patch.clone());
            held(&admin, call, "relabels/matter", "PreventDeletion").await;
            if kind.kind == "ConfigMap" {
                continue;
            }
            // Where a status carries labels, it is refused as well; where it does not, nothing happens.
            let call = kind.merge_by("status", "relabels", "kept", patch);
            admin.send(&call).await.unwrap();
            let there = passes(&admin, kind.get("relabels", "kept")).await;
            let labels = json!({ "case": "a", "customer": "7" });
            assert_eq!(there["metadata"]["labels"], labels, "{}", kind.kind);
        }
        // A label that the hold does not name is free.
        let more = json!({ "metadata": { "labels": { "more": "yes" } } });
        passes(&admin, kind.merge("relabels", "kept", more)).await;
        let strip = json!({ "metadata": { "labels": { "more": null } } });
        passes(&admin, kind.merge("relabels", "kept", strip)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spec_of_a_hold_cannot_be_changed_by_any_way_but_for_review_by() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("spec").await;
    let scope = json!({ "kinds": [{ "kind": "Secret" }] });
    let stored = stage
        .holds("spec", scoped("spec", "matter", &FIVE, scope))
        .await;
    for change in [
        json!({ "matter": "CASE-1" }),
        json!({ "ground": "ComplianceAudit" }),
        json!({ "reason": "another" }),
        json!({ "effects": ["FreezeAccess"] }),
        json!({ "effects": [] }),
        json!({ "scope": null }),
        json!({ "scope": { "kinds": [{ "kind": "ConfigMap" }] } }),
        json!({ "scope": { "exceptKinds": [{ "kind": "ConfigMap" }] } }),
        json!({ "slot": 2 }),
        json!({ "endingGrace": "PT1M" }),
    ] {
        let patch = HOLD.merge("spec", "matter", json!({ "spec": change }));
        let answer = admin.send(&patch).await.unwrap();
        assert_eq!(answer.code, 422, "{change} {answer:?}");
        let mut applied = json!({ "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "metadata": { "name": "matter" } });
        applied["spec"] = change;
        let path = format!(
            "{}?fieldManager=other&force=true",
            HOLD.one("spec", "matter")
        );
        let answer = admin
            .send(&Call::new("PATCH", path).with(APPLY, applied))
            .await
            .unwrap();
        // A server-side apply leaves out what it does not name; to apply nothing changes nothing.
        assert!(
            answer.code == 422 || answer.is_success() && answer.body["spec"] == stored["spec"],
            "{answer:?}"
        );
    }
    let review = json!({ "spec": { "reviewBy": "2027-06-30" } });
    passes(&admin, HOLD.merge("spec", "matter", review)).await;
    // The main resource carries no status, whoever writes it.
    let forged = json!({ "status": { "decisions": [{ "type": "Released", "by": "admin", "reason": "r" }] } });
    passes(&admin, HOLD.merge("spec", "matter", forged)).await;
    held(&admin, HOLD.delete("spec", "matter"), "spec/matter", "Hold").await;
    let metadata = json!({ "metadata": { "labels": { "a": "b" }, "annotations": { "a": "b" }, "finalizers": ["example.com/keep"] } });
    passes(&admin, HOLD.merge("spec", "matter", metadata)).await;
    held(&admin, HOLD.delete("spec", "matter"), "spec/matter", "Hold").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_definition_of_holds_is_not_deleted_by_a_wildcard() {
    let stage = stage().await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/processingholds.privacy.cloudnexus.io";
    for who in [stage.admin(), stage.gitops.caller().unwrap()] {
        let delete = Call::new("DELETE", path);
        refused(&who, delete, "is a kind of Covenant").await;
        let unserved = json!({ "spec": { "versions": [] } });
        let patch = Call::new("PATCH", path).with(MERGE, unserved);
        assert!(!who.send(&patch).await.unwrap().is_success());
    }
}

/// An old version of a kind, or a controller that does what an annotation says, alters a spec without touching it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_alters_a_spec_by_way_of_an_annotation() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("annotated").await;
    stage
        .objects("annotated", "kept", &[AUTOSCALER, DEPLOYMENT])
        .await;
    // A second revision, so that there is something to roll back to.
    let second =
        json!({ "spec": { "template": { "metadata": { "labels": { "revision": "two" } } } } });
    passes(&admin, DEPLOYMENT.merge("annotated", "kept", second)).await;
    testbed::eventually(
        "both revisions are there",
        super::stage::PATIENCE,
        || async {
            let sets = admin
                .send(&Call::new("GET", REPLICA_SET.all("annotated")))
                .await?;
            let count = sets.body["items"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(count == 2, "{count}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    stage
        .holds(
            "annotated",
            hold("annotated", "matter", &["PreventAlteration"]),
        )
        .await;
    let before = passes(&admin, AUTOSCALER.get("annotated", "kept")).await;
    let old = "/apis/autoscaling/v1/namespaces/annotated/horizontalpodautoscalers/kept";
    for annotation in ["behavior", "metrics"] {
        let value = match annotation {
            "behavior" => {
                r#"{"ScaleDown":{"StabilizationWindowSeconds":7,"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":7}]}}"#
            }
            _ => {
                r#"[{"type":"Resource","resource":{"name":"memory","targetAverageUtilization":7}}]"#
            }
        };
        let key = format!("autoscaling.alpha.kubernetes.io/{annotation}");
        let patch = json!({ "metadata": { "annotations": { key: value } } });
        let call = Call::new("PATCH", old).with(MERGE, patch);
        held(&admin, call, "annotated/matter", "PreventAlteration").await;
    }
    // Annotations that say nothing of the spec are free in the old version too.
    let note = json!({ "metadata": { "annotations": { "example.com/note": "x" } } });
    passes(&admin, Call::new("PATCH", old).with(MERGE, note)).await;
    let after = passes(&admin, AUTOSCALER.get("annotated", "kept")).await;
    assert_eq!(before["spec"], after["spec"]);

    let back =
        json!({ "metadata": { "annotations": { "deprecated.deployment.rollback.to": "1" } } });
    let call = DEPLOYMENT.merge("annotated", "kept", back.clone());
    held(&admin, call, "annotated/matter", "PreventAlteration").await;
    // By a status the API server may refuse it or leave it out.
    let call = DEPLOYMENT.merge_by("status", "annotated", "kept", back);
    admin.send(&call).await.unwrap();
    always(
        "the second revision stays",
        Duration::from_secs(2),
        || async {
            let seen = admin.send(&DEPLOYMENT.get("annotated", "kept")).await?.body;
            let revision = &seen["spec"]["template"]["metadata"]["labels"]["revision"];
            anyhow::ensure!(revision == "two", "{seen}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
}

/// What an autoscaler writes is a wish about the spec, and no bookkeeping.
#[tokio::test(flavor = "multi_thread")]
async fn no_autoscaler_scales_what_is_held_and_what_is_left_out_it_does() {
    let stage = stage().await;
    let admin = stage.admin();
    let scaler = stage.controller("horizontal-pod-autoscaler");
    let apps = |kind: &str| json!([{ "kind": kind, "apiGroup": "apps" }]);
    for (namespace, scope, held_kinds) in [
        (
            "scaler",
            json!({}),
            vec![DEPLOYMENT, REPLICA_SET, STATEFUL_SET],
        ),
        (
            "scaler-kinds",
            json!({ "kinds": apps("StatefulSet") }),
            vec![STATEFUL_SET],
        ),
        (
            "scaler-except",
            json!({ "exceptKinds": apps("Deployment") }),
            vec![REPLICA_SET, STATEFUL_SET],
        ),
    ] {
        stage.enrolled(namespace).await;
        let kinds = [DEPLOYMENT, REPLICA_SET, STATEFUL_SET];
        stage.objects(namespace, "kept", &kinds).await;
        let hold = scoped(namespace, "matter", &["PreventAlteration"], scope);
        stage.holds(namespace, hold).await;
        // One that is made now may wish what it likes.
        let new = AUTOSCALER.object(namespace, "new");
        passes(&admin, AUTOSCALER.create(namespace, new)).await;
        for kind in kinds {
            let path = format!("{}/scale", kind.one(namespace, "kept"));
            let mut scale = passes(&admin, Call::new("GET", &path)).await;
            scale["spec"]["replicas"] = json!(1);
            // Where its controller may be writing it.
            if kind.group() == "apps" {
                scale["metadata"]["resourceVersion"] = Value::Null;
            }
            let put = Call::new("PUT", path).with(JSON, scale).dry();
            if held_kinds.iter().any(|held| held.kind == kind.kind) {
                let sign = format!("{namespace}/matter");
                held(&scaler, put, &sign, "PreventAlteration").await;
            } else {
                passes(&scaler, put).await;
            }
        }
    }
}

/// A pod's status that says that it has finished is believed by its controllers at once, and by its kubelet with the next
/// change of the pod.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_kubelet_says_that_a_kept_pod_has_finished() {
    let stage = stage().await;
    let admin = stage.admin();
    let rules = json!([{ "apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "patch"] }]);
    let node = "system:node:somewhere";
    stage
        .cluster
        .give(node, "node-somewhere", &rules)
        .await
        .unwrap();
    let kubelet = stage
        .cluster
        .identity_in_group(node, Some("system:nodes"))
        .await
        .unwrap()
        .caller()
        .unwrap();
    let finished = |namespace: &str, phase: &str| {
        let status = json!({ "status": { "phase": phase } });
        POD.merge_by("status", namespace, "kept", status)
    };
    let pods = json!({ "kinds": [{ "kind": "Pod", "apiGroup": "" }] });
    let suspends = ["SuspendProcessing"];
    for (namespace, hold, effect) in [
        (
            "finished",
            hold("finished", "matter", &FIVE),
            "PreventDeletion",
        ),
        (
            "finished-named",
            scoped("finished-named", "matter", &["PreventDeletion"], pods),
            "PreventDeletion",
        ),
        (
            "finished-suspended",
            hold("finished-suspended", "matter", &suspends),
            "SuspendProcessing",
        ),
    ] {
        stage.enrolled(namespace).await;
        stage.objects(namespace, "kept", &[POD]).await;
        stage.holds(namespace, hold).await;
        let sign = format!("{namespace}/matter");
        for who in [admin.clone(), stage.controller("pod-garbage-collector")] {
            for phase in ["Failed", "Succeeded"] {
                let call = finished(namespace, phase);
                held(&who, call, &sign, effect).await;
            }
        }
        // What else a status says goes on, also its phase.
        passes(&admin, finished(namespace, "Running")).await;
        let message = json!({ "status": { "message": "tended" } });
        passes(
            &admin,
            POD.merge_by("status", namespace, "kept", message.clone()),
        )
        .await;
        passes(&kubelet, finished(namespace, "Failed")).await;
        passes(&admin, POD.merge_by("status", namespace, "kept", message)).await;
    }
    // Where pods are not kept, whoever may write their status says what they like.
    for (namespace, effects) in [
        ("finished-free", &["PreventDeletion"][..]),
        (
            "finished-ends",
            &["PreventDeletion", "SuspendProcessing", "EndProcessing"],
        ),
    ] {
        stage.enrolled(namespace).await;
        stage.objects(namespace, "kept", &[POD]).await;
        let hold = hold(namespace, "matter", effects);
        stage.holds(namespace, hold).await;
        passes(&admin, finished(namespace, "Failed")).await;
    }
}

/// An old ReplicaSet of a Deployment is history and may go; one that is on its own is made history by nobody.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_passes_a_held_object_off_as_a_derived_one() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("derived").await;
    stage.objects("derived", "kept", &[REPLICA_SET]).await;
    stage
        .holds("derived", hold("derived", "matter", &["PreventDeletion"]))
        .await;
    let delete = REPLICA_SET.delete("derived", "kept");
    held(&admin, delete.clone(), "derived/matter", "PreventDeletion").await;
    let owner = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "forged", "controller": true,
        "uid": "00000000-0000-0000-0000-000000000000",
    }] } });
    for call in [
        REPLICA_SET.merge("derived", "kept", owner.clone()),
        REPLICA_SET.merge_by("status", "derived", "kept", owner),
    ] {
        admin.send(&call).await.unwrap();
        held(&admin, delete.clone(), "derived/matter", "PreventDeletion").await;
    }
    passes(&admin, REPLICA_SET.get("derived", "kept")).await;
}

/// The same objects have two addresses.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_event_is_not_deleted_by_its_other_group() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("events").await;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "seen", "namespace": "events" },
        "involvedObject": { "kind": "Pod", "name": "p", "namespace": "events" }, "reason": "R", "message": "m", "type": "Normal",
    });
    passes(&admin, EVENT.create("events", event)).await;
    let other = Kind {
        api: "/apis/events.k8s.io/v1",
        ..EVENT
    };
    for (name, slot, group) in [("core", 1, ""), ("own", 2, "events.k8s.io")] {
        let scope = json!({ "kinds": [{ "kind": "Event", "apiGroup": group }] });
        let mut hold = scoped("events", name, &["PreventDeletion"], scope);
        hold["spec"]["slot"] = json!(slot);
        stage.holds("events", hold).await;
        for kind in [EVENT, other] {
            let call = kind.delete("events", "seen");
            let sign = format!("events/{name}");
            held(&admin, call, &sign, "PreventDeletion").await;
        }
        stage
            .decides(
                "events",
                name,
                super::stage::decision("Released", "officer"),
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_namespace_and_its_labels_stay_however_they_are_written() {
    let stage = stage().await;
    let namespace = "stays";
    stage.enrolled(namespace).await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let path = format!("/api/v1/namespaces/{namespace}");
    let (platform, admin) = (stage.platform.caller().unwrap(), stage.admin());
    for labels in [
        json!({ "privacy.cloudnexus.io/tenant": null }),
        json!({ "privacy.cloudnexus.io/tenant": "globex" }),
        json!({ "privacy.cloudnexus.io/holds": "disarmed" }),
        json!({ "privacy.cloudnexus.io/holds": "disarmed", "privacy.cloudnexus.io/tenant": null }),
        Value::Null,
    ] {
        let patch = json!({ "metadata": { "labels": labels } });
        let call = Call::new("PATCH", &path).with(MERGE, patch.clone());
        held(&platform, call, "stays/matter", "Namespace").await;
        for subresource in ["status", "finalize"] {
            let whole = passes(&admin, Call::new("GET", &path)).await;
            let mut changed = whole.clone();
            let labels = &mut changed["metadata"]["labels"];
            *labels = json!({ "kubernetes.io/metadata.name": namespace });
            let call = Call::new("PUT", format!("{path}/{subresource}")).with(JSON, changed);
            let answer = admin.send(&call).await.unwrap();
            let after = passes(&admin, Call::new("GET", &path)).await;
            assert_eq!(
                after["metadata"]["labels"]["privacy.cloudnexus.io/tenant"], "acme",
                "{subresource} {answer:?}"
            );
        }
    }
    // What says nothing about holds goes on.
    let patch = json!({ "metadata": { "labels": { "team": "x" }, "annotations": { "a": "b" } } });
    passes(&platform, Call::new("PATCH", &path).with(MERGE, patch)).await;
    let stage_label =
        json!({ "metadata": { "labels": { "privacy.cloudnexus.io/stage": "observe" } } });
    passes(
        &platform,
        Call::new("PATCH", &path).with(MERGE, stage_label),
    )
    .await;
    let create = CONFIG_MAP.create(namespace, CONFIG_MAP.object(namespace, "in-observe"));
    passes(&admin, create).await;
    // Holds bind in the stage observe as well.
    let delete = CONFIG_MAP.delete(namespace, "in-observe");
    held(&admin, delete, "stays/matter", "PreventDeletion").await;
}
