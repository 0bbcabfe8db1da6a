//! A cluster to test against: one of our own that ends with us, or one that was there before.
//!
//! May not: hide which of the two it is. What only our own can show (the store, the audit log, killing its parts) is a
//! [`NotAvailable`] error on the other.

mod control_plane;
mod flags;
mod options;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::Config;
use serde_json::Value;

pub use control_plane::ApiServer;
pub use options::ClusterOptions;

use crate::audit::AuditLog;
use crate::encryption::Provider;
use crate::history::Etcd;
use crate::identity::{Identity, people};
use crate::kubeconfig;
use crate::process::{Folder, Killer};
use control_plane::ControlPlane;

/// Asked of a cluster that cannot give it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not available on {cluster}: {what}")]
pub struct NotAvailable {
    /// What was asked for.
    pub what: &'static str,
    /// Why this cluster has none.
    pub cluster: &'static str,
}

/// A cluster. Dropping one of our own kills its processes and removes its folder; so does the death of this process.
#[derive(Debug)]
pub struct Cluster {
    // Declared before the folder, so that the writers are gone when it is removed.
    control_plane: Option<ControlPlane>,
    original: Value,
    admin: Identity,
    folder: Folder,
}

impl Cluster {
    /// A fresh cluster on loopback: etcd, API server and controller manager, ready to use.
    ///
    /// # Errors
    /// When it does not become ready, with the last words of the part that failed.
    pub async fn start(options: ClusterOptions) -> anyhow::Result<Self> {
        let mut last = None;
        // Ports are free when they are chosen, not reserved: someone else may be quicker.
        for _ in 0..3 {
            let mut folder = Folder::new("covenant-testbed-")?;
            if options.keep_folder {
                folder.keep();
            }
            match ControlPlane::start(folder.path(), options.clone()).await {
                Ok(control_plane) => return Self::of(control_plane, folder).await,
                Err(error) if format!("{error:#}").contains("address already in use") => {
                    last = Some(error)
                }
                Err(error) => return Err(error),
            }
        }
        Err(last
            .unwrap_or_else(|| anyhow::anyhow!("no cluster"))
            .context("three clusters found their ports taken"))
    }

    /// The cluster that `COVENANT_TEST_KUBECONFIG` names, or else a fresh one.
    ///
    /// # Errors
    /// When neither can be had.
    pub async fn given_or_start(options: ClusterOptions) -> anyhow::Result<Self> {
        match std::env::var_os("COVENANT_TEST_KUBECONFIG").filter(|path| !path.is_empty()) {
            Some(path) => Self::existing(&PathBuf::from(path)).await,
            None => Self::start(options).await,
        }
    }

    /// A cluster that is there already, through a kubeconfig that may do everything and impersonate anyone.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn existing(kubeconfig: &Path) -> anyhow::Result<Self> {
        let folder = Folder::new("covenant-testbed-")?;
        let original = kubeconfig::read(kubeconfig)?;
        let file = folder.path().join("admin.kubeconfig");
        let admin = Identity::from_text(people::ADMIN, &original.to_string(), file).await?;
        admin
            .client()?
            .apiserver_version()
            .await
            .with_context(|| format!("the cluster of {} does not answer", kubeconfig.display()))?;
        Ok(Self {
            control_plane: None,
            original,
            admin,
            folder,
        })
    }

    async fn of(control_plane: ControlPlane, folder: Folder) -> anyhow::Result<Self> {
        let text = control_plane.admin_text();
        let original =
            serde_json::from_str(text).context("the kubeconfig of the testbed is not JSON")?;
        let file = folder.path().join("admin.kubeconfig");
        let admin = Identity::from_text(people::ADMIN, text, file).await?;
        Ok(Self {
            control_plane: Some(control_plane),
            original,
            admin,
            folder,
        })
    }

    /// A member of `system:masters`, or whoever the given kubeconfig is.
    #[must_use]
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// A folder for files that end with the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A user, in a group when one is named.
    ///
    /// # Errors
    /// When the credential cannot be made.
    pub async fn identity_in_group(
        &self,
        user: &str,
        group: Option<&str>,
    ) -> anyhow::Result<Identity> {
        let text = match &self.control_plane {
            Some(control_plane) => control_plane.user_text(user, group)?,
            None => kubeconfig::impersonating(&self.original, user, group),
        };
        Identity::from_text(user, &text, self.kubeconfig_file(user)).await
    }

    /// A ServiceAccount, with a token of two hours from the API server.
    ///
    /// # Errors
    /// When there is no such ServiceAccount.
    pub async fn service_account(&self, namespace: &str, name: &str) -> anyhow::Result<Identity> {
        self.service_account_as(&self.admin, namespace, name).await
    }

    /// As [`Cluster::service_account`], with a token that somebody else asks for.
    pub(crate) async fn service_account_as(
        &self,
        who: &Identity,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Identity> {
        let arguments = [
            "create",
            "token",
            name,
            "--namespace",
            namespace,
            "--duration",
            "2h",
        ];
        let token = who.kubectl(&arguments).await?.success()?.stdout;
        let text = kubeconfig::with_token(&self.original, token.trim());
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let file = self.kubeconfig_file(&format!("{namespace}-{name}"));
        Identity::from_text(&user, &text, file).await
    }

    /// Reaches the API server with no credential: what a proxy needs.
    ///
    /// # Errors
    /// Never on our own cluster.
    pub fn anonymous_config(&self) -> anyhow::Result<Config> {
        let admin = self.admin.config();
        let mut config = Config::new(admin.cluster_url.clone());
        config.root_cert.clone_from(&admin.root_cert);
        config.root_cert_file.clone_from(&admin.root_cert_file);
        config.accept_invalid_certs = admin.accept_invalid_certs;
        config.tls_server_name.clone_from(&admin.tls_server_name);
        config.default_retry = false;
        config.read_timeout = None;
        Ok(config)
    }

    /// Whether the controllers of Kubernetes run here.
    #[must_use]
    pub fn runs_controllers(&self) -> bool {
        self.control_plane
            .as_ref()
            .is_none_or(ControlPlane::runs_controllers)
    }

    /// What the API server wrote down about every request.
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before, or was started without.
    pub fn audit(&self) -> Result<AuditLog, NotAvailable> {
        let own = self.own("the audit log")?;
        let file = own.audit_file().ok_or(NotAvailable {
            what: "the audit log",
            cluster: "a cluster that was started without it",
        })?;
        Ok(AuditLog::new(file, self.admin.clone()))
    }

    /// The store: its revision, and everything that was ever written to it.
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before.
    pub fn etcd(&self) -> Result<Etcd, NotAvailable> {
        Ok(Etcd::new(self.own("the store")?.etcd_address()))
    }

    /// Kills the API server (SIGKILL).
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before.
    pub fn kill_api_server(&self) -> Result<(), NotAvailable> {
        self.own("killing the API server")?.kill_api_server();
        Ok(())
    }

    /// Starts the API server again on its old port, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_api_server(&self) -> anyhow::Result<()> {
        self.own("starting the API server")?
            .start_api_server()
            .await
    }

    /// Kills the API server and starts it again.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart_api_server(&self) -> anyhow::Result<()> {
        self.kill_api_server()?;
        self.start_api_server().await
    }

    /// Starts one more API server on the same store, with an audit log of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api_server(&self) -> anyhow::Result<ApiServer> {
        self.another_api_server_with(&[]).await
    }

    /// As [`Cluster::another_api_server`], with further flags.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn another_api_server_with(&self, flags: &[&str]) -> anyhow::Result<ApiServer> {
        self.own("a second API server")?
            .another_api_server(flags)
            .await
    }

    /// Has Secrets stored in these ways, by every API server that is started from now on; none takes the configuration away.
    ///
    /// # Errors
    /// When the configuration cannot be written.
    pub fn store_secrets(&self, providers: &[Provider]) -> anyhow::Result<()> {
        self.own("encryption of the store")?
            .store_secrets(providers)
    }

    /// Kills the controller manager (SIGKILL): no deadline passes, nothing is collected.
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before.
    pub fn kill_controller_manager(&self) -> Result<(), NotAvailable> {
        self.own("killing the controller manager")?
            .kill_controller_manager();
        Ok(())
    }

    /// Starts the controller manager again.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_controller_manager(&self) -> anyhow::Result<()> {
        self.own("starting the controller manager")?
            .start_controller_manager()
    }

    /// Stops the clock of the controller manager (SIGSTOP).
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause_controller_manager(&self) -> anyhow::Result<()> {
        self.own("pausing the controller manager")?
            .pause_controller_manager()
    }

    /// Lets a paused controller manager go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_controller_manager(&self) -> anyhow::Result<()> {
        self.own("resuming the controller manager")?
            .resume_controller_manager()
    }

    /// A switch that kills the API server, for whoever must do it at an exact moment.
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before or its API server does not run.
    pub fn api_server_killer(&self) -> Result<Arc<Killer>, NotAvailable> {
        self.own("killing the API server")?
            .api_server_killer()
            .map(Arc::new)
            .ok_or(NotAvailable {
                what: "killing the API server",
                cluster: "a cluster whose API server is down",
            })
    }

    /// Whether it was started for a real node to join.
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before or was started without.
    pub(crate) fn takes_nodes(&self) -> Result<(), NotAvailable> {
        let what = "a node of the testbed's own";
        if self.own(what)?.takes_nodes() {
            return Ok(());
        }
        Err(NotAvailable {
            what,
            cluster: "a cluster that was started without nodes",
        })
    }

    /// Process ids of the parts of the cluster, with their names; for measurements.
    ///
    /// # Errors
    /// [`NotAvailable`] when the cluster was there before.
    pub fn process_ids(&self) -> Result<Vec<(String, i32)>, NotAvailable> {
        Ok(self.own("process ids")?.process_ids())
    }

    /// The last lines of every part's log, for messages of failed tests.
    #[must_use]
    pub fn tails(&self, lines: usize) -> String {
        self.control_plane
            .as_ref()
            .map(|own| own.tails(lines))
            .unwrap_or_default()
    }

    fn own(&self, what: &'static str) -> Result<&ControlPlane, NotAvailable> {
        self.control_plane.as_ref().ok_or(NotAvailable {
            what,
            cluster: "a cluster that was there before",
        })
    }

    fn kubeconfig_file(&self, name: &str) -> PathBuf {
        // Two identities of one name may be in use at once; each has its own file.
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        self.folder
            .path()
            .join(format!("{plain}-{number}.kubeconfig"))
    }
}

/// How long a part may take to become ready on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);
