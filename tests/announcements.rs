//! A new version of the written policy is announced to each tenant once, in the ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "support/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "stories/stage.rs"]
mod stage;
#[allow(dead_code, reason = "each test takes of it what it needs")]
#[path = "support/world.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::Path;

use covenant::api::{LedgerRange, PolicyAnnouncement, PolicyReference};
use covenant::model::{Kind, ObjectKey, Unit, World};
use covenant::plan::{Inquiry, Plan, plan};
use serde_json::{Value, json};
use stage::{COVENANT, PATIENCE, Stage};
use testbed::eventually;

fn versioned(version: &str) -> Value {
    let mut baseline = support::baseline();
    baseline["spec"]["policyRef"] = json!({ "document": "sharing", "version": version });
    baseline
}

fn planned(world: &World) -> Plan {
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    plan(world, &Unit::Baseline("default".to_owned()), now)
}

/// To whom what is to be announced.
fn asked(plan: &Plan) -> Option<(String, Vec<String>)> {
    plan.inquiries.iter().find_map(|inquiry| match inquiry {
        Inquiry::Announce {
            policy, tenants, ..
        } => Some((policy.version.clone(), tenants.iter().cloned().collect())),
        _ => None,
    })
}

fn announced(plan: &Plan) -> Value {
    plan.statuses[0].status["announced"].clone()
}

fn made(version: &str, from: i64) -> PolicyAnnouncement {
    PolicyAnnouncement {
        policy: PolicyReference {
            document: "sharing".to_owned(),
            version: version.to_owned(),
        },
        tenants: 2,
        ledger: Some(LedgerRange { from, to: from + 1 }),
    }
}

#[test]
fn each_tenant_is_told_of_each_version_once() {
    let mut world = support::world(&[
        versioned("one"),
        support::enrolled("acme-prod", "acme"),
        support::enrolled("acme-test", "acme"),
        support::enrolled("globex-shop", "globex"),
        support::namespace("free", json!({})),
    ]);
    let both = vec!["acme".to_owned(), "globex".to_owned()];
    assert_eq!(
        asked(&planned(&world)),
        Some(("one".to_owned(), both.clone()))
    );
    assert_eq!(announced(&planned(&world)), Value::Null);

    // Recorded by this process, and then told by the status: nothing more is asked.
    let key = ObjectKey::cluster("default");
    let dirty = world.learn_announced(&key, "TenantBaseline-default", made("one", 4));
    assert!(dirty.0.contains(&Unit::Baseline("default".to_owned())));
    assert_eq!(asked(&planned(&world)), None);
    let status = announced(&planned(&world));
    assert_eq!(status["ledger"], json!({ "from": 4, "to": 5 }));
    let mut stored = versioned("one");
    stored["status"] = json!({ "announced": status });
    let mut restarted = support::world(&[stored.clone(), support::enrolled("acme-prod", "acme")]);
    assert_eq!(asked(&planned(&restarted)), None);

    // Who comes later begins under it; who is there hears of the next.
    support::apply(&mut restarted, &support::enrolled("late", "globex"));
    assert_eq!(asked(&planned(&restarted)), None);
    stored["spec"]["policyRef"]["version"] = json!("two");
    support::apply(&mut restarted, &stored);
    let all = vec!["acme".to_owned(), "globex".to_owned()];
    assert_eq!(asked(&planned(&restarted)), Some(("two".to_owned(), all)));
    assert_eq!(announced(&planned(&restarted))["policy"]["version"], "one");
}

#[test]
fn where_nobody_stands_on_a_baseline_nothing_is_recorded() {
    let alone = support::world(&[versioned("one")]);
    assert_eq!(asked(&planned(&alone)), None);
    let told = announced(&planned(&alone));
    assert_eq!(
        told,
        json!({ "policy": { "document": "sharing", "version": "one" }, "tenants": 0 })
    );
    let silent = support::world(&[support::baseline(), support::enrolled("acme-prod", "acme")]);
    assert_eq!(
        (asked(&planned(&silent)), announced(&planned(&silent))),
        (None, Value::Null)
    );
}

#[test]
fn what_was_recorded_of_a_baseline_is_not_taken_for_another_of_its_name() {
    let mut world = support::world(&[versioned("one"), support::enrolled("acme-prod", "acme")]);
    let key = ObjectKey::cluster("default");
    assert!(
        world
            .learn_announced(&key, "another", made("one", 4))
            .0
            .is_empty()
    );
    assert!(asked(&planned(&world)).is_some());
    world.learn_announced(&key, "TenantBaseline-default", made("one", 4));
    world.remove(Kind::Baseline, &key);
    support::apply(&mut world, &versioned("one"));
    assert!(asked(&planned(&world)).is_some());
}

/// Tenant, version and the version before, of every announcement about this baseline.
fn recorded(ledger: &Path, baseline: &str) -> Vec<(String, String, Value)> {
    let entries = ledger::entries(ledger).into_iter();
    let about = entries.filter(|entry| {
        entry["type"] == "io.cloudnexus.privacy.policy.announced.v1"
            && entry["data"]["cause"]["name"] == baseline
    });
    let told = about.map(|entry| {
        let text = |pointer: &str| entry.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let before = entry["data"]["detail"]["before"].clone();
        (text("/tenant"), text("/data/policy/version"), before)
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_version_is_in_the_ledger_for_each_tenant_and_stays_announced_over_restarts() {
    let stage = Stage::new().await;
    for (namespace, tenant) in [
        ("acme-prod", "acme"),
        ("acme-test", "acme"),
        ("globex", "globex"),
    ] {
        stage.enrol(namespace, tenant).await;
    }
    let says = async |version: &str, tenants: i64| {
        eventually("it is announced", PATIENCE, || async {
            let baseline = stage.cluster.admin().get(&["baseline", "default"]).await?;
            let announced = &baseline["status"]["announced"];
            anyhow::ensure!(
                announced["policy"]["version"] == version && announced["tenants"] == tenants,
                "{baseline:#}"
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
    };
    let mut next = stage::baseline("default", "P90D");
    next["spec"]["policyRef"]["version"] = json!("2026-12-01");
    eventually("three namespaces are known", PATIENCE, || async {
        let baseline = stage.cluster.admin().get(&["baseline", "default"]).await?;
        anyhow::ensure!(baseline["status"]["namespaces"] == 3, "{baseline:#}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let applied = stage.engineer.apply(&next.to_string()).await.unwrap();
    applied.success().unwrap();
    says("2026-12-01", 2).await;
    let told: BTreeSet<(String, String)> = recorded(stage.operator.ledger(), "default")
        .into_iter()
        .filter(|(_, version, _)| version == "2026-12-01")
        .inspect(|(_, _, before)| assert_eq!(before, "2025-02-10"))
        .map(|(tenant, version, _)| (tenant, version))
        .collect();
    let version = "2026-12-01".to_owned();
    let both = [
        ("acme".to_owned(), version.clone()),
        ("globex".to_owned(), version),
    ];
    assert_eq!(told, BTreeSet::from(both));
    eventually("postures show it", PATIENCE, || async {
        let posture = ["posture", "current", "-n", "globex"];
        let posture = stage.cluster.admin().get(&posture).await?;
        let shown = &posture["spec"]["baseline"]["policyRef"]["version"];
        anyhow::ensure!(shown == "2026-12-01", "{posture:#}");
        anyhow::Ok(())
    })
    .await
    .unwrap();

    let before = recorded(stage.operator.ledger(), "default").len();
    stage.operator.stop().await.unwrap();
    let again = stage.cluster.start_operator(COVENANT).await.unwrap();
    stage.at_rest().await;
    assert_eq!(recorded(again.ledger(), "default").len(), before);
}
