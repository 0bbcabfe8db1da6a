//! What goes on under a hold: reading, statuses, annotations, the cluster's bookkeeping, and what is short-lived.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON, MERGE};

use super::kinds::{
    self, CLAIM, CONFIG_MAP, DEPLOYMENT, GADGET, JOB, Kind, POD, REPLICA_SET, SERVICE,
};
use super::stage::{FIVE, held, hold, passes, stage};

const NAMESPACE: &str = "goes-on";

#[tokio::test(flavor = "multi_thread")]
async fn under_all_effects_reading_statuses_notes_and_bookkeeping_go_on() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled(NAMESPACE).await;
    stage.objects(NAMESPACE, "kept", &kinds::ALL).await;
    stage
        .holds(NAMESPACE, hold(NAMESPACE, "matter", &FIVE))
        .await;
    let tenant = stage.cluster.tenant_admin(NAMESPACE).await.unwrap();
    let tenant = tenant.caller().unwrap();
    for kind in kinds::ALL.into_iter().filter(|kind| kind.kind != "Gadget") {
        passes(&tenant, kind.get(NAMESPACE, "kept")).await;
        passes(&tenant, Call::new("GET", kind.all(NAMESPACE))).await;
        let watch = format!("{}?watch=true&timeoutSeconds=1", kind.all(NAMESPACE));
        if kind.kind == "ConfigMap" {
            passes(&tenant, Call::new("GET", watch)).await;
        }
    }
    for kind in kinds::ALL {
        for patch in [
            json!({ "metadata": { "annotations": { "example.com/note": "x" } } }),
            json!({ "metadata": { "labels": { "example.com/team": "x" } } }),
            json!({ "metadata": { "finalizers": ["example.com/keep"] } }),
            json!({ "metadata": { "annotations": null } }),
            // Nothing is terminating here, so a finalizer that goes ends nothing.
            json!({ "metadata": { "finalizers": null } }),
            json!({}),
        ] {
            passes(&admin, kind.merge(NAMESPACE, "kept", patch)).await;
        }
        let mut unchanged = passes(&admin, kind.get(NAMESPACE, "kept")).await;
        // Where controllers may be writing it. Kinds of a definition need it and have none.
        if !kind.group().contains("example.com") && !kind.group().contains("privacy") {
            unchanged["metadata"]["resourceVersion"] = Value::Null;
        }
        let put = Call::new("PUT", kind.one(NAMESPACE, "kept")).with(JSON, unchanged);
        passes(&admin, put.dry()).await;
    }
    let logs = Call::new("GET", format!("{}/log", POD.one(NAMESPACE, "kept")));
    let answer = tenant.send(&logs).await.unwrap();
    assert!(!matches!(answer.code, 403 | 422), "{answer:?}");

    for (kind, status) in [
        (
            DEPLOYMENT,
            json!({ "observedGeneration": 7, "replicas": 0 }),
        ),
        (POD, json!({ "message": "tended" })),
        (CLAIM, json!({ "phase": "Bound" })),
        (JOB, json!({ "ready": 0 })),
        (SERVICE, json!({ "loadBalancer": {} })),
        (GADGET, json!({ "anything": { "at": "all" } })),
    ] {
        let call = kind.merge_by("status", NAMESPACE, "kept", json!({ "status": status }));
        passes(&admin, call).await;
    }
    // New things that start nothing can be made, and are held at once.
    let new = CONFIG_MAP.object(NAMESPACE, "new");
    passes(&tenant, CONFIG_MAP.create(NAMESPACE, new)).await;
    let delete = CONFIG_MAP.delete(NAMESPACE, "new");
    held(&tenant, delete, "goes-on/matter", "PreventDeletion").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_goes_on_with_the_specs_it_keeps_and_nobody_else_does() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "bookkeeping";
    stage.enrolled(namespace).await;
    stage
        .objects(namespace, "kept", &[DEPLOYMENT, REPLICA_SET, JOB, POD])
        .await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let scaled = |kind: &Kind, object: &Value| {
        let mut object = object.clone();
        match kind.kind {
            "Job" => object["spec"]["suspend"] = json!(false),
            "Pod" => object["spec"]["activeDeadlineSeconds"] = json!(7),
            _ => object["spec"]["replicas"] = json!(2),
        }
        Call::new("PUT", kind.one(namespace, "kept"))
            .with(JSON, object)
            .dry()
    };
    for (kind, controller) in [
        (DEPLOYMENT, "deployment-controller"),
        (REPLICA_SET, "deployment-controller"),
        (REPLICA_SET, "replicaset-controller"),
        (JOB, "job-controller"),
        (POD, "job-controller"),
    ] {
        let mut object = passes(&admin, kind.get(namespace, "kept")).await;
        object["metadata"]["resourceVersion"] = Value::Null;
        let call = scaled(&kind, &object);
        let answer = stage.controller(controller).send(&call).await.unwrap();
        assert!(
            answer.is_success() || answer.message().contains(" cannot "),
            "{controller} {answer:?}"
        );
        for other in [
            admin.clone(),
            stage.gitops.caller().unwrap(),
            // Of another namespace, and a name that only begins alike.
            admin.acting_as("system:serviceaccount:default:deployment-controller"),
            admin.acting_as("system:serviceaccount:kube-system:deployment-controller2"),
        ] {
            let answer = other.send(&call).await.unwrap();
            assert_eq!(answer.code, 403, "{}: {answer:?}", other.name());
        }
        held(&admin, call, "bookkeeping/matter", "PreventAlteration").await;
    }
    // Deleting is no bookkeeping, whoever does it.
    for controller in ["replicaset-controller", "job-controller"] {
        let call = POD.delete(namespace, "kept");
        let who = stage.controller(controller);
        held(&who, call, "bookkeeping/matter", "PreventDeletion").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_short_lived_comes_and_goes() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "short-lived";
    stage.enrolled(namespace).await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let kind = |kind, api, plural| Kind {
        kind,
        api,
        plural,
        scales: false,
    };
    let event = json!({ "involvedObject": { "kind": "Pod", "name": "p", "namespace": namespace }, "reason": "R", "message": "m", "type": "Normal" });
    for (kind, content, change) in [
        (
            kinds::EVENT,
            event,
            json!({ "message": "again", "count": 2 }),
        ),
        (
            kind("Lease", "/apis/coordination.k8s.io/v1", "leases"),
            json!({ "spec": { "holderIdentity": "a" } }),
            json!({ "spec": { "holderIdentity": "b" } }),
        ),
        (
            kind(
                "EndpointSlice",
                "/apis/discovery.k8s.io/v1",
                "endpointslices",
            ),
            json!({ "addressType": "IPv4", "endpoints": [] }),
            json!({ "ports": [{ "port": 80 }] }),
        ),
        (
            kind("ControllerRevision", "/apis/apps/v1", "controllerrevisions"),
            json!({ "revision": 1, "data": {} }),
            json!({ "revision": 2 }),
        ),
    ] {
        let mut object = content;
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        object["metadata"] = json!({ "name": "short", "namespace": namespace });
        passes(&admin, kind.create(namespace, object)).await;
        passes(&admin, kind.merge(namespace, "short", change)).await;
        passes(&admin, kind.delete(namespace, "short")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolled_namespace_without_holds_and_a_disarmed_one_notice_nothing() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("unheld").await;
    let disarmed = json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/holds": "disarmed" });
    stage.labelled("disarmed", disarmed).await;
    stage.labelled("unenrolled", json!({ "team": "any" })).await;
    for namespace in ["unheld", "disarmed", "unenrolled"] {
        let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
        let tenant = tenant.caller().unwrap();
        stage.objects(namespace, "kept", &kinds::ALL).await;
        for kind in kinds::ALL {
            let who = match kind.kind {
                "ResourceQuota" | "LimitRange" | "Gadget" => &admin,
                _ => &tenant,
            };
            passes(who, kind.merge(namespace, "kept", kind.change())).await;
            passes(who, kind.delete(namespace, "kept")).await;
        }
        let pod = POD.create(namespace, POD.object(namespace, "new"));
        passes(&tenant, pod).await;
        let evict = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "new", "namespace": namespace } });
        let path = format!("{}/eviction", POD.one(namespace, "new"));
        passes(&tenant, Call::new("POST", path).with(JSON, evict)).await;
        let note = json!({ "metadata": { "annotations": { "a": "b" } } });
        let path = format!("/api/v1/namespaces/{namespace}");
        passes(&admin, Call::new("PATCH", &path).with(MERGE, note)).await;
        passes(&admin, Call::new("DELETE", path)).await;
    }
}
