//! What can be done with the operator's own credentials: markers, and nothing else.

use serde_json::json;
use testbed::raw::{Call, JSON, MERGE};

use crate::stage::{marking, passes, pod, stage};

/// It was refused, because it is no marker.
async fn is_no_marker(who: &testbed::raw::Caller, call: Call, word: &str) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.code == 403
            && answer.message().contains("[NotAMarker]")
            && answer.message().contains(word),
        "{}",
        who.told(&call, &answer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_hand_changes_nothing_of_a_pod_or_a_namespace_but_markers() {
    let (stage, namespace) = (stage().await, "acme-hand");
    stage.enrolled(namespace).await;
    let admin = stage.admin();
    let operator = stage.operator.caller().unwrap();
    passes(&admin, pod(namespace, "web", &json!({}))).await;
    let itself = format!("/api/v1/namespaces/{namespace}");
    let status = format!("{itself}/pods/web/status");
    let marker = json!({ "annotations": { "ad.datadoghq.com/exclude": "true" }, "labels": { "quiet": "yes" } });
    let gone =
        json!({ "annotations": { "ad.datadoghq.com/exclude": null }, "labels": { "quiet": null } });
    for path in [&itself, &status] {
        passes(&operator, marking(path.clone(), &marker)).await;
        passes(&operator, marking(path.clone(), &gone)).await;
        for (meaningful, word) in [
            (
                json!({ "labels": { "pod-security.kubernetes.io/enforce": "privileged" } }),
                "pod-security.kubernetes.io/enforce",
            ),
            (
                json!({ "labels": { "privacy.cloudnexus.io/anything": "x" } }),
                "privacy.cloudnexus.io/anything",
            ),
            (
                json!({ "annotations": { "scheduler.alpha.k8s.io/node": "" } }),
                "scheduler.alpha.k8s.io/node",
            ),
            (json!({ "finalizers": ["acme.example/kept"] }), "finalizers"),
        ] {
            let call = marking(path.clone(), &meaningful);
            is_no_marker(&operator, call, word).await;
        }
    }
    for status_of in [
        json!({ "podIP": "192.0.2.7", "podIPs": [{ "ip": "192.0.2.7" }] }),
        json!({ "phase": "Succeeded" }),
    ] {
        let call = Call::new("PATCH", status.clone()).with(MERGE, json!({ "status": status_of }));
        is_no_marker(&operator, call, "status").await;
    }
    // Nor anything that is not through the status, nor a pod of its own.
    for call in [
        marking(format!("{itself}/pods/web"), &marker),
        pod(namespace, "own", &json!({})),
        Call::new("PUT", itself.clone()).with(JSON, json!({})),
    ] {
        let answer = operator.send(&call).await.unwrap();
        assert_eq!(answer.code, 403, "{}", operator.told(&call, &answer));
    }
    // Others are not concerned.
    let labels = json!({ "labels": { "pod-security.kubernetes.io/warn": "baseline" } });
    passes(&admin, marking(itself, &labels)).await;
    let ready = json!({ "status": { "phase": "Running" } });
    passes(&admin, Call::new("PATCH", status).with(MERGE, ready)).await;
}
