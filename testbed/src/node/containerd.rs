//! containerd, as the first process of the node's namespaces, and what must be there before it.
//!
//! May not: touch the machine's own mounts, networks or settings. The script below sees to that before containerd runs.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::image::IMAGE;
use super::machine::{Machine, PLUGINS};
use super::{Layout, PATIENCE, alive, done};
use crate::process::{Afterwards, Process};
use crate::wait::eventually;

/// Runs in new process and mount namespaces: `$1` is the node's folder, `$2` its control group, the rest is containerd.
///
/// - Which process the machine knows this one by is written down, for the kubelet to follow it into its namespaces.
/// - The kernel's settings are made unchangeable, and those that a kubelet insists on look as it wants them: it would set
///   what the whole machine does on a panic.
/// - Folders that programs write to by fixed names become empty ones, which end with the node.
/// - Pods get a network that no interface of the machine is in.
/// - Containers get control groups below one of the node's own. With version 2 a group that holds processes can have no
///   children, so the node's own processes are in a group beside them.
const ENTER: &str = r#"
set -e
folder=$1 group=$2
shift 2
read -r pid rest </proc/self/stat
mount -t proc proc /proc
for settings in vm kernel; do
  mount --bind "/proc/sys/$settings" "/proc/sys/$settings"
  mount -o remount,bind,ro "/proc/sys/$settings"
done
mkdir "$folder/settings"
while read -r setting value; do
  echo "$value" >"$folder/settings/${setting##*/}"
  mount --bind "$folder/settings/${setting##*/}" "/proc/sys/$setting"
done <<'END'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END
for written in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$written"; done
: >"$folder/network"
unshare --net="$folder/network" true
groups=/sys/fs/cgroup
if [ -e "$groups/cgroup.controllers" ]; then
  mkdir -p "$groups/$group/node"
  echo $$ >"$groups/$group/node/cgroup.procs"
else
  for groups in /sys/fs/cgroup/*/; do
    [ -e "$groups/cgroup.procs" ] || continue
    mkdir -p "$groups/$group"
    for set in cpuset.cpus cpuset.mems; do
      if [ -e "$groups/$set" ]; then cat "$groups/$set" >"$groups/$group/$set"; fi
    done
    echo $$ >"$groups/$group/cgroup.procs"
  done
fi
echo "$pid" >"$folder/pid"
exec "$@"
"#;

/// Removes the node's control groups once the node is gone; several tries, as it is being killed at that moment.
const SWEEP_GROUPS: &str = r#"
read -r nothing
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  left=
  for groups in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -d "$groups/$1" ] || continue
    find "$groups/$1" -depth -type d -exec rmdir {} \; 2>/dev/null
    if [ -d "$groups/$1" ]; then left=yes; fi
  done
  [ "$left" ] || exit 0
  sleep 0.2
done
"#;

/// The node's control group is called as its cluster's folder, of which there is one on a machine.
fn control_group(layout: &Layout) -> String {
    let cluster = layout.folder.parent().and_then(Path::file_name);
    cluster
        .unwrap_or_default()
        .to_string_lossy()
        .replace('.', "-")
}

pub(super) fn sweep_control_groups(layout: &Layout) -> anyhow::Result<Afterwards> {
    Afterwards::run(SWEEP_GROUPS, Path::new(&control_group(layout)))
}

pub(super) async fn start(layout: &Layout, machine: &Machine) -> anyhow::Result<Process> {
    network(layout, machine).context("no network for pods")?;
    let config = layout.write("containerd.toml", &config(layout))?;
    let arguments = [
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        ENTER,
        "sh",
        &layout.folder.display().to_string(),
        &control_group(layout),
        &machine.containerd.display().to_string(),
        "--config",
        &config.display().to_string(),
    ]
    .map(str::to_owned);
    let log = layout.file("containerd.log");
    let process = Process::start("containerd", &machine.unshare, &arguments, &log)?;
    let socket = layout.socket().display().to_string();
    let attempt = || async {
        alive(&process)?;
        done(&machine.ctr, &["--address", &socket, "version"]).await
    };
    eventually("containerd answers", PATIENCE, attempt)
        .await
        .with_context(|| format!("no containerd; its last words:\n{}", process.tail(15)))?;
    Ok(process)
}

pub(super) async fn import(layout: &Layout, machine: &Machine, image: &Path) -> anyhow::Result<()> {
    let (socket, image) = (
        layout.socket().display().to_string(),
        image.display().to_string(),
    );
    let import = ["--namespace", "k8s.io", "images", "import", image.as_str()];
    let mut arguments = vec!["--address", socket.as_str()];
    arguments.extend(import);
    done(&machine.ctr, &arguments)
        .await
        .context("the image cannot be imported")
}

/// Version 2 of the file is what containerd 1.x reads and 2.x still does.
fn config(layout: &Layout) -> String {
    let file = |name: &str| json!(layout.file(name)).to_string();
    // A process that may not make itself harder to kill than it is, as in many sandboxes, could start no container
    // otherwise. Copies of layers are small here, and need nothing of the file system below, which may be in memory.
    format!(
        r#"version = 2
root = {root}
state = {state}
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = {socket}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {plugins}
conf_dir = {networks}
"#,
        root = file("containerd/root"),
        state = file("containerd/state"),
        socket = json!(layout.socket()),
        plugins = file("cni/plugins"),
        networks = file("cni/networks"),
    )
}

/// Each pod has a link of its own to a network that leads nowhere. The plugins make the other end of the link where they
/// are run, so they are run in that network.
fn network(layout: &Layout, machine: &Machine) -> anyhow::Result<()> {
    let plugins = layout.file("cni/plugins");
    fs::create_dir_all(&plugins)?;
    fs::create_dir_all(layout.file("cni/networks"))?;
    for plugin in PLUGINS {
        let real = machine.plugins.join(plugin);
        let own = plugins.join(plugin);
        if plugin == "host-local" {
            // It gives out addresses, and is run by the plugin before it.
            symlink(real, own)?;
            continue;
        }
        let script = format!(
            "#!/bin/sh\nexec {} --net={} {}\n",
            machine.nsenter.display(),
            layout.file("network").display(),
            real.display()
        );
        fs::write(&own, script)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    }
    let list = json!({
        "cniVersion": "0.4.0", "name": "testbed",
        "plugins": [{ "type": "ptp", "ipam": {
            "type": "host-local", "dataDir": layout.file("cni/addresses"), "ranges": [[{ "subnet": "10.97.0.0/16" }]]
        } }]
    });
    layout
        .write("cni/networks/10-testbed.conflist", &list.to_string())
        .map(drop)
}
