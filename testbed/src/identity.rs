//! Who acts: a name, a kubeconfig file for programs, and clients for tests.
//!
//! May not: give anyone authority by itself. What an identity may do is a binding in the cluster, made in
//! [`crate::appointments`].

use std::path::{Path, PathBuf};

use kube::{Client, Config};

use crate::cluster::Cluster;
use crate::kubeconfig;

/// Someone who can talk to the API server.
#[derive(Clone, Debug)]
pub struct Identity {
    name: String,
    kubeconfig: PathBuf,
    config: Config,
}

impl Identity {
    /// Reads a kubeconfig text, and writes it to `file` for programs.
    ///
    /// # Errors
    /// When the text is no kubeconfig or the file cannot be written.
    pub async fn from_text(name: &str, text: &str, file: PathBuf) -> anyhow::Result<Self> {
        kubeconfig::write_private(&file, text)?;
        let config = kubeconfig::config(text).await?;
        Ok(Self {
            name: name.to_owned(),
            kubeconfig: file,
            config,
        })
    }

    /// The user name, as the audit log shows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A kubeconfig file for this identity.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The client configuration, with retries turned off.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A new client without retries. It belongs to the runtime that asks for it, so a cluster that several tests share
    /// serves each of them.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn client(&self) -> anyhow::Result<Client> {
        kubeconfig::client(self.config.clone())
    }
}

/// Names that the testbed gives to people.
pub mod people {
    /// Member of `system:masters`: RBAC is not asked, guards are.
    pub const ADMIN: &str = "admin";
    /// Runs the platform: vendors, baselines, enrolment.
    pub const PLATFORM_ENGINEER: &str = "platform-engineer";
    /// Compliance officer: prohibitions.
    pub const OFFICER: &str = "officer";
    /// Administers the namespaces of the tenant `acme`.
    pub const ACME_ADMIN: &str = "acme-admin";
    /// Administers the namespaces of the tenant `globex`.
    pub const GLOBEX_ADMIN: &str = "globex-admin";
    /// A GitOps controller: `*` on everything, by RBAC, not a member of `system:masters`.
    pub const GITOPS: &str = "gitops";
}

impl Cluster {
    /// An identity with no rights of its own. Its client certificate needs no restart; on a cluster that was there
    /// before, the identity is impersonated instead.
    ///
    /// # Errors
    /// When its credential cannot be made.
    pub async fn identity(&self, user: &str) -> anyhow::Result<Identity> {
        self.identity_in_group(user, None).await
    }
}
