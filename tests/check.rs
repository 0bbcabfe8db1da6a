//! The linter of invariants: the planner's own plans pass it, and each kind of wrong plan is caught.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its switches from the environment"
)]

use std::path::Path;

use covenant::check::{Rule, check};
use covenant::cli::files::{Manifests, Sources, read};
use covenant::model::{Unit, World};
use covenant::plan::{NamespacePlan, Plan, plan};
use covenant::simulate;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyEgressRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

const NOW: &str = "2026-12-02T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn manifests(story: &str) -> Manifests {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(story);
    let manifests = read(&Sources {
        filenames: vec![folder],
        ..Sources::default()
    });
    assert_eq!(manifests.problems, []);
    manifests
}

fn converged(story: &str) -> World {
    simulate::converge(manifests(story).world(now()).0, now())
        .unwrap()
        .world
}

fn acme() -> Unit {
    Unit::Namespace("acme-prod".to_owned())
}

fn open_path() -> (World, Plan) {
    let world = converged("vendor-push");
    let plan = plan(&world, &acme(), now());
    assert_eq!(check(&plan, &world, now()), []);
    (world, plan)
}

fn namespace(plan: &mut Plan) -> &mut NamespacePlan {
    plan.namespace.as_mut().unwrap()
}

fn path(plan: &mut Plan) -> &mut NetworkPolicy {
    let policies = &mut namespace(plan).policies;
    policies
        .iter_mut()
        .find(|(name, _)| name.starts_with("grant-"))
        .map(|(_, policy)| policy)
        .unwrap()
}

#[track_caller]
fn caught(rule: Rule, plan: &Plan, world: &World, now: Timestamp) {
    let violations = check(plan, world, now);
    assert!(
        violations.iter().any(|violation| violation.rule == rule),
        "{rule:?} not among {violations:?}"
    );
}

#[test]
fn every_plan_on_the_way_of_every_example_passes() {
    for story in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap()
    {
        let story = story.unwrap().path();
        if !story.is_dir() {
            continue;
        }
        let name = story.file_name().unwrap().to_str().unwrap().to_owned();
        let mut world = manifests(&name).world(now()).0;
        for instant in std::fs::read_to_string(story.join("at.txt"))
            .unwrap()
            .lines()
        {
            let now =
                covenant::model::time::beginning(&covenant::api::WhenText(instant.to_owned()))
                    .unwrap();
            for number in 0..8 {
                simulate::controllers(&mut world, now);
                for unit in world.units() {
                    let planned = plan(&world, &unit, now);
                    assert_eq!(check(&planned, &world, now), [], "{name} at {instant}");
                    simulate::step(&mut world, &unit, now, number);
                }
            }
        }
    }
}

#[test]
fn a_path_without_a_planned_timer_is_caught() {
    let (world, mut plan) = open_path();
    namespace(&mut plan).timers.clear();
    caught(Rule::PathNeedsTimer, &plan, &world, now());
}

#[test]
fn a_path_with_two_owners_or_none_is_caught() {
    let (world, mut plan) = open_path();
    let owners = path(&mut plan).metadata.owner_references.clone().unwrap();
    path(&mut plan).metadata.owner_references = Some([owners.clone(), owners].concat());
    caught(Rule::PathNeedsTimer, &plan, &world, now());
    path(&mut plan).metadata.owner_references = None;
    caught(Rule::PathNeedsTimer, &plan, &world, now());
}

#[test]
fn a_path_whose_timer_was_not_read_back_as_running_is_caught() {
    let (world, plan) = open_path();
    let fresh = manifests("vendor-push").world(now()).0;
    let rules: Vec<Rule> = check(&plan, &fresh, now())
        .iter()
        .map(|violation| violation.rule)
        .collect();
    assert!(rules.contains(&Rule::PathNeedsTimer));
    drop(world);
}

#[test]
fn a_path_whose_timer_outlives_its_end_is_caught() {
    let (mut world, mut plan) = open_path();
    let key = world.keys(covenant::model::Kind::Job).remove(0);
    let target = covenant::model::Target::new(covenant::model::Kind::Job, key.clone());
    // The controllers' clock started it an hour later than the plan reckons with.
    let later = now()
        .checked_add(jiff::SignedDuration::from_hours(1))
        .unwrap();
    world.start_timer(&target, later);
    for job in namespace(&mut plan).timers.values_mut() {
        job.spec.as_mut().unwrap().active_deadline_seconds =
            world.timer(&key).unwrap().deadline_seconds;
    }
    caught(Rule::PathNeedsTimer, &plan, &world, now());
}

#[test]
fn a_path_of_a_refused_prohibited_or_ended_grant_is_caught() {
    let (world, plan) = open_path();
    caught(
        Rule::PathNeedsGrant,
        &plan,
        &world,
        "2027-01-20T00:00:00Z".parse().unwrap(),
    );
    let mut forbidden = world.clone();
    for (kind, object) in manifests("prohibition").objects {
        if kind == covenant::model::Kind::Prohibition {
            forbidden.apply(kind, object);
        }
    }
    caught(Rule::PathNeedsGrant, &plan, &forbidden, now());
}

#[test]
fn a_path_wider_than_granted_is_caught() {
    let (world, original) = open_path();
    let mut plan = original.clone();
    for rule in path(&mut plan)
        .spec
        .as_mut()
        .unwrap()
        .egress
        .iter_mut()
        .flatten()
    {
        for peer in rule.to.iter_mut().flatten() {
            peer.ip_block = Some(IPBlock {
                cidr: "0.0.0.0/0".to_owned(),
                except: None,
            });
        }
    }
    caught(Rule::NoWiderThanGranted, &plan, &world, now());
    let mut plan = original.clone();
    path(&mut plan).spec.as_mut().unwrap().egress = Some(vec![NetworkPolicyEgressRule::default()]);
    caught(Rule::NoWiderThanGranted, &plan, &world, now());
    let mut plan = original;
    path(&mut plan).spec.as_mut().unwrap().pod_selector = Some(LabelSelector::default());
    caught(Rule::OnlyFloorSelectsAll, &plan, &world, now());
}

#[test]
fn a_floor_that_opens_everything_or_does_not_deny_is_caught() {
    let (world, original) = open_path();
    let mut plan = original.clone();
    let open = Some(vec![NetworkPolicyEgressRule::default()]);
    let deny = namespace(&mut plan)
        .policies
        .get_mut("covenant-default-deny")
        .unwrap();
    deny.spec.as_mut().unwrap().egress = open;
    caught(Rule::DeniedByDefault, &plan, &world, now());
    caught(Rule::FloorNamesPeers, &plan, &world, now());
    let mut plan = original;
    namespace(&mut plan)
        .policies
        .remove("covenant-default-deny");
    caught(Rule::DeniedByDefault, &plan, &world, now());
}

#[test]
fn objects_in_a_namespace_that_only_observes_are_caught() {
    let (mut world, plan) = open_path();
    let mut manifests = Manifests::default();
    let text = "{apiVersion: v1, kind: Namespace, metadata: {name: acme-prod, labels: {privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: observe}}}";
    manifests.read_text("inline", text, "default");
    for (kind, object) in manifests.objects {
        world.apply(kind, object);
    }
    caught(Rule::OnlyWhereInForce, &plan, &world, now());
}

#[test]
fn a_path_under_a_name_that_is_taken_is_caught() {
    let (mut world, mut plan) = open_path();
    let name = path(&mut plan).metadata.name.clone().unwrap();
    let mut manifests = Manifests::default();
    let text = format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: acme-prod}}, spec: {{podSelector: {{}}}}}}"
    );
    manifests.read_text("inline", &text, "default");
    for (kind, object) in manifests.objects {
        world.apply(kind, object);
    }
    caught(Rule::NameIsForeign, &plan, &world, now());
}

#[test]
fn a_status_or_posture_that_claims_what_was_not_read_back_is_caught() {
    let (_, plan) = open_path();
    let fresh = manifests("vendor-push").world(now()).0;
    caught(Rule::OpenNeedsReadBack, &plan, &fresh, now());
    caught(Rule::EnforcedNeedsReadBack, &plan, &fresh, now());
}

/// An end that moves, either way, while its path is open: whichever namespace is planned first, nothing the planner asks
/// for on the way is refused, and the path settles on the new end.
#[test]
fn moving_an_end_while_its_path_is_open_passes_at_every_step() {
    let acceptance = |not_after: &str| {
        let mut manifests = manifests("two-namespaces");
        let (kind, mut object) = manifests
            .objects
            .drain(..)
            .find(|(kind, _)| *kind == covenant::model::Kind::Acceptance)
            .unwrap();
        object.data["spec"]["notAfter"] = not_after.into();
        object.metadata.generation = Some(2);
        (kind, object)
    };
    for backwards in [false, true] {
        let mut world = converged("two-namespaces");
        for not_after in [
            "2026-12-10",
            "2027-01-10",
            "2026-12-02T00:00:01Z",
            "2027-06-30",
        ] {
            let (kind, object) = acceptance(not_after);
            world.apply(kind, object);
            for number in 0..12 {
                simulate::controllers(&mut world, now());
                let mut units: Vec<Unit> = world.units().into_iter().collect();
                if backwards {
                    units.reverse();
                }
                for unit in units {
                    let planned = plan(&world, &unit, now());
                    assert_eq!(
                        check(&planned, &world, now()),
                        [],
                        "{not_after} {unit} {number}"
                    );
                    simulate::step(&mut world, &unit, now(), number);
                }
            }
            let settled = simulate::converge(world.clone(), now()).unwrap();
            assert_eq!(settled.changes, [], "{not_after}");
            let source = plan(&world, &Unit::Namespace("acme-web".to_owned()), now());
            assert!(source.namespace.unwrap().grants[0].is_open(), "{not_after}");
        }
    }
}
