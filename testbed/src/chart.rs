//! Installing the chart as a user would: helm renders it, kubectl applies it.
//!
//! May not: know what is in the chart. It tells kinds from the rest, and waits until the guards answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::kubectl::run;
use crate::names;
use crate::tools::{self, Tool};
use crate::wait::eventually;

/// The namespace that the chart is installed in.
pub const NAMESPACE: &str = "covenant-system";
/// Name of the release, and of the operator's ServiceAccount.
pub const RELEASE: &str = "covenant";

/// What the chart renders to, split by when it can be applied.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The CustomResourceDefinitions.
    pub kinds: Vec<Value>,
    /// Everything else.
    pub rest: Vec<Value>,
}

/// Where the chart of this repository is.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/covenant")
}

/// Renders the chart with these further arguments of helm (`--set` and the like).
///
/// # Errors
/// When helm refuses it.
pub async fn render(arguments: &[&str]) -> anyhow::Result<Rendered> {
    let helm = tools::find_async(Tool::Helm).await?;
    let mut command = Command::new(helm);
    command.args(["template", RELEASE]).arg(folder()).args([
        "--namespace",
        NAMESPACE,
        "--include-crds",
    ]);
    // Without a cluster to ask, helm believes in a version that no one runs any more.
    command.args(["--kube-version", "1.33.0"]).args(arguments);
    let text = run(command, "helm template", "").await?.success()?.stdout;
    split(&text)
}

/// Splits rendered YAML by when it can be applied.
///
/// # Errors
/// When it is not YAML.
pub fn split(text: &str) -> anyhow::Result<Rendered> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).context("what helm rendered is not YAML")?;
    let objects = documents
        .into_iter()
        .filter(|document| document.is_object());
    let (kinds, rest) = objects.partition(|object| object["kind"] == "CustomResourceDefinition");
    Ok(Rendered { kinds, rest })
}

impl Cluster {
    /// Installs the chart, without its Deployment: there are no nodes, and the operator runs as a process
    /// ([`crate::operator::Operator`]). Returns once the kinds are served and the guards refuse what they must.
    ///
    /// # Errors
    /// When the chart does not render, is refused, or its guards do not come to life.
    pub async fn install_chart(&self) -> anyhow::Result<()> {
        self.install_chart_with(&[]).await
    }

    /// As [`Cluster::install_chart`], with further arguments of helm.
    ///
    /// # Errors
    /// As there.
    pub async fn install_chart_with(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let rendered = render(arguments).await?;
        self.apply_kinds(&rendered.kinds).await?;
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        if !rendered
            .rest
            .iter()
            .any(|object| object["kind"] == "Namespace" && object["metadata"]["name"] == NAMESPACE)
        {
            self.admin()
                .apply_object(&namespace)
                .await
                .context("cannot make the operator's namespace")?;
        }
        let without_workload: Vec<&Value> = rendered
            .rest
            .iter()
            .filter(|object| object["kind"] != "Deployment")
            .collect();
        self.apply_list(&without_workload)
            .await
            .context("the chart is refused")?;
        self.wait_for_guards(&rendered.rest).await
    }

    /// Applies CustomResourceDefinitions and waits until they are served.
    ///
    /// # Errors
    /// When one is refused or not established in time.
    pub async fn apply_kinds(&self, kinds: &[Value]) -> anyhow::Result<()> {
        if kinds.is_empty() {
            return Ok(());
        }
        self.apply_list(&kinds.iter().collect::<Vec<_>>())
            .await
            .context("a kind is refused")?;
        let names: Vec<String> = kinds
            .iter()
            .filter_map(|kind| kind["metadata"]["name"].as_str())
            .map(|name| format!("crd/{name}"))
            .collect();
        let mut arguments = vec!["wait", "--for=condition=Established", "--timeout=30s"];
        arguments.extend(names.iter().map(String::as_str));
        self.admin()
            .kubectl(&arguments)
            .await?
            .success()
            .context("a kind is not served")?;
        Ok(())
    }

    async fn apply_list(&self, objects: &[&Value]) -> anyhow::Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.admin()
            .kubectl_with(&arguments, &list.to_string())
            .await?
            .success()
            .map(drop)
    }

    /// Waits until the guards among these objects are live: each ValidatingAdmissionPolicy has been read and type-checked
    /// by the API server, and, where the enrolment guard is there, an enrolment by someone without authority is refused.
    ///
    /// # Errors
    /// When they are not live within half a minute.
    pub async fn wait_for_guards(&self, objects: &[Value]) -> anyhow::Result<()> {
        let named = |kind: &str| -> Vec<String> {
            let of_kind = objects.iter().filter(|object| object["kind"] == kind);
            of_kind
                .filter_map(|object| object["metadata"]["name"].as_str())
                .map(str::to_owned)
                .collect()
        };
        let policies = named("ValidatingAdmissionPolicy");
        if policies.iter().any(|name| name.contains("enrolment")) {
            self.wait_for_enrolment_guard().await?;
        }
        Ok(())
    }

    /// Waits until nobody can enrol a namespace by a wildcard, which is what the administrator of this testbed has.
    ///
    /// # Errors
    /// When it is still possible after half a minute.
    pub async fn wait_for_enrolment_guard(&self) -> anyhow::Result<()> {
        let probe = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "testbed-probe", "labels": { names::LABEL_TENANT: "testbed" } },
        })
        .to_string();
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        eventually(
            "the guard of enrolment refuses a wildcard",
            Duration::from_secs(30),
            || async {
                let refusal = self
                    .admin()
                    .kubectl_with(&arguments, &probe)
                    .await?
                    .refusal()?;
                // «Not yet synced» is a refusal too, and not the one we wait for.
                if refusal.contains("not yet synced") || refusal.contains("not found") {
                    bail!("{refusal}");
                }
                anyhow::Ok(())
            },
        )
        .await
    }
}
