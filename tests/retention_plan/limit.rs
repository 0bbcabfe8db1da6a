//! The limit of a run and of a day, and what lifts it.

use serde_json::json;

use crate::support::apply;
use crate::*;

fn logs(world: &mut World, names: std::ops::Range<i64>) {
    for number in names {
        log(world, &format!("log-{number:03}"), "2026-01-01T00:00:00Z");
    }
}

fn bounded(retention: Value) -> World {
    ground(&[thirty_days("logs"), baseline(retention)])
}

fn exceeded(plan: &Plan) -> Option<(String, String, String)> {
    condition(&status(plan, "logs"), "LimitExceeded")
}

fn lifted(until: i64, generation: i64) -> Value {
    let mut policy = thirty_days("logs");
    policy["status"]["decisions"] = json!([
        { "type": "LimitLifted", "by": "officer", "reason": "looked at", "generation": generation, "untilTotal": until }
    ]);
    policy
}

#[test]
fn a_run_takes_as_many_as_the_limit_and_none_where_one_more_is_due() {
    let mut world = bounded(json!({ "maximumPerRun": 3 }));
    logs(&mut world, 0..3);
    assert_eq!(goes(&settle(&mut world, now())).len(), 3);
    logs(&mut world, 3..4);
    let mut tripped = planned(&world, now());
    assert!(run(&tripped).is_none());
    assert!(notices(&tripped).contains(&"LimitExceeded"));
    tripped = settle(&mut world, now());
    assert!(notices(&tripped).is_empty());
    let (_, reason, message) = exceeded(&tripped).unwrap();
    assert_eq!(reason, "MaximumPerRun");
    for part in [
        "4 objects",
        "dispose of 3",
        "kubectl covenant retention lift logs -n acme-prod --until 4 --reason REASON",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(ready(&tripped, "logs").1, "LimitExceeded");
    assert_eq!(status(&tripped, "logs")["withheld"]["byLimit"], 4);
}

#[test]
fn without_a_word_of_the_baseline_a_run_takes_fifty() {
    let mut world = ground(&[thirty_days("logs")]);
    logs(&mut world, 0..50);
    assert_eq!(goes(&settle(&mut world, now())).len(), 50);
    logs(&mut world, 50..51);
    assert!(run(&settle(&mut world, now())).is_none());
}

#[test]
fn the_first_switch_to_dispose_shows_the_limit_that_the_preview_showed() {
    let preview = policy("logs", json!({ "atMost": "P30D" }), "Preview");
    let mut world = ground(&[preview, baseline(json!({ "maximumPerRun": 2 }))]);
    logs(&mut world, 0..3);
    let plan = settle(&mut world, now());
    assert!(exceeded(&plan).is_some());
    assert_eq!(ready(&plan, "logs").1, "Previewing");
    let mut switched = thirty_days("logs");
    switched["metadata"]["generation"] = json!(2);
    apply(&mut world, &switched);
    settle(&mut world, now());
    let plan = settle(&mut world, days(now(), 1));
    assert!(run(&plan).is_none());
    assert_eq!(ready(&plan, "logs").1, "LimitExceeded");
}

#[test]
fn a_lift_lets_go_up_to_its_number_and_then_counts_no_more() {
    let mut world = bounded(json!({ "maximumPerRun": 2 }));
    logs(&mut world, 0..10);
    settle(&mut world, now());
    apply(&mut world, &lifted(6, 1));
    let plan = settle(&mut world, now());
    assert_eq!(goes(&plan).len(), 6);
    assert!(exceeded(&plan).is_some(), "not all may go");
    carry_out(&mut world, &run(&plan).unwrap().clone(), now(), 1);
    let plan = settle(&mut world, now());
    assert_eq!(status(&plan, "logs")["disposed"]["total"], 6);
    assert!(run(&plan).is_none());
    assert!(exceeded(&plan).is_some());
}

#[test]
fn a_lift_of_everything_is_told_once() {
    let mut world = bounded(json!({ "maximumPerRun": 2 }));
    logs(&mut world, 0..3);
    let stored = status(&settle(&mut world, now()), "logs");
    let mut decided = lifted(3, 1);
    let decisions = decided["status"]["decisions"].clone();
    decided["status"] = stored;
    decided["status"]["decisions"] = decisions;
    apply(&mut world, &decided);
    let plan = planned(&world, now());
    assert_eq!(notices(&plan), ["LimitLifted"]);
    assert_eq!(goes(&plan).len(), 3);
    assert!(notices(&settle(&mut world, now())).is_empty());
}

#[test]
fn a_lift_of_another_generation_or_below_the_total_lifts_nothing() {
    for decided in [lifted(100, 2), lifted(0, 1)] {
        let mut world = bounded(json!({ "maximumPerRun": 2 }));
        logs(&mut world, 0..3);
        apply(&mut world, &decided);
        assert!(run(&settle(&mut world, now())).is_none());
    }
}

#[test]
fn all_policies_of_a_namespace_share_a_day() {
    let mut world = bounded(json!({ "maximumPerRun": 3, "maximumPerDay": 5 }));
    logs(&mut world, 0..3);
    let plan = settle(&mut world, now());
    carry_out(&mut world, &run(&plan).unwrap().clone(), now(), 1);
    logs(&mut world, 3..6);
    let later = hours(now(), 2);
    let plan = settle(&mut world, later);
    assert!(run(&plan).is_none());
    let (_, reason, message) = exceeded(&plan).unwrap();
    assert_eq!(reason, "MaximumPerDay");
    assert!(
        message.contains("3 went") && message.contains("of 5"),
        "{message}"
    );
    assert_eq!(
        plan.next,
        Some(days(now(), 1)),
        "then the first run counts no more"
    );
    assert_eq!(goes(&settle(&mut world, days(now(), 1))).len(), 3);
}

#[test]
fn after_a_restart_what_was_disposed_of_within_the_day_counts_as_if_all_of_it_were_of_that_day() {
    let mut restarted = thirty_days("logs");
    restarted["status"]["disposed"] = json!({
        "total": 4, "lastRunAt": "2026-11-24T00:00:00Z", "ledger": { "from": 11, "to": 12 }
    });
    let bounds = json!({ "maximumPerRun": 3, "maximumPerDay": 5 });
    let mut world = ground(&[restarted.clone(), baseline(bounds.clone())]);
    logs(&mut world, 0..2);
    assert!(run(&settle(&mut world, now())).is_none());
    assert_eq!(
        goes(&settle(&mut world, at("2026-11-25T00:00:00Z"))).len(),
        2
    );

    // What the ledger tells of the day takes its place.
    let mut world = ground(&[restarted, baseline(bounds)]);
    logs(&mut world, 0..2);
    let part = covenant::model::PolicyRun {
        disposed: 1,
        ledger: Some((11, 12)),
    };
    world.learn_run(RunResult {
        namespace: NAMESPACE.to_owned(),
        at: at("2026-11-24T00:00:00Z"),
        policies: [("policy-logs".to_owned(), part)].into(),
        refused: Vec::new(),
    });
    let plan = settle(&mut world, now());
    assert_eq!(goes(&plan).len(), 2);
    assert_eq!(
        status(&plan, "logs")["disposed"]["total"],
        4,
        "it was counted before"
    );
}

#[test]
fn each_run_is_counted_once_however_often_it_is_planned_or_told() {
    let mut world = ground(&[thirty_days("logs")]);
    logs(&mut world, 0..2);
    let plan = settle(&mut world, now());
    let first = run(&plan).unwrap().clone();
    carry_out(&mut world, &first, now(), 21);
    let told = planned(&world, now());
    assert!(notices(&told).contains(&"Disposed"));
    let plan = settle(&mut world, now());
    let disposed = status(&plan, "logs")["disposed"].clone();
    assert_eq!(disposed["total"], 2);
    assert_eq!(disposed["ledger"], json!({ "from": 21, "to": 24 }));
    carry_out(&mut world, &first, now(), 21);
    assert_eq!(
        status(&settle(&mut world, now()), "logs")["disposed"],
        disposed
    );
    world.learn_incomplete([("policy-logs".to_owned(), 1)].into());
    let plan = settle(&mut world, now());
    assert_eq!(status(&plan, "logs")["disposed"]["incomplete"], 1);
    assert_eq!(status(&plan, "logs")["disposed"]["total"], 2);
}

/// So many runs of one object each, a second apart, up to now.
fn one_each_second(world: &mut World, policy_uid: &str, runs: u64) {
    for number in 0..runs {
        let mut part = covenant::model::PolicyRun::default();
        part.count(Some(number));
        let ago = SignedDuration::from_secs(i64::try_from(runs - number).unwrap());
        world.learn_run(RunResult {
            namespace: NAMESPACE.to_owned(),
            at: now() - ago,
            policies: [(policy_uid.to_owned(), part)].into(),
            refused: Vec::new(),
        });
    }
}

#[test]
fn thousands_of_runs_a_day_are_kept_in_few_and_all_of_them_count() {
    let bounds = json!({ "maximumPerRun": 3, "maximumPerDay": 5001 });
    let mut world = ground(&[thirty_days("logs"), baseline(bounds)]);
    logs(&mut world, 0..2);
    one_each_second(&mut world, "policy-gone", 5000);
    assert!(world.runs_in(NAMESPACE).len() <= 513);
    let all: i64 = world
        .disposals_in(NAMESPACE)
        .map(|(_, number)| number)
        .sum();
    assert_eq!(all, 5000);
    // One is left of the day, and two are due.
    let plan = settle(&mut world, now());
    assert!(run(&plan).is_none());
    assert_eq!(exceeded(&plan).unwrap().1, "MaximumPerDay");
}

#[test]
fn what_no_status_contains_yet_is_counted_by_it_though_many_runs_came_since() {
    let bounds = json!({ "maximumPerRun": 3, "maximumPerDay": 5000 });
    let mut world = ground(&[thirty_days("logs"), baseline(bounds)]);
    one_each_second(&mut world, "policy-logs", 1000);
    let plan = settle(&mut world, now());
    assert_eq!(status(&plan, "logs")["disposed"]["total"], 1000);
}
