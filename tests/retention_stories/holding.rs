//! A hold that comes while things go.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::audit::Marker;
use testbed::proxy::{Fault, Rule};
use testbed::{always, eventually};

use crate::case::{applied, entries, policy, thing};
use crate::holds::hold;
use crate::scene::{deletes, disposes, refused, scene};
use crate::stage::{PATIENCE, condition};

const MANY: usize = 400;

/// What the ledger says of the disposal of these objects: intents without an outcome, and how many times each was deleted.
fn told(entries: &[Value], uids: &BTreeSet<String>) -> (usize, Vec<String>) {
    let about: Vec<&Value> = entries
        .iter()
        .filter(|entry| {
            let subject = entry["subject"].as_str().unwrap();
            uids.iter().any(|uid| subject.ends_with(uid.as_str()))
        })
        .collect();
    let outcomes: BTreeSet<&str> = about
        .iter()
        .filter_map(|entry| entry["intent"].as_str())
        .collect();
    let open = about.iter().filter(|entry| {
        entry["phase"] == "intent" && !outcomes.contains(entry["id"].as_str().unwrap())
    });
    let deleted = about
        .iter()
        .filter(|entry| entry["data"]["detail"]["result"] == "deleted")
        .map(|entry| entry["subject"].as_str().unwrap().to_owned());
    (open.count(), deleted.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_hold_in_the_middle_of_a_run_is_enforced_nothing_more_goes_and_after_its_release_the_rest_does()
 {
    let scene = scene().await;
    let acme = scene.tenant_on("midway", "wide").await;
    let namespace = acme.name.as_str();
    let items: Vec<Value> = (0..MANY)
        .map(|number| thing(namespace, &format!("log-{number}"), "log"))
        .collect();
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    applied(&acme.admin, &all).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep.clone(), "Preview"),
    )
    .await;
    scene
        .policy_is(namespace, "logs", "all of it is due", |policy| {
            policy["status"]["due"]["now"] == MANY
        })
        .await;
    let list = scene.get(&["cm", "-n", namespace, "-l", "app=log"]).await;
    let uids: BTreeSet<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["uid"].as_str().unwrap().to_owned())
        .collect();

    let going = disposes(namespace);
    let slowly = Rule::new(Fault::Delay(Duration::from_millis(700)), going.clone());
    let slowly = scene.proxy.add(slowly);
    let before = scene.proxy.request_count();
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    eventually("some of it went", PATIENCE, || async {
        let journal = scene.proxy.journal().split_off(before);
        journal
            .iter()
            .any(|entry| going(&entry.request) && entry.status == Some(200))
    })
    .await
    .unwrap();
    scene
        .holds(&hold(namespace, "case-1", &["PreventDeletion"]))
        .await;
    scene.proven(namespace, "case-1").await;
    let enforced = scene.cluster.audit().unwrap().marker().await.unwrap();
    let left = scene.things(namespace, "log").await;
    assert!(!left.is_empty() && left.len() < MANY, "{}", left.len());
    scene
        .policy_is(namespace, "logs", "the hold keeps what is left", |policy| {
            policy["status"]["withheld"]["byHold"] == left.len()
                && policy["status"]["due"]["now"] == 0
        })
        .await;
    refused(&acme.admin, deletes(namespace, &left[0]), "case-1").await;
    refused(
        scene.cluster.admin(),
        deletes(namespace, &left[0]),
        "case-1",
    )
    .await;
    always("nothing more goes", Duration::from_secs(4), || async {
        scene.things(namespace, "log").await == left
    })
    .await
    .unwrap();
    let went = scene.deletions(namespace, "configmaps", enforced).await;
    assert!(went.is_empty(), "{went:?}");
    let gone: BTreeSet<String> = eventually("every intent has its outcome", PATIENCE, || async {
        let (open, deleted) = told(&entries(scene.operator.ledger()), &uids);
        anyhow::ensure!(open == 0, "{open} intents are open");
        anyhow::ensure!(deleted.len() == MANY - left.len(), "{}", deleted.len());
        anyhow::Ok(deleted.into_iter().collect())
    })
    .await
    .unwrap();
    assert_eq!(gone.len(), MANY - left.len(), "no object went twice");

    scene.proxy.remove(slowly);
    scene.releases(namespace, "case-1").await;
    scene.things_are(namespace, "log", &[]).await;
    let deleted = eventually("every intent has its outcome", PATIENCE, || async {
        let (open, deleted) = told(&entries(scene.operator.ledger()), &uids);
        anyhow::ensure!(
            open == 0 && deleted.len() >= MANY,
            "{open} {}",
            deleted.len()
        );
        anyhow::Ok(deleted)
    })
    .await
    .unwrap();
    assert_eq!(deleted.iter().collect::<BTreeSet<_>>().len(), MANY);
    assert_eq!(deleted.len(), MANY, "one receipt an object");
    let counted = scene
        .deletions(namespace, "configmaps", Marker::default())
        .await;
    assert_eq!(counted.len(), MANY);
    scene
        .policy_is(namespace, "logs", "all of them are counted", |policy| {
            policy["status"]["disposed"]["total"] == MANY
        })
        .await;
    scene.ledger_verifies();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_hold_keeps_until_its_grace_is_over_and_is_a_record_that_stays_until_the_ledger_has_it()
 {
    let scene = scene().await;
    let acme = scene.tenant_on("released", "default").await;
    let namespace = acme.name.as_str();
    scene
        .holds(&hold(namespace, "case-1", &["SuspendSharing"]))
        .await;
    scene.proven(namespace, "case-1").await;
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    // Whatever its effects are, what a hold covers is not disposed of.
    scene
        .policy_is(namespace, "logs", "the hold keeps it", |policy| {
            policy["status"]["withheld"]["byHold"] == 1
        })
        .await;
    let uid = scene.uid(namespace, "a").await;
    let by = scene.officer.name();
    let decision =
        json!([{ "type": "Released", "by": by, "reason": "settled", "restoreAfter": "PT5S" }]);
    scene.decides(namespace, "case-1", &decision).await;
    let held = scene
        .hold_is(namespace, "case-1", "Restored", "False", "Grace")
        .await;
    assert_eq!(scene.things(namespace, "log").await, ["a"]);
    let restored = crate::scene::instant(&held["status"]["restoredAt"]);
    let delete = ["delete", "phold", "case-1", "-n", namespace, "--wait=false"];
    let said = scene
        .officer
        .kubectl(&delete)
        .await
        .unwrap()
        .refusal()
        .unwrap();
    assert!(said.contains("case-1"), "{said}");
    let record = scene
        .hold_is(namespace, "case-1", "Restored", "True", "GraceOver")
        .await;
    let index = usize::try_from(record["status"]["recorded"].as_u64().unwrap()).unwrap();
    let entry = entries(scene.operator.ledger())[index].clone();
    assert_eq!(entry["type"], "io.cloudnexus.privacy.hold.released.v1");
    let hold_uid = record["metadata"]["uid"].as_str().unwrap();
    assert!(
        entry["subject"].as_str().unwrap().ends_with(hold_uid),
        "{entry}"
    );
    assert!(
        !entry.to_string().contains(by),
        "people are pseudonyms: {entry}"
    );
    scene.things_are(namespace, "log", &[]).await;
    let receipts = scene.receipts(&uid).await;
    assert!(
        crate::scene::intended(&receipts) >= restored,
        "{receipts:?}"
    );
    scene
        .officer
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(condition(&record, "Released").0, "True");
}
