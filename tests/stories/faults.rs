//! A slow, refusing, silent API server, and an operator that starts again.

use serde_json::json;
use testbed::eventually;
use testbed::proxy::{Fault, Rule};

use crate::stage::{COVENANT, PATIENCE, Stage, condition, in_days, in_seconds};

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_a_converged_cluster_writes_nothing() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("quiet").await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    tenant.grants(&tenant.grant("over", &in_seconds(-60))).await;
    tenant.open("metrics").await;
    tenant.closed("over", "WindowOver").await;
    stage.at_rest().await;
    stage.operator.stop().await.unwrap();
    let user = stage.cluster.operator_identity().await.unwrap();
    let (audit, etcd) = (
        stage.cluster.audit().unwrap(),
        stage.cluster.etcd().unwrap(),
    );
    let (marker, revision) = (
        audit.marker().await.unwrap(),
        etcd.revision().await.unwrap(),
    );
    let again = stage.cluster.start_operator(COVENANT).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(audit.mutating(user.name(), marker).await.unwrap().len(), 0);
    let ours = etcd
        .history_since(revision)
        .await
        .unwrap()
        .into_iter()
        .filter(|event| {
            // Leases, events and the API server's own records are others' writes.
            [
                "networkpolicies",
                "jobs",
                "privacy.cloudnexus.io",
                "namespaces",
            ]
            .iter()
            .any(|part| event.key.contains(part))
        });
    assert_eq!(ours.count(), 0);
    again.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_and_lost_writes_converge_without_a_storm() {
    let stage = Stage::new().await;
    let (proxy, _operator) = stage.behind_proxy().await;
    let tenant = stage.tenant("refused").await;
    for (name, fault) in [
        ("patience", Fault::too_many_requests(1)),
        ("conflict", Fault::conflict()),
        ("unavailable", Fault::unavailable()),
        ("answer-lost", Fault::LoseAnswer),
        ("request-lost", Fault::LoseRequest),
    ] {
        let before = proxy.write_count();
        let rule = proxy.add(
            Rule::new(fault, |seen| {
                seen.is_mutating() && !seen.path.contains("/events")
            })
            .times(4),
        );
        tenant.grants(&tenant.grant(name, &in_days(30))).await;
        tenant.open(name).await;
        proxy.remove(rule);
        let writes = proxy.write_count() - before;
        assert!(writes <= 40, "{name}: {writes} writes for one grant");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_and_frozen_watches_are_noticed_and_ends_by_time_do_not_wait_for_them() {
    let stage = Stage::new().await;
    let (proxy, _operator) = stage.behind_proxy().await;
    let tenant = stage.tenant("frozen").await;
    assert!(proxy.cut_watches(|_| true) > 0);
    tenant
        .grants(&tenant.grant("after-cut", &in_days(30)))
        .await;
    tenant.open("after-cut").await;

    tenant
        .grants(&tenant.grant("by-time", &in_seconds(15)))
        .await;
    tenant.open("by-time").await;
    let frozen = proxy.freeze_watches_of("datasharinggrants");
    let mut revoked = tenant.grant("after-cut", &in_days(30));
    revoked["spec"]["revoked"] = json!({ "reason": "contract ended" });
    tenant.grants(&revoked).await;
    // Its end comes while the grants' watch is silent.
    tenant
        .wait("by-time", |grant| condition(grant, "Open").0 == "False")
        .await;
    proxy.remove(frozen);
    let patience = std::time::Duration::from_secs(90);
    eventually(
        "the revocation is noticed once the silent watch is given up",
        patience,
        || async {
            let grant = stage
                .cluster
                .admin()
                .get(&["dsg", "after-cut", "-n", "frozen"])
                .await?;
            anyhow::ensure!(
                condition(&grant, "Open").1 == "Revoked",
                "{}",
                grant["status"]
            );
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_its_health_and_metrics_and_ends_as_asked() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("health").await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    tenant.open("metrics").await;
    assert_eq!(stage.operator.get("/healthz").await.unwrap().status, 200);
    assert_eq!(stage.operator.get("/readyz").await.unwrap().status, 200);
    eventually("the metrics tell of it", PATIENCE, || async {
        let text = stage.operator.get("/metrics").await?.text;
        for line in [
            "covenant_open_paths 1",
            "covenant_closes_late_total 0",
            "covenant_grants{state=\"open\"} 1",
            // About thirty days.
            "covenant_next_close_seconds 2",
        ] {
            anyhow::ensure!(text.contains(line), "{line} is missing in\n{text}");
        }
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let log = std::fs::read_to_string(stage.operator.log()).unwrap();
    let lines = log.lines().filter(|line| line.starts_with('{'));
    assert!(lines.clone().count() > 5);
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).expect("a log line is JSON");
    }
    assert!(stage.operator.stop().await.unwrap().success());
}
