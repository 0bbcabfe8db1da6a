//! What people are told of one object, and of what goes next.

use covenant::model::Keep;
use covenant::plan::{Withheld, fate, preview};
use serde_json::json;

use crate::support::{apply, hold};
use crate::*;

#[test]
fn every_rule_that_touches_an_object_is_told_and_which_wins() {
    let minimum = json!({ "select": { "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": "old" }, "atLeast": "P60D", "basis": "law" });
    let mut world = ground(&[
        thirty_days("goes"),
        policy(
            "keeps",
            json!({ "atLeast": "P40D", "atMost": "P1Y" }),
            "Preview",
        ),
        baseline(json!({ "keep": [minimum] })),
    ]);
    log(&mut world, "old", "2026-11-01T00:00:00Z");
    let told = fate(&world, &config_maps(), &key("old"), now()).unwrap();
    let end = at("2026-12-31T00:00:00Z");
    let sources: Vec<_> = told.rules.iter().map(|rule| rule.source.as_str()).collect();
    assert_eq!(
        sources,
        [
            "RetentionPolicy goes",
            "RetentionPolicy keeps",
            "TenantBaseline default"
        ]
    );
    let wins: Vec<_> = told
        .rules
        .iter()
        .map(|rule| (rule.wins_minimum, rule.wins_maximum))
        .collect();
    assert_eq!(wins, [(false, true), (false, false), (true, false)]);
    assert_eq!(told.minimum, Some(Keep::Until(end)));
    assert_eq!(told.maximum, Some(at("2026-12-01T00:00:00Z")));
    assert_eq!(told.may_go_at, Some(end));
    assert_eq!(told.goes_at, Some(days(end, 1)));
    assert_eq!(told.goes_by.unwrap().name, "goes");
    assert!(told.disposes);
    assert_eq!(told.withheld, None);

    let past = fate(
        &world,
        &config_maps(),
        &key("old"),
        at("2026-12-02T00:00:00Z"),
    )
    .unwrap();
    assert_eq!(
        past.withheld,
        Some(Withheld::Minimum(Some(Keep::Until(end))))
    );
    assert!(fate(&world, &config_maps(), &key("none"), now()).is_none());
}

#[test]
fn an_object_under_a_policy_of_which_a_kind_is_not_read_goes_by_another() {
    let mut both = thirty_days("both");
    both["spec"]["select"] = json!([
        { "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "app": "log" } },
        { "apiVersion": "v1", "kind": "Gone", "matchLabels": { "app": "log" } }
    ]);
    let mut world = ground(&[both.clone()]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    let told = |world: &World| fate(world, &config_maps(), &key("old"), now()).unwrap();
    settle(&mut world, now());
    let said = "v1 Gone is not fully read".to_owned();
    assert_eq!(told(&world).withheld, Some(Withheld::Otherwise(said)));
    assert!(goes(&settle(&mut world, now())).is_empty());

    let other = policy("other", json!({ "atMost": "P40D" }), "Dispose");
    let mut world = ground(&[both, other]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    assert_eq!(goes(&settle(&mut world, now())), ["old"]);
    let told = told(&world);
    assert_eq!(told.goes_by.unwrap().name, "other");
    assert_eq!(told.withheld, None);
}

#[test]
fn a_hold_is_told_before_the_object_is_due() {
    let mut world = ground(&[thirty_days("logs")]);
    log(&mut world, "young", "2026-11-20T00:00:00Z");
    apply(
        &mut world,
        &hold(NAMESPACE, "case", json!({ "matter": "m" }), json!({})),
    );
    let told = fate(&world, &config_maps(), &key("young"), now()).unwrap();
    assert!(
        matches!(told.withheld, Some(Withheld::Hold { ref name, released: false }) if name == "case")
    );
}

#[test]
fn a_preview_lists_what_is_due_what_is_withheld_and_what_follows_in_its_order() {
    let mut world = ground(&[
        thirty_days("logs"),
        policy("other", json!({ "atMost": "P10Y" }), "Preview"),
    ]);
    log(&mut world, "b-due", "2026-01-01T00:00:00Z");
    log(&mut world, "a-follows", "2026-11-20T00:00:00Z");
    let mut tracked = metadata("c-tracked", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
    tracked["annotations"] = json!({ "meta.helm.sh/release-name": "app" });
    put(&mut world, &config_maps(), &tracked);
    let names = |fates: &[covenant::plan::Fate]| -> Vec<String> {
        fates.iter().map(|fate| fate.key.name.clone()).collect()
    };
    let told = preview(&world, NAMESPACE, Some("logs"), now());
    assert_eq!(names(&told), ["b-due", "a-follows", "c-tracked"]);
    assert_eq!(told[0].withheld, None);
    assert!(matches!(
        told[2].withheld,
        Some(Withheld::ManagedElsewhere(_))
    ));
    assert_eq!(told[2].goes_at, None);
    assert_eq!(preview(&world, NAMESPACE, None, now()).len(), 3);
    assert!(preview(&world, NAMESPACE, Some("nobody"), now()).is_empty());
}
