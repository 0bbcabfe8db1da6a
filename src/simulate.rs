//! A cluster in miniature: what the World becomes when a plan's changes are written and the cluster's own controllers act.
//!
//! It stands in for the API server (uids, generations, field managers), the Job controller (start times, deadlines,
//! time-to-live) and the garbage collector (what a Job owns goes with it). Offline planning runs it until nothing
//! changes; property tests run it to show that nothing does.
//!
//! May not: know the time, or do I/O. Every uid is a function of the object's name and of the pass that made it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::api::MarkerSet;
use crate::diff::{Action, Change, diff};
use crate::model::{Kind, Target, Unit, World};
use crate::plan::{deadline_of, plan};

/// More passes than any path needs: its end is stored, its timer, its policy, and then what tells of them.
const MOST_PASSES: usize = 24;

/// A World in which nothing is left to do.
#[derive(Clone, Debug)]
pub struct Converged {
    /// The World.
    pub world: World,
    /// Every write that led to it, in order.
    pub changes: Vec<Change>,
    /// How many passes wrote something.
    pub rounds: usize,
}

/// Planning goes on writing: a defect of the planner.
#[derive(Clone, Debug, Error)]
#[error("planning did not come to rest in {rounds} passes; it still writes {}", left.iter().map(|change| format!("{} {}", change.action.verb(), change.target)).collect::<Vec<_>>().join(", "))]
pub struct NotConverged {
    /// How many passes were made.
    pub rounds: usize,
    /// What the last pass wrote.
    pub left: Vec<Change>,
}

/// Plans and writes until nothing changes.
///
/// # Errors
/// When planning does not come to rest.
pub fn converge(mut world: World, now: Timestamp) -> Result<Converged, NotConverged> {
    let mut changes = Vec::new();
    for rounds in 0..MOST_PASSES {
        let left = pass_numbered(&mut world, now, rounds);
        if left.is_empty() {
            return Ok(Converged {
                world,
                changes,
                rounds,
            });
        }
        changes.extend(left);
    }
    let left = pass_numbered(&mut world, now, MOST_PASSES);
    Err(NotConverged {
        rounds: MOST_PASSES,
        left,
    })
}

/// One pass: the cluster's controllers act, then every unit is planned and its changes are written.
pub fn pass(world: &mut World, now: Timestamp) -> Vec<Change> {
    pass_numbered(world, now, 0)
}

fn pass_numbered(world: &mut World, now: Timestamp, number: usize) -> Vec<Change> {
    controllers(world, now);
    let mut changes = Vec::new();
    for unit in world.units() {
        changes.extend(step(world, &unit, now, number));
    }
    changes
}

/// Plans one unit and writes its changes. `number` makes the uids of objects that are made again differ.
pub fn step(world: &mut World, unit: &Unit, now: Timestamp, number: usize) -> Vec<Change> {
    let changes = diff(&plan(world, unit, now), world);
    for change in &changes {
        write(world, change, now, number);
    }
    changes
}

/// What the Job controller and the garbage collector do at an instant: timers start; those whose deadline has passed go,
/// and with them what they own.
pub fn controllers(world: &mut World, now: Timestamp) {
    for key in world.keys(Kind::Job) {
        let target = Target::new(Kind::Job, key);
        let Some(timer) = world.timer(&target.key) else {
            continue;
        };
        let foreign = timer
            .managed_by
            .as_deref()
            .is_some_and(|controller| controller != "kubernetes.io/job-controller");
        if foreign || timer.suspended || timer.meta.deleting {
            continue;
        }
        if timer.started.is_none() {
            world.start_timer(&target, whole_second(now));
            continue;
        }
        let over = timer.finished || deadline_of(timer).is_some_and(|deadline| deadline <= now);
        if over && timer.ttl_seconds == Some(0) && timer.finalizers.is_empty() {
            remove_with_dependents(world, &target);
        }
    }
}

/// Writes one change as the API server would.
pub fn write(world: &mut World, change: &Change, now: Timestamp, number: usize) {
    let target = &change.target;
    match &change.action {
        Action::Create { body } => {
            let mut body = body.clone();
            body["metadata"]["uid"] = json!(uid_of(target, number));
            body["metadata"]["generation"] = json!(1);
            body["metadata"]["creationTimestamp"] = json!(Time(whole_second(now)));
            store(world, target, body, change.manager);
        }
        Action::Apply { body } => {
            let mut body = body.clone();
            carry_over(world, target, &mut body);
            store(world, target, body, change.manager);
        }
        Action::Replace { body } => {
            let mut body = body.clone();
            take_out_nulls(&mut body);
            carry_over(world, target, &mut body);
            store(world, target, body, change.manager);
        }
        Action::ReplaceStatus { body } => {
            world.take_status(target, body.get("status").cloned().unwrap_or_default());
        }
        Action::Mark { body } => {
            let marks = body.get("metadata").cloned().unwrap_or_default();
            let of = |field: &str| {
                let pairs = marks.get(field).cloned().unwrap_or_default();
                serde_json::from_value(pairs).unwrap_or_default()
            };
            let marks = MarkerSet {
                annotations: of("annotations"),
                labels: of("labels"),
            };
            world.take_marks(target, &marks);
        }
        Action::Merge { body } => {
            world.merge_volume(target, body);
        }
        Action::Delete { .. } | Action::StripFinalizers { .. } => {
            remove_with_dependents(world, target);
        }
    }
}

fn store(world: &mut World, target: &Target, body: Value, manager: &str) {
    // The body is one that the planner built from typed objects; it is an object by construction.
    let Ok(mut object) = serde_json::from_value::<DynamicObject>(body) else {
        return;
    };
    let managed = ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some("Apply".to_owned()),
        ..ManagedFieldsEntry::default()
    };
    object.metadata.managed_fields = Some(vec![managed]);
    world.apply(target.kind, object);
}

/// What is `null` in a merge goes.
fn take_out_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(take_out_nulls);
    }
}

/// What an apply leaves as it was: the creation, and the status.
fn carry_over(world: &World, target: &Target, body: &mut Value) {
    let meta = match target.kind {
        Kind::NetworkPolicy => world.policy(&target.key).map(|policy| policy.meta.clone()),
        Kind::Job => world.timer(&target.key).map(|timer| {
            if let Some(started) = timer.started {
                body["status"] = json!({ "startTime": Time(started) });
            }
            timer.meta.clone()
        }),
        Kind::GuardParameters => world
            .parameters(&target.key.namespace)
            .map(|parameters| parameters.meta.clone()),
        Kind::Posture => world.posture(&target.key).map(|posture| {
            body["status"] = json!(posture.status);
            posture.meta.clone()
        }),
        _ => None,
    };
    let Some(meta) = meta else { return };
    body["metadata"]["generation"] = json!(meta.generation.saturating_add(1));
    if let Some(created) = meta.created {
        body["metadata"]["creationTimestamp"] = json!(Time(created));
    }
}

fn remove_with_dependents(world: &mut World, target: &Target) {
    world.remove(target.kind, &target.key);
    if target.kind != Kind::Job {
        return;
    }
    let namespace = &target.key.namespace;
    let orphaned = |owner: &k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference| {
        owner.kind == "Job"
            && !world
                .timers_in(namespace)
                .any(|timer| timer.meta.uid == owner.uid)
    };
    let dependents: Vec<_> = world
        .policies_in(namespace)
        .filter(|policy| !policy.owners.is_empty() && policy.owners.iter().all(orphaned))
        .filter(|policy| policy.finalizers.is_empty())
        .map(|policy| policy.meta.key.clone())
        .collect();
    for key in dependents {
        world.remove(Kind::NetworkPolicy, &key);
    }
}

/// A uid that is the same in every run.
#[must_use]
pub fn uid_of(target: &Target, number: usize) -> String {
    let text = format!("{}\n{}\n{number}", target.kind.as_str(), target.key);
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(text));
    format!("simulated-{}", digest.get(..16).unwrap_or(&digest))
}

/// Kubernetes stores whole seconds.
fn whole_second(instant: Timestamp) -> Timestamp {
    let fraction = SignedDuration::from_nanos(i64::from(instant.subsec_nanosecond()));
    instant.checked_sub(fraction).unwrap_or(instant)
}
