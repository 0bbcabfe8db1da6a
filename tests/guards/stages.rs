//! In force, in `observe`, and not enrolled at all.

use serde_json::json;
use testbed::eventually;

use super::stage::{PATIENCE, assert_refused, cluster, namespace, pod, policy};

#[tokio::test(flavor = "multi_thread")]
async fn in_the_stage_observe_the_guards_warn_and_refuse_nothing() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    let labels = "privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: observe";
    engineer
        .apply(&namespace("observe", labels))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("observe").await.unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", "observe"])
            .await
    })
    .await
    .unwrap();
    let wide = policy(
        "observe",
        "wide",
        &json!({ "podSelector": {}, "ingress": [{}] }),
    );
    let output = tenant
        .kubectl_with(&["create", "-f", "-"], &wide.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(
        output.stderr.contains("reaches beyond the namespace"),
        "{output}"
    );
    let host = pod("observe", "host", &json!({ "hostNetwork": true }));
    let output = tenant
        .kubectl_with(&["create", "-f", "-"], &host.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(
        output.stderr.contains("network policies do not apply"),
        "{output}"
    );
    for (words, object) in [
        (
            "is privileged",
            super::privileged::contained("observe", &json!({ "privileged": true })),
        ),
        (
            "go beyond those of the Pod Security Standard",
            super::privileged::contained(
                "observe",
                &json!({ "capabilities": { "add": ["NET_ADMIN"] } }),
            ),
        ),
    ] {
        let output = tenant
            .kubectl_with(
                &["create", "--dry-run=server", "-f", "-"],
                &object.to_string(),
            )
            .await
            .unwrap()
            .success()
            .unwrap();
        assert!(output.stderr.contains(words), "{output}");
    }
    for (what, object) in super::publishing::published("observe") {
        let output = cluster
            .admin()
            .kubectl_with(
                &["create", "--dry-run=server", "-f", "-"],
                &object.to_string(),
            )
            .await
            .unwrap()
            .success()
            .unwrap();
        assert!(output.stderr.contains("Warning"), "{what}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_nobody_knows_counts_as_in_force() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    let labels = "privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: Observe";
    engineer
        .apply(&namespace("stage-unknown", labels))
        .await
        .unwrap()
        .success()
        .unwrap();
    let wide = policy(
        "stage-unknown",
        "wide",
        &json!({ "podSelector": {}, "ingress": [{}] }),
    );
    let output = engineer
        .kubectl_with(&["create", "-f", "-"], &wide.to_string())
        .await
        .unwrap();
    assert_refused(&engineer, "a wide policy", &output);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unenrolled_namespace_notices_nothing() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&namespace("free", "team: any"))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("free").await.unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", "free"])
            .await
    })
    .await
    .unwrap();
    for object in [
        policy(
            "free",
            "wide",
            &json!({ "podSelector": {}, "ingress": [{}], "egress": [{}] }),
        ),
        pod(
            "free",
            "host",
            &json!({ "hostNetwork": true, "volumes": [{ "name": "a", "hostPath": { "path": "/" } }] }),
        ),
    ] {
        let output = tenant
            .kubectl_with(&["create", "-f", "-"], &object.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(output.stderr, "", "{output}");
    }
    engineer
        .kubectl(&["label", "ns", "free", "team=other", "--overwrite"])
        .await
        .unwrap()
        .success()
        .unwrap();
    engineer
        .kubectl(&["annotate", "ns", "free", "a=b"])
        .await
        .unwrap()
        .success()
        .unwrap();
}
