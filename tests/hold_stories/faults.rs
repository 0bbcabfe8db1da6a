//! Holds against an operator that cannot see them, or is in the middle of opening.

use std::time::Duration;

use serde_json::json;
use testbed::proxy::{Fault, Proxy, Rule};
use testbed::{always, eventually};

use crate::case::hold;
use crate::stage::{COVENANT, PATIENCE, Stage, condition, in_days};

async fn never_open(stage: &Stage, namespace: &str, grants: &[&str]) {
    let closed = || async {
        for grant in grants {
            let grant = stage
                .cluster
                .admin()
                .get(&["dsg", grant, "-n", namespace])
                .await?;
            anyhow::ensure!(condition(&grant, "Open").0 != "True", "{grant}");
        }
        let paths = [
            "netpol",
            "-n",
            namespace,
            "-l",
            "privacy.cloudnexus.io/part=path",
        ];
        let paths = stage.cluster.admin().get(&paths).await?;
        anyhow::ensure!(paths["items"] == json!([]), "{paths}");
        anyhow::Ok(())
    };
    always("nothing is open", Duration::from_secs(6), closed)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_watch_of_holds_frozen_nothing_opens_and_what_is_late_is_closed_once_it_is_seen() {
    let stage = Stage::new().await;
    let (proxy, operator) = stage.behind_proxy().await;
    let tenant = stage.tenant("unseen").await;
    let frozen = proxy.freeze_watches_of("processingholds");
    stage
        .holds(&hold(&tenant.name, "case-1", &["SuspendSharing"]))
        .await;
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    tenant.grants(&tenant.grant("second", &in_days(30))).await;
    eventually("the operator tried and was refused", PATIENCE, || async {
        let log = operator.tail(400);
        anyhow::ensure!(log.contains("SuspendSharing"), "{log}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    never_open(&stage, &tenant.name, &["first", "second"]).await;
    proxy.remove(frozen);
    tenant.closed("first", "Held").await;
    stage.proven(&tenant.name, "case-1").await;
    stage.releases(&tenant.name, "case-1").await;
    tenant.open("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_holds_were_listed_nothing_is_planned() {
    let stage = Stage::new().await;
    stage.operator.stop().await.unwrap();
    let proxy = Proxy::start(&stage.cluster).await.unwrap();
    let list =
        |seen: &testbed::proxy::Seen| seen.resource() == "processingholds" && !seen.is_watch();
    let unlisted = proxy.add(Rule::new(Fault::unavailable(), list));
    let tenant = stage.tenant("unlisted").await;
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    let operator = stage
        .cluster
        .start_operator_behind(COVENANT, &proxy)
        .await
        .unwrap();
    let ready = operator.wait_ready_within(Duration::from_secs(5)).await;
    assert!(ready.is_err(), "it is not ready while a kind is unseen");
    never_open(&stage, &tenant.name, &["first"]).await;
    proxy.remove(unlisted);
    tenant.open("first").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_arrives_in_the_middle_of_an_opening_wins() {
    let stage = Stage::new().await;
    let (proxy, _operator) = stage.behind_proxy().await;
    let tenant = stage.tenant("midway").await;
    // The timer stands, and the policy is on its way when the hold is stored.
    let is_policy =
        |seen: &testbed::proxy::Seen| seen.method == "POST" && seen.resource() == "networkpolicies";
    proxy.add(Rule::new(Fault::Delay(Duration::from_secs(3)), is_policy));
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    eventually("its policy is on its way", PATIENCE, || async {
        let mut under_way = proxy.journal().into_iter();
        let grant = |path: &str| path.contains("/networkpolicies") && path.contains(&tenant.name);
        anyhow::ensure!(
            under_way.any(|entry| is_policy(&entry.request) && grant(&entry.request.path)),
            "not yet"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    stage
        .holds(&hold(&tenant.name, "case-1", &["SuspendSharing"]))
        .await;
    never_open(&stage, &tenant.name, &["first"]).await;
    proxy.clear();
    tenant.closed("first", "Held").await;
}

/// Between the look at what runs and its end an officer may release; what was made after that is nobody's to end.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_in_the_middle_of_an_end_ends_nothing_more() {
    let stage = Stage::new().await;
    let (proxy, _operator) = stage.behind_proxy().await;
    let tenant = stage.tenant("released-midway").await;
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": tenant.name },
        "spec": { "replicas": 3, "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "web", "image": "web" }] },
        } },
    });
    tenant.grants(&web).await;
    let pods = ["pods", "-n", &tenant.name];
    let running = async |expected: usize| {
        eventually("the pods are there", PATIENCE, || async {
            let list = stage.cluster.admin().get(&pods).await?;
            let pods = list["items"].as_array().cloned().unwrap_or_default();
            anyhow::ensure!(pods.len() == expected, "{list}");
            let uids: Vec<String> = pods
                .iter()
                .map(|pod| pod["metadata"]["uid"].to_string())
                .collect();
            anyhow::Ok(uids)
        })
        .await
        .unwrap()
    };
    running(3).await;
    let mut ends = hold(
        &tenant.name,
        "case-1",
        &["SuspendProcessing", "EndProcessing"],
    );
    ends["spec"]["endingGrace"] = json!("PT10S");
    stage.holds(&ends).await;
    eventually("what is lost was published", PATIENCE, || async {
        let hold = stage
            .cluster
            .admin()
            .get(&["phold", "case-1", "-n", &tenant.name])
            .await?;
        anyhow::ensure!(hold["status"]["ending"].is_object(), "{hold}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let slow = Duration::from_secs(8);
    let namespace = tenant.name.clone();
    let lists = move |seen: &testbed::proxy::Seen| {
        seen.method == "GET"
            && seen.resource() == "pods"
            && !seen.is_watch()
            && seen.path.contains(&namespace)
    };
    let before = proxy.request_count();
    proxy.add(Rule::new(Fault::Delay(slow), lists.clone()));
    let looked = eventually("the operator looks at what it ends", PATIENCE, || async {
        let journal = proxy.journal().split_off(before);
        let looked = journal.into_iter().rfind(|entry| lists(&entry.request));
        looked.ok_or_else(|| anyhow::anyhow!("not yet"))
    })
    .await
    .unwrap();
    stage.releases(&tenant.name, "case-1").await;
    let scale = [
        "scale",
        "deployment",
        "web",
        "-n",
        &tenant.name,
        "--replicas=4",
    ];
    tenant
        .admin
        .kubectl(&scale)
        .await
        .unwrap()
        .success()
        .unwrap();
    let made = running(4).await;
    eventually("the look came back", PATIENCE, || async {
        let journal = proxy.journal();
        let answered = journal
            .iter()
            .find(|entry| entry.request.sequence == looked.request.sequence);
        anyhow::ensure!(
            answered.is_some_and(|entry| entry.status.is_some()),
            "{answered:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let stays = || async {
        let list = stage.cluster.admin().get(&pods).await?;
        for pod in list["items"].as_array().into_iter().flatten() {
            anyhow::ensure!(pod["metadata"]["deletionTimestamp"].is_null(), "{pod}");
            anyhow::ensure!(made.contains(&pod["metadata"]["uid"].to_string()), "{pod}");
        }
        anyhow::Ok(())
    };
    always("the pods stay", Duration::from_secs(4), stays)
        .await
        .unwrap();
}

/// A nudge only makes a controller look sooner: where a webhook refuses it, the release goes on. What an operator that died
/// in between has left on an object is taken off.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_waits_for_nobodys_webhook_and_leaves_nothing_behind() {
    let stage = Stage::new().await;
    let (proxy, _operator) = stage.behind_proxy().await;
    let tenant = stage.tenant("nudged").await;
    stage
        .holds(&hold(&tenant.name, "case-1", &["SuspendProcessing"]))
        .await;
    let set = |name: &str, replicas: u8, annotations: serde_json::Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": { "name": name, "namespace": tenant.name, "annotations": annotations },
            "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": name } }, "template": {
                "metadata": { "labels": { "app": name } },
                // Without its account its pods are not made, after the release either.
                "spec": { "serviceAccountName": "missing", "containers": [{ "name": "a", "image": "a" }] },
            } },
        })
    };
    let left = json!({ "privacy.cloudnexus.io/released-at": "2026-01-01T00:00:00Z" });
    tenant.grants(&set("left", 0, left)).await;
    tenant.grants(&set("lacks", 1, json!({}))).await;
    let refusal = Fault::Answer {
        status: 403,
        retry_after: None,
    };
    let nudges = |seen: &testbed::proxy::Seen| {
        seen.method == "PATCH" && seen.path.ends_with("/replicasets/lacks/status")
    };
    proxy.add(Rule::new(refusal, nudges));
    stage.releases(&tenant.name, "case-1").await;
    stage
        .hold_is(&tenant.name, "case-1", "Restored", "True", "GraceOver")
        .await;
    let tried = proxy.journal();
    assert!(tried.iter().any(|entry| nudges(&entry.request)));
    let left = stage.get(&["rs", "left", "-n", &tenant.name]).await;
    let left = left["metadata"]["annotations"].to_string();
    assert!(!left.contains("released-at"), "{left}");
}
