//! What is selected is kept, whoever deletes it in whatever way, and what is not selected goes.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};

use crate::kinds::{
    CLAIM, CONFIG_MAP, CRON_JOB, DEPLOYMENT, GADGET, GRANT, INGRESS, JOB, Kind, POD,
    POLICY as NETWORK_POLICY, ROLE, SECRET, SERVICE, SERVICE_ACCOUNT, STATEFUL_SET,
};
use crate::stage::{
    FAR_AHEAD, LONG_AGO, PARAMETERS, kept, over, passes, refused, rule, sign, stage,
};

const KEPT: [Kind; 12] = [
    CONFIG_MAP,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    CLAIM,
    DEPLOYMENT,
    STATEFUL_SET,
    CRON_JOB,
    JOB,
    INGRESS,
    GADGET,
    POD,
];

fn options(fields: Value) -> Value {
    let mut options = json!({ "apiVersion": "v1", "kind": "DeleteOptions" });
    for (key, value) in fields.as_object().unwrap() {
        options[key] = value.clone();
    }
    options
}

/// Every way in which somebody deletes an object.
fn deletions(kind: &Kind, namespace: &str, name: &str) -> Vec<Call> {
    let delete = || kind.delete(namespace, name);
    let collection = format!("{}?labelSelector=test%3D{name}", kind.all(namespace));
    let mut calls = vec![delete().dry(), delete(), Call::new("DELETE", collection)];
    for fields in [
        json!({ "propagationPolicy": "Foreground" }),
        json!({ "propagationPolicy": "Background" }),
        json!({ "propagationPolicy": "Orphan" }),
        json!({ "gracePeriodSeconds": 0 }),
    ] {
        calls.push(delete().with(JSON, options(fields)));
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_minimum_selects_nobody_deletes_in_any_way_until_it_is_over() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "kept");
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &KEPT).await;
    let rules: Vec<Value> = KEPT
        .iter()
        .map(|kind| over(rule("books", kind), LONG_AGO))
        .collect();
    stage.keeps(namespace, rules.clone()).await;
    let mut everybody = stage.everybody(namespace).await;
    everybody.push(stage.platform.caller().unwrap());
    everybody.push(stage.controller("generic-garbage-collector"));
    everybody.push(stage.controller("ttl-after-finished-controller"));
    everybody.push(stage.controller("namespace-controller"));
    for kind in KEPT {
        for who in &everybody {
            kept_or_forbidden(who, kind.delete(namespace, "kept").dry(), namespace).await;
        }
        for call in deletions(&kind, namespace, "kept") {
            kept(&admin, call, namespace, "books").await;
        }
    }
    // The operator's own deletion, under the same guard. What it is given no right to it could not delete anyway.
    let operator = stage.operator.caller().unwrap();
    for kind in [CONFIG_MAP, JOB, GADGET, POD] {
        kept(
            &operator,
            kind.delete(namespace, "kept"),
            namespace,
            "books",
        )
        .await;
    }
    refused(
        &operator,
        SECRET.delete(namespace, "kept"),
        &["cannot delete"],
    )
    .await;
    // An object that says more, and its content, go on.
    for kind in KEPT
        .into_iter()
        .filter(|kind| kind.kind != "PersistentVolumeClaim")
    {
        passes(&admin, kind.merge(namespace, "kept", kind.change()).dry()).await;
    }
    let words = [
        "ConfigMap kept/kept is kept by RetentionPolicy books for at least P1Y from creation",
        "admin may not DELETE it",
        "That is over for what began by 2020-01-01T00:00:00Z",
        "kubectl covenant retention explain ConfigMap/kept -n kept",
    ];
    refused(&admin, CONFIG_MAP.delete(namespace, "kept"), &words).await;

    let passed_by: Vec<Value> = rules
        .into_iter()
        .map(|rule| over(rule, FAR_AHEAD))
        .collect();
    stage.keeps(namespace, passed_by).await;
    for kind in [CONFIG_MAP, JOB, GADGET, POD] {
        passes(&operator, kind.delete(namespace, "kept").dry()).await;
    }
    for kind in KEPT {
        passes(&everybody[0], kind.delete(namespace, "kept").dry()).await;
        let collection = format!("{}?labelSelector=test%3Dkept", kind.all(namespace));
        passes(&admin, Call::new("DELETE", collection)).await;
    }
}

/// A controller that has no right to a kind is refused by RBAC, which is asked first.
async fn kept_or_forbidden(who: &testbed::raw::Caller, call: Call, namespace: &str) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.code == 403
            && (answer.message().contains(&sign(namespace, "books"))
                || who.name().contains("controller") && answer.message().contains("cannot")),
        "{} {call:?} {answer:?}",
        who.name()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_replaces_and_prunes_nothing_that_is_kept() {
    let stage = stage().await;
    let namespace = "kubectl";
    stage.enrolled(namespace).await;
    let user = format!("{namespace}-tenant");
    let tenant = stage.cluster.namespace_role(&user, "admin", namespace);
    let tenant = tenant.await.unwrap();
    let mut object = CONFIG_MAP.object(namespace, "kept");
    object["metadata"]["labels"]["team"] = json!("x");
    let text = object.to_string();
    let apply = tenant.kubectl_with(&["apply", "-f", "-"], &text);
    apply.await.unwrap().success().unwrap();
    stage
        .keeps(namespace, vec![rule("books", &CONFIG_MAP)])
        .await;
    let mut other = CONFIG_MAP.object(namespace, "other");
    other["metadata"]["labels"] = json!({ "team": "x" });
    for (arguments, input) in [
        (vec!["replace", "--force", "-f", "-"], &text),
        (
            vec![
                "apply",
                "--prune",
                "-l",
                "team=x",
                "--prune-allowlist=core/v1/ConfigMap",
                "-n",
                namespace,
                "-f",
                "-",
            ],
            &other.to_string(),
        ),
        (
            vec!["delete", "configmap", "--all", "-n", namespace],
            &String::new(),
        ),
    ] {
        let output = tenant.kubectl_with(&arguments, input).await.unwrap();
        let said = output.to_string();
        assert!(
            !output.is_success() && said.contains("[RetentionPolicy books in kubectl]"),
            "{said}"
        );
    }
    passes(&stage.admin(), CONFIG_MAP.get(namespace, "kept")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_a_minimum_selects_is_kept() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "chosen");
    stage.enrolled(namespace).await;
    let labels = [
        ("both", json!({ "case": "a", "also": "" })),
        ("first", json!({ "case": "a" })),
        ("other", json!({ "case": "b", "also": "" })),
        ("case", json!({ "also": "", "CASE": "a" })),
        ("none", Value::Null),
    ];
    for kind in [CONFIG_MAP, GADGET] {
        for (name, labels) in &labels {
            let mut object = kind.object(namespace, name);
            object["metadata"]["labels"] = labels.clone();
            passes(&admin, kind.create(namespace, object)).await;
        }
    }
    let sixty_four: Vec<String> = (0..63)
        .map(|n| format!("nobody-{n}"))
        .chain(["other".to_owned()])
        .collect();
    let with = |fields: Value| {
        let mut rule = rule("books", &CONFIG_MAP);
        rule.as_object_mut().unwrap().remove("matchLabels");
        for (key, value) in fields.as_object().unwrap() {
            rule[key] = value.clone();
        }
        rule
    };
    for (fields, selected) in [
        (
            json!({ "matchLabels": { "case": "a", "also": "" } }),
            &["both"][..],
        ),
        (
            json!({ "matchLabels": { "case": "a" } }),
            &["both", "first"],
        ),
        (
            json!({ "matchLabels": { "also": "" } }),
            &["both", "other", "case"],
        ),
        (json!({ "matchLabels": { "CASE": "a" } }), &["case"]),
        (json!({ "matchLabels": { "case": "A" } }), &[]),
        (json!({ "matchLabels": { "case": "a'] || true" } }), &[]),
        (json!({ "names": ["first", "none"] }), &["first", "none"]),
        (json!({ "names": sixty_four }), &["other"]),
        (json!({ "namePrefix": "o" }), &["other"]),
        (json!({ "namePrefix": "both-and-more" }), &[]),
        (
            json!({ "namePrefix": null, "startedBefore": null, "names": ["none"] }),
            &["none"],
        ),
        (
            json!({ "matchLabels": { "case": "a" }, "names": ["first", "none"], "namePrefix": "f" }),
            &["first"],
        ),
        (
            json!({ "matchLabels": { "case": "a" }, "names": ["none"] }),
            &[],
        ),
        (json!({ "apiGroup": "example.com", "namePrefix": "o" }), &[]),
        (json!({ "kind": "Secret", "namePrefix": "o" }), &[]),
        (json!({}), &["both", "first", "other", "case", "none"]),
    ] {
        stage.keeps(namespace, vec![with(fields.clone())]).await;
        for (name, _) in &labels {
            let delete = CONFIG_MAP.delete(namespace, name).dry();
            if selected.contains(name) {
                kept(&admin, delete, namespace, "books").await;
            } else {
                let answer = admin.send(&delete).await.unwrap();
                assert!(answer.is_success(), "{fields} keeps {name}: {answer:?}");
            }
            passes(&admin, GADGET.delete(namespace, name).dry()).await;
        }
    }
    stage.keeps(namespace, vec![rule("books", &GADGET)]).await;
    kept(&admin, GADGET.delete(namespace, "both"), namespace, "books").await;
    passes(&admin, GADGET.delete(namespace, "none")).await;
    passes(&admin, CONFIG_MAP.delete(namespace, "both")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_minimums_that_disagree_the_longer_keeps() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "disagree");
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[CONFIG_MAP]).await;
    let short = over(rule("short", &CONFIG_MAP), FAR_AHEAD);
    let long = over(rule("long", &CONFIG_MAP), LONG_AGO);
    let mut floor = rule("", &CONFIG_MAP);
    floor["rule"] = json!("TenantBaseline default");
    let delete = CONFIG_MAP.delete(namespace, "kept");
    for rules in [vec![short.clone(), long.clone()], vec![long, short.clone()]] {
        stage.keeps(namespace, rules).await;
        kept(&admin, delete.clone(), namespace, "long").await;
    }
    stage.keeps(namespace, vec![short.clone(), floor]).await;
    refused(
        &admin,
        delete.clone(),
        &[
            "[TenantBaseline default in disagree]",
            "not over for anything yet",
        ],
    )
    .await;
    stage.keeps(namespace, vec![short]).await;
    passes(&admin, delete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_kind_is_kept_paths_and_what_is_the_clusters_own_still_go() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "every-kind");
    let operator = stage.operator.caller().unwrap();
    stage.enrolled(namespace).await;
    stage
        .objects(
            namespace,
            "kept",
            &[SECRET, GADGET, ROLE, GRANT, NETWORK_POLICY, JOB],
        )
        .await;
    let ours = json!({ "privacy.cloudnexus.io/managed-by": "covenant" });
    let mut timer = JOB.object(namespace, "timer");
    timer["metadata"]["labels"] = ours.clone();
    timer["spec"] = json!({ "parallelism": 0, "activeDeadlineSeconds": 3600, "ttlSecondsAfterFinished": 0, "template": timer["spec"]["template"] });
    let timer = passes(&operator, JOB.create(namespace, timer)).await;
    let mut path = NETWORK_POLICY.object(namespace, "path");
    path["metadata"]["labels"] = ours;
    path["metadata"]["ownerReferences"] = json!([{ "apiVersion": "batch/v1", "kind": "Job", "name": "timer", "uid": timer["metadata"]["uid"] }]);
    passes(&operator, NETWORK_POLICY.create(namespace, path)).await;
    let mut all = rule("everything", &CONFIG_MAP);
    all["apiGroup"] = json!("*");
    all["kind"] = json!("*");
    all["matchLabels"] = json!({});
    stage.keeps(namespace, vec![all]).await;
    for kind in [SECRET, GADGET, NETWORK_POLICY, JOB] {
        kept(
            &admin,
            kind.delete(namespace, "kept"),
            namespace,
            "everything",
        )
        .await;
    }
    for kind in [ROLE, GRANT] {
        passes(&admin, kind.delete(namespace, "kept")).await;
    }
    passes(&operator, NETWORK_POLICY.delete(namespace, "path")).await;
    let background = JOB
        .delete(namespace, "timer")
        .with(JSON, options(json!({ "propagationPolicy": "Background" })));
    passes(&operator, background).await;
    for (api, kind, plural, content) in [
        ("/apis/coordination.k8s.io/v1", "Lease", "leases", json!({})),
        ("/api/v1", "Endpoints", "endpoints", json!({})),
        (
            "/apis/discovery.k8s.io/v1",
            "EndpointSlice",
            "endpointslices",
            json!({ "addressType": "IPv4", "endpoints": [] }),
        ),
        (
            "/apis/apps/v1",
            "ControllerRevision",
            "controllerrevisions",
            json!({ "revision": 1, "data": {} }),
        ),
        (
            "/api/v1",
            "Event",
            "events",
            json!({ "involvedObject": { "namespace": namespace, "kind": "Pod", "name": "x" }, "reason": "R", "message": "m", "type": "Normal" }),
        ),
    ] {
        let kind = Kind {
            kind,
            api,
            plural,
            scales: false,
        };
        let mut object = content;
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        object["metadata"] = json!({ "name": "moment", "namespace": namespace });
        passes(&admin, kind.create(namespace, object)).await;
        passes(&admin, kind.delete(namespace, "moment")).await;
    }
    // A label of ours on what is not ours frees nothing, and nobody can put it on.
    for kind in [JOB, NETWORK_POLICY] {
        let adopt =
            json!({ "metadata": { "labels": { "privacy.cloudnexus.io/managed-by": "covenant" } } });
        let call = kind.merge(namespace, "kept", adopt);
        refused(&admin, call, &["ValidatingAdmissionPolicy 'covenant-"]).await;
    }
    let mut disguised = SECRET.object(namespace, "disguised");
    disguised["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/managed-by": "covenant" });
    passes(&admin, SECRET.create(namespace, disguised)).await;
    kept(
        &admin,
        SECRET.delete(namespace, "disguised"),
        namespace,
        "everything",
    )
    .await;
    passes(&operator, PARAMETERS.delete(namespace, "current")).await;
    stage
        .until_let_through(&SECRET.delete(namespace, "kept").dry())
        .await;
}
