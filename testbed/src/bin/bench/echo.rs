//! The controller to compare with: one object in, one policy out. What a cluster makes anybody wait who answers an object
//! with a policy.
//!
//! May not: do more. No store, no status, no retry; the whole of it is a watch and a POST.

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::objects::policies;

/// Its namespace, where the objects that it copies are made.
pub const NAMESPACE: &str = "echo";

/// Runs until its watch ends.
pub async fn run(client: Client) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let out: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &policies());
    let mut stream = maps
        .watch(&WatchParams::default().labels("bench=echo"), "0")
        .await
        .context("no watch")?
        .boxed();
    while let Some(event) = stream.next().await {
        if let Ok(WatchEvent::Added(map)) = event {
            let policy = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": map.name_any() },
                "spec": { "podSelector": { "matchLabels": { "app": "metrics-agent" } }, "policyTypes": ["Egress"],
                    "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }], "ports": [{ "port": 443, "protocol": "TCP" }] }] }
            });
            let policy: DynamicObject = serde_json::from_value(policy).context("no object")?;
            out.create(&PostParams::default(), &policy)
                .await
                .context("refused")?;
        }
    }
    Ok(())
}
