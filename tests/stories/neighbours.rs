//! Grants to a namespace of the same tenant: a path at each end, agreed by both.

use serde_json::{Value, json};

use crate::stage::{Stage, Tenant, condition, in_days, in_seconds, shared};

fn grant(from: &str, to: &str, direction: &str) -> Value {
    let mut grant = crate::stage::grant(from, "to-sibling", "nobody", &in_days(30));
    grant["spec"]["recipient"] = json!({ "namespace": { "name": to } });
    grant["spec"]["direction"] = json!(direction);
    if direction == "Pull" {
        grant["spec"]["ports"] = json!([{ "port": "metrics" }]);
    }
    grant
}

fn acceptance(from: &str, here: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "SharingAcceptance",
        "metadata": { "name": "from-sibling", "namespace": here },
        "spec": {
            "from": { "namespace": from, "grant": "to-sibling" }, "dataCategories": ["InfrastructureTelemetry"],
            "podSelector": { "matchLabels": { "app": "collector" } }, "ports": [{ "port": 9090 }]
        }
    })
}

/// Two namespaces, the second of that tenant.
async fn pair<'a>(stage: &'a Stage, name: &str, tenant: &str) -> (Tenant<'a>, Tenant<'a>) {
    let source = stage.tenant(&format!("{name}-source")).await;
    let sink = format!("{name}-sink");
    stage.enrol(&sink, tenant).await;
    let admin = stage.cluster.tenant_admin(&sink).await.unwrap();
    (
        source,
        Tenant {
            stage,
            name: sink,
            admin,
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_open_with_a_timer_each_once_the_recipient_agrees_and_close_when_it_no_longer_does()
 {
    let stage = shared().await;
    for direction in ["Push", "Pull"] {
        let name = format!("agreed-{}", direction.to_lowercase());
        let (source, sink) = pair(stage, &name, "acme").await;
        source
            .grants(&grant(&source.name, &sink.name, direction))
            .await;
        source.closed("to-sibling", "NotAccepted").await;
        sink.grants(&acceptance(&source.name, &sink.name)).await;
        let open = source.open("to-sibling").await;
        let paths = open["status"]["paths"].as_array().unwrap();
        let ends: Vec<&str> = paths
            .iter()
            .map(|path| path["namespace"].as_str().unwrap())
            .collect();
        assert_eq!(ends, [&source.name, &sink.name]);
        assert_ne!(paths[0]["timer"]["uid"], paths[1]["timer"]["uid"]);
        for path in paths {
            let namespace = path["namespace"].as_str().unwrap();
            let policy = stage
                .get(&[
                    "netpol",
                    path["networkPolicy"]["name"].as_str().unwrap(),
                    "-n",
                    namespace,
                ])
                .await;
            let way = if (direction == "Push") == (namespace == source.name) {
                "Egress"
            } else {
                "Ingress"
            };
            assert_eq!(policy["spec"]["policyTypes"], json!([way]));
            assert_eq!(
                policy["metadata"]["ownerReferences"][0]["uid"],
                path["timer"]["uid"]
            );
        }
        sink.admin
            .kubectl(&["delete", "dsaccept", "from-sibling", "-n", &sink.name])
            .await
            .unwrap()
            .success()
            .unwrap();
        source.closed("to-sibling", "NotAccepted").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_namespace_gets_nothing_whatever_it_accepts() {
    let stage = shared().await;
    let (source, sink) = pair(stage, "foreign", "globex").await;
    sink.grants(&acceptance(&source.name, &sink.name)).await;
    source
        .grants(&grant(&source.name, &sink.name, "Push"))
        .await;
    source.closed("to-sibling", "RecipientOtherTenant").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_that_only_observes_is_no_relay() {
    let stage = shared().await;
    let (source, sink) = pair(stage, "relay", "acme").await;
    source
        .grants(&grant(&source.name, &sink.name, "Push"))
        .await;
    sink.grants(&acceptance(&source.name, &sink.name)).await;
    source.open("to-sibling").await;
    let observe = [
        "label",
        "ns",
        &sink.name,
        "privacy.cloudnexus.io/stage=observe",
    ];
    stage
        .engineer
        .kubectl(&observe)
        .await
        .unwrap()
        .success()
        .unwrap();
    source.closed("to-sibling", "RecipientNotInForce").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_ends_closes_both_ends() {
    let stage = shared().await;
    let (source, sink) = pair(stage, "lapsing", "acme").await;
    let mut accepted = acceptance(&source.name, &sink.name);
    accepted["spec"]["notAfter"] = json!(in_seconds(10));
    sink.grants(&accepted).await;
    source
        .grants(&grant(&source.name, &sink.name, "Push"))
        .await;
    let open = source.open("to-sibling").await;
    assert_eq!(open["status"]["closesBecause"], "AcceptanceEnds");
    let closed = source.closed("to-sibling", "EndPassed").await;
    assert_eq!(condition(&closed, "Ready").1, "Ended");
}
