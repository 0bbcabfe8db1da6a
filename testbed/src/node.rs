//! A real node on this machine: containerd and runc, a kubelet and a scheduler, attached to a cluster of our own.
//!
//! May not: change the machine or leave anything on it. What runs here runs in a process and mount namespace of its own,
//! whose first process is containerd: when that ends, the kernel ends every container, every mount and every network with
//! it. What the node writes is in the cluster's folder. It needs root, and installs nothing.

mod containerd;
mod image;
mod kubelet;
mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::Cluster;
use crate::kubeconfig::write_private;
use crate::process::{Afterwards, Process, tail};
use crate::tools::{self, Tool};
use crate::wait::eventually;

pub use image::IMAGE;
use machine::Machine;

/// Name of the node. An API server reaches a kubelet by an address that the node reports; this name is the only one that
/// leads to loopback.
pub const NODE: &str = "localhost";
/// How long a part may take to become ready on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running node. Dropping it ends it and its containers.
#[derive(Debug)]
pub struct Node {
    scheduler: Process,
    kubelet: Process,
    containerd: Process,
    layout: Layout,
    // Last: a control group can be removed once nothing is in it.
    _control_groups: Afterwards,
}

/// Where a node keeps what.
#[derive(Clone, Debug)]
struct Layout {
    folder: PathBuf,
}

impl Layout {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn socket(&self) -> PathBuf {
        self.file("containerd.sock")
    }

    fn kubelet_root(&self) -> PathBuf {
        self.file("kubelet")
    }

    /// Writes a file that holds this text.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        write_private(&path, text)?;
        Ok(path)
    }
}

/// Whether this machine has what a node needs.
///
/// # Errors
/// When it lacks something, with what to install.
pub fn look() -> anyhow::Result<()> {
    Machine::look().map(drop)
}

impl Cluster {
    /// Starts a node and waits until it is ready for pods, with one image on it: [`IMAGE`]. The cluster must have been
    /// started with [`crate::ClusterOptions::with_nodes`].
    ///
    /// # Errors
    /// When this machine lacks something, with what to install, or a part does not become ready.
    pub async fn start_node(&self) -> anyhow::Result<Node> {
        self.takes_nodes()?;
        let machine = Machine::look()?;
        // Found before anything starts: a first build takes minutes.
        tools::find_async(Tool::Kubelet).await?;
        let scheduler = tools::find_async(Tool::Scheduler).await?;
        let layout = Layout {
            folder: self.folder().join("node"),
        };
        fs::create_dir(&layout.folder).context("this cluster has a node already")?;

        let control_groups = containerd::sweep_control_groups(&layout)?;
        let containerd = containerd::start(&layout, &machine).await?;
        let image = image::build(&layout, &machine).context("no image for the node")?;
        containerd::import(&layout, &machine, &image).await?;
        let kubelet = kubelet::start(self, &layout, &machine).await?;
        let identity = self.identity("system:kube-scheduler").await?;
        let arguments = [
            format!("--kubeconfig={}", identity.kubeconfig().display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        let log = layout.file("kube-scheduler.log");
        let node = Node {
            scheduler: Process::start("kube-scheduler", &scheduler, &arguments, &log)?,
            kubelet,
            containerd,
            layout,
            _control_groups: control_groups,
        };
        node.wait_ready(self).await?;
        Ok(node)
    }
}

impl Node {
    /// The folder on the node's disk that is an `emptyDir` of a pod.
    #[must_use]
    pub fn empty_dir(&self, pod: &str, volume: &str) -> PathBuf {
        self.layout
            .kubelet_root()
            .join("pods")
            .join(pod)
            .join("volumes/kubernetes.io~empty-dir")
            .join(volume)
    }

    /// Process ids of a container, as this machine sees them. The identity is that of a pod's status, with or without
    /// `containerd://`.
    ///
    /// # Errors
    /// When the machine's processes cannot be read.
    pub fn processes_of(&self, container: &str) -> anyhow::Result<Vec<i32>> {
        let container = container.rsplit('/').next().unwrap_or(container);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").context("no list of processes")? {
            let entry = entry.context("no list of processes")?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
                continue;
            };
            // One that has just ended has none.
            let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            if groups.lines().any(|group| group.contains(container)) {
                found.push(pid);
            }
        }
        Ok(found)
    }

    /// Stops the clock of the kubelet (SIGSTOP): its node hears nothing and says nothing, and its containers run on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause_kubelet(&self) -> anyhow::Result<()> {
        self.signal_kubelet(Signal::STOP)
    }

    /// Lets a paused kubelet go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_kubelet(&self) -> anyhow::Result<()> {
        self.signal_kubelet(Signal::CONT)
    }

    fn signal_kubelet(&self, signal: Signal) -> anyhow::Result<()> {
        alive(&self.kubelet)?;
        // What we started entered the namespaces and waits there for its child.
        let parent = self.kubelet.pid();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))
            .context("the kubelet cannot be found")?;
        let child = children.split_whitespace().next();
        let kubelet = child
            .and_then(|pid| Pid::from_raw(pid.parse().ok()?))
            .context("the kubelet is not there")?;
        kill_process(kubelet, signal).context("the kubelet cannot be signalled")
    }

    /// The last lines of every part's log, for messages of failed tests.
    #[must_use]
    pub fn tails(&self, lines: usize) -> String {
        [&self.containerd, &self.kubelet, &self.scheduler]
            .iter()
            .map(|part| format!("--- {}\n{}\n", part.name(), part.tail(lines)))
            .collect()
    }

    async fn wait_ready(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let attempt = || async {
            let node = cluster.admin().get(&["node", NODE]).await?;
            let conditions = node["status"]["conditions"].as_array();
            let ready = conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
            let tainted = node["spec"]["taints"].is_array();
            anyhow::ensure!(ready && !tainted, "{}", node["status"]["conditions"]);
            anyhow::Ok(())
        };
        let ready = eventually("the node is ready", PATIENCE, attempt).await;
        ready.with_context(|| format!("no node; its last words:\n{}", self.tails(15)))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.scheduler.kill();
        // The kubelet lives in a namespace that ends with containerd, and could not be killed from outside it.
        self.containerd.kill();
        self.kubelet.kill();
    }
}

/// Runs a program to its end.
async fn done(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let shown = format!("{} {}", program.display(), arguments.join(" "));
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    crate::kubectl::run(command, &shown, "")
        .await?
        .success()
        .map(drop)
}

/// Fails when a part has ended, with its last words.
fn alive(part: &Process) -> anyhow::Result<()> {
    match part.ended() {
        None => Ok(()),
        Some(status) => bail!(
            "{} has ended ({status}):\n{}",
            part.name(),
            tail(part.log(), 15)
        ),
    }
}
