//! A disk that is full, torn, or cannot sync: what opens and what destroys waits, what closes and what keeps does not.

use serde_json::json;
use testbed::disk::{Disk, DiskRule};
use testbed::eventually;
use testbed::operator::{Operator, OperatorOptions};

use crate::case::{applied, entries, policy, stage, thing};
use crate::stage::{COVENANT, PATIENCE, condition, in_days};

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_stops_openings_and_disposals_and_no_closing_and_no_hold() {
    let mut stage = stage(50).await;
    stage.operator.stop().await.unwrap();
    let disk = Disk::new(stage.cluster.folder(), stage.operator.ledger()).unwrap();
    let identity = stage.cluster.operator_identity().await.unwrap();
    let options = OperatorOptions {
        environment: disk.environment(),
        ..OperatorOptions::default()
    };
    let kubeconfig = identity.kubeconfig();
    stage.operator =
        Operator::start(&stage.cluster, COVENANT.as_ref(), kubeconfig, options).unwrap();
    stage.operator.wait_ready().await.unwrap();
    let acme = stage.tenant("acme-disk").await;

    for (round, rule) in [
        DiskRule::NoSpace,
        DiskRule::Short,
        DiskRule::SyncError,
        DiskRule::ReadOnly,
    ]
    .into_iter()
    .enumerate()
    {
        let (before, during) = (format!("before-{round}"), format!("during-{round}"));
        acme.grants(&acme.grant(&before, &in_days(30))).await;
        acme.open(&before).await;

        disk.set(rule).unwrap();
        acme.grants(&acme.grant(&during, &in_days(30))).await;
        acme.wait(&during, |grant| {
            condition(grant, "Open") == ("False".to_owned(), "LedgerUnavailable".to_owned())
        })
        .await;
        let app = format!("log-{round}");
        let keep = json!({ "atMost": "PT1S" });
        applied(
            &acme.admin,
            &policy(&acme.name, &app, &app, keep, "Dispose"),
        )
        .await;
        applied(&acme.admin, &thing(&acme.name, &app, &app)).await;
        stage
            .policy_is(
                &acme.name,
                &app,
                "it is withheld for the ledger's sake",
                |policy| condition(policy, "Ready").1 == "LedgerUnavailable",
            )
            .await;
        // What closes waits for no disk.
        let mut revoked = acme.grant(&before, &in_days(30));
        revoked["spec"]["revoked"] = json!({ "reason": "contract ended" });
        acme.grants(&revoked).await;
        acme.closed(&before, "Revoked").await;
        assert_eq!(stage.things(&acme.name, &app).await, [app.as_str()]);

        disk.set(DiskRule::Works).unwrap();
        acme.open(&during).await;
        stage.things_are(&acme.name, &app, &[]).await;
        let uid = |grant: serde_json::Value| grant["metadata"]["uid"].as_str().unwrap().to_owned();
        let closed = uid(stage.get(&["dsg", &before, "-n", &acme.name]).await);
        eventually(
            "the closing was noted and is in the ledger",
            PATIENCE,
            || async {
                let entries = entries(stage.operator.ledger());
                let found = entries.iter().any(|entry| {
                    entry["type"].as_str().unwrap().contains("path.closed")
                        && entry["subject"].as_str().unwrap().ends_with(&closed)
                });
                anyhow::ensure!(found, "{} entries", entries.len());
                anyhow::Ok(())
            },
        )
        .await
        .unwrap();
    }
    stage.operator.stop().await.unwrap();
    stage.ledger_verifies();
}
