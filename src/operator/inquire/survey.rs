//! Counts what there is in a namespace with holds, and reads what runs there.
//!
//! May not: read what is in an object that is only counted. Counting takes one request a kind, however many there are: a
//! list of one, which says how many remain.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams};
use kube::{Client, ResourceExt as _};

use super::{all, resource, short};
use crate::model::{Survey, SurveyedKind, SurveyedPod};
use crate::operator::clock;

/// Most failures of a Job where it names none.
const BACKOFF_LIMIT: i32 = 6;

/// Surveys a namespace. What may not be listed is left out and said to be.
pub async fn survey(
    client: &Client,
    namespace: &str,
    fingerprint: &str,
    labels: &BTreeMap<String, BTreeMap<String, String>>,
) -> Survey {
    let mut survey = Survey {
        fingerprint: fingerprint.to_owned(),
        at: clock::now(),
        ..Survey::default()
    };
    for kind in SurveyedKind::ALL {
        let api = api(client, namespace, kind);
        survey
            .counts
            .insert(kind, said(namespace, kind, count(&api).await));
        for (hold, labels) in labels {
            let counted = said(namespace, kind, count_labelled(&api, labels).await);
            survey
                .labelled
                .entry(hold.clone())
                .or_default()
                .insert(kind, counted);
        }
    }
    let pods = resource("", "v1", "Pod", "pods");
    let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &pods);
    let unfinished = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    match all(&pods, unfinished).await {
        Ok(found) => match found.into_iter().map(pod).collect() {
            Ok(found) => survey.pods = found,
            Err(error) => survey.unread.push(unread(namespace, "pods", &error)),
        },
        Err(error) => survey.unread.push(unread(namespace, "pods", &error)),
    }
    match typed::<Job>(client, namespace, "Job", "jobs").await {
        Ok(found) => survey.jobs = found.iter().filter_map(job).collect(),
        Err(error) => survey.unread.push(unread(namespace, "jobs", &error)),
    }
    match typed::<CronJob>(client, namespace, "CronJob", "cronjobs").await {
        Ok(found) => survey.cron_jobs = found.iter().filter_map(cron_job).collect(),
        Err(error) => survey.unread.push(unread(namespace, "cronjobs", &error)),
    }
    survey
}

fn unread(namespace: &str, plural: &str, error: &kube::Error) -> String {
    tracing::warn!(namespace, plural, %error, "cannot be listed; what would be lost is not known");
    format!("{plural}: {}", short(&error.to_string()))
}

fn api(client: &Client, namespace: &str, kind: SurveyedKind) -> Api<DynamicObject> {
    let resource = resource(kind.group, kind.version, kind.kind, kind.plural);
    Api::namespaced_with(client.clone(), namespace, &resource)
}

fn said(namespace: &str, kind: SurveyedKind, counted: Result<i64, kube::Error>) -> Option<i64> {
    counted
        .map_err(|error| tracing::warn!(namespace, kind = kind.kind, %error, "cannot be counted"))
        .ok()
}

async fn count(api: &Api<DynamicObject>) -> Result<i64, kube::Error> {
    let page = api.list_metadata(&ListParams::default().limit(1)).await?;
    let first = i64::try_from(page.items.len()).unwrap_or(i64::MAX);
    Ok(first.saturating_add(page.metadata.remaining_item_count.unwrap_or_default()))
}

/// With a selector the API server does not say how many remain.
async fn count_labelled(
    api: &Api<DynamicObject>,
    labels: &BTreeMap<String, String>,
) -> Result<i64, kube::Error> {
    let selector: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut parameters = ListParams::default()
        .labels(&selector.join(","))
        .limit(super::PAGE);
    let mut counted: i64 = 0;
    loop {
        let page = api.list_metadata(&parameters).await?;
        counted = counted.saturating_add(i64::try_from(page.items.len()).unwrap_or(i64::MAX));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(counted),
        }
    }
}

async fn typed<T: serde::de::DeserializeOwned>(
    client: &Client,
    namespace: &str,
    kind: &str,
    plural: &str,
) -> Result<Vec<T>, kube::Error> {
    let resource = resource("batch", "v1", kind, plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let found = all(&api, ListParams::default()).await?;
    let typed = found.into_iter().map(object_as);
    typed
        .collect::<Result<_, _>>()
        .map_err(kube::Error::SerdeError)
}

fn object_as<T: serde::de::DeserializeOwned>(
    object: DynamicObject,
) -> Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(object)?)
}

fn pod(object: DynamicObject) -> Result<SurveyedPod, kube::Error> {
    let pod: Pod = object_as(object).map_err(kube::Error::SerdeError)?;
    let controller = pod
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| (owner.kind.clone(), owner.name.clone()));
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    let mut surveyed = SurveyedPod {
        name: pod.name_any(),
        controller,
        mirror: pod
            .annotations()
            .contains_key("kubernetes.io/config.mirror"),
        running: pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            == Some("Running"),
        ..SurveyedPod::default()
    };
    for volume in volumes {
        if volume.empty_dir.is_some() {
            surveyed.empty_dirs.push(volume.name.clone());
        }
        if let Some(claim) = &volume.persistent_volume_claim
            && claim.read_only != Some(true)
        {
            surveyed.written_claims.push(claim.claim_name.clone());
        }
    }
    Ok(surveyed)
}

/// How many more failures a Job that has not finished may have.
fn job(job: &Job) -> Option<(String, i64)> {
    let status = job.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let finished = conditions.into_iter().flatten().any(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    });
    let limit = job
        .spec
        .as_ref()
        .and_then(|spec| spec.backoff_limit)
        .unwrap_or(BACKOFF_LIMIT);
    let failed = status.and_then(|status| status.failed).unwrap_or_default();
    (!finished).then(|| {
        (
            job.name_any(),
            i64::from(limit.saturating_sub(failed).max(0)),
        )
    })
}

fn cron_job(cron_job: &CronJob) -> Option<(String, String)> {
    let spec = cron_job.spec.as_ref()?;
    (spec.suspend != Some(true)).then(|| (cron_job.name_any(), spec.schedule.clone()))
}
