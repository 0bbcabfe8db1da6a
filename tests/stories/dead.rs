//! The operator is dead, the cluster's controllers are dead, or both.

use serde_json::Value;
use testbed::eventually;

use crate::stage::{COVENANT, PATIENCE, Stage, Tenant, condition, in_days, in_seconds};

async fn policies(tenant: &Tenant<'_>) -> anyhow::Result<Vec<Value>> {
    let list = tenant
        .stage
        .cluster
        .admin()
        .get(&[
            "netpol",
            "-n",
            &tenant.name,
            "-l",
            "privacy.cloudnexus.io/grant-uid",
        ])
        .await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

async fn gone(tenant: &Tenant<'_>) {
    eventually("the path's policy is gone", PATIENCE, || async {
        let left = policies(tenant).await?.len();
        anyhow::ensure!(left == 0, "{left} left");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_closes_on_time_whoever_of_the_two_is_alive() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("dead").await;
    let user = stage.cluster.operator_identity().await.unwrap();
    let audit = stage.cluster.audit().unwrap();

    // The operator is killed before the end: the timer closes, and no request of the operator is in the log.
    tenant
        .grants(&tenant.grant("timer-alone", &in_seconds(8)))
        .await;
    tenant.open("timer-alone").await;
    stage.operator.kill();
    let marker = audit.marker().await.unwrap();
    gone(&tenant).await;
    let requests = audit.since(marker).await.unwrap();
    assert_eq!(
        requests
            .iter()
            .filter(|event| event.user() == user.name())
            .count(),
        0
    );

    // It comes back, says what happened, and reopens nothing.
    let _second = stage.cluster.start_operator(COVENANT).await.unwrap();
    tenant.closed("timer-alone", "WindowOver").await;

    // The controllers are killed before the end: the operator closes.
    tenant
        .grants(&tenant.grant("operator-alone", &in_seconds(8)))
        .await;
    tenant.open("operator-alone").await;
    tenant.stage.cluster.kill_controller_manager().unwrap();
    gone(&tenant).await;

    // With the controllers dead no timer starts, so nothing opens, and after a while the status says why.
    tenant.grants(&tenant.grant("no-timer", &in_days(1))).await;
    let grant = tenant
        .wait("no-timer", |grant| {
            condition(grant, "Open").1 == "TimerNotStarted"
        })
        .await;
    assert_eq!(condition(&grant, "Stalled").0, "True");
    assert_eq!(policies(&tenant).await.unwrap().len(), 0);
    tenant.stage.cluster.start_controller_manager().unwrap();
    tenant.open("no-timer").await;
}
