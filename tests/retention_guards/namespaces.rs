//! A namespace in which anything is kept stays, and stays enrolled.

use serde_json::{Value, json};
use testbed::raw::{Call, Caller, JSON, MERGE};

use crate::kinds::CONFIG_MAP;
use crate::stage::{FAR_AHEAD, over, parameters, passes, refused, rule, stage};

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}")
}

fn delete(namespace: &str) -> Call {
    Call::new("DELETE", path(namespace))
}

async fn finalize(admin: &Caller, namespace: &str, finalizers: &[&str]) -> Call {
    let mut whole = passes(admin, Call::new("GET", path(namespace))).await;
    whole["spec"]["finalizers"] = json!(finalizers);
    whole["metadata"]["resourceVersion"] = Value::Null;
    Call::new("PUT", format!("{}/finalize", path(namespace))).with(JSON, whole)
}

fn label(namespace: &str, labels: Value) -> Call {
    Call::new("PATCH", path(namespace)).with(MERGE, json!({ "metadata": { "labels": labels } }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_stays_for_as_long_as_anything_in_it_has_a_minimum() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "stays");
    let (platform, operator) = (
        stage.platform.caller().unwrap(),
        stage.operator.caller().unwrap(),
    );
    stage.enrolled(namespace).await;
    // Whether it is over for what is there is not asked: something may come tomorrow.
    let rules = vec![over(rule("books", &CONFIG_MAP), FAR_AHEAD)];
    stage.keeps(namespace, rules).await;
    let words = [
        "Namespace stays holds what is kept by RetentionPolicy sentinel-",
        "takes the minimums away first",
        " in stays]",
    ];
    for who in [&admin, &platform, &stage.gitops.caller().unwrap()] {
        refused(who, delete(namespace), &words).await;
        refused(who, delete(namespace).dry(), &words).await;
    }
    let emptied = finalize(&admin, namespace, &[]).await;
    refused(&admin, emptied.clone(), &words).await;
    refused(&stage.controller("namespace-controller"), emptied, &words).await;
    let same = finalize(&admin, namespace, &["kubernetes"]).await;
    passes(&admin, same).await;
    // Nobody but who administers takes it out of sight.
    for labels in [
        json!({ "privacy.cloudnexus.io/tenant": null }),
        json!({ "privacy.cloudnexus.io/tenant": "globex" }),
        json!({ "privacy.cloudnexus.io/stage": "observe" }),
    ] {
        for who in [&admin, &stage.gitops.caller().unwrap(), &operator] {
            let answer = who.send(&label(namespace, labels.clone())).await.unwrap();
            assert_eq!(answer.code, 403, "{} {answer:?}", who.name());
        }
        passes(&platform, label(namespace, labels).dry()).await;
    }
    passes(&admin, label(namespace, json!({ "team": "x" }))).await;
    let status = Call::new("PATCH", format!("{}/status", path(namespace)));
    let note = json!({ "metadata": { "annotations": { "a": "b" } } });
    passes(&admin, status.with(MERGE, note)).await;
    passes(&operator, parameters(namespace, vec![])).await;
    stage.until_let_through(&delete(namespace).dry()).await;
    passes(&admin, delete(namespace)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_namespace_only_observes_or_is_not_enrolled_nothing_is_kept() {
    let stage = stage().await;
    let (admin, operator) = (stage.admin(), stage.operator.caller().unwrap());
    let observing =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    for (namespace, labels) in [("observing", observing), ("stranger", json!({}))] {
        stage.labelled(namespace, labels).await;
        stage.objects(namespace, "free", &[CONFIG_MAP]).await;
        let rules = vec![rule("books", &CONFIG_MAP)];
        passes(&operator, parameters(namespace, rules.clone())).await;
        // One that is enrolled is written after it, and is known.
        let witness = format!("{namespace}-witness");
        stage.enrolled(&witness).await;
        stage.keeps(&witness, rules).await;
        let off = json!({ "metadata": { "labels": { "case": null } } });
        passes(&admin, CONFIG_MAP.merge(namespace, "free", off).dry()).await;
        passes(&admin, CONFIG_MAP.delete(namespace, "free")).await;
        passes(&admin, delete(namespace).dry()).await;
    }
}
