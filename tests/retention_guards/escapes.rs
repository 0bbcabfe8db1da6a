//! Ways round a deletion: out of a minimum's sight, through a subresource, by what a status says.

use serde_json::{Value, json};
use testbed::raw::{APPLY, Call, Caller, JSON};

use crate::kinds::{CONFIG_MAP, DEPLOYMENT, GADGET, JOB, Kind, POD, SECRET, SERVICE};
use crate::stage::{FAR_AHEAD, LONG_AGO, kept, over, passes, refused, rule, stage};

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";

/// Every way in which the label `case` of an object can be changed or taken off.
async fn relabellings(admin: &Caller, kind: &Kind, namespace: &str) -> Vec<Call> {
    let mut whole = passes(admin, kind.get(namespace, "kept")).await;
    whole["metadata"]["labels"] = json!({ "other": "x" });
    whole["metadata"]["managedFields"] = Value::Null;
    let path = kind.one(namespace, "kept");
    let patch = |media, body| Call::new("PATCH", &path).with(media, body);
    let labels = |labels: Value| json!({ "metadata": { "labels": labels } });
    let mut applied = labels(json!({ "case": "b" }));
    applied["apiVersion"] = json!(kind.api_version());
    applied["kind"] = json!(kind.kind);
    let apply = format!("{path}?fieldManager=somebody&force=true");
    let mut calls = vec![
        Call::new("PUT", &path).with(JSON, whole),
        kind.merge(namespace, "kept", labels(json!({ "case": null }))),
        kind.merge(namespace, "kept", labels(json!({ "case": "b" }))),
        kind.merge(namespace, "kept", labels(json!({ "case": "" }))),
        kind.merge(namespace, "kept", labels(Value::Null)),
        patch(
            JSON_PATCH,
            json!([{ "op": "remove", "path": "/metadata/labels/case" }]),
        ),
        patch(
            JSON_PATCH,
            json!([{ "op": "replace", "path": "/metadata/labels/case", "value": "A" }]),
        ),
        Call::new("PATCH", apply).with(APPLY, applied),
    ];
    if kind.group() != "example.com" {
        calls.push(patch(STRATEGIC, labels(json!({ "case": null }))));
        calls.push(patch(
            STRATEGIC,
            labels(json!({ "$patch": "replace", "a": "b" })),
        ));
    }
    if kind.kind == "Pod" {
        let gone = labels(json!({ "case": null }));
        calls.push(kind.merge_by("status", namespace, "kept", gone));
    }
    calls.into_iter().map(Call::dry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_by_which_something_is_kept_stays_until_that_is_over_or_who_administers_says_so() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "labels");
    let kinds = [CONFIG_MAP, SECRET, GADGET, DEPLOYMENT, POD];
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &kinds).await;
    let rules: Vec<Value> = kinds
        .iter()
        .map(|kind| over(rule("books", kind), LONG_AGO))
        .collect();
    stage.keeps(namespace, rules.clone()).await;
    let mut everybody = stage.everybody(namespace).await;
    everybody.push(stage.controller("deployment-controller"));
    let platform = stage.platform.caller().unwrap();
    for kind in kinds {
        for call in relabellings(&admin, &kind, namespace).await {
            kept(&admin, call.clone(), namespace, "books").await;
            if call.media != APPLY && !call.path.contains("/status") {
                passes(&platform, call).await;
            }
        }
        let off = kind.merge(
            namespace,
            "kept",
            json!({ "metadata": { "labels": { "case": null } } }),
        );
        for who in &everybody {
            let answer = who.send(&off).await.unwrap();
            let by_rbac = who.name().contains("controller") && answer.message().contains("cannot");
            let words = "The labels by which it is selected stay until that is over";
            assert!(
                answer.code == 403 && (by_rbac || answer.message().contains(words)),
                "{} {answer:?}",
                who.name()
            );
        }
        let more = json!({ "metadata": { "labels": { "case": "a", "test": null, "more": "x" } } });
        passes(&everybody[0], kind.merge(namespace, "kept", more)).await;
    }
    // One who administers another tenant does not administer this one.
    let foreign = "globex-platform";
    stage
        .cluster
        .bind_cluster_role(foreign, "admin")
        .await
        .unwrap();
    stage
        .cluster
        .appoint(foreign, "administer", &["globex"])
        .await
        .unwrap();
    let foreign = stage
        .cluster
        .identity(foreign)
        .await
        .unwrap()
        .caller()
        .unwrap();
    let off = json!({ "metadata": { "labels": { "case": null } } });
    kept(
        &foreign,
        CONFIG_MAP.merge(namespace, "kept", off.clone()),
        namespace,
        "books",
    )
    .await;
    let passed_by: Vec<Value> = rules
        .into_iter()
        .map(|rule| over(rule, FAR_AHEAD))
        .collect();
    stage.keeps(namespace, passed_by).await;
    for kind in kinds {
        passes(&everybody[0], kind.merge(namespace, "kept", off.clone())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_whose_value_is_empty_stays_as_well() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "empty-label");
    stage.enrolled(namespace).await;
    for name in ["kept", "unread"] {
        let mut object = CONFIG_MAP.object(namespace, name);
        object["metadata"]["labels"] = json!({ name: "" });
        passes(&admin, CONFIG_MAP.create(namespace, object)).await;
    }
    let mut rule = rule("books", &CONFIG_MAP);
    rule["matchLabels"] = json!({ "kept": "" });
    stage.keeps(namespace, vec![rule]).await;
    let select =
        json!([{ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "unread": "" } }]);
    let names = ["unread"];
    stage.selects(namespace, "unread", select, &names).await;
    for (name, policy) in [("kept", "books"), ("unread", "unread")] {
        for value in [Value::Null, json!("x")] {
            let labels = json!({ "metadata": { "labels": { name: value } } });
            kept(
                &admin,
                CONFIG_MAP.merge(namespace, name, labels),
                namespace,
                policy,
            )
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_finalizer_of_what_is_terminating_stays_until_that_is_over() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "finalizers");
    let kinds = [CONFIG_MAP, GADGET, POD, SERVICE];
    stage.enrolled(namespace).await;
    for kind in kinds {
        for name in ["leaving", "staying"] {
            let mut object = kind.object(namespace, name);
            object["metadata"]["finalizers"] = json!(["example.com/one", "example.com/two"]);
            passes(&admin, kind.create(namespace, object)).await;
        }
        passes(&admin, kind.delete(namespace, "leaving")).await;
    }
    let rules: Vec<Value> = kinds.iter().map(|kind| rule("books", kind)).collect();
    stage.keeps(namespace, rules.clone()).await;
    let none = json!({ "metadata": { "finalizers": null } });
    let one = json!({ "metadata": { "finalizers": ["example.com/two"] } });
    for kind in kinds {
        for who in stage.everybody(namespace).await {
            kept(
                &who,
                kind.merge(namespace, "leaving", none.clone()),
                namespace,
                "books",
            )
            .await;
        }
        let patch = json!([{ "op": "remove", "path": "/metadata/finalizers" }]);
        let call = Call::new("PATCH", kind.one(namespace, "leaving")).with(JSON_PATCH, patch);
        kept(&admin, call, namespace, "books").await;
        kept(
            &stage.platform.caller().unwrap(),
            kind.merge(namespace, "leaving", none.clone()),
            namespace,
            "books",
        )
        .await;
        passes(&admin, kind.merge(namespace, "leaving", one.clone())).await;
        kept(
            &admin,
            kind.merge(namespace, "leaving", none.clone()),
            namespace,
            "books",
        )
        .await;
        passes(&admin, kind.merge(namespace, "staying", none.clone())).await;
    }
    for kind in [POD, SERVICE] {
        let call = kind.merge_by("status", namespace, "leaving", none.clone());
        let answer = admin.send(&call).await.unwrap();
        // Some kinds leave metadata alone when a status is written; then nothing was finished.
        assert!(
            answer.code == 403
                || answer.body["metadata"]["finalizers"] == json!(["example.com/two"]),
            "{answer:?}"
        );
    }
    stage
        .keeps(
            namespace,
            rules
                .into_iter()
                .map(|rule| over(rule, FAR_AHEAD))
                .collect(),
        )
        .await;
    for kind in kinds {
        passes(&admin, kind.merge(namespace, "leaving", none.clone())).await;
    }
}

fn evict(namespace: &str, name: &str) -> Call {
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name, "namespace": namespace } });
    let path = format!("{}/eviction", POD.one(namespace, name));
    Call::new("POST", path).with(JSON, body)
}

fn bind(namespace: &str, name: &str, labels: Value) -> Call {
    let body = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "namespace": namespace, "labels": labels },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
    });
    let path = format!("{}/binding", POD.one(namespace, name));
    Call::new("POST", path).with(JSON, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_and_a_binding_show_nothing_of_a_pod_and_count_as_what_they_could_be() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "evicted");
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[POD]).await;
    stage.objects(namespace, "other", &[POD]).await;
    stage
        .keeps(namespace, vec![over(rule("books", &POD), FAR_AHEAD)])
        .await;
    passes(&admin, POD.delete(namespace, "kept").dry()).await;
    for who in stage.everybody(namespace).await {
        // Even where it would be over: nothing here says when its time began.
        kept(&who, evict(namespace, "kept"), namespace, "books").await;
        kept(&who, evict(namespace, "kept").dry(), namespace, "books").await;
    }
    refused(
        &admin,
        evict(namespace, "other"),
        &["delete the pod itself"],
    )
    .await;
    let mut named = rule("books", &POD);
    named["names"] = json!(["kept"]);
    stage.keeps(namespace, vec![named]).await;
    kept(&admin, evict(namespace, "kept"), namespace, "books").await;
    passes(&admin, evict(namespace, "other").dry()).await;
    // A binding's labels are written over the pod's.
    for labels in [json!({ "case": "b" }), json!({ "case": "", "x": "y" })] {
        kept(
            &admin,
            bind(namespace, "kept", labels.clone()),
            namespace,
            "books",
        )
        .await;
        let mut old = bind(namespace, "kept", labels);
        old.path = format!("/api/v1/namespaces/{namespace}/bindings");
        kept(&admin, old, namespace, "books").await;
    }
    for labels in [Value::Null, json!({ "case": "a" }), json!({ "x": "y" })] {
        passes(&admin, bind(namespace, "kept", labels).dry()).await;
    }
    passes(
        &admin,
        bind(namespace, "other", json!({ "case": "b" })).dry(),
    )
    .await;
    stage
        .keeps(namespace, vec![rule("books", &CONFIG_MAP)])
        .await;
    passes(&admin, evict(namespace, "kept")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_something_completed_long_ago_is_said_by_nobody_but_who_knows() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "claimed");
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[POD, JOB]).await;
    let rules = |start: &str| {
        [POD, JOB]
            .iter()
            .map(|kind| {
                let mut rule = over(rule("books", kind), LONG_AGO);
                rule["startsAt"] = json!(start);
                rule
            })
            .collect()
    };
    stage.keeps(namespace, rules("CompletedAt")).await;
    let ended = json!([{ "name": "app", "image": "app", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": { "exitCode": 0, "finishedAt": "2001-01-01T00:00:00Z" } } }]);
    let by_status = |kind: &Kind, status: Value| {
        kind.merge_by("status", namespace, "kept", json!({ "status": status }))
            .dry()
    };
    let condition = json!([{ "type": "Example", "status": "True", "lastTransitionTime": "2001-01-01T00:00:00Z" }]);
    let claims = [
        by_status(&POD, json!({ "phase": "Succeeded" })),
        by_status(&POD, json!({ "containerStatuses": ended })),
        by_status(&POD, json!({ "initContainerStatuses": ended })),
        by_status(&JOB, json!({ "conditions": condition })),
    ];
    let boss = stage
        .cluster
        .namespace_cluster_admin(namespace)
        .await
        .unwrap();
    for who in [
        admin.clone(),
        boss.caller().unwrap(),
        stage.gitops.caller().unwrap(),
    ] {
        for call in &claims {
            kept(&who, call.clone(), namespace, "books").await;
        }
        passes(&who, by_status(&POD, json!({ "nominatedNodeName": "x" }))).await;
        passes(&who, by_status(&JOB, json!({ "ready": 0 }))).await;
    }
    let administers = stage.cluster.identity("acme-platform").await.unwrap();
    stage
        .cluster
        .bind_cluster_role("acme-platform", "cluster-admin")
        .await
        .unwrap();
    let status = json!([{ "apiGroups": ["", "batch"], "resources": ["pods/status", "jobs/status"], "verbs": ["patch"] }]);
    stage
        .cluster
        .give("acme-steward", "acme-steward-status", &status)
        .await
        .unwrap();
    stage
        .cluster
        .appoint("acme-steward", "administer", &["acme"])
        .await
        .unwrap();
    let steward = stage
        .cluster
        .identity("acme-steward")
        .await
        .unwrap()
        .caller()
        .unwrap();
    // A wildcard carries no authority.
    kept(
        &administers.caller().unwrap(),
        claims[0].clone(),
        namespace,
        "books",
    )
    .await;
    for call in &claims {
        passes(&steward, call.clone()).await;
    }
    let node = "system:node:somewhere";
    stage
        .cluster
        .give(node, "somewhere-status", &status)
        .await
        .unwrap();
    let kubelet = stage
        .cluster
        .identity_in_group(node, Some("system:nodes"))
        .await
        .unwrap();
    passes(&kubelet.caller().unwrap(), claims[0].clone()).await;
    let mut job = passes(&admin, JOB.get(namespace, "kept")).await;
    job["status"]["conditions"] = condition;
    let path = format!("{}/status", JOB.one(namespace, "kept"));
    let call = Call::new("PUT", path).with(JSON, job).dry();
    kept(&admin, call.clone(), namespace, "books").await;
    passes(&stage.controller("job-controller"), call).await;
    // Where nothing counts from it, it is anybody's.
    stage.keeps(namespace, rules("CreatedAt")).await;
    for call in claims {
        passes(&admin, call).await;
    }
}
