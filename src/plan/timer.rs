//! The podless Job that closes a path when nobody of ours is alive.
//!
//! `parallelism: 0` runs no pod; the deadline fails the Job, its time-to-live of zero deletes it, and the garbage
//! collector deletes the policy that names it as owner. What a timer proves rests on the clock of the cluster's
//! controllers: `startTime` is theirs.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::path::PathEnd;
use super::reason::Obstacle;
use crate::api::names::{
    ANNOTATION_CLOSES_AT, ANNOTATION_GRANT, ANNOTATION_REQUESTED_AT, MANAGER_TIMER, PART_TIMER,
};
use crate::model::{Kind, ObjectKey, ObservedTimer, Target, World};

/// How far clocks may differ. Job start times are whole seconds, so one second is noise.
const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// How long a controller may take to start a timer before somebody should look.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// A timer that ends this much too early is left alone. Whole seconds cost up to one at each end.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What a path's timer proves.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing yet; the Job that must stand, and what stands in the way. A path that was open may stay open only where
    /// `holds` names the running timer.
    NotYet {
        /// The Job that must stand; none where the present one must go first.
        job: Option<Box<Job>>,
        /// What stands in the way.
        obstacle: Obstacle,
        /// Uid of a timer that runs and is only being set to another end.
        holds: Option<String>,
        /// When to look again.
        next: Option<Timestamp>,
    },
    /// It runs and ends in time.
    Proven {
        /// The Job as it must stay.
        job: Box<Job>,
        /// Its uid.
        uid: String,
    },
}

/// When a running timer deletes itself: its start plus its deadline.
#[must_use]
pub fn deadline_of(timer: &ObservedTimer) -> Option<Timestamp> {
    let seconds = SignedDuration::from_secs(timer.deadline_seconds?);
    timer.started?.checked_add(seconds).ok()
}

/// Judges the timer of one end of a path.
pub(super) fn judge(world: &World, end: &PathEnd, now: Timestamp) -> Verdict {
    let target = Target::new(Kind::Job, ObjectKey::new(&end.namespace, &end.name));
    let not_yet = |job: Option<Job>, obstacle| Verdict::NotYet {
        job: job.map(Box::new),
        obstacle,
        holds: None,
        next: None,
    };
    let Some(timer) = world.timer(&target.key) else {
        let seconds = whole_seconds(now, end.closes_at);
        if seconds < 1 {
            return not_yet(None, Obstacle::EndTooClose);
        }
        let job = job(end, seconds, &second(now).to_string());
        let obstacle = match world.failure(&target) {
            Some(failure) if failure.category == "NameTaken" => Obstacle::NameTaken {
                object: target.to_string(),
            },
            Some(failure) => Obstacle::TimerRefused {
                message: failure.message.clone(),
            },
            None => Obstacle::TimerStarting,
        };
        return not_yet(Some(job), obstacle);
    };
    if !timer.is_ours(MANAGER_TIMER) {
        return not_yet(
            None,
            Obstacle::NameTaken {
                object: target.to_string(),
            },
        );
    }
    if timer.meta.deleting || timer.finished {
        return not_yet(None, Obstacle::TimerEnding);
    }
    if let Some(what) = altered(timer) {
        let obstacle = Obstacle::TimerAltered {
            timer: end.name.clone(),
            what: what.to_owned(),
        };
        return not_yet(None, obstacle);
    }
    let requested = timer
        .annotations
        .get(ANNOTATION_REQUESTED_AT)
        .cloned()
        .unwrap_or_default();
    let stay = |seconds| job(end, seconds, &requested);
    let stored = timer.deadline_seconds.unwrap_or_default();
    if timer.suspended {
        return not_yet(
            Some(stay(stored)),
            Obstacle::TimerSuspended {
                timer: end.name.clone(),
            },
        );
    }
    if let Some(what) = skew(timer, now) {
        return not_yet(Some(stay(stored)), Obstacle::ClockSkew { what });
    }
    let Some(started) = timer.started else {
        return starting(end, timer, &requested, now);
    };
    let right = whole_seconds(started, end.closes_at);
    let deadline = deadline_of(timer);
    let in_time = deadline.is_some_and(|deadline| deadline <= end.closes_at);
    let close_enough =
        deadline.is_some_and(|deadline| end.closes_at.duration_since(deadline) <= SLACK);
    match (in_time, close_enough) {
        (true, true) => Verdict::Proven {
            job: Box::new(stay(stored)),
            uid: timer.meta.uid.clone(),
        },
        // Longer only once the new end is stored, so that a timer never outlives the end that the status shows.
        (true, false) if end.stored => Verdict::Proven {
            job: Box::new(stay(right)),
            uid: timer.meta.uid.clone(),
        },
        (true, false) => Verdict::Proven {
            job: Box::new(kept(timer, end, stored)),
            uid: timer.meta.uid.clone(),
        },
        (false, _) => Verdict::NotYet {
            job: (right > 0).then(|| Box::new(stay(right))),
            obstacle: Obstacle::TimerTooLong,
            holds: Some(timer.meta.uid.clone()),
            next: None,
        },
    }
}

/// A timer that waits for a controller keeps its deadline, unless its end moved.
fn starting(end: &PathEnd, timer: &ObservedTimer, requested: &str, now: Timestamp) -> Verdict {
    let stored = timer.deadline_seconds.unwrap_or_default();
    let moved = timer.annotations.get(ANNOTATION_CLOSES_AT) != Some(&end.closes_at.to_string());
    let seconds = if moved {
        whole_seconds(now, end.closes_at)
    } else {
        stored
    };
    let impatient = timer
        .meta
        .created
        .and_then(|created| created.checked_add(PATIENCE).ok());
    let obstacle = if impatient.is_some_and(|instant| now >= instant) {
        Obstacle::TimerNotStarted {
            timer: end.name.clone(),
        }
    } else {
        Obstacle::TimerStarting
    };
    let job = (seconds > 0).then(|| Box::new(job(end, seconds, requested)));
    Verdict::NotYet {
        job,
        obstacle,
        holds: None,
        next: impatient,
    }
}

/// The Job as it stands, until the new end is stored.
fn kept(timer: &ObservedTimer, end: &PathEnd, seconds: i64) -> Job {
    let mut job = job(
        end,
        seconds,
        timer
            .annotations
            .get(ANNOTATION_REQUESTED_AT)
            .map_or("", String::as_str),
    );
    if let (Some(annotations), Some(closes_at)) = (
        job.metadata.annotations.as_mut(),
        timer.annotations.get(ANNOTATION_CLOSES_AT),
    ) {
        annotations.insert(ANNOTATION_CLOSES_AT.to_owned(), closes_at.clone());
    }
    job
}

fn altered(timer: &ObservedTimer) -> Option<&'static str> {
    if timer
        .managed_by
        .as_deref()
        .is_some_and(|controller| controller != "kubernetes.io/job-controller")
    {
        Some("another controller manages it")
    } else if !timer.finalizers.is_empty() {
        Some("it has finalizers, which would keep it and its path standing")
    } else if !timer.owners.is_empty() {
        Some("it has owners")
    } else {
        None
    }
}

/// Messages never name the present instant: a status that changes with every look would be written with every look.
///
/// Three clocks meet in a timer: ours, the API server's (creation) and the controllers' (start). A controller that is
/// behind would let the path stand too long once its deadline is counted from that start.
fn skew(timer: &ObservedTimer, now: Timestamp) -> Option<String> {
    let created = timer.meta.created?;
    let requested: Option<Timestamp> = timer
        .annotations
        .get(ANNOTATION_REQUESTED_AT)
        .and_then(|text| text.parse().ok());
    if created.duration_since(now) > SKEW {
        return Some(format!(
            "the API server stored the timer at {created}, which is yet to come by our clock"
        ));
    }
    if let Some(requested) = requested
        && requested.duration_since(created) > SKEW
    {
        return Some(format!(
            "the timer was asked for at {requested} by our clock and stored at {created} by the API server's"
        ));
    }
    let started = timer.started?;
    if created.duration_since(started) > SKEW {
        return Some(format!(
            "the timer was stored at {created} and started at {started} by the controllers' clock"
        ));
    }
    if started.duration_since(now) > SKEW {
        return Some(format!(
            "the timer started at {started} by the controllers' clock, which is yet to come by ours"
        ));
    }
    None
}

/// Whole seconds from one instant to another, rounded down: a timer may end early, never late.
fn whole_seconds(from: Timestamp, until: Timestamp) -> i64 {
    until.duration_since(from).as_secs()
}

fn second(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

fn job(end: &PathEnd, deadline_seconds: i64, requested_at: &str) -> Job {
    let annotations = [
        (ANNOTATION_GRANT.to_owned(), end.grant.name.clone()),
        (ANNOTATION_CLOSES_AT.to_owned(), end.closes_at.to_string()),
        (ANNOTATION_REQUESTED_AT.to_owned(), requested_at.to_owned()),
    ];
    Job {
        metadata: ObjectMeta {
            name: Some(end.name.clone()),
            namespace: Some(end.namespace.clone()),
            labels: Some(end.labels(PART_TIMER)),
            annotations: Some(annotations.into()),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            parallelism: Some(0),
            active_deadline_seconds: Some(deadline_seconds),
            ttl_seconds_after_finished: Some(0),
            template: no_pod(),
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// A template is required; it is never run. It keeps to the restricted Pod Security Standard, so that no admission of the
/// tenant's namespace stumbles over it.
fn no_pod() -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: None,
        spec: Some(PodSpec {
            restart_policy: Some("Never".to_owned()),
            automount_service_account_token: Some(false),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            containers: vec![Container {
                name: "never-run".to_owned(),
                image: Some("never-run".to_owned()),
                security_context: Some(SecurityContext {
                    allow_privilege_escalation: Some(false),
                    capabilities: Some(Capabilities {
                        add: None,
                        drop: Some(vec!["ALL".to_owned()]),
                    }),
                    ..SecurityContext::default()
                }),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
    }
}
