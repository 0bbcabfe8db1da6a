//! What keeps a timer from proving anything, and so keeps the path closed.

use serde_json::json;

use crate::stage::{condition, in_days, shared};

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_on_jobs_keeps_the_path_closed_and_is_named_until_it_is_lifted() {
    let tenant = shared().await.tenant("quota").await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "jobs", "namespace": "quota" },
        "spec": { "hard": { "count/jobs.batch": "0" } }
    });
    tenant
        .stage
        .cluster
        .admin()
        .apply(&quota.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    testbed::eventually("the quota is in force", crate::stage::PATIENCE, || async {
        let quota = tenant
            .stage
            .cluster
            .admin()
            .get(&["quota", "jobs", "-n", "quota"])
            .await?;
        anyhow::ensure!(
            quota["status"]["hard"]["count/jobs.batch"] == "0",
            "{quota}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    let grant = tenant
        .wait("metrics", |grant| {
            condition(grant, "Open").1 == "TimerRefused"
        })
        .await;
    let text = grant["status"]["conditions"].to_string();
    assert!(text.contains("exceeded quota: jobs"), "{text}");
    assert_eq!(condition(&grant, "Stalled").0, "True");
    tenant
        .stage
        .cluster
        .admin()
        .kubectl(&["delete", "quota", "jobs", "-n", "quota"])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.open("metrics").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_a_queue_suspends_closes_the_path_and_the_status_says_so() {
    let tenant = shared().await.tenant("queued").await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    let grant = tenant.open("metrics").await;
    let job = grant["status"]["paths"][0]["timer"]["job"]
        .as_str()
        .unwrap()
        .to_owned();
    // A queueing controller that the platform appointed, by mistake, to enforce.
    tenant
        .stage
        .cluster
        .appoint("queue", "enforce", &[])
        .await
        .unwrap();
    let rules =
        json!([{ "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "patch"] }]);
    tenant
        .stage
        .cluster
        .give("queue", "queue-jobs", &rules)
        .await
        .unwrap();
    let queue = tenant.stage.cluster.identity("queue").await.unwrap();
    let patch = |suspend: bool| format!(r#"{{"spec":{{"suspend":{suspend}}}}}"#);
    for (suspend, reason) in [(true, "TimerSuspended"), (false, "WithinWindow")] {
        let patch = patch(suspend);
        let arguments = [
            "patch",
            "job",
            &job,
            "-n",
            "queued",
            "--type=merge",
            "-p",
            &patch,
        ];
        queue.kubectl(&arguments).await.unwrap().success().unwrap();
        tenant
            .wait("metrics", |grant| condition(grant, "Open").1 == reason)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_by_host_name_are_accepted_and_stay_closed() {
    let tenant = shared().await.tenant("hosts").await;
    let mut grant = tenant.grant("metrics", &in_days(30));
    grant["spec"]["recipient"]["processor"]["endpoints"] = json!(["intake", "api"]);
    tenant.grants(&grant).await;
    tenant.closed("metrics", "HostNamesNotEnforced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_never_sold_and_the_refusal_has_a_name() {
    let tenant = shared().await.tenant("sold").await;
    for purpose in ["SellDataToThirdParties", "Advertising"] {
        let mut grant = tenant.grant("metrics", &in_days(30));
        grant["spec"]["purpose"] = json!(purpose);
        tenant.grants(&grant).await;
        tenant
            .wait("metrics", |grant| {
                grant["status"]["observedGeneration"] == grant["metadata"]["generation"]
            })
            .await;
        tenant.closed("metrics", "ForbiddenPurpose").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hung_on_a_path_and_on_its_timer_does_not_keep_it_open() {
    let tenant = shared().await.tenant("hung-on").await;
    tenant
        .grants(&tenant.grant("metrics", &crate::stage::in_seconds(10)))
        .await;
    let grant = tenant.open("metrics").await;
    let path = &grant["status"]["paths"][0];
    let name = &path["networkPolicy"]["name"];
    let gitops = tenant.stage.cluster.gitops().await.unwrap();
    for (kind, version, uid) in [
        ("Job", "batch/v1", &path["timer"]["uid"]),
        (
            "NetworkPolicy",
            "networking.k8s.io/v1",
            &path["networkPolicy"]["uid"],
        ),
    ] {
        let dependent = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": format!("on-{}", kind.to_lowercase()), "namespace": "hung-on", "finalizers": ["acme.example/stay"],
                "ownerReferences": [{ "apiVersion": version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": true }] }
        });
        gitops.apply_object(&dependent).await.unwrap();
    }
    let name = name.as_str().unwrap();
    testbed::eventually(
        "the path's policy is gone",
        crate::stage::PATIENCE,
        || async {
            let left = tenant
                .stage
                .cluster
                .admin()
                .kubectl(&["get", "netpol", name, "-n", "hung-on"])
                .await?;
            anyhow::ensure!(!left.is_success(), "{left}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    tenant
        .wait("metrics", |grant| condition(grant, "Open").0 == "False")
        .await;
    for dependent in ["on-job", "on-networkpolicy"] {
        let patch = r#"{"metadata":{"finalizers":null}}"#;
        let arguments = [
            "patch",
            "configmap",
            dependent,
            "-n",
            "hung-on",
            "--type=merge",
            "-p",
            patch,
        ];
        tenant
            .stage
            .cluster
            .admin()
            .kubectl(&arguments)
            .await
            .unwrap()
            .success()
            .unwrap();
    }
}
