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
    stage.operator.stop().await.unwrap();
    let proxy = Proxy::start(&stage.cluster).await.unwrap();
    let operator = stage
        .cluster
        .start_operator_behind(COVENANT, &proxy)
        .await
        .unwrap();
    operator.wait_ready().await.unwrap();
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
    stage.operator.stop().await.unwrap();
    let proxy = Proxy::start(&stage.cluster).await.unwrap();
    let operator = stage
        .cluster
        .start_operator_behind(COVENANT, &proxy)
        .await
        .unwrap();
    operator.wait_ready().await.unwrap();
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
