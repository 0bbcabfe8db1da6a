//! The three processes of a cluster of our own: starting, killing, pausing, starting again.
//!
//! May not: outlive the folder or be left behind; [`Process`] sees to that.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use http::Request;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

use super::flags::{self, Layout};
use super::{ClusterOptions, PATIENCE};
use crate::audit::AuditLog;
use crate::certificates::Authority;
use crate::coverage;
use crate::encryption::{self, Provider};
use crate::identity::{Identity, people};
use crate::kubeconfig::{self, Credential, Server};
use crate::ports;
use crate::process::{Killer, Process};
use crate::tools::{self, Kubernetes, Tool};
use crate::wait::eventually;

#[derive(Debug)]
pub(super) struct ControlPlane {
    api_server: Mutex<Option<Process>>,
    controller_manager: Mutex<Option<Process>>,
    etcd: Process,
    version: Kubernetes,
    options: ClusterOptions,
    authority: Authority,
    server: Server,
    admin: String,
    folder: PathBuf,
    etcd_ports: (u16, u16),
    api_server_port: u16,
    servers: AtomicUsize,
}

/// One more API server on the same store. Dropping it kills it.
#[derive(Debug)]
pub struct ApiServer {
    process: Process,
    admin: Identity,
    audit: Option<PathBuf>,
}

impl ApiServer {
    /// A member of `system:masters` at this server.
    #[must_use]
    pub fn admin(&self) -> &Identity {
        &self.admin
    }

    /// Its own audit log.
    #[must_use]
    pub fn audit(&self) -> Option<AuditLog> {
        self.audit
            .as_ref()
            .map(|file| AuditLog::new(file.clone(), self.admin.clone()))
    }

    /// Kills it (SIGKILL).
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Stops its clock (SIGSTOP): connections stay open, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.process.pause()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.process.resume()
    }
}

impl ControlPlane {
    pub(super) async fn start(folder: &Path, options: ClusterOptions) -> anyhow::Result<Self> {
        tools::install_crypto();
        let version = match options.kubernetes {
            Some(version) => version,
            None => Kubernetes::from_environment()?,
        };
        // Found before anything starts: a first build takes minutes.
        let etcd = tools::find_async(Tool::Etcd).await?;
        tools::find_async(Tool::ApiServer(version)).await?;
        tools::find_async(Tool::ControllerManager(version)).await?;
        let etcd_ports = (ports::free()?, ports::free()?);
        let api_server_port = ports::free()?;
        let layout = Layout {
            folder,
            etcd_client: etcd_ports.0,
            etcd_peer: etcd_ports.1,
            api_server: api_server_port,
        };
        let etcd_flags = flags::etcd(&layout, &options.etcd_flags);
        let etcd = Process::start("etcd", &etcd, &etcd_flags, &folder.join("etcd.log"))?;

        let authority = Authority::new()?;
        let server = Server {
            address: format!("https://127.0.0.1:{api_server_port}"),
            authority: Some(authority.certificate().to_owned()),
        };
        let pair = authority.client(people::ADMIN, Some("system:masters"))?;
        let admin = kubeconfig::text(&server, people::ADMIN, &Credential::Certificate(pair));
        write_files(folder, &authority, &server)?;
        if !options.encryption.is_empty() {
            write_encryption(&folder.join(flags::ENCRYPTION), &options.encryption)?;
        }
        let plane = Self {
            api_server: Mutex::new(None),
            controller_manager: Mutex::new(None),
            etcd,
            version,
            authority,
            server,
            admin,
            folder: folder.to_owned(),
            etcd_ports,
            api_server_port,
            servers: AtomicUsize::new(1),
            options,
        };
        plane.start_api_server().await?;
        if plane.options.controller_manager {
            plane.start_controller_manager()?;
            plane.wait_for_controllers().await?;
        }
        Ok(plane)
    }

    pub(super) fn admin_text(&self) -> &str {
        &self.admin
    }

    pub(super) fn user_text(&self, user: &str, group: Option<&str>) -> anyhow::Result<String> {
        let pair = self.authority.client(user, group)?;
        Ok(kubeconfig::text(
            &self.server,
            user,
            &Credential::Certificate(pair),
        ))
    }

    pub(super) fn takes_nodes(&self) -> bool {
        self.options.nodes
    }

    pub(super) fn runs_controllers(&self) -> bool {
        lock(&self.controller_manager).is_some()
    }

    /// What this cluster adds to the flags of every API server.
    fn api_server_flags(&self) -> Vec<String> {
        let mut more = if self.options.nodes {
            flags::with_nodes(&self.layout())
        } else {
            Vec::new()
        };
        let encryption = self.folder.join(flags::ENCRYPTION);
        if encryption.exists() {
            more.push(flags::with_encryption(&encryption));
        }
        more.extend(self.options.api_server_flags.iter().cloned());
        more
    }

    pub(super) fn audit_file(&self) -> Option<PathBuf> {
        let left = coverage::folder()
            .zip(self.folder.file_name())
            .map(|(folder, name)| folder.join(name).with_extension("jsonl"));
        let own = || self.folder.join("audit.jsonl");
        self.options.audit.then(|| left.unwrap_or_else(own))
    }

    pub(super) fn etcd_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_ports.0)
    }

    pub(super) fn kill_api_server(&self) {
        *lock(&self.api_server) = None;
    }

    pub(super) fn api_server_killer(&self) -> Option<Killer> {
        lock(&self.api_server).as_ref().map(Process::killer)
    }

    pub(super) async fn start_api_server(&self) -> anyhow::Result<()> {
        self.kill_api_server();
        let program = tools::find_async(Tool::ApiServer(self.version)).await?;
        let audit = self.audit_file();
        let arguments =
            flags::api_server(&self.layout(), audit.as_deref(), &self.api_server_flags());
        let process = Process::start(
            "kube-apiserver",
            &program,
            &arguments,
            &self.folder.join("kube-apiserver.log"),
        )?;
        let client = kubeconfig::client(kubeconfig::config(&self.admin).await?)?;
        *lock(&self.api_server) = Some(process);
        let running =
            || ended(&self.api_server).or_else(|| self.etcd.ended().map(|_| self.etcd.tail(20)));
        wait_ready("the API server", &client, running).await
    }

    pub(super) async fn another_api_server(&self, more: &[&str]) -> anyhow::Result<ApiServer> {
        let number = self.servers.fetch_add(1, Ordering::Relaxed) + 1;
        let program = tools::find_async(Tool::ApiServer(self.version)).await?;
        let port = ports::free()?;
        let layout = Layout {
            api_server: port,
            ..self.layout()
        };
        let audit = self
            .options
            .audit
            .then(|| self.folder.join(format!("audit-{number}.jsonl")));
        let mut further = self.api_server_flags();
        further.extend(more.iter().map(|&flag| flag.to_owned()));
        let arguments = flags::api_server(&layout, audit.as_deref(), &further);
        let log = self.folder.join(format!("kube-apiserver-{number}.log"));
        let process = Process::start("another kube-apiserver", &program, &arguments, &log)?;
        let server = Server {
            address: format!("https://127.0.0.1:{port}"),
            ..self.server.clone()
        };
        let pair = self
            .authority
            .client(people::ADMIN, Some("system:masters"))?;
        let text = kubeconfig::text(&server, people::ADMIN, &Credential::Certificate(pair));
        let file = self
            .folder
            .join(format!("admin-at-server-{number}.kubeconfig"));
        let admin = Identity::from_text(people::ADMIN, &text, file).await?;
        let running = || process.ended().map(|_| process.tail(20));
        wait_ready("another API server", &admin.client()?, running).await?;
        Ok(ApiServer {
            process,
            admin,
            audit,
        })
    }

    pub(super) fn store_secrets(&self, providers: &[Provider]) -> anyhow::Result<()> {
        write_encryption(&self.folder.join(flags::ENCRYPTION), providers)
    }

    pub(super) fn kill_controller_manager(&self) {
        *lock(&self.controller_manager) = None;
    }

    pub(super) fn start_controller_manager(&self) -> anyhow::Result<()> {
        self.kill_controller_manager();
        let program = tools::find(Tool::ControllerManager(self.version))?;
        let arguments =
            flags::controller_manager(&self.layout(), &self.options.controller_manager_flags);
        let log = self.folder.join("kube-controller-manager.log");
        let process = Process::start("kube-controller-manager", &program, &arguments, &log)?;
        *lock(&self.controller_manager) = Some(process);
        Ok(())
    }

    pub(super) fn pause_controller_manager(&self) -> anyhow::Result<()> {
        lock(&self.controller_manager)
            .as_ref()
            .context("the controller manager does not run")?
            .pause()
    }

    pub(super) fn resume_controller_manager(&self) -> anyhow::Result<()> {
        lock(&self.controller_manager)
            .as_ref()
            .context("the controller manager does not run")?
            .resume()
    }

    pub(super) fn process_ids(&self) -> Vec<(String, i32)> {
        let mut all = vec![(self.etcd.name().to_owned(), self.etcd.pid())];
        for part in [&self.api_server, &self.controller_manager] {
            all.extend(
                lock(part)
                    .as_ref()
                    .map(|process| (process.name().to_owned(), process.pid())),
            );
        }
        all
    }

    pub(super) fn tails(&self, lines: usize) -> String {
        let mut text = format!("--- etcd\n{}\n", self.etcd.tail(lines));
        for part in [&self.api_server, &self.controller_manager] {
            if let Some(process) = lock(part).as_ref() {
                text.push_str(&format!(
                    "--- {}\n{}\n",
                    process.name(),
                    process.tail(lines)
                ));
            }
        }
        text
    }

    /// A ServiceAccount in `default` is the work of one controller; the others start with it.
    async fn wait_for_controllers(&self) -> anyhow::Result<()> {
        let client = kubeconfig::client(kubeconfig::config(&self.admin).await?)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        let attempt = || async {
            if let Some(words) = ended(&self.controller_manager) {
                bail!("the controller manager has ended:\n{words}");
            }
            accounts
                .get("default")
                .await
                .context("the first ServiceAccount")
        };
        eventually("the controllers run", PATIENCE, attempt)
            .await
            .map(drop)
            .with_context(|| format!("no controllers; their last words:\n{}", self.tails(10)))
    }

    fn layout(&self) -> Layout<'_> {
        Layout {
            folder: &self.folder,
            etcd_client: self.etcd_ports.0,
            etcd_peer: self.etcd_ports.1,
            api_server: self.api_server_port,
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // The clients of a part first, so that none complains of the other in its log.
        self.kill_controller_manager();
        self.kill_api_server();
        self.etcd.kill();
    }
}

fn write_files(folder: &Path, authority: &Authority, server: &Server) -> anyhow::Result<()> {
    let write = |name: &str, text: &str| kubeconfig::write_private(&folder.join(name), text);
    let serving = authority.server(&["127.0.0.1", "localhost", "kubernetes.default.svc"])?;
    let tokens = Authority::token_key()?;
    let kubelet_client = authority.client("api-server", None)?;
    let pair = authority.client("system:kube-controller-manager", None)?;
    fs::create_dir_all(folder.join("controller-manager"))
        .context("no folder for the controller manager")?;
    write("authority.crt", authority.certificate())?;
    write("server.crt", &serving.certificate)?;
    write("server.key", &serving.key)?;
    write("tokens.key", &tokens.private)?;
    write("tokens.pub", &tokens.public)?;
    write(flags::KUBELET_CLIENT.0, &kubelet_client.certificate)?;
    write(flags::KUBELET_CLIENT.1, &kubelet_client.key)?;
    write("audit-policy.json", flags::AUDIT_POLICY)?;
    let text = kubeconfig::text(
        server,
        "system:kube-controller-manager",
        &Credential::Certificate(pair),
    );
    write("controller-manager.kubeconfig", &text)
}

fn write_encryption(file: &Path, providers: &[Provider]) -> anyhow::Result<()> {
    if providers.is_empty() {
        return fs::remove_file(file).context("the cluster encrypts nothing as it is");
    }
    let text = encryption::configuration(providers).to_string();
    kubeconfig::write_private(file, &text)
}

async fn wait_ready(
    what: &str,
    client: &Client,
    ended: impl Fn() -> Option<String>,
) -> anyhow::Result<()> {
    let begin = std::time::Instant::now();
    loop {
        if let Some(words) = ended() {
            bail!("{what} or its store has ended:\n{words}");
        }
        let request = Request::get("/readyz")
            .body(Vec::new())
            .context("no request")?;
        let answer = client.request_text(request).await;
        match answer {
            Ok(text) if text.trim() == "ok" => return Ok(()),
            other if begin.elapsed() > PATIENCE => {
                bail!("{what} is not ready after {PATIENCE:?}: {other:?}")
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// The last words of a part that has ended.
fn ended(part: &Mutex<Option<Process>>) -> Option<String> {
    let part = lock(part);
    let process = part.as_ref()?;
    process.ended().map(|_| process.tail(20))
}

fn lock(part: &Mutex<Option<Process>>) -> MutexGuard<'_, Option<Process>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
