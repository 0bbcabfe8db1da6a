//! Timers and the policies of paths: nobody alters them, and the cluster's own controllers pass.

use serde_json::json;
use testbed::eventually;

use super::stage::{
    PATIENCE, assert_refused, cluster, enrolled, everybody, path, policy, timer, timer_and_path,
};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_alters_a_timer_or_keeps_it_alive() {
    let cluster = cluster().await;
    enrolled(cluster, "timers").await;
    timer_and_path(cluster, "timers", "grant-a", 3600).await;
    let before = cluster
        .admin()
        .get(&["job", "grant-a", "-n", "timers"])
        .await
        .unwrap();
    for attacker in everybody(cluster, "timers").await {
        let patch = |subresource: &'static str, patch: &str| {
            let mut arguments = vec![
                "patch".to_owned(),
                "job".to_owned(),
                "grant-a".to_owned(),
                "-n".to_owned(),
                "timers".to_owned(),
            ];
            arguments.extend(["--type=merge".to_owned(), "-p".to_owned(), patch.to_owned()]);
            if !subresource.is_empty() {
                arguments.push(format!("--subresource={subresource}"));
            }
            arguments
        };
        let tries = [
            (
                "orphan delete",
                vec![
                    "delete",
                    "job",
                    "grant-a",
                    "-n",
                    "timers",
                    "--cascade=orphan",
                ]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
            (
                "foreground delete",
                vec![
                    "delete",
                    "job",
                    "grant-a",
                    "-n",
                    "timers",
                    "--cascade=foreground",
                ]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
            (
                "collection delete",
                vec![
                    "delete",
                    "jobs",
                    "--all",
                    "-n",
                    "timers",
                    "--cascade=orphan",
                ]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
            (
                "deadline",
                patch("", r#"{"spec":{"activeDeadlineSeconds":99999999}}"#),
            ),
            ("suspend", patch("", r#"{"spec":{"suspend":true}}"#)),
            (
                "time to live",
                patch("", r#"{"spec":{"ttlSecondsAfterFinished":999999}}"#),
            ),
            (
                "finalizer",
                patch("", r#"{"metadata":{"finalizers":["acme.example/keep"]}}"#),
            ),
            (
                "label strip",
                patch(
                    "",
                    r#"{"metadata":{"labels":{"privacy.cloudnexus.io/managed-by":null}}}"#,
                ),
            ),
            (
                "owner",
                patch(
                    "",
                    r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}"#,
                ),
            ),
            ("status", patch("status", r#"{"status":{"failed":7}}"#)),
            (
                "label strip by status",
                patch(
                    "status",
                    r#"{"metadata":{"labels":{"privacy.cloudnexus.io/managed-by":null}}}"#,
                ),
            ),
        ];
        for (what, arguments) in tries {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            assert_refused(
                &attacker,
                what,
                &attacker.kubectl(&arguments).await.unwrap(),
            );
        }
        let forged = attacker
            .kubectl_with(
                &["create", "-f", "-"],
                &timer("timers", "grant-forged", 60).to_string(),
            )
            .await
            .unwrap();
        assert_refused(&attacker, "a forged timer", &forged);
    }
    let after = cluster
        .admin()
        .get(&["job", "grant-a", "-n", "timers"])
        .await
        .unwrap();
    assert_eq!(before["spec"], after["spec"]);
    let (began, begins) = (
        &before["status"]["startTime"],
        &after["status"]["startTime"],
    );
    assert!(
        began.is_null() || began == begins,
        "it was started once, by the cluster's controller"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_alters_deletes_or_forges_a_paths_policy() {
    let cluster = cluster().await;
    enrolled(cluster, "paths").await;
    timer_and_path(cluster, "paths", "grant-b", 3600).await;
    let forged = path(
        "paths",
        "grant-forged",
        "00000000-0000-0000-0000-000000000000",
    );
    for attacker in everybody(cluster, "paths").await {
        for (what, patch) in [
            ("widening", r#"{"spec":{"egress":[{}]}}"#),
            ("owner strip", r#"{"metadata":{"ownerReferences":null}}"#),
            (
                "second owner",
                r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}"#,
            ),
            (
                "finalizer",
                r#"{"metadata":{"finalizers":["acme.example/keep"]}}"#,
            ),
            ("label strip", r#"{"metadata":{"labels":null}}"#),
            (
                "annotation",
                r#"{"metadata":{"annotations":{"acme.example/a":"b"}}}"#,
            ),
        ] {
            let arguments = [
                "patch",
                "netpol",
                "grant-b",
                "-n",
                "paths",
                "--type=merge",
                "-p",
                patch,
            ];
            assert_refused(
                &attacker,
                what,
                &attacker.kubectl(&arguments).await.unwrap(),
            );
        }
        let deleted = attacker
            .kubectl(&["delete", "netpol", "grant-b", "-n", "paths"])
            .await
            .unwrap();
        assert_refused(&attacker, "delete", &deleted);
        let made = attacker
            .kubectl_with(&["create", "-f", "-"], &forged.to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "a forged path", &made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_itself_cannot_adopt_what_a_tenant_squatted() {
    let cluster = cluster().await;
    enrolled(cluster, "squat").await;
    let tenant = cluster.tenant_admin("squat").await.unwrap();
    let squatted = policy(
        "squat",
        "covenant-default-deny",
        &json!({ "podSelector": {} }),
    );
    tenant
        .kubectl_with(&["create", "-f", "-"], &squatted.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let operator = cluster.operator_identity().await.unwrap();
    let mut ours = squatted.clone();
    ours["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/managed-by": "covenant" });
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=covenant-network",
        "-f",
        "-",
    ];
    let output = operator
        .kubectl_with(&arguments, &ours.to_string())
        .await
        .unwrap();
    assert!(
        output
            .refusal()
            .unwrap()
            .contains("its owner must remove it")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_own_controllers_close_a_path_through_the_guards() {
    let cluster = cluster().await;
    enrolled(cluster, "runs-out").await;
    timer_and_path(cluster, "runs-out", "grant-c", 2).await;
    eventually("timer and path are gone", PATIENCE, || async {
        let left = cluster
            .admin()
            .get(&["job,netpol", "-n", "runs-out"])
            .await?;
        anyhow::ensure!(
            left["items"].as_array().is_some_and(Vec::is_empty),
            "{left}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_timers_and_paths_can_be_deleted() {
    let cluster = cluster().await;
    enrolled(cluster, "leaves").await;
    timer_and_path(cluster, "leaves", "grant-d", 3600).await;
    cluster
        .admin()
        .kubectl(&["delete", "ns", "leaves", "--wait=false"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the namespace is gone", PATIENCE, || async {
        Ok::<_, anyhow::Error>(
            !cluster
                .admin()
                .kubectl(&["get", "ns", "leaves"])
                .await?
                .is_success(),
        )
        .and_then(|gone| {
            if gone {
                Ok(())
            } else {
                Err(anyhow::anyhow!("it is still there"))
            }
        })
    })
    .await
    .unwrap();
}
