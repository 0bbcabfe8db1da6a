//! After a release, workloads come back by themselves, but their controllers have backed off, for minutes after a long
//! hold. A change of their objects makes them look at once: an annotation, put on and taken off again.
//!
//! May not: change a spec. It writes through `status`, by which none can be changed, and leaves nothing behind.

use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::{all, resource};
use crate::api::names::ANNOTATION_NUDGE;
use crate::operator::clock;

/// An API server that has not seen the release yet would refuse the pods once more; the second round is for that.
const ROUNDS: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// Nudges what lacks pods.
///
/// # Errors
/// When the workloads cannot be listed or written.
pub async fn nudge(client: &Client, namespace: &str) -> Result<(), kube::Error> {
    for wait in ROUNDS {
        tokio::time::sleep(wait).await;
        for (group, kind, plural) in [
            ("apps", "ReplicaSet", "replicasets"),
            ("apps", "StatefulSet", "statefulsets"),
            ("apps", "DaemonSet", "daemonsets"),
            ("batch", "Job", "jobs"),
            ("", "ReplicationController", "replicationcontrollers"),
        ] {
            let resource = resource(group, "v1", kind, plural);
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &resource);
            for object in &all(&api, ListParams::default()).await? {
                // One that is there was put on by an operator that died before it took it off again.
                let left = object.annotations().contains_key(ANNOTATION_NUDGE);
                if lacks_pods(&object.data) {
                    annotate(&api, object, json!(clock::now().to_string())).await?;
                    annotate(&api, object, Value::Null).await?;
                } else if left {
                    annotate(&api, object, Value::Null).await?;
                }
            }
        }
    }
    Ok(())
}

fn lacks_pods(data: &Value) -> bool {
    let number = |pointer: &str| data.pointer(pointer).and_then(Value::as_i64);
    // A Job counts what runs, and wants no more than it has left to complete.
    if let Some(parallelism) = number("/spec/parallelism") {
        let suspended = data.pointer("/spec/suspend") == Some(&Value::Bool(true));
        let left = number("/spec/completions")
            .map(|completions| completions - number("/status/succeeded").unwrap_or_default());
        let wanted = left.map_or(parallelism, |left| left.min(parallelism));
        return !suspended
            && !is_finished(data)
            && number("/status/active").unwrap_or_default() < wanted;
    }
    let wanted = number("/spec/replicas")
        .or_else(|| number("/status/desiredNumberScheduled"))
        .unwrap_or(1);
    let there = number("/status/replicas")
        .or_else(|| number("/status/currentNumberScheduled"))
        .unwrap_or_default();
    there < wanted
}

fn is_finished(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        (condition["type"] == "Complete" || condition["type"] == "Failed")
            && condition["status"] == "True"
    })
}

async fn annotate(
    api: &Api<DynamicObject>,
    object: &DynamicObject,
    value: Value,
) -> Result<(), kube::Error> {
    let patch = json!({ "metadata": { "uid": object.metadata.uid, "annotations": { ANNOTATION_NUDGE: value } } });
    match api
        .patch_status(
            &object.name_any(),
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await
    {
        Ok(_) => Ok(()),
        // Gone, or made anew, in the meantime.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.code == 409 => Ok(()),
        // Somebody's webhook, say. It comes back later, by itself; a release does not wait for it.
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            tracing::warn!(object = %object.name_any(), error = %status, "a workload could not be nudged; its controller looks by itself in a while");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lacks_pods;

    #[test]
    fn what_lacks_pods_is_nudged_and_nothing_else() {
        for (lacks, data) in [
            (
                true,
                json!({ "spec": { "replicas": 2 }, "status": { "replicas": 1 } }),
            ),
            (true, json!({ "spec": { "replicas": 1 } })),
            (false, json!({ "spec": { "replicas": 0 } })),
            (
                false,
                json!({ "spec": { "replicas": 2 }, "status": { "replicas": 2 } }),
            ),
            (
                true,
                json!({ "status": { "desiredNumberScheduled": 3, "currentNumberScheduled": 2 } }),
            ),
            (
                false,
                json!({ "status": { "desiredNumberScheduled": 3, "currentNumberScheduled": 3 } }),
            ),
            (
                true,
                json!({ "spec": { "parallelism": 1, "completions": 1 }, "status": {} }),
            ),
            (
                false,
                json!({ "spec": { "parallelism": 1, "completions": 1 }, "status": { "active": 1 } }),
            ),
            (
                false,
                json!({ "spec": { "parallelism": 2, "completions": 2 }, "status": { "succeeded": 1, "active": 1 } }),
            ),
            (
                true,
                json!({ "spec": { "parallelism": 2 }, "status": { "active": 1 } }),
            ),
            // A timer runs no pods; a Job that is suspended or finished wants none.
            (false, json!({ "spec": { "parallelism": 0 } })),
            (
                false,
                json!({ "spec": { "parallelism": 1, "suspend": true } }),
            ),
            (
                false,
                json!({ "spec": { "parallelism": 1 }, "status": { "conditions": [{ "type": "Failed", "status": "True" }] } }),
            ),
            (
                true,
                json!({ "spec": { "parallelism": 1 }, "status": { "conditions": [{ "type": "Failed", "status": "False" }] } }),
            ),
        ] {
            assert_eq!(lacks_pods(&data), lacks, "{data}");
        }
    }
}
