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
        for (what, arguments) in [
            ("orphan delete", ["grant-a", "--cascade=orphan"]),
            ("foreground delete", ["grant-a", "--cascade=foreground"]),
            ("collection delete", ["--all", "--cascade=orphan"]),
        ] {
            let delete = [&["delete", "job", "-n", "timers"][..], &arguments].concat();
            assert_refused(&attacker, what, &attacker.kubectl(&delete).await.unwrap());
        }
        let label_strip = r#"{"metadata":{"labels":{"privacy.cloudnexus.io/managed-by":null}}}"#;
        let patch = [
            "patch",
            "job",
            "grant-a",
            "-n",
            "timers",
            "--type=merge",
            "-p",
        ];
        for (what, change, subresource) in [
            (
                "deadline",
                r#"{"spec":{"activeDeadlineSeconds":99999999}}"#,
                None,
            ),
            ("suspend", r#"{"spec":{"suspend":true}}"#, None),
            (
                "time to live",
                r#"{"spec":{"ttlSecondsAfterFinished":999999}}"#,
                None,
            ),
            (
                "finalizer",
                r#"{"metadata":{"finalizers":["acme.example/keep"]}}"#,
                None,
            ),
            ("label strip", label_strip, None),
            (
                "owner",
                r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}"#,
                None,
            ),
            (
                "status",
                r#"{"status":{"failed":7}}"#,
                Some("--subresource=status"),
            ),
            (
                "label strip by status",
                label_strip,
                Some("--subresource=status"),
            ),
        ] {
            let mut arguments = patch.to_vec();
            arguments.push(change);
            arguments.extend(subresource);
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
    cluster
        .admin()
        .wait_until_none(&["job,netpol", "-n", "runs-out"], PATIENCE)
        .await
        .unwrap();
}

/// What the cluster's collector does to a timer whose owner is gone, and to a policy that it was told to wait with.
#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_collector_clears_away_what_is_over() {
    let cluster = cluster().await;
    enrolled(cluster, "collected").await;
    let operator = cluster.operator_identity().await.unwrap();
    let made = async |object: &serde_json::Value| {
        let text = object.to_string();
        let create = ["create", "-o", "json", "-f", "-"];
        let made = operator.kubectl_with(&create, &text).await.unwrap();
        made.json().unwrap()
    };
    let mut lonely = timer("collected", "grant-lonely", 3600);
    lonely["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "never-was", "uid": "00000000-0000-0000-0000-000000000000"
    }]);
    made(&lonely).await;
    let job = made(&timer("collected", "grant-b", 3600)).await;
    let mut waits = path(
        "collected",
        "grant-b",
        job["metadata"]["uid"].as_str().unwrap(),
    );
    waits["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
    made(&waits).await;
    // Nobody changes anything by a change that is none.
    for what in ["job", "networkpolicy"] {
        let nothing = [
            "patch",
            what,
            "grant-b",
            "-n",
            "collected",
            "--type=merge",
            "-p",
            "{}",
        ];
        cluster
            .admin()
            .kubectl(&nothing)
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    // Without a word about what hangs on it, its finalizer says that the collector comes first.
    let url = "/apis/networking.k8s.io/v1/namespaces/collected/networkpolicies/grant-b";
    operator
        .kubectl(&["delete", "--raw", url])
        .await
        .unwrap()
        .success()
        .unwrap();
    for gone in ["networkpolicy/grant-b", "job/grant-lonely"] {
        eventually("it is collected", PATIENCE, || async {
            let output = cluster
                .admin()
                .kubectl(&["get", gone, "-n", "collected"])
                .await?;
            anyhow::ensure!(!output.is_success(), "{gone} is still there");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_timers_and_paths_can_be_deleted() {
    let cluster = cluster().await;
    enrolled(cluster, "leaves").await;
    timer_and_path(cluster, "leaves", "grant-d", 3600).await;
    // One of the floor has no owner that could take it along.
    let mut floor = path("leaves", "floor", "none");
    floor["metadata"]["ownerReferences"] = json!([]);
    let operator = cluster.operator_identity().await.unwrap();
    operator
        .kubectl_with(&["create", "-f", "-"], &floor.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
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
