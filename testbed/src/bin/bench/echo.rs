//! The controller to compare with: one object in, one policy out. What a cluster makes anybody wait who answers an object
//! with a policy.
//!
//! May not: do more. No store, no status, no retry; the whole of it is a watch and a POST.

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};

use crate::objects::{created, path_policy, policies};

/// Its namespace, where the objects that it copies are made.
pub const NAMESPACE: &str = "echo";
/// Objects with this label are answered with a policy.
pub const LABEL: &str = "bench=echo";

/// Runs until its watch ends.
pub async fn run(client: Client) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let out: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &policies());
    let mut stream = maps
        .watch(&WatchParams::default().labels(LABEL), "0")
        .await
        .context("no watch")?
        .boxed();
    while let Some(event) = stream.next().await {
        if let Ok(WatchEvent::Added(map)) = event {
            created(&out, path_policy(&map.name_any())).await?;
        }
    }
    Ok(())
}
