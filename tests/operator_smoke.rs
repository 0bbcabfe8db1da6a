//! The main story in one minute, on whichever Kubernetes is asked for: a path opens, its end closes it, a revocation
//! closes it, and an operator that starts again finds nothing to do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(
    dead_code,
    reason = "the stage is the stories', and this is one of them"
)]
#[path = "stories/stage.rs"]
mod stage;

use serde_json::{Value, json};
use testbed::operator::Operator;
use testbed::{always, eventually};

use stage::{COVENANT, PATIENCE, Stage, Tenant, condition, in_days, in_seconds};

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_its_end_closes_and_a_restart_writes_nothing() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("smoke").await;
    the_floor_stands(&tenant).await;

    let lasting = tenant.grant("lasting", &in_days(30));
    tenant.grants(&lasting).await;
    let opened = tenant.open("lasting").await;
    a_timer_owns_the_path(&tenant, &opened).await;

    // Its end closes it, without anybody asking.
    tenant.grants(&tenant.grant("brief", &in_seconds(6))).await;
    tenant.open("brief").await;
    tenant.closed("brief", "WindowOver").await;

    let operator = a_restart_writes_nothing(&stage, &tenant).await;

    let mut revoked = lasting;
    revoked["spec"]["revoked"] = json!({ "reason": "contract ended" });
    tenant.grants(&revoked).await;
    tenant.closed("lasting", "Revoked").await;
    let metrics = eventually("the metrics tell of it", PATIENCE, || async {
        let metrics = operator.get("/metrics").await?.text;
        anyhow::ensure!(metrics.contains("covenant_open_paths 0\n"), "{metrics}");
        anyhow::Ok(metrics)
    })
    .await
    .unwrap();
    assert!(
        metrics.contains("covenant_closes_late_total 0\n"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("covenant_reconcile_errors_total{"),
        "a write failed where nothing stood in its way:\n{metrics}"
    );
}

async fn the_floor_stands(tenant: &Tenant<'_>) {
    let name = tenant.name.as_str();
    tenant.stage.enforced(name, "True", "ReadBack").await;
    let floor = tenant
        .stage
        .get(&["netpol", "covenant-default-deny", "-n", name])
        .await;
    assert_eq!(floor["spec"]["podSelector"], json!({}));
    assert_eq!(floor["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
}

async fn a_timer_owns_the_path(tenant: &Tenant<'_>, grant: &Value) {
    let path = grant["status"]["paths"][0]["networkPolicy"]["name"]
        .as_str()
        .unwrap();
    let policy = tenant
        .stage
        .get(&["netpol", path, "-n", &tenant.name])
        .await;
    let timer = tenant.stage.get(&["job", path, "-n", &tenant.name]).await;
    let owners = policy["metadata"]["ownerReferences"].as_array().unwrap();
    assert_eq!(owners.len(), 1);
    assert_eq!(owners[0]["uid"], timer["metadata"]["uid"]);
    assert!(timer["status"]["startTime"].is_string(), "it runs");
    assert_eq!(timer["spec"]["parallelism"], 0, "without a pod");
}

async fn a_restart_writes_nothing(stage: &Stage, tenant: &Tenant<'_>) -> Operator {
    let user = stage.cluster.operator_identity().await.unwrap();
    let audit = stage.cluster.audit().unwrap();
    stage.at_rest().await;
    assert!(stage.operator.stop().await.unwrap().success());
    let marker = audit.marker().await.unwrap();
    let again = stage.cluster.start_operator(COVENANT).await.unwrap();
    always(
        "nothing is written",
        std::time::Duration::from_secs(3),
        || async {
            let writes = audit.mutating(user.name(), marker).await?;
            anyhow::ensure!(writes.is_empty(), "{writes:?}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    let grant = tenant.open("lasting").await;
    assert_eq!(condition(&grant, "Ready").0, "True");
    again
}
