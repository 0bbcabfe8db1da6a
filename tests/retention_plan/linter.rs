//! The linter finds what a planner that is wrong would ask for.

use covenant::check::Rule;
use covenant::plan::ParametersPlan;
use serde_json::json;

use crate::support::{apply, hold, namespace};
use crate::*;

/// A run of one object that is due, and the world that it is due in.
fn due() -> (World, Plan) {
    let keep = json!({ "atLeast": "P10D", "atMost": "P30D" });
    let mut world = ground(&[
        policy("logs", keep, "Dispose"),
        baseline(json!({ "grace": "P1D", "maximumPerRun": 2 })),
    ]);
    log(&mut world, "old", "2026-01-01T00:00:00Z");
    log(&mut world, "young", "2026-11-20T00:00:00Z");
    let plan = settle(&mut world, now());
    assert_eq!(goes(&plan), ["old"]);
    (world, plan)
}

fn found(plan: &Plan, world: &World) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(plan, world, now())
        .into_iter()
        .map(|found| found.rule)
        .collect();
    rules.sort();
    rules.dedup();
    rules
}

fn altered(plan: &Plan, alter: impl Fn(&mut Run)) -> Plan {
    let mut plan = plan.clone();
    for inquiry in &mut plan.inquiries {
        if let Inquiry::Dispose(run) = inquiry {
            alter(run);
        }
    }
    plan
}

#[test]
fn a_run_that_names_something_else_than_was_decided_about_is_refused() {
    let (world, plan) = due();
    assert!(found(&plan, &world).is_empty());
    let changed = |alter: fn(&mut Candidate)| {
        let wrong = altered(&plan, |run| alter(&mut run.candidates[0]));
        found(&wrong, &world)
    };
    assert_eq!(
        changed(|one| one.uid = "another".to_owned()),
        [Rule::DisposalNeedsGround]
    );
    assert_eq!(
        changed(|one| one.version = "8".to_owned()),
        [Rule::DisposalNeedsGround]
    );
    assert_eq!(
        changed(|one| one.policy.generation = 2),
        [Rule::NothingGoesEarly]
    );
    assert_eq!(
        changed(|one| one.policy.uid = "another".to_owned()),
        [Rule::NothingGoesEarly]
    );
    assert!(
        changed(|one| one.key.namespace = "globex".to_owned()).contains(&Rule::DisposalStaysInside)
    );
    assert!(
        changed(|one| one.kind = ResourceKind::parse("v1", "Event"))
            .contains(&Rule::DisposalStaysInside)
    );
    // The young one is within its minimum and its maximum.
    let young = changed(|one| {
        one.key.name = "young".to_owned();
        one.uid = "uid-young".to_owned();
    });
    assert_eq!(young, [Rule::NothingGoesEarly]);
}

#[test]
fn an_object_twice_and_a_run_over_the_limit_are_refused() {
    let (world, plan) = due();
    let twice = altered(&plan, |run| run.candidates.push(run.candidates[0].clone()));
    assert_eq!(found(&twice, &world), [Rule::DisposedOfOnce]);
    let many = altered(&plan, |run| {
        run.candidates.push(run.candidates[0].clone());
        run.candidates.push(run.candidates[0].clone());
    });
    assert_eq!(
        found(&many, &world),
        [Rule::DisposedOfOnce, Rule::DisposalWithinLimit]
    );
}

#[test]
fn a_run_in_a_world_that_changed_is_refused() {
    let after = |change: fn(&mut World)| {
        let (mut world, plan) = due();
        change(&mut world);
        found(&plan, &world)
    };
    let held = after(|world| {
        apply(
            world,
            &hold(NAMESPACE, "case", json!({ "matter": "m" }), json!({})),
        );
    });
    assert_eq!(held, [Rule::NothingGoesUnderHold]);
    let ground = [Rule::DisposalNeedsGround];
    assert_eq!(
        after(|world| drop(world.learn_clock(Some("jumped".to_owned())))),
        ground
    );
    assert_eq!(
        after(|world| drop(world.tell_kind(&config_maps(), KindState::Syncing))),
        ground
    );
    let closed = after(|world| {
        let problem = Some("no space".to_owned());
        world.learn_ledger(LedgerState {
            head: None,
            problem,
        });
    });
    assert_eq!(closed, ground);
    let left = after(|world| drop(apply(world, &namespace(NAMESPACE, json!({})))));
    assert!(left.contains(&Rule::DisposalNeedsGround));
    let longer = after(|world| {
        let keeps = policy("keeps", json!({ "atLeast": "P5Y" }), "Preview");
        apply(world, &keeps);
    });
    assert!(longer.contains(&Rule::NothingGoesEarly));
    let preview = after(|world| {
        let keep = json!({ "atLeast": "P10D", "atMost": "P30D" });
        apply(world, &policy("logs", keep, "Preview"));
    });
    assert_eq!(preview, [Rule::NothingGoesEarly]);
    let tracked = after(|world| {
        let mut object = metadata("old", "2026-01-01T00:00:00Z", json!({ "app": "log" }));
        object["annotations"] = json!({ "meta.helm.sh/release-name": "app" });
        put(world, &config_maps(), &object);
    });
    assert_eq!(tracked, [Rule::DisposalStaysInside]);
    let guarded = after(|world| {
        let stored = json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": NAMESPACE },
            "spec": { "retention": [{ "rule": "x", "apiGroup": "*", "kind": "*", "startsAt": "CreatedAt", "atLeast": "" }] }
        });
        apply(world, &stored);
    });
    assert!(guarded.contains(&Rule::NothingGoesEarly));
}

#[test]
fn a_boundary_that_goes_back_or_too_far_and_a_minimum_left_out_are_refused() {
    let (world, plan) = due();
    let spec = plan.parameters.clone().unwrap().spec.unwrap();
    let with = |text: &str| {
        let mut spec = spec.clone();
        spec.retention[0].started_before = Some(covenant::api::WhenText(text.to_owned()));
        let mut plan = plan.clone();
        plan.parameters = Some(ParametersPlan { spec: Some(spec) });
        found(&plan, &world)
    };
    assert_eq!(with("2026-11-01T00:00:00Z"), [Rule::BoundaryOnlyAdvances]);
    assert_eq!(with("2026-11-20T00:00:00Z"), [Rule::NothingGoesEarly]);
    let mut without = plan.clone();
    without.parameters = Some(ParametersPlan { spec: None });
    let rules = [Rule::MinimumNeedsRule, Rule::ClassNeedsGround];
    assert_eq!(found(&without, &world), rules);
}
