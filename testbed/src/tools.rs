//! Where the programs of the testbed are: envtest's when given, else those that `tools/build` builds from pinned modules.
//!
//! May not: choose versions. Those are in `tools/`; this module only asks for them.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};

/// A minor version of Kubernetes that the tools pin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kubernetes {
    /// The oldest that Covenant supports.
    V1_33,
    /// The one that is used unless `COVENANT_KUBERNETES` says otherwise.
    #[default]
    V1_36,
}

impl Kubernetes {
    /// What `COVENANT_KUBERNETES` asks for.
    ///
    /// # Errors
    /// When it names a version that is not pinned.
    pub fn from_environment() -> anyhow::Result<Self> {
        match env::var("COVENANT_KUBERNETES").as_deref() {
            Err(_) | Ok("") => Ok(Self::default()),
            Ok("1.33") => Ok(Self::V1_33),
            Ok("1.36") => Ok(Self::V1_36),
            Ok(other) => bail!("COVENANT_KUBERNETES is {other}, but tools/ pins 1.33 and 1.36"),
        }
    }

    /// As `tools/build` calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_33 => "1.33",
            Self::V1_36 => "1.36",
        }
    }
}

impl fmt::Display for Kubernetes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A program that the testbed runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// The store.
    Etcd,
    /// The API server of one version.
    ApiServer(Kubernetes),
    /// Garbage collection, Jobs, namespaces and the rest, of one version.
    ControllerManager(Kubernetes),
    /// Runs the pods of a node.
    Kubelet,
    /// Chooses a node for each pod.
    Scheduler,
    /// What people type.
    Kubectl,
    /// Renders the chart.
    Helm,
    /// Encrypts keys for an API server.
    KmsPlugin,
    /// Judges what network policies mean.
    Cyclonus,
    /// Scrapes pods.
    Prometheus,
    /// Reads what containers log.
    OpenTelemetryCollector,
}

impl Tool {
    fn binary(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer(_) => "kube-apiserver",
            Self::ControllerManager(_) => "kube-controller-manager",
            Self::Kubelet => "kubelet",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::Cyclonus => "cyclonus",
            Self::KmsPlugin => "kms-plugin",
            Self::Prometheus => "prometheus",
            Self::OpenTelemetryCollector => "otel-collector",
        }
    }

    fn family(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer(version) | Self::ControllerManager(version) => version.as_str(),
            // A kubelet may be no newer than its API server, so there is one for the newest only.
            Self::Kubelet | Self::Scheduler => "node-1.36",
            Self::Kubectl => Kubernetes::V1_36.as_str(),
            Self::Helm => "helm",
            Self::Cyclonus => "cyclonus",
            Self::KmsPlugin => "kms-plugin",
            Self::Prometheus => "prometheus",
            Self::OpenTelemetryCollector => "otel-collector",
        }
    }
}

static FOUND: Mutex<BTreeMap<Tool, PathBuf>> = Mutex::new(BTreeMap::new());

/// The path of a tool, building it when it is missing. A first build takes minutes and shows its progress on standard
/// error.
///
/// # Errors
/// When it is neither there nor can be built.
pub fn find(tool: Tool) -> anyhow::Result<PathBuf> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = found.get(&tool) {
        return Ok(path.clone());
    }
    let path = match envtest(tool) {
        Some(path) => path,
        None => built(tool)?,
    };
    found.insert(tool, path.clone());
    Ok(path)
}

/// As [`find`], without keeping an asynchronous thread waiting.
///
/// # Errors
/// When the tool is neither there nor can be built.
pub async fn find_async(tool: Tool) -> anyhow::Result<PathBuf> {
    tokio::task::spawn_blocking(move || find(tool))
        .await
        .context("the search for a tool was cut short")?
}

/// envtest ships etcd, an API server and kubectl, but no controllers: those are ours in any case.
fn envtest(tool: Tool) -> Option<PathBuf> {
    let folder = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty())?;
    let path = Path::new(&folder).join(tool.binary());
    path.is_file().then_some(path)
}

fn built(tool: Tool) -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/build");
    let output = Command::new(&script)
        .args(["--path", tool.binary(), tool.family()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() {
        bail!(
            "{} is missing and could not be built; see above, or run tools/build {}",
            tool.binary(),
            tool.family()
        );
    }
    let path = String::from_utf8(output.stdout)
        .context("tools/build printed something that is no path")?;
    Ok(PathBuf::from(path.trim()))
}

/// Chooses the cryptography of every TLS connection of this process. Called wherever a client is made; later calls do
/// nothing.
pub(crate) fn install_crypto() {
    // An error only says that someone has chosen before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
