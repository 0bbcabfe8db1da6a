//! What a cluster can be started with.
//!
//! May not: start anything.

use crate::encryption::Provider;
use crate::tools::Kubernetes;

/// How to start a cluster. The default is what almost every test wants.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Which minor version; by default what `COVENANT_KUBERNETES` says.
    pub kubernetes: Option<Kubernetes>,
    /// Whether the API server writes an audit log. Turn it off to measure time.
    pub audit: bool,
    /// Whether to run the controller manager.
    pub controller_manager: bool,
    /// Whether a real node may join, see [`crate::node`].
    pub nodes: bool,
    /// Further flags of the API server; a flag given here replaces the testbed's own of that name.
    pub api_server_flags: Vec<String>,
    /// Further flags of the controller manager, in the same way.
    pub controller_manager_flags: Vec<String>,
    /// Further flags of etcd, in the same way.
    pub etcd_flags: Vec<String>,
    /// How the API servers store Secrets; as they are, and without any configuration, when empty.
    pub encryption: Vec<Provider>,
    /// Leaves the folder with logs and store where it is at the end.
    pub keep_folder: bool,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            kubernetes: None,
            audit: true,
            controller_manager: true,
            nodes: false,
            api_server_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
            etcd_flags: Vec::new(),
            encryption: Vec::new(),
            keep_folder: false,
        }
    }
}

impl ClusterOptions {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With a further flag of the API server.
    #[must_use]
    pub fn api_server_flag(mut self, flag: &str) -> Self {
        self.api_server_flags.push(flag.to_owned());
        self
    }

    /// Without the audit log.
    #[must_use]
    pub fn without_audit(mut self) -> Self {
        self.audit = false;
        self
    }

    /// Without the controller manager.
    #[must_use]
    pub fn without_controller_manager(mut self) -> Self {
        self.controller_manager = false;
        self
    }

    /// Ready for a real node: kubelets may act for their pods, and the API server may ask them.
    #[must_use]
    pub fn with_nodes(mut self) -> Self {
        self.nodes = true;
        self
    }

    /// With Secrets stored in these ways: the first writes, all of them read.
    #[must_use]
    pub fn encrypting(mut self, providers: &[Provider]) -> Self {
        self.encryption = providers.to_vec();
        self
    }

    /// With this version of Kubernetes.
    #[must_use]
    pub fn kubernetes(mut self, version: Kubernetes) -> Self {
        self.kubernetes = Some(version);
        self
    }
}
