//! What changes between a decision and its delete stays, and is judged anew.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use testbed::proxy::{Fault, Rule};
use testbed::{always, eventually};

use crate::case::{applied, policy, thing};
use crate::scene::{
    creates, deletes, disposes, does, edits, instant, intended, patches, result, scene,
};
use crate::stage::PATIENCE;

const CHANGED: &str = "not deleted: it was changed or replaced";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_edited_or_replaced_between_its_intent_and_its_delete_stays_and_is_judged_anew() {
    let scene = scene().await;
    let acme = scene.tenant_on("renewed", "default").await;
    let namespace = acme.name.as_str();
    for name in ["edited", "moved", "replaced", "still"] {
        applied(&acme.admin, &thing(namespace, name, "log")).await;
    }
    let keep = json!({ "atMost": "PT15S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep.clone(), "Preview"),
    )
    .await;
    scene
        .policy_is(namespace, "logs", "all of it is due", |policy| {
            policy["status"]["due"]["now"] == 4
        })
        .await;
    let mut before = Vec::new();
    for name in ["edited", "moved", "replaced", "still"] {
        before.push(scene.uid(namespace, name).await);
    }
    let going = disposes(namespace);
    let later = Rule::new(Fault::Delay(Duration::from_secs(6)), going.clone()).times(4);
    scene.proxy.add(later);
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    eventually("their deletes are on their way", PATIENCE, || async {
        let journal = scene.proxy.journal();
        journal.iter().filter(|entry| going(&entry.request)).count() >= 4
    })
    .await
    .unwrap();
    let edit = patches(
        namespace,
        "edited",
        json!({ "data": { "log": "more of it" } }),
    );
    does(&acme.admin, edit).await;
    let moved = json!({ "metadata": { "labels": { "app": "web" } } });
    does(&acme.admin, patches(namespace, "moved", moved)).await;
    does(&acme.admin, deletes(namespace, "replaced")).await;
    let replaced = does(
        &acme.admin,
        creates(namespace, thing(namespace, "replaced", "log")),
    )
    .await;
    let anew = replaced["metadata"]["uid"].as_str().unwrap();
    let early = scene.proxy.journal();
    let early = early.iter().filter(|entry| going(&entry.request));
    assert!(
        early.clone().all(|entry| entry.status.is_none()),
        "too slow to be a test"
    );

    for uid in &before[..3] {
        eventually("the outcome says so", PATIENCE, || async {
            let receipts = scene.receipts(uid).await;
            let said: Vec<&str> = receipts
                .iter()
                .filter_map(|entry| entry["data"]["detail"]["result"].as_str())
                .collect();
            anyhow::ensure!(said.first() == Some(&CHANGED), "{receipts:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
    assert_eq!(result(&scene.receipts(&before[3]).await), "deleted");
    // What was edited is still due: it goes with a receipt for what it holds now.
    scene.gone(&["cm", "edited", "-n", namespace]).await;
    let receipts = scene.receipts(&before[0]).await;
    assert_eq!(result(&receipts), "deleted");
    let digests: Vec<&str> = receipts
        .iter()
        .filter(|entry| entry["phase"] == "intent")
        .map(|entry| entry["data"]["detail"]["sha256"].as_str().unwrap())
        .collect();
    assert_eq!(digests.len(), 2, "{receipts:?}");
    assert_ne!(digests[0], digests[1]);
    // What has another label is nobody's, and what was made anew begins anew.
    scene.gone(&["cm", "replaced", "-n", namespace]).await;
    let receipts = scene.receipts(anew).await;
    let created = instant(&replaced["metadata"]["creationTimestamp"]);
    assert!(
        intended(&receipts) >= created + SignedDuration::from_secs(15),
        "{receipts:?}"
    );
    assert_eq!(scene.uid(namespace, "moved").await, before[1]);
    scene.ledger_verifies();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_policy_begins_its_grace_anew() {
    let scene = scene().await;
    let acme = scene.tenant_on("graced", "slow").await;
    let namespace = acme.name.as_str();
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    let graced = |generation: i64| {
        move |policy: &serde_json::Value| {
            policy["status"]["withheld"]["byGrace"] == 1
                && policy["status"]["observedGeneration"] == generation
        }
    };
    let first = scene
        .policy_is(namespace, "logs", "its grace runs", graced(1))
        .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let edit = json!({ "spec": { "basis": "Contract §8" } });
    does(&acme.admin, edits(namespace, "logs", edit)).await;
    let second = scene
        .policy_is(namespace, "logs", "its grace runs anew", graced(2))
        .await;
    let since = instant(&second["status"]["since"]);
    assert!(since > instant(&first["status"]["since"]), "{second}");
    let uid = scene.uid(namespace, "a").await;
    scene.things_are(namespace, "log", &[]).await;
    let receipts = scene.receipts(&uid).await;
    assert!(
        intended(&receipts) >= since + SignedDuration::from_secs(6),
        "{receipts:?}"
    );
    assert_eq!(receipts[0]["data"]["cause"]["generation"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_deleted_in_the_middle_of_its_run_disposes_of_nothing_more() {
    const MANY: usize = 200;
    let scene = scene().await;
    let acme = scene.tenant_on("withdrawn", "wide").await;
    let namespace = acme.name.as_str();
    let items: Vec<_> = (0..MANY)
        .map(|number| thing(namespace, &format!("log-{number}"), "log"))
        .collect();
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    applied(&acme.admin, &all).await;
    let going = disposes(namespace);
    let slowly = Rule::new(Fault::Delay(Duration::from_millis(1500)), going.clone());
    let slowly = scene.proxy.add(slowly);
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    let sent = || {
        let journal = scene.proxy.journal();
        let sent: Vec<_> = journal
            .into_iter()
            .filter(|entry| going(&entry.request))
            .collect();
        sent
    };
    eventually("the run began", PATIENCE, || async { !sent().is_empty() })
        .await
        .unwrap();
    let delete = ["delete", "retpol", "logs", "-n", namespace];
    acme.admin
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    // The operator hears of it a moment later; what was sent is answered.
    eventually("what was sent is answered", PATIENCE, || async {
        let before = sent();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = sent();
        anyhow::ensure!(
            before.len() == after.len() && after.iter().all(|entry| entry.status.is_some()),
            "{}",
            after.len()
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    scene.proxy.remove(slowly);
    let left = scene.things(namespace, "log").await;
    assert!(!left.is_empty() && left.len() < MANY, "{}", left.len());
    always("nothing more goes", Duration::from_secs(3), || async {
        scene.things(namespace, "log").await == left
    })
    .await
    .unwrap();
    let halted = scene.uid(namespace, &left[0]).await;
    let receipts = scene.receipts(&halted).await;
    if !receipts.is_empty() {
        assert_eq!(result(&receipts), "not deleted: the run was halted");
    }
    scene.ledger_verifies();
}
