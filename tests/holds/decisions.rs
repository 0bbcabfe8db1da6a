//! Who releases or narrows a hold, what of its status nobody writes, and when its record may go.

use futures::future::join_all;
use serde_json::{Value, json};
use testbed::raw::{APPLY, Call, Caller, JSON, MERGE};

use super::kinds::{CONFIG_MAP, HOLD, QUOTA};
use super::stage::{
    FIVE, Stage, decision, decision_call, held, hold, narrowed, passes, refused, stage,
};

/// Somebody who may write the status of holds by RBAC, with the verb `release` for these tenants, or for none.
async fn decider(stage: &Stage, user: &str, tenants: Option<&[&str]>) -> Caller {
    let rules = json!([{
        "apiGroups": ["privacy.cloudnexus.io"], "resources": ["processingholds", "processingholds/status"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"],
    }]);
    stage
        .cluster
        .give(user, &format!("{user}-holds"), &rules)
        .await
        .unwrap();
    if let Some(tenants) = tenants {
        stage
            .cluster
            .appoint(user, "release", tenants)
            .await
            .unwrap();
    }
    stage
        .cluster
        .identity(user)
        .await
        .unwrap()
        .caller()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_officer_of_the_tenant_releases_and_in_their_own_name() {
    let stage = stage().await;
    let namespace = "decided";
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[CONFIG_MAP]).await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
    let boss = stage
        .cluster
        .namespace_cluster_admin(namespace)
        .await
        .unwrap();
    let foreign = decider(stage, "globex-officer", Some(&["globex"])).await;
    let right = decider(stage, "acme-officer", Some(&["acme"])).await;
    let nobody = decider(stage, "nobody-in-particular", None).await;
    let release = |who: &Caller| {
        decision_call(
            namespace,
            "matter",
            &json!([decision("Released", who.name())]),
        )
    };
    let tenant = tenant.caller().unwrap();
    refused(&tenant, release(&tenant), "cannot patch").await;
    for who in [
        boss.caller().unwrap(),
        stage.gitops.caller().unwrap(),
        stage.platform.caller().unwrap(),
        stage.admin(),
        stage.operator.caller().unwrap(),
        foreign,
        nobody,
    ] {
        refused(&who, release(&who), "may not decide about it").await;
        let narrow = json!([{ "type": "Narrowed", "by": who.name(), "reason": "r", "effects": ["FreezeAccess"] }]);
        let call = decision_call(namespace, "matter", &narrow);
        refused(&who, call, "may not decide about it").await;
    }
    for name in ["acme-admin", "officer", "ACME-OFFICER", "acme-officer "] {
        let call = decision_call(namespace, "matter", &json!([decision("Released", name)]));
        refused(&right, call, "nobody decides in another's name").await;
    }
    let delete = CONFIG_MAP.delete(namespace, "kept");
    held(
        &stage.admin(),
        delete.clone(),
        "decided/matter",
        "PreventDeletion",
    )
    .await;
    passes(&right, release(&right)).await;
    stage.lets_go(namespace, "matter").await;
    passes(&stage.admin(), delete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_stands_once_made_and_the_rest_of_the_status_is_not_peoples() {
    let stage = stage().await;
    let (admin, officer) = (stage.admin(), stage.officer.caller().unwrap());
    let namespace = "stands";
    stage.enrolled(namespace).await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let first = narrowed(&["FreezeAccess"], Value::Null);
    let second = narrowed(&[], json!([{ "kind": "Secret" }]));
    let decide = |decisions: Value| decision_call(namespace, "matter", &decisions);
    let two = "one at a time";
    refused(&officer, decide(json!([first, second])), two).await;
    passes(&officer, decide(json!([first]))).await;
    passes(&officer, decide(json!([first, second]))).await;
    let mut rewritten = first.clone();
    rewritten["reason"] = json!("another");
    let released = decision("Released", "officer");
    for decisions in [
        Value::Null,
        json!([]),
        json!([second, first]),
        json!([first]),
        json!([second]),
        json!([rewritten, second]),
        json!([rewritten, second, released]),
        json!([released, first, second]),
        json!([first, second, released, released]),
        json!([released]),
    ] {
        refused(&officer, decide(decisions), "stands once made").await;
    }
    let forged = [
        json!({ "effects": [] }),
        json!({ "observedGeneration": 7 }),
        json!({ "restoredAt": "2026-01-01T00:00:00Z" }),
        json!({ "cannotHold": ["anything"] }),
        json!({ "held": { "objects": 0 } }),
        json!({ "conditions": [{
            "type": "Restored", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] }),
    ];
    for status in &forged {
        let call = HOLD.merge_by("status", namespace, "matter", json!({ "status": status }));
        let gitops = stage.gitops.caller().unwrap();
        for who in [&officer, &admin, &gitops] {
            // What is there already is not forged.
            let answer = who.send(&call).await.unwrap();
            let same = answer.is_success() && status["effects"] == json!([]);
            assert!(
                same || answer
                    .message()
                    .contains("only decisions are written by people"),
                "{status} {answer:?}"
            );
        }
        let mut both = status.clone();
        both["decisions"] = json!([first, second, released]);
        if status["effects"].is_null() {
            let call = HOLD.merge_by("status", namespace, "matter", json!({ "status": both }));
            refused(&officer, call, "only decisions are written by people").await;
        }
    }
    // What was found is the operator's to write, and decisions are not.
    let operator = stage.operator.caller().unwrap();
    let found = HOLD.merge_by(
        "status",
        namespace,
        "matter",
        json!({ "status": forged[3] }),
    );
    passes(&operator, found).await;
    let apply = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "metadata": { "name": "matter" },
        "status": { "decisions": [decision("Released", stage.operator.name())] },
    });
    let path = format!(
        "{}/status?fieldManager=covenant&force=true",
        HOLD.one(namespace, "matter")
    );
    let call = Call::new("PATCH", path).with(APPLY, apply);
    assert_eq!(operator.send(&call).await.unwrap().code, 422);
    // Bad decisions never reach the guard.
    for bad in [
        json!({ "type": "Released", "by": "officer", "reason": "" }),
        json!({ "type": "Lifted", "by": "officer", "reason": "r" }),
        json!({ "type": "Released", "by": "officer", "reason": "r", "effects": ["FreezeAccess"] }),
        json!({ "type": "Narrowed", "by": "officer", "reason": "r" }),
        json!({ "type": "Narrowed", "by": "officer", "reason": "r", "effects": ["FreezeAccess"], "restoreAfter": "P1D" }),
    ] {
        let answer = officer
            .send(&decide(json!([first, second, bad])))
            .await
            .unwrap();
        assert_eq!(answer.code, 422, "{bad} {answer:?}");
    }
    passes(&officer, decide(json!([first, second, released]))).await;
    let more = json!([first, second, released, first]);
    refused(&officer, decide(more), "was released already by officer").await;
    refused(&officer, decide(json!([])), "was released already").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_releases_at_the_same_moment_one_is_on_record() {
    let stage = stage().await;
    let namespace = "at-once";
    stage.enrolled(namespace).await;
    let mut officers = Vec::new();
    for number in 0..4 {
        let user = format!("officer-{number}");
        officers.push(decider(stage, &user, Some(&[])).await);
    }
    for round in 1..=8 {
        let name = format!("matter-{round}");
        let mut hold = hold(namespace, &name, &["FreezeAccess"]);
        hold["spec"]["slot"] = json!(round);
        stage.holds(namespace, hold).await;
        let calls: Vec<Call> = officers
            .iter()
            .map(|who| {
                let released = decision("Released", who.name());
                decision_call(namespace, &name, &json!([released]))
            })
            .collect();
        let tries = officers.iter().zip(&calls);
        let answers = join_all(tries.map(|(who, call)| who.send(call))).await;
        let won: Vec<&str> = answers
            .iter()
            .zip(&officers)
            .filter(|(answer, _)| answer.as_ref().unwrap().is_success())
            .map(|(_, who)| who.name())
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        let stored = passes(&stage.admin(), HOLD.get(namespace, &name)).await;
        let decisions = stored["status"]["decisions"].as_array().unwrap();
        assert_eq!(decisions.len(), 1, "{stored}");
        assert_eq!(decisions[0]["by"], won[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_hold_stays_released_and_its_record_until_it_is_kept() {
    let stage = stage().await;
    let (admin, gitops) = (stage.admin(), stage.gitops.caller().unwrap());
    let namespace = "released";
    stage.enrolled(namespace).await;
    let manifest = hold(namespace, "matter", &FIVE);
    let apply = |who: &Caller, manager: &str| {
        let path = format!(
            "{}?fieldManager={manager}&force=true",
            HOLD.one(namespace, "matter")
        );
        let who = who.clone();
        let call = Call::new("PATCH", path).with(APPLY, manifest.clone());
        async move { passes(&who, call).await }
    };
    let made = apply(&gitops, "flux").await;
    stage.in_force(namespace, "matter").await;
    // Deleted and made again under the same name, it would be released.
    for who in [&gitops, &stage.officer.caller().unwrap()] {
        let delete = HOLD.delete(namespace, "matter");
        held(who, delete, "released/matter", "Hold").await;
    }
    let again = HOLD.create(namespace, manifest.clone());
    assert_eq!(gitops.send(&again).await.unwrap().code, 409);
    stage
        .decides(namespace, "matter", decision("Released", "officer"))
        .await;
    let before = passes(&admin, HOLD.get(namespace, "matter")).await;
    for manager in ["flux", "argocd"] {
        apply(&gitops, manager).await;
    }
    let mut whole = passes(&admin, HOLD.get(namespace, "matter")).await;
    whole["status"] = json!({});
    passes(
        &gitops,
        Call::new("PUT", HOLD.one(namespace, "matter")).with(JSON, whole),
    )
    .await;
    let after = passes(&admin, HOLD.get(namespace, "matter")).await;
    assert_eq!(before["status"], after["status"]);
    assert_eq!(made["metadata"]["uid"], after["metadata"]["uid"]);
    let create = CONFIG_MAP.create(namespace, CONFIG_MAP.object(namespace, "free"));
    passes(&admin, create).await;
    passes(&admin, CONFIG_MAP.delete(namespace, "free")).await;

    let delete = HOLD.delete(namespace, "matter");
    for who in [&admin, &gitops, &stage.officer.caller().unwrap()] {
        refused(who, delete.clone(), "its record is not yet kept").await;
    }
    let condition = |status: &str| {
        json!({ "status": { "conditions": [{
            "type": "Restored", "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }] } })
    };
    let operator = stage.operator.caller().unwrap();
    for status in ["False", "Unknown", "True"] {
        let call = HOLD.merge_by("status", namespace, "matter", condition(status));
        passes(&operator, call).await;
        if status != "True" {
            refused(&admin, delete.clone(), "its record is not yet kept").await;
        }
    }
    passes(&admin, delete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_released_hold_is_kept_by_another_hold() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "records";
    stage.enrolled(namespace).await;
    stage
        .holds(namespace, hold(namespace, "first", &FIVE))
        .await;
    stage
        .decides(namespace, "first", decision("Released", "officer"))
        .await;
    stage
        .holds(namespace, hold(namespace, "second", &["PreventDeletion"]))
        .await;
    let restored = json!({ "status": { "conditions": [{
        "type": "Restored", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }] } });
    let operator = stage.operator.caller().unwrap();
    passes(
        &operator,
        HOLD.merge_by("status", namespace, "first", restored),
    )
    .await;
    let delete = HOLD.delete(namespace, "first");
    held(&admin, delete.clone(), "records/second", "PreventDeletion").await;
    // One that is not released is kept by itself alone, and says so in its own name.
    held(
        &admin,
        HOLD.delete(namespace, "second"),
        "records/second",
        "Hold",
    )
    .await;
    stage
        .decides(namespace, "second", decision("Released", "officer"))
        .await;
    passes(&admin, delete).await;
}

/// Where no tenant is named any more, the verb is asked for all of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_stands_when_the_namespace_is_no_tenants_any_more() {
    let stage = stage().await;
    let namespace = "left";
    stage.enrolled(namespace).await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    stage
        .decides(namespace, "matter", decision("Released", "officer"))
        .await;
    let leave = json!({ "metadata": { "labels": { "privacy.cloudnexus.io/tenant": null } } });
    let path = format!("/api/v1/namespaces/{namespace}");
    let platform = stage.platform.caller().unwrap();
    passes(&platform, Call::new("PATCH", path).with(MERGE, leave)).await;
    for (who, name) in [
        (stage.officer.caller().unwrap(), "officer"),
        (stage.gitops.caller().unwrap(), "gitops"),
        (stage.admin(), "admin"),
    ] {
        let twice = json!([decision("Released", "officer"), decision("Released", name)]);
        for decisions in [twice, json!([]), json!([decision("Released", name)])] {
            let call = decision_call(namespace, "matter", &decisions);
            let answer = who.send(&call).await.unwrap();
            let same = decisions == json!([decision("Released", "officer")]);
            assert_eq!(answer.is_success(), same, "{name} {decisions} {answer:?}");
        }
    }
}

/// A quota of none would keep out the officer's hold as well.
#[tokio::test(flavor = "multi_thread")]
async fn no_quota_keeps_a_hold_out() {
    let stage = stage().await;
    let quota = |namespace: &str, name: &str, key: &str| {
        let body = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": name, "namespace": namespace },
            "spec": { "hard": { key: "0" } },
        });
        QUOTA.create(namespace, body)
    };
    let ours = "count/processingholds.privacy.cloudnexus.io";
    let observing =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.enrolled("quotas").await;
    stage.labelled("quotas-observing", observing).await;
    for namespace in ["quotas", "quotas-observing"] {
        let cluster = &stage.cluster;
        let boss = cluster.namespace_role("quota-boss", "cluster-admin", namespace);
        let boss = boss.await.unwrap().caller().unwrap();
        for who in [&boss, &stage.admin(), &stage.gitops.caller().unwrap()] {
            let call = quota(namespace, "none", ours);
            refused(who, call, "an officer's must always fit").await;
            let other = "count/configmaps";
            passes(who, quota(namespace, "other", other).dry()).await;
        }
        passes(&boss, quota(namespace, "other", "count/configmaps")).await;
        let add = json!({ "spec": { "hard": { ours: "0" } } });
        let call = QUOTA.merge(namespace, "other", add);
        refused(&boss, call, "an officer's must always fit").await;
        let note = json!({ "metadata": { "annotations": { "a": "b" } } });
        passes(&boss, QUOTA.merge(namespace, "other", note)).await;
        // It is the status by which the API server counts.
        let forged = json!({ "status": { "hard": { ours: "0" }, "used": { ours: "0" } } });
        let forge = QUOTA.merge_by("status", namespace, "other", forged);
        for who in [&boss, &stage.admin(), &stage.gitops.caller().unwrap()] {
            refused(who, forge.clone(), "an officer's must always fit").await;
        }
        let used = json!({ "status": { "used": { "count/configmaps": "7" } } });
        passes(&boss, QUOTA.merge_by("status", namespace, "other", used)).await;
        let count = stage.controller("resourcequota-controller");
        let mut counted = passes(&boss, QUOTA.get(namespace, "other")).await;
        counted["status"] = forge.body["status"].clone();
        let path = format!("{}/status", QUOTA.one(namespace, "other"));
        let counts = Call::new("PUT", path).with(testbed::raw::JSON, counted);
        passes(&count, counts.dry()).await;
        let rules = json!([{ "apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["create", "patch"] }]);
        cluster
            .give("quota-platform", "quota-platform", &rules)
            .await
            .unwrap();
        cluster
            .appoint("quota-platform", "administer", &["acme"])
            .await
            .unwrap();
        let platform = cluster.identity("quota-platform").await.unwrap();
        let platform = platform.caller().unwrap();
        passes(&platform, quota(namespace, "none", ours).dry()).await;
    }
    stage
        .labelled("quotas-elsewhere", json!({ "a": "b" }))
        .await;
    let call = quota("quotas-elsewhere", "none", ours);
    passes(&stage.admin(), call).await;
}
