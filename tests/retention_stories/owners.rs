//! Objects that belong to others, and objects that do not go at once.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::{always, eventually};

use crate::case::{applied, policy, thing};
use crate::scene::{does, patches, result, scene};
use crate::stage::{PATIENCE, condition};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_owned_or_tracked_by_others_stays_and_is_told() {
    let scene = scene().await;
    let acme = scene.tenant_on("owned", "default").await;
    let namespace = acme.name.as_str();
    applied(&acme.admin, &thing(namespace, "owner", "owner")).await;
    let owner = scene.uid(namespace, "owner").await;
    let reference = |controller: Value| json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner, "controller": controller }]);
    let mut marked = Vec::new();
    let mut object = |name: &str, field: &str, value: Value| {
        let mut object = thing(namespace, name, "log");
        if field == "labels" {
            for (key, value) in value.as_object().unwrap() {
                object["metadata"]["labels"][key] = value.clone();
            }
        } else {
            object["metadata"][field] = value;
        }
        marked.push(object);
    };
    object("controlled", "ownerReferences", reference(json!(true)));
    object("belongs", "ownerReferences", reference(json!(null)));
    object(
        "by-argo",
        "annotations",
        json!({ "argocd.argoproj.io/tracking-id": "shop:/ConfigMap:owned/by-argo" }),
    );
    object(
        "by-flux",
        "labels",
        json!({ "kustomize.toolkit.fluxcd.io/name": "shop" }),
    );
    object(
        "by-helm",
        "annotations",
        json!({ "meta.helm.sh/release-name": "shop" }),
    );
    for object in &marked {
        applied(&acme.admin, object).await;
    }
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    let stay = ["by-argo", "by-flux", "by-helm", "controlled"];
    scene.things_are(namespace, "log", &stay).await;
    let said = scene
        .policy_is(namespace, "logs", "it says what stays and why", |policy| {
            let withheld = &policy["status"]["withheld"];
            withheld["byOwner"] == 1 && withheld["managedElsewhere"] == 3 && withheld["total"] == 4
        })
        .await;
    assert_eq!(
        condition(&said, "ManagedElsewhere"),
        ("True".to_owned(), "Tracked".to_owned())
    );
    let conditions = said["status"]["conditions"].to_string();
    for words in [
        "ConfigMap by-argo (Argo CD)",
        "ConfigMap by-flux (Flux)",
        "ConfigMap by-helm (Helm)",
    ] {
        assert!(conditions.contains(words), "{conditions}");
    }
    let stays = || async { scene.things(namespace, "log").await == stay };
    always("they stay", Duration::from_secs(3), stays)
        .await
        .unwrap();
    // Once nobody tracks it any more, it goes.
    let untracked = json!({ "metadata": { "annotations": { "meta.helm.sh/release-name": null } } });
    does(&acme.admin, patches(namespace, "by-helm", untracked)).await;
    scene
        .things_are(namespace, "log", &["by-argo", "by-flux", "controlled"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_finalizer_is_incomplete_until_it_is_gone_and_then_its_receipt_is_complete() {
    let scene = scene().await;
    let acme = scene.tenant_on("finalized", "default").await;
    let namespace = acme.name.as_str();
    let mut object = thing(namespace, "a", "log");
    object["metadata"]["finalizers"] = json!(["example.com/keep"]);
    applied(&acme.admin, &object).await;
    let uid = scene.uid(namespace, "a").await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    scene
        .policy_is(
            namespace,
            "logs",
            "its deletion is not complete",
            |policy| policy["status"]["disposed"]["incomplete"] == 1,
        )
        .await;
    let receipts = scene.receipts(&uid).await;
    assert_eq!(result(&receipts), "accepted, not complete", "{receipts:?}");
    assert_eq!(receipts.last().unwrap()["settled"], false);
    let once = || async {
        let receipts = scene.receipts(&uid).await;
        let intents = receipts.iter().filter(|entry| entry["phase"] == "intent");
        anyhow::ensure!(intents.count() == 1, "{receipts:?}");
        anyhow::Ok(())
    };
    always("it is asked for once", Duration::from_secs(4), once)
        .await
        .unwrap();
    let free = json!({ "metadata": { "finalizers": null } });
    does(&acme.admin, patches(namespace, "a", free)).await;
    scene.gone(&["cm", "a", "-n", namespace]).await;
    let receipts = eventually("its receipt is complete", PATIENCE, || async {
        let receipts = scene.receipts(&uid).await;
        anyhow::ensure!(result(&receipts) == "deleted", "{receipts:?}");
        anyhow::Ok(receipts)
    })
    .await
    .unwrap();
    let settled: Vec<&Value> = receipts.iter().map(|entry| &entry["settled"]).collect();
    assert_eq!(settled[1..], [&json!(false), &json!(true)], "{receipts:?}");
    scene
        .policy_is(namespace, "logs", "nothing is incomplete", |policy| {
            policy["status"]["disposed"]["incomplete"] == 0
                && policy["status"]["disposed"]["total"] == 1
        })
        .await;
}
