//! Bad input, where holds are taken, and their places.

use serde_json::{Value, json};
use testbed::raw::Caller;

use super::kinds::{CONFIG_MAP, HOLD};
use super::stage::{FIVE, decision, hold, passes, refused, scoped, stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_says_nothing_or_nonsense_is_refused() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "input";
    stage.enrolled(namespace).await;
    let labels: serde_json::Map<String, Value> = (0..10_000)
        .map(|n| (format!("label-{n}"), json!("x")))
        .collect();
    let many: Vec<Value> = (0..33)
        .map(|n| json!({ "kind": format!("K{n}") }))
        .collect();
    for (change, words) in [
        (json!({ "effects": [] }), "effects"),
        (json!({ "effects": null }), "effects"),
        (json!({ "effects": ["preventDeletion"] }), "preventDeletion"),
        (
            json!({ "effects": ["PreventDeletion", "PreventDeletion"] }),
            "Duplicate",
        ),
        (json!({ "effects": ["Everything"] }), "Everything"),
        (
            json!({ "effects": ["EndProcessing"] }),
            "EndProcessing needs SuspendProcessing",
        ),
        (
            json!({ "endingGrace": "PT1M" }),
            "endingGrace belongs to the effect EndProcessing",
        ),
        (json!({ "ground": "Whatever" }), "ground"),
        (json!({ "ground": null }), "ground"),
        (json!({ "matter": "" }), "matter"),
        (json!({ "matter": "a title with blanks" }), "matter"),
        (json!({ "reason": "" }), "reason"),
        (json!({ "reason": "x".repeat(513) }), "reason"),
        (json!({ "reason": "x".repeat(1_000_000) }), "reason"),
        (json!({ "slot": 0 }), "slot"),
        (json!({ "slot": 17 }), "slot"),
        (json!({ "scope": { "matchLabels": labels } }), "matchLabels"),
        (json!({ "scope": { "kinds": many } }), "kinds"),
        (
            json!({ "scope": { "kinds": [{ "kind": "configmaps" }] } }),
            "kind",
        ),
        (
            json!({ "scope": { "kinds": [{ "apiGroup": "apps" }] } }),
            "kind",
        ),
        (
            json!({ "scope": { "kinds": [{ "kind": "Secret" }], "exceptKinds": [{ "kind": "Secret", "apiGroup": "" }] } }),
            "the same kind is in kinds and in exceptKinds",
        ),
    ] {
        let mut bad = hold(namespace, "bad", &FIVE);
        for (key, value) in change.as_object().unwrap() {
            bad["spec"][key] = value.clone();
        }
        let answer = admin.send(&HOLD.create(namespace, bad)).await.unwrap();
        assert_eq!(answer.code, 422, "{words}: {answer:?}");
        assert!(answer.message().contains(words), "{words}: {answer:?}");
        assert!(
            answer.message().len() < 20_000,
            "{words}: a refusal that long"
        );
    }
    // Nothing said is everything: the stricter reading.
    let empty = scoped(namespace, "empty", &["PreventDeletion"], json!({}));
    stage.holds(namespace, empty).await;
    let object = CONFIG_MAP.object(namespace, "kept");
    passes(&admin, CONFIG_MAP.create(namespace, object)).await;
    let delete = CONFIG_MAP.delete(namespace, "kept");
    super::stage::held(&admin, delete, "input/empty", "PreventDeletion").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_taken_only_where_something_enforces_it() {
    let stage = stage().await;
    stage.labelled("stranger", json!({ "team": "any" })).await;
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/holds": "disarmed" });
    stage.labelled("takes-none", labels).await;
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.labelled("observes", labels).await;
    for who in [
        stage.admin(),
        stage.officer.caller().unwrap(),
        stage.platform.caller().unwrap(),
    ] {
        for (namespace, words) in [
            ("stranger", "is not enrolled"),
            ("takes-none", "takes no holds"),
        ] {
            let call = HOLD.create(namespace, hold(namespace, "matter", &FIVE));
            refused(&who, call, words).await;
        }
        let call = HOLD.create("observes", hold("observes", "matter", &FIVE));
        passes(&who, call.dry()).await;
    }
}

async fn takes(who: &Caller, namespace: &str, slot: i64) {
    let mut hold = hold(namespace, &format!("matter-{slot}"), &["FreezeAccess"]);
    hold["spec"]["slot"] = json!(slot);
    passes(who, HOLD.create(namespace, hold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_place_is_taken_once_and_an_officers_hold_always_fits() {
    let stage = stage().await;
    let namespace = "places";
    stage.enrolled(namespace).await;
    let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
    let tenant = tenant.caller().unwrap();
    let officer = stage.officer.caller().unwrap();
    passes(
        &tenant,
        HOLD.create(namespace, hold(namespace, "matter-1", &["FreezeAccess"])),
    )
    .await;
    for slot in 2..=8 {
        takes(&tenant, namespace, slot).await;
    }
    stage.in_force(namespace, "matter-8").await;
    let ninth = |slot: Option<i64>| {
        let mut ninth = hold(namespace, "ninth", &["FreezeAccess"]);
        if let Some(slot) = slot {
            ninth["spec"]["slot"] = json!(slot);
        }
        HOLD.create(namespace, ninth)
    };
    refused(&tenant, ninth(None), "slot 1 is taken by matter-1").await;
    refused(&tenant, ninth(Some(5)), "slot 5 is taken by matter-5").await;
    refused(&officer, ninth(Some(8)), "slot 8 is taken by matter-8").await;
    for who in [
        &tenant,
        &stage.gitops.caller().unwrap(),
        &stage.platform.caller().unwrap(),
        &stage.admin(),
    ] {
        for slot in [9, 16] {
            refused(who, ninth(Some(slot)), "is kept free for officers").await;
        }
    }
    for slot in 9..=16 {
        takes(&officer, namespace, slot).await;
    }
    stage.in_force(namespace, "matter-16").await;
    refused(&officer, ninth(Some(9)), "slot 9 is taken by matter-9").await;
    // A release gives the place back.
    let release = super::stage::decision_call(
        namespace,
        "matter-1",
        &json!([decision("Released", "officer")]),
    );
    passes(&officer, release).await;
    testbed::eventually("the place is free", super::stage::PATIENCE, || async {
        let answer = tenant.send(&ninth(None)).await?;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    // Of another namespace nothing is taken.
    stage.enrolled("other-places").await;
    takes(&stage.admin(), "other-places", 1).await;
}
