//! The one cluster of this file, and short ways to write parameters and to try things.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::raw::{APPLY, Answer, Call, Caller, JSON, MERGE};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

pub const PATIENCE: Duration = Duration::from_secs(120);
/// After every claim of these tests.
pub const FAR_AHEAD: &str = "2199-01-01T00:00:00Z";
/// Before every claim of these tests.
pub const LONG_AGO: &str = "2020-01-01T00:00:00Z";
const OURS: &str = "/apis/privacy.cloudnexus.io/v1alpha1";

static STAGE: OnceCell<Stage> = OnceCell::const_new();

pub struct Stage {
    pub cluster: Cluster,
    pub platform: Identity,
    pub operator: Identity,
}

/// The one stage of this file, with the guards in force.
pub async fn stage() -> &'static Stage {
    STAGE.get_or_init(build).await
}

async fn build() -> Stage {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    cluster.install_chart().await.unwrap();
    let stage = Stage {
        platform: cluster.platform_engineer().await.unwrap(),
        operator: cluster.operator_identity().await.unwrap(),
        cluster,
    };
    let platform = stage.platform.caller().unwrap();
    let makes = json!([{ "apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["create"] }]);
    let given = stage.cluster.give(platform.name(), "storage", &makes);
    given.await.unwrap();
    // Until a kind that was just made is known as a parameter, everything that asks for one is refused.
    stage.enrolled("warm").await;
    stage.allows("warm", json!([])).await;
    stage
}

impl Stage {
    pub fn admin(&self) -> Caller {
        self.cluster.admin().caller().unwrap()
    }

    /// The built-in `admin` in this namespace, for a user of its own.
    pub async fn tenant(&self, namespace: &str) -> Caller {
        let user = format!("{namespace}-tenant");
        let tenant = self.cluster.namespace_role(&user, "admin", namespace);
        tenant.await.unwrap().caller().unwrap()
    }

    pub async fn enrolled(&self, name: &str) {
        self.labelled(name, json!({ "privacy.cloudnexus.io/tenant": "acme" }))
            .await;
    }

    pub async fn labelled(&self, name: &str, labels: Value) {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
        let platform = self.platform.caller().unwrap();
        passes(
            &platform,
            Call::new("POST", "/api/v1/namespaces").with(JSON, body),
        )
        .await;
        let admin = self.admin();
        let account = Call::new(
            "GET",
            format!("/api/v1/namespaces/{name}/serviceaccounts/default"),
        );
        eventually("the default ServiceAccount is there", PATIENCE, || async {
            let answer = admin.send(&account).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Writes which classes claims may name in the operator's name, and waits until this API server knows them.
    pub async fn allows(&self, namespace: &str, classes: Value) {
        self.told(
            namespace,
            json!({ "retention": [], "storageClasses": classes }),
        )
        .await;
        let names: Vec<&str> = classes
            .as_array()
            .unwrap()
            .iter()
            .map(|class| class["name"].as_str().unwrap())
            .collect();
        let sign = if names.is_empty() {
            "None may be named here now".to_owned()
        } else {
            format!("Name one of: {}.", names.join(", "))
        };
        let canary = create(claim(namespace, "canary", Some("nobody-has-this")));
        self.until(&canary.dry(), &sign).await;
    }

    /// Writes what guards read of a namespace in the operator's name.
    pub async fn told(&self, namespace: &str, spec: Value) {
        let body = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": namespace }, "spec": spec,
        });
        let path = format!(
            "{OURS}/namespaces/{namespace}/guardparameters/current?fieldManager=covenant-parameters&force=true"
        );
        let operator = self.operator.caller().unwrap();
        passes(&operator, Call::new("PATCH", path).with(APPLY, body)).await;
    }

    /// A baseline that lists these classes, which this API server knows.
    pub async fn baseline(&self, name: &str, classes: Value) {
        let body = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline", "metadata": { "name": name },
            "spec": { "network": { "sameTenant": "Allow" }, "grants": { "maximumDuration": "P90D" },
                      "encryption": { "atRest": { "storageClasses": classes } } },
        });
        let platform = self.platform.caller().unwrap();
        passes(
            &platform,
            Call::new("POST", format!("{OURS}/tenantbaselines")).with(JSON, body),
        )
        .await;
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

    /// Waits until the administrator's request, a dry run, is let through.
    pub async fn until_let_through(&self, call: &Call) {
        let admin = self.admin();
        eventually("it is let through", PATIENCE, || async {
            let answer = admin.send(call).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

/// A claim that names this class, or none.
pub fn claim(namespace: &str, name: &str, class: Option<&str>) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name, "namespace": namespace },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    if let Some(class) = class {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

/// A request that stores a claim.
pub fn create(claim: Value) -> Call {
    let namespace = claim["metadata"]["namespace"].as_str().unwrap().to_owned();
    Call::new(
        "POST",
        format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"),
    )
    .with(JSON, claim)
}

/// A request that merges this into a claim.
pub fn change(namespace: &str, name: &str, change: Value) -> Call {
    Call::new(
        "PATCH",
        format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"),
    )
    .with(MERGE, change)
}

/// It was let through.
#[track_caller]
pub fn passed(who: &Caller, call: &Call, answer: Answer) -> Value {
    assert!(
        answer.is_success(),
        "{} was not let through",
        who.told(call, &answer)
    );
    answer.body
}

pub async fn passes(who: &Caller, call: Call) -> Value {
    let answer = who.send(&call).await.unwrap();
    passed(who, &call, answer)
}

/// It was refused, in all of these words.
pub async fn refused(who: &Caller, call: Call, words: &[&str]) {
    let answer = who.send(&call).await.unwrap();
    assert!(
        answer.code == 403 && words.iter().all(|word| answer.message().contains(word)),
        "{} with {words:?}",
        who.told(&call, &answer)
    );
}
