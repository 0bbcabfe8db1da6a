//! The one cluster of this file, and short ways to publish and to judge the answer.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{APPLY, Answer, Call, Caller, JSON};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

use crate::definitions::{FOREIGN, Kind, UDP_ROUTE};

pub const PATIENCE: Duration = Duration::from_secs(120);

static STAGE: OnceCell<Stage> = OnceCell::const_new();

pub struct Stage {
    pub cluster: Cluster,
    pub platform: Identity,
    pub gitops: Identity,
    pub operator: Identity,
}

/// The one stage of this file, with the guards in force and every kind served.
pub async fn stage() -> &'static Stage {
    STAGE.get_or_init(build).await
}

async fn build() -> Stage {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let definitions: Vec<Value> = FOREIGN.iter().map(Kind::definition).collect();
    cluster.apply_kinds(&definitions).await.unwrap();
    let groups: Vec<&str> = FOREIGN.iter().map(|kind| kind.group).collect();
    let publish = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "publish", "labels": { "rbac.authorization.k8s.io/aggregate-to-admin": "true" } },
        "rules": [{ "apiGroups": groups, "resources": ["*"], "verbs": ["*"] }],
    });
    cluster.admin().apply_object(&publish).await.unwrap();
    eventually("tenants may publish", PATIENCE, || async {
        let admin = cluster.admin().get(&["clusterrole", "admin"]).await?;
        anyhow::ensure!(admin["rules"].to_string().contains("traefik.io"), "not yet");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    Stage {
        platform: cluster.platform_engineer().await.unwrap(),
        gitops: cluster.gitops().await.unwrap(),
        operator: cluster.operator_identity().await.unwrap(),
        cluster,
    }
}

impl Stage {
    pub fn admin(&self) -> Caller {
        self.cluster.admin().caller().unwrap()
    }

    /// The tenant's admin, a cluster-admin bound here, the GitOps controller, system:masters.
    pub async fn everybody(&self, namespace: &str) -> Vec<Caller> {
        let user = format!("{namespace}-tenant");
        let tenant = self.cluster.namespace_role(&user, "admin", namespace);
        let boss = self.cluster.namespace_cluster_admin(namespace);
        vec![
            tenant.await.unwrap().caller().unwrap(),
            boss.await.unwrap().caller().unwrap(),
            self.gitops.caller().unwrap(),
            self.admin(),
        ]
    }

    pub async fn labelled(&self, name: &str, labels: Value) {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        let call = Call::new("POST", "/api/v1/namespaces").with(JSON, body);
        passes(&self.platform.caller().unwrap(), call).await;
    }

    pub async fn label(&self, name: &str, labels: Value) {
        let patch = json!({ "metadata": { "labels": labels } });
        let call = Call::new("PATCH", format!("/api/v1/namespaces/{name}"))
            .with(testbed::raw::MERGE, patch);
        passes(&self.platform.caller().unwrap(), call).await;
    }

    /// A namespace enrolled for acme in which TLS 1.3 is asked for, as far as this API server knows.
    pub async fn asking(&self, name: &str) {
        self.labelled(name, json!({ "privacy.cloudnexus.io/tenant": "acme" }))
            .await;
        self.parameters(name, json!({ "retention": [], "minimumTLS": "1.3" }))
            .await;
        self.until_refused(name).await;
    }

    /// What guards read, written as the operator writes it.
    pub async fn parameters(&self, namespace: &str, spec: Value) {
        let body = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": namespace }, "spec": spec,
        });
        let path = format!(
            "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{namespace}/guardparameters/current?fieldManager=covenant-parameters&force=true"
        );
        let call = Call::new("PATCH", path).with(APPLY, body);
        passes(&self.operator.caller().unwrap(), call).await;
    }

    /// Waits until datagrams are refused here for what they are.
    pub async fn until_refused(&self, namespace: &str) {
        self.until(namespace, "datagrams are refused", |answer| {
            answer.code == 403 && answer.message().contains("[PlainRoute]")
        })
        .await;
    }

    /// Waits until datagrams are let through here.
    pub async fn until_let_through(&self, namespace: &str) {
        self.until(namespace, "datagrams are let through", Answer::is_success)
            .await;
    }

    async fn until(&self, namespace: &str, what: &str, holds: impl Fn(&Answer) -> bool) {
        let admin = self.admin();
        let canary = publish(&UDP_ROUTE, namespace, "canary", &json!({})).dry();
        eventually(what, PATIENCE, || async {
            let answer = admin.send(&canary).await?;
            anyhow::ensure!(holds(&answer), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// A creation in the stored version.
pub fn publish(kind: &Kind, namespace: &str, name: &str, spec: &Value) -> Call {
    let version = kind.versions[0];
    let object = kind.object(version, namespace, name, spec);
    Call::new("POST", kind.all(version, namespace)).with(JSON, object)
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

/// It was refused by a guard in all of these words.
pub async fn refused(who: &Caller, call: Call, words: &[&str]) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.code == 403
            && answer
                .message()
                .contains("ValidatingAdmissionPolicy 'covenant-transit-")
            && words.iter().all(|word| answer.message().contains(word)),
        "{} with {words:?}",
        who.told(&call, &answer)
    );
}
