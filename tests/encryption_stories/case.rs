//! A namespace on a baseline of its own, and short ways to change one and to look at the other.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};
use testbed::{Identity, eventually};

use crate::stage::{PATIENCE, Stage, baseline, namespace};

/// A namespace that stands on a baseline of the same name.
pub struct Case<'a> {
    pub stage: &'a Stage,
    pub name: String,
    pub tenant: Identity,
}

impl<'a> Case<'a> {
    /// Enrols a namespace on a baseline that says this of encryption.
    pub async fn new(stage: &'a Stage, name: &str, encryption: Value) -> Self {
        says(stage, name, encryption).await;
        enrol(stage, name).await;
        Self {
            stage,
            name: name.to_owned(),
            tenant: stage.cluster.tenant_admin(name).await.unwrap(),
        }
    }

    /// The baseline says this of encryption.
    pub async fn says(&self, encryption: Value) {
        says(self.stage, &self.name, encryption).await;
    }

    /// Enrols the namespace, which is there.
    pub async fn enrol(&self) {
        enrol(self.stage, &self.name).await;
    }

    /// Makes a StorageClass.
    pub async fn class(&self, name: &str, provisioner: &str, parameters: Value) {
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": name },
            "provisioner": provisioner, "parameters": parameters,
        });
        let admin = self.stage.cluster.admin();
        admin.apply_object(&class).await.unwrap();
    }

    /// A request that makes a claim of this class.
    pub fn claim(&self, name: &str, class: &str) -> Call {
        let body = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
            "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": { "requests": { "storage": "1Gi" } } },
        });
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.name);
        Call::new("POST", path).with(JSON, body)
    }

    /// Waits until the tenant's request is let through.
    pub async fn passes(&self, call: &Call) {
        let tenant = self.tenant.caller().unwrap();
        eventually("it is let through", PATIENCE, || async {
            let answer = tenant.send(call).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// Waits until the tenant's request, a dry run, is refused in these words.
    pub async fn refused(&self, call: &Call, words: &str) {
        let tenant = self.tenant.caller().unwrap();
        let call = call.clone().dry();
        eventually(words, PATIENCE, || async {
            let answer = tenant.send(&call).await?;
            if answer.code == 403 && answer.message().contains(words) {
                return anyhow::Ok(());
            }
            let admin = self.stage.cluster.admin();
            let read = admin
                .get(&["guardparameters", "current", "-n", &self.name])
                .await?;
            anyhow::bail!(
                "{} {}; guards read {}",
                answer.code,
                answer.message(),
                read["spec"]
            );
        })
        .await
        .unwrap();
    }

    /// Waits until the posture says this of an item, by state and reason; nothing where it is not to be listed. Returns the posture.
    pub async fn item(&self, item: &str, expected: Option<(&str, &str)>) -> Value {
        eventually(item, PATIENCE, || async {
            let posture = ["posture", "current", "-n", &self.name];
            let posture = self.stage.cluster.admin().get(&posture).await?;
            let items = posture["spec"]["encryption"]["items"].as_array();
            let found = items
                .into_iter()
                .flatten()
                .find(|found| found["item"] == item);
            let found = found.map(|found| (found["state"].as_str(), found["reason"].as_str()));
            let expected = expected.map(|(state, reason)| (Some(state), Some(reason)));
            anyhow::ensure!(found == expected, "{posture:#}");
            anyhow::Ok(posture)
        })
        .await
        .unwrap()
    }

    /// Waits until the posture's condition `Encrypted` has this status and reason.
    pub async fn encrypted(&self, status: &str, reason: &str) {
        eventually("Encrypted is as told", PATIENCE, || async {
            let posture = ["posture", "current", "-n", &self.name];
            let posture = self.stage.cluster.admin().get(&posture).await?;
            let is = crate::stage::condition(&posture, "Encrypted");
            anyhow::ensure!(is == (status.to_owned(), reason.to_owned()), "{posture:#}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }
}

async fn enrol(stage: &Stage, name: &str) {
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/baseline": name });
    apply(stage, &namespace(name, &labels)).await;
}

async fn says(stage: &Stage, name: &str, encryption: Value) {
    let mut says = baseline(name, "P90D");
    says["spec"]["encryption"] = encryption;
    apply(stage, &says).await;
}

async fn apply(stage: &Stage, object: &Value) {
    let applied = stage.engineer.apply(&object.to_string()).await;
    applied.unwrap().success().unwrap();
}
