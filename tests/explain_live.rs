//! `covenant explain` against a live cluster: for an administrator, and for somebody who may read one namespace only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;
use std::process::{Command, Output};

use testbed::{Cluster, ClusterOptions, Identity};

fn explain(identity: &Identity) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args([
            "explain",
            "dsg",
            "metrics-to-datadog",
            "-n",
            "acme-prod",
            "--at",
            "2026-11-24",
        ])
        .arg("--kubeconfig")
        .arg(identity.kubeconfig())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_grant_is_explained_as_far_as_one_may_read() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let admin = cluster.admin();
    let crds = root.join("crds");
    admin
        .kubectl(&["apply", "--server-side", "-f", crds.to_str().unwrap()])
        .await
        .unwrap()
        .success()
        .unwrap();
    admin
        .kubectl(&["wait", "--for=condition=Established", "crd", "--all"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let example = root.join("examples/vendor-push");
    admin
        .kubectl(&["apply", "-f", example.to_str().unwrap()])
        .await
        .unwrap()
        .success()
        .unwrap();

    let output = explain(admin);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Nobody runs the operator here: every gate is passed, and nothing stands yet.
    assert!(
        text.contains("DataSharingGrant acme-prod/metrics-to-datadog is opening"),
        "{text}"
    );
    assert!(
        text.contains("✓ an agreement with the vendor is in force"),
        "{text}"
    );
    assert!(text.contains("does not stand"), "{text}");

    let tenant = cluster.identity("tina").await.unwrap();
    admin
        .kubectl(&[
            "create",
            "role",
            "-n",
            "acme-prod",
            "reader",
            "--verb=get,list",
            "--resource=datasharinggrants.privacy.cloudnexus.io",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    admin
        .kubectl(&[
            "create",
            "rolebinding",
            "-n",
            "acme-prod",
            "reader",
            "--role=reader",
            "--user=tina",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    let output = explain(&tenant);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert!(
        notes.contains("of DataSharingGrant only those in namespace acme-prod"),
        "{notes}"
    );
    assert!(
        notes.contains("SharingProhibition may not be read"),
        "{notes}"
    );
}
