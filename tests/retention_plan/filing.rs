//! The files of a namespace say what they would say if they were made anew, and cost what is due.

use std::collections::BTreeMap;

use covenant::model::Kind;
use proptest::prelude::*;
use serde_json::json;
use testbed::effort::cases;

use crate::support::apply;
use crate::*;

/// Something that happens to a world.
#[derive(Clone, Debug)]
enum Edit {
    Item {
        name: u8,
        day: u16,
        labelled: bool,
        tracked: bool,
        version: u8,
    },
    Gone {
        name: u8,
    },
    Policy {
        name: u8,
        least: Option<u8>,
        most: Option<u8>,
        disposes: bool,
    },
    NoPolicy {
        name: u8,
    },
    Completed {
        name: u8,
        day: Option<u16>,
    },
    Baseline {
        keep: Option<u8>,
    },
    Enrolled(bool),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let period = || proptest::option::of(1..120u8);
    let edit = prop_oneof![
        6 => (0..12u8, 0..400u16, any::<bool>(), proptest::bool::weighted(0.2), 0..3u8).prop_map(
            |(name, day, labelled, tracked, version)| Edit::Item { name, day, labelled, tracked, version }
        ),
        2 => (0..12u8).prop_map(|name| Edit::Gone { name }),
        3 => (0..3u8, period(), period(), any::<bool>()).prop_map(
            |(name, least, most, disposes)| Edit::Policy { name, least, most, disposes }
        ),
        1 => (0..3u8).prop_map(|name| Edit::NoPolicy { name }),
        2 => (0..12u8, proptest::option::of(0..400u16)).prop_map(|(name, day)| Edit::Completed { name, day }),
        1 => period().prop_map(|keep| Edit::Baseline { keep }),
        1 => proptest::bool::weighted(0.8).prop_map(Edit::Enrolled),
    ];
    proptest::collection::vec(edit, 1..40)
}

/// The API server gives what is otherwise another version.
fn content(version: u8, day: u16, labelled: bool, tracked: bool) -> String {
    format!(
        "{version}{day:03}{}{}",
        u8::from(labelled),
        u8::from(tracked)
    )
}

fn on_day(day: u16) -> Timestamp {
    days(at("2025-12-01T00:00:00Z"), i64::from(day))
}

fn make(world: &mut World, edit: &Edit) {
    match edit {
        Edit::Item {
            name,
            day,
            labelled,
            tracked,
            version,
        } => {
            let labels = if *labelled {
                json!({ "app": "log" })
            } else {
                json!({})
            };
            let mut object = metadata(&format!("log-{name}"), &on_day(*day).to_string(), labels);
            object["resourceVersion"] = json!(content(*version, *day, *labelled, *tracked));
            if *tracked {
                object["annotations"] = json!({ "meta.helm.sh/release-name": "app" });
            }
            put(world, &jobs(), &object);
        }
        Edit::Gone { name } => drop(world.remove_item(&jobs(), &key(&format!("log-{name}")))),
        Edit::Policy {
            name,
            least,
            most,
            disposes,
        } => {
            let mut keep = BTreeMap::new();
            keep.extend(least.map(|days| ("atLeast", format!("P{days}D"))));
            keep.extend(most.map(|days| ("atMost", format!("P{days}D"))));
            let mode = if *disposes { "Dispose" } else { "Preview" };
            let mut written = policy(&format!("policy-{name}"), json!(keep), mode);
            written["spec"]["select"] = json!([
                { "apiVersion": "batch/v1", "kind": "Job", "matchLabels": { "app": "log" } },
                { "apiVersion": "batch/v1", "kind": "Job", "names": ["log-0", "log-1"] }
            ]);
            if *name == 2 {
                written["spec"]["startsAt"] = json!("CompletedAt");
            }
            apply(world, &written);
        }
        Edit::NoPolicy { name } => {
            drop(world.remove(Kind::RetentionPolicy, &key(&format!("policy-{name}"))));
        }
        Edit::Completed { name, day } => {
            let key = key(&format!("log-{name}"));
            let held = world.item(&jobs(), &key).map(|held| held.item.clone());
            if let Some(item) = held {
                world.learn_completion(&jobs(), &key, &item.uid, &item.version, day.map(on_day));
            }
        }
        Edit::Baseline { keep } => {
            let minimum = keep.map(|days| {
                json!({ "select": { "apiVersion": "batch/v1", "kind": "Job", "namePrefix": "log-1" }, "atLeast": format!("P{days}D"), "basis": "law" })
            });
            let keep: Vec<Value> = minimum.into_iter().collect();
            apply(world, &baseline(json!({ "grace": "P1D", "keep": keep })));
        }
        Edit::Enrolled(enrolled) => {
            let labels = if *enrolled {
                json!({ "privacy.cloudnexus.io/tenant": "acme" })
            } else {
                json!({})
            };
            apply(world, &support::namespace(NAMESPACE, labels));
        }
    }
}

/// The same objects as they are in the end, in another order.
fn anew(edits: &[Edit]) -> World {
    let mut world = ground(&[]);
    let mut last: BTreeMap<String, Vec<&Edit>> = BTreeMap::new();
    for edit in edits {
        let about = match edit {
            Edit::Item { name, .. } | Edit::Gone { name } | Edit::Completed { name, .. } => {
                format!("item {name}")
            }
            Edit::Policy { name, .. } | Edit::NoPolicy { name } => format!("policy {name}"),
            Edit::Baseline { .. } => "baseline".to_owned(),
            Edit::Enrolled(_) => "enrolled".to_owned(),
        };
        let kept = last.entry(about).or_default();
        // An answer is about the object as it was then.
        if !matches!(edit, Edit::Completed { .. }) {
            let same = |one: &&&Edit| format!("{one:?}") == format!("{edit:?}");
            if kept.first().filter(same).is_some() {
                continue;
            }
            kept.clear();
        }
        kept.push(edit);
    }
    for edit in last.values().rev().flatten() {
        make(&mut world, edit);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(128)))]

    #[test]
    fn files_that_were_kept_up_say_what_files_made_anew_say(edits in edits(), day in 0..600u16) {
        let mut world = ground(&[]);
        for edit in &edits {
            make(&mut world, edit);
        }
        let fresh = anew(&edits);
        for day in [day, day + 1, day + 40] {
            let (kept_up, made_anew) = (planned(&world, on_day(day)), planned(&fresh, on_day(day)));
            prop_assert_eq!(kept_up, made_anew);
        }
        prop_assert_eq!(world.wanted_kinds(), fresh.wanted_kinds());
    }

    #[test]
    fn what_changes_an_answer_marks_its_unit(edits in edits(), last in edits(), day in 0..600u16) {
        let mut world = ground(&[]);
        for edit in &edits {
            make(&mut world, edit);
        }
        let before = planned(&world, on_day(day));
        let Some(Edit::Item { name, day: created, labelled, tracked, version }) =
            last.into_iter().find(|edit| matches!(edit, Edit::Item { .. }))
        else {
            return Ok(());
        };
        let labels = if labelled { json!({ "app": "log" }) } else { json!({}) };
        let mut object = metadata(&format!("log-{name}"), &on_day(created).to_string(), labels);
        object["resourceVersion"] = json!(content(version, created, labelled, tracked));
        if tracked {
            object["annotations"] = json!({ "meta.helm.sh/release-name": "app" });
        }
        let dirty = put(&mut world, &jobs(), &object);
        let after = planned(&world, on_day(day));
        prop_assert!(before == after || dirty.0.contains(&unit()));
    }
}

#[test]
fn an_object_that_no_rule_selects_marks_nothing_and_neither_does_an_echo() {
    let mut world = ground(&[thirty_days("logs")]);
    let other = metadata("other", "2026-01-01T00:00:00Z", json!({ "app": "web" }));
    assert!(put(&mut world, &config_maps(), &other).0.is_empty());
    let selected = metadata("log", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
    assert!(
        put(&mut world, &config_maps(), &selected)
            .0
            .contains(&unit())
    );
    assert!(put(&mut world, &config_maps(), &selected).0.is_empty());
    assert_eq!(world.item_uid(&config_maps(), &key("log")), Some("uid-log"));
    assert_eq!(world.item_keys(&config_maps()), [key("log"), key("other")]);
    assert!(
        world
            .remove_item(&config_maps(), &key("other"))
            .0
            .is_empty()
    );
    assert!(
        world
            .remove_item(&config_maps(), &key("log"))
            .0
            .contains(&unit())
    );
}

#[test]
fn a_first_list_marks_nothing_object_by_object() {
    let mut world = ground(&[thirty_days("logs")]);
    world.tell_kind(&config_maps(), KindState::Syncing);
    let selected = metadata("log", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
    assert!(put(&mut world, &config_maps(), &selected).0.is_empty());
    assert!(
        world
            .tell_kind(&config_maps(), KindState::Synced)
            .0
            .contains(&unit())
    );
    assert!(
        world
            .tell_kind(&config_maps(), KindState::Synced)
            .0
            .is_empty()
    );
    assert_eq!(goes(&settle(&mut world, now())), ["log"]);
    assert!(world.forget_kind(&config_maps()).0.contains(&unit()));
    assert!(world.item_keys(&config_maps()).is_empty());
    assert_eq!(ready(&planned(&world, now()), "logs").1, "Syncing");
}
