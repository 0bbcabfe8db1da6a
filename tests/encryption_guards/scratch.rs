//! Scratch space stays off the node's disk where the baseline says so.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};

use crate::stage::{passes, refused, stage};

fn pod(namespace: &str, name: &str, volume: &Value) -> Call {
    let body = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace },
        "spec": { "containers": [{ "name": "main", "image": "none" }], "volumes": [{ "name": "tmp", "emptyDir": volume }] },
    });
    Call::new("POST", format!("/api/v1/namespaces/{namespace}/pods")).with(JSON, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn scratch_space_on_the_nodes_disk_is_refused_where_the_baseline_says_so() {
    let (stage, namespace) = (stage().await, "scratch");
    stage.enrolled(namespace).await;
    let refuses = json!({ "retention": [], "storageClasses": [], "emptyDir": "Refuse" });
    stage.told(namespace, refuses).await;
    let words = "scratch space tmp would lie on the disk of the node";
    stage
        .until(&pod(namespace, "canary", &json!({})).dry(), words)
        .await;
    let tenant = stage.tenant(namespace).await;
    for on_disk in [
        json!({}),
        json!({ "medium": "" }),
        json!({ "sizeLimit": "1Gi" }),
    ] {
        refused(
            &tenant,
            pod(namespace, "disk", &on_disk),
            &["Pod scratch/disk:", words],
        )
        .await;
    }
    passes(
        &tenant,
        pod(namespace, "memory", &json!({ "medium": "Memory" })),
    )
    .await;
    let pages = json!({ "medium": "HugePages", "sizeLimit": "4Mi" });
    let mut huge = pod(namespace, "pages", &pages);
    let resources = json!({ "limits": { "hugepages-2Mi": "4Mi", "memory": "8Mi", "cpu": "1" } });
    huge.body["spec"]["containers"][0]["resources"] = resources;
    passes(&tenant, huge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scratch_space_is_let_in_where_it_is_only_reported() {
    let (stage, namespace) = (stage().await, "reported");
    stage.enrolled(namespace).await;
    let reports = json!({ "retention": [], "storageClasses": [], "emptyDir": "Report" });
    stage.told(namespace, reports).await;
    let tenant = stage.tenant(namespace).await;
    passes(&tenant, pod(namespace, "disk", &json!({}))).await;
}
