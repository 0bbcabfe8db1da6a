//! A node that runs nothing: it binds pods, says that they run, and lets them end after the grace that they were given.
//!
//! It stands in for the scheduler and the kubelet where a test is about what the API server and the controllers do with
//! pods. May not: go round admission. A pod that may not be bound stays pending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::cluster::Cluster;
use crate::kubeconfig;

/// Name of the node.
pub const NODE: &str = "testbed-node";
/// How often it looks.
const STEP: Duration = Duration::from_millis(100);

/// A running agent. Dropping it stops it; its pods stay as they are.
#[derive(Debug)]
pub struct Agent {
    stop: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
}

impl Agent {
    /// How many bindings were refused so far.
    #[must_use]
    pub fn refused_bindings(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Cluster {
    /// Starts a node and its agent.
    ///
    /// # Errors
    /// When the node cannot be registered.
    pub async fn start_agent(&self) -> anyhow::Result<Agent> {
        let client = self.admin().client()?;
        register(&client).await.context("the node is refused")?;
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let config = self.admin().config().clone();
        // A thread and a runtime of its own: the test that starts it may end before the others that use it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the agent")?;
        std::thread::Builder::new()
            .name("testbed-agent".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let Ok(client) = kubeconfig::client(config) else {
                        return;
                    };
                    while !stopped.load(Ordering::Relaxed) {
                        // The API server may be down for a while; that is what some tests are about.
                        let _ = step(&client, &count).await;
                        tokio::time::sleep(STEP).await;
                    }
                });
            })
            .context("no thread for the agent")?;
        Ok(Agent { stop, refused })
    }
}

async fn register(client: &Client) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": NODE, "labels": { "kubernetes.io/hostname": NODE } } });
    let ours = PatchParams::apply("testbed-agent").force();
    nodes.patch(NODE, &ours, &Patch::Apply(&node)).await?;
    let room = json!({ "cpu": "64", "memory": "64Gi", "pods": "1000" });
    let ready = json!({ "status": {
        "capacity": room, "allocatable": room,
        "conditions": [{ "type": "Ready", "status": "True", "reason": "Testbed", "lastHeartbeatTime": "2099-01-01T00:00:00Z" }]
    }});
    nodes
        .patch_status(NODE, &PatchParams::default(), &Patch::Merge(&ready))
        .await?;
    Ok(())
}

async fn step(client: &Client, refused: &AtomicUsize) -> Result<(), kube::Error> {
    let everywhere: Api<Pod> = Api::all(client.clone());
    for pod in everywhere.list(&ListParams::default()).await? {
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let bound = pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some());
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            .unwrap_or("Pending");
        // One pod's trouble is not another's.
        let _ = match &pod.metadata.deletion_timestamp {
            Some(until) if until.0 <= Timestamp::now() || !bound => end(&api, &pod).await,
            Some(_) => Ok(()),
            None if !bound => {
                let bound = bind(client, &pod).await;
                if bound.is_err() {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                bound
            }
            None if phase == "Pending" => run(&api, &pod).await,
            None => Ok(()),
        };
    }
    Ok(())
}

async fn end(api: &Api<Pod>, pod: &Pod) -> Result<(), kube::Error> {
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    api.delete(&pod.name_any(), &now).await.map(drop)
}

async fn bind(client: &Client, pod: &Pod) -> Result<(), kube::Error> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name, "namespace": namespace },
        "target": { "apiVersion": "v1", "kind": "Node", "name": NODE }
    });
    let request = http::Request::post(format!(
        "/api/v1/namespaces/{namespace}/pods/{name}/binding"
    ))
    .header("content-type", "application/json")
    .body(binding.to_string().into_bytes())
    .map_err(kube::Error::HttpError)?;
    client.request_text(request).await.map(drop)
}

async fn run(api: &Api<Pod>, pod: &Pod) -> Result<(), kube::Error> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let now = Timestamp::from_second(Timestamp::now().as_second())
        .unwrap_or_default()
        .to_string();
    let statuses: Vec<_> = containers
        .map(|container| {
            json!({
                "name": container.name, "image": "none", "imageID": "none", "ready": true, "restartCount": 0,
                "state": { "running": { "startedAt": now } }
            })
        })
        .collect();
    let status = json!({ "status": {
        "phase": "Running", "startTime": now, "containerStatuses": statuses,
        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": now }]
    }});
    api.patch_status(
        &pod.name_any(),
        &PatchParams::default(),
        &Patch::Merge(&status),
    )
    .await
    .map(drop)
}
