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

#[tokio::test(flavor = "multi_thread")]
async fn its_parts_can_be_killed_paused_and_doubled() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let admin = cluster.admin();
    let another = cluster.another_api_server().await.unwrap();
    another
        .admin()
        .kubectl(&["create", "namespace", "acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    admin.get(&["namespace", "acme"]).await.unwrap();

    cluster.kill_api_server().unwrap();
    assert!(
        !admin
            .kubectl(&["get", "namespaces"])
            .await
            .unwrap()
            .is_success()
    );
    another.admin().get(&["namespaces"]).await.unwrap();
    cluster.start_api_server().await.unwrap();
    admin.get(&["namespaces"]).await.unwrap();

    // Its controllers do nothing while their clock stands still, and catch up after.
    cluster.pause_controller_manager().unwrap();
    admin
        .kubectl(&["create", "namespace", "globex"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let account = || async {
        admin
            .get(&["serviceaccount", "default", "-n", "globex"])
            .await
    };
    always("no account is made", Duration::from_millis(500), || async {
        account().await.is_err()
    })
    .await
    .unwrap();
    cluster.resume_controller_manager().unwrap();
    eventually("the account is made", Duration::from_secs(30), account)
        .await
        .unwrap();

    let ended = testbed::operator::Operator::start(
        &cluster,
        Path::new("/bin/false"),
        admin.kubeconfig(),
        testbed::operator::OperatorOptions::default(),
    )
    .unwrap();
    let error = format!("{:#}", ended.wait_ready().await.unwrap_err());
    assert!(error.contains("has ended"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn authority_comes_by_appointment() {
    let cluster = Cluster::start(ClusterOptions::new().without_audit())
        .await
        .unwrap();
    cluster
        .admin()
        .kubectl(&["create", "namespace", "acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let platform = cluster.platform_engineer().await.unwrap();
    let officer = cluster.officer().await.unwrap();
    let tenant = cluster.tenant_admin("acme").await.unwrap();
    let other = cluster.second_tenant_admin("acme").await.unwrap();
    let gitops = cluster.gitops().await.unwrap();
    let local = cluster.namespace_cluster_admin("acme").await.unwrap();
    cluster
        .appoint("acme-officer", "revoke", &["acme"])
        .await
        .unwrap();
    let named = cluster.identity("acme-officer").await.unwrap();
    let may = async |who: &testbed::Identity, verb: &str, tenant: &str| {
        who.has_verb(verb, tenant).await.unwrap()
    };
    assert!(may(&platform, "administer", "acme").await);
    assert!(!may(&platform, "revoke", "acme").await);
    assert!(!may(&platform, "never-granted", "acme").await);
    assert!(may(&officer, "revoke", "acme").await);
    assert!(may(&named, "revoke", "acme").await);
    assert!(!may(&named, "revoke", "globex").await);
    cluster
        .dismiss("acme-officer", "revoke", &["acme"])
        .await
        .unwrap();
    eventually("the dismissal is known", Duration::from_secs(5), || async {
        !may(&named, "revoke", "acme").await
    })
    .await
    .unwrap();
    for wildcard in [&gitops, cluster.admin()] {
        assert!(
            may(wildcard, "never-granted", "acme").await,
            "{}",
            wildcard.name()
        );
    }
    for confined in [&tenant, &other, &local] {
        assert!(
            !may(confined, "revoke", "acme").await,
            "{}",
            confined.name()
        );
        confined
            .get(&["networkpolicies", "-n", "acme"])
            .await
            .unwrap();
    }
    assert!(cluster.audit().is_err());
}
