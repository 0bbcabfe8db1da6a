//! The one cluster of this file: the chart with everything that the API server serves, the operator, and a baseline that registers
//! both agents.

use serde_json::{Value, json};
use testbed::operator::Operator;
use testbed::raw::{Answer, Call, Caller, JSON};
use testbed::tools::Kubernetes;
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

use crate::stories::{COVENANT, PATIENCE, baseline, namespace};
pub use crate::support::pod;

static STAGE: OnceCell<Stage> = OnceCell::const_new();

pub struct Stage {
    pub cluster: Cluster,
    engineer: Identity,
    _operator: Operator,
}

pub async fn stage() -> &'static Stage {
    STAGE.get_or_init(build).await
}

/// Whether new pods are given what they must carry.
pub fn stamps() -> bool {
    Kubernetes::from_environment().unwrap() >= Kubernetes::V1_36
}

async fn build() -> Stage {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let served = [
        "--api-versions",
        "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
    ];
    let served = if stamps() { &served[..] } else { &[] };
    cluster.install_chart_with(served).await.unwrap();
    let engineer = cluster.platform_engineer().await.unwrap();
    let mut registering = baseline("default", "P90D");
    let monitoring = json!({ "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } });
    registering["spec"]["telemetry"] = json!({ "agents": [
        { "name": "prometheus", "channel": "PlatformTelemetry", "respects": "PrometheusAnnotations",
          "namespaceSelector": monitoring },
        { "name": "collector", "channel": "ThirdPartyAnalytics", "respects": "FluentBit",
          "namespaceSelector": monitoring },
    ] });
    let answer = engineer.apply(&registering.to_string()).await.unwrap();
    answer.success().unwrap();
    let operator = cluster.start_operator(COVENANT).await.unwrap();
    operator.wait_ready().await.unwrap();
    Stage {
        cluster,
        engineer,
        _operator: operator,
    }
}

impl Stage {
    pub fn admin(&self) -> Caller {
        self.cluster.admin().caller().unwrap()
    }

    /// Enrols a namespace for a tenant, and waits until pods can be made in it.
    pub async fn enrolled(&self, name: &str, tenant: &str) {
        let labels = json!({ "privacy.cloudnexus.io/tenant": tenant });
        let enrolled = namespace(name, &labels).to_string();
        let answer = self.engineer.apply(&enrolled).await.unwrap();
        answer.success().unwrap();
        self.answers(&pod(name, "canary", &json!({})).dry(), |answer| {
            answer.is_success()
        })
        .await;
    }

    /// Someone who may read pods everywhere, as agents may.
    pub async fn reader(&self, user: &str) -> Identity {
        let rules = json!([
            { "apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["get", "list", "watch"] },
        ]);
        self.cluster.give(user, user, &rules).await.unwrap();
        self.cluster.identity(user).await.unwrap()
    }

    /// Opts the namespace out of a channel.
    pub async fn opted_out(&self, namespace: &str, channel: &str) {
        let opt_out = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TelemetryOptOut",
            "metadata": { "name": "default", "namespace": namespace }, "spec": { "channels": [channel] },
        });
        let admin = self.cluster.admin();
        admin.apply_object(&opt_out).await.unwrap();
    }

    /// Deletes the opt-out.
    pub async fn opted_in(&self, namespace: &str) {
        let itself = format!(
            "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{namespace}/telemetryoptouts/default"
        );
        passes(&self.admin(), Call::new("DELETE", itself)).await;
    }

    /// Waits until the administrator is answered so.
    pub async fn answers(&self, call: &Call, is_so: impl Fn(&Answer) -> bool) {
        let admin = self.admin();
        eventually("the answer is as told", PATIENCE, || async {
            let answer = admin.send(call).await?;
            anyhow::ensure!(is_so(&answer), "{}", admin.told(call, &answer));
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// A pod's deletion, at once.
pub fn gone(namespace: &str, name: &str) -> Call {
    let now = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 });
    Call::new(
        "DELETE",
        format!("/api/v1/namespaces/{namespace}/pods/{name}"),
    )
    .with(JSON, now)
}

/// It was let through.
pub async fn passes(who: &Caller, call: Call) -> Value {
    let answer = who.send(&call).await.unwrap();
    assert!(answer.is_success(), "{}", who.told(&call, &answer));
    answer.body
}

/// It was refused in these words.
pub fn is_refused(answer: &Answer, words: &str) -> bool {
    answer.code == 403 && answer.message().contains(words)
}
