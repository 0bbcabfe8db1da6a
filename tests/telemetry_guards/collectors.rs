//! Objects that tell an agent to collect, of the kinds that their makers define.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON, MERGE};

use crate::definitions::{COLLECTOR, KINDS, Kind, all};
use crate::stage::{everything, marking, passes, refused, stage};

/// One that makes an agent collect here.
pub fn collects(kind: &Kind, namespace: &str) -> Call {
    let spec = if kind.2 == COLLECTOR.2 {
        json!({ "mode": "sidecar" })
    } else {
        json!({ "selector": {} })
    };
    made(kind, namespace, &spec)
}

fn made(kind: &Kind, namespace: &str, spec: &Value) -> Call {
    let body = json!({ "apiVersion": format!("{}/{}", kind.0, kind.1), "kind": kind.2, "metadata": { "name": "web" }, "spec": spec });
    Call::new("POST", all(kind, namespace)).with(JSON, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_object_that_tells_an_agent_to_collect_is_made_where_it_is_stopped() {
    let (stage, namespace) = (stage().await, "acme-collectors");
    stage.enrolled(namespace).await;
    stage.opt_out(namespace).await;
    let admin = stage.admin();
    for kind in KINDS {
        let named = format!("{} {namespace}/web tells an agent to collect here", kind.2);
        let words = [
            named.as_str(),
            "TelemetryOptOut acme-collectors/default",
            "[TellsToCollect]",
        ];
        refused(&admin, collects(&kind, namespace), &words).await;
    }
    let words = ["or give it another mode than sidecar"];
    refused(&admin, collects(&COLLECTOR, namespace), &words).await;
    for own in ["deployment", "daemonset", "statefulset"] {
        passes(
            &admin,
            made(&COLLECTOR, namespace, &json!({ "mode": own })).dry(),
        )
        .await;
    }
    passes(&admin, made(&COLLECTOR, namespace, &json!({}))).await;
    let into_pods = Call::new("PATCH", format!("{}/web", all(&COLLECTOR, namespace)))
        .with(MERGE, json!({ "spec": { "mode": "sidecar" } }));
    refused(&admin, into_pods, &["[TellsToCollect]"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_stopped_agent_is_told_by_is_let_in() {
    let (stage, namespace) = (stage().await, "acme-others");
    stage.enrolled(namespace).await;
    let mut told = everything();
    told["telemetry"]["refuses"] = json!(["podmonitors.monitoring.coreos.com"]);
    stage.told(namespace, told).await;
    let pod_monitor = KINDS[1];
    stage
        .until(&collects(&pod_monitor, namespace).dry(), "[TellsToCollect]")
        .await;
    for kind in KINDS.into_iter().filter(|kind| *kind != pod_monitor) {
        passes(&stage.admin(), collects(&kind, namespace)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_before_can_be_tended_and_deleted_and_not_changed() {
    let (stage, namespace) = (stage().await, "acme-old-collectors");
    stage.enrolled(namespace).await;
    let admin = stage.admin();
    for kind in KINDS {
        passes(&admin, collects(&kind, namespace)).await;
    }
    stage.opt_out(namespace).await;
    for kind in KINDS {
        let path = format!("{}/web", all(&kind, namespace));
        let tended = json!({ "labels": { "tended": "yes" }, "finalizers": ["example.com/tended"] });
        passes(&admin, marking(path.clone(), &tended)).await;
        let changed = Call::new("PATCH", path.clone())
            .with(MERGE, json!({ "spec": { "selector": { "app": "web" } } }));
        refused(&admin, changed, &["[TellsToCollect]"]).await;
        passes(&admin, Call::new("DELETE", path.clone())).await;
        passes(&admin, marking(path, &json!({ "finalizers": null }))).await;
    }
}
