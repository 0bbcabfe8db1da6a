//! What a posture says of what is published, with worlds made by hand; and the table of the docs. No cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "support/world.rs"]
mod support;
#[path = "transit_plan/table.rs"]
mod table;

use covenant::api::{EncryptionScope, EncryptionState};
use covenant::model::encryption::transit::{PublishedKind, kinds};
use covenant::model::{Dirty, KindState, ObjectKey, ObservedPublication, Unit, World};
use covenant::plan::plan;
use kube::core::DynamicObject;
use serde_json::{Value, json};

const HERE: &str = "acme-prod";
const ENVOY: &str = "gateway.envoyproxy.io/gatewayclass-controller";

/// A world in which every kind is served, nothing is published, and TLS 1.3 is asked for.
fn asking() -> World {
    let mut baseline = support::baseline();
    baseline["spec"]["encryption"] = json!({ "inTransit": { "minimumTLS": "1.3" } });
    let mut world = support::world([
        &baseline,
        &support::enrolled(HERE, "acme"),
        &support::enrolled("acme-edge", "acme"),
    ]);
    world.tell_definitions(KindState::Synced);
    for kind in kinds() {
        world.tell_published(kind, KindState::Synced);
    }
    world
}

fn kind_of(object: &Value) -> PublishedKind {
    let (group, _) = object["apiVersion"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap();
    let found = kinds().find(|kind| kind.group == group && object["kind"] == kind.kind);
    found.unwrap_or_else(|| panic!("no kind of {object}"))
}

fn publish(world: &mut World, object: &Value) -> Dirty {
    let kind = kind_of(object);
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    let key = ObjectKey::of(&object);
    let publication = ObservedPublication::read(kind.reads, &object);
    world.set_published(kind, &key, Some(publication))
}

fn object(api_version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": HERE }, "spec": spec })
}

fn gateway(listeners: Value) -> Value {
    let spec = json!({ "gatewayClassName": "eg", "listeners": listeners });
    object("gateway.networking.k8s.io/v1", "Gateway", "edge", spec)
}

fn https(name: &str) -> Value {
    json!({ "name": name, "port": 443, "protocol": "HTTPS" })
}

fn policy(name: &str, minimum: &str, section: Value) -> Value {
    let target = json!({ "kind": "Gateway", "name": "edge", "sectionName": section });
    let spec = json!({ "targetRefs": [target], "tls": { "minVersion": minimum } });
    object(
        "gateway.envoyproxy.io/v1alpha1",
        "ClientTrafficPolicy",
        name,
        spec,
    )
}

fn class(kind: &str, name: &str, controller: &str) -> Value {
    let group = if kind == "GatewayClass" {
        "gateway.networking.k8s.io/v1"
    } else {
        "networking.k8s.io/v1"
    };
    json!({ "apiVersion": group, "kind": kind, "metadata": { "name": name }, "spec": { "controllerName": controller, "controller": controller } })
}

/// What the posture says of encryption in transit: item, state and reason.
fn told(world: &World, namespace: &str) -> Vec<(String, EncryptionState, String)> {
    let now = "2026-11-27T00:00:00Z".parse().unwrap();
    let plan = plan(world, &Unit::Namespace(namespace.to_owned()), now);
    let posture = plan.namespace.unwrap().posture.unwrap();
    let items = posture.spec.encryption.unwrap().items.into_iter();
    let items = items.filter(|item| item.scope == EncryptionScope::InTransit);
    items
        .map(|item| (item.item, item.state, item.reason))
        .collect()
}

#[track_caller]
fn tells(world: &World, expected: &[(&str, EncryptionState, &str)]) {
    let expected: Vec<(String, EncryptionState, String)> = expected
        .iter()
        .map(|(item, state, reason)| ((*item).to_owned(), *state, (*reason).to_owned()))
        .collect();
    assert_eq!(told(world, HERE), expected);
}

use EncryptionState::{NotEncrypted, NotJudged, Proven, Unknown};

#[test]
fn where_nothing_is_published_nothing_is_said_and_where_nothing_is_asked_that_is() {
    tells(&asking(), &[]);
    let world = support::world([&support::baseline(), &support::enrolled(HERE, "acme")]);
    tells(&world, &[("Gateways", NotJudged, "NotInBaseline")]);
}

#[test]
fn what_cannot_be_seen_is_not_known() {
    let mut world = asking();
    let kind = kinds().find(|kind| kind.kind == "TLSOption").unwrap();
    for (state, reason) in [
        (KindState::Syncing, "NotReadYet"),
        (
            KindState::Forbidden {
                message: String::new(),
            },
            "Forbidden",
        ),
        (
            KindState::Failing {
                message: String::new(),
            },
            "Failing",
        ),
    ] {
        world.tell_published(kind, state.clone());
        tells(&world, &[("tlsoptions.traefik.io", Unknown, reason)]);
        world.tell_definitions(state);
        let both = [
            ("CustomResourceDefinition", Unknown, reason),
            ("tlsoptions.traefik.io", Unknown, reason),
        ];
        tells(&world, &both);
        world.tell_definitions(KindState::Synced);
    }
    world.tell_published(kind, KindState::NotServed);
    tells(&world, &[]);
}

#[test]
fn a_gateway_is_proven_by_a_policy_that_envoy_gateway_carries_out_and_else_not_known() {
    let mut world = asking();
    publish(&mut world, &gateway(json!([https("a"), https("b")])));
    tells(&world, &[("Gateway/edge", Unknown, "VersionUnknown")]);
    publish(&mut world, &policy("of-a", "1.3", json!("a")));
    tells(&world, &[("Gateway/edge", Unknown, "VersionUnknown")]);
    publish(&mut world, &policy("of-all", "1.3", Value::Null));
    tells(&world, &[("Gateway/edge", Unknown, "ControllerUnknown")]);
    publish(
        &mut world,
        &class("GatewayClass", "eg", "example.com/another"),
    );
    tells(&world, &[("Gateway/edge", Unknown, "ControllerNotJudged")]);
    publish(&mut world, &class("GatewayClass", "eg", ENVOY));
    tells(&world, &[("Gateway", Proven, "AsksForTls13")]);
}

#[test]
fn the_nearest_policy_counts_even_where_a_wider_one_asks_for_more() {
    let mut world = asking();
    publish(&mut world, &class("GatewayClass", "eg", ENVOY));
    publish(&mut world, &gateway(json!([https("a"), https("b")])));
    publish(&mut world, &policy("of-all", "1.3", Value::Null));
    publish(&mut world, &policy("of-b", "1.2", json!("b")));
    let both = [
        ("ClientTrafficPolicy/of-b", NotEncrypted, "BelowMinimum"),
        ("Gateway/edge", NotEncrypted, "PolicyBelow"),
    ];
    tells(&world, &both);
}

#[test]
fn a_listener_that_was_plain_before_is_told_and_one_that_is_passed_on_is_not_judged() {
    let mut world = asking();
    publish(
        &mut world,
        &gateway(json!([{ "name": "a", "protocol": "HTTP" }])),
    );
    tells(&world, &[("Gateway/edge", NotEncrypted, "PlainListener")]);
    let passed_on = json!([{ "name": "a", "protocol": "TLS", "tls": { "mode": "Passthrough" } }]);
    publish(&mut world, &gateway(passed_on));
    tells(&world, &[("Gateway", NotJudged, "OpenedInPod")]);
}

#[test]
fn a_route_is_judged_by_the_listeners_that_it_attaches_to_in_another_namespace_too() {
    let mut world = asking();
    publish(&mut world, &class("GatewayClass", "eg", ENVOY));
    let mut shared = gateway(json!([https("secure"), { "name": "plain", "protocol": "HTTP" }]));
    shared["metadata"]["namespace"] = json!("edge");
    let route = |section: Value| {
        let parent = json!({ "name": "edge", "namespace": "edge", "sectionName": section });
        object(
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            "route",
            json!({ "parentRefs": [parent] }),
        )
    };
    publish(&mut world, &route(Value::Null));
    tells(&world, &[("HTTPRoute/route", Unknown, "ParentUnknown")]);
    // Whose listener it is changes what is said here.
    let dirty = publish(&mut world, &shared);
    assert!(
        dirty.0.contains(&Unit::Namespace(HERE.to_owned())),
        "{dirty:?}"
    );
    tells(&world, &[("HTTPRoute/route", NotEncrypted, "PlainParent")]);
    publish(&mut world, &route(json!("plain")));
    tells(&world, &[("HTTPRoute/route", NotEncrypted, "PlainParent")]);
    publish(&mut world, &route(json!("secure")));
    tells(&world, &[("HTTPRoute/route", Unknown, "VersionUnknown")]);
    let mut asks = policy("of-all", "1.3", Value::Null);
    asks["metadata"]["namespace"] = json!("edge");
    publish(&mut world, &asks);
    tells(&world, &[("HTTPRoute", Proven, "AsksForTls13")]);
}

#[test]
fn an_ingress_is_judged_by_the_controller_of_its_class() {
    let ingress = |class: Value, annotations: Value| {
        let spec = json!({ "ingressClassName": class, "rules": [{ "host": "a.acme.example" }], "tls": [{ "hosts": ["a.acme.example"] }] });
        let mut ingress = object("networking.k8s.io/v1", "Ingress", "shop", spec);
        ingress["metadata"]["annotations"] = annotations;
        ingress
    };
    let for_traefik = json!({
        "traefik.ingress.kubernetes.io/router.tls": "true", "traefik.ingress.kubernetes.io/router.tls.options": "acme-prod-modern@kubernetescrd",
    });
    let option = |minimum: &str| {
        object(
            "traefik.io/v1alpha1",
            "TLSOption",
            "modern",
            json!({ "minVersion": minimum }),
        )
    };
    let mut world = asking();
    publish(
        &mut world,
        &class("IngressClass", "nginx", "k8s.io/ingress-nginx"),
    );
    publish(
        &mut world,
        &class("IngressClass", "cloud", "example.com/balancer"),
    );
    // Nothing of its name says what it is.
    let mut default = class("IngressClass", "public", "traefik.io/ingress-controller");
    publish(&mut world, &default);
    for (class, annotations, item, state, reason) in [
        (
            json!("nginx"),
            json!({}),
            "Ingress",
            NotJudged,
            "Unsupported",
        ),
        (
            json!("cloud"),
            json!({}),
            "Ingress",
            NotJudged,
            "ControllerNotJudged",
        ),
        (
            json!("other"),
            json!({}),
            "Ingress",
            NotJudged,
            "ControllerUnknown",
        ),
        (
            Value::Null,
            json!({}),
            "Ingress",
            NotJudged,
            "ControllerUnknown",
        ),
        (
            json!("public"),
            json!({}),
            "Ingress/shop",
            NotEncrypted,
            "PlainRouter",
        ),
        (
            json!("public"),
            for_traefik.clone(),
            "Ingress/shop",
            Unknown,
            "NoSuchOptions",
        ),
    ] {
        publish(&mut world, &ingress(class, annotations));
        tells(&world, &[(item, state, reason)]);
    }
    publish(&mut world, &option("VersionTLS12"));
    let both = [
        ("Ingress/shop", NotEncrypted, "OptionsBelow"),
        ("TLSOption/modern", NotEncrypted, "BelowMinimum"),
    ];
    tells(&world, &both);
    publish(&mut world, &option("VersionTLS13"));
    let both = [
        ("Ingress", Proven, "AsksForTls13"),
        ("TLSOption", Proven, "AsksForTls13"),
    ];
    tells(&world, &both);
    default["metadata"]["annotations"] =
        json!({ "ingressclass.kubernetes.io/is-default-class": "true" });
    let dirty = publish(&mut world, &default);
    assert!(
        dirty.0.contains(&Unit::Namespace(HERE.to_owned())),
        "{dirty:?}"
    );
    publish(&mut world, &ingress(Value::Null, json!({})));
    let both = [
        ("Ingress/shop", NotEncrypted, "PlainRouter"),
        ("TLSOption", Proven, "AsksForTls13"),
    ];
    tells(&world, &both);
}

#[test]
fn what_the_mesh_decides_and_what_nobody_judges_is_said_by_kind() {
    let mut world = asking();
    let peers = |name, spec| object("security.istio.io/v1", "PeerAuthentication", name, spec);
    let strict = json!({ "mtls": { "mode": "STRICT" } });
    publish(&mut world, &peers("a", strict.clone()));
    publish(&mut world, &peers("b", strict));
    publish(&mut world, &peers("c", json!({})));
    publish(
        &mut world,
        &object(
            "networking.istio.io/v1alpha3",
            "EnvoyFilter",
            "own",
            json!({}),
        ),
    );
    publish(
        &mut world,
        &object(
            "networking.istio.io/v1",
            "DestinationRule",
            "calls",
            json!({ "host": "a" }),
        ),
    );
    let server = json!({ "port": { "protocol": "HTTPS" }, "tls": { "mode": "SIMPLE", "minProtocolVersion": "TLSV1_3" } });
    publish(
        &mut world,
        &object(
            "networking.istio.io/v1",
            "Gateway",
            "edge",
            json!({ "servers": [server] }),
        ),
    );
    let expected = [
        ("EnvoyFilter", NotJudged, "NotJudged"),
        ("Gateway.networking.istio.io", Proven, "AsksForTls13"),
        ("PeerAuthentication", NotJudged, "VersionNotJudged"),
        ("PeerAuthentication/c", Unknown, "Inherited"),
    ];
    tells(&world, &expected);
}

#[test]
fn what_changes_nothing_that_decides_plans_nothing_anew() {
    let mut world = asking();
    let mut published = gateway(json!([https("a")]));
    assert!(!publish(&mut world, &published).0.is_empty());
    published["metadata"]["labels"] = json!({ "other": "label" });
    published["metadata"]["generation"] = json!(7);
    published["spec"]["listeners"][0]["port"] = json!(8443);
    assert!(publish(&mut world, &published).0.is_empty());
    // Nor what is published where nobody is enrolled.
    published["metadata"]["namespace"] = json!("elsewhere");
    assert!(publish(&mut world, &published).0.is_empty());
}
