//! Several policies about one object, and a baseline about all.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use testbed::always;

use crate::case::{applied, policy, thing};
use crate::scene::{deletes, intended, refused, result, scene};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_policies_the_longer_minimum_beats_the_shorter_maximum_for_as_long_as_it_runs() {
    let scene = scene().await;
    let acme = scene.tenant_on("divided", "default").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atLeast": "PT20S" });
    applied(
        &acme.admin,
        &policy(namespace, "keeps", "log", keep, "Preview"),
    )
    .await;
    scene
        .policy_says(namespace, "keeps", "Enforced", "True", "BoundaryStored")
        .await;
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "takes", "log", keep, "Dispose"),
    )
    .await;
    let created = scene.created(&["cm", "a", "-n", namespace]).await;
    scene
        .policy_is(namespace, "takes", "a minimum keeps it", |policy| {
            policy["status"]["withheld"]["byMinimum"] == 1 && policy["status"]["due"]["now"] == 0
        })
        .await;
    refused(
        &acme.admin,
        deletes(namespace, "a"),
        "is kept by RetentionPolicy keeps",
    )
    .await;
    let uid = scene.uid(namespace, "a").await;
    scene.things_are(namespace, "log", &[]).await;
    let receipts = scene.receipts(&uid).await;
    assert!(
        intended(&receipts) >= created + SignedDuration::from_secs(20),
        "{receipts:?}"
    );
    assert_eq!(receipts[0]["data"]["cause"]["name"], "takes");
    assert_eq!(result(&receipts), "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_maxima_the_shorter_takes_the_object_and_a_preview_takes_none() {
    let scene = scene().await;
    let acme = scene.tenant_on("twofold", "default").await;
    let namespace = acme.name.as_str();
    for (name, at_most, mode) in [
        ("previews", "PT1S", "Preview"),
        ("first", "PT8S", "Dispose"),
        ("last", "P1Y", "Dispose"),
    ] {
        let keep = json!({ "atMost": at_most });
        applied(&acme.admin, &policy(namespace, name, "log", keep, mode)).await;
    }
    applied(&acme.admin, &thing(namespace, "a", "log")).await;
    let created = scene.created(&["cm", "a", "-n", namespace]).await;
    scene
        .policy_is(namespace, "previews", "it would go", |policy| {
            policy["status"]["due"]["now"] == 1
        })
        .await;
    let uid = scene.uid(namespace, "a").await;
    scene.things_are(namespace, "log", &[]).await;
    let receipts = scene.receipts(&uid).await;
    assert_eq!(
        receipts.len(),
        2,
        "one intent and one outcome: {receipts:?}"
    );
    assert_eq!(receipts[0]["data"]["cause"]["name"], "first");
    assert!(
        intended(&receipts) >= created + SignedDuration::from_secs(8),
        "{receipts:?}"
    );
    for name in ["previews", "last"] {
        let policy = scene.get(&["retpol", name, "-n", namespace]).await;
        let total = &policy["status"]["disposed"]["total"];
        assert!(total.is_null() || *total == 0, "{policy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baselines_minimum_beats_a_tenants_maximum_and_is_not_the_tenants_to_choose() {
    let scene = scene().await;
    let acme = scene.tenant_on("audited", "audited").await;
    let namespace = acme.name.as_str();
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Preview"),
    )
    .await;
    applied(&acme.admin, &thing(namespace, "audit-1", "log")).await;
    applied(&acme.admin, &thing(namespace, "other", "log")).await;
    let created = scene.created(&["cm", "audit-1", "-n", namespace]).await;
    let uid = scene.uid(namespace, "audit-1").await;
    scene
        .policy_is(namespace, "logs", "the baseline keeps one", |policy| {
            policy["status"]["withheld"]["byMinimum"] == 1 && policy["status"]["due"]["now"] == 1
        })
        .await;
    refused(
        &acme.admin,
        deletes(namespace, "audit-1"),
        "is kept by TenantBaseline audited",
    )
    .await;
    refused(
        scene.cluster.admin(),
        deletes(namespace, "audit-1"),
        "is kept by TenantBaseline audited",
    )
    .await;
    let label = [
        "label",
        "ns",
        namespace,
        "privacy.cloudnexus.io/baseline=wide",
        "--overwrite",
    ];
    acme.admin.kubectl(&label).await.unwrap().refusal().unwrap();
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy(namespace, "logs", "log", keep, "Dispose"),
    )
    .await;
    scene.things_are(namespace, "log", &["audit-1"]).await;
    let stays = || async { scene.things(namespace, "log").await == ["audit-1"] };
    always("it stays", Duration::from_secs(2), stays)
        .await
        .unwrap();
    scene.things_are(namespace, "log", &[]).await;
    let receipts = scene.receipts(&uid).await;
    assert!(
        intended(&receipts) >= created + SignedDuration::from_secs(25),
        "{receipts:?}"
    );
}
