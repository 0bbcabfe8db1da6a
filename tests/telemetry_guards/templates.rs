//! Who writes a template of pods is told of what its pods would be refused for.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON, MERGE};

use crate::stage::{left_out, passes, refused, stage};

const KINDS: [(&str, &str, &str); 8] = [
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("batch/v1", "Job", "jobs"),
    ("batch/v1", "CronJob", "cronjobs"),
    ("v1", "ReplicationController", "replicationcontrollers"),
    ("v1", "PodTemplate", "podtemplates"),
];

fn all(version: &str, namespace: &str, plural: &str) -> String {
    let root = if version == "v1" { "/api" } else { "/apis" };
    format!("{root}/{version}/namespaces/{namespace}/{plural}")
}

/// A workload whose template has this metadata.
fn workload(version: &str, kind: &str, metadata: &Value) -> Value {
    let labels = json!({ "app": "web" });
    let mut template = json!({ "metadata": metadata, "spec": { "containers": [{ "name": "main", "image": "none" }] } });
    template["metadata"]["labels"]["app"] = json!("web");
    let mut made = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "web" } });
    let selected = json!({ "selector": { "matchLabels": labels }, "template": template });
    match kind {
        "PodTemplate" => made["template"] = template,
        "ReplicationController" => {
            made["spec"] = json!({ "replicas": 0, "selector": labels, "template": template });
        }
        "Job" | "CronJob" => {
            template["spec"]["restartPolicy"] = json!("Never");
            let job = json!({ "suspend": true, "template": template });
            made["spec"] = if kind == "Job" {
                job
            } else {
                json!({ "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": job } })
            };
        }
        "DaemonSet" => made["spec"] = selected,
        _ => {
            made["spec"] = selected;
            made["spec"]["replicas"] = json!(0);
            if kind == "StatefulSet" {
                made["spec"]["serviceName"] = json!("web");
            }
        }
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_says_nothing_contrary_and_may_leave_things_out() {
    let (stage, namespace) = (stage().await, "acme-templates");
    stage.enrolled(namespace).await;
    stage.opt_out(namespace).await;
    let admin = stage.admin();
    for (version, kind, plural) in KINDS {
        let all = all(version, namespace, plural);
        let make = |metadata: Value| {
            Call::new("POST", all.clone())
                .with(JSON, workload(version, kind, &metadata))
                .dry()
        };
        let named = format!("{kind} {namespace}/web: pods of its template");
        for (contrary, wanted) in [
            (
                json!({ "annotations": { "ad.datadoghq.com/exclude": "false" } }),
                "annotation ad.datadoghq.com/exclude: \"true\"",
            ),
            (
                json!({ "labels": { "admission.datadoghq.com/enabled": "true" } }),
                "label admission.datadoghq.com/enabled: \"false\"",
            ),
            (
                json!({ "annotations": { "prometheus.io/scrape": "true" } }),
                "annotation prometheus.io/scrape: \"false\"",
            ),
        ] {
            refused(
                &admin,
                make(contrary),
                &[&named, wanted, "[ContraryTemplate]"],
            )
            .await;
        }
        passes(&admin, make(json!({}))).await;
        passes(&admin, make(left_out())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_of_before_can_be_tended_and_not_made_worse() {
    let (stage, namespace) = (stage().await, "acme-old-templates");
    stage.enrolled(namespace).await;
    let admin = stage.admin();
    let contrary = json!({ "annotations": { "prometheus.io/scrape": "true", "ad.datadoghq.com/exclude": "false" } });
    for (version, kind, plural) in KINDS {
        let path = all(version, namespace, plural);
        passes(
            &admin,
            Call::new("POST", path).with(JSON, workload(version, kind, &contrary)),
        )
        .await;
    }
    stage.opt_out(namespace).await;
    for (version, kind, plural) in KINDS {
        let path = format!("{}/web", all(version, namespace, plural));
        let change = |body: Value| Call::new("PATCH", path.clone()).with(MERGE, body);
        passes(
            &admin,
            change(json!({ "metadata": { "labels": { "tended": "yes" } } })),
        )
        .await;
        // A template of a job never changes.
        if kind != "Job" {
            let template = |metadata: Value| {
                let template = json!({ "template": { "metadata": metadata } });
                change(match kind {
                    "PodTemplate" => template,
                    "CronJob" => json!({ "spec": { "jobTemplate": { "spec": template } } }),
                    _ => json!({ "spec": template }),
                })
            };
            let worse = json!({ "annotations": { "ad.datadoghq.com/exclude": "never" } });
            refused(&admin, template(worse), &["[ContraryTemplate]"]).await;
            let worse = json!({ "labels": { "admission.datadoghq.com/enabled": "true" } });
            refused(&admin, template(worse), &["[ContraryTemplate]"]).await;
            passes(
                &admin,
                template(json!({ "annotations": { "tended": "yes" } })),
            )
            .await;
            let better = json!({ "annotations": { "prometheus.io/scrape": null, "ad.datadoghq.com/exclude": "true" } });
            passes(&admin, template(better)).await;
        }
        let gone = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
        passes(&admin, Call::new("DELETE", path).with(JSON, gone)).await;
    }
}
