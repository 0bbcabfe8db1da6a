//! More is due than a run may take.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::always;

use crate::case::{applied, policy, thing};
use crate::holds::hold;
use crate::scene::{Scene, asks, decides, does, edits, scene};
use crate::stage::{Tenant, condition};

fn lifted(by: &str, generation: i64, until: i64) -> Value {
    json!({ "type": "LimitLifted", "by": by, "reason": "the backlog of a year", "generation": generation, "untilTotal": until })
}

async fn five(acme: &Tenant<'_>, batch: &str) {
    let items: Vec<Value> = (0..5)
        .map(|number| thing(&acme.name, &format!("{batch}-{number}"), "log"))
        .collect();
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    applied(&acme.admin, &all).await;
}

/// Five that come due at the same moment, however long it takes to make them: the end of a hold.
async fn five_at_once(scene: &Scene, acme: &Tenant<'_>, batch: &str) {
    let namespace = acme.name.as_str();
    scene
        .holds(&hold(namespace, batch, &["SuspendSharing"]))
        .await;
    scene.proven(namespace, batch).await;
    five(acme, batch).await;
    scene
        .policy_is(namespace, "logs", "the hold keeps them", |policy| {
            policy["status"]["withheld"]["byHold"] == 5
        })
        .await;
    scene.releases(namespace, batch).await;
}

async fn stopped(scene: &Scene, namespace: &str, number: i64) -> Value {
    let policy = scene
        .policy_is(namespace, "logs", "the limit is exceeded", |policy| {
            condition(policy, "LimitExceeded") == ("True".to_owned(), "MaximumPerRun".to_owned())
                && policy["status"]["withheld"]["byLimit"] == number
        })
        .await;
    assert_eq!(policy["status"]["due"]["now"], 0);
    policy
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_matches_too_much_takes_nothing_until_an_officer_lifts_the_limit_for_what_was_looked_at()
 {
    let scene = scene().await;
    let acme = scene.tenant_on("limited", "narrow").await;
    let namespace = acme.name.as_str();
    five(&acme, "first").await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep.clone(), "Preview"),
    )
    .await;
    let said = stopped(scene, namespace, 5).await;
    assert_eq!(condition(&said, "Ready").1, "Previewing");
    // What the preview shows is what the first switch meets.
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    let said = scene
        .policy_says(namespace, "logs", "Ready", "False", "LimitExceeded")
        .await;
    let conditions = said["status"]["conditions"].to_string();
    for words in [
        "5 objects are due and a run may dispose of 3",
        "retention lift logs",
        "--until 5",
    ] {
        assert!(conditions.contains(words), "{conditions}");
    }
    let all = || async { scene.things(namespace, "log").await.len() == 5 };
    always("none goes", Duration::from_secs(3), all)
        .await
        .unwrap();

    for who in [&acme.admin, &scene.engineer, scene.cluster.admin()] {
        let mine = asks(
            who,
            decides(namespace, "logs", &[lifted(who.name(), 2, 50)]),
        )
        .await;
        assert!(matches!(mine.code, 403 | 422), "{} {mine:?}", who.name());
        let theirs = asks(who, decides(namespace, "logs", &[lifted("officer", 2, 50)])).await;
        assert!(
            matches!(theirs.code, 403 | 422),
            "{} {theirs:?}",
            who.name()
        );
    }
    let stale = asks(
        &scene.officer,
        decides(namespace, "logs", &[lifted("officer", 1, 50)]),
    )
    .await;
    assert!(
        matches!(stale.code, 403 | 422),
        "what was looked at was edited: {stale:?}"
    );
    // Three at first, because the officer wants to see what becomes of them.
    let some = lifted("officer", 2, 3);
    does(
        &scene.officer,
        decides(namespace, "logs", std::slice::from_ref(&some)),
    )
    .await;
    // What is left is within the limit by itself.
    scene.things_are(namespace, "log", &[]).await;
    scene
        .policy_is(namespace, "logs", "five went", |policy| {
            policy["status"]["disposed"]["total"] == 5
        })
        .await;

    five_at_once(scene, &acme, "second").await;
    stopped(scene, namespace, 5).await;
    let more = lifted("officer", 2, 50);
    does(
        &scene.officer,
        decides(namespace, "logs", &[some.clone(), more.clone()]),
    )
    .await;
    scene.things_are(namespace, "log", &[]).await;
    scene
        .policy_is(
            namespace,
            "logs",
            "ten went, and nothing is exceeded",
            |policy| {
                policy["status"]["disposed"]["total"] == 10
                    && condition(policy, "LimitExceeded").0 != "True"
                    && condition(policy, "Ready").1 == "Disposing"
            },
        )
        .await;
    // Up to fifty it goes on. An edit is another policy.
    five_at_once(scene, &acme, "third").await;
    scene.things_are(namespace, "log", &[]).await;
    let edit = json!({ "spec": { "basis": "Contract §8" } });
    does(&acme.admin, edits(namespace, "logs", edit)).await;
    scene
        .policy_is(namespace, "logs", "the edit was read", |policy| {
            policy["status"]["observedGeneration"] == 3
        })
        .await;
    five_at_once(scene, &acme, "fourth").await;
    stopped(scene, namespace, 5).await;
    let all = || async { scene.things(namespace, "log").await.len() == 5 };
    always("none goes", Duration::from_secs(3), all)
        .await
        .unwrap();

    let stops = scene.recorded(namespace, "disposal.stopped");
    let numbers: Vec<&Value> = stops
        .iter()
        .map(|entry| &entry["data"]["detail"]["due"])
        .collect();
    assert!(numbers.iter().all(|due| **due == 5), "{stops:?}");
    let approvals = scene.recorded(namespace, "disposal.approved");
    let until: Vec<&Value> = approvals
        .iter()
        .map(|entry| &entry["data"]["detail"]["untilTotal"])
        .collect();
    assert_eq!(until, [3, 50], "{approvals:?}");
    assert!(
        approvals.iter().all(|entry| entry["authid"].is_string()),
        "{approvals:?}"
    );
    let said = approvals
        .iter()
        .map(ToString::to_string)
        .collect::<String>();
    assert!(
        !said.contains("\"officer\""),
        "people are pseudonyms: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_policies_of_a_namespace_share_the_limit_of_its_day() {
    let scene = scene().await;
    let mut bounds = crate::stage::baseline("daily", "P90D");
    bounds["spec"]["retention"] =
        json!({ "maximumPerRun": 3, "maximumPerDay": 4, "grace": "PT0S" });
    applied(&scene.engineer, &bounds).await;
    let acme = scene.tenant_on("daily", "daily").await;
    let namespace = acme.name.as_str();
    for (app, names) in [("a", ["a-1", "a-2", "a-3"]), ("b", ["b-1", "b-2", "b-3"])] {
        for name in names {
            applied(&acme.admin, &thing(namespace, name, app)).await;
        }
    }
    let (first, second) = ("a", "b");
    for app in [first, second] {
        let keep = json!({ "atMost": "PT1S" });
        applied(
            &acme.admin,
            &policy(namespace, app, app, keep.clone(), "Preview"),
        )
        .await;
        scene
            .policy_is(namespace, app, "all of it is due", |policy| {
                policy["status"]["due"]["now"] == 3
            })
            .await;
    }
    for app in [first, second] {
        let keep = json!({ "atMost": "PT1S" });
        applied(&acme.admin, &policy(namespace, app, app, keep, "Dispose")).await;
        scene
            .policy_is(namespace, app, "the switch was read", |policy| {
                policy["status"]["observedGeneration"] == 2
            })
            .await;
        if app == first {
            scene.things_are(namespace, first, &[]).await;
        }
    }
    let said = scene
        .policy_says(namespace, second, "LimitExceeded", "True", "MaximumPerDay")
        .await;
    let conditions = said["status"]["conditions"].to_string();
    let words = "3 objects are due, 3 went within 24 hours and all policies of the namespace may dispose of 4";
    assert!(conditions.contains(words), "{conditions}");
    let stays = || async { scene.things(namespace, second).await.len() == 3 };
    always("none of it goes", Duration::from_secs(3), stays)
        .await
        .unwrap();
    // Deleting and making the policy anew begins no new day.
    let delete = ["delete", "retpol", first, "-n", namespace];
    acme.admin
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    let delete = ["delete", "retpol", second, "-n", namespace];
    acme.admin
        .kubectl(&delete)
        .await
        .unwrap()
        .success()
        .unwrap();
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "again", second, keep, "Dispose"),
    )
    .await;
    scene
        .policy_says(namespace, "again", "LimitExceeded", "True", "MaximumPerDay")
        .await;
    always("none of it goes", Duration::from_secs(3), stays)
        .await
        .unwrap();
}
