//! From when a period counts: from completion, and from what is said to have been.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use testbed::raw::{Call, MERGE};
use testbed::{always, eventually};

use crate::case::{applied, policy, thing};
use crate::scene::{asks, creates, deletes, does, instant, intended, patches, refused, scene};
use crate::stage::PATIENCE;

fn job(namespace: &str, name: &str, spec: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": "import" } },
        "spec": { "template": {
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "a", "image": "a" }] }
        } }
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_kept_until_it_has_completed_and_its_periods_count_from_then() {
    let scene = scene().await;
    let acme = scene.tenant_on("completed", "default").await;
    let namespace = acme.name.as_str();
    let mut imports = policy(
        namespace,
        "imports",
        "import",
        json!({ "atLeast": "PT5S", "atMost": "PT8S" }),
        "Dispose",
    );
    imports["spec"]["startsAt"] = json!("CompletedAt");
    imports["spec"]["select"][0]["apiVersion"] = json!("batch/v1");
    imports["spec"]["select"][0]["kind"] = json!("Job");
    applied(&acme.admin, &imports).await;
    scene
        .policy_says(namespace, "imports", "Enforced", "True", "BoundaryStored")
        .await;
    applied(
        &acme.admin,
        &job(namespace, "waits", json!({ "suspend": true })),
    )
    .await;
    // It makes no pods, and goes on until it is told when to give up.
    applied(
        &acme.admin,
        &job(namespace, "done", json!({ "parallelism": 0 })),
    )
    .await;
    let uid = scene.get(&["job", "done", "-n", namespace]).await["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    // Longer than both periods after its creation.
    let stays = || async {
        scene
            .cluster
            .admin()
            .get(&["job", "done", "-n", namespace])
            .await
            .map(drop)
    };
    always(
        "what has not completed stays",
        Duration::from_secs(10),
        stays,
    )
    .await
    .unwrap();
    let path = |name: &str| format!("/apis/batch/v1/namespaces/{namespace}/jobs/{name}");
    for who in [&acme.admin, scene.cluster.admin()] {
        refused(
            who,
            Call::new("DELETE", path("done")),
            "is kept by RetentionPolicy imports",
        )
        .await;
    }
    // It completed long ago, says somebody who is no controller.
    let long_ago = json!({ "status": {
        "startTime": "2020-01-01T00:00:00Z", "completionTime": "2020-01-01T00:00:00Z",
        "conditions": [
            { "type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z" },
            { "type": "Complete", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z" },
        ],
    } });
    let boss = scene
        .cluster
        .namespace_cluster_admin(namespace)
        .await
        .unwrap();
    for who in [&acme.admin, &boss, scene.cluster.admin()] {
        let says =
            Call::new("PATCH", format!("{}/status", path("waits"))).with(MERGE, long_ago.clone());
        let answer = asks(who, says).await;
        assert!(
            matches!(answer.code, 403 | 422),
            "{} {answer:?}",
            who.name()
        );
    }
    let deadline = json!({ "spec": { "activeDeadlineSeconds": 1 } });
    does(
        &acme.admin,
        Call::new("PATCH", path("done")).with(MERGE, deadline),
    )
    .await;
    let completed = eventually("it completed", PATIENCE, || async {
        let job = scene
            .cluster
            .admin()
            .get(&["job", "done", "-n", namespace])
            .await?;
        let conditions = job["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let failed = conditions.iter().find(|one| one["type"] == "Failed");
        failed
            .map(|one| instant(&one["lastTransitionTime"]))
            .ok_or_else(|| anyhow::anyhow!("{job}"))
    })
    .await
    .unwrap();
    scene.gone(&["job", "done", "-n", namespace]).await;
    let receipts = scene.receipts(&uid).await;
    assert!(
        intended(&receipts) >= completed + SignedDuration::from_secs(8),
        "{receipts:?}"
    );
    let waits = scene.get(&["job", "waits", "-n", namespace]).await;
    assert!(waits["metadata"]["deletionTimestamp"].is_null(), "{waits}");
    scene
        .policy_is(namespace, "imports", "one went and one is kept", |policy| {
            policy["status"]["disposed"]["total"] == 1 && policy["status"]["matched"] == 1
        })
        .await;
}

const SINCE: &str = "privacy.cloudnexus.io/retained-since";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_counts_from_what_the_platform_says_of_it_and_from_nothing_that_the_tenant_says()
 {
    let scene = scene().await;
    let acme = scene.tenant_on("restored", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atLeast": "P30D", "atMost": "P1Y" });
    let mut books = policy(namespace, "books", "book", keep, "Dispose");
    books["spec"]["startsAt"] = json!("RetainedSince");
    applied(&acme.admin, &books).await;
    scene
        .policy_says(namespace, "books", "Enforced", "True", "BoundaryStored")
        .await;
    for name in ["old", "new", "later"] {
        applied(&acme.admin, &thing(namespace, name, "book")).await;
    }
    let says = |name: &str, instant: &str| {
        patches(
            namespace,
            name,
            json!({ "metadata": { "annotations": { SINCE: instant } } }),
        )
    };
    let words = "may not set, change or remove the annotation";
    for who in [&acme.admin, scene.cluster.admin()] {
        refused(who, says("new", "2001-02-03T04:05:06Z"), words).await;
        refused(who, says("new", "2199-01-01T00:00:00Z"), words).await;
        let mut forged = thing(namespace, "forged", "book");
        forged["metadata"]["annotations"] = json!({ SINCE: "2001-02-03T04:05:06Z" });
        refused(who, creates(namespace, forged), words).await;
    }
    let mut ahead = thing(namespace, "ahead", "book");
    ahead["metadata"]["annotations"] = json!({ SINCE: "2199-01-01T00:00:00Z" });
    let answer = asks(&scene.engineer, creates(namespace, ahead)).await;
    assert!(!answer.is_success(), "a creation in the future: {answer:?}");
    let uid = scene.uid(namespace, "old").await;
    does(&scene.engineer, says("later", "2100-01-01T00:00:00Z")).await;
    does(&scene.engineer, says("old", "2001-02-03T04:05:06Z")).await;
    scene.things_are(namespace, "book", &["later", "new"]).await;
    assert_eq!(crate::scene::result(&scene.receipts(&uid).await), "deleted");
    for name in ["later", "new"] {
        refused(
            &acme.admin,
            deletes(namespace, name),
            "is kept by RetentionPolicy books",
        )
        .await;
    }
    // Restored once more, and still as old.
    let mut again = thing(namespace, "old", "book");
    again["metadata"]["annotations"] = json!({ SINCE: "2001-02-03T04:05:06Z" });
    let again = does(&scene.engineer, creates(namespace, again)).await;
    scene.things_are(namespace, "book", &["later", "new"]).await;
    let receipts = scene
        .receipts(again["metadata"]["uid"].as_str().unwrap())
        .await;
    assert!(!receipts.is_empty() && !uid.is_empty());
    let policy = scene.get(&["retpol", "books", "-n", namespace]).await;
    let next = instant(&policy["status"]["due"]["nextAt"]);
    let created = scene.created(&["cm", "new", "-n", namespace]).await;
    let days = next.duration_since(created).as_hours() / 24;
    assert!((365..=366).contains(&days), "{policy}");
}
