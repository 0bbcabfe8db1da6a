//! What goes wrong between the operator and the API server.

use std::time::Duration;

use serde_json::json;
use testbed::proxy::{Fault, Rule};
use testbed::{always, eventually};

use crate::case::{applied, policy, stage, thing};
use crate::holds::hold;
use crate::scene::{asks, deletes, disposes, result, scene};
use crate::stage::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_whose_answer_is_lost_is_looked_for_and_has_one_receipt() {
    let scene = scene().await;
    let acme = scene.tenant_on("unanswered", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep.clone(), "Preview"),
    )
    .await;
    let mut uids = Vec::new();
    for name in ["a", "b", "c"] {
        applied(&acme.admin, &thing(namespace, name, "log")).await;
        uids.push(scene.uid(namespace, name).await);
    }
    // One was never asked for, of one the answer is lost, and one is refused for want of time.
    let going = disposes(namespace);
    for (fault, name) in [
        (Fault::LoseRequest, "a"),
        (Fault::LoseAnswer, "b"),
        (Fault::unavailable(), "c"),
    ] {
        let going = going.clone();
        let is = move |seen: &testbed::proxy::Seen| going(seen) && seen.path.ends_with(name);
        scene.proxy.add(Rule::new(fault, is).times(1));
    }
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    scene.things_are(namespace, "log", &[]).await;
    for uid in &uids {
        let receipts = eventually("its receipt is complete", PATIENCE, || async {
            let receipts = scene.receipts(uid).await;
            anyhow::ensure!(result(&receipts) == "deleted", "{receipts:?}");
            anyhow::Ok(receipts)
        })
        .await
        .unwrap();
        let intents = receipts.iter().filter(|entry| entry["phase"] == "intent");
        for intent in intents {
            let settled = receipts
                .iter()
                .filter(|entry| entry["intent"] == intent["id"] && entry["settled"] == true);
            assert_eq!(settled.count(), 1, "{receipts:?}");
        }
        let deleted = receipts
            .iter()
            .filter(|entry| entry["data"]["detail"]["result"] == "deleted");
        assert_eq!(deleted.count(), 1, "{receipts:?}");
    }
    scene.ledger_verifies();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hold_keeps_that_the_operator_cannot_see_is_refused_by_the_api_server() {
    let stage = stage(50).await;
    let (proxy, _operator) = stage.behind_proxy().await;
    let acme = stage.tenant_on("unseen", "default").await;
    let namespace = acme.name.as_str();
    let frozen = proxy.freeze_watches_of("processingholds");
    stage
        .holds(&hold(namespace, "case-1", &["PreventDeletion"]))
        .await;
    for name in ["a", "b"] {
        applied(&acme.admin, &thing(namespace, name, "log")).await;
    }
    eventually("the API server refuses", PATIENCE, || async {
        let answer = asks(&acme.admin, deletes(namespace, "a").dry()).await;
        anyhow::ensure!(
            answer.code == 403 && answer.message().contains("case-1"),
            "{answer:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    let said = stage
        .policy_says(namespace, "logs", "Ready", "False", "Refused")
        .await;
    let conditions = said["status"]["conditions"].to_string();
    assert!(conditions.contains("case-1"), "{conditions}");
    let uid = stage.uid(namespace, "a").await;
    assert_eq!(result(&stage.receipts(&uid).await), "not deleted: refused");
    proxy.remove(frozen);
    stage
        .policy_is(namespace, "logs", "the hold is seen", |policy| {
            policy["status"]["withheld"]["byHold"] == 2
        })
        .await;
    let both = || async { stage.things(namespace, "log").await == ["a", "b"] };
    always("they stay", Duration::from_secs(2), both)
        .await
        .unwrap();
    stage.proven(namespace, "case-1").await;
    stage.releases(namespace, "case-1").await;
    stage.things_are(namespace, "log", &[]).await;
    assert_eq!(result(&stage.receipts(&uid).await), "deleted");
}
