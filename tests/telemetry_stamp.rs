//! Where the API server can add to what is made, new pods are given what makes agents leave them out.
//!
//! No operator runs here; what it would write for guards to read is written in its name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[path = "support/pod.rs"]
mod support;

use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{APPLY, Answer, Call, Caller, JSON};
use testbed::tools::Kubernetes;
use testbed::{Cluster, ClusterOptions, eventually};

const PATIENCE: Duration = Duration::from_secs(120);
const SERVED: [&str; 2] = [
    "--api-versions",
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
];

async fn kinds(arguments: &[&str]) -> Vec<String> {
    let rendered = testbed::chart::render(&testbed::chart::folder(), arguments)
        .await
        .unwrap();
    let kinds = rendered
        .rest
        .iter()
        .map(|object| object["kind"].as_str().unwrap().to_owned());
    kinds.filter(|kind| kind.starts_with("Mutating")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stamp_is_in_the_chart_only_where_the_api_server_serves_its_kind() {
    assert!(kinds(&[]).await.is_empty());
    let stamp = ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"];
    assert_eq!(kinds(&SERVED).await, stamp);
}

fn pod(namespace: &str, metadata: &Value) -> Call {
    support::pod(namespace, "web", metadata).dry()
}

async fn send(who: &Caller, call: Call) -> Answer {
    let answer = who.send(&call).await.unwrap();
    assert!(answer.is_success(), "{}", who.told(&call, &answer));
    answer
}

async fn enrolled(cluster: &Cluster, name: &str) {
    let platform = cluster.platform_engineer().await.unwrap().caller().unwrap();
    let body = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": { "privacy.cloudnexus.io/tenant": "acme" } } });
    send(
        &platform,
        Call::new("POST", "/api/v1/namespaces").with(JSON, body),
    )
    .await;
}

fn carries(metadata: &Value) -> bool {
    metadata["annotations"]["ad.datadoghq.com/exclude"] == "true"
        && metadata["labels"]["admission.datadoghq.com/enabled"] == "false"
}

#[tokio::test(flavor = "multi_thread")]
async fn new_pods_are_given_their_markers_and_no_word_of_a_tenants_is_replaced() {
    let options = ClusterOptions {
        kubernetes: Some(Kubernetes::V1_36),
        ..ClusterOptions::new()
    };
    let cluster = Cluster::start(options).await.unwrap();
    cluster.install_chart_with(&SERVED).await.unwrap();
    let admin = cluster.admin().caller().unwrap();
    enrolled(&cluster, "acme-prod").await;
    enrolled(&cluster, "acme-test").await;
    let body = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
        "metadata": { "name": "current", "namespace": "acme-prod" },
        "spec": { "retention": [], "telemetry": { "channels": ["ThirdPartyAnalytics"], "pods": {
            "annotations": { "ad.datadoghq.com/exclude": "true" }, "labels": { "admission.datadoghq.com/enabled": "false" } } } },
    });
    let path = "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/acme-prod/guardparameters/current?fieldManager=covenant-parameters&force=true";
    let operator = cluster.operator_identity().await.unwrap().caller().unwrap();
    send(&operator, Call::new("PATCH", path).with(APPLY, body)).await;
    let silent = pod(
        "acme-prod",
        &json!({ "annotations": { "own": "yes" }, "labels": { "app": "web" } }),
    );
    eventually("a silent pod is given its markers", PATIENCE, || async {
        let answer = admin.send(&silent).await?;
        anyhow::ensure!(
            answer.is_success() && carries(&answer.body["metadata"]),
            "{answer:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let made = send(&admin, silent).await.body;
    assert_eq!(made["metadata"]["annotations"]["own"], "yes");
    assert_eq!(made["metadata"]["labels"]["app"], "web");
    let bare = send(&admin, pod("acme-prod", &json!({}))).await.body;
    assert!(carries(&bare["metadata"]), "{bare}");
    for contrary in [
        json!({ "annotations": { "ad.datadoghq.com/exclude": "false" } }),
        json!({ "labels": { "admission.datadoghq.com/enabled": "true" } }),
    ] {
        let call = pod("acme-prod", &contrary);
        eventually("a contrary pod is refused", PATIENCE, || async {
            let answer = admin.send(&call).await?;
            anyhow::ensure!(
                answer.code == 403 && answer.message().contains("[ContraryMarker]"),
                "{answer:?}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "main", "image": "none" }] } });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "web" } }, "template": template } });
    let all = "/apis/apps/v1/namespaces/acme-prod/deployments";
    send(&admin, Call::new("POST", all).with(JSON, deployment)).await;
    let listed = Call::new("GET", "/api/v1/namespaces/acme-prod/pods");
    eventually(
        "a controller's pod is given its markers",
        PATIENCE,
        || async {
            let answer = admin.send(&listed).await?;
            anyhow::ensure!(carries(&answer.body["items"][0]["metadata"]), "{answer:?}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    let elsewhere = pod("acme-test", &json!({}));
    eventually("a pod elsewhere is let in as it is", PATIENCE, || async {
        let answer = admin.send(&elsewhere).await?;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::ensure!(!carries(&answer.body["metadata"]), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}
