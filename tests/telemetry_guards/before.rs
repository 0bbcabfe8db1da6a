//! Where the guards stand back: nothing opted out of, observing, not enrolled, and pods of before.

use serde_json::json;
use testbed::eventually;
use testbed::raw::{Call, JSON};

use crate::collectors::collects;
use crate::definitions;
use crate::stage::{PATIENCE, everything, marking, passes, pod, refused, stage};

fn deployment(namespace: &str) -> Call {
    let body = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "asks" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "asks" } }, "template": {
            "metadata": { "labels": { "app": "asks" }, "annotations": { "prometheus.io/scrape": "true" } },
            "spec": { "containers": [{ "name": "main", "image": "none" }] } } },
    });
    Call::new(
        "POST",
        format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
    )
    .with(JSON, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_opted_out_of_nothing_is_judged() {
    let stage = stage().await;
    let (opted_in, unread, not_enrolled) =
        ("acme-opted-in", "acme-unread", "telemetry-not-enrolled");
    stage.enrolled(opted_in).await;
    stage.told(opted_in, json!({ "retention": [] })).await;
    stage.enrolled(unread).await;
    stage.made(not_enrolled, json!({}), json!({})).await;
    stage.told(not_enrolled, everything()).await;
    let admin = stage.admin();
    let asking = json!({ "annotations": { "prometheus.io/scrape": "true", "ad.datadoghq.com/exclude": "false" } });
    for namespace in [opted_in, unread, not_enrolled] {
        passes(&admin, pod(namespace, "web", &asking)).await;
        passes(&admin, deployment(namespace)).await;
        passes(
            &admin,
            marking(format!("/api/v1/namespaces/{namespace}"), &asking),
        )
        .await;
        for kind in definitions::KINDS {
            passes(&admin, collects(&kind, namespace)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_observes_is_warned_and_let_through() {
    let (stage, namespace) = (stage().await, "acme-watching");
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.made(namespace, labels, json!({})).await;
    stage.told(namespace, everything()).await;
    let admin = stage.admin();
    for (call, sign) in [
        (pod(namespace, "web", &json!({})), "[MarkerMissing]"),
        (deployment(namespace), "[ContraryTemplate]"),
        (
            collects(&definitions::KINDS[0], namespace),
            "[TellsToCollect]",
        ),
    ] {
        let call = call.dry();
        eventually("it is warned of", PATIENCE, || async {
            let answer = admin.send(&call).await?;
            let mut warnings = answer.warnings.iter();
            anyhow::ensure!(
                answer.is_success() && warnings.any(|warning| warning.contains(sign)),
                "{answer:?}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_and_services_of_before_can_be_tended_healed_and_not_made_worse() {
    let (stage, namespace) = (stage().await, "acme-old-pods");
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme", "monitoring": "on" });
    stage
        .made(
            namespace,
            labels,
            json!({ "sidecar.opentelemetry.io/inject": "true" }),
        )
        .await;
    let admin = stage.admin();
    let contrary = json!({
        "annotations": { "prometheus.io/scrape": "true", "ad.datadoghq.com/exclude": "false" },
        "labels": { "admission.datadoghq.com/enabled": "true" },
    });
    passes(&admin, pod(namespace, "contrary", &contrary)).await;
    passes(&admin, pod(namespace, "silent", &json!({}))).await;
    stage.opt_out(namespace).await;
    let path = |name: &str| format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let tended = json!({ "annotations": { "tended": "yes" } });
    for name in ["contrary", "silent"] {
        passes(&admin, marking(path(name), &tended)).await;
        passes(&admin, marking(format!("{}/status", path(name)), &tended)).await;
    }
    for worse in [
        json!({ "annotations": { "prometheus.io/scrape": "yes" } }),
        json!({ "annotations": { "ad.datadoghq.com/exclude": "no" } }),
        json!({ "labels": { "admission.datadoghq.com/enabled": "yes" } }),
    ] {
        refused(
            &admin,
            marking(path("contrary"), &worse),
            &["Pod acme-old-pods/contrary"],
        )
        .await;
        refused(
            &admin,
            marking(path("silent"), &worse),
            &["Pod acme-old-pods/silent"],
        )
        .await;
    }
    // Taking a contrary word off is no loss of a marker.
    passes(&admin, marking(path("contrary"), &json!({ "annotations": { "prometheus.io/scrape": null, "ad.datadoghq.com/exclude": null }, "labels": { "admission.datadoghq.com/enabled": null } }))).await;
    let healed = json!({ "annotations": { "ad.datadoghq.com/exclude": "true" }, "labels": { "admission.datadoghq.com/enabled": "false" } });
    for name in ["contrary", "silent"] {
        passes(&admin, marking(path(name), &healed)).await;
    }
    let itself = format!("/api/v1/namespaces/{namespace}");
    passes(
        &admin,
        marking(itself.clone(), &json!({ "labels": { "team": "web" } })),
    )
    .await;
    refused(
        &admin,
        marking(
            itself.clone(),
            &json!({ "labels": { "monitoring": "yes" } }),
        ),
        &["[ContraryMarker]"],
    )
    .await;
    let healed = json!({ "labels": { "monitoring": "off" }, "annotations": { "sidecar.opentelemetry.io/inject": null } });
    passes(&admin, marking(itself, &healed)).await;
}
