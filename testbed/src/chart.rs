//! Installing the chart as a user would: helm renders it, kubectl applies it.
//!
//! May not: know what is in the chart. It tells kinds from the rest, and waits until the guards answer.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::coverage;
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

/// Renders a chart with these further arguments of helm (`--set` and the like).
///
/// # Errors
/// When helm refuses it.
pub async fn render(chart: &Path, arguments: &[&str]) -> anyhow::Result<Rendered> {
    let helm = tools::find_async(Tool::Helm).await?;
    let mut command = Command::new(helm);
    command.args(["template", RELEASE]).arg(chart).args([
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
        self.install_chart_from(&folder(), arguments).await
    }

    /// As [`Cluster::install_chart`], of a chart that is elsewhere.
    ///
    /// # Errors
    /// As there.
    pub async fn install_chart_from(&self, chart: &Path, arguments: &[&str]) -> anyhow::Result<()> {
        let rendered = render(chart, arguments).await?;
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
        if coverage::folder().is_some() {
            let shadows = coverage::shadows(&rendered.rest);
            self.apply_list(&shadows.iter().collect::<Vec<_>>())
                .await
                .context("the shadows of the guards are refused")?;
        }
        self.wait_for_type_checks().await?;
        self.wait_for_guards().await?;
        if rendered.rest.iter().any(is_enrolment_guard) {
            self.wait_for_enrolment_guard().await?;
        }
        Ok(())
    }

    /// Tries to apply the chart once more as a dry run, which every guard sees as well. (Writing it would have the API
    /// server compile each guard again while others are being tried, see [`Cluster::wait_for_type_checks`].)
    ///
    /// # Errors
    /// When something of it is refused.
    pub async fn try_chart_again(&self) -> anyhow::Result<()> {
        let rendered = render(&folder(), &[]).await?;
        let all: Vec<&Value> = rendered.kinds.iter().chain(&rendered.rest).collect();
        self.apply_list_with(&all, &["--dry-run=server"])
            .await
            .context("the chart is refused when it is applied again")
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
        self.apply_list_with(objects, &[]).await
    }

    async fn apply_list_with(&self, objects: &[&Value], more: &[&str]) -> anyhow::Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
        let mut arguments = vec!["apply", "--server-side", "--force-conflicts", "-f", "-"];
        arguments.extend_from_slice(more);
        self.admin()
            .kubectl_with(&arguments, &list.to_string())
            .await?
            .success()
            .map(drop)
    }

    /// Waits until the controllers have written their word into the status of every ValidatingAdmissionPolicy.
    ///
    /// An API server compiles a policy again at each write of it, and before Kubernetes 1.36 it may die when it evaluates
    /// another at that instant («concurrent map read and map write», kubernetes/kubernetes#135757). Nobody tries
    /// anything on a cluster of ours before that is over.
    ///
    /// # Errors
    /// When it is not over within two minutes.
    async fn wait_for_type_checks(&self) -> anyhow::Result<()> {
        if !self.runs_controllers() {
            return Ok(());
        }
        let arguments = ["get", "validatingadmissionpolicies", "--output", "json"];
        eventually("the policies are checked", TYPE_CHECKS, || async {
            let text = self.admin().kubectl(&arguments).await?.success()?.stdout;
            let list: Value = serde_json::from_str(&text).context("not a list")?;
            let policies = list["items"].as_array().context("a list without items")?;
            let checked = |policy: &&Value| {
                policy["status"]["observedGeneration"] == policy["metadata"]["generation"]
            };
            let done = policies.iter().filter(checked).count();
            if done < policies.len() {
                bail!("{done} of {} are", policies.len());
            }
            anyhow::Ok(())
        })
        .await
    }

    /// Waits until every ValidatingAdmissionPolicy that is stored now is in force. A policy of our own, made after them
    /// and removed again, tells: an API server takes up all that it has seen at once.
    ///
    /// # Errors
    /// When they are not in force within half a minute.
    pub async fn wait_for_guards(&self) -> anyhow::Result<()> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("testbed-sentinel-{}-{number}", std::process::id());
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": name },
            "spec": {
                "matchConstraints": { "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["configmaps"], "resourceNames": [name],
                }] },
                "validations": [{ "expression": "false", "message": SENTINEL }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": name },
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        });
        self.apply_list(&[&policy, &binding])
            .await
            .context("no sentinel among the guards")?;
        let probe = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "default" },
        });
        let refused = self
            .wait_until_refused("the guards are in force", &probe, SENTINEL)
            .await;
        let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        self.admin()
            .kubectl(&["delete", kinds, &name])
            .await?
            .success()?;
        refused
    }

    /// Waits until nobody can enrol a namespace by a wildcard, which is what the administrator of this testbed has.
    ///
    /// # Errors
    /// When it is still possible after half a minute.
    pub async fn wait_for_enrolment_guard(&self) -> anyhow::Result<()> {
        let probe = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": "testbed-probe", "labels": { names::LABEL_TENANT: "testbed" } },
        });
        self.wait_until_refused("the guard of enrolment refuses a wildcard", &probe, "")
            .await
    }

    /// Waits until the administrator's creation of an object, as a dry run, is refused with these words.
    ///
    /// # Errors
    /// When it is not within half a minute.
    pub async fn wait_until_refused(
        &self,
        what: &str,
        object: &Value,
        words: &str,
    ) -> anyhow::Result<()> {
        let text = object.to_string();
        let arguments = ["create", "--dry-run=server", "-f", "-"];
        eventually(what, Duration::from_secs(30), || async {
            let refusal = self
                .admin()
                .kubectl_with(&arguments, &text)
                .await?
                .refusal()?;
            // A guard whose parameters are not yet known refuses everything, which is not what is waited for.
            if refusal.contains("not yet synced") || !refusal.contains(words) {
                bail!("{refusal}");
            }
            anyhow::Ok(())
        })
        .await
    }
}

/// How long the controllers may need for the status of some hundred policies.
const TYPE_CHECKS: Duration = Duration::from_secs(120);
const SENTINEL: &str = "the guards are in force";

fn is_enrolment_guard(object: &Value) -> bool {
    object["kind"] == "ValidatingAdmissionPolicy"
        && object["metadata"]["name"]
            .as_str()
            .is_some_and(|name| name.contains("enrolment"))
}
