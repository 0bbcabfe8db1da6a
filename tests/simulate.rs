//! The cluster in miniature: what comes to rest stays at rest, paths close by time alone, and tables tell who reaches whom.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;

use covenant::api::Protocol;
use covenant::cli::files::{Manifests, Sources, read};
use covenant::diff::Action;
use covenant::model::{Kind, World};
use covenant::render::{Party, PodAt, Probe, Verdict, reach, reach_table};
use covenant::simulate::{controllers, converge, pass};
use jiff::Timestamp;

fn manifests(story: &str) -> Manifests {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(story);
    read(&Sources {
        filenames: vec![folder],
        ..Sources::default()
    })
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn paths(world: &World) -> usize {
    let policies = world.keys(Kind::NetworkPolicy);
    policies
        .iter()
        .filter(|key| key.name.starts_with("grant-"))
        .count()
}

#[test]
fn what_came_to_rest_stays_at_rest() {
    let now = at("2026-11-24T09:00:00.5Z");
    let mut converged = converge(manifests("two-namespaces").world(now).0, now).unwrap();
    assert!(
        converged.rounds > 1 && converged.rounds < 10,
        "{}",
        converged.rounds
    );
    assert_eq!(pass(&mut converged.world, now), []);
    let again = converge(converged.world, now).unwrap();
    assert_eq!((again.rounds, again.changes.len()), (0, 0));
}

#[test]
fn the_order_of_arrival_makes_no_difference() {
    let now = at("2026-11-24T00:00:00Z");
    let forwards = converge(manifests("prohibition").world(now).0, now).unwrap();
    let mut reversed = manifests("prohibition");
    reversed.objects.reverse();
    let backwards = converge(reversed.world(now).0, now).unwrap();
    assert_eq!(forwards.changes, backwards.changes);
    assert_eq!(
        format!("{:?}", forwards.world),
        format!("{:?}", backwards.world)
    );
}

#[test]
fn a_path_opens_only_after_its_end_was_stored_and_its_timer_ran() {
    let converged = converge(
        manifests("vendor-push").world(at("2026-11-24T00:00:00Z")).0,
        at("2026-11-24T00:00:00Z"),
    )
    .unwrap();
    let position = |wanted: &dyn Fn(&covenant::diff::Change) -> bool| {
        converged.changes.iter().position(wanted).unwrap()
    };
    let created = |kind: Kind| {
        position(&|change| {
            change.target.kind == kind
                && change.target.key.name.starts_with("grant-")
                && matches!(change.action, Action::Create { .. })
        })
    };
    let stored = position(
        &|change| matches!(&change.action, Action::ReplaceStatus { body } if body["status"]["closesAt"].is_string()),
    );
    assert!(stored < created(Kind::NetworkPolicy));
    assert!(created(Kind::Job) < created(Kind::NetworkPolicy));
}

#[test]
fn time_alone_closes_a_path_with_nobody_planning() {
    let mut world = converge(
        manifests("vendor-push").world(at("2026-11-24T00:00:00Z")).0,
        at("2026-11-24T00:00:00Z"),
    )
    .unwrap()
    .world;
    assert_eq!(paths(&world), 1);
    controllers(&mut world, at("2027-01-15T23:59:59Z"));
    assert_eq!(paths(&world), 1);
    controllers(&mut world, at("2027-01-16T00:00:00Z"));
    assert_eq!(paths(&world), 0);
    assert_eq!(world.keys(Kind::Job), []);
}

#[test]
fn planning_and_time_come_to_the_same_end() {
    let mut world = converge(
        manifests("agreement-ends")
            .world(at("2027-01-15T12:00:00Z"))
            .0,
        at("2027-01-15T12:00:00Z"),
    )
    .unwrap()
    .world;
    assert_eq!(paths(&world), 2);
    world = converge(world, at("2027-01-16T00:00:00Z")).unwrap().world;
    assert_eq!(paths(&world), 1);
    world = converge(world, at("2027-03-01T00:00:00Z")).unwrap().world;
    assert_eq!(paths(&world), 0);
}

#[test]
fn a_prohibition_closes_an_open_path_and_lifting_it_opens_it_again() {
    let now = at("2026-12-02T00:00:00Z");
    let no = |kind: &Kind| *kind == Kind::Prohibition;
    let mut without = manifests("prohibition");
    without.objects.retain(|(kind, _)| !no(kind));
    let mut world = converge(without.world(now).0, now).unwrap().world;
    assert_eq!(paths(&world), 2);
    for (kind, object) in manifests("prohibition").objects {
        if no(&kind) {
            world.apply(kind, object);
        }
    }
    let mut world = converge(world, now).unwrap().world;
    assert_eq!(paths(&world), 1);
    let key = world.keys(Kind::Prohibition).remove(0);
    world.remove(Kind::Prohibition, &key);
    assert_eq!(paths(&converge(world, now).unwrap().world), 2);
}

fn pod(namespace: &str, app: &str) -> Party {
    Party::Pod(PodAt {
        namespace: namespace.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        ports: BTreeMap::from([("metrics".to_owned(), 8080)]),
    })
}

fn probe(from: Party, to: Party, port: i32) -> Probe {
    Probe {
        name: "probe".to_owned(),
        from,
        to,
        port,
        protocol: Protocol::Tcp,
    }
}

#[test]
fn the_table_tells_who_reaches_whom() {
    let now = at("2026-11-24T00:00:00Z");
    let outside = |address: &str| Party::Outside(address.parse().unwrap());
    let push = converge(manifests("vendor-push").world(now).0, now)
        .unwrap()
        .world;
    let agent = || pod("acme-prod", "metrics-agent");
    assert!(reach(&push, &probe(agent(), outside("203.0.113.9"), 443)).is_allowed());
    assert!(reach(&push, &probe(agent(), outside("2001:db8:10::1"), 443)).is_allowed());
    for (from, to, port) in [
        (agent(), outside("203.0.113.9"), 80),
        (agent(), outside("198.51.100.9"), 443),
        (pod("acme-prod", "web"), outside("203.0.113.9"), 443),
    ] {
        assert_eq!(
            reach(&push, &probe(from, to, port)),
            Verdict::RefusedAtSource
        );
    }
    assert_eq!(
        reach(&push, &probe(outside("203.0.113.9"), agent(), 443)),
        Verdict::RefusedAtDestination
    );

    let pull = converge(manifests("vendor-pull").world(now).0, now)
        .unwrap()
        .world;
    let scraper = || outside("198.51.100.40");
    assert!(
        reach(
            &pull,
            &probe(scraper(), pod("globex-shop", "checkout"), 8080)
        )
        .is_allowed()
    );
    assert!(
        !reach(
            &pull,
            &probe(scraper(), pod("globex-shop", "checkout"), 9999)
        )
        .is_allowed()
    );

    let between = converge(manifests("two-namespaces").world(now).0, now)
        .unwrap()
        .world;
    let push = |app: &str| probe(pod("acme-web", app), pod("acme-audit", "collector"), 8443);
    assert!(reach(&between, &push("web")).is_allowed());
    assert!(!reach(&between, &push("tickets")).is_allowed());
    let table = reach_table(&between, &[push("web"), push("tickets")]);
    assert!(
        table.contains("8443/TCP") && table.contains("no: may not go out"),
        "{table}"
    );
}
