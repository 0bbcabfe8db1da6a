//! Without an operator more is kept, never less.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use testbed::eventually;

use crate::case::{applied, policy, stage, thing};
use crate::scene::{asks, deletes, does, edits, refused};
use crate::stage::{COVENANT, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn with_the_operator_dead_a_minimum_does_not_end_and_what_is_due_stays_and_both_happen_once_it_is_back()
 {
    let stage = stage(50).await;
    let acme = stage.tenant_on("deserted", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atLeast": "PT10S" });
    applied(
        &acme.admin,
        &policy(namespace, "books", "book", keep, "Preview"),
    )
    .await;
    let keep = json!({ "atMost": "PT10S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    applied(&acme.admin, &thing(namespace, "a", "book")).await;
    applied(&acme.admin, &thing(namespace, "b", "log")).await;
    stage
        .policy_says(namespace, "books", "Enforced", "True", "BoundaryStored")
        .await;
    stage.operator.kill();
    // What it has not read yet is kept by the policy itself.
    let keep = json!({ "atLeast": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "unread", "web", keep, "Preview"),
    )
    .await;
    applied(&acme.admin, &thing(namespace, "c", "web")).await;
    let begun = stage.created(&["cm", "c", "-n", namespace]).await;
    eventually("every minimum would be over", PATIENCE, || async {
        let wait = Timestamp::now().duration_since(begun) > SignedDuration::from_secs(14);
        tokio::time::sleep(Duration::from_millis(200)).await;
        wait
    })
    .await
    .unwrap();
    for who in [&acme.admin, &stage.engineer, stage.cluster.admin()] {
        refused(
            who,
            deletes(namespace, "a"),
            "is kept by RetentionPolicy books",
        )
        .await;
        refused(
            who,
            deletes(namespace, "c"),
            "which the operator has yet to read",
        )
        .await;
    }
    assert_eq!(stage.things(namespace, "log").await, ["b"]);
    // Who administers the tenant is not locked out.
    let shorter = json!({ "spec": { "keep": { "atLeast": "PT2S" } } });
    does(&stage.engineer, edits(namespace, "unread", shorter)).await;

    let uid = stage.uid(namespace, "b").await;
    let back = stage.cluster.start_operator(COVENANT).await.unwrap();
    for name in ["a", "c"] {
        eventually("it may go", PATIENCE, || async {
            let answer = asks(&acme.admin, deletes(namespace, name)).await;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
    stage.things_are(namespace, "log", &[]).await;
    assert_eq!(crate::scene::result(&stage.receipts(&uid).await), "deleted");
    stage.ledger_verifies();
    drop(back);
}
