//! What the linter refuses to tell guards, whatever the planner decided.

use covenant::api::{AllowedClass, GuardParametersSpec, WhenText};
use covenant::check::{Rule, check};
use covenant::model::{Unit, World};
use covenant::plan::{Plan, plan};
use serde_json::json;

use crate::{NAMESPACE, at_rest, attested, class, now, proof, world};

fn planned(world: &World, change: impl Fn(&mut GuardParametersSpec)) -> Plan {
    let mut plan = plan(world, &Unit::Retention(NAMESPACE.to_owned()), now());
    let parameters = plan.parameters.as_mut().unwrap();
    change(parameters.spec.as_mut().unwrap());
    plan
}

fn is_caught(world: &World, change: impl Fn(&mut GuardParametersSpec)) -> bool {
    let violations = check(&planned(world, change), world, now());
    violations
        .iter()
        .any(|found| found.rule == Rule::ClassNeedsGround)
}

fn name(class: &str, not_after: Option<&str>) -> AllowedClass {
    AllowedClass {
        name: class.to_owned(),
        not_after: not_after.map(|text| WhenText(text.to_owned())),
    }
}

#[test]
fn guards_are_told_of_no_class_that_nothing_shows() {
    let encrypted = json!({ "encrypted": "true" });
    let mut young = class("young", "vault.example.com", json!({}));
    young["metadata"]["creationTimestamp"] = json!("2026-06-01T00:00:00Z");
    let world = world(&[
        at_rest(json!({
            "emptyDir": "Refuse",
            "storageClasses": [
                proof("fast", "ebs.csi.aws.com", encrypted.clone()),
                proof("plain", "ebs.csi.aws.com", encrypted.clone()),
                proof("missing", "ebs.csi.aws.com", encrypted.clone()),
                attested("vault", "2026-05-01T00:00:00Z", "2027-05-01T00:00:00Z"),
                attested("young", "2026-05-01T00:00:00Z", "2027-05-01T00:00:00Z"),
            ],
        })),
        class("fast", "ebs.csi.aws.com", encrypted),
        class("plain", "ebs.csi.aws.com", json!({})),
        class("vault", "vault.example.com", json!({})),
        class(
            "unlisted",
            "ebs.csi.aws.com",
            json!({ "encrypted": "true" }),
        ),
        young,
    ]);
    assert!(!is_caught(&world, |_| {}));
    let with = |class: AllowedClass| {
        is_caught(&world, |spec| {
            let classes = spec.storage_classes.as_mut().unwrap();
            classes.retain(|known| known.name != class.name);
            classes.push(class.clone());
        })
    };
    assert!(!with(name("fast", None)));
    assert!(!with(name("vault", Some("2027-05-01T00:00:00Z"))));
    for wrong in [
        name("plain", None),
        name("missing", None),
        name("unlisted", None),
        name("vault", None),
        name("vault", Some("2027-05-01T00:00:01Z")),
        name("young", Some("2027-05-01T00:00:00Z")),
    ] {
        assert!(with(wrong.clone()), "{wrong:?}");
    }
    assert!(is_caught(&world, |spec| spec.storage_classes = None));
    assert!(is_caught(&world, |spec| spec.empty_dir = None));
    let mut gone = planned(&world, |_| {});
    gone.parameters.as_mut().unwrap().spec = None;
    let rules: Vec<Rule> = check(&gone, &world, now())
        .iter()
        .map(|found| found.rule)
        .collect();
    assert!(rules.contains(&Rule::ClassNeedsGround), "{rules:?}");
}

#[test]
fn without_a_baseline_guards_are_told_that_no_class_may_be_named() {
    let world = world(&[]);
    assert!(!is_caught(&world, |_| {}));
    assert!(is_caught(&world, |spec| spec.storage_classes = None));
    assert!(is_caught(&world, |spec| spec.storage_classes =
        Some(vec![name("any", None)])));
}
