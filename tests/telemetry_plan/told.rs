//! What the status and the posture say.

use covenant::api::{OptOutMeans, OptOutState, TelemetryChannel, TelemetryOptOutStatus};
use covenant::model::telemetry::collecting::ASKING;
use covenant::model::{Kind, KindState, World};
use covenant::plan::Plan;
use serde_json::{Value, json};

use super::support::{apply, enrolled, namespace, vendor, world};
use super::{NAMESPACE, baseline, datadog, entries, opt_out, planned, prometheus};

/// Takes in the planned policies as stored, and that no kind is served by which agents are told to collect.
pub fn store(world: &mut World) {
    world.tell_definitions(KindState::Synced);
    for kind in ASKING {
        world.tell_collecting(kind, KindState::Synced);
    }
    let policies = planned(world).namespace.unwrap().policies;
    for policy in policies.values() {
        let mut policy = serde_json::to_value(policy).unwrap();
        policy["apiVersion"] = json!("networking.k8s.io/v1");
        policy["kind"] = json!("NetworkPolicy");
        policy["metadata"]["uid"] = json!("stored");
        policy["metadata"]["managedFields"] = json!([{ "manager": "covenant-network", "operation": "Apply", "apiVersion": "networking.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": {} } }]);
        apply(world, &policy);
    }
}

pub fn status(plan: &Plan) -> TelemetryOptOutStatus {
    let of_opt_out = |status: &&covenant::plan::StatusPlan| status.target.kind == Kind::OptOut;
    let status = plan.statuses.iter().find(of_opt_out).unwrap();
    serde_json::from_value(status.status.clone()).unwrap()
}

fn condition(status: &TelemetryOptOutStatus, kind: &str) -> (String, String) {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind);
    let condition = condition.unwrap();
    (condition.status.clone(), condition.reason.clone())
}

fn opted_out(agents: Value, channels: Value) -> World {
    world(&[
        enrolled(NAMESPACE, "acme"),
        vendor(),
        baseline(entries(), agents),
        opt_out(NAMESPACE, channels),
    ])
}

#[test]
fn an_agent_is_stopped_only_when_the_denial_was_read_back() {
    let mut world = opted_out(json!([prometheus()]), json!(["PlatformTelemetry"]));
    let before = status(&planned(&world));
    assert_eq!(before.channels[0].state, OptOutState::Partly);
    assert_eq!(before.channels[0].by, []);
    assert_eq!(
        condition(&before, "Stopped"),
        ("False".to_owned(), "Partly".to_owned())
    );
    store(&mut world);
    let after = status(&planned(&world));
    let channel = &after.channels[0];
    assert_eq!(channel.state, OptOutState::Stopped, "{channel:?}");
    assert_eq!(channel.by, [OptOutMeans::NetworkDenied]);
    assert_eq!(channel.agents[0].name, "prometheus");
    assert_eq!(
        condition(&after, "Stopped"),
        ("True".to_owned(), "ReadBack".to_owned())
    );
    assert_eq!(
        condition(&after, "Ready"),
        ("True".to_owned(), "Read".to_owned())
    );
}

#[test]
fn nothing_is_stopped_where_something_reaches_further() {
    let mut world = opted_out(json!([prometheus()]), json!(["PlatformTelemetry"]));
    store(&mut world);
    apply(
        &mut world,
        &json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "wide", "namespace": NAMESPACE, "uid": "wide" },
            "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}] },
        }),
    );
    assert_eq!(
        status(&planned(&world)).channels[0].state,
        OptOutState::Partly
    );
}

#[test]
fn an_agent_that_reads_on_nodes_cannot_be_stopped() {
    let mut on_nodes = prometheus();
    on_nodes["respects"] = json!("FluentBit");
    on_nodes["name"] = json!("fluent-bit");
    let mut world = opted_out(
        json!([prometheus(), on_nodes.clone()]),
        json!(["PlatformTelemetry"]),
    );
    store(&mut world);
    let channel = status(&planned(&world)).channels.remove(0);
    assert_eq!(channel.state, OptOutState::Partly, "one of two");
    assert!(channel.reason.contains("fluent-bit"), "{}", channel.reason);
    let states: Vec<OptOutState> = channel.agents.iter().map(|agent| agent.state).collect();
    assert_eq!(states, [OptOutState::CannotStop, OptOutState::Stopped]);
    on_nodes["respects"] = json!("None");
    let mut world = opted_out(json!([on_nodes]), json!(["PlatformTelemetry"]));
    store(&mut world);
    let channel = status(&planned(&world)).channels.remove(0);
    assert_eq!(channel.state, OptOutState::Partly, "nobody knows");
}

#[test]
fn a_vendor_known_by_name_alone_is_stopped_only_where_nothing_outside_is_reached() {
    // It reads no marker, so that the network is all there is.
    let mut agent = datadog();
    agent["respects"] = json!("None");
    let by_name = |entries: Value| {
        let mut world = world(&[
            enrolled(NAMESPACE, "acme"),
            vendor(),
            baseline(entries, json!([agent.clone()])),
            opt_out(NAMESPACE, json!(["ThirdPartyAnalytics"])),
        ]);
        store(&mut world);
        status(&planned(&world)).channels.remove(0).state
    };
    assert_eq!(by_name(entries()), OptOutState::Partly);
    assert_eq!(by_name(json!([])), OptOutState::Stopped);
}

#[test]
fn marketing_is_recorded_and_an_unregistered_channel_finds_nobody() {
    let world = opted_out(
        json!([]),
        json!(["MarketingCommunications", "PlatformTelemetry"]),
    );
    let planned = planned(&world);
    let told = status(&planned);
    let states: Vec<_> = told
        .channels
        .iter()
        .map(|channel| (channel.name, channel.state))
        .collect();
    assert_eq!(
        states,
        [
            (TelemetryChannel::PlatformTelemetry, OptOutState::NotFound),
            (
                TelemetryChannel::MarketingCommunications,
                OptOutState::Recorded
            ),
        ]
    );
    assert_eq!(condition(&told, "Stopped").0, "Unknown");
    let posture = planned.namespace.unwrap().posture.unwrap().spec;
    assert_eq!(posture.opt_outs.len(), 2);
    assert_eq!(posture.opt_outs[1].state, OptOutState::Recorded);
}

#[test]
fn nothing_is_called_stopped_where_the_namespace_is_not_in_force() {
    let labels =
        json!({ "privacy.cloudnexus.io/tenant": "acme", "privacy.cloudnexus.io/stage": "observe" });
    let floor = baseline(entries(), json!([prometheus()]));
    let no = opt_out(NAMESPACE, json!(["PlatformTelemetry"]));
    for there in [
        namespace(NAMESPACE, labels),
        namespace(NAMESPACE, json!({})),
    ] {
        let planned = planned(&world(&[there, floor.clone(), no.clone()]));
        assert_eq!(status(&planned).channels[0].state, OptOutState::CannotStop);
    }
}

#[test]
fn an_unreadable_opt_out_says_so() {
    let world = opted_out(json!([prometheus()]), json!(["Newer"]));
    let told = status(&planned(&world));
    assert_eq!(told.channels.len(), 3);
    assert_eq!(
        condition(&told, "Ready"),
        ("False".to_owned(), "PartlyUnreadable".to_owned())
    );
}

#[test]
fn an_agent_that_says_too_little_makes_the_baseline_unreadable() {
    let cases = [
        json!({ "name": "a", "channel": "PlatformTelemetry", "respects": "None" }),
        json!({ "name": "a", "channel": "MarketingCommunications", "respects": "None", "processorRef": { "name": "x" } }),
        json!({ "name": "a", "channel": "PlatformTelemetry", "respects": "None", "namespaceSelector": {} }),
        json!({ "name": "a", "channel": "PlatformTelemetry", "respects": "None", "processorRef": { "name": "x" }, "podSelector": {} }),
        json!({ "name": "a", "channel": "PlatformTelemetry", "respects": "None",
            "namespaceSelector": { "matchExpressions": [{ "key": "x", "operator": "In" }] } }),
        json!({ "name": "a", "channel": "PlatformTelemetry", "respects": "None",
            "namespaceSelector": { "matchExpressions": [{ "key": "x", "operator": "Exists", "values": ["y"] }] } }),
    ];
    for agent in cases {
        let world = world(&[baseline(json!([]), json!([agent.clone()]))]);
        assert!(world.baseline("default").unwrap().terms.is_err(), "{agent}");
    }
    let twice = world(&[baseline(json!([]), json!([prometheus(), prometheus()]))]);
    assert!(twice.baseline("default").unwrap().terms.is_err());
}

#[test]
fn people_hear_of_it_once_when_all_is_stopped_and_once_when_it_is_not_any_more() {
    let mut world = opted_out(json!([prometheus()]), json!(["PlatformTelemetry"]));
    let heard = |world: &mut World| {
        let plan = planned(world);
        let of_opt_out = |status: &&covenant::plan::StatusPlan| status.target.kind == Kind::OptOut;
        let planned = plan.statuses.iter().find(of_opt_out).unwrap().clone();
        world.take_status(&planned.target, planned.status);
        let notices = planned.notices.into_iter();
        let told = notices.map(|notice| (notice.reason, notice.warning));
        told.collect::<Vec<_>>()
    };
    assert_eq!(heard(&mut world), [], "nothing was stopped before");
    store(&mut world);
    let stopped = ("TelemetryStopped".to_owned(), false);
    assert_eq!(heard(&mut world), [stopped]);
    assert_eq!(heard(&mut world), []);
    let key = covenant::model::ObjectKey::new(NAMESPACE, "covenant-default-deny");
    world.remove(Kind::NetworkPolicy, &key);
    let not_stopped = ("TelemetryNotStopped".to_owned(), true);
    assert_eq!(heard(&mut world), [not_stopped]);
    assert_eq!(heard(&mut world), []);
}
