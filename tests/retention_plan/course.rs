//! Over a whole course of time, with restarts: nothing goes that must not, what must goes in time, and boundaries only advance.

use std::collections::{BTreeMap, BTreeSet};

use covenant::api::PeriodText;
use covenant::model::{Kind, time};
use proptest::prelude::*;
use serde_json::json;
use testbed::effort;

use crate::support::{apply, hold};
use crate::*;

#[derive(Clone, Debug)]
struct Case {
    least: Option<u16>,
    most: u16,
    other_least: u16,
    grace: u8,
    per_run: i64,
    created: Vec<i64>,
    held_from: u16,
    held_for: u16,
    /// Steps of the clock, in hours; backwards too.
    steps: Vec<i16>,
    restarts: BTreeSet<usize>,
}

fn cases() -> impl Strategy<Value = Case> {
    (
        (
            proptest::option::of(1..40u16),
            1..40u16,
            1..40u16,
            0..3u8,
            1..8i64,
        ),
        proptest::collection::vec(-2000..800i64, 1..12),
        (0..40u16, 0..30u16),
        proptest::collection::vec(-30..100i16, 10..40),
        proptest::collection::btree_set(0..40usize, 0..4),
    )
        .prop_map(
            |(
                (least, most, other_least, grace, per_run),
                created,
                (held_from, held_for),
                steps,
                restarts,
            )| Case {
                least: least.filter(|least| *least <= most),
                most,
                other_least,
                grace,
                per_run,
                created,
                held_from,
                held_for,
                steps,
                restarts,
            },
        )
}

fn objects(case: &Case) -> Vec<Value> {
    let mut keep = json!({ "atMost": format!("P{}D", case.most) });
    if let Some(least) = case.least {
        keep["atLeast"] = json!(format!("P{least}D"));
    }
    vec![
        policy("logs", keep, "Dispose"),
        policy(
            "other",
            json!({ "atLeast": format!("P{}D", case.other_least) }),
            "Preview",
        ),
        baseline(
            json!({ "grace": format!("PT{}H", 12 * u32::from(case.grace)), "maximumPerRun": case.per_run, "maximumPerDay": 3 * case.per_run }),
        ),
    ]
}

fn boundaries(world: &World) -> BTreeMap<String, Option<Timestamp>> {
    let stored = world.parameters(NAMESPACE);
    let rules = stored
        .into_iter()
        .flat_map(|stored| &stored.spec.as_ref().unwrap().retention);
    let instant = |text: &covenant::api::WhenText| time::beginning(text).unwrap();
    rules
        .map(|rule| (rule.rule.clone(), rule.started_before.as_ref().map(instant)))
        .collect()
}

/// A world with what a cluster still has after the operator died: its objects, and nothing of what it had learned.
fn restarted(case: &Case, world: &World, left: &BTreeMap<String, Timestamp>) -> World {
    let mut raw = objects(case);
    for object in &mut raw {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if let Some(policy) = world.retention_policy(&key(&name)) {
            object["status"] = json!(policy.status);
        }
    }
    let mut fresh = ground(&raw);
    if let Some(stored) = world.parameters(NAMESPACE) {
        let mut object = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": NAMESPACE, "uid": stored.meta.uid }
        });
        object["spec"] = json!(stored.spec);
        apply(&mut fresh, &object);
    }
    for (name, created) in left {
        log(&mut fresh, name, &created.to_string());
    }
    fresh
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(effort::cases(96)))]

    #[test]
    fn nothing_goes_that_must_not_and_boundaries_only_advance(case in cases()) {
        let begin = at("2026-01-30T00:00:00Z");
        let mut world = ground(&objects(&case));
        let mut left: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (number, created) in case.created.iter().enumerate() {
            let created = hours(begin, *created);
            left.insert(format!("log-{number}"), created);
            log(&mut world, &format!("log-{number}"), &created.to_string());
        }
        let mut clock = begin;
        let mut went: BTreeSet<String> = BTreeSet::new();
        let mut entry = 1;
        let mut is_held = false;
        for (step, forward) in case.steps.iter().enumerate() {
            clock = hours(clock, i64::from(*forward));
            let day = i64::try_from(step).unwrap();
            let held_now = (i64::from(case.held_from)..i64::from(case.held_from + case.held_for)).contains(&day);
            if held_now && !is_held {
                apply(&mut world, &hold(NAMESPACE, "case", json!({ "matter": "m" }), json!({})));
            } else if is_held && !held_now {
                world.remove(Kind::Hold, &key("case"));
            }
            is_held = held_now;
            let before = boundaries(&world);
            if case.restarts.contains(&step) {
                world = restarted(&case, &world, &left);
                if is_held {
                    apply(&mut world, &hold(NAMESPACE, "case", json!({ "matter": "m" }), json!({})));
                }
            }
            let plan = settle(&mut world, clock);
            for (rule, boundary) in boundaries(&world) {
                prop_assert!(before.get(&rule).is_none_or(|before| *before <= boundary), "{rule} went back");
            }
            prop_assert!(diff(&planned(&world, clock), &world).is_empty());
            let Some(run) = run(&plan).cloned() else { continue };
            prop_assert!(!is_held);
            prop_assert!(i64::try_from(run.candidates.len()).unwrap() <= case.per_run);
            for candidate in &run.candidates {
                let created = left[&candidate.key.name];
                let minimum = i64::from(case.least.unwrap_or(0).max(case.other_least));
                prop_assert!(days(created, minimum) <= clock);
                prop_assert!(days(created, i64::from(case.most)) <= clock);
                prop_assert!(went.insert(candidate.key.name.clone()), "it went twice");
                left.remove(&candidate.key.name);
            }
            carry_out(&mut world, &run, clock, entry);
            entry += 2 * run.candidates.len() as u64;
        }
    }

    #[test]
    fn between_planned_instants_nothing_changes(case in cases(), ahead in 1..3000i64) {
        let begin = at("2026-01-30T00:00:00Z");
        let mut world = ground(&objects(&case));
        for (number, created) in case.created.iter().enumerate() {
            log(&mut world, &format!("log-{number}"), &hours(begin, *created).to_string());
        }
        let mut clock = hours(begin, ahead);
        for _ in 0..12 {
            let plan = settle(&mut world, clock);
            let Some(next) = plan.next else {
                let later = planned(&world, days(clock, 900));
                prop_assert!(diff(&later, &world).is_empty());
                break;
            };
            prop_assert!(next > clock);
            let just_before = next - SignedDuration::from_nanos(1);
            let still = planned(&world, just_before);
            prop_assert!(diff(&still, &world).is_empty(), "{:?}", diff(&still, &world));
            prop_assert_eq!(run(&still), run(&plan));
            clock = next;
        }
    }

    #[test]
    fn the_latest_start_is_the_last_of_which_every_earlier_one_is_over(
        seconds in 0..4_102_444_800i64,
        years in 0..3u32, months in 0..14u32, days in 0..40u32, hours in 0..30u32,
    ) {
        let period = PeriodText(format!("P{years}Y{months}M{days}DT{hours}H"));
        prop_assume!(time::period(&period).is_ok());
        let now = Timestamp::from_second(seconds).unwrap();
        let latest = time::latest_start(now, &period).unwrap();
        prop_assert!(time::kept_until(latest, &period).unwrap() <= now);
        prop_assert!(time::kept_until(latest + SignedDuration::from_nanos(1), &period).unwrap() > now);
        for earlier in [1, 3600, 86_400, 3 * 86_400, 32 * 86_400] {
            let start = latest - SignedDuration::from_secs(earlier);
            prop_assert!(time::after(start, &period).unwrap() <= now);
        }
    }

    #[test]
    fn what_begins_later_is_never_free_earlier(
        seconds in 0..4_102_444_800i64, later in 0..5_000_000i64, months in 1..27u32, days in 0..3u32,
    ) {
        let period = PeriodText(format!("P{months}M{days}D"));
        let start = Timestamp::from_second(seconds).unwrap();
        let second = start + SignedDuration::from_secs(later);
        let (first, other) = (time::kept_until(start, &period).unwrap(), time::kept_until(second, &period).unwrap());
        prop_assert!(first <= other);
        prop_assert!(time::after(start, &period).unwrap() <= first);
        prop_assert!(first.duration_since(time::after(start, &period).unwrap()) <= SignedDuration::from_hours(24));
    }
}

#[test]
fn what_must_go_goes_at_the_instants_that_are_planned() {
    let mut world = ground(&[
        thirty_days("logs"),
        baseline(json!({ "grace": "P1D", "maximumPerRun": 5 })),
    ]);
    for number in 0..4 {
        let created = days(at("2026-10-01T00:00:00Z"), number);
        log(&mut world, &format!("log-{number}"), &created.to_string());
    }
    let mut clock = at("2026-10-05T00:00:00Z");
    let mut entry = 1;
    let mut went = Vec::new();
    while let Some(next) = settle(&mut world, clock).next {
        clock = next;
        let plan = settle(&mut world, clock);
        if let Some(run) = run(&plan).cloned() {
            went.push((clock, run.candidates.len()));
            carry_out(&mut world, &run, clock, entry);
            entry += 2;
        }
    }
    let first = at("2026-11-01T00:00:00Z");
    assert_eq!(
        went,
        [
            (first, 1),
            (days(first, 1), 1),
            (days(first, 2), 1),
            (days(first, 3), 1)
        ]
    );
}

#[test]
fn a_hundred_thousand_objects_that_are_not_due_are_asked_about_nothing() {
    let mut world = ground(&[policy(
        "logs",
        json!({ "atLeast": "P30D", "atMost": "P1Y" }),
        "Dispose",
    )]);
    for number in 0..100_000 {
        log(&mut world, &format!("log-{number}"), "2026-11-20T00:00:00Z");
    }
    let plan = settle(&mut world, now());
    assert!(plan.inquiries.is_empty());
    assert_eq!(status(&plan, "logs")["matched"], 100_000);
    assert_eq!(
        plan.next,
        Some(at("2026-12-20T00:00:00Z")),
        "then its minimum is over"
    );
    let shelf = world.shelf(NAMESPACE).unwrap();
    assert_eq!(shelf.free(0, None, Some(days(now(), 1))).count(), 0);
}
