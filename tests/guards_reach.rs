//! Whom the guards leave alone, by the API server's own count: no request outside enrolled namespaces is evaluated by any
//! of them, but for writes of Namespaces and of Covenant's own kinds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::collections::BTreeMap;

use http::Request;
use serde_json::json;
use testbed::{Cluster, ClusterOptions, Identity, eventually};

/// Where a policy is counted: its match conditions wherever they are evaluated, and what it refused or warned of.
const COUNTS: [(&str, &str); 2] = [
    (
        "apiserver_admission_match_condition_evaluation_seconds_count{",
        "name=\"",
    ),
    (
        "apiserver_validating_admission_policy_check_total{",
        "policy=\"",
    ),
];

/// Evaluations by policy since the API server started.
async fn evaluations(admin: &Identity) -> BTreeMap<String, f64> {
    let request = Request::get("/metrics").body(Vec::new()).unwrap();
    let text = admin.client().unwrap().request_text(request).await.unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let found = COUNTS.iter().find(|(metric, _)| line.starts_with(metric));
        let Some((_, label)) = found else {
            continue;
        };
        let policy = line.split(label).nth(1).unwrap().split('"').next().unwrap();
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *counts.entry(policy.to_owned()).or_default() += count;
    }
    counts
}

async fn done(by: &Identity, arguments: &[&str]) {
    by.kubectl(arguments).await.unwrap().success().unwrap();
}

/// What people and controllers do all day, with every kind that a guard looks at elsewhere.
async fn ordinary_day(admin: &Identity, namespace: &str) {
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    let template = json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "hostNetwork": true, "containers": [{ "name": "a", "image": "a", "securityContext": { "privileged": true } }] } });
    let mut job = template["spec"].clone();
    job["restartPolicy"] = json!("Never");
    let objects = [
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("a"), "data": { "a": "b" } }),
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata("a"), "spec": template["spec"] }),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("a"), "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "a" } }, "template": template } }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata("a"), "spec": { "template": { "spec": job } } }),
        json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata("a"), "spec": { "podSelector": {}, "egress": [{}] } }),
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata("a"), "spec": { "externalIPs": ["203.0.113.9"], "ports": [{ "port": 80 }], "selector": { "app": "a" } } }),
        json!({ "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": format!("{namespace}-volume") }, "spec": { "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/nowhere" } } }),
    ];
    for object in &objects {
        admin
            .apply(&object.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    done(
        admin,
        &["scale", "deployment", "a", "--replicas=3", "-n", namespace],
    )
    .await;
    done(
        admin,
        &[
            "annotate",
            "configmap,service,networkpolicy",
            "a",
            "seen=yes",
            "-n",
            namespace,
        ],
    )
    .await;
    done(
        admin,
        &[
            "delete",
            "configmap,pod,networkpolicy,service,job,deployment",
            "a",
            "-n",
            namespace,
            "--wait=false",
        ],
    )
    .await;
    done(
        admin,
        &[
            "delete",
            "pv",
            &format!("{namespace}-volume"),
            "--wait=false",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_guard_evaluates_a_request_outside_enrolled_namespaces() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let admin = cluster.admin();
    done(admin, &["create", "namespace", "elsewhere"]).await;
    eventually(
        "the namespace is ready",
        std::time::Duration::from_secs(60),
        || async {
            admin
                .get(&["serviceaccount", "default", "-n", "elsewhere"])
                .await
        },
    )
    .await
    .unwrap();
    let before = evaluations(admin).await;
    ordinary_day(admin, "elsewhere").await;
    let after = evaluations(admin).await;
    assert_eq!(
        before, after,
        "some guard was evaluated for a namespace that is not enrolled"
    );

    // That the count would have shown it: the same by a platform engineer's leave in an enrolled one.
    let engineer = cluster.platform_engineer().await.unwrap();
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: here, labels: {privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: observe}}\n";
    engineer.apply(namespace).await.unwrap().success().unwrap();
    let enrolled = evaluations(admin).await;
    eventually(
        "the namespace is ready",
        std::time::Duration::from_secs(60),
        || async {
            admin
                .get(&["serviceaccount", "default", "-n", "here"])
                .await
        },
    )
    .await
    .unwrap();
    ordinary_day(admin, "here").await;
    let after = evaluations(admin).await;
    for policy in [
        "covenant-pods",
        "covenant-network-scope",
        "covenant-network-publishing",
    ] {
        assert!(
            after.get(policy) > enrolled.get(policy),
            "{policy} is not counted: {after:?}"
        );
    }
}
