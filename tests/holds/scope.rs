//! What a scope covers and leaves alone, what a narrowing lifts, and objects that lack fields.

use serde_json::{Value, json};
use testbed::raw::{Call, Caller, JSON};

use super::kinds::{
    CLAIM, CONFIG_MAP, DEPLOYMENT, GADGET, JOB, Kind, POD, POLICY, REPLICA_SET, SECRET,
    SERVICE_ACCOUNT,
};
use super::stage::{FIVE, Stage, held, hold, narrowed, passes, scoped, stage};

const KEEPS: [&str; 2] = ["PreventDeletion", "PreventAlteration"];

/// A namespace with one object `kept` of each of these kinds, under a hold with this scope.
async fn under(stage: &Stage, namespace: &str, effects: &[&str], scope: Value, kinds: &[Kind]) {
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", kinds).await;
    stage
        .holds(namespace, scoped(namespace, "matter", effects, scope))
        .await;
}

async fn covers(who: &Caller, namespace: &str, kind: &Kind) {
    let sign = format!("{namespace}/matter");
    let delete = kind.delete(namespace, "kept").dry();
    held(who, delete, &sign, "PreventDeletion").await;
    let change = kind.merge(namespace, "kept", kind.change()).dry();
    held(who, change, &sign, "PreventAlteration").await;
}

async fn leaves_alone(who: &Caller, namespace: &str, kind: &Kind) {
    passes(who, kind.delete(namespace, "kept").dry()).await;
    passes(who, kind.merge(namespace, "kept", kind.change()).dry()).await;
}

fn evict(namespace: &str) -> Call {
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "kept", "namespace": namespace } });
    let path = format!("{}/eviction", POD.one(namespace, "kept"));
    Call::new("POST", path).with(JSON, body).dry()
}

fn writer(namespace: &str, read_only: bool) -> Call {
    let mut pod = POD.object(namespace, "writer");
    pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "kept", "readOnly": read_only } }]);
    POD.create(namespace, pod).dry()
}

fn scale(kind: &Kind, namespace: &str) -> Call {
    kind.merge_by(
        "scale",
        namespace,
        "kept",
        json!({ "spec": { "replicas": 2 } }),
    )
    .dry()
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_are_left_out_go_on_and_all_others_are_held() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "except";
    // A group that is not said is the core group, so the second leaves nothing out.
    let scope = json!({ "exceptKinds": [
        { "kind": "Secret" }, { "kind": "Deployment" }, { "kind": "ReplicaSet", "apiGroup": "apps" }, { "kind": "PersistentVolumeClaim" },
    ] });
    let kinds = [CONFIG_MAP, SECRET, DEPLOYMENT, REPLICA_SET, CLAIM];
    under(stage, namespace, &KEEPS, scope, &kinds).await;
    for kind in [CONFIG_MAP, DEPLOYMENT] {
        covers(&admin, namespace, &kind).await;
    }
    for kind in [SECRET, REPLICA_SET, CLAIM] {
        leaves_alone(&admin, namespace, &kind).await;
    }
    held(
        &admin,
        scale(&DEPLOYMENT, namespace),
        "except/matter",
        "PreventAlteration",
    )
    .await;
    passes(&admin, scale(&REPLICA_SET, namespace)).await;
    passes(&admin, writer(namespace, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_by_kinds_leaves_other_kinds_alone() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "by-kinds";
    let scope = json!({ "kinds": [
        { "kind": "ConfigMap" }, { "kind": "Deployment" }, { "kind": "Secret", "apiGroup": "example.com" }, { "kind": "Gadget" },
        { "kind": "Pod" }, { "kind": "ServiceAccount" },
    ] });
    let kinds = [
        CONFIG_MAP,
        SECRET,
        DEPLOYMENT,
        REPLICA_SET,
        CLAIM,
        GADGET,
        POD,
        SERVICE_ACCOUNT,
    ];
    under(stage, namespace, &KEEPS, scope, &kinds).await;
    // A pod that is named is no derived one.
    for kind in [CONFIG_MAP, DEPLOYMENT, GADGET, POD, SERVICE_ACCOUNT] {
        covers(&admin, namespace, &kind).await;
    }
    for kind in [SECRET, REPLICA_SET, CLAIM] {
        leaves_alone(&admin, namespace, &kind).await;
    }
    held(
        &admin,
        evict(namespace),
        "by-kinds/matter",
        "PreventDeletion",
    )
    .await;
    for kind in [DEPLOYMENT, GADGET] {
        held(
            &admin,
            scale(&kind, namespace),
            "by-kinds/matter",
            "PreventAlteration",
        )
        .await;
    }
    passes(&admin, scale(&REPLICA_SET, namespace)).await;
    passes(&admin, writer(namespace, false)).await;
    let token =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let path = format!("{}/token", SERVICE_ACCOUNT.one(namespace, "kept"));
    passes(&admin, Call::new("POST", path).with(JSON, token)).await;

    let namespace = "by-claims";
    let scope = json!({ "kinds": [{ "kind": "PersistentVolumeClaim", "apiGroup": "" }] });
    under(stage, namespace, &KEEPS, scope, &[CLAIM, POD]).await;
    held(
        &admin,
        writer(namespace, false),
        "by-claims/matter",
        "PreventAlteration",
    )
    .await;
    passes(&admin, writer(namespace, true)).await;
    passes(&admin, evict(namespace)).await;
    leaves_alone(&admin, namespace, &POD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_by_labels_leaves_other_objects_alone_and_counts_what_shows_none() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "by-labels";
    stage.enrolled(namespace).await;
    let kinds = [CONFIG_MAP, SECRET, GADGET];
    for kind in kinds {
        for (name, labels) in [
            ("kept", json!({ "case": "a", "also": "" })),
            ("half", json!({ "case": "a" })),
            ("other", json!({ "case": "b", "also": "" })),
            ("none", Value::Null),
        ] {
            let mut object = kind.object(namespace, name);
            object["metadata"]["labels"] = labels;
            passes(&admin, kind.create(namespace, object)).await;
        }
    }
    stage.objects(namespace, "kept", &[DEPLOYMENT, POD]).await;
    let scope = json!({ "matchLabels": { "case": "a", "also": "" } });
    stage
        .holds(namespace, scoped(namespace, "matter", &FIVE, scope))
        .await;
    for kind in kinds {
        covers(&admin, namespace, &kind).await;
        for name in ["half", "other", "none"] {
            passes(&admin, kind.merge(namespace, name, kind.change())).await;
            let into = json!({ "metadata": { "labels": { "case": "a", "also": "" } } });
            passes(&admin, kind.merge(namespace, name, into).dry()).await;
            passes(&admin, kind.delete(namespace, name)).await;
        }
    }
    // The Deployment lacks a label, which its scale does not show; nor does an eviction.
    leaves_alone(&admin, namespace, &DEPLOYMENT).await;
    held(
        &admin,
        scale(&DEPLOYMENT, namespace),
        "by-labels/matter",
        "PreventAlteration",
    )
    .await;
    held(
        &admin,
        evict(namespace),
        "by-labels/matter",
        "PreventDeletion",
    )
    .await;
    // Nor to an autoscaler; where nothing is kept from alteration everybody goes on.
    let autoscaler = stage.controller("horizontal-pod-autoscaler");
    let replicas = |namespace: &str| {
        let path = format!("{}/scale", DEPLOYMENT.one(namespace, "kept"));
        let admin = admin.clone();
        async move {
            let mut body = passes(&admin, Call::new("GET", &path)).await;
            body["spec"]["replicas"] = json!(2);
            // Its controller may be writing it.
            body["metadata"]["resourceVersion"] = Value::Null;
            Call::new("PUT", path).with(JSON, body).dry()
        }
    };
    let call = replicas(namespace).await;
    held(&autoscaler, call, "by-labels/matter", "PreventAlteration").await;
    let scope = json!({ "matchLabels": { "case": "a" } });
    let kinds = [DEPLOYMENT];
    under(stage, "labels-only", &["PreventDeletion"], scope, &kinds).await;
    passes(&admin, replicas("labels-only").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowing_lifts_what_it_says_and_nothing_else() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "narrowed";
    stage.enrolled(namespace).await;
    stage
        .objects(
            namespace,
            "kept",
            &[CONFIG_MAP, SECRET, CLAIM, POD, DEPLOYMENT],
        )
        .await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let exec = Call::new(
        "POST",
        format!("{}/exec?command=id&stdout=true", POD.one(namespace, "kept")),
    );
    let sign = "narrowed/matter";
    held(&admin, exec.clone(), sign, "FreezeAccess").await;
    let mut decisions = Vec::new();
    let officer = stage.officer.caller().unwrap();
    for (effects, except) in [
        (&["FreezeAccess"][..], Value::Null),
        (
            &[],
            json!([{ "kind": "Secret" }, { "kind": "Deployment", "apiGroup": "apps" }]),
        ),
        (
            &["SuspendProcessing", "SuspendSharing"],
            json!([{ "kind": "PersistentVolumeClaim" }]),
        ),
        (&["PreventAlteration"], Value::Null),
        (&["PreventDeletion"], Value::Null),
    ] {
        match decisions.len() {
            1 => {
                let code = admin.send(&exec).await.unwrap().code;
                assert!(!matches!(code, 403 | 422), "{code}");
                covers(&admin, namespace, &SECRET).await;
            }
            2 => {
                leaves_alone(&admin, namespace, &SECRET).await;
                leaves_alone(&admin, namespace, &DEPLOYMENT).await;
                passes(&admin, scale(&DEPLOYMENT, namespace)).await;
                covers(&admin, namespace, &CONFIG_MAP).await;
                held(&admin, writer(namespace, false), sign, "SuspendProcessing").await;
            }
            3 => {
                passes(&admin, writer(namespace, false)).await;
                passes(&admin, evict(namespace)).await;
                covers(&admin, namespace, &CONFIG_MAP).await;
            }
            4 => {
                let change = CONFIG_MAP.merge(namespace, "kept", CONFIG_MAP.change());
                passes(&admin, change).await;
                let delete = CONFIG_MAP.delete(namespace, "kept");
                held(&admin, delete, sign, "PreventDeletion").await;
            }
            _ => covers(&admin, namespace, &CONFIG_MAP).await,
        }
        decisions.push(narrowed(effects, except));
        let call = super::stage::decision_call(namespace, "matter", &json!(decisions));
        passes(&officer, call).await;
        // Nothing tells when the API server has seen it: what it lifts, first.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    leaves_alone(&admin, namespace, &CONFIG_MAP).await;
    // With nothing left to hold, it is still a hold, and its namespace stays.
    let delete = super::kinds::HOLD.delete(namespace, "matter");
    held(&admin, delete, sign, "Hold").await;
    let delete = Call::new("DELETE", format!("/api/v1/namespaces/{namespace}"));
    held(&admin, delete, sign, "Namespace").await;
}

/// An expression that stumbles over what is not there refuses everything, and one that costs too much as well.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_lack_fields_or_are_huge_are_held_like_others_and_can_be_tended() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "bare";
    let kinds = [
        CONFIG_MAP,
        SECRET,
        SERVICE_ACCOUNT,
        GADGET,
        POLICY,
        JOB,
        DEPLOYMENT,
        POD,
    ];
    stage.enrolled(namespace).await;
    let mut names = Vec::new();
    for kind in kinds {
        let mut bare = kind.object(namespace, "bare");
        bare["metadata"] = json!({ "name": "bare", "namespace": namespace });
        match kind.kind {
            "ConfigMap" | "Secret" | "ServiceAccount" | "Gadget" => {
                bare = json!({ "apiVersion": bare["apiVersion"], "kind": bare["kind"], "metadata": bare["metadata"] });
            }
            _ => {}
        }
        passes(&admin, kind.create(namespace, bare)).await;
        names.push((kind, "bare"));
    }
    let big = "x".repeat(900_000);
    let many: Vec<Value> = (0..20_000).map(|n| json!({ "number": n })).collect();
    let keys: serde_json::Map<String, Value> = (0..9_000)
        .map(|n| (format!("key-{n}"), json!("x")))
        .collect();
    for (name, kind, field, content) in [
        ("big", CONFIG_MAP, "data", json!({ "a": big })),
        ("keys", CONFIG_MAP, "data", Value::Object(keys)),
        ("many", GADGET, "spec", json!({ "items": many })),
    ] {
        let mut object = kind.object(namespace, name);
        object[field] = content;
        passes(&admin, kind.create(namespace, object)).await;
        names.push((kind, name));
    }
    let by_labels = scoped(
        namespace,
        "labels",
        &KEEPS,
        json!({ "matchLabels": { "a": "b" } }),
    );
    let mut matter = hold(namespace, "matter", &FIVE);
    matter["spec"]["slot"] = json!(2);
    stage.holds(namespace, by_labels).await;
    stage.holds(namespace, matter).await;
    for (kind, name) in names {
        let note = json!({ "metadata": { "annotations": { "note": "x" } } });
        passes(&admin, kind.merge(namespace, name, note)).await;
        let change = kind.merge(namespace, name, kind.change());
        held(&admin, change, "bare/matter", "PreventAlteration").await;
        if kind.kind == "Gadget" {
            let top = json!({ "custom": { "field": 1 } });
            let call = kind.merge(namespace, name, top);
            held(&admin, call, "bare/matter", "PreventAlteration").await;
            let gone = kind.merge(namespace, name, json!({ "spec": null }));
            if name != "bare" {
                held(&admin, gone, "bare/matter", "PreventAlteration").await;
            }
        }
        let delete = kind.delete(namespace, name);
        held(&admin, delete, "bare/matter", "PreventDeletion").await;
    }
}
