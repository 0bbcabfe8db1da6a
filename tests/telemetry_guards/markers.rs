//! Pods and namespaces keep what makes agents leave them out, and nothing asks an agent to collect.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};

use crate::stage::{left_out, marking, passes, pod, refused, stage};

/// What is left out, with this beside.
fn with(key: &str, name: &str, value: Value) -> Value {
    let mut metadata = left_out();
    metadata[key][name] = value;
    metadata
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pod_carries_what_makes_agents_leave_it_out() {
    let (stage, namespace) = (stage().await, "acme-new");
    stage.enrolled(namespace).await;
    stage.opt_out(namespace).await;
    let told = [
        "Pod acme-new/web",
        "TelemetryOptOut acme-new/default",
        "annotation ad.datadoghq.com/exclude: \"true\"",
        "label admission.datadoghq.com/enabled: \"false\"",
        "[MarkerMissing]",
    ];
    for who in stage.everybody(namespace).await {
        refused(&who, pod(namespace, "web", &json!({})), &told).await;
        let without_label = json!({ "annotations": left_out()["annotations"] });
        let lacks = "Write into its metadata, or into the metadata of the template that it is made from: label admission";
        refused(&who, pod(namespace, "web", &without_label), &[lacks]).await;
        let without_annotation = json!({ "labels": left_out()["labels"] });
        refused(
            &who,
            pod(namespace, "web", &without_annotation),
            &["[MarkerMissing]"],
        )
        .await;
        let contrary = with("annotations", "ad.datadoghq.com/exclude", json!("false"));
        let words = [
            "Write: annotation ad.datadoghq.com/exclude: \"true\"",
            "[ContraryMarker]",
        ];
        refused(&who, pod(namespace, "web", &contrary), &words).await;
        let contrary = with("labels", "admission.datadoghq.com/enabled", json!("true"));
        refused(
            &who,
            pod(namespace, "web", &contrary),
            &["[ContraryMarker]"],
        )
        .await;
        for asking in ["true", "", "acme/java"] {
            let asking = with(
                "annotations",
                "sidecar.opentelemetry.io/inject",
                json!(asking),
            );
            let words = [
                "Leave out, or write: annotation sidecar.opentelemetry.io/inject: \"false\"",
                "[AsksToCollect]",
            ];
            refused(&who, pod(namespace, "web", &asking), &words).await;
        }
        passes(&who, pod(namespace, "web", &left_out()).dry()).await;
        let silent = with("annotations", "prometheus.io/scrape", json!("false"));
        passes(&who, pod(namespace, "web", &silent).dry()).await;
    }
    let mut unnamed = pod(namespace, "", &json!({ "generateName": "web-" }));
    unnamed.body["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("name");
    refused(
        &stage.admin(),
        unnamed,
        &["Pod acme-new/web-", "[MarkerMissing]"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pod_carries_is_neither_taken_off_nor_turned_round_by_any_way() {
    let (stage, namespace) = (stage().await, "acme-kept");
    stage.enrolled(namespace).await;
    stage.opt_out(namespace).await;
    let admin = stage.admin();
    passes(&admin, pod(namespace, "web", &left_out())).await;
    let path = format!("/api/v1/namespaces/{namespace}/pods/web");
    let changes = [
        (
            json!({ "annotations": { "ad.datadoghq.com/exclude": null } }),
            "[MarkerRemoved]",
        ),
        (
            json!({ "annotations": { "ad.datadoghq.com/exclude": "no" } }),
            "[ContraryMarker]",
        ),
        (
            json!({ "labels": { "admission.datadoghq.com/enabled": null } }),
            "[MarkerRemoved]",
        ),
        (
            json!({ "labels": { "admission.datadoghq.com/enabled": "true" } }),
            "[ContraryMarker]",
        ),
        (
            json!({ "annotations": { "prometheus.io/scrape": "true" } }),
            "[AsksToCollect]",
        ),
    ];
    for who in stage.everybody(namespace).await {
        for (change, words) in &changes {
            refused(&who, marking(path.clone(), change), &[words]).await;
        }
        passes(
            &who,
            marking(path.clone(), &json!({ "annotations": { "tended": "yes" } })),
        )
        .await;
    }
    for part in ["status", "resize", "ephemeralcontainers"] {
        for (change, _) in &changes {
            let by_part = format!("{path}/{part}");
            let call = marking(by_part, change);
            // Whether a part of a pod carries metadata is the API server's business: what it stores is not.
            admin.send(&call).await.unwrap();
        }
    }
    for (change, words) in &changes {
        refused(&admin, marking(format!("{path}/status"), change), &[words]).await;
    }
    // A status brings annotations and labels along, so that nothing above was refused in vain.
    let beside = json!({ "annotations": { "by-status": "yes" }, "labels": { "by-status": "yes" } });
    passes(&admin, marking(format!("{path}/status"), &beside)).await;
    let stored = passes(&admin, Call::new("GET", path.clone())).await.body;
    assert_eq!(stored["metadata"]["annotations"]["by-status"], "yes");
    assert_eq!(stored["metadata"]["labels"]["by-status"], "yes");
    assert_eq!(
        stored["metadata"]["annotations"]["ad.datadoghq.com/exclude"],
        "true"
    );
    assert_eq!(
        stored["metadata"]["labels"]["admission.datadoghq.com/enabled"],
        "false"
    );
    assert_eq!(
        stored["metadata"]["annotations"].get("prometheus.io/scrape"),
        None
    );
    let gone = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 });
    passes(&admin, Call::new("DELETE", path).with(JSON, gone)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_brings_no_contrary_word_into_a_pod() {
    let (stage, namespace) = (stage().await, "acme-bound");
    stage.enrolled(namespace).await;
    stage.opt_out(namespace).await;
    let admin = stage.admin();
    passes(&admin, pod(namespace, "web", &left_out())).await;
    let bind = |path: &str, annotations: Value| {
        let body = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "web", "annotations": annotations },
            "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
        });
        Call::new("POST", format!("/api/v1/namespaces/{namespace}/{path}")).with(JSON, body)
    };
    for path in ["pods/web/binding", "bindings"] {
        let contrary = json!({ "ad.datadoghq.com/exclude": "false" });
        refused(&admin, bind(path, contrary), &["[ContraryMarker]"]).await;
        let asking = json!({ "prometheus.io/scrape": "true" });
        refused(&admin, bind(path, asking), &["[AsksToCollect]"]).await;
    }
    passes(&admin, bind("pods/web/binding", json!({ "tended": "yes" }))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_publishes_a_pod_asks_no_agent_to_collect() {
    let (stage, namespace) = (stage().await, "acme-published");
    stage.enrolled(namespace).await;
    stage.opt_out(namespace).await;
    let admin = stage.admin();
    let rules =
        json!({ "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } } });
    for (all, version, kind, spec) in [
        (
            "/api/v1",
            "v1",
            "Service",
            json!({ "ports": [{ "port": 80 }] }),
        ),
        ("/api/v1", "v1", "Endpoints", Value::Null),
        (
            "/apis/networking.k8s.io/v1",
            "networking.k8s.io/v1",
            "Ingress",
            rules,
        ),
    ] {
        let plural = match kind {
            "Service" => "services",
            "Ingress" => "ingresses",
            _ => "endpoints",
        };
        let all = format!("{all}/namespaces/{namespace}/{plural}");
        let made = |scrape: &str| {
            let mut body = json!({ "apiVersion": version, "kind": kind, "metadata": {
                "name": "web", "annotations": { "prometheus.io/scrape": scrape } } });
            if !spec.is_null() {
                body["spec"] = spec.clone();
            }
            Call::new("POST", all.clone()).with(JSON, body)
        };
        let named = format!("{kind} {namespace}/web asks agents to collect");
        refused(&admin, made("true"), &[&named, "[AsksToCollect]"]).await;
        passes(&admin, made("false")).await;
        let asking = json!({ "annotations": { "prometheus.io/scrape": "true" } });
        refused(
            &admin,
            marking(format!("{all}/web"), &asking),
            &["[AsksToCollect]"],
        )
        .await;
        if kind != "Endpoints" {
            refused(
                &admin,
                marking(format!("{all}/web/status"), &asking),
                &["[AsksToCollect]"],
            )
            .await;
        }
        let silent = json!({ "annotations": { "prometheus.io/scrape": null, "ad.datadoghq.com/exclude": "whatever" } });
        passes(&admin, marking(format!("{all}/web"), &silent)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_keeps_what_makes_agents_leave_it_out_and_asks_none_to_collect() {
    let (stage, namespace) = (stage().await, "acme-marked");
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme", "monitoring": "off" });
    let annotations = json!({ "monitoring.example.com/skip": "yes" });
    stage.made(namespace, labels, annotations).await;
    stage.opt_out(namespace).await;
    let admin = stage.admin();
    let path = format!("/api/v1/namespaces/{namespace}");
    for (change, words) in [
        (
            json!({ "labels": { "monitoring": null } }),
            "[MarkerRemoved]",
        ),
        (
            json!({ "labels": { "monitoring": "on" } }),
            "[ContraryMarker]",
        ),
        (
            json!({ "annotations": { "monitoring.example.com/skip": null } }),
            "[MarkerRemoved]",
        ),
        (
            json!({ "annotations": { "monitoring.example.com/skip": "no" } }),
            "[ContraryMarker]",
        ),
        (
            json!({ "annotations": { "sidecar.opentelemetry.io/inject": "true" } }),
            "[AsksToCollect]",
        ),
    ] {
        for part in ["", "/status"] {
            let call = marking(format!("{path}{part}"), &change);
            refused(&admin, call, &["Namespace acme-marked ", words]).await;
        }
        let mut finalized = passes(&admin, Call::new("GET", path.clone())).await.body;
        for (part, values) in change.as_object().unwrap() {
            for (key, value) in values.as_object().unwrap() {
                let all = finalized["metadata"][part].as_object_mut().unwrap();
                match value {
                    Value::Null => drop(all.remove(key)),
                    value => drop(all.insert(key.clone(), value.clone())),
                }
            }
        }
        let call = Call::new("PUT", format!("{path}/finalize")).with(JSON, finalized);
        refused(&admin, call, &[words]).await;
    }
    passes(
        &admin,
        marking(path, &json!({ "labels": { "team": "web" } })),
    )
    .await;
}
