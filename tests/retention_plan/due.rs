//! When an object is due, and what names it then.

use serde_json::json;

use crate::support::apply;
use crate::*;

#[test]
fn an_object_goes_when_its_maximum_and_the_grace_have_passed_and_not_an_instant_earlier() {
    let mut world = ground(&[thirty_days("logs")]);
    log(&mut world, "old", "2026-10-01T00:00:00Z");
    // 30 days and one of grace.
    let due = at("2026-11-01T00:00:00Z");
    let before = due - SignedDuration::from_nanos(1);
    assert!(goes(&planned(&world, before)).is_empty());
    let plan = planned(&world, due);
    assert_eq!(goes(&plan), ["old"]);
    let candidate = candidates(&plan)[0];
    assert_eq!(candidate.uid, "uid-old");
    assert_eq!(candidate.version, "7");
    assert_eq!(candidate.due, due);
    assert_eq!(candidate.policy.name, "logs");
    assert_eq!(candidate.policy.uid, "policy-logs");
    assert_eq!(run(&plan).unwrap().tenant, "acme");
}

#[test]
fn months_are_counted_by_the_calendar() {
    for (created, period, due) in [
        ("2028-01-31T10:00:00Z", "P1M", "2028-02-29T10:00:00Z"),
        ("2027-01-31T10:00:00Z", "P1M", "2027-02-28T10:00:00Z"),
        ("2028-02-29T10:00:00Z", "P1Y", "2029-02-28T10:00:00Z"),
        ("2028-02-29T10:00:00Z", "P4Y", "2032-02-29T10:00:00Z"),
        ("2026-03-29T00:30:00Z", "P1D", "2026-03-30T00:30:00Z"),
    ] {
        let keep = json!({ "atMost": period });
        let mut world = ground(&[
            policy("logs", keep, "Dispose"),
            baseline(json!({ "grace": "PT0S" })),
        ]);
        log(&mut world, "old", created);
        let due = at(due);
        assert!(goes(&planned(&world, due - SignedDuration::from_secs(1))).is_empty());
        assert_eq!(goes(&planned(&world, due)), ["old"], "{created} {period}");
    }
}

#[test]
fn a_minimum_that_ends_in_a_month_too_short_for_the_day_ends_with_its_last_day() {
    let keep = json!({ "atLeast": "P1M", "atMost": "P1M" });
    let mut world = ground(&[
        policy("logs", keep, "Dispose"),
        baseline(json!({ "grace": "PT0S" })),
    ]);
    log(&mut world, "late", "2027-01-28T23:00:00Z");
    log(&mut world, "last", "2027-01-31T10:00:00Z");
    assert!(goes(&settle(&mut world, at("2027-02-28T22:59:59Z"))).is_empty());
    // What began earlier is not kept longer than what began later, so the one is not let go before the other.
    assert_eq!(
        goes(&settle(&mut world, at("2027-02-28T23:00:00Z"))),
        ["late"]
    );
    assert_eq!(
        goes(&settle(&mut world, at("2027-03-01T00:00:00Z"))),
        ["late", "last"]
    );
}

#[test]
fn the_longest_minimum_of_all_policies_and_baselines_beats_every_maximum() {
    let keep = json!({ "atLeast": "P90D" });
    let minimum = json!({ "select": { "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": "tax-" }, "atLeast": "P1Y", "basis": "law" });
    let mut world = ground(&[
        thirty_days("logs"),
        policy("longer", keep, "Preview"),
        baseline(json!({ "keep": [minimum] })),
    ]);
    log(&mut world, "plain", "2026-01-01T00:00:00Z");
    log(&mut world, "tax-1", "2026-01-01T00:00:00Z");
    let plan = settle(&mut world, at("2026-03-01T00:00:00Z"));
    assert!(goes(&plan).is_empty());
    assert_eq!(status(&plan, "logs")["withheld"]["byMinimum"], 2);
    // 90 days, and the grace after them.
    assert_eq!(
        goes(&settle(&mut world, at("2026-04-02T00:00:00Z"))),
        ["plain"]
    );
    assert_eq!(
        goes(&settle(&mut world, at("2026-12-31T23:59:59Z"))),
        ["plain"]
    );
    assert_eq!(
        goes(&settle(&mut world, at("2027-01-02T00:00:00Z"))),
        ["plain", "tax-1"]
    );
}

#[test]
fn an_edit_starts_the_grace_anew_and_never_deletes_at_once() {
    let mut edited = thirty_days("logs");
    edited["metadata"]["generation"] = json!(2);
    let mut world = ground(&[edited]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    let plan = settle(&mut world, now());
    assert!(goes(&plan).is_empty());
    assert_eq!(status(&plan, "logs")["since"], "2026-11-24T12:00:00Z");
    assert_eq!(status(&plan, "logs")["withheld"]["byGrace"], 1);
    assert_eq!(plan.next, Some(days(now(), 1)));
    assert_eq!(goes(&settle(&mut world, days(now(), 1))), ["old"]);
}

#[test]
fn without_grace_nothing_goes_before_the_generation_was_stored() {
    let mut edited = thirty_days("logs");
    edited["metadata"]["generation"] = json!(2);
    let mut world = ground(&[edited, baseline(json!({ "grace": "PT0S" }))]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    assert!(goes(&planned(&world, now())).is_empty());
    assert_eq!(goes(&settle(&mut world, now())), ["old"]);
}

#[test]
fn a_preview_says_what_would_go_and_nothing_goes() {
    let keep = json!({ "atMost": "P30D" });
    let mut world = ground(&[policy("logs", keep, "Preview")]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    log(&mut world, "soon", "2026-10-25T00:00:00Z");
    let plan = settle(&mut world, now());
    assert!(run(&plan).is_none());
    let status = status(&plan, "logs");
    assert_eq!(status["matched"], 2);
    assert_eq!(status["due"]["now"], 1);
    assert_eq!(status["due"]["within24h"], 1);
    assert_eq!(status["due"]["nextAt"], "2026-11-25T00:00:00Z");
    assert_eq!(ready(&plan, "logs").1, "Previewing");
}

#[test]
fn of_two_policies_the_one_that_is_first_disposes_and_each_object_once() {
    let keep = json!({ "atMost": "P60D" });
    let mut world = ground(&[thirty_days("b-short"), policy("a-long", keep, "Dispose")]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    let plan = settle(&mut world, now());
    assert_eq!(goes(&plan), ["old"]);
    assert_eq!(candidates(&plan)[0].policy.name, "b-short");
}

#[test]
fn a_creation_in_the_future_starts_in_the_future() {
    let mut world = ground(&[thirty_days("logs")]);
    log(&mut world, "ahead", "2036-01-01T00:00:00Z");
    let plan = settle(&mut world, now());
    assert!(goes(&plan).is_empty());
    assert_eq!(
        status(&plan, "logs")["due"]["nextAt"],
        "2036-02-01T00:00:00Z"
    );
    assert_eq!(
        goes(&settle(&mut world, at("2036-02-01T00:00:00Z"))),
        ["ahead"]
    );
}

#[test]
fn the_far_future_neither_overflows_nor_is_due() {
    let keep = json!({ "atLeast": "P100Y", "atMost": "P100Y" });
    let mut world = ground(&[policy("logs", keep, "Dispose")]);
    log(&mut world, "far", "9950-01-01T00:00:00Z");
    log(&mut world, "first", "1970-01-01T00:00:00Z");
    assert!(goes(&settle(&mut world, now())).is_empty());
    assert_eq!(
        goes(&settle(&mut world, at("2070-01-02T00:00:00Z"))),
        ["first"]
    );
}

#[test]
fn retained_since_counts_where_it_is_set_and_keeps_where_it_cannot_be_read() {
    let keep = json!({ "atLeast": "P10D", "atMost": "P30D" });
    let mut since = policy("logs", keep, "Dispose");
    since["spec"]["startsAt"] = json!("RetainedSince");
    let mut world = ground(&[since]);
    for (name, annotation) in [
        ("restored", Some("2026-01-01T00:00:00Z")),
        ("renewed", Some("2026-11-20T00:00:00Z")),
        ("unreadable", Some("yesterday")),
        ("a-day", Some("2026-01-01")),
        ("plain", None),
    ] {
        let mut object = metadata(name, "2026-11-01T00:00:00Z", json!({ "app": "log" }));
        if let Some(annotation) = annotation {
            object["annotations"] = json!({ "privacy.cloudnexus.io/retained-since": annotation });
        }
        put(&mut world, &config_maps(), &object);
    }
    assert_eq!(goes(&settle(&mut world, now())), ["restored"]);
    assert_eq!(
        goes(&settle(&mut world, days(now(), 3650))),
        ["restored", "plain", "renewed"]
    );
}

#[test]
fn completion_is_asked_for_once_it_could_matter_and_again_when_the_object_changed() {
    let mut finished = thirty_days("logs");
    finished["spec"]["select"][0] =
        json!({ "apiVersion": "batch/v1", "kind": "Job", "matchLabels": { "app": "log" } });
    finished["spec"]["startsAt"] = json!("CompletedAt");
    let mut world = ground(&[finished]);
    let mut object = metadata("build", "2026-10-01T00:00:00Z", json!({ "app": "log" }));
    put(&mut world, &jobs(), &object);
    let asked = |world: &World, now| {
        planned(world, now).inquiries.iter().any(|inquiry| {
            matches!(inquiry, Inquiry::Complete { objects, .. } if objects[0].1.name == "build")
        })
    };
    let could = at("2026-10-31T00:00:00Z");
    assert!(!asked(&world, could - SignedDuration::from_secs(1)));
    assert_eq!(
        planned(&world, at("2026-10-02T00:00:00Z")).next,
        Some(could)
    );
    assert!(asked(&world, could));
    // An answer about another version is none.
    world.learn_completion(&jobs(), &key("build"), "uid-build", "6", Some(could));
    assert!(asked(&world, could));
    world.learn_completion(&jobs(), &key("build"), "uid-build", "7", None);
    assert!(!asked(&world, days(could, 900)));
    assert!(goes(&settle(&mut world, days(could, 900))).is_empty());
    object["resourceVersion"] = json!("8");
    put(&mut world, &jobs(), &object);
    assert!(asked(&world, could));
    let completed = at("2026-11-01T00:00:00Z");
    world.learn_completion(&jobs(), &key("build"), "uid-build", "8", Some(completed));
    assert!(goes(&settle(&mut world, at("2026-12-01T23:59:59Z"))).is_empty());
    assert_eq!(
        goes(&settle(&mut world, at("2026-12-02T00:00:00Z"))),
        ["build"]
    );
}

#[test]
fn nothing_goes_while_a_kind_is_not_fully_read_the_ledger_is_closed_or_the_clock_is_doubted() {
    let mut world = ground(&[thirty_days("logs")]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    settle(&mut world, now());

    for (state, reason) in [
        (KindState::Syncing, "Syncing"),
        (KindState::NotServed, "KindNotServed"),
        (KindState::NotNamespaced, "KindNotServed"),
        (
            KindState::Forbidden {
                message: "add a rule".to_owned(),
            },
            "NotPermitted",
        ),
    ] {
        world.tell_kind(&config_maps(), state);
        let plan = settle(&mut world, now());
        assert!(goes(&plan).is_empty());
        assert_eq!(ready(&plan, "logs").1, reason);
        assert_eq!(status(&plan, "logs")["matched"], json!(null));
    }
    world.tell_kind(&config_maps(), KindState::Synced);

    let closed = LedgerState {
        problem: Some("no space".to_owned()),
        ..LedgerState::default()
    };
    world.learn_ledger(closed);
    let plan = settle(&mut world, now());
    assert!(goes(&plan).is_empty());
    assert_eq!(ready(&plan, "logs").1, "LedgerUnavailable");
    assert_eq!(status(&plan, "logs")["withheld"]["otherwise"], 1);
    world.learn_ledger(LedgerState::default());

    world.learn_clock(Some("it jumped ten years".to_owned()));
    let plan = settle(&mut world, at("2036-11-24T12:00:00Z"));
    assert!(goes(&plan).is_empty());
    assert_eq!(ready(&plan, "logs").1, "ClockDoubted");
    assert_eq!(plan.next, None);
    world.learn_clock(None);
    assert_eq!(goes(&settle(&mut world, now())), ["old"]);
}

#[test]
fn nothing_goes_before_the_ledger_was_told_of() {
    let mut world = World::new(Settings::default());
    for object in [
        enrolled(NAMESPACE, "acme"),
        support::baseline(),
        thirty_days("logs"),
    ] {
        apply(&mut world, &object);
    }
    world.tell_kind(&config_maps(), KindState::Synced);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    assert!(goes(&settle(&mut world, now())).is_empty());
    world.learn_ledger(LedgerState::default());
    assert_eq!(goes(&settle(&mut world, now())), ["old"]);
}

#[test]
fn what_is_selected_twice_is_counted_once_and_what_another_selects_not_at_all() {
    let mut world = ground(&[thirty_days("logs")]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    let other = metadata("other", "2026-01-01T00:00:00Z", json!({ "app": "web" }));
    put(&mut world, &config_maps(), &other);
    let mut twice = thirty_days("logs");
    let by_name = json!({ "apiVersion": "v1", "kind": "ConfigMap", "names": ["old"] });
    twice["spec"]["select"]
        .as_array_mut()
        .unwrap()
        .push(by_name);
    apply(&mut world, &twice);
    let plan = settle(&mut world, now());
    assert_eq!(goes(&plan), ["old"]);
    assert_eq!(status(&plan, "logs")["matched"], 1);
}
