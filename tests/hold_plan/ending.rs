//! What ends under a hold, and when it is said to have.

use covenant::model::{CanaryAnswer, ObjectKey, SurveyedPod};
use covenant::plan::plan;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::support::{apply, namespace};
use super::{
    NAMESPACE, answered, asked, bare_pod, case, condition, ends, ends_pods, enforced, guarded,
    held_by, later, looked, now, proven, published, status, store, unit,
};

#[test]
fn losses_are_published_from_what_ran_under_this_hold_and_not_before_it() {
    let earlier = case("earlier", &["FreezeAccess"]);
    let mut world = enforced(&[&earlier]);
    let of_then = asked(&plan(&world, &unit(), now())).unwrap();
    world.learn_survey(NAMESPACE, of_then);
    assert_eq!(asked(&plan(&world, &unit(), now())), None, "it was counted");

    apply(&mut world, &ends());
    let unproven = asked(&plan(&world, &unit(), now())).unwrap();
    world.learn_survey(NAMESPACE, unproven);
    proven(&mut world, now());
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
fn losses_are_published_from_what_ran_once_every_server_refused_and_not_while_one_did_not() {
    let mut world = held_by(&[&ends()]);
    guarded(&mut world);
    answered(
        &mut world,
        now(),
        &CanaryAnswer::Otherwise("not synced".to_owned()),
    );
    let mut early = asked(&plan(&world, &unit(), now())).unwrap();
    early.pods = vec![bare_pod()];
    world.learn_survey(NAMESPACE, early);
    let soon = now() + SignedDuration::from_secs(2);
    answered(&mut world, soon, &CanaryAnswer::Refused);
    let planned = plan(&world, &unit(), soon);
    let held = status(&planned, "ends");
    assert_eq!(condition(&held, "Enforced").0, "True");
    assert_eq!(held["ending"], Value::Null, "something started in between");
    assert!(asked(&planned).is_some());
}

#[test]
fn nothing_is_ended_while_it_is_not_known_what_would_be_lost() {
    let mut world = enforced(&[&ends()]);
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
    let soon = now() + SignedDuration::from_secs(10);
    assert_eq!(planned.next.filter(|next| *next <= soon), Some(soon));
    assert!(asked(&plan(&world, &unit(), soon)).is_some());
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
fn nothing_is_published_or_ended_under_a_hold_that_is_not_enforced() {
    let ended = |world: &covenant::model::World| {
        let planned = plan(world, &unit(), later(1));
        assert!(!ends_pods(&planned));
        let held = status(&planned, "ends");
        let (state, reason, _) = condition(&held, "Ended");
        assert_ne!(state, "True");
        (held["ending"].clone(), reason.to_owned())
    };
    // No guard stands.
    let mut world = held_by(&[&ends()]);
    let mut survey = asked(&plan(&world, &unit(), now())).unwrap();
    survey.pods = vec![bare_pod()];
    world.learn_survey(NAMESPACE, survey);
    assert_eq!(ended(&world), (Value::Null, "NotEnforced".to_owned()));
    // It was proven and published, and then the guards no longer look.
    let disarmed = json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/holds": "disarmed" });
    for labels in [json!({}), disarmed] {
        let mut world = enforced(&[&ends()]);
        published(&mut world, vec![bare_pod()]);
        assert!(ends_pods(&plan(&world, &unit(), later(1))));
        apply(&mut world, &namespace(NAMESPACE, labels));
        let (ending, reason) = ended(&world);
        assert_eq!(ending["pods"], 1, "what was published stays");
        assert_eq!(reason, "NotEnforced");
    }
}

#[test]
fn an_end_that_was_seen_is_looked_at_again_where_pods_are_there_again() {
    let mut world = enforced(&[&ends()]);
    published(&mut world, vec![bare_pod()]);
    assert!(ends_pods(&plan(&world, &unit(), later(1))));
    looked(&mut world, later(1), 0);
    // What is left is counted anew.
    let planned = plan(&world, &unit(), later(1));
    assert_eq!(condition(&status(&planned, "ends"), "Ended").0, "True");
    let mut survey = asked(&planned).unwrap();
    survey.at = later(2);
    world.learn_survey(NAMESPACE, survey);
    let planned = plan(&world, &unit(), later(2));
    let held = status(&planned, "ends");
    assert_eq!(held["suspended"]["runningPods"], 0);
    assert_eq!(condition(&held, "Ended").0, "True");
    assert!(!ends_pods(&planned));

    // A restart: the stored status is all that is left of it.
    store(&mut world, &planned);
    let mut stored = ends();
    stored["status"] = held;
    let mut world = held_by(&[&stored]);
    guarded(&mut world);
    let said = |world: &covenant::model::World| {
        let planned = plan(world, &unit(), later(3));
        let held = status(&planned, "ends");
        let (state, reason, _) = condition(&held, "Ended");
        (state.to_owned(), reason.to_owned(), ends_pods(&planned))
    };
    let over = ("True".to_owned(), "Ended".to_owned(), false);
    assert_eq!(said(&world), over, "it is being proven again");
    proven(&mut world, later(3));
    assert_eq!(said(&world), over);
    let mut survey = asked(&plan(&world, &unit(), later(3))).unwrap();
    survey.at = later(3);
    survey.pods = vec![bare_pod()];
    world.learn_survey(NAMESPACE, survey);
    assert_eq!(
        said(&world),
        ("False".to_owned(), "Ending".to_owned(), true)
    );
    // And where the guards are gone, nobody knows.
    let world = held_by(&[&stored]);
    let unknown = ("Unknown".to_owned(), "NotEnforced".to_owned(), false);
    assert_eq!(said(&world), unknown);
}

#[test]
fn pods_that_do_not_end_are_looked_at_less_and_less_often() {
    let mut world = enforced(&[&ends()]);
    published(&mut world, vec![bare_pod()]);
    let (mut at, mut asked) = (later(1), 0);
    for _ in 0..720 {
        let planned = plan(&world, &unit(), at);
        if ends_pods(&planned) {
            asked += 1;
            looked(&mut world, at, 1);
        }
        at += SignedDuration::from_secs(5);
    }
    assert!((12..=13).contains(&asked), "{asked} times in an hour");
    // In the first minute they are looked at every five seconds.
    looked(&mut world, now() + SignedDuration::from_secs(31), 1);
    let soon = now() + SignedDuration::from_secs(36);
    assert!(ends_pods(&plan(&world, &unit(), soon)));
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_pods_from_their_end() {
    let mut world = enforced(&[&ends()]);
    published(&mut world, vec![bare_pod()]);
    looked(&mut world, later(24), 3);
    assert!(ends_pods(&plan(&world, &unit(), later(1))));
}

#[test]
fn a_narrowing_that_lets_processing_start_ends_nothing() {
    let mut narrowed = ends();
    narrowed["status"] = json!({
        "decisions": [{ "type": "Narrowed", "by": "officer", "reason": "r", "effects": ["SuspendProcessing"] }],
    });
    let world = enforced(&[&narrowed, &case("other", &["PreventDeletion"])]);
    let planned = plan(&world, &unit(), later(1));
    assert_eq!(status(&planned, "ends")["effects"], json!([]));
    assert!(!ends_pods(&planned));
}

#[test]
fn what_was_published_outlives_a_decision_that_cannot_be_read() {
    let mut world = enforced(&[&ends()]);
    published(&mut world, vec![bare_pod()]);
    let mut stored = ends();
    stored["status"] = status(&plan(&world, &unit(), now()), "ends");
    stored["status"]["decisions"] = json!([{ "type": "Extended", "by": "officer", "reason": "r" }]);
    apply(&mut world, &stored);
    let planned = plan(&world, &unit(), now());
    assert_eq!(
        status(&planned, "ends")["ending"],
        stored["status"]["ending"]
    );
    store(&mut world, &planned);
    let is_ours = |status: &&covenant::plan::StatusPlan| {
        status.target.key == ObjectKey::new(NAMESPACE, "ends")
    };
    let planned = plan(&world, &unit(), now());
    assert!(!planned.statuses.iter().find(is_ours).unwrap().changed);
}

#[test]
fn a_loss_is_never_too_long_to_be_stored() {
    let mut world = enforced(&[&ends()]);
    let mut survey = asked(&plan(&world, &unit(), now())).unwrap();
    let long = "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59 * * * *";
    survey.cron_jobs.insert("c".repeat(52), long.to_owned());
    survey
        .cron_jobs
        .insert("wide".to_owned(), "\u{1F4C5}".repeat(200));
    survey.jobs.insert("j".repeat(63), 0);
    survey.pods = vec![SurveyedPod {
        name: "p".repeat(253),
        controller: Some(("Job".to_owned(), "j".repeat(63))),
        empty_dirs: vec!["v".repeat(63)],
        running: true,
        ..SurveyedPod::default()
    }];
    world.learn_survey(NAMESPACE, survey);
    let losses = status(&plan(&world, &unit(), now()), "ends")["ending"]["losses"].clone();
    let losses = losses.as_array().unwrap();
    assert_eq!(losses.len(), 5);
    for loss in losses {
        for (field, longest) in [("kind", 64), ("object", 317), ("message", 256)] {
            let length = loss[field].as_str().unwrap().len();
            assert!(length <= longest, "{field} is {length} long: {loss}");
        }
    }
}
