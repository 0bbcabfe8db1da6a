//! A claim is disposed of when its volume is gone too.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::{always, eventually};

use crate::case::applied;
use crate::scene::{Scene, result, scene};
use crate::stage::{PATIENCE, Tenant};

// Of a class that no other test's claim names: the cluster binds a free volume to any claim that it fits.
const CLASS: &str = "retention-volumes";

async fn claim(scene: &Scene, acme: &Tenant<'_>, name: &str, reclaim: &str) -> String {
    let (namespace, volume) = (acme.name.as_str(), format!("{}-{name}", acme.name));
    let made = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": volume },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": reclaim, "nfs": { "server": "203.0.113.7", "path": "/" },
            "claimRef": { "namespace": namespace, "name": name },
        },
    });
    applied(scene.cluster.admin(), &made).await;
    let wanted = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": "data" } },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "volumeName": volume,
            "resources": { "requests": { "storage": "1Gi" } } },
    });
    applied(&acme.admin, &wanted).await;
    eventually("the claim is bound", PATIENCE, || async {
        let claim = scene.get(&["pvc", name, "-n", namespace]).await;
        anyhow::ensure!(claim["status"]["phase"] == "Bound", "{claim}");
        anyhow::Ok(claim["metadata"]["uid"].as_str().unwrap().to_owned())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claims_receipt_is_complete_once_its_volume_is_gone_and_a_retained_volume_is_told_for_as_long_as_it_is_there()
 {
    let scene = scene().await;
    let acme = scene.tenant_on("stored", "default").await;
    let namespace = acme.name.as_str();
    let freed = claim(scene, &acme, "freed", "Delete").await;
    let retained = claim(scene, &acme, "retained", "Retain").await;
    let policy = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": { "name": "data", "namespace": namespace },
        "spec": {
            "dataCategory": "SupportBilling",
            "select": [{ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "matchLabels": { "app": "data" } }],
            "keep": { "atMost": "PT1S" }, "basis": "Contract §7", "disposal": { "mode": "Dispose" }
        }
    });
    applied(&acme.admin, &policy).await;
    for name in ["freed", "retained"] {
        scene.gone(&["pvc", name, "-n", namespace]).await;
    }
    let incomplete =
        |number: i64| move |policy: &Value| policy["status"]["disposed"]["incomplete"] == number;
    scene
        .policy_is(namespace, "data", "two are incomplete", incomplete(2))
        .await;
    for uid in [&freed, &retained] {
        let receipts = scene.receipts(uid).await;
        assert!(
            receipts[0]["data"]["detail"]["volume"].is_string(),
            "{receipts:?}"
        );
        let complete = receipts.iter().filter(|entry| entry["settled"] == true);
        assert_eq!(complete.count(), 0, "{receipts:?}");
    }
    // This storage is gone by hand: nobody deletes a share of somebody's NFS.
    let delete = ["delete", "pv", "stored-freed", "--timeout=60s"];
    scene
        .cluster
        .admin()
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    scene
        .policy_is(namespace, "data", "one is incomplete", incomplete(1))
        .await;
    eventually("its receipt is complete", PATIENCE, || async {
        let receipts = scene.receipts(&freed).await;
        anyhow::ensure!(
            result(&receipts) == "deleted, its volume too",
            "{receipts:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let stays = || async {
        let policy = scene.get(&["retpol", "data", "-n", namespace]).await;
        anyhow::ensure!(incomplete(1)(&policy), "{}", policy["status"]);
        anyhow::Ok(())
    };
    always("a retained volume is told", Duration::from_secs(3), stays)
        .await
        .unwrap();
    let delete = ["delete", "pv", "stored-retained", "--timeout=60s"];
    scene
        .cluster
        .admin()
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    scene
        .policy_is(namespace, "data", "none is incomplete", incomplete(0))
        .await;
    assert_eq!(
        result(&scene.receipts(&retained).await),
        "deleted, its volume too"
    );
    scene.ledger_verifies();
}
