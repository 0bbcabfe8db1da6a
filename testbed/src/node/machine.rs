//! What a node takes from the machine that it runs on.
//!
//! May not: install or start anything. It looks, and says at once all that is missing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The package that has each program, where packages are called as in Debian.
const PROGRAMS: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("busybox", "busybox-static"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("tar", "tar"),
];
/// Where distributions put the plugins that give pods a network.
const PLUGIN_FOLDERS: [&str; 4] = [
    "/usr/lib/cni",
    "/opt/cni/bin",
    "/usr/libexec/cni",
    "/usr/lib/cni/bin",
];
/// The plugins that are used.
pub(super) const PLUGINS: [&str; 3] = ["ptp", "host-local", "loopback"];

/// Paths of what was found.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub containerd: PathBuf,
    pub ctr: PathBuf,
    pub busybox: PathBuf,
    pub unshare: PathBuf,
    pub nsenter: PathBuf,
    pub tar: PathBuf,
    pub plugins: PathBuf,
}

impl Machine {
    /// Looks for everything.
    pub(super) fn look() -> anyhow::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("a real node needs root: it makes namespaces, mounts and control groups");
        }
        let mut missing = Vec::new();
        let mut packages = Vec::new();
        let mut lacks = |what: &str, package: &'static str| {
            missing.push(what.to_owned());
            if !packages.contains(&package) {
                packages.push(package);
            }
        };
        for (program, package) in PROGRAMS {
            if on_path(program).is_none() {
                lacks(program, package);
            }
        }
        let plugins = PLUGIN_FOLDERS
            .iter()
            .map(Path::new)
            .find(|folder| PLUGINS.iter().all(|plugin| folder.join(plugin).is_file()));
        if plugins.is_none() {
            lacks("the CNI plugins", "containernetworking-plugins");
        }
        let found = |program: &str| on_path(program).unwrap_or_default();
        let machine = Self {
            containerd: found("containerd"),
            ctr: found("ctr"),
            busybox: found("busybox"),
            unshare: found("unshare"),
            nsenter: found("nsenter"),
            tar: found("tar"),
            plugins: plugins.map(Path::to_owned).unwrap_or_default(),
        };
        if !missing.is_empty() {
            bail!(
                "not on this machine: {}. Where packages are called as in Debian: apt-get install {}",
                missing.join(", "),
                packages.join(" ")
            );
        }
        Ok(machine)
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
