//! What the guards' tests share: one cluster with the chart and no operator, and small objects.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity, Output, eventually};
use tokio::sync::OnceCell;

pub const PATIENCE: Duration = Duration::from_secs(120);

/// The one cluster of this file, with the chart and nothing else of ours.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
            cluster.install_chart().await.unwrap();
            cluster
        })
        .await
}

/// A namespace of a test's own, enrolled for acme, in force.
pub async fn enrolled(cluster: &Cluster, name: &str) -> Identity {
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&namespace(name, "privacy.cloudnexus.io/tenant: acme"))
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", name])
            .await
    })
    .await
    .unwrap();
    engineer
}

pub fn namespace(name: &str, labels: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
}

/// Everybody who has some right in the namespace and no appointment to enforce.
pub async fn everybody(cluster: &Cluster, name: &str) -> Vec<Identity> {
    vec![
        cluster.tenant_admin(name).await.unwrap(),
        cluster.second_tenant_admin(name).await.unwrap(),
        cluster.namespace_cluster_admin(name).await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.platform_engineer().await.unwrap(),
        cluster.officer().await.unwrap(),
        cluster.admin().clone(),
    ]
}

pub fn assert_refused(who: &Identity, what: &str, output: &Output) {
    assert!(
        !output.is_success(),
        "{} got through with {what}: {output}",
        who.name()
    );
    let text = format!("{}{}", output.stderr, output.stdout).to_lowercase();
    assert!(
        text.contains("forbidden") || text.contains("denied"),
        "{} failed for another reason with {what}: {output}",
        who.name()
    );
}

pub fn timer(namespace: &str, name: &str, seconds: i64) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": namespace, "labels": { "privacy.cloudnexus.io/managed-by": "covenant" } },
        "spec": {
            "parallelism": 0, "activeDeadlineSeconds": seconds, "ttlSecondsAfterFinished": 0,
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "never-run", "image": "never-run" }] } }
        }
    })
}

pub fn path(namespace: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "name": name, "namespace": namespace, "labels": { "privacy.cloudnexus.io/managed-by": "covenant" },
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid }]
        },
        "spec": {
            "podSelector": { "matchLabels": { "app": "agent" } }, "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }] }]
        }
    })
}

/// A timer and its path, made as the operator makes them.
pub async fn timer_and_path(cluster: &Cluster, namespace: &str, name: &str, seconds: i64) {
    let operator = cluster.operator_identity().await.unwrap();
    let body = timer(namespace, name, seconds).to_string();
    let created = operator.kubectl_with(&["create", "-o", "json", "-f", "-"], &body);
    let job = created.await.unwrap().json().unwrap();
    let policy = path(namespace, name, job["metadata"]["uid"].as_str().unwrap());
    operator
        .kubectl_with(&["create", "-f", "-"], &policy.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
}

pub fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec
    })
}

pub fn pod(namespace: &str, name: &str, spec: &Value) -> Value {
    let mut whole = json!({ "containers": [{ "name": "app", "image": "app" }] });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace }, "spec": whole })
}
