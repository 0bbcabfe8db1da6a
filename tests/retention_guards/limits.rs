//! As much as GuardParameters and a policy can say: the guards still answer, and do not give up over their cost.

use serde_json::{Map, Value, json};

use crate::kinds::{CONFIG_MAP, Kind, POD};
use crate::stage::{FAR_AHEAD, POLICY, kept, over, passes, policy, refused, rule, stage};

/// Sixteen labels whose keys and values are as long as they may be.
fn labels() -> Map<String, Value> {
    (0..16)
        .map(|n| {
            let prefix = format!("{n:02}{}.example.com", "x".repeat(40));
            (
                format!("{prefix}/{}", "k".repeat(60)),
                json!("v".repeat(63)),
            )
        })
        .collect()
}

/// Sixty-four names of which the last is the object's.
fn names() -> Vec<String> {
    (0..63)
        .map(|n| format!("{n:02}{}", "n".repeat(200)))
        .chain(["kept".to_owned()])
        .collect()
}

fn full(policy: &str, kind: &Kind, start: &str) -> Value {
    let mut full = rule(policy, kind);
    full["matchLabels"] = json!(labels());
    full["names"] = json!(names());
    full["namePrefix"] = json!("k");
    full["startsAt"] = json!(start);
    over(full, FAR_AHEAD)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_three_full_minimums_are_read_to_the_last() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "full");
    stage.enrolled(namespace).await;
    for kind in [CONFIG_MAP, POD] {
        let mut object = kind.object(namespace, "kept");
        object["metadata"]["labels"] = json!(labels());
        if kind.kind == "Pod" {
            let containers: Vec<Value> = (0..50)
                .map(|n| json!({ "name": format!("c{n}"), "image": "app" }))
                .collect();
            object["spec"]["containers"] = json!(containers);
        }
        passes(&admin, kind.create(namespace, object)).await;
    }
    let ended: Vec<Value> = (0..50)
        .map(|n| {
            json!({ "name": format!("c{n}"), "image": "app", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": 0, "finishedAt": format!("2024-05-06T07:08:{n:02}Z") } } })
        })
        .collect();
    let status = json!({ "status": { "phase": "Succeeded", "containerStatuses": ended } });
    passes(&admin, POD.merge_by("status", namespace, "kept", status)).await;
    // With the sentinel there are sixty-four.
    for (kind, start) in [
        (CONFIG_MAP, "CreatedAt"),
        (CONFIG_MAP, "RetainedSince"),
        (POD, "CompletedAt"),
    ] {
        let mut rules: Vec<Value> = (0..63)
            .map(|n| full(&format!("p{n}"), &kind, start))
            .collect();
        stage.keeps(namespace, rules.clone()).await;
        passes(&admin, kind.delete(namespace, "kept").dry()).await;
        let key = labels().keys().next_back().unwrap().clone();
        let off = json!({ "metadata": { "labels": { key: null } } });
        passes(&admin, kind.merge(namespace, "kept", off.clone()).dry()).await;
        rules[62]["startedBefore"] = Value::Null;
        stage.keeps(namespace, rules.clone()).await;
        kept(&admin, kind.delete(namespace, "kept"), namespace, "p62").await;
        kept(
            &admin,
            kind.merge(namespace, "kept", off.clone()),
            namespace,
            "p62",
        )
        .await;
        // Every one of them keeps it.
        for rule in &mut rules {
            rule["startedBefore"] = json!("2020-01-01T00:00:00Z");
            if start == "CompletedAt" {
                rule["startedBefore"] = json!("2024-05-06T07:08:30Z");
            }
        }
        stage.keeps(namespace, rules).await;
        kept(&admin, kind.delete(namespace, "kept"), namespace, "p0").await;
        let last = json!({ "metadata": { "labels": { labels().keys().next_back().unwrap().clone(): "other" } } });
        kept(&admin, kind.merge(namespace, "kept", last), namespace, "p0").await;
    }
    let too_many: Vec<Value> = (0..65).map(|_| rule("books", &CONFIG_MAP)).collect();
    let call = crate::stage::parameters(namespace, too_many);
    let operator = stage.operator.caller().unwrap();
    let answer = operator.send(&call).await.unwrap();
    assert_eq!(answer.code, 422, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_policy_that_is_not_read_is_read_to_the_last_entry() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "full-policy");
    stage.enrolled(namespace).await;
    let mut object = CONFIG_MAP.object(namespace, "kept");
    object["metadata"]["labels"] = json!(labels());
    passes(&admin, CONFIG_MAP.create(namespace, object)).await;
    let mut other = CONFIG_MAP.object(namespace, "kept-not");
    other["metadata"]["labels"] = json!(labels());
    passes(&admin, CONFIG_MAP.create(namespace, other)).await;
    let entry = |prefix: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": labels(), "names": names(), "namePrefix": prefix });
    let mut select: Vec<Value> = (0..15).map(|_| entry("z")).collect();
    select.push(entry("k"));
    stage
        .selects(namespace, "books", json!(select), &["kept"])
        .await;
    passes(&admin, CONFIG_MAP.delete(namespace, "kept-not")).await;
    // And a change of it is compared to the last entry as well.
    select.swap(0, 15);
    let changed = json!({ "spec": { "select": select } });
    passes(&admin, POLICY.merge(namespace, "books", changed)).await;
    let fewer = json!({ "spec": { "select": select[1..].to_vec() } });
    let words = ["change or remove an entry of select"];
    refused(&admin, POLICY.merge(namespace, "books", fewer), &words).await;
    select.push(entry("y"));
    let more = policy(
        namespace,
        "more",
        &json!(select),
        json!({ "atLeast": "P1Y" }),
    );
    let answer = admin.send(&POLICY.create(namespace, more)).await.unwrap();
    assert_eq!(answer.code, 422, "{answer:?}");
}
