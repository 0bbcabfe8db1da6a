//! The cluster's own controllers: they try, they are refused, and what is held is there as it was.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{Call, Caller, JSON};
use testbed::{always, eventually};

use super::kinds::{CLAIM, CONFIG_MAP, DEPLOYMENT, HOLD, JOB, Kind, POD, SERVICE, STATEFUL_SET};
use super::stage::{FIVE, PATIENCE, Stage, held, hold, passes, refused, sign, stage};

const NAMESPACE: &str = "controllers";

/// Data and spec, and that it is the same object.
fn kept(object: &Value) -> Value {
    let mut kept = object.clone();
    kept["metadata"] = json!({ "uid": object["metadata"]["uid"] });
    if let Some(map) = kept.as_object_mut() {
        map.remove("status");
    }
    kept
}

async fn owned(admin: &Caller, name: &str, owner: &Value) {
    let mut dependent = CONFIG_MAP.object(NAMESPACE, name);
    dependent["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]);
    passes(admin, CONFIG_MAP.create(NAMESPACE, dependent)).await;
}

async fn deleted(admin: &Caller, kind: &Kind, name: &str, policy: &str) {
    let options =
        json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy });
    passes(admin, kind.delete(NAMESPACE, name).with(JSON, options)).await;
}

/// Deployment and StatefulSet with pods that wait for a node.
async fn workloads(stage: &Stage, admin: &Caller) {
    let mut deployment = DEPLOYMENT.object(NAMESPACE, "web");
    deployment["spec"]["replicas"] = json!(2);
    passes(admin, DEPLOYMENT.create(NAMESPACE, deployment)).await;
    let mut set = STATEFUL_SET.object(NAMESPACE, "db");
    set["spec"]["replicas"] = json!(2);
    set["spec"]["podManagementPolicy"] = json!("Parallel");
    set["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({ "whenDeleted": "Delete", "whenScaled": "Delete" });
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": { "name": "data" }, "spec": CLAIM.object(NAMESPACE, "data")["spec"],
    }]);
    passes(admin, STATEFUL_SET.create(NAMESPACE, set)).await;
    let pods = Call::new("GET", POD.all(NAMESPACE));
    eventually("four pods wait", PATIENCE, || async {
        let count = stage.admin().send(&pods).await?.body["items"]
            .as_array()
            .map_or(0, Vec::len);
        anyhow::ensure!(count == 4, "{count}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

async fn all(admin: &Caller) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for kind in [CONFIG_MAP, CLAIM, JOB, POD, SERVICE, STATEFUL_SET] {
        let list = admin.send(&Call::new("GET", kind.all(NAMESPACE))).await?;
        let items = list.body["items"].as_array().cloned();
        let items = items.ok_or_else(|| anyhow::anyhow!("{list:?}"))?;
        all.extend(items.iter().map(kept));
    }
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_own_controllers_delete_nothing_that_is_held() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled(NAMESPACE).await;
    eventually("the root certificate is there", PATIENCE, || async {
        let get = CONFIG_MAP.get(NAMESPACE, "kube-root-ca.crt");
        Ok::<_, anyhow::Error>(admin.send(&get).await?.is_success())
            .and_then(|there| there.then_some(()).ok_or(anyhow::anyhow!("not yet")))
    })
    .await
    .unwrap();
    workloads(stage, &admin).await;
    let mut owners = Vec::new();
    for policy in ["Background", "Foreground", "Orphan"] {
        let name = format!("owner-{}", policy.to_lowercase());
        let owner = CONFIG_MAP.object(NAMESPACE, &name);
        let owner = passes(&admin, CONFIG_MAP.create(NAMESPACE, owner)).await;
        owned(&admin, &format!("of-{name}"), &owner).await;
        owners.push((name, policy));
    }
    stage
        .objects(NAMESPACE, "lonely", &[CONFIG_MAP, CLAIM, SERVICE])
        .await;
    let marker = stage.cluster.audit().unwrap().marker().await.unwrap();

    // With the controllers' clock stopped, everything that they will want to finish is begun.
    stage.cluster.pause_controller_manager().unwrap();
    for (name, policy) in &owners {
        deleted(&admin, &CONFIG_MAP, name, policy).await;
    }
    deleted(&admin, &CLAIM, "lonely", "Background").await;
    for (kind, name) in [(DEPLOYMENT, "web"), (STATEFUL_SET, "db")] {
        let none = json!({ "spec": { "replicas": 0 } });
        passes(&admin, kind.merge_by("scale", NAMESPACE, name, none)).await;
    }
    let mut job = JOB.object(NAMESPACE, "finishes");
    job["spec"] = json!({
        "parallelism": 0, "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 0, "template": job["spec"]["template"],
    });
    passes(&admin, JOB.create(NAMESPACE, job)).await;
    stage
        .holds(NAMESPACE, hold(NAMESPACE, "matter", &FIVE))
        .await;
    // Who owns something is nobody's secret and can be written; what follows from it is refused.
    let nobody = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "never-was", "uid": "00000000-0000-0000-0000-000000000000",
    }] } });
    passes(&admin, CONFIG_MAP.merge(NAMESPACE, "lonely", nobody)).await;
    let before = all(&admin).await.unwrap();
    stage.cluster.resume_controller_manager().unwrap();

    for (controller, resource, least) in [
        ("generic-garbage-collector", "configmaps", 3),
        ("ttl-after-finished-controller", "jobs", 1),
        ("pvc-protection-controller", "persistentvolumeclaims", 1),
        ("replicaset-controller", "pods", 2),
        ("statefulset-controller", "pods", 1),
    ] {
        let user = format!("system:serviceaccount:kube-system:{controller}");
        let what = format!("{controller} was refused");
        eventually(&what, PATIENCE, || async {
            let events = stage.cluster.audit()?.since(marker).await?;
            let refused = events
                .iter()
                .filter(|event| {
                    event.user() == user
                        && event.namespace() == NAMESPACE
                        && event.resource() == resource
                        && event.code() == 403
                })
                .count();
            anyhow::ensure!(refused >= least, "{refused} refusals");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
    always(
        "what is held is there as it was",
        Duration::from_secs(6),
        || async {
            let after = all(&admin).await?;
            anyhow::ensure!(before == after, "before {before:#?}\nafter {after:#?}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();

    // And nobody finishes for them, by no subresource.
    let strip = json!({ "metadata": { "finalizers": null } });
    for call in [
        CLAIM.merge(NAMESPACE, "lonely", strip.clone()),
        CLAIM.merge_by("status", NAMESPACE, "lonely", strip),
    ] {
        held(&admin, call, "controllers/matter", "PreventDeletion").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_terminating_already_is_not_finished_by_a_status_either() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "terminating";
    stage.enrolled(namespace).await;
    let kinds: Vec<Kind> = super::kinds::ALL
        .into_iter()
        .filter(|kind| {
            ![
                "ConfigMap",
                "Secret",
                "ServiceAccount",
                "Role",
                "RoleBinding",
                "LimitRange",
                "DataSharingGrant",
            ]
            .contains(&kind.kind)
        })
        .collect();
    for kind in &kinds {
        let mut object = kind.object(namespace, "leaving");
        object["metadata"]["finalizers"] = json!(["example.com/keep"]);
        passes(&admin, kind.create(namespace, object)).await;
        passes(&admin, kind.delete(namespace, "leaving")).await;
    }
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let strip = json!({ "metadata": { "finalizers": [] } });
    let mut by_status = 0;
    for kind in &kinds {
        let call = kind.merge_by("status", namespace, "leaving", strip.clone());
        let answer = admin.send(&call).await.unwrap();
        // Some kinds leave metadata alone when a status is written; then nothing was finished.
        if answer.message().contains(&sign(namespace, "matter")) {
            by_status += 1;
        } else {
            assert!(answer.is_success(), "{call:?} {answer:?}");
        }
        let there = passes(&admin, kind.get(namespace, "leaving")).await;
        let finalizers = there["metadata"]["finalizers"].as_array().unwrap();
        assert!(
            finalizers.contains(&json!("example.com/keep")),
            "{}",
            kind.kind
        );
    }
    assert!(
        by_status > 3,
        "a status does carry finalizers for some kinds"
    );
    println!(
        "{by_status} of {} kinds take finalizers by status",
        kinds.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_going_takes_no_hold() {
    let stage = stage().await;
    let admin = stage.admin();
    stage.enrolled("going").await;
    let mut keeps = CONFIG_MAP.object("going", "keeps");
    keeps["metadata"]["finalizers"] = json!(["example.com/keep"]);
    passes(&admin, CONFIG_MAP.create("going", keeps)).await;
    passes(&admin, Call::new("DELETE", "/api/v1/namespaces/going")).await;
    let late = HOLD.create("going", hold("going", "late", &FIVE));
    refused(&admin, late, "being terminated").await;
    let strip = json!({ "metadata": { "finalizers": null } });
    passes(&admin, CONFIG_MAP.merge("going", "keeps", strip)).await;
}
