//! The agent's cells close, and no other.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::evaluator::{Labels, Pod, allows, allows_address, among, matches, peers, pod};
use super::support::{apply, enrolled, vendor, world};
use super::{NAMESPACE, baseline, datadog, entries, opt_out, planned, prometheus};

#[test]
fn an_agent_is_cut_off_both_ways_and_its_neighbours_are_not() {
    let mut entries = entries();
    entries[0]["direction"] = json!("Ingress");
    let egress = json!({ "name": "push", "direction": "Egress", "reason": "push gateway", "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } });
    entries.as_array_mut().unwrap().push(egress);
    let objects = [
        enrolled(NAMESPACE, "acme"),
        baseline(entries, json!([prometheus()])),
    ];
    let mut world = world(&objects);
    let agent = pod("monitoring", &[], &[("app", "prometheus")]);
    let beside = pod("monitoring", &[], &[("app", "grafana")]);
    let before = planned(&world);
    for way in ["ingress", "egress"] {
        assert!(allows(&before, way, NAMESPACE, &agent), "{way}");
    }
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    );
    let after = planned(&world);
    for way in ["ingress", "egress"] {
        assert!(!allows(&after, way, NAMESPACE, &agent), "{way}");
        assert!(allows(&after, way, NAMESPACE, &beside), "{way}");
    }
}

#[test]
fn an_opt_out_of_another_channel_changes_no_policy() {
    let objects = [
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries(), json!([prometheus(), datadog()])),
    ];
    let mut world = world(&objects);
    let before = planned(&world).namespace.unwrap().policies;
    apply(
        &mut world,
        &opt_out(NAMESPACE, json!(["MarketingCommunications"])),
    );
    assert_eq!(planned(&world).namespace.unwrap().policies, before);
}

#[test]
fn leaving_the_opt_out_restores_exactly_what_was_there() {
    let objects = [
        enrolled(NAMESPACE, "acme"),
        enrolled("acme-lake", "acme"),
        vendor(),
        baseline(entries(), json!([prometheus(), datadog()])),
    ];
    let mut world = world(&objects);
    let before = planned(&world);
    let no = opt_out(
        NAMESPACE,
        json!(["PlatformTelemetry", "ThirdPartyAnalytics"]),
    );
    apply(&mut world, &no);
    let during = planned(&world);
    assert_ne!(
        during.namespace.unwrap().policies,
        before.namespace.as_ref().unwrap().policies
    );
    let key = world.keys(covenant::model::Kind::OptOut).remove(0);
    world.remove(covenant::model::Kind::OptOut, &key);
    assert_eq!(planned(&world), before);
}

#[test]
fn a_vendors_ranges_are_taken_out_of_the_ranges_around_them_and_no_more() {
    let objects = [
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries(), json!([datadog()])),
        opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    ];
    let plan = planned(&world(&objects));
    assert!(!allows_address(&plan, "203.0.113.7"), "the vendor's");
    assert!(allows_address(&plan, "203.0.112.7"), "beside the vendor's");
    assert!(allows_address(&plan, "198.51.100.9"), "elsewhere");
}

#[test]
fn a_range_that_lies_within_the_vendors_goes_whole_and_leaves_no_open_rule() {
    let entries = json!([{ "name": "out", "direction": "Egress", "reason": "x", "cidrs": ["203.0.113.64/26"] }]);
    let objects = [
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries, json!([datadog()])),
        opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    ];
    let plan = planned(&world(&objects));
    assert!(!allows_address(&plan, "203.0.113.70"));
}

#[test]
fn a_vendor_that_cannot_be_read_may_be_anywhere() {
    let objects = [
        enrolled(NAMESPACE, "acme"),
        baseline(entries(), json!([datadog()])),
        opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
    ];
    let plan = planned(&world(&objects));
    assert!(!allows_address(&plan, "198.51.100.9"));
}

#[test]
fn names_are_resolved_whoever_else_the_resolver_is() {
    let mut floor = baseline(json!([]), json!([prometheus()]));
    floor["spec"]["network"]["dns"] = json!({ "peers": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } }] });
    let objects = [
        enrolled(NAMESPACE, "acme"),
        floor,
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ];
    let plan = planned(&world(&objects));
    let resolver = pod("monitoring", &[], &[("app", "prometheus")]);
    assert!(allows(&plan, "egress", NAMESPACE, &resolver));
    assert!(!allows(&plan, "ingress", NAMESPACE, &resolver));
}

#[test]
fn what_of_an_opt_out_cannot_be_read_counts_as_every_channel() {
    let agent = pod("monitoring", &[], &[("app", "prometheus")]);
    let mut other_name = opt_out(NAMESPACE, json!(["MarketingCommunications"]));
    other_name["metadata"]["name"] = json!("other");
    let mut more = opt_out(NAMESPACE, json!(["MarketingCommunications"]));
    more["spec"]["newer"] = json!(true);
    let mut without = opt_out(NAMESPACE, json!([]));
    without["spec"] = json!({});
    let unreadable = [
        (
            "an unknown channel",
            opt_out(NAMESPACE, json!(["MarketingCommunications", "Newer"])),
        ),
        (
            "no list",
            opt_out(NAMESPACE, json!("MarketingCommunications")),
        ),
        ("an empty list", opt_out(NAMESPACE, json!([]))),
        ("no channels", without),
        ("an unknown field", more),
        ("another name", other_name),
    ];
    for (case, no) in unreadable {
        let objects = [
            enrolled(NAMESPACE, "acme"),
            baseline(entries(), json!([prometheus()])),
            no,
        ];
        let plan = planned(&world(&objects));
        assert!(!allows(&plan, "ingress", NAMESPACE, &agent), "{case}");
    }
}

#[test]
fn a_peer_that_would_become_too_many_is_denied_whole() {
    let many: Vec<Value> = (0..12)
        .map(|number| {
            let expressions: Vec<Value> = (0..12)
                .map(|key| json!({ "key": format!("k{number}-{key}"), "operator": "Exists" }))
                .collect();
            json!({ "name": format!("agent-{number}"), "channel": "PlatformTelemetry", "respects": "PrometheusOperator",
                "namespaceSelector": { "matchExpressions": expressions } })
        })
        .collect();
    let objects = [
        enrolled(NAMESPACE, "acme"),
        baseline(entries(), json!(many)),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ];
    let plan = planned(&world(&objects));
    let monitoring = pod("monitoring", &[], &[]);
    assert!(!allows(&plan, "ingress", NAMESPACE, &monitoring));
    let told = plan.statuses[0].status["channels"][0]["reason"].to_string();
    assert!(
        told.contains("denied whole") && told.contains("metrics"),
        "{told}"
    );
    let size = serde_json::to_vec(
        &plan
            .namespace
            .unwrap()
            .policies
            .values()
            .collect::<Vec<_>>(),
    );
    assert!(size.unwrap().len() < 100_000);
}

const KEYS: [&str; 3] = ["a", "b", "kubernetes.io/metadata.name"];
const VALUES: [&str; 3] = ["x", "y", "acme-prod"];

fn requirement() -> impl Strategy<Value = Value> {
    let values = || subsequence(VALUES.to_vec(), 1..=2);
    let key = || select(KEYS.to_vec());
    prop_oneof![
        (key(), values())
            .prop_map(|(key, values)| json!({ "key": key, "operator": "In", "values": values })),
        (key(), values())
            .prop_map(|(key, values)| json!({ "key": key, "operator": "NotIn", "values": values })),
        key().prop_map(|key| json!({ "key": key, "operator": "Exists" })),
        key().prop_map(|key| json!({ "key": key, "operator": "DoesNotExist" })),
    ]
}

fn selector(least: usize) -> impl Strategy<Value = Value> {
    let equal = proptest::option::of((select(KEYS.to_vec()), select(VALUES.to_vec())));
    (equal, proptest::collection::vec(requirement(), least..=3)).prop_map(|(equal, expressions)| {
        let mut selector = json!({});
        if let Some((key, value)) = equal {
            selector["matchLabels"] = json!({ key: value });
        }
        if !expressions.is_empty() {
            selector["matchExpressions"] = json!(expressions);
        }
        selector
    })
}

/// Every labelling of a few keys with a few values, one that nobody names, or none.
fn labellings(keys: &[&str]) -> Vec<Labels> {
    let mut all = vec![Labels::new()];
    for key in keys {
        let mut more = Vec::new();
        for labels in &all {
            for value in ["x", "y", "acme-prod", "unnamed"] {
                let mut labels = labels.clone();
                labels.insert((*key).to_owned(), value.to_owned());
                more.push(labels);
            }
            // Every namespace has its name as a label.
            if *key != "kubernetes.io/metadata.name" {
                more.push(labels.clone());
            }
        }
        all = more;
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(testbed::effort::cases(48)))]

    #[test]
    fn what_is_allowed_after_is_what_was_before_without_the_agents(
        peer in (selector(1), proptest::option::of(selector(0))),
        agents in proptest::collection::vec((selector(1), proptest::option::of(selector(0))), 1..=2),
        direction in select(vec!["Ingress", "Egress"]),
    ) {
        let mut entry = json!({ "name": "peer", "direction": direction, "reason": "x", "namespaceSelector": peer.0 });
        if let Some(pods) = peer.1 {
            entry["podSelector"] = pods;
        }
        let listed: Vec<Value> = agents.iter().enumerate().map(|(index, (namespaces, pods))| {
            let mut agent = json!({ "name": format!("agent-{index}"), "channel": "PlatformTelemetry", "respects": "None", "namespaceSelector": namespaces });
            if let Some(pods) = pods {
                agent["podSelector"] = pods.clone();
            }
            agent
        }).collect();
        let objects = [
            enrolled(NAMESPACE, "acme"),
            baseline(json!([entry]), json!(listed)),
        ];
        let mut world = world(&objects);
        let of = |world: &covenant::model::World| {
            let plan = planned(world);
            ["ingress", "egress"].map(|way| peers(&plan, way))
        };
        let before = of(&world);
        apply(&mut world, &opt_out(NAMESPACE, json!(["PlatformTelemetry"])));
        let after = of(&world);
        let pods = labellings(&["a", "b"]);
        for namespace_labels in labellings(&KEYS) {
            let namespace = namespace_labels["kubernetes.io/metadata.name"].clone();
            for labels in &pods {
                let pod = Pod { namespace: namespace.clone(), namespace_labels: namespace_labels.clone(), labels: labels.clone() };
                let is_agent = agents.iter().any(|(namespaces, selector)| {
                    matches(namespaces, &pod.namespace_labels)
                        && selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
                });
                for (before, after) in before.iter().zip(&after) {
                    let expected = among(before, NAMESPACE, &pod) && !is_agent;
                    prop_assert_eq!(among(after, NAMESPACE, &pod), expected, "{:?} of {:?}", pod, after);
                }
            }
        }
    }
}
