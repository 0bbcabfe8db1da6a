//! Prometheus discovers pods and scrapes those that carry its word, before an opt-out, under it and after it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testbed::collectors::Prometheus;
use testbed::eventually;
use testbed::raw::{Call, MERGE};

use crate::endpoint::{ADDRESS, Endpoint};
use crate::stage::{Stage, gone, is_refused, passes, pod, stage};
use crate::stories::PATIENCE;

const SHOP: &str = "acme-shop";
const ELSEWHERE: &str = "globex-shop";

/// Pods that carry the word, at the port that they name: what clusters without monitors of their own are told to configure.
fn by_annotations(kubeconfig: &str) -> Value {
    let word = |name: &str| format!("__meta_kubernetes_pod_annotation_prometheus_io_{name}");
    json!([{
        "job_name": "pods",
        "kubernetes_sd_configs": [{ "role": "pod", "kubeconfig_file": kubeconfig }],
        "relabel_configs": [
            { "source_labels": [word("scrape")], "action": "keep", "regex": "true" },
            { "source_labels": ["__meta_kubernetes_pod_ip", word("port")], "separator": ":", "target_label": "__address__" },
            { "source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace" },
            { "source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod" },
        ],
    }])
}

/// The word and the port.
fn asks(endpoint: &Endpoint) -> Value {
    json!({ "annotations": { "prometheus.io/scrape": "true", "prometheus.io/port": endpoint.port.to_string() } })
}

/// The port alone.
fn silent(endpoint: &Endpoint) -> Value {
    json!({ "annotations": { "prometheus.io/port": endpoint.port.to_string() } })
}

/// Makes a pod and has it run, as a kubelet would say.
async fn runs(stage: &Stage, namespace: &str, name: &str, metadata: &Value) {
    let admin = stage.admin();
    passes(&admin, pod(namespace, name, metadata)).await;
    let status = json!({ "status": {
        "phase": "Running", "podIP": ADDRESS, "podIPs": [{ "ip": ADDRESS }],
        "conditions": [{ "type": "Ready", "status": "True" }],
    } });
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
    passes(&admin, Call::new("PATCH", path).with(MERGE, status)).await;
}

/// Namespaces and pods among these targets.
fn pods(targets: &Value, labels: &str, namespace: &str, name: &str) -> BTreeSet<(String, String)> {
    let all = targets.as_array().into_iter().flatten();
    let text = |target: &Value, label: &str| {
        let found = target[labels][label].as_str();
        found.unwrap_or_default().to_owned()
    };
    all.map(|target| (text(target, namespace), text(target, name)))
        .collect()
}

/// Waits until exactly these pods are targets, and each of them has the metric.
async fn targets(prometheus: &Prometheus, expected: &[(&str, &str)]) {
    let expected: BTreeSet<(String, String)> = expected
        .iter()
        .map(|&(namespace, pod)| (namespace.to_owned(), pod.to_owned()))
        .collect();
    eventually("the targets are as told", PATIENCE, || async {
        let found = prometheus.targets().await?;
        let active = pods(&found["activeTargets"], "labels", "namespace", "pod");
        anyhow::ensure!(active == expected, "{active:?}");
        let series = Value::Array(prometheus.series("orders_total").await?);
        let told = pods(&series, "metric", "namespace", "pod");
        anyhow::ensure!(told == expected, "series of {told:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

/// Waits until Prometheus knows of this pod and has dropped it.
async fn dropped(prometheus: &Prometheus, namespace: &str, name: &str) {
    eventually("a pod is known and dropped", PATIENCE, || async {
        let found = prometheus.targets().await?;
        let dropped = pods(
            &found["droppedTargets"],
            "discoveredLabels",
            "__meta_kubernetes_namespace",
            "__meta_kubernetes_pod_name",
        );
        anyhow::ensure!(
            dropped.contains(&(namespace.to_owned(), name.to_owned())),
            "{dropped:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

/// Waits until this endpoint was scraped so often from now on.
async fn scraped(endpoint: &Endpoint, times: usize) {
    let before = endpoint.scraped();
    eventually("it is scraped", PATIENCE, || async {
        let scraped = endpoint.scraped() - before;
        anyhow::ensure!(scraped >= times, "{scraped} times");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_a_namespace_until_it_opts_out_and_from_when_it_opts_in_again() {
    let stage = stage().await;
    stage.enrolled(SHOP, "acme").await;
    stage.enrolled(ELSEWHERE, "globex").await;
    let [web, other, quiet, again] = [
        Endpoint::new().await,
        Endpoint::new().await,
        Endpoint::new().await,
        Endpoint::new().await,
    ];
    let reader = stage.reader("prometheus").await;
    let kubeconfig = reader.kubeconfig().display().to_string();
    let prometheus = Prometheus::start(stage.cluster.folder(), &by_annotations(&kubeconfig))
        .await
        .unwrap();

    runs(stage, SHOP, "web", &asks(&web)).await;
    runs(stage, ELSEWHERE, "web", &asks(&other)).await;
    targets(&prometheus, &[(SHOP, "web"), (ELSEWHERE, "web")]).await;
    scraped(&web, 2).await;
    scraped(&other, 2).await;

    stage.opted_out(SHOP, "PlatformTelemetry").await;
    let asking = pod(SHOP, "asking", &asks(&web)).dry();
    stage
        .answers(&asking, |answer| is_refused(answer, "[AsksToCollect]"))
        .await;
    runs(stage, SHOP, "quiet", &silent(&quiet)).await;
    dropped(&prometheus, SHOP, "quiet").await;
    passes(&stage.admin(), gone(SHOP, "web")).await;
    targets(&prometheus, &[(ELSEWHERE, "web")]).await;
    let last = web.scraped();
    // Each of these is a round of Prometheus' in which it could have come.
    scraped(&other, 5).await;
    assert_eq!(web.scraped(), last, "the pod of before is gone");
    assert_eq!(quiet.scraped(), 0, "nobody asked for it");
    dropped(&prometheus, SHOP, "quiet").await;

    stage.opted_in(SHOP).await;
    stage.answers(&asking, |answer| answer.is_success()).await;
    runs(stage, SHOP, "again", &asks(&again)).await;
    targets(&prometheus, &[(SHOP, "again"), (ELSEWHERE, "web")]).await;
    scraped(&again, 2).await;
    assert_eq!(quiet.scraped(), 0, "it says nothing still");
}
