//! A plan against what is there: the writes that are left to do, and nothing where nothing is.
//!
//! May not: decide what must exist (that is [`crate::plan`]'s), write, or delete what is not ours: a delete names the
//! uid of an object that carries our label *and* our field manager.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::api::names::{
    ANNOTATION_CLOSES_AT, ANNOTATION_RECLAIM_POLICY, LABEL_HELD, LABEL_PART, MANAGER_NETWORK,
    MANAGER_PARAMETERS, MANAGER_POSTURE, MANAGER_STATUS, MANAGER_TELEMETRY, MANAGER_TIMER,
    MANAGER_VOLUME, PARAMETERS_NAME, PART_PATH, POLICY_DEFAULT_DENY, POSTURE_NAME,
};
use crate::model::{Kind, ObjectKey, ObservedPolicy, ObservedTimer, Target, World};
use crate::plan::{
    Extent, MarkPlan, NamespacePlan, Notice, ParametersPlan, Plan, PosturePlan, StatusPlan,
    VolumePlan,
};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When in the order of writes: closing comes first.
    pub urgency: Urgency,
    /// What is done.
    pub action: Action,
    /// To which object.
    pub target: Target,
    /// Field manager.
    pub manager: &'static str,
    /// Why, in words.
    pub why: String,
    /// Told as events once the write is stored.
    pub notices: Vec<Notice>,
    /// For the closing of a path: the instant at which it should have been closed.
    pub due: Option<Timestamp>,
}

/// The order of writes within a plan. Writes of one urgency do not depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Take a path away, then its timer; or make its timer shorter.
    Close,
    /// The floor: default deny and the baseline.
    Floor,
    /// Statuses: a path's end is stored here before it opens.
    Record,
    /// Timers.
    Prepare,
    /// Paths.
    Open,
    /// Postures.
    Report,
    /// Markers, and what is left over: the floor and the posture of namespaces that left.
    Sweep,
}

/// What is done to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create it; it must not exist. (Server-side apply would adopt what a tenant squatted.)
    Create {
        /// The whole object.
        body: Value,
    },
    /// Server-side apply of the whole desired state, on the object with this uid and no other.
    Apply {
        /// The whole object; `metadata.uid` is set.
        body: Value,
    },
    /// Replace the whole spec of the object with this uid and no other; what is stored and not wanted is `null`. An apply would
    /// leave it standing: the create owns it.
    Replace {
        /// The whole object; `metadata.uid` is set.
        body: Value,
    },
    /// Replace the whole status of the object with this uid and no other; what is absent is `null`.
    ReplaceStatus {
        /// The object with its status; `metadata.uid` is set.
        body: Value,
    },
    /// Server-side apply of annotations and labels alone, on the object with this uid and no other, and of pods through their
    /// status. What others wrote is not taken from them.
    Mark {
        /// The object with its annotations and labels; `metadata.uid` is set.
        body: Value,
    },
    /// Merge these fields into the object with this uid and no other; what is `null` goes.
    Merge {
        /// The fields; `metadata.uid` is set.
        body: Value,
    },
    /// Take off foreign finalizers that would keep a closed path standing.
    StripFinalizers {
        /// Its uid.
        uid: String,
    },
    /// Delete the object with this uid and no other.
    Delete {
        /// Its uid.
        uid: String,
    },
}

impl Action {
    /// One word for logs and tables.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Apply { .. } => "apply",
            Self::Replace { .. } => "replace",
            Self::ReplaceStatus { .. } => "status",
            Self::Mark { .. } => "mark",
            Self::Merge { .. } => "merge",
            Self::StripFinalizers { .. } => "strip",
            Self::Delete { .. } => "delete",
        }
    }
}

/// The writes that bring the cluster to the plan, in order.
#[must_use]
pub fn diff(plan: &Plan, world: &World) -> Vec<Change> {
    let Plan {
        unit,
        namespace,
        parameters,
        statuses,
        inquiries: _,
        next: _,
    } = plan;
    let mut changes = Vec::new();
    if let (Some(name), Some(planned)) = (unit.namespace(), namespace) {
        let NamespacePlan {
            extent,
            standing: _,
            grants: _,
            policies,
            timers,
            volumes,
            marks,
            posture,
        } = planned;
        changes.extend(policy_changes(world, name, extent, policies));
        changes.extend(timer_changes(world, name, extent, timers, policies));
        changes.extend(volumes.iter().map(volume_change));
        changes.extend(marks.iter().map(mark_change));
        if *extent == Extent::Whole {
            changes.extend(posture_changes(world, name, posture.as_ref()));
        }
    }
    if let (Some(name), Some(planned)) = (unit.namespace(), parameters) {
        changes.extend(parameters_change(world, name, planned));
    }
    changes.extend(
        statuses
            .iter()
            .filter(|status| status.changed)
            .map(status_change),
    );
    changes.sort_by(|a, b| (a.urgency, &a.target).cmp(&(b.urgency, &b.target)));
    changes
}

fn policy_changes(
    world: &World,
    namespace: &str,
    extent: &Extent,
    desired: &BTreeMap<String, NetworkPolicy>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, policy) in desired {
        let target = Target::new(Kind::NetworkPolicy, ObjectKey::new(namespace, name));
        let path = is_path(policy.metadata.labels.as_ref());
        let urgency = if path { Urgency::Open } else { Urgency::Floor };
        match world.policy(&target.key) {
            None => changes.push(create(
                urgency,
                target,
                MANAGER_NETWORK,
                policy,
                "it must stand and does not",
            )),
            // Reported by the plan as a name that is taken.
            Some(observed) if !observed.is_ours(MANAGER_NETWORK) => {}
            Some(observed) if observed.meta.deleting => {}
            Some(observed) => match drift_of_policy(observed, policy) {
                Drift::None => {}
                Drift::Mendable => {
                    let why = "it is not as it was made";
                    changes.push(apply(
                        urgency,
                        target,
                        MANAGER_NETWORK,
                        policy,
                        &observed.meta.uid,
                        why,
                    ));
                }
                Drift::Beyond(what) => changes.push(Change {
                    urgency: Urgency::Close,
                    action: Action::Delete {
                        uid: observed.meta.uid.clone(),
                    },
                    target,
                    manager: MANAGER_NETWORK,
                    why: format!("it cannot be mended in place ({what}); it is made anew"),
                    notices: Vec::new(),
                    due: None,
                }),
            },
        }
    }
    let observed: Vec<&ObservedPolicy> = match extent {
        Extent::Whole => world.policies_in(namespace).collect(),
        Extent::Path(name) => world
            .policy(&ObjectKey::new(namespace, name))
            .into_iter()
            .collect(),
    };
    for observed in observed {
        if desired.contains_key(&observed.meta.key.name) || !observed.is_ours(MANAGER_NETWORK) {
            continue;
        }
        let path = is_path(Some(&observed.labels));
        // Beside a default deny that stays, what goes is what still lets something through.
        let cut = desired.contains_key(POLICY_DEFAULT_DENY);
        let urgency = if path || cut {
            Urgency::Close
        } else {
            Urgency::Sweep
        };
        let target = Target::new(Kind::NetworkPolicy, observed.meta.key.clone());
        let due = path.then(|| due_of_path(world, observed)).flatten();
        let change = |action, why: &str| Change {
            urgency,
            action,
            target: target.clone(),
            manager: MANAGER_NETWORK,
            why: why.to_owned(),
            notices: Vec::new(),
            due,
        };
        let uid = observed.meta.uid.clone();
        if observed.meta.deleting {
            if !observed.finalizers.is_empty() {
                changes.push(change(
                    Action::StripFinalizers { uid },
                    "finalizers keep it standing past its end",
                ));
            }
        } else {
            let why = if path {
                "the path is to be closed"
            } else {
                "it must not stand any more"
            };
            changes.push(change(Action::Delete { uid }, why));
        }
    }
    changes
}

fn timer_changes(
    world: &World,
    namespace: &str,
    extent: &Extent,
    desired: &BTreeMap<String, Job>,
    policies: &BTreeMap<String, NetworkPolicy>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, job) in desired {
        let target = Target::new(Kind::Job, ObjectKey::new(namespace, name));
        match world.timer(&target.key) {
            None => changes.push(create(
                Urgency::Prepare,
                target,
                MANAGER_TIMER,
                job,
                "a path needs its timer first",
            )),
            Some(observed)
                if !observed.is_ours(MANAGER_TIMER)
                    || observed.meta.deleting
                    || observed.finished => {}
            Some(observed) => {
                let wanted = job
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.active_deadline_seconds);
                if drift_of_timer(observed, job) {
                    let shorter = wanted < observed.deadline_seconds;
                    let urgency = if shorter {
                        Urgency::Close
                    } else {
                        Urgency::Prepare
                    };
                    let why = "its end moved, or it is not as it was made";
                    changes.push(apply(
                        urgency,
                        target,
                        MANAGER_TIMER,
                        job,
                        &observed.meta.uid,
                        why,
                    ));
                }
            }
        }
    }
    let observed: Vec<&ObservedTimer> = match extent {
        Extent::Whole => world.timers_in(namespace).collect(),
        Extent::Path(name) => world
            .timer(&ObjectKey::new(namespace, name))
            .into_iter()
            .collect(),
    };
    for observed in observed {
        let name = &observed.meta.key.name;
        if desired.contains_key(name) || !observed.is_ours(MANAGER_TIMER) || observed.meta.deleting
        {
            continue;
        }
        // A timer goes only after the policy that it guards.
        let guards = world
            .policy(&observed.meta.key)
            .is_some_and(|policy| policy.is_ours(MANAGER_NETWORK));
        if guards && !policies.contains_key(name) {
            continue;
        }
        changes.push(Change {
            // Its policy is gone; it must not wait behind thousands of openings.
            urgency: Urgency::Close,
            action: Action::Delete {
                uid: observed.meta.uid.clone(),
            },
            target: Target::new(Kind::Job, observed.meta.key.clone()),
            manager: MANAGER_TIMER,
            why: "its path is closed".to_owned(),
            notices: Vec::new(),
            due: None,
        });
    }
    changes
}

fn posture_changes(world: &World, namespace: &str, desired: Option<&PosturePlan>) -> Vec<Change> {
    let target = Target::new(Kind::Posture, ObjectKey::new(namespace, POSTURE_NAME));
    let observed = world.posture(&target.key);
    let Some(PosturePlan { spec, status }) = desired else {
        return observed
            .filter(|posture| !posture.meta.deleting)
            .map(|posture| Change {
                urgency: Urgency::Sweep,
                action: Action::Delete {
                    uid: posture.meta.uid.clone(),
                },
                target,
                manager: MANAGER_POSTURE,
                why: "the namespace is not enrolled".to_owned(),
                notices: Vec::new(),
                due: None,
            })
            .into_iter()
            .collect();
    };
    let mut body = object(&target, json!({ "spec": spec }));
    let Some(observed) = observed else {
        return vec![Change {
            urgency: Urgency::Report,
            action: Action::Create { body },
            target,
            manager: MANAGER_POSTURE,
            why: "the namespace is enrolled".to_owned(),
            notices: Vec::new(),
            due: None,
        }];
    };
    let mut changes = Vec::new();
    if observed.spec.as_ref() != Some(spec) {
        body["metadata"]["uid"] = json!(observed.meta.uid);
        body["spec"] = replacing(&json!(observed.spec), &body["spec"]);
        changes.push(Change {
            urgency: Urgency::Report,
            action: Action::Replace { body },
            target: target.clone(),
            manager: MANAGER_POSTURE,
            why: "what is in force changed".to_owned(),
            notices: Vec::new(),
            due: None,
        });
    }
    // The status speaks of a generation, so it follows the spec in a later pass.
    if changes.is_empty() && &observed.status != status {
        changes.push(status_change(&StatusPlan {
            target,
            uid: observed.meta.uid.clone(),
            status: json!(status),
            changed: true,
            notices: Vec::new(),
        }));
    }
    changes
}

/// Guards read what is new as early as the floor stands.
fn parameters_change(world: &World, namespace: &str, planned: &ParametersPlan) -> Option<Change> {
    let target = Target::new(
        Kind::GuardParameters,
        ObjectKey::new(namespace, PARAMETERS_NAME),
    );
    let observed = world.parameters(namespace);
    let (urgency, action, why) = match (&planned.spec, observed) {
        (None, None) => return None,
        (_, Some(stored)) if stored.meta.deleting => return None,
        (None, Some(stored)) => {
            let uid = stored.meta.uid.clone();
            let why = "the namespace is not enrolled any more";
            (Urgency::Sweep, Action::Delete { uid }, why)
        }
        (Some(spec), None) => {
            let body = object(&target, json!({ "spec": spec }));
            let why = "guards must know what binds here";
            (Urgency::Floor, Action::Create { body }, why)
        }
        (Some(spec), Some(stored)) if stored.spec.as_ref() == Some(spec) => return None,
        (Some(spec), Some(stored)) => {
            let mut body = object(&target, json!({ "spec": spec }));
            body["metadata"]["uid"] = json!(stored.meta.uid);
            body["spec"] = replacing(&json!(stored.spec), &body["spec"]);
            let why = "what binds here changed, or a minimum is over for something";
            (Urgency::Floor, Action::Replace { body }, why)
        }
    };
    Some(Change {
        urgency,
        action,
        target,
        manager: MANAGER_PARAMETERS,
        why: why.to_owned(),
        notices: Vec::new(),
        due: None,
    })
}

fn status_change(planned: &StatusPlan) -> Change {
    let StatusPlan {
        target,
        uid,
        status,
        changed: _,
        notices,
    } = planned;
    let mut body = object(target, json!({ "status": status }));
    if !uid.is_empty() {
        body["metadata"]["uid"] = json!(uid);
    }
    Change {
        urgency: if target.kind == Kind::Posture {
            Urgency::Report
        } else {
            Urgency::Record
        },
        action: Action::ReplaceStatus { body },
        target: target.clone(),
        manager: MANAGER_STATUS,
        why: "its status changed".to_owned(),
        notices: notices.clone(),
        due: None,
    }
}

/// Keeping data comes as early as the floor; giving a volume back can wait.
fn volume_change(planned: &VolumePlan) -> Change {
    let VolumePlan {
        name: _,
        uid,
        held,
        reclaim_policy,
        former_policy,
    } = planned;
    let body = json!({
        "metadata": {
            "uid": uid,
            "labels": { LABEL_HELD: held.then_some("true") },
            "annotations": { ANNOTATION_RECLAIM_POLICY: former_policy },
        },
        "spec": { "persistentVolumeReclaimPolicy": reclaim_policy },
    });
    Change {
        urgency: if *held {
            Urgency::Floor
        } else {
            Urgency::Sweep
        },
        action: Action::Merge { body },
        target: planned.target(),
        manager: MANAGER_VOLUME,
        why: if *held {
            "a hold keeps its claim".to_owned()
        } else {
            "no hold keeps its claim any more".to_owned()
        },
        notices: Vec::new(),
        due: None,
    }
}

/// Marks come last: of ten thousand pods none keeps a path from opening.
fn mark_change(planned: &MarkPlan) -> Change {
    let MarkPlan { target, uid, marks } = planned;
    let mut body = object(target, json!({}));
    body["metadata"]["uid"] = json!(uid);
    if !marks.annotations.is_empty() {
        body["metadata"]["annotations"] = json!(marks.annotations);
    }
    if !marks.labels.is_empty() {
        body["metadata"]["labels"] = json!(marks.labels);
    }
    let is_end = marks.annotations.is_empty() && marks.labels.is_empty();
    Change {
        urgency: Urgency::Sweep,
        action: Action::Mark { body },
        target: target.clone(),
        manager: MANAGER_TELEMETRY,
        why: if is_end {
            "nothing is opted out of any more by which agents left it out".to_owned()
        } else {
            "agents leave out what carries this".to_owned()
        },
        notices: Vec::new(),
        due: None,
    }
}

enum Drift {
    None,
    Mendable,
    Beyond(&'static str),
}

fn drift_of_policy(observed: &ObservedPolicy, desired: &NetworkPolicy) -> Drift {
    if observed.owners
        != desired
            .metadata
            .owner_references
            .clone()
            .unwrap_or_default()
    {
        return Drift::Beyond("its owners differ");
    }
    if !observed.finalizers.is_empty() {
        return Drift::Beyond("it has finalizers");
    }
    let same = observed.spec == desired.spec
        && carries(&observed.labels, desired.metadata.labels.as_ref())
        && carries(&observed.annotations, desired.metadata.annotations.as_ref());
    if same { Drift::None } else { Drift::Mendable }
}

/// Whether a timer differs in what an apply can mend. A suspension is not mended: a queueing controller would suspend it
/// again at once; the plan reports it and keeps the path closed.
fn drift_of_timer(observed: &ObservedTimer, desired: &Job) -> bool {
    let Some(spec) = desired.spec.as_ref() else {
        return false;
    };
    observed.deadline_seconds != spec.active_deadline_seconds
        || observed.parallelism != spec.parallelism
        || observed.ttl_seconds != spec.ttl_seconds_after_finished
        || !carries(&observed.labels, desired.metadata.labels.as_ref())
        || !carries(&observed.annotations, desired.metadata.annotations.as_ref())
}

fn carries(
    observed: &BTreeMap<String, String>,
    desired: Option<&BTreeMap<String, String>>,
) -> bool {
    desired
        .into_iter()
        .flatten()
        .all(|(key, value)| observed.get(key) == Some(value))
}

fn is_path(labels: Option<&BTreeMap<String, String>>) -> bool {
    labels
        .and_then(|labels| labels.get(LABEL_PART))
        .is_some_and(|part| part == PART_PATH)
}

/// When a path should have been closed by time, told by its timer.
fn due_of_path(world: &World, policy: &ObservedPolicy) -> Option<Timestamp> {
    world
        .timer(&policy.meta.key)?
        .annotations
        .get(ANNOTATION_CLOSES_AT)?
        .parse()
        .ok()
}

fn create(
    urgency: Urgency,
    target: Target,
    manager: &'static str,
    body: &impl serde::Serialize,
    why: &str,
) -> Change {
    let body = with_type(&target, json!(body));
    Change {
        urgency,
        action: Action::Create { body },
        target,
        manager,
        why: why.to_owned(),
        notices: Vec::new(),
        due: None,
    }
}

fn apply(
    urgency: Urgency,
    target: Target,
    manager: &'static str,
    body: &impl serde::Serialize,
    uid: &str,
    why: &str,
) -> Change {
    let mut body = with_type(&target, json!(body));
    if target.kind == Kind::NetworkPolicy {
        // The create owns what it set, so an apply that leaves a direction out would not take it away.
        for direction in ["ingress", "egress"] {
            if body["spec"][direction].is_null() {
                body["spec"][direction] = json!([]);
            }
        }
    }
    body["metadata"]["uid"] = json!(uid);
    Change {
        urgency,
        action: Action::Apply { body },
        target,
        manager,
        why: why.to_owned(),
        notices: Vec::new(),
        due: None,
    }
}

fn with_type(target: &Target, mut body: Value) -> Value {
    body["apiVersion"] = json!(target.kind.api_version());
    body["kind"] = json!(target.kind.as_str());
    body
}

/// What is wanted, with `null` for what is stored and not wanted, so that a merge leaves nothing else standing.
fn replacing(stored: &Value, wanted: &Value) -> Value {
    let (Value::Object(stored), Value::Object(wanted)) = (stored, wanted) else {
        return wanted.clone();
    };
    let gone = stored.keys().filter(|key| !wanted.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let stays = wanted.iter().map(|(key, value)| {
        let before = stored.get(key).unwrap_or(&Value::Null);
        (key.clone(), replacing(before, value))
    });
    gone.chain(stays).collect()
}

fn object(target: &Target, mut rest: Value) -> Value {
    rest["metadata"] = json!({ "name": target.key.name });
    if !target.key.namespace.is_empty() {
        rest["metadata"]["namespace"] = json!(target.key.namespace);
    }
    with_type(target, rest)
}
