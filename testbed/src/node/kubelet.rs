//! The kubelet, in the namespaces of the node's containerd.
//!
//! May not: be anybody else than a node. It acts as `system:node:…` of the group `system:nodes`, with a certificate.

use std::fs;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::machine::Machine;
use super::{Layout, NODE, PATIENCE, alive};
use crate::cluster::Cluster;
use crate::ports;
use crate::process::Process;
use crate::tools::{self, Tool};
use crate::wait::eventually;

pub(super) async fn start(
    cluster: &Cluster,
    layout: &Layout,
    machine: &Machine,
) -> anyhow::Result<Process> {
    let user = format!("system:node:{NODE}");
    let identity = cluster
        .identity_in_group(&user, Some("system:nodes"))
        .await?;
    let authority = cluster.folder().join("authority.crt");
    let config = config(layout, &json!(authority), ports::free()?);
    let config = layout.write("kubelet.json", &config.to_string())?;
    let first = fs::read_to_string(layout.file("pid"))
        .context("containerd did not say which process it is")?;
    let program = tools::find_async(Tool::Kubelet).await?;
    let arguments = [
        format!("--target={}", first.trim()),
        "--mount".to_owned(),
        "--pid".to_owned(),
        program.display().to_string(),
        format!("--config={}", config.display()),
        format!("--kubeconfig={}", identity.kubeconfig().display()),
        format!("--root-dir={}", layout.kubelet_root().display()),
        format!(
            "--cert-dir={}",
            layout.file("kubelet-certificates").display()
        ),
        format!("--hostname-override={NODE}"),
    ];
    let log = layout.file("kubelet.log");
    let process = Process::start("kubelet", &machine.nsenter, &arguments, &log)?;
    let attempt = || async {
        alive(&process)?;
        cluster.admin().get(&["node", NODE]).await
    };
    eventually("the kubelet registers its node", PATIENCE, attempt)
        .await
        .with_context(|| format!("no kubelet; its last words:\n{}", process.tail(15)))?;
    Ok(process)
}

fn config(layout: &Layout, authority: &Value, port: u16) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", layout.socket().display()),
        "address": "127.0.0.1", "port": port, "readOnlyPort": 0, "healthzPort": 0,
        // Only the cluster's API server has a certificate of this authority and a reason to call.
        "authentication": {
            "anonymous": { "enabled": false }, "webhook": { "enabled": false }, "x509": { "clientCAFile": authority }
        },
        "authorization": { "mode": "AlwaysAllow" },
        // Containers are put below the control group of the node, by name, with either version of control groups.
        "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [], "failCgroupV1": false,
        // The machine is not the node's: its swap and its full disks are none of its business.
        "failSwapOn": false, "localStorageCapacityIsolation": false, "makeIPTablesUtilChains": false,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
            "imagefs.available": "0%", "imagefs.inodesFree": "0%"
        },
        "podLogsDir": layout.file("pod-logs"),
        "volumePluginDir": layout.file("volume-plugins"),
        "resolvConf": "",
    })
}
