//! What guards are told of minimums.

use covenant::model::{Kind, Target, WriteFailure, time};
use serde_json::json;

use crate::support::{apply, enrolled, namespace};
use crate::*;

fn keeps(name: &str, at_least: &str) -> Value {
    policy(name, json!({ "atLeast": at_least }), "Preview")
}

/// The rules as they are stored, by whose they are, with how far each has come.
fn rules(world: &World) -> Vec<(String, Option<String>)> {
    let stored = world.parameters(NAMESPACE);
    let rules = stored
        .into_iter()
        .flat_map(|stored| &stored.spec.as_ref().unwrap().retention);
    rules
        .map(|rule| {
            (
                rule.rule.clone(),
                rule.started_before.as_ref().map(|text| text.0.clone()),
            )
        })
        .collect()
}

fn only(world: &World) -> Option<String> {
    let rules = rules(world);
    assert_eq!(rules.len(), 1, "{rules:?}");
    rules[0].1.clone()
}

fn enforced(plan: &Plan, name: &str) -> (String, String, String) {
    condition(&status(plan, name), "Enforced").unwrap()
}

#[test]
fn each_selection_of_each_minimum_is_a_rule_and_where_there_is_none_guards_keep_nothing() {
    let mut two = keeps("two", "P30D");
    let other = json!({ "apiVersion": "batch/v1", "kind": "Job", "namePrefix": "build-", "names": ["build-b", "build-a"] });
    two["spec"]["select"].as_array_mut().unwrap().push(other);
    let minimum = json!({ "select": { "apiVersion": "v1", "kind": "Secret", "namePrefix": "tax-" }, "atLeast": "P7Y", "basis": "law" });
    let mut world = ground(&[
        two,
        thirty_days("none"),
        baseline(json!({ "keep": [minimum] })),
    ]);
    world.tell_kind(&ResourceKind::parse("v1", "Secret"), KindState::Synced);
    settle(&mut world, now());
    let stored = world.parameters(NAMESPACE).unwrap().spec.clone().unwrap();
    assert_eq!(
        json!(stored)["retention"],
        json!([
            {
                "rule": "RetentionPolicy two", "apiGroup": "", "kind": "ConfigMap", "matchLabels": { "app": "log" },
                "startsAt": "CreatedAt", "atLeast": "P30D", "startedBefore": "2026-10-25T12:00:00Z"
            },
            {
                "rule": "RetentionPolicy two", "apiGroup": "batch", "kind": "Job", "namePrefix": "build-",
                "names": ["build-a", "build-b"],
                "startsAt": "CreatedAt", "atLeast": "P30D", "startedBefore": "2026-10-25T12:00:00Z"
            },
            {
                "rule": "TenantBaseline default", "apiGroup": "", "kind": "Secret", "namePrefix": "tax-",
                "startsAt": "CreatedAt", "atLeast": "P7Y", "startedBefore": "2019-11-24T12:00:00Z"
            }
        ])
    );
    apply(&mut world, &baseline(json!({})));
    world.remove(Kind::RetentionPolicy, &key("two"));
    settle(&mut world, now());
    let left = world.parameters(NAMESPACE).unwrap().spec.clone().unwrap();
    assert!(left.retention.is_empty(), "{left:?}");
}

#[test]
fn the_status_speaks_of_a_generation_only_once_guards_read_its_minimum() {
    let mut fresh = keeps("logs", "P30D");
    fresh["status"] = json!({});
    let mut world = ground(&[fresh, thirty_days("none")]);
    let first = planned(&world, now());
    let generation = |plan: &Plan, name: &str| status(plan, name)["observedGeneration"].clone();
    assert_eq!(generation(&first, "logs"), json!(null));
    assert_eq!(status(&first, "logs")["since"], json!(null));
    assert_eq!(generation(&first, "none"), json!(1), "it has no minimum");
    let plan = settle(&mut world, now());
    assert_eq!(generation(&plan, "logs"), json!(1));

    let mut longer = keeps("logs", "P60D");
    longer["metadata"]["generation"] = json!(2);
    longer["status"] = status(&plan, "logs");
    apply(&mut world, &longer);
    let edited = planned(&world, now());
    assert_eq!(generation(&edited, "logs"), json!(1));
    let plan = settle(&mut world, now());
    assert_eq!(generation(&plan, "logs"), json!(2));
}

#[test]
fn a_boundary_is_written_anew_only_when_that_frees_an_object() {
    let mut world = ground(&[keeps("logs", "P30D")]);
    let plan = settle(&mut world, now());
    assert_eq!(only(&world).unwrap(), "2026-10-25T12:00:00Z");
    assert_eq!(plan.next, None, "nothing is there that could be freed");
    assert!(diff(&planned(&world, days(now(), 9)), &world).is_empty());

    log(&mut world, "fresh", "2026-11-01T00:00:00Z");
    log(&mut world, "younger", "2026-11-02T00:00:00Z");
    let plan = settle(&mut world, now());
    assert_eq!(only(&world).unwrap(), "2026-10-25T12:00:00Z");
    let free = at("2026-12-01T00:00:00Z");
    assert_eq!(plan.next, Some(free));
    assert!(
        diff(
            &planned(&world, free - SignedDuration::from_secs(1)),
            &world
        )
        .is_empty()
    );
    let plan = settle(&mut world, free);
    assert_eq!(only(&world).unwrap(), "2026-11-01T00:00:00Z");
    assert_eq!(plan.next, Some(days(free, 1)));
    // One write frees whatever has come due.
    settle(&mut world, at("2026-12-30T06:00:00Z"));
    assert_eq!(only(&world).unwrap(), "2026-11-30T06:00:00Z");
}

#[test]
fn a_boundary_never_goes_back_while_its_rule_stays_and_is_made_anew_when_it_changes() {
    let mut world = ground(&[keeps("logs", "P30D")]);
    settle(&mut world, now());
    log(&mut world, "fresh", "2026-10-01T00:00:00Z");
    settle(&mut world, days(now(), -300));
    assert_eq!(only(&world).unwrap(), "2026-10-25T12:00:00Z");
    apply(&mut world, &keeps("logs", "P60D"));
    settle(&mut world, now());
    assert_eq!(only(&world).unwrap(), "2026-09-25T12:00:00Z");
}

#[test]
fn a_doubted_clock_moves_no_boundary_and_frees_nothing_of_a_new_rule() {
    let mut world = ground(&[keeps("logs", "P30D")]);
    settle(&mut world, now());
    world.learn_clock(Some("it jumped".to_owned()));
    log(&mut world, "fresh", "2026-11-01T00:00:00Z");
    apply(&mut world, &keeps("more", "P1D"));
    settle(&mut world, days(now(), 3650));
    let logs = (
        "RetentionPolicy logs".to_owned(),
        Some("2026-10-25T12:00:00Z".to_owned()),
    );
    assert_eq!(
        rules(&world),
        [logs.clone(), ("RetentionPolicy more".to_owned(), None)]
    );
    world.learn_clock(None);
    settle(&mut world, now());
    let more = Some("2026-11-23T12:00:00Z".to_owned());
    assert_eq!(
        rules(&world),
        [logs, ("RetentionPolicy more".to_owned(), more)]
    );
}

#[test]
fn an_unreadable_minimum_keeps_for_good() {
    for keep in [
        json!({ "atLeast": "forever" }),
        json!({ "atLeast": "P0D" }),
        json!({ "atLeast": "-P1D" }),
        json!({ "atLeast": "PT1.5H" }),
        json!({ "atLeast": "P101Y" }),
        json!({ "atLeast": 30 }),
        json!("P30D"),
    ] {
        let mut world = ground(&[policy("logs", keep.clone(), "Dispose")]);
        log(&mut world, "old", "1990-01-01T00:00:00Z");
        let plan = settle(&mut world, now());
        assert_eq!(only(&world), None, "{keep}");
        assert_eq!(ready(&plan, "logs").1, "Invalid");
        assert!(run(&plan).is_none());
    }
}

#[test]
fn an_unreadable_start_takes_back_what_was_free() {
    let mut world = ground(&[keeps("logs", "P30D")]);
    settle(&mut world, now());
    assert!(only(&world).is_some());
    let mut unreadable = keeps("logs", "P30D");
    unreadable["spec"]["startsAt"] = json!("Tomorrow");
    apply(&mut world, &unreadable);
    settle(&mut world, now());
    assert_eq!(only(&world), None);
}

#[test]
fn of_a_selection_that_cannot_be_read_the_stored_rule_stays() {
    let mut world = ground(&[keeps("logs", "P30D"), thirty_days("goes")]);
    log(&mut world, "young", "2026-10-26T00:00:00Z");
    settle(&mut world, now());
    let mut unreadable = keeps("logs", "P30D");
    unreadable["spec"]["select"] = json!([{ "kind": 7 }]);
    apply(&mut world, &unreadable);
    let later = days(now(), 90);
    let plan = settle(&mut world, later);
    assert_eq!(only(&world).unwrap(), "2026-10-25T12:00:00Z");
    // Nobody knows any more for how long; the guard refuses, so nothing is asked of it.
    assert!(run(&plan).is_none());
    assert_eq!(status(&plan, "goes")["withheld"]["byMinimum"], 1);
    world.remove(Kind::RetentionPolicy, &key("logs"));
    assert_eq!(goes(&settle(&mut world, later)), ["young"]);
}

#[test]
fn more_minimums_than_guards_read_keep_everything() {
    let select = |number: usize| json!({ "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": format!("log-{number:02}-") });
    let many = |name: &str, count: usize| {
        let mut policy = keeps(name, "P30D");
        policy["spec"]["select"] = (0..count).map(select).collect();
        policy
    };
    let policies = ["a", "b", "c", "d"].map(|name| many(name, 16));
    let mut world = ground(&policies);
    settle(&mut world, now());
    assert_eq!(rules(&world).len(), 64);
    apply(&mut world, &many("e", 1));
    apply(&mut world, &thirty_days("goes"));
    log(&mut world, "old", "2020-01-01T00:00:00Z");
    let plan = settle(&mut world, now());
    let stored = world.parameters(NAMESPACE).unwrap().spec.clone().unwrap();
    assert_eq!(stored.retention.len(), 1);
    let everything = &stored.retention[0];
    assert_eq!((&*everything.api_group, &*everything.kind), ("*", "*"));
    assert_eq!(everything.started_before, None);
    assert_eq!(
        condition(&status(&plan, "a"), "TooManyRules").unwrap().0,
        "True"
    );
    assert_eq!(ready(&plan, "a").1, "TooManyRules");
    assert!(run(&plan).is_none());
    world.remove(Kind::RetentionPolicy, &key("e"));
    settle(&mut world, now());
    assert_eq!(goes(&settle(&mut world, days(now(), 1))), ["old"]);
}

#[test]
fn what_only_observes_has_them_ready_and_what_is_being_deleted_keeps_what_it_has() {
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    let mut world = ground(&[keeps("logs", "P30D")]);
    settle(&mut world, now());
    let mut deleting = enrolled(NAMESPACE, "acme");
    deleting["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
    apply(&mut world, &deleting);
    log(&mut world, "fresh", "2026-11-01T00:00:00Z");
    assert_eq!(planned(&world, days(now(), 90)).parameters, None);
    assert_eq!(rules(&world).len(), 1);
    apply(&mut world, &namespace(NAMESPACE, labels));
    let plan = settle(&mut world, now());
    assert_eq!(rules(&world).len(), 1);
    assert_eq!(enforced(&plan, "logs").1, "Observing");
    let label = json!({});
    apply(&mut world, &namespace(NAMESPACE, label));
    settle(&mut world, now());
    assert!(world.parameters(NAMESPACE).is_none(), "it left");
}

#[test]
fn objects_that_cannot_be_seen_are_freed_once_a_day() {
    let mut world = ground(&[keeps("logs", "P30D")]);
    settle(&mut world, now());
    let message = "add a rule".to_owned();
    world.tell_kind(&config_maps(), KindState::Forbidden { message });
    let plan = settle(&mut world, now());
    assert_eq!(only(&world).unwrap(), "2026-10-25T12:00:00Z");
    assert_eq!(plan.next, Some(at("2026-11-25T00:00:00Z")));
    let plan = settle(&mut world, at("2026-11-26T07:00:00Z"));
    assert_eq!(only(&world).unwrap(), "2026-10-27T00:00:00Z");
    assert_eq!(plan.next, Some(at("2026-11-27T00:00:00Z")));
}

#[test]
fn nothing_goes_before_what_guards_read_was_written_and_read_back() {
    let keep = json!({ "atLeast": "P30D", "atMost": "P30D" });
    let mut world = ground(&[
        policy("logs", keep, "Dispose"),
        baseline(json!({ "grace": "PT0S" })),
    ]);
    log(&mut world, "first", "2026-10-01T00:00:00Z");
    log(&mut world, "second", "2026-11-01T00:00:00Z");
    settle(&mut world, now());
    let free = at("2026-12-01T00:00:00Z");
    assert_eq!(goes(&planned(&world, free)), ["first"]);
    assert_eq!(goes(&settle(&mut world, free)), ["first", "second"]);
}

#[test]
fn enforced_follows_what_is_stored_and_how_the_guards_stand() {
    let mut world = ground(&[keeps("logs", "P30D"), thirty_days("none")]);
    let plan = planned(&world, now());
    // Without the guards of this release nothing is enforced, whatever is stored.
    assert_eq!(enforced(&plan, "logs").1, "GuardsAltered");
    assert_eq!(enforced(&plan, "none").1, "NotNeeded");
    for (_, text) in covenant::api::guards::FILES {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        for mut document in documents {
            let kind = document["kind"].as_str().unwrap_or_default();
            if kind.starts_with("ValidatingAdmissionPolicy") {
                document["metadata"]["uid"] = json!("guard");
                apply(&mut world, &document);
            }
        }
    }
    let plan = planned(&world, now());
    assert_eq!(enforced(&plan, "logs").0, "Unknown");
    assert_eq!(enforced(&plan, "logs").1, "BoundaryPending");
    let target = Target::new(Kind::GuardParameters, key("current"));
    let failure = WriteFailure {
        category: "Forbidden".to_owned(),
        message: "not allowed".to_owned(),
    };
    let dirty = world.record_failure(target.clone(), failure);
    assert!(dirty.0.contains(&unit()));
    assert_eq!(
        enforced(&planned(&world, now()), "logs").1,
        "ParametersRefused"
    );
    world.clear_failure(&target);
    let plan = settle(&mut world, now());
    assert_eq!(enforced(&plan, "logs").1, "BoundaryStored");
    log(&mut world, "fresh", "2026-11-01T00:00:00Z");
    let plan = planned(&world, days(now(), 30));
    assert_eq!(
        enforced(&plan, "logs").1,
        "BoundaryStored",
        "a boundary that lags is only stricter"
    );
}

#[test]
fn a_boundary_has_the_fraction_that_an_object_needs_and_no_other() {
    let mut since = keeps("logs", "P30D");
    since["spec"]["startsAt"] = json!("RetainedSince");
    let mut world = ground(&[since]);
    let start = at("2026-11-01T00:00:00.25Z");
    let mut object = metadata("restored", "2026-11-05T00:00:00Z", json!({ "app": "log" }));
    object["annotations"] = json!({ "privacy.cloudnexus.io/retained-since": start.to_string() });
    put(&mut world, &config_maps(), &object);
    settle(&mut world, now() + SignedDuration::from_millis(700));
    assert_eq!(only(&world).unwrap(), "2026-10-25T12:00:00Z");
    let free = time::kept_until(start, &covenant::api::PeriodText("P30D".to_owned())).unwrap();
    settle(&mut world, free);
    assert_eq!(only(&world).unwrap(), "2026-11-01T00:00:00.25Z");
}
