//! Who says since when an object is retained.

use serde_json::{Value, json};
use testbed::raw::{APPLY, Call, JSON};

use crate::kinds::{CONFIG_MAP, GADGET, Kind, POD, REPLICA_SET};
use crate::stage::{passes, refused, stage};

const WORDS: &str =
    "may not set, change or remove the annotation privacy.cloudnexus.io/retained-since";
const EARLY: &str = "2001-02-03T04:05:06Z";

fn said(kind: &Kind, namespace: &str, name: &str, instant: &Value) -> Value {
    let mut object = kind.object(namespace, name);
    object["metadata"]["annotations"] = json!({ "privacy.cloudnexus.io/retained-since": instant });
    object
}

fn annotate(instant: Value) -> Value {
    json!({ "metadata": { "annotations": { "privacy.cloudnexus.io/retained-since": instant } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_administers_the_tenant_or_enforces_says_since_when_something_is_retained() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "said");
    stage.enrolled(namespace).await;
    let kinds = [CONFIG_MAP, GADGET, POD];
    let platform = stage.platform.caller().unwrap();
    stage.objects(namespace, "silent", &kinds).await;
    for kind in kinds {
        let call = kind.create(namespace, said(&kind, namespace, "said", &json!(EARLY)));
        passes(&platform, call).await;
    }
    let mut everybody = stage.everybody(namespace).await;
    everybody.push(stage.controller("replicaset-controller"));
    everybody.push(stage.controller("generic-garbage-collector"));
    for who in &everybody {
        for kind in kinds {
            let by_rbac = |message: &str| {
                who.name().starts_with("system:serviceaccount:kube-system:")
                    && message.contains(" cannot ")
            };
            let path = kind.one(namespace, "silent");
            let mut applied = annotate(json!(EARLY));
            applied["apiVersion"] = json!(kind.api_version());
            applied["kind"] = json!(kind.kind);
            let apply = format!("{path}?fieldManager=somebody&force=true");
            for call in [
                kind.create(namespace, said(&kind, namespace, "new", &json!(EARLY))),
                kind.merge(namespace, "silent", annotate(json!(EARLY))),
                kind.merge(namespace, "said", annotate(json!("2000-01-01T00:00:00Z"))),
                kind.merge(namespace, "said", annotate(json!("2010-01-01T00:00:00Z"))),
                kind.merge(namespace, "said", annotate(Value::Null)),
                kind.merge(
                    namespace,
                    "said",
                    json!({ "metadata": { "annotations": null } }),
                ),
                Call::new("PATCH", apply).with(APPLY, applied),
            ] {
                let answer = who.send(&call).await.unwrap();
                assert!(
                    answer.code == 403
                        && (answer.message().contains(WORDS) || by_rbac(answer.message())),
                    "{} {call:?} {answer:?}",
                    who.name()
                );
            }
        }
    }
    for who in &everybody[..4] {
        let note = json!({ "metadata": { "annotations": { "other": "x" } } });
        passes(who, CONFIG_MAP.merge(namespace, "said", note)).await;
        passes(
            who,
            CONFIG_MAP.merge(namespace, "said", annotate(json!(EARLY))),
        )
        .await;
    }
    let by_status = POD.merge_by("status", namespace, "silent", annotate(json!(EARLY)));
    refused(&admin, by_status, &[WORDS]).await;
    let mut binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "silent", "namespace": namespace },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "nowhere" },
    });
    binding["metadata"]["annotations"] = annotate(json!(EARLY))["metadata"]["annotations"].clone();
    for path in [
        format!("{}/binding", POD.one(namespace, "silent")),
        format!("/api/v1/namespaces/{namespace}/bindings"),
    ] {
        refused(
            &admin,
            Call::new("POST", path).with(JSON, binding.clone()),
            &[WORDS],
        )
        .await;
    }
    for kind in kinds {
        for instant in [
            json!(EARLY),
            json!("2150-01-01T00:00:00+02:00"),
            Value::Null,
        ] {
            passes(
                &platform,
                kind.merge(namespace, "silent", annotate(instant)),
            )
            .await;
        }
    }
    // The operator has the authority, and of these kinds no right to write one; somebody who enforces and has.
    let user = "said-enforcer";
    stage.cluster.bind_cluster_role(user, "edit").await.unwrap();
    stage.cluster.appoint(user, "enforce", &[]).await.unwrap();
    let enforcer = stage
        .cluster
        .identity(user)
        .await
        .unwrap()
        .caller()
        .unwrap();
    passes(
        &enforcer,
        CONFIG_MAP.merge(namespace, "silent", annotate(json!(EARLY))),
    )
    .await;
    stage.cluster.dismiss(user, "enforce", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_an_instant_that_can_be_read_and_at_creation_one_that_has_been() {
    let stage = stage().await;
    let namespace = "instants";
    stage.enrolled(namespace).await;
    stage.objects(namespace, "there", &[CONFIG_MAP]).await;
    let platform = stage.platform.caller().unwrap();
    let create = |instant: &str| {
        let object = said(&CONFIG_MAP, namespace, "new", &json!(instant));
        CONFIG_MAP.create(namespace, object).dry()
    };
    for bad in [
        "",
        "2001-02-03",
        "last summer",
        "2001-02-03T04:05:06",
        "2001-02-30T00:00:00Z",
        "2001-13-01T00:00:00Z",
        "2001-02-03T24:00:00Z",
        "2001-02-03 04:05:06Z",
        "2001-02-03t04:05:06z",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2001-02-03T04:05:06Z\n",
        "981173106",
        "2001-02-03T04:05:06.1234567890Z",
    ] {
        refused(&platform, create(bad), &["no instant that can be read"]).await;
        let call = CONFIG_MAP.merge(namespace, "there", annotate(json!(bad)));
        refused(&platform, call, &["no instant that can be read"]).await;
    }
    for ahead in ["2199-12-31T23:59:59Z", "2150-01-01T00:00:00.5+14:00"] {
        refused(&platform, create(ahead), &["lies in the future", ahead]).await;
        // On UPDATE there is no clock; it keeps longer, never shorter.
        let call = CONFIG_MAP.merge(namespace, "there", annotate(json!(ahead)));
        passes(&platform, call).await;
    }
    for good in [
        "1970-01-01T00:00:00Z",
        "2000-02-29T00:00:00+01:00",
        "2001-02-03T04:05:06.123456789Z",
    ] {
        passes(&platform, create(good)).await;
        passes(
            &platform,
            CONFIG_MAP.merge(namespace, "there", annotate(json!(good))),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_controllers_copy_of_what_was_said_goes_on_and_elsewhere_nobody_is_asked() {
    let stage = stage().await;
    let (admin, namespace) = (stage.admin(), "copies");
    stage.enrolled(namespace).await;
    let copy = REPLICA_SET.create(
        namespace,
        said(&REPLICA_SET, namespace, "copy", &json!(EARLY)),
    );
    refused(&admin, copy.clone(), &[WORDS]).await;
    passes(&stage.controller("deployment-controller"), copy).await;
    let revision = Kind {
        kind: "ControllerRevision",
        api: "/apis/apps/v1",
        plural: "controllerrevisions",
        scales: false,
    };
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {},
        "metadata": { "name": "copy", "namespace": namespace, "annotations": { "privacy.cloudnexus.io/retained-since": EARLY } },
    });
    passes(&admin, revision.create(namespace, object)).await;
    let elsewhere = "copies-elsewhere";
    stage.labelled(elsewhere, json!({})).await;
    let tenant = stage.tenant(elsewhere).await;
    let anything = said(&CONFIG_MAP, elsewhere, "anything", &json!("whenever"));
    passes(&tenant, CONFIG_MAP.create(elsewhere, anything)).await;
    // While a namespace observes, it is guarded already.
    let observing = "copies-observing";
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    stage.labelled(observing, labels).await;
    let early = said(&CONFIG_MAP, observing, "early", &json!(EARLY));
    refused(&admin, CONFIG_MAP.create(observing, early), &[WORDS]).await;
}
