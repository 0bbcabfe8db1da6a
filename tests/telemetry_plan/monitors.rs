//! Objects of before that tell an agent to collect: when they are looked for, and what the status says of those that are left.

use std::collections::BTreeSet;
use std::path::Path;

use covenant::api::{AgentKind, AgentStatus, OptOutMeans, OptOutState};
use covenant::model::telemetry::agents;
use covenant::model::telemetry::collecting::{ASKING, CollectingKind, KINDS, asking_of, kinds_of};
use covenant::model::{Dirty, KindState, ObjectKey, Unit, World};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::refused::{guarded, told};
use super::support::{apply, enrolled, namespace, vendor, world};
use super::told::{status, store};
use super::{NAMESPACE, baseline, datadog, entries, opt_out, planned, prometheus};

fn kind(name: &str) -> CollectingKind {
    KINDS.into_iter().find(|kind| kind.kind == name).unwrap()
}

/// A world in which one agent of a kind is stopped and everything was read back, and the kinds that tell it are listed.
fn stopped(respects: &str) -> World {
    let mut agent = prometheus();
    agent["respects"] = json!(respects);
    let mut world = world(&[
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries(), json!([agent])),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ]);
    store(&mut world);
    guarded(&mut world);
    let refuses: Vec<String> = KINDS.iter().map(CollectingKind::definition).collect();
    told(&mut world, &json!(refuses));
    let words = json!({ "annotations": agents::SCRAPED.iter().copied().collect::<std::collections::BTreeMap<_, _>>() });
    apply(
        &mut world,
        &json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "GuardParameters",
            "metadata": { "name": "current", "namespace": NAMESPACE, "uid": "told" },
            "spec": { "retention": [], "telemetry": { "channels": ["PlatformTelemetry"], "refuses": refuses, "wherePresent": words } },
        }),
    );
    for kind in KINDS {
        world.tell_collecting(kind, KindState::Synced);
    }
    world
}

fn put(world: &mut World, of: &str, namespace: &str, name: &str) -> Dirty {
    world.set_collecting(kind(of), &ObjectKey::new(namespace, name), true)
}

fn take(world: &mut World, of: &str, namespace: &str, name: &str) -> Dirty {
    world.set_collecting(kind(of), &ObjectKey::new(namespace, name), false)
}

fn agent(world: &World) -> AgentStatus {
    let channel = status(&planned(world)).channels.remove(0);
    assert_eq!(channel.state, channel.agents[0].state);
    channel.agents[0].clone()
}

const CLEAR: &str = "new objects that tell it to collect are refused, and none of before is left";

#[track_caller]
fn is_clear(world: &World) {
    let agent = agent(world);
    assert_eq!(agent.state, OptOutState::Stopped, "{agent:?}");
    assert!(agent.by.contains(&OptOutMeans::MonitorsRefused));
    assert!(agent.reason.ends_with(CLEAR), "{}", agent.reason);
}

#[track_caller]
fn is_partly(world: &World, words: &str) {
    let agent = agent(world);
    assert_eq!(agent.state, OptOutState::Partly, "{agent:?}");
    assert_eq!(agent.by, [OptOutMeans::NetworkDenied]);
    assert!(agent.reason.starts_with(words), "{}", agent.reason);
    assert!(!agent.reason.contains(CLEAR), "{}", agent.reason);
}

#[test]
fn what_is_left_of_before_is_named_until_it_is_deleted() {
    let mut world = stopped("PrometheusOperator");
    is_clear(&world);
    put(&mut world, "ServiceMonitor", NAMESPACE, "web");
    is_partly(
        &world,
        "ServiceMonitor web of before tells it to collect; delete it;",
    );
    put(&mut world, "ServiceMonitor", NAMESPACE, "worker");
    put(&mut world, "ServiceMonitor", NAMESPACE, "zoo");
    is_partly(
        &world,
        "ServiceMonitor web and 2 more of before tell it to collect; delete them;",
    );
    put(&mut world, "PodMonitor", NAMESPACE, "jobs");
    is_partly(
        &world,
        "PodMonitor jobs, ServiceMonitor web and 2 more of before tell it to collect; delete them;",
    );
    let refused = "; new objects that tell it to collect are refused";
    assert!(agent(&world).reason.ends_with(refused));
    take(&mut world, "PodMonitor", NAMESPACE, "jobs");
    for name in ["web", "worker", "zoo"] {
        take(&mut world, "ServiceMonitor", NAMESPACE, name);
    }
    is_clear(&world);
}

#[test]
fn what_is_elsewhere_or_tells_another_agent_is_nothing_of_before() {
    let mut world = stopped("PrometheusOperator");
    put(&mut world, "ServiceMonitor", "acme-other", "web");
    put(&mut world, "PodLogs", NAMESPACE, "web");
    put(&mut world, "Instrumentation", NAMESPACE, "web");
    is_clear(&world);
}

#[test]
fn what_is_left_counts_also_where_new_ones_are_let_in() {
    let mut world = stopped("PrometheusOperator");
    told(&mut world, &json!([]));
    let open = agent(&world);
    assert_eq!(open.state, OptOutState::Stopped);
    assert_eq!(open.by, [OptOutMeans::NetworkDenied]);
    put(&mut world, "Probe", NAMESPACE, "web");
    is_partly(
        &world,
        "Probe web of before tells it to collect; delete it;",
    );
    assert!(!agent(&world).reason.contains("refused"));
}

#[test]
fn an_agent_that_cannot_be_stopped_stays_so_and_names_what_is_left() {
    let mut world = stopped("GrafanaAlloy");
    assert_eq!(agent(&world).state, OptOutState::CannotStop);
    put(&mut world, "PodLogs", NAMESPACE, "web");
    let left = agent(&world);
    assert_eq!(left.state, OptOutState::CannotStop);
    assert_eq!(left.by, [OptOutMeans::NetworkDenied]);
    assert!(left.reason.starts_with("it reads on the node"), "{left:?}");
    let words = "; PodLogs web of before tells it to collect; delete it;";
    assert!(left.reason.contains(words), "{left:?}");
}

#[test]
fn what_was_not_listed_is_not_taken_for_what_is_not_there() {
    let forbidden = || KindState::Forbidden {
        message: "apiGroups [\"monitoring.coreos.com\"]".to_owned(),
    };
    let failing = || KindState::Failing {
        message: "connection refused by 192.0.2.7:50312".to_owned(),
    };
    let cases = [
        (
            KindState::Syncing,
            "the operator has yet to read what there is of it",
        ),
        (
            forbidden(),
            "the operator may not read it; the rule that it lacks: apiGroups [\"monitoring.coreos.com\"]",
        ),
        (
            failing(),
            "the API server does not list it; the operator's log says why",
        ),
    ];
    let unknown = "whether objects of before tell it to collect is not known: ";
    for (state, why) in cases {
        let mut world = stopped("PrometheusOperator");
        world.tell_collecting(kind("ServiceMonitor"), state.clone());
        let of_one = format!("{unknown}servicemonitors.monitoring.coreos.com: {why};");
        is_partly(&world, &of_one);
        // What is known of another kind is told first.
        put(&mut world, "Probe", NAMESPACE, "web");
        let both = format!("Probe web of before tells it to collect; delete it; {of_one}");
        is_partly(&world, &both);
        take(&mut world, "Probe", NAMESPACE, "web");
        world.tell_collecting(kind("ServiceMonitor"), KindState::Synced);
        is_clear(&world);
        world.tell_definitions(state);
        let of_all = format!("{unknown}podmonitors.monitoring.coreos.com and 3 more: {why};");
        is_partly(&world, &of_all);
    }
}

#[test]
fn a_kind_that_is_not_served_has_nothing_left() {
    let mut world = stopped("PrometheusOperator");
    put(&mut world, "ServiceMonitor", NAMESPACE, "web");
    world.tell_collecting(kind("ServiceMonitor"), KindState::NotServed);
    is_clear(&world);
    put(&mut world, "Probe", NAMESPACE, "web");
    let dirty = world.forget_collecting(kind("Probe"));
    assert!(dirty.0.contains(&Unit::Namespace(NAMESPACE.to_owned())));
    is_clear(&world);
    assert!(world.forget_collecting(kind("Probe")).0.is_empty());
}

#[test]
fn an_agent_that_no_object_tells_is_stopped_whatever_can_be_seen() {
    let mut promtail = prometheus();
    promtail["respects"] = json!("Promtail");
    promtail["readsNodes"] = json!(false);
    let mut world = world(&[
        enrolled(NAMESPACE, "acme"),
        baseline(json!([]), json!([promtail])),
        opt_out(NAMESPACE, json!(["PlatformTelemetry"])),
    ]);
    store(&mut world);
    world.tell_definitions(KindState::Syncing);
    put(&mut world, "ServiceMonitor", NAMESPACE, "web");
    assert_eq!(agent(&world).state, OptOutState::Stopped);
}

#[test]
fn the_longest_names_leave_a_reason_within_bounds() {
    let mut world = stopped("OpenTelemetryOperator");
    for kind in KINDS {
        put(&mut world, kind.kind, NAMESPACE, &"n".repeat(253));
        put(&mut world, kind.kind, NAMESPACE, "o");
    }
    let left = agent(&world);
    assert!(left.reason.len() <= 512, "{}", left.reason);
    let all = [
        "PodMonitor",
        "Probe",
        "ScrapeConfig",
        "ServiceMonitor",
        "Instrumentation",
    ];
    for kind in all {
        assert!(left.reason.contains(&format!("{kind} n")), "{left:?}");
    }
}

#[test]
fn a_collector_tells_only_in_the_mode_sidecar_and_every_other_object_by_being_there() {
    for kind in KINDS {
        let object = |spec: Value| -> DynamicObject {
            let object = json!({ "apiVersion": format!("{}/v1", kind.group), "kind": kind.kind, "metadata": { "name": "web" }, "spec": spec });
            serde_json::from_value(object).unwrap()
        };
        let is_collector = kind.kind == "OpenTelemetryCollector";
        assert!(kind.tells(&object(json!({ "mode": "sidecar" }))));
        for own in [
            json!({}),
            json!(null),
            json!({ "mode": "deployment" }),
            json!({ "mode": null }),
        ] {
            assert_eq!(kind.tells(&object(own)), !is_collector, "{kind:?}");
        }
    }
}

#[test]
fn a_kind_is_looked_for_only_where_an_enrolled_namespace_opts_out_of_who_is_told_by_it() {
    let floor = baseline(entries(), json!([prometheus(), datadog()]));
    let asked = |objects: &[Value]| world(objects).asks_for_collecting();
    let no = |channels: Value| opt_out(NAMESPACE, channels);
    let of_prometheus: BTreeSet<CollectingKind> = kinds_of(agents::TABLE[1].kind).collect();
    assert_eq!(of_prometheus.len(), 4);
    let here = enrolled(NAMESPACE, "acme");
    let platform = || no(json!(["PlatformTelemetry"]));
    assert!(asked(&[here.clone(), floor.clone()]).is_empty());
    assert_eq!(
        asked(&[here.clone(), floor.clone(), platform()]),
        of_prometheus
    );
    // Datadog is on this one, and no object tells it.
    let third = no(json!(["ThirdPartyAnalytics"]));
    assert_eq!(
        asked(&[here.clone(), floor.clone(), third]),
        asking_of(AgentKind::Datadog).collect()
    );
    let elsewhere = namespace(NAMESPACE, json!({}));
    assert!(asked(&[elsewhere, floor.clone(), platform()]).is_empty());
    assert!(asked(&[floor, platform()]).is_empty());
    // Who collects is not known.
    let every = KINDS.into_iter().chain(ASKING).collect();
    assert_eq!(asked(&[here.clone(), platform()]), every);
    let marketing = no(json!(["MarketingCommunications"]));
    assert!(asked(&[here, marketing]).is_empty());
}

#[test]
fn a_namespace_is_planned_anew_only_where_it_opts_out() {
    let mut world = stopped("PrometheusOperator");
    apply(&mut world, &enrolled("acme-other", "acme"));
    let only_here = Dirty([Unit::Namespace(NAMESPACE.to_owned())].into());
    let dirty = put(&mut world, "ServiceMonitor", NAMESPACE, "web");
    assert_eq!(dirty, only_here);
    let again = put(&mut world, "ServiceMonitor", NAMESPACE, "web");
    assert!(again.0.is_empty());
    let elsewhere = put(&mut world, "ServiceMonitor", "acme-other", "web");
    assert!(elsewhere.0.is_empty());
    let dirty = take(&mut world, "ServiceMonitor", NAMESPACE, "web");
    assert_eq!(dirty, only_here);
    let gone = take(&mut world, "ServiceMonitor", NAMESPACE, "web");
    assert!(gone.0.is_empty());
    assert_eq!(
        world.tell_collecting(kind("Probe"), KindState::Syncing),
        only_here
    );
    assert_eq!(world.tell_definitions(KindState::Syncing), only_here);
    assert!(world.tell_definitions(KindState::Syncing).0.is_empty());
    let keys = world.collecting_keys(kind("ServiceMonitor"));
    assert_eq!(keys, [ObjectKey::new("acme-other", "web")]);
}

/// What publishes pods with this annotation.
fn publishing(annotation: &str, value: &str) -> DynamicObject {
    let object = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "annotations": { annotation: value } },
    });
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_service_or_an_ingress_asks_by_any_word_but_the_silent_one() {
    let [service, of_alloy, ingress] = ASKING;
    for kind in [service, ingress] {
        for asks in ["true", "", "yes"] {
            assert!(kind.tells(&publishing("prometheus.io/scrape", asks)));
            assert!(kind.tells(&publishing("prometheus.io/probe", asks)));
        }
        assert!(!kind.tells(&publishing("prometheus.io/scrape", "false")));
        assert!(!kind.tells(&publishing("prometheus.io/port", "9090")));
    }
    assert!(of_alloy.tells(&publishing("k8s.grafana.com/scrape", "true")));
    assert!(!of_alloy.tells(&publishing("prometheus.io/scrape", "true")));
}

#[test]
fn what_publishes_pods_and_asks_from_before_is_named_until_it_says_so_no_more() {
    let mut world = stopped("PrometheusAnnotations");
    let [service, _, ingress] = ASKING;
    assert_eq!(agent(&world).state, OptOutState::Stopped);
    assert!(agent(&world).by.contains(&OptOutMeans::AgentExcluded));
    let web = ObjectKey::new(NAMESPACE, "web");
    for kind in [service, ingress] {
        world.set_collecting(kind, &web, true);
    }
    let told = agent(&world);
    assert_eq!(told.state, OptOutState::Partly);
    assert!(!told.by.contains(&OptOutMeans::AgentExcluded));
    let words = "Service web, Ingress web of before ask it to collect; take off what says so";
    assert!(told.reason.starts_with(words), "{}", told.reason);
    for kind in [service, ingress] {
        world.set_collecting(kind, &web, false);
    }
    assert_eq!(agent(&world).state, OptOutState::Stopped);
    world.tell_collecting(
        service,
        KindState::Forbidden {
            message: "services".to_owned(),
        },
    );
    let told = agent(&world);
    assert_eq!(told.state, OptOutState::Partly);
    assert!(told.reason.contains("may not read it"), "{}", told.reason);
}

#[test]
fn services_are_looked_at_only_for_agents_that_read_words_on_them() {
    for (agent, looks) in [
        ("PrometheusAnnotations", 2),
        ("Datadog", 2),
        ("GrafanaAlloy", 1),
        ("PrometheusOperator", 0),
        ("OpenTelemetryOperator", 0),
    ] {
        let row = agents::TABLE
            .iter()
            .find(|row| format!("{:?}", row.kind) == agent);
        assert_eq!(asking_of(row.unwrap().kind).count(), looks, "{agent}");
    }
}

#[test]
fn every_kind_of_the_table_of_agents_is_looked_for_by_a_rule_of_the_chart() {
    for agent in &agents::TABLE {
        let looked_for: BTreeSet<String> =
            kinds_of(agent.kind).map(|kind| kind.definition()).collect();
        let named: BTreeSet<String> = agent.collects_by.iter().map(ToString::to_string).collect();
        assert_eq!(looked_for, named, "{:?}", agent.kind);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chart = root.join("charts/covenant/templates/rbac-operator.yaml");
    let rules = std::fs::read_to_string(chart).unwrap();
    for kind in KINDS {
        let of_group = format!("[{}]\n", kind.group);
        let mut of_group = rules
            .split("- apiGroups: ")
            .filter(|rule| rule.starts_with(&of_group));
        let rule = of_group.next().unwrap();
        assert!(of_group.next().is_none(), "one rule about {}", kind.group);
        let words: BTreeSet<&str> = rule.split([' ', ',', '[', ']', '\n']).collect();
        assert!(words.contains(kind.plural), "{kind:?}");
        assert!(rule.contains("verbs: [list, watch]\n"), "{rule}");
    }
    for kind in ASKING {
        let mut rules = rules.split("- apiGroups: ");
        let is_of_it = |rule: &str| {
            let group = rule.starts_with(&format!("[{}", kind.group))
                || kind.group.is_empty() && rule.starts_with("[\"\"]");
            group && rule.contains(kind.plural) && rule.contains("verbs: [list, watch]\n")
        };
        assert!(rules.any(is_of_it), "{kind:?}");
    }
}
