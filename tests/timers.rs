//! The staircase: end stored, timer proven, policy written; and everything that must keep a path closed on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "support/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod support;

use std::collections::BTreeSet;

use covenant::diff::{Action, Change, Urgency, diff};
use covenant::model::{Kind, ObjectKey, Target, Unit, World, WriteFailure};
use covenant::plan::{PathState, Plan, plan};
use covenant::simulate;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{apply, baseline, enrolled, grant, namespace, vendor, world};

const NOW: &str = "2026-11-23T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now()
        .checked_add(SignedDuration::from_secs(seconds))
        .unwrap()
}

fn unit() -> Unit {
    Unit::Namespace("acme-prod".to_owned())
}

fn fresh() -> World {
    world(&[enrolled("acme-prod", "acme"), baseline(), vendor(), grant()])
}

fn planned(world: &World, at: Timestamp) -> Plan {
    plan(world, &unit(), at)
}

fn state(world: &World, at: Timestamp) -> PathState {
    planned(world, at).namespace.unwrap().grants[0].ends[0]
        .1
        .clone()
}

fn obstacle(world: &World, at: Timestamp) -> &'static str {
    match state(world, at) {
        PathState::Opening { obstacle, .. } => obstacle.name(),
        PathState::Open { .. } => "none",
    }
}

fn path_key(world: &World) -> ObjectKey {
    let plan = planned(world, now());
    let name = plan.namespace.unwrap().grants[0].ends[0].0.name.clone();
    ObjectKey::new("acme-prod", name)
}

fn kinds(changes: &[Change]) -> Vec<(&'static str, Kind)> {
    changes
        .iter()
        .map(|change| (change.action.verb(), change.target.kind))
        .collect()
}

fn touches_path(change: &Change) -> bool {
    change.target.key.name.starts_with("grant-")
}

/// The timer as the plan wants it, as the API server would show it.
fn timer(world: &World, started: Option<&str>) -> Value {
    let key = path_key(world);
    let plan = planned(world, now());
    let mut job = json!(plan.namespace.unwrap().timers[&key.name]);
    job["apiVersion"] = json!("batch/v1");
    job["kind"] = json!("Job");
    job["metadata"]["uid"] = json!("timer");
    job["metadata"]["creationTimestamp"] = json!(NOW);
    job["metadata"]["managedFields"] = json!([{ "manager": "covenant-timer" }]);
    if let Some(started) = started {
        job["status"] = json!({ "startTime": started });
    }
    job
}

/// A world whose path is open.
fn opened() -> World {
    simulate::converge(fresh(), now()).unwrap().world
}

/// The stored object, to be altered and applied again.
fn stored(world: &World, kind: Kind, tweak: impl Fn(&mut Value)) -> World {
    let mut world = world.clone();
    let key = path_key(&world);
    let mut object = match kind {
        Kind::Job => {
            let observed = world.timer(&key).unwrap();
            let mut job = timer(&fresh(), Some(NOW));
            job["metadata"]["uid"] = json!(observed.meta.uid);
            job["spec"]["activeDeadlineSeconds"] = json!(observed.deadline_seconds);
            job
        }
        _ => {
            let plan = planned(&world, now());
            let mut policy = json!(plan.namespace.unwrap().policies[&key.name]);
            policy["apiVersion"] = json!("networking.k8s.io/v1");
            policy["kind"] = json!("NetworkPolicy");
            policy["metadata"]["uid"] = json!(world.policy(&key).unwrap().meta.uid);
            policy["metadata"]["managedFields"] = json!([{ "manager": "covenant-network" }]);
            policy
        }
    };
    tweak(&mut object);
    apply(&mut world, &object);
    world
}

#[test]
fn the_first_writes_are_the_floor_the_end_and_the_timer_and_no_path() {
    let world = fresh();
    let changes = diff(&planned(&world, now()), &world);
    assert!(
        changes
            .iter()
            .any(|change| touches_path(change) && change.target.kind == Kind::Job)
    );
    assert!(
        changes
            .iter()
            .any(|change| change.target.kind == Kind::Grant && change.action.verb() == "status")
    );
    assert!(
        !changes
            .iter()
            .any(|change| touches_path(change) && change.target.kind == Kind::NetworkPolicy)
    );
    assert_eq!(obstacle(&world, now()), "TimerStarting");
}

#[test]
fn a_timer_that_is_stored_but_not_started_opens_nothing_and_after_half_a_minute_says_so() {
    let mut world = fresh();
    apply(&mut world, &timer(&fresh(), None));
    assert_eq!(obstacle(&world, now()), "TimerStarting");
    assert_eq!(obstacle(&world, later(29)), "TimerStarting");
    assert_eq!(obstacle(&world, later(30)), "TimerNotStarted");
    assert_eq!(planned(&world, now()).next, Some(later(30)));
}

#[test]
fn a_running_timer_opens_nothing_before_the_end_is_stored() {
    let mut world = fresh();
    apply(&mut world, &timer(&fresh(), Some(NOW)));
    assert_eq!(obstacle(&world, now()), "EndNotStored");
    let changes = diff(&planned(&world, now()), &world);
    assert!(
        !changes
            .iter()
            .any(|change| touches_path(change) && change.target.kind == Kind::NetworkPolicy)
    );
}

#[test]
fn the_end_that_is_stored_must_be_this_end_of_this_generation() {
    for (generation, closes_at, expected) in [
        (1, "2027-04-01T00:00:00Z", "PolicyPending"),
        (2, "2027-04-01T00:00:00Z", "EndNotStored"),
        (1, "2027-04-02T00:00:00Z", "EndNotStored"),
    ] {
        let mut grant = grant();
        grant["status"] = json!({ "observedGeneration": generation, "closesAt": closes_at });
        let mut world = world(&[enrolled("acme-prod", "acme"), baseline(), vendor(), grant]);
        apply(&mut world, &timer(&fresh(), Some(NOW)));
        assert_eq!(obstacle(&world, now()), expected);
    }
}

#[test]
fn a_timer_that_started_late_is_set_shorter_before_anything_opens() {
    let mut grant = grant();
    grant["status"] = json!({ "observedGeneration": 1, "closesAt": "2027-04-01T00:00:00Z" });
    let mut world = world(&[enrolled("acme-prod", "acme"), baseline(), vendor(), grant]);
    apply(&mut world, &timer(&fresh(), Some("2026-11-23T00:10:00Z")));
    let at = later(601);
    assert_eq!(obstacle(&world, at), "TimerTooLong");
    let changes = diff(&planned(&world, at), &world);
    let retimed = changes
        .iter()
        .find(|change| change.target.kind == Kind::Job)
        .unwrap();
    assert_eq!(retimed.urgency, Urgency::Close);
    let Action::Apply { body } = &retimed.action else {
        panic!("{retimed:?}")
    };
    let end: Timestamp = "2027-04-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        body["spec"]["activeDeadlineSeconds"],
        json!(end.duration_since(later(600)).as_secs())
    );
    assert_eq!(body["metadata"]["uid"], "timer");
    assert!(
        !changes
            .iter()
            .any(|change| touches_path(change) && change.target.kind == Kind::NetworkPolicy)
    );
}

#[test]
fn clocks_that_differ_keep_it_closed_and_say_which() {
    let mut ready = grant();
    ready["status"] = json!({ "observedGeneration": 1, "closesAt": "2027-04-01T00:00:00Z" });
    let base = world(&[enrolled("acme-prod", "acme"), baseline(), vendor(), ready]);
    let with = |tweak: &dyn Fn(&mut Value)| {
        let mut job = timer(&fresh(), Some(NOW));
        tweak(&mut job);
        let mut world = base.clone();
        apply(&mut world, &job);
        obstacle(&world, now())
    };
    assert_eq!(with(&|_| {}), "PolicyPending");
    assert_eq!(
        with(&|job| job["status"]["startTime"] = json!("2026-11-22T23:59:50Z")),
        "ClockSkew"
    );
    assert_eq!(
        with(&|job| job["status"]["startTime"] = json!("2026-11-23T00:00:10Z")),
        "ClockSkew"
    );
    assert_eq!(
        with(&|job| job["metadata"]["creationTimestamp"] = json!("2026-11-23T01:00:00Z")),
        "ClockSkew"
    );
    assert_eq!(
        with(
            &|job| job["metadata"]["annotations"]["privacy.cloudnexus.io/requested-at"] =
                json!("2026-11-23T01:00:00Z")
        ),
        "ClockSkew"
    );
}

#[test]
fn a_timer_that_was_altered_proves_nothing() {
    let open = opened();
    assert_eq!(obstacle(&open, now()), "none");
    for (expected, tweak) in [
        (
            "TimerAltered",
            json!({ "metadata": { "finalizers": ["acme.example/keep"] } }),
        ),
        (
            "TimerAltered",
            json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x" }] } }),
        ),
        (
            "TimerAltered",
            json!({ "spec": { "managedBy": "acme.example/queue" } }),
        ),
        ("TimerSuspended", json!({ "spec": { "suspend": true } })),
        (
            "TimerEnding",
            json!({ "metadata": { "deletionTimestamp": NOW } }),
        ),
        (
            "TimerEnding",
            json!({ "status": { "conditions": [{ "type": "Failed", "status": "True" }] } }),
        ),
    ] {
        let world = stored(&open, Kind::Job, |job| merge(job, &tweak));
        assert_eq!(obstacle(&world, now()), expected, "{tweak}");
        let changes = diff(&planned(&world, now()), &world);
        let closes = changes.iter().any(|change| {
            change.target.kind == Kind::NetworkPolicy
                && touches_path(change)
                && matches!(change.action, Action::Delete { .. })
        });
        assert!(closes, "the path is closed: {tweak}");
    }
}

fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

#[test]
fn a_refused_write_is_told_in_its_own_words() {
    let mut world = fresh();
    let key = path_key(&world);
    let failure = |category: &str| WriteFailure {
        category: category.to_owned(),
        message: "exceeded quota".to_owned(),
    };
    world.record_failure(Target::new(Kind::Job, key.clone()), failure("Forbidden"));
    assert_eq!(obstacle(&world, now()), "TimerRefused");
    world.record_failure(Target::new(Kind::Job, key.clone()), failure("NameTaken"));
    assert_eq!(obstacle(&world, now()), "NameTaken");
    world.clear_failure(&Target::new(Kind::Job, key.clone()));
    assert_eq!(obstacle(&world, now()), "TimerStarting");
    let mut grant = grant();
    grant["status"] = json!({ "observedGeneration": 1, "closesAt": "2027-04-01T00:00:00Z" });
    apply(&mut world, &grant);
    apply(&mut world, &timer(&fresh(), Some(NOW)));
    let policy = Target::new(Kind::NetworkPolicy, key);
    world.record_failure(policy.clone(), failure("Forbidden"));
    assert_eq!(obstacle(&world, now()), "PolicyRefused");
    world.record_failure(policy, failure("LedgerUnavailable"));
    assert_eq!(obstacle(&world, now()), "LedgerUnavailable");
}

#[test]
fn less_than_a_second_is_not_worth_a_timer() {
    let end: Timestamp = "2027-03-31T23:59:59.5Z".parse().unwrap();
    assert_eq!(obstacle(&fresh(), end), "EndTooClose");
}

#[test]
fn every_obstacle_has_a_test() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/plan/reason.rs"))
        .unwrap();
    let here =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/timers.rs")).unwrap();
    let body = text.get(text.find("impl Obstacle {").unwrap()..).unwrap();
    let body = body.get(..body.find("\n    }\n").unwrap()).unwrap();
    let names: BTreeSet<&str> = body
        .lines()
        .filter_map(|line| {
            line.split_once("=> \"")?
                .1
                .split_once('"')
                .map(|(name, _)| name)
        })
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(
            here.contains(&format!("\"{name}\"")),
            "no test names {name}"
        );
    }
}

#[test]
fn a_policy_that_was_altered_is_mended_or_made_anew_and_counts_as_closed_meanwhile() {
    let open = opened();
    for (verb, tweak) in [
        ("apply", json!({ "spec": { "egress": [{}] } })),
        (
            "delete",
            json!({ "metadata": { "finalizers": ["acme.example/keep"] } }),
        ),
        ("delete", json!({ "metadata": { "ownerReferences": [] } })),
        (
            "delete",
            json!({ "metadata": { "ownerReferences": [
            { "apiVersion": "batch/v1", "kind": "Job", "name": "a", "uid": "a" }, { "apiVersion": "batch/v1", "kind": "Job", "name": "b", "uid": "b" }] } }),
        ),
    ] {
        let world = stored(&open, Kind::NetworkPolicy, |policy| merge(policy, &tweak));
        assert_eq!(obstacle(&world, now()), "PolicyPending", "{tweak}");
        let changes = diff(&planned(&world, now()), &world);
        let change = changes
            .iter()
            .find(|change| touches_path(change) && change.target.kind == Kind::NetworkPolicy)
            .unwrap();
        assert_eq!(change.action.verb(), verb, "{tweak}");
    }
}

#[test]
fn a_second_owner_beside_the_right_one_is_not_tolerated() {
    let open = opened();
    let world = stored(&open, Kind::NetworkPolicy, |policy| {
        let mut owners = policy["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .clone();
        owners.push(json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x" }));
        policy["metadata"]["ownerReferences"] = json!(owners);
    });
    assert_eq!(obstacle(&world, now()), "PolicyPending");
}

#[test]
fn somebody_elses_policy_under_the_paths_name_is_neither_adopted_nor_removed() {
    for managers in [json!([{ "manager": "kubectl" }]), json!([])] {
        let mut world = fresh();
        let key = path_key(&world);
        let mut foreign = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": key.name, "namespace": "acme-prod", "uid": "foreign", "labels": { "privacy.cloudnexus.io/managed-by": "covenant" } },
            "spec": { "podSelector": {}, "egress": [{}] }
        });
        foreign["metadata"]["managedFields"] = managers;
        apply(&mut world, &foreign);
        assert_eq!(obstacle(&world, now()), "NameTaken");
        let changes = diff(&planned(&world, now()), &world);
        assert!(!changes.iter().any(|change| change.target.key == key && change.target.kind == Kind::NetworkPolicy), "{:?}", kinds(&changes));
    }
}

#[test]
fn a_squatted_floor_is_left_alone_and_reported() {
    let mut world = fresh();
    apply(
        &mut world,
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "covenant-default-deny", "namespace": "acme-prod", "uid": "foreign" }, "spec": { "podSelector": {} }
        }),
    );
    let plan = planned(&world, now());
    let changes = diff(&plan, &world);
    assert!(
        !changes
            .iter()
            .any(|change| change.target.key.name == "covenant-default-deny")
    );
    let posture = plan.namespace.unwrap().posture.unwrap();
    assert!(
        posture
            .spec
            .findings
            .iter()
            .any(|finding| finding.reason == "NameTaken")
    );
}

#[test]
fn the_floor_denies_both_ways() {
    let plan = planned(&fresh(), now()).namespace.unwrap();
    let deny = plan.policies["covenant-default-deny"].spec.clone().unwrap();
    assert_eq!(deny.policy_types.unwrap(), ["Ingress", "Egress"]);
    assert_eq!((deny.ingress, deny.egress), (None, None));
}

#[test]
fn closing_takes_the_policy_first_and_the_timer_after() {
    let mut world = opened();
    let mut revoked = grant();
    revoked["spec"]["revoked"] = json!({ "reason": "done" });
    apply(&mut world, &revoked);
    let first = diff(&planned(&world, now()), &world);
    let path: Vec<_> = first.iter().filter(|change| touches_path(change)).collect();
    assert_eq!(path.len(), 1, "{:?}", kinds(&first));
    assert_eq!(
        (path[0].action.verb(), path[0].target.kind, path[0].urgency),
        ("delete", Kind::NetworkPolicy, Urgency::Close)
    );
    simulate::step(&mut world, &unit(), now(), 1);
    let second = diff(&planned(&world, now()), &world);
    assert!(
        second
            .iter()
            .any(|change| change.target.kind == Kind::Job && change.action.verb() == "delete")
    );
}

#[test]
fn an_earlier_end_shortens_the_timer_before_the_status_and_a_later_one_is_stored_before_the_timer()
{
    let move_to = |world: &World, end: &str, generation: i64| {
        let mut world = world.clone();
        let key = ObjectKey::new("acme-prod", "metrics");
        let mut moved = grant();
        moved["spec"]["window"]["notAfter"] = json!(end);
        moved["metadata"]["generation"] = json!(generation);
        moved["status"] = json!(world.grant(&key).unwrap().status);
        apply(&mut world, &moved);
        world
    };
    let closes_at = |changes: &[Change]| {
        let status = changes
            .iter()
            .find(|change| change.target.kind == Kind::Grant)?;
        let Action::ReplaceStatus { body } = &status.action else {
            return None;
        };
        body["status"]["closesAt"].as_str().map(str::to_owned)
    };
    let job = |changes: &[Change]| changes.iter().any(|change| change.target.kind == Kind::Job);
    let open = opened();

    let earlier = move_to(&open, "2027-01-31", 2);
    let changes = diff(&planned(&earlier, now()), &earlier);
    assert!(job(&changes), "the timer is shortened at once");
    assert_eq!(
        closes_at(&changes).as_deref(),
        Some("2027-04-01T00:00:00Z"),
        "the status keeps the end that the timer still has"
    );
    assert!(
        !changes
            .iter()
            .any(|change| touches_path(change) && change.target.kind == Kind::NetworkPolicy),
        "the path stays"
    );

    let longer = move_to(&open, "2027-04-30", 2);
    let changes = diff(&planned(&longer, now()), &longer);
    assert!(!job(&changes), "the timer waits");
    assert_eq!(closes_at(&changes).as_deref(), Some("2027-05-01T00:00:00Z"));
    for world in [earlier, longer] {
        let converged = simulate::converge(world, now()).unwrap();
        assert!(
            !converged
                .changes
                .iter()
                .any(|change| touches_path(change) && change.action.verb() != "apply"),
            "re-timed in place"
        );
    }
}

#[test]
fn a_namespace_that_is_deleted_keeps_its_floor_and_loses_its_paths() {
    let mut world = opened();
    let mut leaving = enrolled("acme-prod", "acme");
    leaving["metadata"]["deletionTimestamp"] = json!(NOW);
    apply(&mut world, &leaving);
    let changes = diff(&planned(&world, now()), &world);
    assert!(
        changes
            .iter()
            .any(|change| touches_path(change) && change.action.verb() == "delete")
    );
    assert!(
        !changes
            .iter()
            .any(|change| change.target.key.name.starts_with("covenant-")),
        "{:?}",
        kinds(&changes)
    );
    assert!(
        !changes
            .iter()
            .any(|change| change.action.verb() == "create"),
        "nothing can be created any more"
    );
}

#[test]
fn a_namespace_that_leaves_loses_what_is_ours_and_nothing_else() {
    let mut world = opened();
    apply(
        &mut world,
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": "own", "namespace": "acme-prod", "uid": "own" }, "spec": { "podSelector": {} }
        }),
    );
    apply(&mut world, &namespace("acme-prod", json!({})));
    let rested = simulate::converge(world, now()).unwrap().world;
    let left: Vec<String> = rested
        .keys(Kind::NetworkPolicy)
        .into_iter()
        .map(|key| key.name)
        .collect();
    assert_eq!(left, ["own"]);
    assert_eq!(rested.keys(Kind::Job), []);
    assert_eq!(rested.keys(Kind::Posture), []);
}

#[test]
fn every_write_on_an_object_that_stands_names_its_uid() {
    let mut world = opened();
    apply(&mut world, &namespace("acme-prod", json!({})));
    let mut seen = 0;
    let drifted = stored(&opened(), Kind::NetworkPolicy, |policy| {
        policy["spec"]["egress"] = json!([{}])
    });
    for world in [world, drifted] {
        for change in diff(&planned(&world, now()), &world) {
            match change.action {
                Action::Apply { body }
                | Action::ReplaceStatus { body }
                | Action::Replace { body }
                | Action::Mark { body }
                | Action::Merge { body } => {
                    assert!(
                        body["metadata"]["uid"]
                            .as_str()
                            .is_some_and(|uid| !uid.is_empty()),
                        "{}",
                        change.target
                    );
                    seen += 1;
                }
                Action::Delete { uid } | Action::StripFinalizers { uid } => {
                    assert!(!uid.is_empty(), "{}", change.target);
                    seen += 1;
                }
                Action::Create { .. } => {}
            }
        }
    }
    assert!(seen > 4);
}

#[test]
fn a_finalizer_on_a_closed_path_is_taken_off() {
    let mut world = opened();
    let mut revoked = grant();
    revoked["spec"]["revoked"] = json!({ "reason": "done" });
    let held = stored(&world, Kind::NetworkPolicy, |policy| {
        policy["metadata"]["finalizers"] = json!(["acme.example/keep"]);
        policy["metadata"]["deletionTimestamp"] = json!(NOW);
    });
    world = held;
    apply(&mut world, &revoked);
    let changes = diff(&planned(&world, now()), &world);
    assert!(
        changes
            .iter()
            .any(|change| change.action.verb() == "strip" && change.urgency == Urgency::Close),
        "{:?}",
        kinds(&changes)
    );
}

#[test]
fn the_names_of_a_paths_objects_fit_and_are_bound_to_the_grants_uid() {
    let name = |grant_name: &str, uid: &str| {
        let mut grant = grant();
        grant["metadata"]["name"] = json!(grant_name);
        grant["metadata"]["uid"] = json!(uid);
        let world = world(&[enrolled("acme-prod", "acme"), baseline(), vendor(), grant]);
        path_key(&world).name
    };
    let longest = "x".repeat(253);
    for (grant_name, uid) in [
        ("metrics", "a"),
        (longest.as_str(), "a"),
        ("a.b-.c", "a"),
        ("a", "b"),
    ] {
        let name = name(grant_name, uid);
        assert!(name.len() <= 63, "{name}");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{name}"
        );
    }
    assert_ne!(name("metrics", "a"), name("metrics", "b"));
}
