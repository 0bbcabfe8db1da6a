//! Ways out of a retention that a tenant tries.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use testbed::{always, eventually};

use crate::case::{applied, policy, thing};
use crate::scene::{
    asks, creates, deletes, does, edits, instant, intended, patches, refused, scene,
};
use crate::stage::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
async fn a_label_by_which_something_is_kept_stays_while_the_minimum_runs_and_may_change_after_it() {
    let scene = scene().await;
    let acme = scene.tenant_on("labelled", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atLeast": "PT20S", "atMost": "PT40S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    applied(&acme.admin, &thing(namespace, "b", "log")).await;
    scene
        .policy_says(namespace, "logs", "Enforced", "True", "BoundaryStored")
        .await;
    let minimum =
        scene.created(&["cm", "a", "-n", namespace]).await + SignedDuration::from_secs(20);
    let unlabel = |value: serde_json::Value| json!({ "metadata": { "labels": { "app": value } } });
    for who in [&acme.admin, scene.cluster.admin()] {
        for patch in [
            unlabel(json!("web")),
            unlabel(json!(null)),
            json!({ "metadata": { "labels": null } }),
        ] {
            refused(
                who,
                patches(namespace, "a", patch),
                "The labels by which it is selected stay",
            )
            .await;
        }
        refused(
            who,
            deletes(namespace, "a"),
            "is kept by RetentionPolicy logs",
        )
        .await;
        // Neither what the policy selects nor how long it keeps is the tenant's to take back.
        for spec in [
            json!({ "keep": { "atLeast": "PT1S" } }),
            json!({ "keep": { "atLeast": null } }),
            json!({ "startsAt": "RetainedSince" }),
            json!({ "select": [{ "apiVersion": "v1", "kind": "ConfigMap", "names": ["b"] }] }),
        ] {
            let edit = edits(namespace, "logs", json!({ "spec": spec }));
            refused(who, edit, "takes the verb administer").await;
        }
    }
    // More labels are no way out, nor is what it says.
    let more = json!({ "metadata": { "labels": { "team": "x" } }, "data": { "log": "" } });
    does(&acme.admin, patches(namespace, "a", more)).await;
    refused(
        &acme.admin,
        deletes(namespace, "a"),
        "is kept by RetentionPolicy logs",
    )
    .await;
    eventually("the minimum is over", PATIENCE, || async {
        let answer = asks(&acme.admin, patches(namespace, "a", unlabel(json!("web")))).await;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    assert!(jiff::Timestamp::now() >= minimum);
    // What left its selection in time is nobody's to dispose of.
    scene.things_are(namespace, "log", &[]).await;
    assert_eq!(scene.things(namespace, "web").await, ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_anew_to_look_old_or_young_is_judged_by_what_the_api_server_says() {
    let scene = scene().await;
    let acme = scene.tenant_on("forged", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atLeast": "PT20S" });
    applied(
        &acme.admin,
        &policy(namespace, "books", "book", keep, "Preview"),
    )
    .await;
    let keep = json!({ "atMost": "P1D" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    for (app, created) in [
        ("book", "2001-01-01T00:00:00Z"),
        ("log", "2001-01-01T00:00:00Z"),
        ("late", "2199-01-01T00:00:00Z"),
    ] {
        let mut object = thing(namespace, app, app);
        object["metadata"]["creationTimestamp"] = json!(created);
        object["metadata"]["uid"] = json!("3b2f0c9e-0000-4000-8000-000000000000");
        let stored = does(&acme.admin, creates(namespace, object)).await;
        assert_ne!(stored["metadata"]["creationTimestamp"], created);
        let earlier = json!({ "metadata": { "creationTimestamp": created } });
        let after = asks(&acme.admin, patches(namespace, app, earlier)).await;
        assert!(
            !after.is_success() || after.body["metadata"]["creationTimestamp"] != created,
            "{after:?}"
        );
    }
    scene
        .policy_says(namespace, "books", "Enforced", "True", "BoundaryStored")
        .await;
    refused(
        &acme.admin,
        deletes(namespace, "book"),
        "is kept by RetentionPolicy books",
    )
    .await;
    let stays = || async { scene.things(namespace, "log").await == ["log"] };
    always("what is young stays", Duration::from_secs(3), stays)
        .await
        .unwrap();
    let next = scene
        .policy_is(namespace, "logs", "it is due in a day", |policy| {
            policy["status"]["due"]["nextAt"].is_string()
        })
        .await;
    let created = scene.created(&["cm", "log", "-n", namespace]).await;
    let due = instant(&next["status"]["due"]["nextAt"]);
    assert_eq!(due, created + SignedDuration::from_hours(24));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_says_that_its_time_has_come_is_nobodys_to_write() {
    let scene = scene().await;
    let acme = scene.tenant_on("claimed", "slow").await;
    let namespace = acme.name.as_str();
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    let graced = scene
        .policy_is(namespace, "logs", "its grace runs", |policy| {
            policy["status"]["withheld"]["byGrace"] == 1
        })
        .await;
    let since = json!({ "status": { "since": "2001-01-01T00:00:00Z" } });
    let mut forged = edits(namespace, "logs", since);
    forged.path.push_str("/status");
    for who in [
        &acme.admin,
        &scene.officer,
        &scene.engineer,
        scene.cluster.admin(),
    ] {
        let answer = asks(who, forged.clone()).await;
        assert_eq!(answer.code, 403, "{} {answer:?}", who.name());
    }
    let parameters = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
        "metadata": { "name": "current", "namespace": namespace },
        "spec": { "retention": [{ "rule": "RetentionPolicy logs", "apiGroup": "", "kind": "ConfigMap",
            "startsAt": "CreatedAt", "atLeast": "PT1S", "startedBefore": "2199-01-01T00:00:00Z" }] }
    });
    for who in [&acme.admin, &scene.engineer, scene.cluster.admin()] {
        let applied = who.apply(&parameters.to_string()).await.unwrap();
        applied.refusal().unwrap();
    }
    let uid = scene.uid(namespace, "a").await;
    scene.things_are(namespace, "log", &[]).await;
    let since = instant(&graced["status"]["since"]);
    let receipts = scene.receipts(&uid).await;
    assert!(
        intended(&receipts) >= since + SignedDuration::from_secs(6),
        "{receipts:?}"
    );
}
