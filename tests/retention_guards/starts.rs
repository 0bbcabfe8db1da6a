//! From when a minimum counts: to the second, and as the strictest reading where it cannot be read.

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::{Call, Caller};

use crate::kinds::{CONFIG_MAP, GADGET, JOB, Kind, POD};
use crate::stage::{FAR_AHEAD, LONG_AGO, PATIENCE, Stage, kept, over, passes, rule, stage};

fn from(start: &str, kind: &Kind) -> Value {
    let mut rule = rule("books", kind);
    rule["startsAt"] = json!(start);
    rule
}

/// A second earlier, of an instant that is not the first of its minute.
fn second_before(instant: &str) -> String {
    let at: jiff::Timestamp = instant.parse().unwrap();
    (at - jiff::SignedDuration::from_secs(1)).to_string()
}

/// Kept by a second, and let go on the second.
async fn begins_at(stage: &Stage, rule: &Value, delete: &Call, namespace: &str, instant: &str) {
    let admin = stage.admin();
    let before = vec![over(rule.clone(), &second_before(instant))];
    stage.keeps(namespace, before).await;
    kept(&admin, delete.clone(), namespace, "books").await;
    stage
        .keeps(namespace, vec![over(rule.clone(), instant)])
        .await;
    passes(&admin, delete.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minimum_from_creation_is_over_on_the_second() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "created");
    stage.enrolled(namespace).await;
    for kind in [CONFIG_MAP, GADGET] {
        let object = passes(
            &admin,
            kind.create(namespace, kind.object(namespace, "kept")),
        )
        .await;
        let created = object["metadata"]["creationTimestamp"].as_str().unwrap();
        let delete = kind.delete(namespace, "kept").dry();
        let rule = rule("books", &kind);
        begins_at(stage, &rule, &delete, namespace, created).await;
        // As precise as it is written, in whatever zone; what nobody can read is no end.
        let with_zone = created.replace('Z', "+00:00");
        let fraction = created.replace('Z', ".000000001Z");
        for readable in [with_zone, fraction] {
            stage
                .keeps(namespace, vec![over(rule.clone(), &readable)])
                .await;
            passes(&admin, delete.clone()).await;
        }
        for unreadable in [
            "2199-01-01",
            "2026-02-30T00:00:00Z",
            "2199-13-01T00:00:00Z",
            "2199-01-01T24:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            stage
                .keeps(namespace, vec![over(rule.clone(), unreadable)])
                .await;
            kept(&admin, delete.clone(), namespace, "books").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_says_since_when_it_is_retained_is_kept_from_then_and_from_creation_otherwise() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "retained");
    // Before a namespace is enrolled anybody may say anything.
    stage.labelled(namespace, json!({})).await;
    let said = |name: &str, instant: Value| {
        let mut object = CONFIG_MAP.object(namespace, name);
        object["metadata"]["annotations"] =
            json!({ "privacy.cloudnexus.io/retained-since": instant, "other": "x" });
        CONFIG_MAP.create(namespace, object)
    };
    for (name, instant) in [
        ("early", "2001-02-03T04:05:06Z"),
        ("zone", "2001-02-03T05:05:06+01:00"),
        ("late", "2150-01-01T00:00:00Z"),
        ("date", "2001-02-03"),
        ("empty", ""),
        ("words", "last summer"),
        ("never", "2001-02-30T00:00:00Z"),
        ("ancient", "0001-01-01T00:00:00Z"),
        ("number", "981173106"),
    ] {
        passes(&admin, said(name, json!(instant))).await;
    }
    stage.objects(namespace, "silent", &[CONFIG_MAP]).await;
    let label = json!({ "metadata": { "labels": { "privacy.cloudnexus.io/tenant": "acme" } } });
    let enrol = Call::new("PATCH", format!("/api/v1/namespaces/{namespace}"))
        .with(testbed::raw::MERGE, label);
    passes(&stage.platform.caller().unwrap(), enrol).await;
    let rule = from("RetainedSince", &CONFIG_MAP);
    for name in ["early", "zone"] {
        let delete = CONFIG_MAP.delete(namespace, name).dry();
        begins_at(stage, &rule, &delete, namespace, "2001-02-03T04:05:06Z").await;
    }
    for (boundary, gone) in [
        (LONG_AGO, &["early", "zone"][..]),
        ("2100-01-01T00:00:00Z", &["early", "zone", "silent"]),
        (FAR_AHEAD, &["early", "zone", "silent", "late"]),
    ] {
        stage
            .keeps(namespace, vec![over(rule.clone(), boundary)])
            .await;
        for name in [
            "early", "zone", "silent", "late", "date", "empty", "words", "never", "ancient",
            "number",
        ] {
            let delete = CONFIG_MAP.delete(namespace, name).dry();
            if gone.contains(&name) {
                passes(&admin, delete).await;
            } else {
                kept(&admin, delete, namespace, "books").await;
            }
        }
    }
    // Where it counts from creation, the annotation says nothing.
    let by_creation = over(from("CreatedAt", &CONFIG_MAP), FAR_AHEAD);
    stage.keeps(namespace, vec![by_creation]).await;
    passes(&admin, CONFIG_MAP.delete(namespace, "never").dry()).await;
}

async fn finished(admin: &Caller, namespace: &str, name: &str, spec: Value) -> String {
    let mut job = JOB.object(namespace, name);
    let template = job["spec"]["template"].clone();
    job["spec"] = spec;
    job["spec"]["template"] = template;
    passes(admin, JOB.create(namespace, job)).await;
    let get = JOB.get(namespace, name);
    eventually("the Job has finished", PATIENCE, || async {
        let job = admin.send(&get).await?.body;
        let conditions = job["status"]["conditions"].as_array().cloned();
        let at = conditions.unwrap_or_default().iter().find_map(|condition| {
            let ended = condition["type"] == "Complete" || condition["type"] == "Failed";
            (ended && condition["status"] == "True")
                .then(|| condition["lastTransitionTime"].as_str().unwrap().to_owned())
        });
        at.ok_or_else(|| anyhow::anyhow!("{job}"))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_kept_until_it_has_completed_or_failed_and_from_then() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "jobs");
    stage.enrolled(namespace).await;
    stage
        .objects(namespace, "suspended", &[JOB, CONFIG_MAP])
        .await;
    let failed = finished(
        &admin,
        namespace,
        "failed",
        json!({ "parallelism": 0, "activeDeadlineSeconds": 1 }),
    )
    .await;
    let complete = finished(&admin, namespace, "complete", json!({ "completions": 0 })).await;
    let rule = from("CompletedAt", &JOB);
    for (name, instant) in [("failed", failed), ("complete", complete)] {
        let delete = JOB.delete(namespace, name).dry();
        begins_at(stage, &rule, &delete, namespace, &instant).await;
    }
    let everything = vec![
        over(rule, FAR_AHEAD),
        over(from("CompletedAt", &CONFIG_MAP), FAR_AHEAD),
    ];
    stage.keeps(namespace, everything).await;
    kept(
        &admin,
        JOB.delete(namespace, "suspended"),
        namespace,
        "books",
    )
    .await;
    // What never completes is kept for as long as somebody says that it does.
    kept(
        &admin,
        CONFIG_MAP.delete(namespace, "suspended"),
        namespace,
        "books",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_kept_from_the_end_of_its_last_container() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "pods");
    stage.enrolled(namespace).await;
    let ended = |name: &str, at: Value| {
        json!({ "name": name, "image": "app", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 0, "finishedAt": at } } })
    };
    let (first, last) = ("2024-05-06T07:08:09Z", "2024-05-06T07:10:10Z");
    for (name, status) in [
        (
            "succeeded",
            json!({ "phase": "Succeeded", "containerStatuses": [ended("app", json!(last)), ended("side", json!(first))] }),
        ),
        (
            "failed",
            json!({ "phase": "Failed", "containerStatuses": [ended("app", json!(null))], "initContainerStatuses": [ended("init", json!(last))] }),
        ),
        (
            "running",
            json!({ "phase": "Running", "containerStatuses": [ended("app", json!(first))] }),
        ),
        (
            "unknown",
            json!({ "phase": "Failed", "containerStatuses": [ended("app", json!(null))] }),
        ),
        ("bare", json!({ "phase": "Succeeded" })),
        ("pending", json!({})),
    ] {
        passes(&admin, POD.create(namespace, POD.object(namespace, name))).await;
        let call = POD.merge_by("status", namespace, name, json!({ "status": status }));
        passes(&admin, call).await;
    }
    let rule = from("CompletedAt", &POD);
    for name in ["succeeded", "failed"] {
        let delete = POD.delete(namespace, name).dry();
        begins_at(stage, &rule, &delete, namespace, last).await;
    }
    stage.keeps(namespace, vec![over(rule, FAR_AHEAD)]).await;
    for name in ["running", "unknown", "bare", "pending"] {
        kept(&admin, POD.delete(namespace, name), namespace, "books").await;
    }
}
