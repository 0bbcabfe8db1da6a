//! What guards read of a namespace, written in the operator's name where no operator runs.
//!
//! May not: know what the operator would write. It asks for nothing, so that what a test is about is all that refuses.

use std::time::Duration;

use serde_json::json;

use crate::raw::{APPLY, Call, JSON};
use crate::{Cluster, Identity, eventually};

const PATIENCE: Duration = Duration::from_secs(120);

impl Cluster {
    /// Says that nothing is asked of a namespace, and waits until the API server knows and lets claims in.
    ///
    /// # Errors
    /// When it cannot be written, or claims are refused for another reason.
    pub async fn ask_nothing_of(&self, namespace: &str, operator: &Identity) -> anyhow::Result<()> {
        let body = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": namespace }, "spec": { "retention": [] },
        });
        let path = format!(
            "/apis/privacy.cloudnexus.io/v1alpha1/namespaces/{namespace}/guardparameters/current?fieldManager=covenant-parameters&force=true"
        );
        let written = operator
            .caller()?
            .send(&Call::new("PATCH", path).with(APPLY, body))
            .await?;
        anyhow::ensure!(written.is_success(), "{written:?}");
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "canary" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        let path = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
        let canary = Call::new("POST", path).with(JSON, claim).dry();
        let admin = self.admin().caller()?;
        eventually("claims are let in", PATIENCE, || async {
            let answer = admin.send(&canary).await?;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
    }
}
