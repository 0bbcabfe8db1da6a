//! What the stories about holds share: holds, decisions, and waiting for what a hold's status says.

use serde_json::{Value, json};
use testbed::{Identity, eventually};

use crate::stage::{PATIENCE, Stage, condition};

/// Every effect that keeps what it finds.
pub const ALL: [&str; 5] = [
    "PreventDeletion",
    "PreventAlteration",
    "SuspendProcessing",
    "SuspendSharing",
    "FreezeAccess",
];

/// Every event of a hold that ends what runs, from its proof to its release.
pub const TOLD_OF_AN_ENDING: [&str; 6] = [
    "HoldEnforced",
    "HoldReleased",
    "HoldRestored",
    "LossesPublished",
    "ProcessingEnded",
    "ProcessingSuspended",
];

pub fn hold(namespace: &str, name: &str, effects: &[&str]) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "matter": "CASE-2026-042", "ground": "LegalProceeding",
            "reason": "Preservation letter of 2026-11-20", "effects": effects
        }
    })
}

impl Stage {
    /// The officer holds.
    pub async fn holds(&self, hold: &Value) {
        self.officer
            .apply(&hold.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// The officer decides.
    pub async fn decides(&self, namespace: &str, name: &str, decisions: &Value) {
        let patch = json!({ "status": { "decisions": decisions } }).to_string();
        let arguments = [
            "patch",
            "phold",
            name,
            "-n",
            namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        self.officer
            .kubectl(&arguments)
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// The officer releases.
    pub async fn releases(&self, namespace: &str, name: &str) {
        let by = self.officer.name();
        self.decides(
            namespace,
            name,
            &json!([{ "type": "Released", "by": by, "reason": "settled" }]),
        )
        .await;
    }

    /// Waits until a condition of a hold is so, and returns the hold.
    pub async fn hold_is(
        &self,
        namespace: &str,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Value {
        eventually(
            &format!("{kind} of hold {namespace}/{name} is {status} ({reason})"),
            PATIENCE,
            || async {
                let hold = self
                    .cluster
                    .admin()
                    .get(&["phold", name, "-n", namespace])
                    .await?;
                let is = condition(&hold, kind);
                anyhow::ensure!(
                    is == (status.to_owned(), reason.to_owned()),
                    "{}",
                    hold["status"]
                );
                Ok(hold)
            },
        )
        .await
        .unwrap()
    }

    /// What is the tenant's of its workloads: everything but the server's own bookkeeping.
    pub async fn workloads_as_written(&self, namespace: &str) -> Vec<Value> {
        let kinds = "deployments,statefulsets,daemonsets,cronjobs,jobs";
        let list = self.get(&[kinds, "-n", namespace]).await;
        let mut objects = list["items"].as_array().cloned().unwrap();
        for object in &mut objects {
            let object = object.as_object_mut().unwrap();
            object.remove("status");
            for field in ["resourceVersion", "managedFields"] {
                object["metadata"].as_object_mut().unwrap().remove(field);
            }
        }
        objects
    }

    /// Waits until every API server is proven to refuse in a hold's name.
    pub async fn proven(&self, namespace: &str, name: &str) -> Value {
        self.hold_is(namespace, name, "Enforced", "True", "ProvenOnAllServers")
            .await
    }
}

/// Makes objects as somebody.
pub async fn made(by: &Identity, object: &Value) {
    by.apply(&object.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
}
