//! Claims name only classes that are listed, in time, by every way there is.

use serde_json::json;
use testbed::raw::{Call, JSON};

use crate::stage::{FAR_AHEAD, LONG_AGO, change, claim, create, passes, refused, stage};

const BETA: &str = "volume.beta.kubernetes.io/storage-class";

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_names_only_a_class_that_is_listed() {
    let (stage, namespace) = (stage().await, "listed");
    stage.enrolled(namespace).await;
    stage
        .allows(
            namespace,
            json!([{ "name": "listed-a" }, { "name": "listed-b", "notAfter": FAR_AHEAD }]),
        )
        .await;
    for who in [stage.tenant(namespace).await, stage.admin()] {
        let name = if who.name().contains("tenant") {
            "one"
        } else {
            "two"
        };
        let choice = "Name one of: listed-a, listed-b.";
        passes(&who, create(claim(namespace, name, Some("listed-a")))).await;
        passes(
            &who,
            create(claim(namespace, &format!("{name}-more"), Some("listed-b"))),
        )
        .await;
        let plain = create(claim(namespace, "plain", Some("plain")));
        refused(&who, plain, &["PersistentVolumeClaim listed/plain: the volumes of the storage class plain are not known to be encrypted", choice]).await;
        for class in [None, Some("")] {
            let none = create(claim(namespace, "none", class));
            refused(
                &who,
                none,
                &[
                    "PersistentVolumeClaim listed/none names no storage class",
                    choice,
                ],
            )
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_that_ended_lets_no_claim_in() {
    let (stage, namespace) = (stage().await, "lapsed");
    stage.enrolled(namespace).await;
    stage
        .allows(namespace, json!([{ "name": "over", "notAfter": LONG_AGO }]))
        .await;
    let tenant = stage.tenant(namespace).await;
    let words = [
        "the attestation of the storage class over ended at",
        LONG_AGO,
        "attest it anew",
    ];
    refused(
        &tenant,
        create(claim(namespace, "late", Some("over"))),
        &words,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_annotation_that_beats_the_field_is_judged_and_a_listed_field_hides_nothing() {
    let (stage, namespace) = (stage().await, "annotated");
    stage.enrolled(namespace).await;
    stage.allows(namespace, json!([{ "name": "listed" }])).await;
    let tenant = stage.tenant(namespace).await;
    for (plain, words) in [
        ("plain", "storage class plain are not known"),
        ("", "names no storage class"),
    ] {
        let mut hidden = claim(namespace, "hidden", Some("listed"));
        hidden["metadata"]["annotations"] = json!({ BETA: plain });
        refused(&tenant, create(hidden), &[words]).await;
    }
    let mut by_annotation = claim(namespace, "by-annotation", None);
    by_annotation["metadata"]["annotations"] = json!({ BETA: "listed" });
    passes(&tenant, create(by_annotation)).await;
    passes(&tenant, create(claim(namespace, "later", Some("listed")))).await;
    // Kubernetes itself refuses it, and would the guard.
    let later = change(
        namespace,
        "later",
        json!({ "metadata": { "annotations": { BETA: "plain" } } }),
    );
    let answer = tenant.send(&later).await.unwrap();
    assert!(matches!(answer.code, 403 | 422), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_before_is_tended_and_given_no_class_that_is_not_listed() {
    let (stage, namespace) = (stage().await, "before");
    stage.enrolled(namespace).await;
    // Not judged yet: the baseline says nothing.
    stage.told(namespace, json!({ "retention": [] })).await;
    let tenant = stage.tenant(namespace).await;
    stage
        .until_let_through(&create(claim(namespace, "canary", Some("whatever"))).dry())
        .await;
    for name in ["classless", "second"] {
        passes(&tenant, create(claim(namespace, name, None))).await;
    }
    passes(&tenant, create(claim(namespace, "plain", Some("plain")))).await;
    let allowed = json!([{ "name": "listed" }, { "name": "attested", "notAfter": FAR_AHEAD }]);
    stage.allows(namespace, allowed).await;

    let admin = stage.admin();
    let given = |class: &str| json!({ "spec": { "storageClassName": class } });
    refused(
        &admin,
        change(namespace, "classless", given("plain")),
        &["storage class plain are not known"],
    )
    .await;
    let words = [
        "the attestation of the storage class attested is for claims that are made by",
        "Make a claim of another class",
    ];
    refused(
        &admin,
        change(namespace, "second", given("attested")),
        &words,
    )
    .await;
    passes(&admin, change(namespace, "classless", given("listed"))).await;

    let tended = json!({ "metadata": { "labels": { "tended": "yes" } } });
    passes(&tenant, change(namespace, "plain", tended)).await;
    passes(
        &admin,
        change(
            namespace,
            "plain",
            json!({ "spec": { "volumeName": "pv-1" } }),
        ),
    )
    .await;
    let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/plain");
    passes(&tenant, Call::new("DELETE", path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_operators_word_no_claim_is_let_in_and_those_of_before_are_let_go() {
    let (stage, namespace) = (stage().await, "untold");
    // A claim from before the enrolment.
    stage.labelled(namespace, json!({})).await;
    let admin = stage.admin();
    passes(&admin, create(claim(namespace, "old", Some("plain")))).await;
    let label = json!({ "metadata": { "labels": { "privacy.cloudnexus.io/tenant": "acme" } } });
    let path = format!("/api/v1/namespaces/{namespace}");
    let enrol = Call::new("PATCH", path).with(testbed::raw::MERGE, label);
    passes(&stage.platform.caller().unwrap(), enrol).await;
    stage
        .until(
            &create(claim(namespace, "new", Some("plain"))).dry(),
            "no params found",
        )
        .await;
    let tended = json!({ "metadata": { "labels": { "tended": "yes" } } });
    passes(&admin, change(namespace, "old", tended)).await;
    // Nobody but the operator writes that word.
    let forged = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
        "metadata": { "name": "current", "namespace": namespace },
        "spec": { "retention": [], "storageClasses": [{ "name": "plain" }] },
    });
    let path =
        format!("/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{namespace}/guardparameters");
    refused(
        &admin,
        Call::new("POST", path).with(JSON, forged),
        &["is written by Covenant alone"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_namespace_observes_claims_are_warned_about() {
    let (stage, namespace) = (stage().await, "observing");
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.labelled(namespace, labels).await;
    let classes = json!({ "retention": [], "storageClasses": [{ "name": "listed" }] });
    stage.told(namespace, classes).await;
    passes(
        &stage.tenant(namespace).await,
        create(claim(namespace, "plain", Some("plain"))),
    )
    .await;
}
