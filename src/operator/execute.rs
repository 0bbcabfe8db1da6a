//! Carries out writes. A plan left no choices: each change is one request.
//!
//! May not: decide, or retry. What fails is reported, and the schedule decides when it is tried again.

use std::time::Duration;

use kube::Client;
use kube::api::{
    Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use kube::core::Status;
use kube::core::response::StatusSummary;
use serde_json::json;

use super::error::{Category, WriteError};
use crate::diff::{Action, Change};
use crate::model::{Kind, PODS_MARKED_THROUGH, Target};

/// How long one request may take. The client's own patience would be minutes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a write came to.
#[derive(Debug)]
pub enum Written {
    /// The object as it is now stored.
    Stored(Box<DynamicObject>),
    /// It is gone, or soon will be; the stream says when.
    Gone {
        /// Its uid.
        uid: String,
    },
}

/// Carries out one change.
///
/// # Errors
/// When the API server said no, or nothing in time.
pub async fn write(client: &Client, change: &Change) -> Result<Written, WriteError> {
    let target = &change.target;
    let request = request(client, change);
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(result) => result.map_err(|error| refused(target, error)),
        Err(_) => Err(WriteError::Timeout {
            target: target.clone(),
            after: PATIENCE,
        }),
    }
}

/// Reads an object whose name turned out to be taken.
pub async fn read(client: &Client, target: &Target) -> Option<DynamicObject> {
    let api = api(client, target);
    tokio::time::timeout(PATIENCE, api.get(&target.key.name))
        .await
        .ok()?
        .ok()
}

async fn request(client: &Client, change: &Change) -> Result<Written, kube::Error> {
    let api = api(client, &change.target);
    let name = change.target.key.name.as_str();
    let apply = || {
        PatchParams::apply(change.manager)
            .force()
            .validation_strict()
    };
    let stored = |object| Written::Stored(Box::new(object));
    match &change.action {
        Action::Create { body } => {
            let object: DynamicObject =
                serde_json::from_value(body.clone()).map_err(kube::Error::SerdeError)?;
            let params = PostParams {
                field_manager: Some(change.manager.to_owned()),
                ..PostParams::default()
            };
            api.create(&params, &object).await.map(stored)
        }
        Action::Apply { body } => api
            .patch(name, &apply(), &Patch::Apply(body))
            .await
            .map(stored),
        // A merge patch, because an apply leaves standing what others own: a status that somebody forged before the guards
        // stood is replaced whole, its conditions too, and what is absent is `null` in the body and goes.
        Action::ReplaceStatus { body } => {
            let params = PatchParams {
                field_manager: Some(change.manager.to_owned()),
                ..PatchParams::default()
            };
            api.patch_status(name, &params, &Patch::Merge(body))
                .await
                .map(stored)
        }
        Action::Replace { body } | Action::Merge { body } => {
            let params = PatchParams {
                field_manager: Some(change.manager.to_owned()),
                ..PatchParams::default()
            };
            api.patch(name, &params, &Patch::Merge(body))
                .await
                .map(stored)
        }
        // Not by force: a word that somebody else writes meanwhile is a conflict, and stays.
        Action::Mark { body } => {
            let params = PatchParams::apply(change.manager).validation_strict();
            let patch = Patch::Apply(body);
            match change.target.kind {
                Kind::Pod => {
                    api.patch_subresource(PODS_MARKED_THROUGH, name, &params, &patch)
                        .await
                }
                _ => api.patch(name, &params, &patch).await,
            }
            .map(stored)
        }
        Action::StripFinalizers { uid } => {
            let patch = json!({ "metadata": { "uid": uid, "finalizers": null } });
            api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .map(stored)
        }
        Action::Delete { uid } => {
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: Some(uid.clone()),
                    resource_version: None,
                }),
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            let gone = || Written::Gone { uid: uid.clone() };
            match api.delete(name, &params).await {
                Ok(answer) => Ok(answer.either(stored, |_| gone())),
                // The timer was first: a path has two that close it, and either may find it done.
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(gone()),
                Err(error) => Err(error),
            }
        }
    }
}

fn api(client: &Client, target: &Target) -> Api<DynamicObject> {
    let resource = target.kind.api_resource();
    if target.kind.is_namespaced() {
        Api::namespaced_with(client.clone(), &target.key.namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    }
}

fn refused(target: &Target, error: kube::Error) -> WriteError {
    let target = target.clone();
    match error {
        kube::Error::Api(status) => WriteError::Refused {
            category: category(&status),
            retry_after: retry_after(&status),
            message: message(&status),
            target,
        },
        other => WriteError::Transport {
            target,
            source: Box::new(other),
        },
    }
}

/// How long the API server asks to be left alone. Where it sheds load it says so in a header that the client does not
/// pass on, with a text that is no status; it never asks for less than a second.
fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status
        .details
        .as_ref()
        .map_or(0, |details| details.retry_after_seconds);
    let least = u32::from(status.code == 429);
    Some(Duration::from_secs(u64::from(seconds.max(least)))).filter(|wait| !wait.is_zero())
}

fn category(status: &Status) -> Category {
    if status.is_already_exists() {
        Category::NameTaken
    } else {
        match status.code {
            404 => Category::NotFound,
            409 => Category::Conflict,
            401 | 403 => Category::Forbidden,
            400 | 422 => Category::Invalid,
            429 => Category::TooManyRequests,
            _ => Category::Unavailable,
        }
    }
}

fn message(status: &Status) -> String {
    if status.message.is_empty() {
        let failed = matches!(status.status, Some(StatusSummary::Failure));
        format!(
            "{} ({}{})",
            status.reason,
            status.code,
            if failed { "" } else { ", no failure" }
        )
    } else {
        status.message.clone()
    }
}

/// Whether an object under a name that was taken may enter the World: timers only under our label, because the stream
/// tells of no others, and nobody would say when it is gone.
#[must_use]
pub fn may_enter(kind: Kind, object: &DynamicObject) -> bool {
    use crate::api::names::{LABEL_MANAGED_BY, MANAGED_BY_COVENANT};
    kind != Kind::Job
        || object
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(LABEL_MANAGED_BY))
            .map(String::as_str)
            == Some(MANAGED_BY_COVENANT)
}
