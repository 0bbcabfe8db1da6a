//! What EndProcessing will lose and what will not come back, out of what was found running.
//!
//! May not: leave out what is not known to survive.

use std::collections::BTreeMap;

use super::status::shortened;
use crate::api::Loss;
use crate::model::{Survey, SurveyedPod};

/// Longest message of a loss, in bytes.
const MESSAGE: usize = 256;

/// Every loss, sorted.
pub(super) fn losses(survey: &Survey) -> Vec<Loss> {
    let mut losses: Vec<Loss> = survey.ending().flat_map(of_pod).collect();
    let mut of_jobs: BTreeMap<&str, i64> = BTreeMap::new();
    for pod in survey.ending() {
        if let Some((kind, name)) = &pod.controller
            && kind == "Job"
        {
            *of_jobs.entry(name).or_default() += 1;
        }
    }
    for (job, pods) in of_jobs {
        let left = survey.jobs.get(job).copied().unwrap_or_default();
        if pods > left {
            losses.push(loss(
                "JobAtItsLimit",
                format!("Job/{job}"),
                format!("an ended pod counts as failed; {pods} end and {left} more may fail, so the Job fails for good"),
            ));
        }
    }
    for (name, schedule) in &survey.cron_jobs {
        losses.push(loss(
            "MissedRuns",
            format!("CronJob/{name}"),
            format!("runs that fall due while the hold stands ({schedule}) are not made up, but for the last within its starting deadline"),
        ));
    }
    losses.sort();
    losses
}

fn of_pod(pod: &SurveyedPod) -> Vec<Loss> {
    let object = format!("Pod/{}", pod.name);
    let mut losses: Vec<Loss> = pod
        .empty_dirs
        .iter()
        .map(|volume| {
            loss(
                "EmptyDir",
                object.clone(),
                format!("volume {volume} goes with the pod and does not come back"),
            )
        })
        .collect();
    if pod.running {
        losses.push(loss(
            "Logs",
            object.clone(),
            "its logs on the node go with the pod, unless they were collected elsewhere".to_owned(),
        ));
    }
    if pod.controller.is_none() {
        losses.push(loss(
            "BarePod",
            object,
            "no controller makes it again: it does not come back".to_owned(),
        ));
    }
    losses
}

fn loss(kind: &str, object: String, message: String) -> Loss {
    Loss {
        kind: kind.to_owned(),
        object,
        // A schedule may be longer than the field; a status that is too long is not stored at all.
        message: shortened(&message, MESSAGE),
    }
}
