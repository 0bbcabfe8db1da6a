//! Whether Jobs have finished and Pods have ended, and when: metadata does not say.
//!
//! May not: read an object twice that has not changed; the plan asks again when it has.

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DynamicObject};

use super::resource;
use crate::model::{ObjectKey, ResourceKind, completed};

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
                completed: completed(kind, &object.data),
            }),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, object = %key, "a completion could not be read"),
        }
    }
    read
}
