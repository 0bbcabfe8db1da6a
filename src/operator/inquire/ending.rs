//! Ends the pods of a namespace, each with at most the hold's grace, however long its own.
//!
//! May not: begin. The plan asks only after what will be lost was stored. Between that and the deletes an officer may
//! release: the hold is read again, and again between batches.

use futures::future::join_all;
use jiff::SignedDuration;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::{Client, ResourceExt as _};
use serde_json::Value;

use super::{all, resource};
use crate::api::HoldEffect;
use crate::model::{Ended, Hold, Kind, ObjectKey};
use crate::operator::clock;

/// Pods that are ended at once, between two looks at the hold.
const AT_ONCE: usize = 8;
/// Grace of a pod that names none.
const GRACE: u64 = 30;

/// Asks for the end of every pod that has not finished while the hold with this uid ends processing, and says how many are
/// left.
pub async fn end(client: &Client, hold: &ObjectKey, uid: &str, grace: SignedDuration) -> Ended {
    let longest = grace.as_secs().unsigned_abs().max(1);
    let resource = resource("", "v1", "Pod", "pods");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &hold.namespace, &resource);
    let mut problem = match pods(&api).await {
        Ok(found) => end_all(client, &api, hold, uid, &found, longest)
            .await
            .err(),
        Err(error) => Some(error.to_string()),
    };
    let left = pods(&api).await;
    let remaining = match &left {
        Ok(left) => Some(left.len()),
        Err(error) => {
            problem.get_or_insert_with(|| error.to_string());
            None
        }
    };
    Ended {
        at: clock::now(),
        remaining,
        problem,
    }
}

/// Only pods that were listed before the hold was read again are ended, so that none made after its release is.
async fn end_all(
    client: &Client,
    api: &Api<DynamicObject>,
    hold: &ObjectKey,
    uid: &str,
    found: &[DynamicObject],
    longest: u64,
) -> Result<(), String> {
    let mut problem = None;
    for some in found.chunks(AT_ONCE) {
        if !still_ends(client, hold, uid).await? {
            break;
        }
        let answers = join_all(some.iter().map(|pod| end_one(api, pod, longest))).await;
        problem = problem.or(answers.into_iter().flatten().next());
    }
    problem.map_or(Ok(()), Err)
}

/// Whether the hold is this one, is not released, and still ends processing, as the API server has it now.
async fn still_ends(client: &Client, hold: &ObjectKey, uid: &str) -> Result<bool, String> {
    let api = Api::namespaced_with(client.clone(), &hold.namespace, &Kind::Hold.api_resource());
    let stored: Option<DynamicObject> = api
        .get_opt(&hold.name)
        .await
        .map_err(|error| format!("the hold could not be read again: {error}"))?;
    Ok(stored
        .map(Hold::read)
        .is_some_and(|hold| hold.meta.uid == uid && hold.has(HoldEffect::EndProcessing)))
}

/// Pods that have not finished, but for a node's own, which no API call ends.
async fn pods(api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>, kube::Error> {
    let unfinished = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    let mut found = all(api, unfinished).await?;
    found.retain(|pod| {
        !pod.annotations()
            .contains_key("kubernetes.io/config.mirror")
    });
    Ok(found)
}

async fn end_one(api: &Api<DynamicObject>, pod: &DynamicObject, longest: u64) -> Option<String> {
    let own = pod
        .data
        .pointer("/spec/terminationGracePeriodSeconds")
        .and_then(Value::as_u64)
        .unwrap_or(GRACE);
    let grace = own.min(longest);
    // One that is on its way within the grace is left alone.
    let under_way = pod.metadata.deletion_timestamp.is_some()
        && pod
            .metadata
            .deletion_grace_period_seconds
            .is_some_and(|seconds| seconds.unsigned_abs() <= longest);
    if under_way {
        return None;
    }
    let parameters = DeleteParams {
        grace_period_seconds: Some(u32::try_from(grace).unwrap_or(u32::MAX)),
        preconditions: Some(Preconditions {
            uid: pod.metadata.uid.clone(),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api.delete(&pod.name_any(), &parameters).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.is_not_found() || status.code == 409 => None,
        Err(error) => Some(error.to_string()),
    }
}
