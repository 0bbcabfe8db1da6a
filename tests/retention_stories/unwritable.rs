//! A ledger that cannot be written: nothing is opened or disposed of without it, closing and holding wait for nothing, and
//! when it is back all goes on by itself.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{always, eventually};

use crate::case::{applied, entries, policy, stage, thing};
use crate::holds::hold;
use crate::scene::result;
use crate::stage::{PATIENCE, Stage, condition, in_days};

/// Where the ledger is meanwhile.
fn away(ledger: &Path) -> std::path::PathBuf {
    ledger.with_file_name("ledger-away")
}

fn is_about(entries: &[Value], kind: &str, uid: &Value) -> bool {
    let kind = format!("io.cloudnexus.privacy.{kind}.v1");
    entries.iter().any(|entry| {
        entry["type"] == kind.as_str()
            && entry["subject"]
                .as_str()
                .unwrap()
                .ends_with(uid.as_str().unwrap())
    })
}

async fn waits(stage: &Stage, namespace: &str, name: &str) {
    let left = || async { stage.things(namespace, "log").await == [name] };
    stage
        .policy_says(namespace, "logs", "Ready", "False", "LedgerUnavailable")
        .await;
    always("nothing is disposed of", Duration::from_secs(3), left)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_ledger_cannot_be_written_nothing_opens_or_goes_but_closing_and_holding_do_and_then_all_goes_on()
 {
    let stage = stage(50).await;
    let tenant = stage.tenant("written").await;
    let namespace = tenant.name.as_str();
    let ledger = stage.operator.ledger();
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    let first = tenant.open("first").await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &tenant.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    stage
        .policy_says(namespace, "logs", "Ready", "True", "Disposing")
        .await;
    let other = stage.tenant_on("elsewhere", "default").await;

    std::fs::rename(ledger, away(ledger)).unwrap();
    std::fs::write(ledger, "what is no directory").unwrap();
    applied(&tenant.admin, &thing(namespace, "a", "log")).await;
    waits(&stage, namespace, "a").await;
    let a = stage.uid(namespace, "a").await;
    tenant.grants(&tenant.grant("second", &in_days(30))).await;
    let second = tenant
        .wait("second", |grant| {
            grant["status"].to_string().contains("ledger")
        })
        .await;
    assert_ne!(condition(&second, "Open").0, "True", "{second}");
    let delete = ["delete", "dsg", "first", "-n", namespace, "--wait=false"];
    tenant
        .admin
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant
        .nothing_left(first["metadata"]["uid"].as_str().unwrap())
        .await;
    stage
        .holds(&hold(&other.name, "case-1", &["PreventDeletion"]))
        .await;
    let held = stage.proven(&other.name, "case-1").await;
    stage.releases(&other.name, "case-1").await;
    // Until the ledger has it, the hold itself is the only record of its release.
    stage
        .hold_is(&other.name, "case-1", "Restored", "False", "NotRecorded")
        .await;
    let delete = [
        "delete",
        "phold",
        "case-1",
        "-n",
        &other.name,
        "--wait=false",
    ];
    stage
        .officer
        .kubectl(&delete)
        .await
        .unwrap()
        .refusal()
        .unwrap();
    let open = stage.get(&["dsg", "second", "-n", namespace]).await;
    assert_ne!(condition(&open, "Open").0, "True", "{open}");
    assert_eq!(stage.things(namespace, "log").await, ["a"]);
    let health = stage.operator.get("/readyz").await.unwrap();
    assert_eq!(health.status, 200, "closing and holding go on: {health:?}");

    std::fs::remove_file(ledger).unwrap();
    std::fs::rename(away(ledger), ledger).unwrap();
    tenant.open("second").await;
    stage.things_are(namespace, "log", &[]).await;
    let receipts = stage.receipts(&a).await;
    assert_eq!(result(&receipts), "deleted");
    let done = receipts
        .iter()
        .filter(|entry| entry["data"]["detail"]["result"] == "deleted");
    assert_eq!(done.count(), 1, "{receipts:?}");
    let restored = stage
        .hold_is(&other.name, "case-1", "Restored", "True", "GraceOver")
        .await;
    stage
        .officer
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually(
        "what was noted meanwhile is in the ledger",
        PATIENCE,
        || async {
            let told = entries(ledger);
            for (kind, uid) in [
                ("path.closed", &first["metadata"]["uid"]),
                ("hold.placed", &held["metadata"]["uid"]),
                ("hold.enforced", &held["metadata"]["uid"]),
                ("hold.released", &held["metadata"]["uid"]),
            ] {
                anyhow::ensure!(is_about(&told, kind, uid), "{kind} of {uid} is missing");
            }
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    let index = usize::try_from(restored["status"]["recorded"].as_u64().unwrap()).unwrap();
    let told = entries(ledger);
    assert!(is_about(
        &told[index..=index],
        "hold.released",
        &held["metadata"]["uid"]
    ));
    stage.ledger_verifies();
    stage
        .policy_says(namespace, "logs", "Ready", "True", "Disposing")
        .await;

    // Moved away, it is missing; another one is not begun in its place.
    let before = told.len();
    std::fs::rename(ledger, away(ledger)).unwrap();
    applied(&tenant.admin, &thing(namespace, "b", "log")).await;
    waits(&stage, namespace, "b").await;
    assert!(
        !ledger.join("checkpoint").exists(),
        "no second history begins"
    );
    if ledger.exists() {
        std::fs::remove_dir_all(ledger).unwrap();
    }
    std::fs::rename(away(ledger), ledger).unwrap();
    stage.things_are(namespace, "log", &[]).await;
    assert!(entries(ledger).len() > before);
    stage.ledger_verifies();
}
