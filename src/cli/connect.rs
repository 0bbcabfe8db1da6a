//! The cluster that a command talks to, and who it is there.
//!
//! May not: retry by itself. What is refused is told.

use std::path::PathBuf;

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// Kubeconfig of the cluster.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; the current one when absent.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Connection {
    /// Whether a cluster was named.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// The configuration of the cluster.
    ///
    /// # Errors
    /// When there is none.
    pub async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let read = Kubeconfig::read_from(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Config::from_custom_kubeconfig(read, &options).await?
            }
            None if self.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer()
                .await
                .context("no cluster; name one with --kubeconfig or --context")?,
        };
        config.default_retry = false;
        Ok(config)
    }

    /// A client of the cluster.
    ///
    /// # Errors
    /// When there is no cluster to talk to.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client(self.config().await?)
    }
}

/// A client of a configuration.
///
/// # Errors
/// When its credentials cannot be used.
pub fn client(config: Config) -> anyhow::Result<Client> {
    // Already installed when a client was made before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::try_from(config).context("the kubeconfig makes no client")
}

/// Runs what talks to a cluster.
///
/// # Errors
/// When it fails.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be built")?
        .block_on(work)
}

/// The name by which the API server knows who asks.
///
/// # Errors
/// When it does not say.
pub async fn user(client: &Client) -> anyhow::Result<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .context("the API server does not say who you are (SelfSubjectReview)")?;
    answer
        .status
        .and_then(|status| status.user_info)
        .and_then(|info| info.username)
        .filter(|name| !name.is_empty())
        .context("the API server knows you by no name; log in with one")
}

/// What a guard said, when it was one that refused.
#[must_use]
pub fn guard_message(message: &str) -> Option<&str> {
    let (_, said) = message.split_once("denied request: ")?;
    message
        .contains("ValidatingAdmissionPolicy '")
        .then_some(said)
}
