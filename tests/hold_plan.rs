//! What is planned for a hold: value in, value out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "support/world.rs"]
mod support;

use covenant::model::{Survey, SurveyedPod, Unit, World};
use covenant::plan::{Inquiry, Plan, plan};
use covenant::simulate;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{apply, baseline, enrolled, hold, world};

const NAMESPACE: &str = "acme-prod";

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
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
    world(objects)
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
fn losses_are_published_from_what_ran_under_this_hold_and_not_before_it() {
    let earlier = case("earlier", &["FreezeAccess"]);
    let mut world = held_by(&[&earlier]);
    let of_then = asked(&plan(&world, &unit(), now())).unwrap();
    world.learn_survey(NAMESPACE, of_then);
    assert_eq!(asked(&plan(&world, &unit(), now())), None, "it was counted");

    apply(&mut world, &ends());
    let planned = plan(&world, &unit(), now());
    assert_eq!(status(&planned, "ends")["ending"], Value::Null);
    let mut of_now = asked(&planned).unwrap();
    of_now.pods = vec![bare_pod()];
    world.learn_survey(NAMESPACE, of_now);
    let planned = plan(&world, &unit(), now());
    let ending = &status(&planned, "ends")["ending"];
    assert_eq!(
        (&ending["pods"], &ending["lossCount"]),
        (&json!(1), &json!(2))
    );
}

#[test]
fn nothing_is_ended_while_it_is_not_known_what_would_be_lost() {
    let mut world = held_by(&[&ends()]);
    let mut survey = asked(&plan(&world, &unit(), now())).unwrap();
    survey.unread = vec!["pods: forbidden".to_owned()];
    world.learn_survey(NAMESPACE, survey);
    let planned = plan(&world, &unit(), now());
    let held = status(&planned, "ends");
    assert_eq!(held["ending"], Value::Null);
    let (state, reason, message) = condition(&held, "Ended");
    assert_eq!((state, reason), ("False", "LossesUnknown"));
    assert!(message.contains("pods: forbidden"), "{message}");

    // It is asked for again, after a while and not at once.
    assert_eq!(asked(&planned), None);
    let later = now() + SignedDuration::from_secs(10);
    assert_eq!(planned.next.filter(|next| *next <= later), Some(later));
    assert!(asked(&plan(&world, &unit(), later)).is_some());
    let ends_pods = |plan: &Plan| {
        let of = |inquiry: &Inquiry| matches!(inquiry, Inquiry::End { .. });
        plan.inquiries.iter().any(of)
    };
    let much_later = now() + SignedDuration::from_hours(48);
    assert!(!ends_pods(&plan(&world, &unit(), much_later)));
}

#[test]
fn what_cannot_be_listed_is_asked_for_again_only_where_something_waits_for_it() {
    let mut world = held_by(&[&case("freezes", &["FreezeAccess"])]);
    let mut survey = asked(&plan(&world, &unit(), now())).unwrap();
    survey.unread = vec!["pods: forbidden".to_owned()];
    world.learn_survey(NAMESPACE, survey);
    let much_later = now() + SignedDuration::from_hours(48);
    assert_eq!(asked(&plan(&world, &unit(), much_later)), None);
}

#[test]
fn what_others_opened_before_is_said_where_processing_is_said_to_be_cut_off() {
    let policy = |name: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": NAMESPACE, "uid": name }, "spec": spec,
        })
    };
    let closed = policy(
        "closed",
        json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
    );
    let local = policy(
        "local",
        json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }] }),
    );
    let wide = policy("wide", json!({ "podSelector": {}, "egress": [{}] }));
    let suspends = case("suspends", &["SuspendProcessing"]);
    let talks = |held: &Value| {
        let limits = held["cannotHold"].as_array().unwrap();
        let said = limits.iter().filter_map(Value::as_str);
        said.filter(|limit| limit.contains("policies of the tenant's own"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    for (others, state, reason, talking) in [
        (vec![], "True", "CutOff", 0),
        (vec![&closed], "True", "CutOff", 0),
        (vec![&closed, &local], "True", "CutOff", 1),
        (vec![&closed, &local, &wide], "False", "OpenedByOthers", 1),
    ] {
        let mut world = held_by(&[&suspends]);
        for other in &others {
            apply(&mut world, other);
        }
        let world = simulate::converge(world, now()).unwrap().world;
        let held = status(&plan(&world, &unit(), now()), "suspends");
        let (is, why, message) = condition(&held, "Suspended");
        assert_eq!((is, why), (state, reason), "{message}");
        assert_eq!(
            message.contains("NetworkPolicy wide"),
            reason == "OpenedByOthers"
        );
        assert_eq!(talks(&held).len(), talking, "{held}");
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
