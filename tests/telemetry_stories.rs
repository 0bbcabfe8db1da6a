//! Opting out and in again with the operator running: what guards then refuse, what the status says, and what is left after.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(
    dead_code,
    reason = "shared with the tests of the guards, which use all of it"
)]
#[path = "telemetry_guards/definitions.rs"]
mod definitions;
#[path = "telemetry_stories/monitors.rs"]
mod monitors;
#[allow(
    dead_code,
    reason = "the stage is the stories', and this is one of them"
)]
#[path = "stories/stage.rs"]
mod stage;

#[path = "telemetry_stories/marked.rs"]
mod marked;
#[path = "support/pod.rs"]
mod support;

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::Call;

use stage::{PATIENCE, Stage, baseline};

const NAMESPACE: &str = "acme-shop";

fn pod(metadata: &Value) -> Call {
    support::pod(NAMESPACE, "web", metadata).dry()
}

/// Waits until what the administrator asks is refused in these words, or let through where there are none.
async fn answers(stage: &Stage, call: &Call, words: Option<&str>) {
    let admin = stage.cluster.admin().caller().unwrap();
    eventually(&format!("{words:?}"), PATIENCE, || async {
        let answer = admin.send(call).await?;
        let is_so = match words {
            Some(words) => answer.code == 403 && answer.message().contains(words),
            None => answer.is_success(),
        };
        anyhow::ensure!(is_so, "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

pub async fn applied(stage: &Stage, object: &Value) {
    let answer = stage.engineer.apply(&object.to_string()).await.unwrap();
    answer.success().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opts_out_has_markers_asked_for_and_who_opts_in_again_has_what_was_before() {
    let stage = Stage::new().await;
    stage.enrol(NAMESPACE, "acme").await;
    let mut registering = baseline("default", "P90D");
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } });
    registering["spec"]["telemetry"] = json!({ "agents": [
        { "name": "datadog", "channel": "ThirdPartyAnalytics", "respects": "Datadog", "namespaceSelector": selector },
        { "name": "prometheus", "channel": "PlatformTelemetry", "respects": "PrometheusOperator", "namespaceSelector": selector },
    ] });
    applied(&stage, &registering).await;
    let silent = pod(&json!({}));
    answers(&stage, &silent, None).await;
    let admin = stage.cluster.admin();
    let opt_out = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TelemetryOptOut",
        "metadata": { "name": "default", "namespace": NAMESPACE },
        "spec": { "channels": ["PlatformTelemetry", "ThirdPartyAnalytics"] },
    });
    admin.apply_object(&opt_out).await.unwrap();
    answers(&stage, &silent, Some("[MarkerMissing]")).await;
    let marked = json!({
        "annotations": { "ad.datadoghq.com/exclude": "true" }, "labels": { "admission.datadoghq.com/enabled": "false" },
    });
    answers(&stage, &pod(&marked), None).await;
    eventually("monitors are told as refused", PATIENCE, || async {
        let found = admin
            .get(&["telemetryoptout", "default", "-n", NAMESPACE])
            .await?;
        let channels = found["status"]["channels"].as_array();
        let platform = channels.and_then(|channels| {
            channels
                .iter()
                .find(|channel| channel["name"] == "PlatformTelemetry")
        });
        let by = platform.map(|platform| platform["by"].clone());
        anyhow::ensure!(
            by == Some(json!(["NetworkDenied", "MonitorsRefused"])),
            "{found}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let itself = format!(
        "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{NAMESPACE}/telemetryoptouts/default"
    );
    let caller = admin.caller().unwrap();
    let gone = caller.send(&Call::new("DELETE", itself)).await.unwrap();
    assert!(gone.is_success(), "{gone:?}");
    answers(&stage, &silent, None).await;
}
