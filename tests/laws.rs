//! The laws, over random worlds and instants: no path without every condition (against a second oracle), idempotent,
//! independent of order, lint-clean, and sufficient dirty sets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

mod oracle;
#[path = "support/world.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use covenant::check::check;
use covenant::diff::diff;
use covenant::model::{Kind, ObjectKey, Unit, World};
use covenant::plan::{Extent, decide, plan};
use covenant::simulate;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use testbed::effort::cases;

/// Instants on and around every boundary that the random objects have.
fn boundaries() -> Vec<i64> {
    let mut instants = BTreeSet::new();
    for text in [
        "2026-10-01",
        "2026-11-22",
        "2026-11-23",
        "2026-11-24",
        "2026-11-25",
        "2026-12-01",
        "2026-12-02",
        "2027-01-01",
        "2027-02-28",
        "2027-03-01",
        "2027-06-02",
        "2027-09-30",
        "2027-10-01",
        "2028-02-29",
        "2028-03-01",
    ] {
        let second = oracle::seconds(text);
        instants.extend([second - 1, second, second + 1, second + 40_000]);
    }
    instants.into_iter().collect()
}

fn date() -> impl Strategy<Value = &'static str> {
    select(vec![
        "2026-02-28",
        "2026-10-01",
        "2026-11-22",
        "2026-11-23",
        "2026-11-24",
        "2026-12-01",
        "2026-12-01T12:00:00Z",
        "2027-01-01",
        "2027-02-28",
        "2027-09-30",
        "2028-02-29",
    ])
}

fn categories() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(
        vec![
            "InfrastructureTelemetry",
            "SupportBilling",
            "AccountIdentity",
        ],
        1..=3,
    )
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    proptest::option::weighted(0.4, value).boxed()
}

fn arb_namespace(name: &'static str) -> impl Strategy<Value = Value> {
    let stage = select(vec![None, None, None, Some("observe"), Some("unknown")]);
    let tenant = select(vec![
        Some("acme"),
        Some("acme"),
        Some("acme"),
        Some("globex"),
        None,
    ]);
    let baseline = select(vec![None, None, None, Some("missing")]);
    (tenant, stage, baseline).prop_map(move |(tenant, stage, baseline)| {
        let mut labels = json!({});
        for (key, value) in [("tenant", tenant), ("stage", stage), ("baseline", baseline)] {
            if let Some(value) = value {
                labels[format!("privacy.cloudnexus.io/{key}")] = json!(value);
            }
        }
        support::namespace(name, labels)
    })
}

fn arb_vendor() -> impl Strategy<Value = Value> {
    let agreement = (
        date(),
        date(),
        select(vec![
            "DataProcessingAgreement",
            "DataProcessingAgreement",
            "NonDisclosureAgreement",
        ]),
    );
    let assessment = (
        date(),
        select(vec!["AuditApproved", "AuditApproved", "AuditRejected"]),
    );
    let approved = (
        categories(),
        subsequence(
            vec!["ServiceMonitoring", "CustomerCare", "Advertising"],
            1..=3,
        ),
        select(vec![vec![], vec!["acme"], vec!["globex"]]),
    );
    let category = select(vec![
        "InfrastructureMonitoring",
        "InfrastructureMonitoring",
        "PaymentProcessing",
    ]);
    let cidrs = select(vec![
        vec!["203.0.113.0/24"],
        vec!["203.0.113.0/24", "198.51.100.0/24"],
        vec!["10.0.0.0/8"],
    ]);
    (
        proptest::collection::vec(agreement, 0..4),
        proptest::collection::vec(assessment, 0..3),
        proptest::collection::vec(approved, 0..3),
        category,
        proptest::option::of(date()),
        cidrs,
    )
        .prop_map(|(agreements, assessments, approved, category, certified, cidrs)| {
            let mut vendor = support::vendor();
            let ordered = |(a, b): (&'static str, &'static str)| if oracle::seconds(a) < oracle::seconds(b) { (a, b) } else { (b, a) };
            let agreements = agreements.into_iter().enumerate().filter(|(_, (a, b, _))| a != b && a.get(..10) != b.get(..10));
            vendor["spec"]["agreements"] = agreements
                .map(|(index, (a, b, kind))| {
                    let (from, until) = ordered((a, b));
                    json!({ "name": format!("a{index}"), "type": kind, "effectiveFrom": from, "effectiveUntil": until })
                })
                .collect();
            vendor["spec"]["assessments"] = assessments
                .into_iter()
                .enumerate()
                .map(|(index, (completed, outcome))| json!({ "name": format!("b{index}"), "completedOn": completed, "outcome": outcome, "by": "t" }))
                .collect();
            vendor["spec"]["approvedFor"] = approved
                .into_iter()
                .enumerate()
                .map(|(index, (categories, purposes, tenants))| {
                    json!({ "name": format!("c{index}"), "dataCategories": categories, "purposes": purposes, "tenants": tenants })
                })
                .collect();
            vendor["spec"]["category"] = json!(category);
            if let Some(until) = certified {
                vendor["spec"]["certifications"] = json!([{ "scheme": "PCI-DSS", "level": "1", "validUntil": until }]);
            }
            vendor["spec"]["endpoints"][0]["cidrs"] = json!(cidrs);
            vendor
        })
}

fn arb_grant(name: &'static str) -> impl Strategy<Value = Value> {
    let endpoints = select(vec![
        vec!["intake"],
        vec!["intake"],
        vec!["intake"],
        vec!["api"],
        vec!["unknown"],
    ]);
    let recipient = prop_oneof![
        3 => endpoints.prop_map(|endpoints| json!({ "processor": { "name": "datadog", "endpoints": endpoints } })),
        2 => Just(json!({ "namespace": { "name": "acme-lake" } })),
    ];
    let purpose = select(vec![
        "ServiceMonitoring",
        "ServiceMonitoring",
        "CustomerCare",
        "Advertising",
    ]);
    let window = (proptest::option::of(date()), date());
    let memory = maybe((select(vec![1, 2]), date()).prop_map(|(generation, date)| {
        let instant = if date.len() == 10 {
            format!("{date}T00:00:00Z")
        } else {
            date.to_owned()
        };
        json!({ "observedGeneration": generation, "closesAt": instant })
    }));
    let revoked = proptest::bool::weighted(0.1);
    (
        recipient,
        purpose,
        categories(),
        window,
        memory,
        revoked,
        any::<bool>(),
    )
        .prop_map(
            move |(recipient, purpose, categories, (from, until), memory, revoked, pull)| {
                let mut grant = support::grant();
                grant["metadata"]["name"] = json!(name);
                grant["metadata"]["uid"] = json!(format!("grant-{name}"));
                grant["spec"]["recipient"] = recipient;
                grant["spec"]["purpose"] = json!(purpose);
                grant["spec"]["dataCategories"] = json!(categories);
                grant["spec"]["window"] = json!({ "notAfter": until });
                // The wrong way round is the table's business; here windows are readable.
                if let Some(from) =
                    from.filter(|from| oracle::seconds(from) < oracle::seconds(until))
                {
                    grant["spec"]["window"]["notBefore"] = json!(from);
                }
                if let Some(memory) = memory {
                    grant["status"] = memory;
                }
                if revoked {
                    grant["spec"]["revoked"] = json!({ "reason": "done" });
                }
                if pull {
                    grant["spec"]["direction"] = json!("Pull");
                    grant["spec"]["ports"] = json!([{ "port": 9090 }]);
                }
                grant
            },
        )
}

fn arb_others() -> impl Strategy<Value = Vec<Value>> {
    let acceptance = (categories(), proptest::option::of(date()), any::<bool>()).prop_map(
        |(categories, until, ports)| {
            let mut acceptance = support::acceptance();
            acceptance["spec"]["dataCategories"] = json!(categories);
            if let Some(until) = until {
                acceptance["spec"]["notAfter"] = json!(until);
            }
            if !ports {
                acceptance["spec"]["ports"] = json!([]);
            }
            acceptance
        },
    );
    let some = |names: &[&'static str]| subsequence(names.to_vec(), 0..=1);
    let prohibition = (some(&["acme", "globex"]), some(&["acme-prod", "acme-lake"]), some(&["datadog", "other"]), some(&["acme-lake"]), some(&["SupportBilling", "ComplianceAudit"]))
        .prop_map(|(tenants, namespaces, processors, recipients, categories)| {
            support::prohibition(json!({
                "tenants": tenants, "namespaces": namespaces, "dataCategories": categories, "reason": "x",
                "recipients": { "processors": processors, "namespaces": recipients }
            }))
        });
    let hold = (
        select(vec!["acme-prod", "acme-prod", "acme-lake"]),
        subsequence(
            vec!["PreventDeletion", "SuspendProcessing", "SuspendSharing", "FreezeAccess"],
            0..=3,
        ),
        select(vec![
            json!({}),
            json!({}),
            json!({ "decisions": [{ "type": "Released", "by": "o", "reason": "r" }] }),
            json!({ "decisions": [{ "type": "Narrowed", "by": "o", "reason": "r", "effects": ["SuspendSharing"] }] }),
            json!({ "decisions": [{ "type": "Reversed" }] }),
        ]),
    )
        .prop_map(|(namespace, effects, status)| {
            let spec = json!({ "matter": "c", "ground": "ComplianceAudit", "reason": "r", "effects": effects });
            support::hold(namespace, "case-1", spec, status)
        });
    let opt_out = (
        select(vec!["acme-prod", "acme-prod", "acme-lake"]),
        select(vec![
            json!(["PlatformTelemetry"]),
            json!(["ThirdPartyAnalytics"]),
            json!(["PlatformTelemetry", "ThirdPartyAnalytics"]),
            json!(["MarketingCommunications"]),
            json!(["Newer"]),
        ]),
    )
        .prop_map(|(namespace, channels)| support::opt_out(namespace, channels));
    let wide = Just(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "wide", "namespace": "acme-lake", "uid": "wide" },
        "spec": { "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] }
    }));
    (
        proptest::option::weighted(0.8, acceptance),
        proptest::option::weighted(0.25, prohibition),
        proptest::option::weighted(0.15, wide),
        proptest::option::weighted(0.3, hold),
        proptest::option::weighted(0.4, opt_out.clone()),
        proptest::option::weighted(0.2, opt_out),
        arb_marked(),
    )
        .prop_map(|(a, b, c, d, first, second, marked)| {
            let mut others: Vec<Value> =
                [a, b, c, d, first, second].into_iter().flatten().collect();
            // A namespace has one opt-out.
            if let [.., first, second] = others.as_slice()
                && first["kind"] == "TelemetryOptOut"
                && first["metadata"] == second["metadata"]
            {
                others.pop();
            }
            others.extend(marked);
            others
        })
}

/// A pod that carries some of what Datadog reads, perhaps put there by Covenant, and what guards were told.
fn arb_marked() -> impl Strategy<Value = Vec<Value>> {
    let exclude = "ad.datadoghq.com/exclude";
    let pod = (
        select(vec![None, Some("true"), Some("false")]),
        select(vec![None, Some("false"), Some("true")]),
        any::<bool>(),
        select(vec!["2026-10-01T00:00:00Z", "2026-11-20T00:00:00Z"]),
    )
        .prop_map(move |(annotation, label, is_ours, created)| {
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "web", "namespace": "acme-prod", "uid": "web", "creationTimestamp": created },
                "spec": { "containers": [] },
            });
            if let Some(value) = annotation {
                pod["metadata"]["annotations"] = json!({ exclude: value });
            }
            if let Some(value) = label {
                pod["metadata"]["labels"] = json!({ "admission.datadoghq.com/enabled": value });
            }
            if is_ours && annotation.is_some() {
                let fields = json!({ "f:metadata": { "f:annotations": { format!("f:{exclude}"): {} } } });
                pod["metadata"]["managedFields"] = json!([{
                    "manager": "covenant-telemetry", "operation": "Apply", "subresource": "status", "apiVersion": "v1",
                    "fieldsType": "FieldsV1", "fieldsV1": fields,
                }]);
            }
            pod
        });
    let told = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
        "metadata": { "name": "current", "namespace": "acme-prod", "uid": "told" },
        "spec": { "retention": [], "telemetry": {
            "channels": ["ThirdPartyAnalytics"], "refuses": [],
            "pods": { "annotations": { exclude: "true" }, "labels": { "admission.datadoghq.com/enabled": "false" } },
        } },
    });
    (
        proptest::option::weighted(0.6, pod),
        proptest::option::weighted(0.4, Just(told)),
    )
        .prop_map(|(pod, told)| [pod, told].into_iter().flatten().collect())
}

/// Who collects: the vendor, or pods at one end of the grants.
fn arb_agents() -> impl Strategy<Value = Value> {
    let vendor = json!({ "name": "datadog", "channel": "ThirdPartyAnalytics", "respects": "Datadog", "processorRef": { "name": "datadog" } });
    let pods = (
        select(vec!["acme-prod", "acme-lake", "monitoring"]),
        select(vec!["agent", "collector"]),
    )
        .prop_map(|(namespace, app)| {
            json!({ "name": "pods", "channel": "PlatformTelemetry", "respects": "PrometheusOperator",
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "podSelector": { "matchLabels": { "app": app } } })
        });
    (
        proptest::option::of(Just(vendor)),
        proptest::option::of(pods),
    )
        .prop_map(|(vendor, pods)| {
            let agents: Vec<Value> = [vendor, pods].into_iter().flatten().collect();
            json!({ "agents": agents })
        })
}

fn arb_world() -> impl Strategy<Value = Vec<Value>> {
    let maximum = select(vec!["P30D", "P90D", "P400D"]);
    (
        arb_namespace("acme-prod"),
        arb_namespace("acme-lake"),
        arb_vendor(),
        maximum,
        arb_grant("metrics"),
        arb_grant("second"),
        (arb_others(), arb_agents()),
    )
        .prop_map(
            |(prod, lake, vendor, maximum, first, second, (others, agents))| {
                let mut baseline = support::baseline();
                baseline["spec"]["grants"]["maximumDuration"] = json!(maximum);
                baseline["spec"]["telemetry"] = agents;
                let mut objects = vec![prod, lake, vendor, baseline, first, second];
                objects.extend(others);
                objects
            },
        )
}

fn instant() -> impl Strategy<Value = Timestamp> {
    select(boundaries()).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn all_plans(world: &World, now: Timestamp) -> BTreeMap<Unit, covenant::plan::Plan> {
    world
        .units()
        .into_iter()
        .map(|unit| (unit.clone(), plan(world, &unit, now)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1500)) })]

    #[test]
    fn no_path_may_be_open_without_every_condition_and_every_path_may_that_has_them(objects in arb_world(), now in instant()) {
        let world = support::world(&objects);
        let cluster = oracle::Cluster::new(&objects);
        for raw in objects.iter().filter(|object| object["kind"] == "DataSharingGrant") {
            let key = ObjectKey::new("acme-prod", raw["metadata"]["name"].as_str().unwrap());
            let decision = decide(&world, world.grant(&key).unwrap(), now);
            let ours = decision.end.map(|end| end.at.as_second());
            prop_assert_eq!(ours, cluster.open_until(raw, now.as_second()), "{:?}\n{:#}", decision.refusals, raw);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(300)) })]

    #[test]
    fn planning_is_idempotent_and_lint_clean_and_opens_only_what_is_decided(objects in arb_world(), now in instant()) {
        let converged = simulate::converge(support::world(&objects), now).unwrap();
        for (unit, plan) in all_plans(&converged.world, now) {
            prop_assert_eq!(diff(&plan, &converged.world), vec![], "{}", unit);
            let violations = check(&plan, &converged.world, now);
            prop_assert!(violations.is_empty(), "{:?}", violations.iter().map(ToString::to_string).collect::<Vec<_>>());
            for grant in plan.namespace.iter().flat_map(|namespace| &namespace.grants) {
                prop_assert_eq!(grant.is_open(), grant.decision.refusals.is_empty(), "{}", grant.name);
            }
        }
        // What stands is owned by a running timer that ends by the stored end.
        for key in converged.world.keys(Kind::NetworkPolicy) {
            let policy = converged.world.policy(&key).unwrap();
            if policy.labels.get("privacy.cloudnexus.io/part").is_some_and(|part| part == "path") {
                let timer = converged.world.timer(&key).unwrap();
                prop_assert_eq!(policy.owners.len(), 1);
                prop_assert_eq!(&policy.owners[0].uid, &timer.meta.uid);
                let deadline = covenant::plan::deadline_of(timer).unwrap();
                prop_assert!(deadline > now);
            }
        }
    }

    /// At every step on the way, for every grant; and no further than its own path.
    #[test]
    fn a_grant_planned_alone_is_planned_as_its_namespace_plans_it(objects in arb_world(), now in instant(), later in instant()) {
        let mut world = support::world(&objects);
        for (instant, pass) in [(now, 0), (now, 1), (now, 2), (now, 3), (later, 4), (later, 5)] {
            for (unit, whole) in all_plans(&world, instant) {
                let changes = diff(&whole, &world);
                for grant in whole.namespace.iter().flat_map(|namespace| &namespace.grants) {
                    let key = ObjectKey::new(unit.namespace().unwrap(), &grant.name);
                    let alone = plan(&world, &Unit::Grant(key.clone()), instant);
                    let Extent::Path(path) = &alone.namespace.as_ref().unwrap().extent else {
                        panic!("{key} alone is a path");
                    };
                    let is_of_it = |change: &&covenant::diff::Change| match change.target.kind {
                        Kind::Grant => change.target.key == key,
                        Kind::NetworkPolicy | Kind::Job => change.target.key == ObjectKey::new(&key.namespace, path),
                        _ => false,
                    };
                    let expected: Vec<_> = changes.iter().filter(is_of_it).cloned().collect();
                    prop_assert_eq!(diff(&alone, &world), expected, "{}", key);
                    let violations = check(&alone, &world, instant);
                    prop_assert!(violations.is_empty(), "{:?}", violations.iter().map(ToString::to_string).collect::<Vec<_>>());
                }
            }
            simulate::controllers(&mut world, instant);
            for unit in world.units() {
                simulate::step(&mut world, &unit, instant, pass);
            }
        }
    }

    #[test]
    fn planning_is_independent_of_the_order_in_which_the_world_was_filled(objects in arb_world(), now in instant(), seed in any::<u64>()) {
        let forward = support::world(&objects);
        let mut shuffled: Vec<&Value> = objects.iter().collect();
        shuffled.sort_by_key(|object| object.to_string().bytes().fold(seed, |sum, byte| sum.rotate_left(7) ^ u64::from(byte)));
        let other = support::world(shuffled);
        prop_assert_eq!(all_plans(&forward, now), all_plans(&other, now));
    }

    /// Replanning only what a change marked gives the same as planning everything anew.
    #[test]
    fn what_a_change_marks_is_all_that_it_affects(before in arb_world(), after in arb_world(), now in instant(), gone in any::<u8>()) {
        let mut world = support::world(&before);
        let mut plans = all_plans(&world, now);
        for (index, object) in after.iter().enumerate() {
            let dirty = if usize::from(gone) % (after.len() * 3) == index {
                let kind = Kind::of(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap()).unwrap();
                let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
                world.remove(kind, &ObjectKey::new(text("namespace"), text("name")))
            } else {
                support::apply(&mut world, object)
            };
            for unit in dirty.0 {
                plans.insert(unit.clone(), plan(&world, &unit, now));
            }
            let fresh = all_plans(&world, now);
            for (unit, fresh) in fresh {
                prop_assert_eq!(plans.get(&unit), Some(&fresh), "{} after {}", unit, object["kind"]);
            }
        }
    }
}
