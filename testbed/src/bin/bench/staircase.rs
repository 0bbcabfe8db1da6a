//! The limit to compare with: a controller that takes the operator's own steps for one object and nothing else. The end is
//! stored beside the timer, the cluster's Job controller starts the timer, and the policy that it owns is stored.
//!
//! May not: decide, check, read back, report or mend. What the operator costs above this is its own; what this costs above the
//! copying controller is the price of a path that closes with nobody of ours alive.

use std::collections::BTreeSet;

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::objects::{created, jobs, path_policy, policies};

/// Its namespace. It is not enrolled: no guard looks at what is written here.
pub const NAMESPACE: &str = "staircase";
/// Objects with this label are answered with a timer and a policy.
pub const LABEL: &str = "bench=staircase";

/// Runs until a watch ends.
pub async fn run(client: Client) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let timers: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &jobs());
    let paths: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &policies());
    let mut asked = maps
        .watch(&WatchParams::default().labels(LABEL), "0")
        .await
        .context("no watch")?
        .boxed();
    let mut running = timers
        .watch(&WatchParams::default(), "0")
        .await
        .context("no watch")?
        .boxed();
    let mut opened = BTreeSet::new();
    let mut writes = JoinSet::new();
    loop {
        tokio::select! {
            Some(event) = asked.next() => if let Ok(WatchEvent::Added(map)) = event {
                writes.spawn(prepare(maps.clone(), timers.clone(), map.name_any()));
            },
            Some(event) = running.next() => {
                let (Ok(WatchEvent::Added(job)) | Ok(WatchEvent::Modified(job))) = event else {
                    continue;
                };
                let started = job.data.pointer("/status/startTime").is_some();
                if started && opened.insert(job.name_any()) {
                    writes.spawn(open(paths.clone(), job));
                }
            },
            Some(result) = writes.join_next() => result.context("a write broke off")??,
            else => return Ok(()),
        }
    }
}

async fn prepare(
    maps: Api<ConfigMap>,
    timers: Api<DynamicObject>,
    name: String,
) -> anyhow::Result<()> {
    let end = Patch::Merge(json!({ "data": { "closesAt": "2027-01-01T00:00:00Z" } }));
    let store = async {
        maps.patch(&name, &PatchParams::default(), &end)
            .await
            .context("the end is refused")
    };
    let (stored, timer) = tokio::join!(store, created(&timers, timer(&name)));
    stored.and(timer)
}

async fn open(paths: Api<DynamicObject>, timer: DynamicObject) -> anyhow::Result<()> {
    let mut policy = path_policy(&timer.name_any());
    policy["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "name": timer.name_any(), "uid": timer.metadata.uid
    }]);
    created(&paths, policy).await
}

fn timer(name: &str) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
        "spec": {
            "parallelism": 0, "activeDeadlineSeconds": 86400, "ttlSecondsAfterFinished": 0,
            "template": { "spec": {
                "restartPolicy": "Never", "containers": [{ "name": "never-run", "image": "never-run" }]
            } }
        }
    })
}
