//! Whether Jobs have finished and Pods have ended, and when: metadata does not say.
//!
//! May not: read an object twice that has not changed; the plan asks again when it has.

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject};
use serde_json::Value;

use super::resource;
use crate::model::{ObjectKey, ResourceKind};

/// What was read of one object.
#[derive(Debug)]
pub struct Completion {
    /// Its kind.
    pub kind: ResourceKind,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// The resourceVersion of which this is true.
    pub version: String,
    /// When it completed, if it has.
    pub completed: Option<Timestamp>,
}

/// Reads them one by one. One that is gone or cannot be read is left out.
pub async fn completions(
    client: &Client,
    objects: &[(ResourceKind, ObjectKey, String, String)],
) -> Vec<Completion> {
    let mut read = Vec::new();
    for (kind, key, uid, _) in objects {
        let plural = match (kind.group.as_str(), kind.kind.as_str()) {
            ("batch", "Job") => "jobs",
            ("", "Pod") => "pods",
            _ => continue,
        };
        let resource = resource(&kind.group, &kind.version, &kind.kind, plural);
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &key.namespace, &resource);
        match api.get(&key.name).await {
            Ok(object) if object.metadata.uid.as_deref() == Some(uid) => read.push(Completion {
                kind: kind.clone(),
                key: key.clone(),
                uid: uid.clone(),
                version: object.metadata.resource_version.unwrap_or_default(),
                completed: completed(&kind.kind, &object.data),
            }),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, object = %key, "a completion could not be read"),
        }
    }
    read
}

/// As the guard reads it (`charts/covenant/guards/retention.yaml`).
fn completed(kind: &str, data: &Value) -> Option<Timestamp> {
    let text = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    if kind == "Job" {
        let conditions = data.pointer("/status/conditions")?.as_array()?;
        let over = conditions.iter().find(|condition| {
            matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
                && condition["status"] == "True"
        })?;
        return text(&over["lastTransitionTime"]);
    }
    if !matches!(
        data.pointer("/status/phase")?.as_str(),
        Some("Succeeded" | "Failed")
    ) {
        return None;
    }
    let listed = |field: &str| data.pointer(field).and_then(Value::as_array);
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .into_iter()
        .filter_map(listed)
        .flatten()
        .filter_map(|container| text(container.pointer("/state/terminated/finishedAt")?))
        .max()
}
