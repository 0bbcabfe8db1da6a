//! What the stored policies mean, judged by cyclonus and not by us: over a matrix of pods, namespaces, outside addresses and
//! ports, before, during and after, exactly the granted cells differ.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "stories/stage.rs"]
#[allow(dead_code, reason = "shared with the stories, which use more of it")]
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stage::{Stage, in_days};
use testbed::eventually;
use testbed::judge::{End, Judge, Traffic};

/// Cells by name, such as `acme-prod/agent → vendor:443/TCP`, with whether they are allowed.
type Matrix = BTreeMap<String, bool>;

fn ends() -> Vec<(&'static str, End)> {
    let acme = &[("privacy.cloudnexus.io/tenant", "acme")];
    let observing = &[
        ("privacy.cloudnexus.io/tenant", "acme"),
        ("privacy.cloudnexus.io/stage", "observe"),
    ];
    let globex = &[("privacy.cloudnexus.io/tenant", "globex")];
    vec![
        (
            "prod/agent",
            End::pod("10.8.0.2", "acme-prod", acme, &[("app", "metrics-agent")]),
        ),
        (
            "prod/web",
            End::pod(
                "10.8.0.3",
                "acme-prod",
                acme,
                &[
                    ("app", "web"),
                    ("allow.privacy.cloudnexus.io/ingress", "true"),
                ],
            ),
        ),
        (
            "lake/collector",
            End::pod("10.8.1.2", "acme-lake", acme, &[("app", "collector")]),
        ),
        (
            "lake/other",
            End::pod("10.8.1.3", "acme-lake", acme, &[("app", "other")]),
        ),
        (
            "observing/pod",
            End::pod("10.8.2.2", "acme-observing", observing, &[("app", "web")]),
        ),
        (
            "globex/agent",
            End::pod(
                "10.8.3.2",
                "globex-prod",
                globex,
                &[("app", "metrics-agent")],
            ),
        ),
        (
            "free/pod",
            End::pod("10.8.4.2", "free", &[], &[("app", "web")]),
        ),
        (
            "gateway/pod",
            End::pod("10.8.5.2", "gateway", &[], &[("app", "gateway")]),
        ),
        (
            "kube-system/dns",
            End::pod("10.8.6.2", "kube-system", &[], &[("k8s-app", "kube-dns")]),
        ),
        ("vendor", End::outside("203.0.113.7")),
        ("beside-vendor", End::outside("203.0.114.7")),
        ("metadata", End::outside("169.254.169.254")),
        ("elsewhere", End::outside("198.51.100.9")),
    ]
}

fn questions() -> Vec<(String, Traffic)> {
    let mut questions = Vec::new();
    for (from_name, from) in ends() {
        for (to_name, to) in ends() {
            if from_name == to_name || (from.pod.is_none() && to.pod.is_none()) {
                continue;
            }
            for port in [53, 80, 443, 9090] {
                let mut tcp = Traffic::tcp(from.clone(), to.clone(), port);
                if port == 9090 {
                    tcp.port_name = "metrics".to_owned();
                }
                questions.push((format!("{from_name} → {to_name}:{port}/TCP"), tcp));
            }
            questions.push((
                format!("{from_name} → {to_name}:53/UDP"),
                Traffic::udp(from.clone(), to, 53),
            ));
        }
    }
    questions
}

async fn matrix(stage: &Stage) -> Matrix {
    let policies = stage.get(&["netpol", "-A"]).await["items"]
        .as_array()
        .unwrap()
        .clone();
    let (names, traffic): (Vec<String>, Vec<Traffic>) = questions().into_iter().unzip();
    let verdicts = Judge.evaluate(&policies, &traffic).await.unwrap();
    names.into_iter().zip(verdicts).collect()
}

fn differing(before: &Matrix, after: &Matrix) -> BTreeSet<String> {
    before
        .iter()
        .filter(|(cell, allowed)| after[*cell] != **allowed)
        .map(|(cell, _)| cell.clone())
        .collect()
}

fn cells(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|cell| (*cell).to_owned()).collect()
}

async fn put(stage: &Stage, object: &Value) {
    stage
        .engineer
        .apply(&object.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
}

/// Applies a grant, waits until it is open, and returns the cells that differ.
async fn granted(stage: &Stage, before: &Matrix, grant: &Value) -> BTreeSet<String> {
    let name = grant["metadata"]["name"].as_str().unwrap();
    stage
        .cluster
        .admin()
        .apply(&grant.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    wait(stage, name, "True").await;
    let during = matrix(stage).await;
    let mut revoked = grant.clone();
    revoked["spec"]["revoked"] = json!({ "reason": "done" });
    stage
        .cluster
        .admin()
        .apply(&revoked.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    wait(stage, name, "False").await;
    assert_eq!(
        differing(before, &matrix(stage).await),
        cells(&[]),
        "after {name} everything is as before"
    );
    let differ = differing(before, &during);
    println!(
        "{name}: {} of {} cells differ: {differ:?}",
        differ.len(),
        before.len()
    );
    differ
}

async fn wait(stage: &Stage, name: &str, open: &str) {
    eventually("the grant is as told", stage::PATIENCE, || async {
        let grant = stage
            .cluster
            .admin()
            .get(&["dsg", name, "-n", "acme-prod"])
            .await?;
        let fresh = grant["status"]["observedGeneration"] == grant["metadata"]["generation"];
        anyhow::ensure!(
            fresh && stage::condition(&grant, "Open").0 == open,
            "{}",
            grant["status"]
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

async fn enforced(stage: &Stage, name: &str) {
    eventually("the namespace is enforced", stage::PATIENCE, || async {
        let posture = stage
            .cluster
            .admin()
            .get(&["posture", "current", "-n", name])
            .await?;
        anyhow::ensure!(
            stage::condition(&posture, "Enforced").0 == "True",
            "{}",
            posture["status"]
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_granted_cells_differ_by_the_judgement_of_another_program() {
    let stage = Stage::new().await;
    let mut baseline = stage::baseline("default", "P90D");
    baseline["spec"]["network"]["dns"]["peers"][0]["podSelector"] =
        json!({ "matchLabels": { "k8s-app": "kube-dns" } });
    baseline["spec"]["network"]["allow"] = json!([{
        "name": "ingress", "direction": "Ingress", "reason": "public entry", "ports": [{ "port": 80 }],
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "gateway" } }
    }]);
    put(&stage, &baseline).await;
    put(&stage, &stage::vendor("datadog")).await;
    for (name, labels) in [
        (
            "acme-prod",
            json!({ "privacy.cloudnexus.io/tenant": "acme" }),
        ),
        (
            "acme-lake",
            json!({ "privacy.cloudnexus.io/tenant": "acme" }),
        ),
        (
            "acme-observing",
            json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" }),
        ),
        (
            "globex-prod",
            json!({ "privacy.cloudnexus.io/tenant": "globex" }),
        ),
        ("free", json!({})),
        ("gateway", json!({})),
    ] {
        put(&stage, &stage::namespace(name, &labels)).await;
    }
    for name in ["acme-prod", "acme-lake", "globex-prod"] {
        enforced(&stage, name).await;
    }

    // The floor: DNS, the tenant's namespaces in force among themselves, and the gateway to pods that opted in.
    let floor = matrix(&stage).await;
    let allowed: BTreeSet<&str> = floor
        .iter()
        .filter(|(_, allowed)| **allowed)
        .map(|(cell, _)| cell.as_str())
        .collect();
    for cell in [
        "prod/agent → kube-system/dns:53/UDP",
        "prod/agent → kube-system/dns:53/TCP",
        "prod/agent → prod/web:80/TCP",
        "prod/agent → lake/collector:443/TCP",
        "lake/other → prod/web:9090/TCP",
        "gateway/pod → prod/web:80/TCP",
    ] {
        assert!(
            allowed.contains(cell),
            "{cell} should be allowed by the floor"
        );
    }
    for cell in [
        "prod/agent → kube-system/dns:443/TCP",
        "prod/agent → vendor:443/TCP",
        "prod/agent → metadata:80/TCP",
        "prod/agent → globex/agent:443/TCP",
        "globex/agent → prod/agent:443/TCP",
        "prod/agent → observing/pod:80/TCP",
        "observing/pod → prod/web:80/TCP",
        "free/pod → prod/web:80/TCP",
        "gateway/pod → prod/agent:80/TCP",
        "gateway/pod → prod/web:443/TCP",
        "vendor → prod/agent:443/TCP",
    ] {
        assert!(
            !allowed.contains(cell),
            "{cell} should not be allowed by the floor"
        );
    }

    let push = stage::grant("acme-prod", "push", "datadog", &in_days(30));
    assert_eq!(
        granted(&stage, &floor, &push).await,
        cells(&["prod/agent → vendor:443/TCP"])
    );

    let mut pull = stage::grant("acme-prod", "pull", "datadog", &in_days(30));
    pull["spec"]["direction"] = json!("Pull");
    pull["spec"]["ports"] = json!([{ "port": "metrics" }]);
    assert_eq!(
        granted(&stage, &floor, &pull).await,
        cells(&["vendor → prod/agent:9090/TCP"])
    );

    // Among siblings only a grant opens anything once the baseline no longer does.
    baseline["spec"]["network"]["sameTenant"] = json!("SameNamespace");
    put(&stage, &baseline).await;
    eventually("siblings are apart", stage::PATIENCE, || async {
        let apart = matrix(&stage).await;
        anyhow::ensure!(
            !apart["prod/agent → lake/collector:443/TCP"] && apart["prod/agent → prod/web:80/TCP"]
        );
        anyhow::ensure!(!apart["lake/collector → prod/agent:443/TCP"]);
        anyhow::Ok(())
    })
    .await
    .unwrap();
    for name in ["acme-prod", "acme-lake"] {
        enforced(&stage, name).await;
    }
    let apart = matrix(&stage).await;
    let acceptance = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "SharingAcceptance", "metadata": { "name": "a", "namespace": "acme-lake" },
        "spec": { "from": { "namespace": "acme-prod", "grant": "sibling" }, "dataCategories": ["InfrastructureTelemetry"],
            "podSelector": { "matchLabels": { "app": "collector" } }, "ports": [{ "port": 443 }] }
    });
    stage
        .cluster
        .admin()
        .apply(&acceptance.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let mut sibling = stage::grant("acme-prod", "sibling", "nobody", &in_days(30));
    sibling["spec"]["recipient"] = json!({ "namespace": { "name": "acme-lake" } });
    assert_eq!(
        granted(&stage, &apart, &sibling).await,
        cells(&["prod/agent → lake/collector:443/TCP"])
    );
    sibling["metadata"]["name"] = json!("sibling-pull");
    sibling["spec"]["direction"] = json!("Pull");
    sibling["spec"]["ports"] = json!([{ "port": 9090 }]);
    let mut pulled = acceptance;
    pulled["metadata"]["name"] = json!("b");
    pulled["spec"]["from"]["grant"] = json!("sibling-pull");
    stage
        .cluster
        .admin()
        .apply(&pulled.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(
        granted(&stage, &apart, &sibling).await,
        cells(&["lake/collector → prod/agent:9090/TCP"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_through_which_data_could_be_relayed_is_no_peer() {
    let stage = Stage::new().await;
    for name in ["acme-prod", "acme-lake"] {
        put(&stage, &stage::namespace(name, &json!({}))).await;
    }
    let wide = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "wide", "namespace": "acme-lake" },
        "spec": { "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] }
    });
    stage
        .cluster
        .admin()
        .apply(&wide.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    for name in ["acme-prod", "acme-lake"] {
        let label = ["label", "ns", name, "privacy.cloudnexus.io/tenant=acme"];
        stage
            .engineer
            .kubectl(&label)
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    let relay = "prod/agent → lake/collector:443/TCP";
    eventually(
        "the breached sibling is left out",
        stage::PATIENCE,
        || async {
            let posture = stage
                .cluster
                .admin()
                .get(&["posture", "current", "-n", "acme-prod"])
                .await?;
            anyhow::ensure!(
                stage::condition(&posture, "Enforced").0 == "True",
                "{}",
                posture["status"]
            );
            anyhow::ensure!(!matrix(&stage).await[relay], "{relay} is allowed");
            anyhow::Ok(())
        },
    )
    .await
    .unwrap();
    stage
        .cluster
        .admin()
        .kubectl(&["delete", "netpol", "wide", "-n", "acme-lake"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the mended sibling is a peer", stage::PATIENCE, || async {
        anyhow::ensure!(matrix(&stage).await[relay], "{relay} is not allowed");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

/// Waits until the agents of a channel are told to be stopped.
async fn stopped(stage: &Stage, channel: &str) {
    eventually("the channel is stopped", stage::PATIENCE, || async {
        let admin = stage.cluster.admin();
        let opt_out = admin.get(&["optout", "default", "-n", "acme-prod"]).await?;
        let channels = opt_out["status"]["channels"].as_array().cloned();
        let told = channels.unwrap_or_default();
        let told = told.iter().find(|told| told["name"] == channel);
        anyhow::ensure!(
            told.is_some_and(|told| told["state"] == "Stopped"),
            "{}",
            opt_out["status"]
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

/// Waits until what is allowed is as it was.
async fn restored(stage: &Stage, before: &Matrix) {
    eventually("all is as before", stage::PATIENCE, || async {
        let differ = differing(before, &matrix(stage).await);
        anyhow::ensure!(differ.is_empty(), "{differ:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_agents_cells_close_with_an_opt_out_and_open_again_without() {
    let stage = Stage::new().await;
    let mut baseline = stage::baseline("default", "P90D");
    baseline["spec"]["network"]["allow"] = json!([
        { "name": "ingress", "direction": "Ingress", "reason": "public entry", "ports": [{ "port": 80 }],
          "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "gateway" } } },
        { "name": "tools", "direction": "Egress", "reason": "what the platform offers", "ports": [{ "port": 443 }],
          "namespaceSelector": { "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "In", "values": ["gateway", "free"] }] } },
        { "name": "outside", "direction": "Egress", "reason": "the internet", "ports": [{ "port": 443 }], "cidrs": ["203.0.112.0/22"] },
    ]);
    baseline["spec"]["telemetry"] = json!({ "agents": [
        { "name": "gateway", "channel": "PlatformTelemetry", "respects": "PrometheusAnnotations",
          "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "gateway" } }, "podSelector": { "matchLabels": { "app": "gateway" } } },
        { "name": "datadog", "channel": "ThirdPartyAnalytics", "respects": "Datadog", "readsNodes": false, "processorRef": { "name": "datadog" } },
    ] });
    let mut vendor = stage::vendor("datadog");
    vendor["spec"]["endpoints"] = json!([{ "name": "intake", "cidrs": ["203.0.113.0/24"], "ports": [{ "port": 443, "protocol": "TCP" }] }]);
    put(&stage, &baseline).await;
    put(&stage, &vendor).await;
    let acme = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    for name in ["acme-prod", "acme-lake"] {
        put(&stage, &stage::namespace(name, &acme)).await;
    }
    for name in ["free", "gateway"] {
        put(&stage, &stage::namespace(name, &json!({}))).await;
    }
    for name in ["acme-prod", "acme-lake"] {
        enforced(&stage, name).await;
    }
    let before = matrix(&stage).await;
    let opt_out = |namespace: &str, channels: Value| {
        json!({ "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TelemetryOptOut",
            "metadata": { "name": "default", "namespace": namespace }, "spec": { "channels": channels } })
    };
    let admin = stage.cluster.admin();
    let both = json!(["PlatformTelemetry", "ThirdPartyAnalytics"]);
    // The sibling first: while both stop the same, they stay peers.
    for (namespace, channels) in [("acme-lake", both.clone()), ("acme-prod", both)] {
        let object = opt_out(namespace, channels).to_string();
        admin.apply(&object).await.unwrap().success().unwrap();
    }
    for channel in ["PlatformTelemetry", "ThirdPartyAnalytics"] {
        stopped(&stage, channel).await;
    }
    let agents = cells(&[
        "gateway/pod → prod/web:80/TCP",
        "prod/agent → gateway/pod:443/TCP",
        "prod/web → gateway/pod:443/TCP",
        "lake/collector → gateway/pod:443/TCP",
        "lake/other → gateway/pod:443/TCP",
        "prod/agent → vendor:443/TCP",
        "prod/web → vendor:443/TCP",
        "lake/collector → vendor:443/TCP",
        "lake/other → vendor:443/TCP",
    ]);
    eventually("the agents' cells are closed", stage::PATIENCE, || async {
        let differ = differing(&before, &matrix(&stage).await);
        anyhow::ensure!(differ == agents, "{differ:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();

    // A sibling that stops less is no peer of one that stops more, in either direction.
    let less = opt_out("acme-lake", json!(["ThirdPartyAnalytics"])).to_string();
    admin.apply(&less).await.unwrap().success().unwrap();
    eventually("the sibling is apart", stage::PATIENCE, || async {
        let now = matrix(&stage).await;
        anyhow::ensure!(now["lake/other → gateway/pod:443/TCP"]);
        for cell in [
            "prod/agent → lake/other:443/TCP",
            "lake/other → prod/web:443/TCP",
        ] {
            anyhow::ensure!(!now[cell], "{cell}");
        }
        anyhow::ensure!(now["prod/agent → prod/web:443/TCP"]);
        anyhow::Ok(())
    })
    .await
    .unwrap();

    for namespace in ["acme-lake", "acme-prod"] {
        let args = ["delete", "optout", "default", "-n", namespace];
        admin.kubectl(&args).await.unwrap().success().unwrap();
    }
    restored(&stage, &before).await;
}
