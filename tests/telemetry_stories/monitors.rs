//! Objects of before that tell an agent to collect: kinds and objects that come and go, and a right that is missing.

use serde_json::{Value, json};
use testbed::eventually;
use testbed::raw::{Call, JSON, MERGE};

use crate::definitions::{COLLECTOR, KINDS, Kind, all, definition};
use crate::stage::{PATIENCE, Stage, baseline};
use crate::{answers, applied};

const SERVICE_MONITOR: Kind = KINDS[0];
const POD_MONITOR: Kind = KINDS[1];
const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/covenant-operator";
const OPT_OUTS: &str = "/apis/privacy.cloudnexus.io/v1alpha1/namespaces";

async fn passes(stage: &Stage, call: Call) -> Value {
    let admin = stage.cluster.admin().caller().unwrap();
    let answer = admin.send(&call).await.unwrap();
    assert!(answer.is_success(), "{call:?}\n{answer:?}");
    answer.body
}

fn make(kind: &Kind, namespace: &str, name: &str, spec: &Value) -> Call {
    let body = json!({ "apiVersion": format!("{}/{}", kind.0, kind.1), "kind": kind.2, "metadata": { "name": name }, "spec": spec });
    Call::new("POST", all(kind, namespace)).with(JSON, body)
}

fn one(kind: &Kind, namespace: &str, name: &str) -> String {
    format!("{}/{name}", all(kind, namespace))
}

async fn opt_out(stage: &Stage, namespace: &str) {
    let opt_out = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TelemetryOptOut",
        "metadata": { "name": "default", "namespace": namespace }, "spec": { "channels": ["PlatformTelemetry"] },
    });
    stage.cluster.admin().apply_object(&opt_out).await.unwrap();
}

/// Waits until the status says this of the agent: its state, whether monitors are told as refused, and these words among others.
async fn tells(stage: &Stage, namespace: &str, state: &str, refused: bool, words: &[&str]) {
    let wanted = format!("{namespace} is told as {state}, monitors refused {refused}: {words:?}");
    eventually(&wanted, PATIENCE, || async {
        let status = ["telemetryoptout", "default", "-n", namespace];
        let status = stage.cluster.admin().get(&status).await?;
        let agent = &status["status"]["channels"][0]["agents"][0];
        let reason = agent["reason"].as_str().unwrap_or_default();
        let by = agent["by"].as_array().cloned().unwrap_or_default();
        let is_so = agent["state"] == state
            && by.contains(&json!("NetworkDenied"))
            && by.contains(&json!("MonitorsRefused")) == refused
            && words.iter().all(|word| reason.contains(word));
        anyhow::ensure!(is_so, "{agent}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

async fn is_clear(stage: &Stage, namespace: &str) {
    let words = ["none of before is left"];
    tells(stage, namespace, "Stopped", true, &words).await;
}

async fn is_partly(stage: &Stage, namespace: &str, words: &[&str]) {
    tells(stage, namespace, "Partly", false, words).await;
}

/// Whether the operator ever asked for definitions, or for an object of these kinds.
async fn looked(stage: &Stage) -> bool {
    let user = stage.cluster.operator_identity().await.unwrap();
    let events = stage.cluster.audit().unwrap().all().await.unwrap();
    let mut asked = events.iter().filter(|event| event.user() == user.name());
    asked.any(|event| {
        let resource = event.resource();
        resource == "customresourcedefinitions" || KINDS.iter().any(|kind| kind.3 == resource)
    })
}

/// Takes the operator's rule about monitors away, and gives the rules as they were.
async fn without_right(stage: &Stage) -> Value {
    let role = passes(stage, Call::new("GET", ROLE)).await;
    let rules = role["rules"].as_array().unwrap();
    let of_others = |rule: &&Value| rule["apiGroups"] != json!([SERVICE_MONITOR.0]);
    let left: Vec<&Value> = rules.iter().filter(of_others).collect();
    assert!(
        left.len() < rules.len(),
        "no rule about {}",
        SERVICE_MONITOR.0
    );
    let patch = json!({ "rules": left });
    passes(stage, Call::new("PATCH", ROLE).with(MERGE, patch)).await;
    role["rules"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_of_before_are_named_until_they_are_deleted_and_looked_for_only_where_somebody_opts_out()
 {
    let stage = Stage::new().await;
    let (shop, late) = ("acme-shop", "acme-late");
    for namespace in [shop, late] {
        stage.enrol(namespace, "acme").await;
    }
    let mut registering = baseline("default", "P90D");
    registering["spec"]["telemetry"] = json!({ "agents": [
        { "name": "otel", "channel": "PlatformTelemetry", "respects": "OpenTelemetryOperator",
          "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } },
    ] });
    applied(&stage, &registering).await;
    let served = [definition(&SERVICE_MONITOR), definition(&COLLECTOR)];
    stage.cluster.apply_kinds(&served).await.unwrap();
    let monitors = ["web", "worker", "zoo"];
    for name in monitors {
        let monitor = make(&SERVICE_MONITOR, shop, name, &json!({ "selector": {} }));
        passes(&stage, monitor).await;
    }
    for mode in ["deployment", "sidecar"] {
        let collector = make(&COLLECTOR, shop, mode, &json!({ "mode": mode }));
        passes(&stage, collector).await;
    }
    stage.enforced(shop, "True", "ReadBack").await;
    stage.at_rest().await;
    assert!(!looked(&stage).await, "nobody opts out");

    // A kind that may not be read is not taken for one without objects.
    let rules = without_right(&stage).await;
    opt_out(&stage, shop).await;
    let collector = "OpenTelemetryCollector sidecar of before tells it to collect; delete it; ";
    let unseen = "whether objects of before tell it to collect is not known: servicemonitors.monitoring.coreos.com: the operator \
        may not read it; the rule that it lacks: apiGroups [\"monitoring.coreos.com\"], resources [\"servicemonitors\"], verbs [list, watch]";
    is_partly(&stage, shop, &[collector, unseen]).await;
    let restored = json!({ "rules": rules });
    passes(&stage, Call::new("PATCH", ROLE).with(MERGE, restored)).await;
    let all_left = "ServiceMonitor web and 2 more, OpenTelemetryCollector sidecar of before tell it to collect; delete them; ";
    is_partly(&stage, shop, &[all_left]).await;
    assert!(looked(&stage).await);

    // A kind that is served later is looked for at once, and nothing of it is left with its definition.
    stage
        .cluster
        .apply_kinds(&[definition(&POD_MONITOR)])
        .await
        .unwrap();
    let jobs = make(&POD_MONITOR, late, "jobs", &json!({ "selector": {} }));
    passes(&stage, jobs).await;
    opt_out(&stage, late).await;
    let words = ["PodMonitor jobs of before tells it to collect; delete it; "];
    is_partly(&stage, late, &words).await;
    let definition =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podmonitors.monitoring.coreos.com";
    passes(&stage, Call::new("DELETE", definition)).await;
    is_clear(&stage, late).await;

    // A collector that is put into no pods any more tells nobody.
    let own = json!({ "spec": { "mode": "daemonset" } });
    let sidecar = one(&COLLECTOR, shop, "sidecar");
    passes(&stage, Call::new("PATCH", sidecar).with(MERGE, own)).await;
    let words = ["ServiceMonitor web and 2 more of before tell it to collect; delete them; "];
    is_partly(&stage, shop, &words).await;
    let again = make(&SERVICE_MONITOR, shop, "again", &json!({ "selector": {} })).dry();
    answers(&stage, &again, Some("[TellsToCollect]")).await;
    for name in monitors {
        let monitor = one(&SERVICE_MONITOR, shop, name);
        passes(&stage, Call::new("DELETE", monitor)).await;
    }
    is_clear(&stage, shop).await;

    let _operator = stage.started_anew().await;

    for namespace in [shop, late] {
        let itself = format!("{OPT_OUTS}/{namespace}/telemetryoptouts/default");
        passes(&stage, Call::new("DELETE", itself)).await;
    }
    answers(&stage, &again, None).await;
}
