//! What the stories about retention share: a stage whose operator may dispose of ConfigMaps, policies, things that are kept,
//! and what the ledger says.

#[path = "../support/ledger.rs"]
mod ledger;

use std::process::Command;

use serde_json::{Value, json};
use testbed::{ClusterOptions, eventually};

use crate::stage::{PATIENCE, Stage, condition};

pub use ledger::entries;

const COVENANT: &str = env!("CARGO_BIN_EXE_covenant");

/// A stage on which things go at once when they are due, and at most so many in a run.
pub async fn stage(maximum_per_run: i64) -> Stage {
    let stage = Stage::with(ClusterOptions::default()).await;
    may_dispose(&stage).await;
    let mut baseline = crate::stage::baseline("default", "P90D");
    baseline["spec"]["retention"] = json!({ "maximumPerRun": maximum_per_run, "grace": "PT0S" });
    applied(&stage.engineer, &baseline).await;
    stage
}

/// Gives the operator the rights that the chart gives for the kinds of these stories.
pub async fn may_dispose(stage: &Stage) {
    let operator = stage.cluster.operator_identity().await.unwrap();
    let rules = json!([
        { "apiGroups": [""], "resources": ["configmaps", "persistentvolumeclaims"], "verbs": ["get", "list", "watch", "delete"] },
        { "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch", "delete"] }
    ]);
    stage
        .cluster
        .give(operator.name(), "retention", &rules)
        .await
        .unwrap();
}

/// Applies an object.
pub async fn applied(who: &testbed::Identity, object: &Value) {
    who.apply(&object.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
}

/// A policy for ConfigMaps with this label.
pub fn policy(namespace: &str, name: &str, app: &str, keep: Value, mode: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "dataCategory": "InfrastructureTelemetry",
            "select": [{ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "app": app } }],
            "keep": keep, "basis": "Contract §7",
            "disposal": { "mode": mode, "propagation": "Background" }
        }
    })
}

/// A ConfigMap with this label.
pub fn thing(namespace: &str, name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": app } },
        "data": { "log": format!("what {name} holds") }
    })
}

impl Stage {
    /// Waits until a policy is as asked for, and returns it.
    pub async fn policy_is(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Value {
        eventually(what, PATIENCE, || async {
            let policy = self.get(&["retpol", name, "-n", namespace]).await;
            anyhow::ensure!(holds(&policy), "{}", policy["status"]);
            anyhow::Ok(policy)
        })
        .await
        .unwrap()
    }

    /// Waits until a condition of a policy is so.
    pub async fn policy_says(
        &self,
        namespace: &str,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Value {
        let wanted = (status.to_owned(), reason.to_owned());
        self.policy_is(
            namespace,
            name,
            &format!("{kind} is {status} {reason}"),
            |policy| condition(policy, kind) == wanted,
        )
        .await
    }

    /// Names of the ConfigMaps with this label that are there.
    pub async fn things(&self, namespace: &str, app: &str) -> Vec<String> {
        let list = self
            .get(&["cm", "-n", namespace, "-l", &format!("app={app}")])
            .await;
        names(&list)
    }

    /// Waits until exactly these ConfigMaps with this label are there.
    pub async fn things_are(&self, namespace: &str, app: &str, expected: &[&str]) {
        eventually("what is left is as told", PATIENCE, || async {
            let left = self.things(namespace, app).await;
            anyhow::ensure!(left == expected, "{left:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Everything that the ledger says about an object, once the outcome of what was begun is there.
    pub async fn receipts(&self, uid: &str) -> Vec<Value> {
        eventually("every intent has its outcome", PATIENCE, || async {
            let entries = entries(self.operator.ledger());
            let about: Vec<Value> = entries
                .into_iter()
                .filter(|entry| entry["subject"].as_str().unwrap().ends_with(uid))
                .collect();
            let phase = |phase: &str| about.iter().filter(|entry| entry["phase"] == phase).count();
            anyhow::ensure!(phase("intent") <= phase("outcome"), "{about:?}");
            anyhow::Ok(about)
        })
        .await
        .unwrap()
    }

    /// The ledger as anybody verifies it.
    pub fn ledger_verifies(&self) {
        let ledger = self.operator.ledger();
        let key = std::fs::read_dir(ledger.join("keys"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .find(|path| path.extension().is_some_and(|end| end == "vkey"))
            .unwrap();
        let said = Command::new(COVENANT)
            .args(["ledger", "verify", "--dir"])
            .arg(ledger)
            .arg("--key")
            .arg(key)
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}

/// Names of the objects of a list.
pub fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}
