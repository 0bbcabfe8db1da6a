//! The one cluster of this file, and short ways to opt out in the operator's name and to try things.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{APPLY, Answer, Call, Caller, JSON, MERGE};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

use crate::definitions;
pub use crate::support::pod;

pub const PATIENCE: Duration = Duration::from_secs(120);

static STAGE: OnceCell<Stage> = OnceCell::const_new();

pub struct Stage {
    pub cluster: Cluster,
    pub platform: Identity,
    pub operator: Identity,
}

/// The one stage of this file, with the guards in force and every kind served.
pub async fn stage() -> &'static Stage {
    STAGE.get_or_init(build).await
}

async fn build() -> Stage {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let definitions: Vec<Value> = definitions::KINDS
        .iter()
        .map(definitions::definition)
        .collect();
    cluster.apply_kinds(&definitions).await.unwrap();
    let stage = Stage {
        platform: cluster.platform_engineer().await.unwrap(),
        operator: cluster.operator_identity().await.unwrap(),
        cluster,
    };
    // Until a kind that was just made is known as a parameter, everything that asks for one is refused.
    stage.enrolled("warm").await;
    stage.opt_out("warm").await;
    stage
}

/// What guards read of a namespace that opts out of everything: of an agent that collects from pods that say nothing, of one
/// that collects from what says so, and of two that are told by objects.
pub fn everything() -> Value {
    json!({ "retention": [], "telemetry": {
        "channels": ["PlatformTelemetry", "ThirdPartyAnalytics"],
        "refuses": [
            "instrumentations.opentelemetry.io", "opentelemetrycollectors.opentelemetry.io", "podmonitors.monitoring.coreos.com",
            "probes.monitoring.coreos.com", "scrapeconfigs.monitoring.coreos.com", "servicemonitors.monitoring.coreos.com",
            "podlogs.monitoring.grafana.com",
        ],
        "pods": { "annotations": { "ad.datadoghq.com/exclude": "true" }, "labels": { "admission.datadoghq.com/enabled": "false" } },
        "namespaces": { "annotations": { "monitoring.example.com/skip": "yes" }, "labels": { "monitoring": "off" } },
        "wherePresent": { "annotations": { "prometheus.io/scrape": "false", "sidecar.opentelemetry.io/inject": "false" } },
    } })
}

/// The metadata of a pod that agents leave out.
pub fn left_out() -> Value {
    json!({ "annotations": { "ad.datadoghq.com/exclude": "true" }, "labels": { "admission.datadoghq.com/enabled": "false" } })
}

impl Stage {
    pub fn admin(&self) -> Caller {
        self.cluster.admin().caller().unwrap()
    }

    /// The tenant's admin and system:masters: nobody is exempt.
    pub async fn everybody(&self, namespace: &str) -> Vec<Caller> {
        let user = format!("{namespace}-tenant");
        let tenant = self.cluster.namespace_role(&user, "admin", namespace);
        vec![tenant.await.unwrap().caller().unwrap(), self.admin()]
    }

    pub async fn enrolled(&self, name: &str) {
        self.made(
            name,
            json!({ "privacy.cloudnexus.io/tenant": "acme" }),
            json!({}),
        )
        .await;
    }

    pub async fn made(&self, name: &str, labels: Value, annotations: Value) {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels, "annotations": annotations } });
        let platform = self.platform.caller().unwrap();
        passes(
            &platform,
            Call::new("POST", "/api/v1/namespaces").with(JSON, body),
        )
        .await;
        let admin = self.admin();
        let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        let account = Call::new("GET", path);
        eventually("the default ServiceAccount is there", PATIENCE, || async {
            let answer = admin.send(&account).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Opts a namespace out of everything in the operator's name, and waits until this API server knows.
    pub async fn opt_out(&self, namespace: &str) {
        self.told(namespace, everything()).await;
        let canary = pod(namespace, "canary", &json!({})).dry();
        self.until(&canary, "[MarkerMissing]").await;
    }

    /// Writes what guards read of a namespace in the operator's name.
    pub async fn told(&self, namespace: &str, spec: Value) {
        let body = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": namespace }, "spec": spec,
        });
        let path = format!(
            "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{namespace}/guardparameters/current?fieldManager=covenant-parameters&force=true"
        );
        let operator = self.operator.caller().unwrap();
        passes(&operator, Call::new("PATCH", path).with(APPLY, body)).await;
    }

    /// Waits until the administrator's request is refused in these words.
    pub async fn until(&self, call: &Call, words: &str) {
        let admin = self.admin();
        eventually(words, PATIENCE, || async {
            let answer = admin.send(call).await?;
            anyhow::ensure!(
                matches!(answer.code, 403 | 422) && answer.message().contains(words),
                "{answer:?}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// A change of annotations and labels.
pub fn marking(path: impl Into<String>, metadata: &Value) -> Call {
    Call::new("PATCH", path).with(MERGE, json!({ "metadata": metadata }))
}

/// It was let through.
pub async fn passes(who: &Caller, call: Call) -> Answer {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.is_success(),
        "{} was not let through",
        who.told(&call, &answer)
    );
    answer
}

/// It was refused by a guard of this file's in all of these words.
pub async fn refused(who: &Caller, call: Call, words: &[&str]) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.code == 403
            && answer
                .message()
                .contains("ValidatingAdmissionPolicy 'covenant-telemetry-")
            && words.iter().all(|word| answer.message().contains(word)),
        "{} with {words:?}",
        who.told(&call, &answer)
    );
}
