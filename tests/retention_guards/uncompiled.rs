//! A policy binds from the moment at which it is stored, and again from each edit, until the operator has read it.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};

use crate::kinds::{CONFIG_MAP, DEPLOYMENT, GADGET, JOB, POD, POLICY as NETWORK_POLICY, SECRET};
use crate::stage::{LONG_AGO, POLICY, entry, over, passes, policy, refused, rule, sign, stage};

const UNREAD: &str = "which the operator has yet to read";

fn read(namespace: &str, name: &str, generation: i64) -> Call {
    let status = json!({ "status": { "observedGeneration": generation } });
    POLICY.merge_by("status", namespace, name, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_selects_is_kept_until_the_operator_has_read_the_policy() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "unread");
    stage.enrolled(namespace).await;
    let kinds = [CONFIG_MAP, DEPLOYMENT, POD, GADGET];
    stage.objects(namespace, "kept", &kinds).await;
    let select: Vec<Value> = kinds.iter().map(entry).collect();
    stage
        .selects(namespace, "books", json!(select), &["kept"])
        .await;
    let mut everybody = stage.everybody(namespace).await;
    everybody.push(stage.platform.caller().unwrap());
    for kind in kinds {
        for who in &everybody {
            let words = [UNREAD, &sign(namespace, "books"), who.name(), "P1Y"];
            refused(who, kind.delete(namespace, "kept"), &words).await;
            refused(who, kind.delete(namespace, "kept").dry(), &words).await;
        }
        let collection = Call::new("DELETE", kind.all(namespace));
        refused(&admin, collection, &[UNREAD]).await;
        passes(&admin, kind.merge(namespace, "kept", kind.change()).dry()).await;
        let off = kind.merge(
            namespace,
            "kept",
            json!({ "metadata": { "labels": { "case": null } } }),
        );
        refused(&admin, off.clone(), &[UNREAD]).await;
        passes(&stage.platform.caller().unwrap(), off.dry()).await;
        let more = json!({ "metadata": { "labels": { "more": "x" } } });
        passes(&admin, kind.merge(namespace, "kept", more)).await;
    }
    let operator = stage.operator.caller().unwrap();
    refused(&operator, CONFIG_MAP.delete(namespace, "kept"), &[UNREAD]).await;

    // Read, it is for GuardParameters to say.
    passes(&operator, read(namespace, "books", 1)).await;
    let delete = CONFIG_MAP.delete(namespace, "kept").dry();
    stage.until_let_through(&delete).await;
    let old = over(rule("books", &CONFIG_MAP), LONG_AGO);
    stage.keeps(namespace, vec![old]).await;
    stage
        .until(&delete, "is kept by RetentionPolicy books")
        .await;
    stage.keeps(namespace, vec![]).await;
    stage.until_let_through(&delete).await;
    // Edited, it is unread again; a status that is about another generation says nothing.
    let longer = json!({ "spec": { "basis": "Contract §8" } });
    passes(&admin, POLICY.merge(namespace, "books", longer)).await;
    stage.until(&delete, UNREAD).await;
    passes(&operator, read(namespace, "books", 7)).await;
    refused(&admin, delete.clone(), &[UNREAD]).await;
    passes(&operator, read(namespace, "books", 2)).await;
    stage.until_let_through(&delete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unread_policy_does_not_select_or_has_no_minimum_for_goes() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "unselected");
    stage.enrolled(namespace).await;
    for name in ["kept", "other"] {
        stage
            .objects(
                namespace,
                name,
                &[CONFIG_MAP, SECRET, GADGET, DEPLOYMENT, JOB],
            )
            .await;
    }
    let mut bare = CONFIG_MAP.object(namespace, "bare");
    bare["metadata"]["labels"] = Value::Null;
    passes(&admin, CONFIG_MAP.create(namespace, bare)).await;
    let at_most = policy(
        namespace,
        "at-most",
        &json!([entry(&SECRET)]),
        json!({ "atMost": "P1Y" }),
    );
    passes(&admin, POLICY.create(namespace, at_most)).await;
    let select = json!([
        { "apiVersion": "v1", "kind": "ConfigMap", "names": ["kept", "gone"], "namePrefix": "ke", "matchLabels": { "case": "a" } },
        // Nothing of these is there: another group, another kind, another name.
        { "apiVersion": "apps/v1", "kind": "ConfigMap", "namePrefix": "o" },
        { "apiVersion": "v1", "kind": "Gadget", "namePrefix": "o" },
        { "apiVersion": "example.com/v1", "kind": "Deployment", "namePrefix": "o" },
        { "apiVersion": "v1", "kind": "Secret", "names": ["nobody"] },
        { "apiVersion": "example.com/v1", "kind": "Gadget", "namePrefix": "k" },
    ]);
    stage.selects(namespace, "books", select, &["kept"]).await;
    refused(&admin, GADGET.delete(namespace, "kept"), &[UNREAD]).await;
    for (kind, name) in [
        (CONFIG_MAP, "other"),
        (CONFIG_MAP, "bare"),
        (SECRET, "kept"),
        (SECRET, "other"),
        (GADGET, "other"),
        (DEPLOYMENT, "other"),
    ] {
        passes(&admin, kind.delete(namespace, name)).await;
    }
    // Timers and paths go, and so do Covenant's own kinds.
    let operator = stage.operator.caller().unwrap();
    let every = json!([
        { "apiVersion": "batch/v1", "kind": "Job", "namePrefix": "t" },
        { "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "namePrefix": "t" },
        { "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": "kept" },
    ]);
    let ours = json!({ "privacy.cloudnexus.io/managed-by": "covenant" });
    for kind in [JOB, NETWORK_POLICY] {
        let mut object = kind.object(namespace, "timer");
        object["metadata"]["labels"] = ours.clone();
        passes(&operator, kind.create(namespace, object)).await;
    }
    passes(
        &stage.platform.caller().unwrap(),
        POLICY.delete(namespace, "books"),
    )
    .await;
    stage
        .until_let_through(&CONFIG_MAP.delete(namespace, "kept").dry())
        .await;
    stage.selects(namespace, "timers", every, &["kept"]).await;
    let options =
        json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
    for kind in [JOB, NETWORK_POLICY] {
        let delete = kind.delete(namespace, "timer");
        passes(&operator, delete.with(JSON, options.clone())).await;
    }
    passes(&admin, POLICY.delete(namespace, "at-most")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_way_round_an_unread_policy() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "unread-ways");
    stage.enrolled(namespace).await;
    stage.objects(namespace, "kept", &[POD, CONFIG_MAP]).await;
    let mut leaving = CONFIG_MAP.object(namespace, "leaving");
    leaving["metadata"]["finalizers"] = json!(["example.com/keep"]);
    passes(&admin, CONFIG_MAP.create(namespace, leaving)).await;
    passes(&admin, CONFIG_MAP.delete(namespace, "leaving")).await;
    let select = json!([entry(&POD), entry(&CONFIG_MAP)]);
    stage.selects(namespace, "books", select, &["kept"]).await;
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": "kept", "namespace": namespace } });
    let path = |what: &str| format!("{}/{what}", POD.one(namespace, "kept"));
    let evict = Call::new("POST", path("eviction")).with(JSON, eviction);
    let bind = |labels: Value| {
        let body = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "kept", "namespace": namespace, "labels": labels },
            "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
        });
        Call::new("POST", path("binding")).with(JSON, body).dry()
    };
    let strip = json!({ "metadata": { "finalizers": null } });
    let home = format!("/api/v1/namespaces/{namespace}");
    let mut whole = passes(&admin, Call::new("GET", &home)).await;
    whole["spec"]["finalizers"] = json!([]);
    let note = json!({ "metadata": { "finalizers": ["example.com/keep", "example.com/more"] } });
    for call in [
        evict,
        bind(json!({ "case": "b" })),
        CONFIG_MAP.merge(namespace, "leaving", strip),
        Call::new("DELETE", &home),
        Call::new("PUT", format!("{home}/finalize")).with(JSON, whole),
    ] {
        for who in [&admin, &stage.gitops.caller().unwrap()] {
            refused(who, call.clone(), &[UNREAD, &sign(namespace, "books")]).await;
        }
    }
    passes(&admin, bind(json!({ "case": "a", "x": "y" }))).await;
    passes(&admin, CONFIG_MAP.merge(namespace, "kept", note)).await;
    let label = json!({ "metadata": { "labels": { "team": "x" } } });
    passes(
        &admin,
        Call::new("PATCH", home).with(testbed::raw::MERGE, label),
    )
    .await;
}
