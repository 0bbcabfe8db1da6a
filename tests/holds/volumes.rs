//! The volumes behind held claims: cluster-scoped, so a label that the operator puts on decides.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON, MERGE};

use super::stage::{passes, refused, stage};

const VOLUMES: &str = "/api/v1/persistentvolumes";
const WORDS: &str = "is behind a claim that a ProcessingHold keeps";

// Of a class that no other test's claim names: the cluster binds a free volume to any claim that it fits.
const CLASS: &str = "volumes";

fn volume(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": name, "labels": labels, "finalizers": ["example.com/keep"] },
        "spec": {
            "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Delete", "nfs": { "server": "203.0.113.7", "path": "/" },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_behind_a_held_claim_is_neither_deleted_nor_set_back_nor_unlabelled() {
    let stage = stage().await;
    let (admin, gitops) = (stage.admin(), stage.gitops.caller().unwrap());
    let operator = stage.operator.caller().unwrap();
    let path = |name: &str| format!("{VOLUMES}/{name}");
    let merge = |path: String, patch: Value| Call::new("PATCH", path).with(MERGE, patch);
    let keeps = json!({
        "metadata": {
            "labels": { "privacy.cloudnexus.io/held": "true" }, "annotations": { "privacy.cloudnexus.io/reclaim-policy": "Delete" },
        },
        "spec": { "persistentVolumeReclaimPolicy": "Retain" },
    });
    for name in ["held", "leaving"] {
        let create = Call::new("POST", VOLUMES).with(JSON, volume(name, json!({})));
        passes(&admin, create).await;
        // Nobody but the operator says that a volume is held.
        refused(&admin, merge(path(name), keeps.clone()), WORDS).await;
        if name == "leaving" {
            passes(&admin, Call::new("DELETE", path(name))).await;
        }
        passes(&operator, merge(path(name), keeps.clone())).await;
    }
    let forged = volume("forged", json!({ "privacy.cloudnexus.io/held": "true" }));
    let create = Call::new("POST", VOLUMES).with(JSON, forged);
    for who in [&admin, &gitops] {
        refused(who, create.clone(), WORDS).await;
        refused(who, Call::new("DELETE", path("held")), WORDS).await;
        refused(who, Call::new("DELETE", VOLUMES), WORDS).await;
        for patch in [
            json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } }),
            json!({ "spec": { "persistentVolumeReclaimPolicy": "Recycle" } }),
            json!({ "metadata": { "labels": { "privacy.cloudnexus.io/held": null } } }),
            json!({ "metadata": { "labels": { "privacy.cloudnexus.io/held": "false" } } }),
            json!({ "metadata": { "labels": null } }),
            json!({ "metadata": { "annotations": { "privacy.cloudnexus.io/reclaim-policy": null } } }),
        ] {
            refused(who, merge(path("held"), patch.clone()), WORDS).await;
            if patch["metadata"].is_object() {
                let by_status = format!("{}/status", path("held"));
                refused(who, merge(by_status, patch), WORDS).await;
            }
        }
        let strip = json!({ "metadata": { "finalizers": null } });
        for path in [path("leaving"), format!("{}/status", path("leaving"))] {
            refused(who, merge(path, strip.clone()), WORDS).await;
        }
    }
    // Nor is it given to a claim where no hold is.
    let mut bound = volume("bound", json!({}));
    bound["spec"]["claimRef"] = json!({ "namespace": "volumes-held", "name": "data" });
    passes(&admin, Call::new("POST", VOLUMES).with(JSON, bound)).await;
    passes(&operator, merge(path("bound"), keeps.clone())).await;
    let claim = |claim: Value| json!({ "spec": { "claimRef": claim } });
    passes(&admin, merge(path("bound"), claim(json!({ "uid": "1" })))).await;
    for other in [
        Value::Null,
        json!({ "namespace": "elsewhere" }),
        json!({ "name": "other" }),
        json!({ "uid": "2" }),
        json!({ "uid": null }),
    ] {
        refused(&admin, merge(path("bound"), claim(other)), WORDS).await;
    }
    // The controllers that bind and release it go on.
    let phase = json!({ "status": { "phase": "Released" } });
    passes(&admin, merge(format!("{}/status", path("held")), phase)).await;
    let note = json!({ "metadata": { "annotations": { "a": "b" }, "labels": { "team": "x" } } });
    passes(&admin, merge(path("held"), note)).await;
    // At release the operator takes it back, and then it is like any other.
    let back = json!({
        "metadata": {
            "labels": { "privacy.cloudnexus.io/held": null }, "annotations": { "privacy.cloudnexus.io/reclaim-policy": null },
        },
        "spec": { "persistentVolumeReclaimPolicy": "Delete" },
    });
    let strip = json!({ "metadata": { "finalizers": null } });
    refused(
        &operator,
        Call::new("DELETE", path("held")),
        "cannot delete",
    )
    .await;
    for name in ["held", "leaving", "bound"] {
        passes(&operator, merge(path(name), back.clone())).await;
        admin.send(&Call::new("DELETE", path(name))).await.unwrap();
        passes(&admin, merge(path(name), strip.clone())).await;
    }
}
