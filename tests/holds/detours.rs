//! Ways round a hold by something that is not held itself: another hold's effects, a new owner, a value that compares equal.

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::{Call, JSON};

use super::kinds::{CILIUM, CLAIM, DEPLOYMENT, GADGET, HOLD, POD, REPLICA_SET, SECRET};
use super::stage::{FIVE, PATIENCE, essence, held, hold, passes, refused, scoped, stage};

const KEEPS: [&str; 2] = ["PreventDeletion", "PreventAlteration"];

fn placed(mut hold: Value, slot: u8) -> Value {
    hold["spec"]["slot"] = json!(slot);
    hold
}

/// A change that keeps the other fields of a pod's containers.
fn changed(namespace: &str, name: &str, spec: Value) -> Call {
    let media = "application/strategic-merge-patch+json";
    Call::new("PATCH", POD.one(namespace, name)).with(media, json!({ "spec": spec }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_in_scope_whose_value_is_empty_is_not_taken_off() {
    let stage = stage().await;
    for (namespace, effect) in [
        ("empty-label", "PreventDeletion"),
        ("empty-label-altered", "PreventAlteration"),
    ] {
        stage.enrolled(namespace).await;
        let mut secret = SECRET.object(namespace, "kept");
        secret["metadata"]["labels"] = json!({ "evidence": "" });
        passes(&stage.admin(), SECRET.create(namespace, secret)).await;
        let scope = json!({ "matchLabels": { "evidence": "" } });
        let hold = scoped(namespace, "matter", &[effect], scope);
        stage.holds(namespace, hold).await;
        let sign = format!("{namespace}/matter");
        let off = json!({ "metadata": { "labels": { "evidence": null } } });
        let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
        for who in [tenant.caller().unwrap(), stage.admin()] {
            held(
                &who,
                SECRET.merge(namespace, "kept", off.clone()),
                &sign,
                effect,
            )
            .await;
        }
        let more = json!({ "metadata": { "labels": { "team": "x" } } });
        passes(&stage.admin(), SECRET.merge(namespace, "kept", more)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_null_is_any_group_and_one_that_no_kind_is_in_is_refused() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "null-group";
    stage.enrolled(namespace).await;
    stage
        .objects(namespace, "kept", &[SECRET, GADGET, CLAIM])
        .await;
    let named =
        |kind: &str, group: Value| json!({ "kinds": [{ "kind": kind, "apiGroup": group }] });
    for (kind, group) in [
        (SECRET, "v1"),
        (SECRET, "core"),
        (DEPLOYMENT, "apps/v1"),
        (DEPLOYMENT, "v1beta1"),
    ] {
        let body = scoped(namespace, "matter", &KEEPS, named(kind.kind, json!(group)));
        refused(
            &admin,
            HOLD.create(namespace, body),
            "apiGroup in body should match",
        )
        .await;
    }
    for (kind, slot) in [(SECRET, 1), (GADGET, 2)] {
        let name = kind.plural;
        let body = placed(
            scoped(namespace, name, &KEEPS, named(kind.kind, Value::Null)),
            slot,
        );
        stage.holds(namespace, body).await;
        let sign = format!("{namespace}/{name}");
        held(
            &admin,
            kind.delete(namespace, "kept"),
            &sign,
            "PreventDeletion",
        )
        .await;
        let change = kind.merge(namespace, "kept", kind.change());
        held(&admin, change, &sign, "PreventAlteration").await;
    }
    let body = scoped(
        namespace,
        "claims",
        &KEEPS,
        named("PersistentVolumeClaim", Value::Null),
    );
    stage.holds(namespace, placed(body, 3)).await;
    let mut writer = POD.object(namespace, "writer");
    writer["spec"]["volumes"] =
        json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "kept" } }]);
    held(
        &admin,
        POD.create(namespace, writer),
        "null-group/claims",
        "PreventAlteration",
    )
    .await;
}

/// The Deployment's controller takes every ReplicaSet that a new Deployment selects, scales it to nothing and deletes it.
#[tokio::test(flavor = "multi_thread")]
async fn no_new_deployment_takes_a_held_replica_set_and_scales_it_away() {
    let stage = stage().await;
    let admin = stage.admin();
    for (namespace, effects) in [
        ("adopted", &FIVE[..]),
        ("adopted-kept", &["PreventDeletion"]),
        ("adopted-named", &["PreventAlteration"]),
    ] {
        stage.enrolled(namespace).await;
        let mut empty = REPLICA_SET.object(namespace, "empty");
        empty["spec"]["selector"] = json!({ "matchLabels": { "app": "web" } });
        empty["spec"]["template"]["metadata"]["labels"] = json!({ "app": "web" });
        let mut full = empty.clone();
        full["metadata"]["name"] = json!("full");
        full["spec"]["replicas"] = json!(2);
        for set in [&empty, &full] {
            let mut set = set.clone();
            set["metadata"]["labels"] = json!({ "app": "web" });
            passes(&admin, REPLICA_SET.create(namespace, set)).await;
        }
        stage
            .holds(namespace, hold(namespace, "matter", effects))
            .await;
        let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
        let mut taker = DEPLOYMENT.object(namespace, "taker");
        taker["spec"]["selector"] = json!({ "matchLabels": { "app": "web" } });
        taker["spec"]["template"]["metadata"]["labels"] = json!({ "app": "web" });
        taker["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
        taker["spec"]["revisionHistoryLimit"] = json!(0);
        taker["spec"]["strategy"] = json!({ "type": "Recreate" });
        let tenant = tenant.caller().unwrap();
        passes(&tenant, DEPLOYMENT.create(namespace, taker)).await;
        let sets = Call::new("GET", REPLICA_SET.all(namespace));
        let before: Vec<(Value, Value)> =
            vec![(json!("empty"), json!(0)), (json!("full"), json!(2))];
        let taken = DEPLOYMENT.get(namespace, "taker");
        eventually("the controller has looked", PATIENCE, || async {
            let taken = admin.send(&taken).await?.body;
            anyhow::ensure!(taken["status"].is_object(), "{taken}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
        testbed::always(
            "each is as it was",
            std::time::Duration::from_secs(4),
            || async {
                let list = admin.send(&sets).await?.body;
                for (name, replicas) in &before {
                    let found = list["items"].as_array().into_iter().flatten();
                    let set = found.clone().find(|set| &set["metadata"]["name"] == name);
                    let set = set.ok_or_else(|| anyhow::anyhow!("{name} is gone"))?;
                    anyhow::ensure!(&set["spec"]["replicas"] == replicas, "{set}");
                    anyhow::ensure!(set["metadata"]["ownerReferences"].is_null(), "{set}");
                }
                anyhow::Ok(())
            },
        )
        .await
        .unwrap();
    }
}

/// Its deadline ends a pod, and its images put something else into it, with all that it mounts.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_pod_is_given_neither_a_deadline_nor_another_image() {
    let stage = stage().await;
    let ends = ["SuspendProcessing", "EndProcessing"];
    for (namespace, effects, effect) in [
        (
            "replaced-kept",
            &["PreventDeletion", "SuspendProcessing", "FreezeAccess"][..],
            "PreventDeletion",
        ),
        (
            "replaced-suspended",
            &["SuspendProcessing"],
            "SuspendProcessing",
        ),
        (
            "replaced-frozen",
            &["PreventDeletion", "FreezeAccess"],
            "FreezeAccess",
        ),
        ("replaced-free", &["PreventDeletion"], ""),
        ("replaced-ends", &ends, ""),
    ] {
        stage.enrolled(namespace).await;
        stage.objects(namespace, "kept", &[POD]).await;
        stage
            .holds(namespace, hold(namespace, "matter", effects))
            .await;
        let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
        let tenant = tenant.caller().unwrap();
        for spec in [
            json!({ "activeDeadlineSeconds": 1 }),
            json!({ "containers": [{ "name": "app", "image": "attacker/shell" }] }),
        ] {
            let call = changed(namespace, "kept", spec).dry();
            if effect.is_empty() {
                passes(&tenant, call).await;
            } else {
                held(&tenant, call, &format!("{namespace}/matter"), effect).await;
            }
        }
        let note =
            json!({ "metadata": { "labels": { "team": "x" }, "annotations": { "a": "b" } } });
        passes(&tenant, POD.merge(namespace, "kept", note)).await;
    }
}

/// What runs is kept by the hold that suspends it, whatever keeps the rest: nothing else would make it anew.
#[tokio::test(flavor = "multi_thread")]
async fn two_holds_leave_no_gap_between_them() {
    let stage = stage().await;
    let namespace = "gap";
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[POD]).await;
    let secrets = json!({ "kinds": [{ "kind": "Secret" }] });
    stage
        .holds(namespace, hold(namespace, "keeps", &KEEPS))
        .await;
    let suspends = scoped(namespace, "suspends", &["SuspendProcessing"], secrets);
    stage.holds(namespace, placed(suspends, 2)).await;
    let sign = "gap/suspends";
    let tenant = stage.cluster.tenant_admin(namespace).await.unwrap();
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "kept", "namespace": namespace } });
    let path = format!("{}/eviction", POD.one(namespace, "kept"));
    let evict = Call::new("POST", path).with(JSON, body);
    for who in [
        tenant.caller().unwrap(),
        stage.admin(),
        stage.controller("node-controller"),
    ] {
        held(
            &who,
            POD.delete(namespace, "kept"),
            sign,
            "SuspendProcessing",
        )
        .await;
        if who.name() == stage.admin().name() {
            held(&who, evict.clone(), sign, "SuspendProcessing").await;
        }
    }
    // An officer may leave pods out.
    let except = super::stage::narrowed(&[], json!([{ "kind": "Pod" }]));
    stage.decides(namespace, "suspends", except).await;
    eventually("pods are left out", PATIENCE, || async {
        let answer = stage
            .admin()
            .send(&POD.delete(namespace, "kept").dry())
            .await?;
        anyhow::ensure!(answer.is_success(), "{answer:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_pod_becomes_a_writer_of_a_held_claim_by_a_change() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "writers";
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[CLAIM]).await;
    let pod = |name: &str, gates: Value| {
        let mut pod = POD.object(namespace, name);
        pod["spec"]["volumes"] =
            json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "kept" } }]);
        pod["spec"]["containers"][0]["volumeMounts"] =
            json!([{ "name": "data", "mountPath": "/data", "readOnly": true }]);
        pod["spec"]["schedulingGates"] = gates;
        pod
    };
    passes(&admin, POD.create(namespace, pod("reads", Value::Null))).await;
    let gates = json!([{ "name": "example.com/wait" }]);
    passes(&admin, POD.create(namespace, pod("waits", gates))).await;
    let claims = json!({ "kinds": [{ "kind": "PersistentVolumeClaim" }] });
    stage
        .holds(
            namespace,
            scoped(namespace, "matter", &["PreventAlteration"], claims),
        )
        .await;
    let sign = "writers/matter";
    let debugs = json!({ "spec": { "ephemeralContainers": [{
        "name": "writes", "image": "shell", "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    }] } });
    let debugs = POD.merge_by("ephemeralcontainers", namespace, "reads", debugs);
    for call in [
        debugs,
        changed(
            namespace,
            "reads",
            json!({ "containers": [{ "name": "app", "image": "other" }] }),
        ),
        POD.merge(
            namespace,
            "waits",
            json!({ "spec": { "schedulingGates": null } }),
        ),
    ] {
        held(&admin, call, sign, "PreventAlteration").await;
    }
    let note = json!({ "metadata": { "annotations": { "a": "b" } } });
    passes(&admin, POD.merge(namespace, "reads", note)).await;
    let status = json!({ "status": { "message": "tended" } });
    passes(&admin, POD.merge_by("status", namespace, "reads", status)).await;
}

/// CEL compares whole numbers with fractions as fractions.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_too_large_for_a_fraction_is_not_altered() {
    let stage = stage().await;
    let admin = stage.admin();
    let namespace = "numbers";
    stage.enrolled(namespace).await;
    let mut gadget = GADGET.object(namespace, "kept");
    gadget["spec"]["a"] = json!(4_611_686_018_427_388_404_i64);
    passes(&admin, GADGET.create(namespace, gadget)).await;
    stage
        .holds(namespace, hold(namespace, "matter", &FIVE))
        .await;
    let before = essence(&passes(&admin, GADGET.get(namespace, "kept")).await);
    for other in [
        json!(4_611_686_018_427_387_904.0_f64),
        json!(4_611_686_018_427_388_403_i64),
    ] {
        let call = GADGET.merge(namespace, "kept", json!({ "spec": { "a": other } }));
        held(&admin, call, "numbers/matter", "PreventAlteration").await;
    }
    for note in [
        json!({ "metadata": { "annotations": { "a": "b" }, "labels": { "team": "x" } } }),
        json!({ "metadata": { "labels": { "team": null } } }),
    ] {
        passes(&admin, GADGET.merge(namespace, "kept", note)).await;
    }
    let status = json!({ "status": { "seen": true } });
    passes(&admin, GADGET.merge_by("status", namespace, "kept", status)).await;
    let after = essence(&passes(&admin, GADGET.get(namespace, "kept")).await);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_policy_of_the_networks_own_kinds_lets_suspended_pods_talk_in_either_stage() {
    let stage = stage().await;
    let admin = stage.admin();
    let observed =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.labelled("foreign-observed", observed).await;
    stage.enrolled("foreign").await;
    for namespace in ["foreign", "foreign-observed"] {
        let policy = |name: &str| {
            json!({
                "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": { "name": name, "namespace": namespace },
                "spec": { "endpointSelector": {}, "egress": [{ "toEntities": ["cluster"] }] },
            })
        };
        let observed = namespace == "foreign-observed";
        if observed {
            passes(&admin, CILIUM.create(namespace, policy("before"))).await;
        }
        stage
            .holds(namespace, hold(namespace, "matter", &["SuspendProcessing"]))
            .await;
        let sign = format!("{namespace}/matter");
        let answer = admin
            .send(&CILIUM.create(namespace, policy("after")))
            .await
            .unwrap();
        assert_eq!(answer.code, 403, "{answer:?}");
        if observed {
            assert!(answer.message().contains(&sign), "{answer:?}");
            let wider = json!({ "spec": { "egress": [{ "toEntities": ["world"] }] } });
            let call = CILIUM.merge(namespace, "before", wider);
            held(&admin, call, &sign, "SuspendProcessing").await;
            let note = json!({ "metadata": { "labels": { "team": "x" } } });
            passes(&admin, CILIUM.merge(namespace, "before", note)).await;
            passes(&admin, CILIUM.delete(namespace, "before")).await;
        }
    }
    // Where nothing is suspended the stage decides alone.
    let observed =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.labelled("foreign-free", observed).await;
    stage
        .holds(
            "foreign-free",
            hold("foreign-free", "matter", &["PreventDeletion"]),
        )
        .await;
    let body = json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": { "name": "free", "namespace": "foreign-free" },
    });
    passes(&admin, CILIUM.create("foreign-free", body)).await;
}
