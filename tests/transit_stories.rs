//! What a tenant publishes and what the posture says of it, with the operator running: kinds that come and go, what was there
//! before, and a restart that finds nothing new.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(
    dead_code,
    reason = "shared with the tests of the guards, which use all of it"
)]
#[path = "transit_guards/definitions.rs"]
mod definitions;
#[allow(
    dead_code,
    reason = "the stage is the stories', and this is one of them"
)]
#[path = "stories/stage.rs"]
mod stage;

use serde_json::{Value, json};
use testbed::raw::{Call, JSON, MERGE};
use testbed::{eventually, raw::Answer};

use definitions::{INGRESS, INGRESS_ROUTE, Kind, TLS_OPTION};
use stage::{PATIENCE, Stage, baseline};

/// Waits until the posture says this of encryption in transit: item, state, reason.
async fn tells(stage: &Stage, namespace: &str, expected: &[(&str, &str, &str)]) {
    eventually(
        &format!("{expected:?} of {namespace}"),
        PATIENCE,
        || async {
            let posture = ["posture", "current", "-n", namespace];
            let posture = stage.cluster.admin().get(&posture).await?;
            let items = posture["spec"]["encryption"]["items"].as_array();
            let items = items.into_iter().flatten();
            let items = items.filter(|item| item["scope"] == "InTransit");
            let told: Vec<[Value; 3]> = items
                .map(|item| ["item", "state", "reason"].map(|field| item[field].clone()))
                .collect();
            let wanted: Vec<[Value; 3]> = expected
                .iter()
                .map(|(item, state, reason)| [json!(item), json!(state), json!(reason)])
                .collect();
            anyhow::ensure!(told == wanted, "{told:?}");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
}

async fn send(stage: &Stage, call: Call) -> Answer {
    let admin = stage.cluster.admin().caller().unwrap();
    admin.send(&call).await.unwrap()
}

async fn passes(stage: &Stage, call: Call) {
    let answer = send(stage, call.clone()).await;
    assert!(answer.is_success(), "{call:?}\n{answer:?}");
}

fn publish(kind: &Kind, namespace: &str, name: &str, spec: &Value) -> Call {
    let version = kind.versions[0];
    let object = kind.object(version, namespace, name, spec);
    Call::new("POST", kind.all(version, namespace)).with(JSON, object)
}

/// Whether the operator ever asked of what is published.
async fn looked(stage: &Stage) -> bool {
    let user = stage.cluster.operator_identity().await.unwrap();
    let events = stage.cluster.audit().unwrap().all().await.unwrap();
    let kinds = ["ingresses", "ingressclasses", "customresourcedefinitions"];
    let mut asked = events.iter().filter(|event| event.user() == user.name());
    asked.any(|event| kinds.contains(&event.resource()))
}

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/covenant-operator";

/// Takes the operator's rule about an API group away, and gives the rules as they were.
async fn without_rule(stage: &Stage, group: &str) -> Value {
    let role = send(stage, Call::new("GET", ROLE)).await.body;
    let rules = role["rules"].as_array().unwrap();
    let left: Vec<&Value> = rules
        .iter()
        .filter(|rule| !rule["apiGroups"].to_string().contains(group))
        .collect();
    assert!(left.len() < rules.len(), "no rule about {group}");
    let patch = json!({ "rules": left });
    passes(stage, Call::new("PATCH", ROLE).with(MERGE, patch)).await;
    role["rules"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_told_from_before_enrolment_on_and_kinds_come_and_go() {
    let stage = Stage::new().await;
    let namespace = "acme-shop";
    passes(
        &stage,
        Call::new("POST", "/api/v1/namespaces").with(JSON, stage::namespace(namespace, &json!({}))),
    )
    .await;
    let rule = json!({ "host": "a.acme.example", "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "app", "port": { "number": 80 } } } }] } });
    passes(
        &stage,
        publish(&INGRESS, namespace, "shop", &json!({ "rules": [rule] })),
    )
    .await;
    stage.enrol(namespace, "acme").await;
    tells(
        &stage,
        namespace,
        &[("Gateways", "NotJudged", "NotInBaseline")],
    )
    .await;

    let mut asking = baseline("default", "P90D");
    asking["spec"]["encryption"] = json!({ "inTransit": { "minimumTLS": "1.3" } });
    stage
        .engineer
        .apply(&asking.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    tells(
        &stage,
        namespace,
        &[("Ingress/shop", "NotEncrypted", "PlainHost")],
    )
    .await;
    assert!(looked(&stage).await);
    // The guards read the same, and let nothing of its kind in any more.
    let another = publish(&INGRESS, namespace, "another", &json!({ "rules": [rule] })).dry();
    eventually("another is refused", PATIENCE, || async {
        let answer = send(&stage, another.clone()).await;
        anyhow::ensure!(
            answer.code == 403 && answer.message().contains("[PlainHost]"),
            "{answer:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let healed = json!({ "spec": { "tls": [{ "hosts": ["a.acme.example"], "secretName": "certificate" }] } });
    passes(
        &stage,
        Call::new("PATCH", INGRESS.one(namespace, "shop")).with(MERGE, healed),
    )
    .await;
    let shop = ("Ingress", "NotJudged", "ControllerUnknown");
    tells(&stage, namespace, &[shop]).await;

    // Kinds that are installed later are followed, and left with their definition. One that may not be read says so.
    let rules = without_rule(&stage, "traefik.io").await;
    let kinds = [TLS_OPTION.definition(), INGRESS_ROUTE.definition()];
    stage.cluster.apply_kinds(&kinds).await.unwrap();
    let unseen = [
        ("ingressroutes.traefik.io", "Unknown", "Forbidden"),
        ("tlsoptions.traefik.io", "Unknown", "Forbidden"),
    ];
    tells(&stage, namespace, &[shop, unseen[0], unseen[1]]).await;
    let restored = json!({ "rules": rules });
    passes(&stage, Call::new("PATCH", ROLE).with(MERGE, restored)).await;
    tells(&stage, namespace, &[shop]).await;
    let route = json!({ "tls": { "options": { "name": "modern" } } });
    passes(&stage, publish(&INGRESS_ROUTE, namespace, "api", &route)).await;
    tells(
        &stage,
        namespace,
        &[shop, ("IngressRoute/api", "Unknown", "NoSuchOptions")],
    )
    .await;
    passes(
        &stage,
        publish(
            &TLS_OPTION,
            namespace,
            "modern",
            &json!({ "minVersion": "VersionTLS13" }),
        ),
    )
    .await;
    let of_traefik = [
        ("IngressRoute", "Proven", "AsksForTls13"),
        ("TLSOption", "Proven", "AsksForTls13"),
    ];
    tells(&stage, namespace, &[shop, of_traefik[0], of_traefik[1]]).await;

    let _operator = stage.started_anew().await;

    let definition =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ingressroutes.traefik.io";
    passes(&stage, Call::new("DELETE", definition)).await;
    tells(&stage, namespace, &[shop, of_traefik[1]]).await;
    stage
        .engineer
        .apply(&baseline("default", "P90D").to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    tells(
        &stage,
        namespace,
        &[("Gateways", "NotJudged", "NotInBaseline")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_baseline_asks_nothing_is_looked_for() {
    let stage = Stage::new().await;
    stage.enrol("acme-quiet", "acme").await;
    tells(
        &stage,
        "acme-quiet",
        &[("Gateways", "NotJudged", "NotInBaseline")],
    )
    .await;
    stage.at_rest().await;
    assert!(!looked(&stage).await);
}
