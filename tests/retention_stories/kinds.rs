//! Kinds that come and go, and kinds that the operator may not read.

use serde_json::{Value, json};
use testbed::eventually;

use crate::case::{applied, policy, thing};
use crate::scene::{Scene, result, scene};
use crate::stage::{PATIENCE, condition};

fn definition(plural: &str, kind: &str, scope: &str) -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.archive.example.com") },
        "spec": {
            "group": "archive.example.com", "scope": scope,
            "names": { "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase() },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    })
}

async fn installed(scene: &Scene, definition: &Value) {
    let admin = scene.cluster.admin();
    admin.apply_object(definition).await.unwrap();
    let name = definition["metadata"]["name"].as_str().unwrap();
    eventually("the kind is served", PATIENCE, || async {
        let found = admin.get(&["crd", name]).await?;
        anyhow::ensure!(condition(&found, "Established").0 == "True", "{found}");
        admin.get(&[name, "-A"]).await.map(drop)
    })
    .await
    .unwrap();
}

/// Makes a record, and returns its uid.
async fn recorded(scene: &Scene, namespace: &str, name: &str) -> String {
    let admin = scene.cluster.admin();
    let record = json!({
        "apiVersion": "archive.example.com/v1", "kind": "Record",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": "log" } }, "said": "what it holds",
    });
    eventually("the record is stored", PATIENCE, || async {
        admin.apply_object(&record).await
    })
    .await
    .unwrap();
    let stored = scene
        .get(&["records.archive.example.com", name, "-n", namespace])
        .await;
    stored["metadata"]["uid"].as_str().unwrap().to_owned()
}

fn selecting(namespace: &str, name: &str, kind: &str) -> Value {
    let keep = json!({ "atMost": "PT1S" });
    let mut policy = policy(namespace, name, "log", keep, "Dispose");
    policy["spec"]["select"] = json!([{
        "apiVersion": "archive.example.com/v1", "kind": kind, "matchLabels": { "app": "log" }
    }]);
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_waited_for_asks_for_the_right_that_is_missing_and_may_go_and_come_back() {
    let scene = scene().await;
    let acme = scene.tenant_on("archived", "default").await;
    let namespace = acme.name.as_str();
    let records = definition("records", "Record", "Namespaced");
    applied(&acme.admin, &selecting(namespace, "records", "Record")).await;
    let said = scene
        .policy_says(namespace, "records", "Ready", "False", "KindNotServed")
        .await;
    assert_eq!(condition(&said, "Stalled").0, "True");
    let conditions = said["status"]["conditions"].to_string();
    let words = "the cluster serves no archive.example.com/v1 Record";
    assert!(conditions.contains(words), "{conditions}");

    installed(scene, &records).await;
    let first = recorded(scene, namespace, "first").await;
    let said = scene
        .policy_says(namespace, "records", "Ready", "False", "NotPermitted")
        .await;
    let conditions = said["status"]["conditions"].to_string();
    for words in ["archive.example.com", "records", "get, list, watch, delete"] {
        assert!(conditions.contains(words), "{conditions}");
    }
    assert!(said["status"]["matched"].is_null(), "{said}");

    let operator = scene.cluster.operator_identity().await.unwrap();
    let give = async |name: &str, verbs: Value| {
        let rules = json!([{ "apiGroups": ["archive.example.com"], "resources": ["records"], "verbs": verbs }]);
        scene
            .cluster
            .give(operator.name(), name, &rules)
            .await
            .unwrap();
    };
    // Who may only look is told what else it takes, when something is due.
    give("records-seen", json!(["list", "watch"])).await;
    let said = scene
        .policy_says(namespace, "records", "Ready", "False", "Refused")
        .await;
    let conditions = said["status"]["conditions"].to_string();
    assert!(conditions.contains("cannot get resource"), "{conditions}");
    assert_eq!(said["status"]["matched"], 1);
    assert!(
        scene.receipts(&first).await.is_empty(),
        "nothing was announced"
    );
    give("records-disposed-of", json!(["get", "delete"])).await;
    scene
        .gone(&["records.archive.example.com", "first", "-n", namespace])
        .await;
    assert_eq!(result(&scene.receipts(&first).await), "deleted");

    let delete = ["delete", "crd", "records.archive.example.com"];
    scene
        .cluster
        .admin()
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    scene
        .policy_says(namespace, "records", "Ready", "False", "KindNotServed")
        .await;
    installed(scene, &records).await;
    let second = recorded(scene, namespace, "second").await;
    scene
        .gone(&["records.archive.example.com", "second", "-n", namespace])
        .await;
    assert_eq!(result(&scene.receipts(&second).await), "deleted");
    scene
        .policy_says(namespace, "records", "Ready", "True", "Disposing")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_without_namespaces_is_not_selected_and_keeps_nobody_else_from_disposing() {
    let scene = scene().await;
    let acme = scene.tenant_on("unplaced", "default").await;
    let namespace = acme.name.as_str();
    installed(scene, &definition("vaults", "Vault", "Cluster")).await;
    applied(&acme.admin, &selecting(namespace, "vaults", "Vault")).await;
    let said = scene
        .policy_says(namespace, "vaults", "Ready", "False", "KindNotServed")
        .await;
    let conditions = said["status"]["conditions"].to_string();
    assert!(conditions.contains("is not in namespaces"), "{conditions}");
    // Nobody keeps what is due for ever by a policy about what there is not.
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    scene.things_are(namespace, "log", &[]).await;
}
