//! The one cluster of most stories: the operator behind a proxy, baselines with different bounds, and short ways to make and
//! to judge. Each story has namespaces of its own, and puts faults only in the way of requests about them.

use std::ops::Deref;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::audit::{AuditEvent, Marker};
use testbed::operator::Operator;
use testbed::proxy::{Proxy, Seen};
use testbed::raw::{Answer, Call, JSON, MERGE};
use testbed::{ClusterOptions, Identity, eventually};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::case::{applied, entries, may_dispose};
use crate::stage::{PATIENCE, Stage, Tenant, baseline, namespace};

/// Outlives the tests, each of which has a runtime of its own.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The stage, and what is in the operator's way.
pub struct Scene {
    stage: Stage,
    pub proxy: Proxy,
    _operator: Operator,
}

impl Deref for Scene {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

/// The scene of most stories.
pub async fn scene() -> &'static Scene {
    static SCENE: OnceCell<Scene> = OnceCell::const_new();
    let build = async || RUNTIME.spawn(build()).await.unwrap();
    SCENE.get_or_init(build).await
}

async fn build() -> Scene {
    let stage = Stage::with(ClusterOptions::default()).await;
    may_dispose(&stage).await;
    let hour = json!([{ "select": { "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": "audit-" },
        "atLeast": "PT25S", "basis": "Documentation of an audit is kept" }]);
    for (name, retention) in [
        ("default", json!({ "maximumPerRun": 50, "grace": "PT0S" })),
        (
            "wide",
            json!({ "maximumPerRun": 2_000, "maximumPerDay": 100_000, "grace": "PT0S" }),
        ),
        (
            "narrow",
            json!({ "maximumPerRun": 3, "maximumPerDay": 1_000, "grace": "PT0S" }),
        ),
        ("slow", json!({ "maximumPerRun": 50, "grace": "PT6S" })),
        (
            "audited",
            json!({ "maximumPerRun": 50, "grace": "PT0S", "keep": hour }),
        ),
    ] {
        let mut bounds = baseline(name, "P90D");
        bounds["spec"]["retention"] = retention;
        applied(&stage.engineer, &bounds).await;
    }
    let (proxy, operator) = stage.behind_proxy().await;
    Scene {
        stage,
        proxy,
        _operator: operator,
    }
}

impl Stage {
    /// Enrols a namespace on a baseline.
    pub async fn tenant_on(&self, name: &str, baseline: &str) -> Tenant<'_> {
        let labels = json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/baseline": baseline });
        applied(&self.engineer, &namespace(name, &labels)).await;
        let admin = self.cluster.tenant_admin(name).await.unwrap();
        Tenant {
            stage: self,
            name: name.to_owned(),
            admin,
        }
    }

    /// What was deleted in a namespace since then, of a resource, as the API server wrote it down.
    pub async fn deletions(
        &self,
        namespace: &str,
        resource: &str,
        since: Marker,
    ) -> Vec<AuditEvent> {
        let events = self.cluster.audit().unwrap().since(since).await.unwrap();
        let deletes = |event: &AuditEvent| {
            event.verb.starts_with("delete")
                && event.namespace() == namespace
                && event.resource() == resource
                && event.code() < 300
                && !event.is_dry_run()
        };
        events.into_iter().filter(deletes).collect()
    }

    /// Every entry about a namespace with this kind of act.
    pub fn recorded(&self, namespace: &str, kind: &str) -> Vec<Value> {
        let kind = format!("io.cloudnexus.privacy.{kind}.v1");
        let within = format!("/{namespace}/");
        let is = |entry: &Value| {
            entry["type"] == kind.as_str() && entry["subject"].as_str().unwrap().contains(&within)
        };
        let all = entries(self.operator.ledger());
        all.into_iter().filter(is).collect()
    }

    /// When an object was stored.
    pub async fn created(&self, arguments: &[&str]) -> Timestamp {
        let object = self.get(arguments).await;
        instant(&object["metadata"]["creationTimestamp"])
    }

    /// Uid of a ConfigMap.
    pub async fn uid(&self, namespace: &str, name: &str) -> String {
        let object = self.get(&["cm", name, "-n", namespace]).await;
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// Waits until an object is gone.
    pub async fn gone(&self, arguments: &[&str]) {
        eventually("it is gone", PATIENCE, || async {
            let found = self.cluster.admin().get(arguments).await;
            match found {
                Err(error) if format!("{error:#}").contains("NotFound") => anyhow::Ok(()),
                other => anyhow::bail!("{other:?}"),
            }
        })
        .await
        .unwrap();
    }
}

/// Asks once, without kubectl.
pub async fn asks(who: &Identity, call: Call) -> Answer {
    who.caller().unwrap().send(&call).await.unwrap()
}

/// Asks once, and is let do it.
pub async fn does(who: &Identity, call: Call) -> Value {
    let answer = asks(who, call.clone()).await;
    assert!(answer.is_success(), "{} {call:?} {answer:?}", who.name());
    answer.body
}

/// Asks once, and is refused in these words.
pub async fn refused(who: &Identity, call: Call, words: &str) {
    let answer = asks(who, call.clone()).await;
    assert!(
        answer.code == 403 && answer.message().contains(words),
        "{} {call:?} {answer:?}",
        who.name()
    );
}

fn config_map(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

/// The deletion of a ConfigMap.
pub fn deletes(namespace: &str, name: &str) -> Call {
    Call::new("DELETE", config_map(namespace, name))
}

/// A change of a ConfigMap.
pub fn patches(namespace: &str, name: &str, patch: Value) -> Call {
    Call::new("PATCH", config_map(namespace, name)).with(MERGE, patch)
}

/// The creation of a ConfigMap.
pub fn creates(namespace: &str, object: Value) -> Call {
    Call::new("POST", format!("/api/v1/namespaces/{namespace}/configmaps")).with(JSON, object)
}

/// A change of a policy.
pub fn edits(namespace: &str, policy: &str, patch: Value) -> Call {
    let path = format!(
        "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{namespace}/retentionpolicies/{policy}"
    );
    Call::new("PATCH", path).with(MERGE, patch)
}

/// A decision about a policy.
pub fn decides(namespace: &str, policy: &str, decisions: &[Value]) -> Call {
    let mut call = edits(
        namespace,
        policy,
        json!({ "status": { "decisions": decisions } }),
    );
    call.path.push_str("/status");
    call
}

/// Whether the operator deletes a ConfigMap of this namespace by this request.
pub fn disposes(namespace: &str) -> impl Fn(&Seen) -> bool + Clone + Send + Sync + 'static {
    let folder = format!("/api/v1/namespaces/{namespace}/configmaps/");
    move |seen: &Seen| seen.method == "DELETE" && seen.path.starts_with(&folder)
}

/// An instant of an object's.
pub fn instant(text: &Value) -> Timestamp {
    text.as_str().unwrap().parse().unwrap()
}

/// What became of an intent, by the words of its last outcome.
pub fn result(receipts: &[Value]) -> &str {
    let last = receipts.iter().rfind(|entry| entry["phase"] == "outcome");
    last.unwrap()["data"]["detail"]["result"].as_str().unwrap()
}

/// When the ledger said that an object goes.
pub fn intended(receipts: &[Value]) -> Timestamp {
    let intent = receipts.iter().find(|entry| entry["phase"] == "intent");
    instant(&intent.unwrap()["time"])
}
