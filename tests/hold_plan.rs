//! What is planned for a hold: value in, value out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "support/world.rs"]
mod support;

#[path = "hold_plan/ending.rs"]
mod ending;
#[path = "hold_plan/release.rs"]
mod release;
#[path = "hold_plan/suspension.rs"]
mod suspension;

use covenant::api::guards;
use covenant::model::{
    CanaryAnswer, Ended, ObjectKey, Proof, Settings, Survey, SurveyedPod, Unit, World,
};
use covenant::plan::{Inquiry, Plan, plan};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{apply, baseline, enrolled, hold};

const NAMESPACE: &str = "acme-prod";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn later(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

fn unit() -> Unit {
    Unit::Namespace(NAMESPACE.to_owned())
}

fn case(name: &str, effects: &[&str]) -> Value {
    let spec = json!({
        "matter": "CASE-2026-042", "ground": "LegalProceeding", "reason": "evidence", "effects": effects,
    });
    hold(NAMESPACE, name, spec, json!({}))
}

fn ends() -> Value {
    case("ends", &["SuspendProcessing", "EndProcessing"])
}

fn held_by(holds: &[&Value]) -> World {
    let (namespace, floor) = (enrolled(NAMESPACE, "acme"), baseline());
    let objects = [&namespace, &floor]
        .into_iter()
        .chain(holds.iter().copied());
    let mut world = World::new(Settings {
        operator_namespace: Some("covenant-system".to_owned()),
        servers: vec!["10.0.0.1:6443".to_owned()],
    });
    for object in objects {
        apply(&mut world, object);
    }
    world
}

/// The guards of this release, and one API server that says that it is there.
fn guarded(world: &mut World) {
    for (_, text) in guards::FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        for mut document in documents {
            let kind = document["kind"].as_str().unwrap_or_default();
            if kind.starts_with("ValidatingAdmissionPolicy") {
                document["metadata"]["uid"] = json!("guard");
                document["metadata"]["generation"] = json!(1);
                apply(world, &document);
            }
        }
    }
    apply(world, &lease("a", "2026-11-24T12:00:00.000000Z"));
}

fn lease(server: &str, renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": server, "namespace": "kube-system", "labels": { "apiserver.kubernetes.io/identity": "kube-apiserver" },
        },
        "spec": { "holderIdentity": server, "renewTime": renewed },
    })
}

/// Every server refuses what is asked of it.
fn proven(world: &mut World, at: Timestamp) {
    answered(world, at, &CanaryAnswer::Refused);
}

/// Every server answers so.
fn answered(world: &mut World, at: Timestamp, with: &CanaryAnswer) {
    for inquiry in plan(world, &unit(), at).inquiries {
        if let Inquiry::Prove {
            hold,
            uid,
            fingerprint,
            servers,
        } = inquiry
        {
            let answer = |server| (server, with.clone());
            let answers = servers.into_iter().map(answer).collect();
            let proof = Proof {
                fingerprint,
                at,
                answers,
            };
            world.learn_proof(&hold, &uid, proof);
        }
    }
}

/// A world in which these holds are enforced.
fn enforced(holds: &[&Value]) -> World {
    let mut world = held_by(holds);
    guarded(&mut world);
    proven(&mut world, now());
    world
}

/// Publishes with these pods, and stores what is published.
fn published(world: &mut World, pods: Vec<SurveyedPod>) {
    let mut survey = asked(&plan(world, &unit(), now())).unwrap();
    survey.pods = pods;
    world.learn_survey(NAMESPACE, survey);
    let planned = plan(world, &unit(), now());
    store(world, &planned);
}

fn store(world: &mut World, plan: &Plan) {
    for status in &plan.statuses {
        world.take_status(&status.target, status.status.clone());
    }
}

fn looked(world: &mut World, at: Timestamp, remaining: usize) {
    let ended = Ended {
        at,
        remaining: Some(remaining),
        problem: None,
    };
    world.learn_ended(
        &ObjectKey::new(NAMESPACE, "ends"),
        "hold-acme-prod-ends",
        ended,
    );
}

fn ends_pods(plan: &Plan) -> bool {
    let of = |inquiry: &Inquiry| matches!(inquiry, Inquiry::End { .. });
    plan.inquiries.iter().any(of)
}

fn status(plan: &Plan, name: &str) -> Value {
    let of = |status: &&covenant::plan::StatusPlan| status.target.key.name == name;
    plan.statuses.iter().find(of).unwrap().status.clone()
}

fn condition<'a>(status: &'a Value, kind: &str) -> (&'a str, &'a str, &'a str) {
    let conditions = status["conditions"].as_array().unwrap();
    let of = |condition: &&Value| condition["type"] == kind;
    let found = conditions
        .iter()
        .find(of)
        .unwrap_or_else(|| panic!("{status}"));
    let text = |field: &str| found[field].as_str().unwrap();
    (text("status"), text("reason"), text("message"))
}

/// What the operator asks about the namespace, and what answer fits it.
fn asked(plan: &Plan) -> Option<Survey> {
    plan.inquiries.iter().find_map(|inquiry| match inquiry {
        Inquiry::Survey { fingerprint, .. } => Some(Survey {
            fingerprint: fingerprint.clone(),
            at: now(),
            ..Survey::default()
        }),
        _ => None,
    })
}

fn bare_pod() -> SurveyedPod {
    SurveyedPod {
        name: "bare".to_owned(),
        running: true,
        ..SurveyedPod::default()
    }
}

#[test]
fn a_hold_that_names_events_says_that_the_store_forgets_them() {
    let forgets = |scope: Value| {
        let mut case = case("case", &["PreventDeletion"]);
        case["spec"]["scope"] = scope;
        let world = held_by(&[&case]);
        let held = status(&plan(&world, &unit(), now()), "case");
        held["cannotHold"].to_string().contains("--event-ttl")
    };
    assert!(forgets(json!({ "kinds": [{ "kind": "Event" }] })));
    assert!(!forgets(json!({})));
}

#[test]
fn servers_that_fall_silent_are_counted_again() {
    let mut world = held_by(&[&case("keeps", &["PreventDeletion"])]);
    guarded(&mut world);
    apply(&mut world, &lease("b", "2026-11-24T12:00:00.000000Z"));
    proven(&mut world, now());
    let planned = plan(&world, &unit(), now());
    let (_, reason, _) = {
        let held = status(&planned, "keeps");
        let (state, reason, message) = condition(&held, "Enforced");
        (state.to_owned(), reason.to_owned(), message.to_owned())
    };
    assert_eq!(reason, "ServersUncounted");
    let next = planned.next.unwrap();
    assert!(next <= now() + SignedDuration::from_mins(1), "{next}");
    for minute in 1..5 {
        let renewed = format!("2026-11-24T12:0{minute}:00.000000Z");
        apply(&mut world, &lease("a", &renewed));
    }
    let held = status(&plan(&world, &unit(), next), "keeps");
    assert_eq!(condition(&held, "Enforced").0, "True");
}

#[test]
fn a_namespace_that_left_its_tenant_and_came_back_is_proven_anew() {
    let mut world = enforced(&[&case("keeps", &["PreventDeletion"])]);
    let is = |world: &World| {
        let held = status(&plan(world, &unit(), now()), "keeps");
        condition(&held, "Enforced").1.to_owned()
    };
    assert_eq!(is(&world), "ProvenOnAllServers");
    apply(&mut world, &support::namespace(NAMESPACE, json!({})));
    assert_eq!(is(&world), "NamespaceNotEnrolled");
    apply(&mut world, &enrolled(NAMESPACE, "acme"));
    assert_eq!(is(&world), "Proving");
}
