//! A cluster of the testbed is real, ready, and leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use testbed::audit::Counts;
use testbed::history::Change;
use testbed::{Cluster, ClusterOptions, always, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_ready_and_leaves_nothing_behind() {
    let begin = Instant::now();
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    eprintln!("ready after {:?}", begin.elapsed());
    let version = cluster
        .admin()
        .client()
        .unwrap()
        .apiserver_version()
        .await
        .unwrap();
    assert!(version.git_version.starts_with("v1."), "{version:?}");
    let processes = cluster.process_ids().unwrap();
    assert_eq!(processes.len(), 3);
    let folder = cluster.folder().to_owned();
    let server = cluster
        .admin()
        .config()
        .cluster_url
        .authority()
        .unwrap()
        .to_string();
    assert!(std::net::TcpStream::connect(&server).is_ok());

    drop(cluster);
    assert!(!folder.exists());
    for (name, process) in processes {
        assert!(
            !Path::new(&format!("/proc/{process}")).exists(),
            "{name} is still there"
        );
    }
    assert!(std::net::TcpStream::connect(&server).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_podless_job_closes_a_network_policy_and_everything_is_on_record() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let admin = cluster.admin();
    let before = cluster.etcd().unwrap().revision().await.unwrap();
    admin
        .kubectl(&["create", "namespace", "acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("acme").await.unwrap();
    let audit = cluster.audit().unwrap();
    let marker = audit.marker().await.unwrap();

    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "timer", "namespace": "acme" },
        "spec": {
            "parallelism": 0, "activeDeadlineSeconds": 2, "ttlSecondsAfterFinished": 0,
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "none", "image": "none" }] } },
        },
    });
    tenant.apply_object(&job).await.unwrap();
    let uid = tenant.get(&["job", "timer", "-n", "acme"]).await.unwrap()["metadata"]["uid"].clone();
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "name": "path", "namespace": "acme",
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "timer", "uid": uid }],
        },
        "spec": { "podSelector": {}, "policyTypes": ["Egress"] },
    });
    tenant.apply_object(&policy).await.unwrap();
    let there = || async {
        Ok::<bool, anyhow::Error>(
            tenant
                .kubectl(&["get", "networkpolicy", "path", "-n", "acme"])
                .await?
                .is_success(),
        )
    };
    always(
        "the path is open at first",
        Duration::from_millis(300),
        || async { there().await.unwrap() },
    )
    .await
    .unwrap();
    eventually("the path has closed", Duration::from_secs(10), || async {
        !there().await.unwrap()
    })
    .await
    .unwrap();

    let events = audit.since(marker).await.unwrap();
    let counts = Counts::of(&events);
    assert_eq!(counts.get("acme-admin", "patch", "jobs"), 1, "{counts}");
    assert_eq!(
        counts.get("acme-admin", "patch", "networkpolicies"),
        1,
        "{counts}"
    );
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    assert_eq!(
        counts.get(collector, "delete", "networkpolicies"),
        1,
        "{counts}"
    );
    assert_eq!(audit.mutating("acme-admin", marker).await.unwrap().len(), 2);

    let etcd = cluster.etcd().unwrap();
    let key = "/registry/networkpolicies/acme/path";
    let history = etcd.history().await.unwrap();
    let ours: Vec<_> = history.iter().filter(|event| event.key == key).collect();
    assert_eq!(ours.len(), 2, "{ours:#?}");
    assert_eq!(ours[0].object().unwrap()["metadata"]["name"], "path");
    assert_eq!(ours[1].change, Change::Delete);
    assert!(
        history
            .iter()
            .all(|event| event.revision <= ours[1].revision || event.key != key)
    );
    assert!(
        etcd.history_since(before)
            .await
            .unwrap()
            .iter()
            .all(|event| event.revision > before)
    );
}
