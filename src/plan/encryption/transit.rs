//! Whether what is published here speaks TLS 1.3, as far as what is written says so.
//!
//! May not: say what is negotiated; that is what a probe finds out.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::item as made;
use crate::api::{EncryptionItem, EncryptionScope, EncryptionState, MinimumTls};
use crate::model::encryption::published::Reads;
use crate::model::encryption::transit::{Looked, PublishedKind};
use crate::model::{KindState, ObservedPublication, PublishedTarget, Rests, World};

const SCOPE: EncryptionScope = EncryptionScope::InTransit;
/// The controllers whose ways are known, as classes name them.
const ENVOY_GATEWAY: &str = "gateway.envoyproxy.io/gatewayclass-controller";
const TRAEFIK: &str = "traefik.io/ingress-controller";
const INGRESS_NGINX: &str = "k8s.io/ingress-nginx";

/// How something stands.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    state: EncryptionState,
    reason: &'static str,
    evidence: String,
}

fn found(state: EncryptionState, reason: &'static str, evidence: impl Into<String>) -> Found {
    Found {
        state,
        reason,
        evidence: evidence.into(),
    }
}

/// The items of a namespace: what does not comply or is not known, one by one; the rest by kind.
pub(super) fn items(
    world: &World,
    namespace: &str,
    minimum: Option<MinimumTls>,
) -> Vec<EncryptionItem> {
    if minimum.is_none() {
        let evidence = "the baseline says nothing of encryption in transit";
        let found = found(EncryptionState::NotJudged, "NotInBaseline", evidence);
        return vec![item("Gateways", &found, None)];
    }
    let mut items: Vec<EncryptionItem> =
        unseen("CustomResourceDefinition", world.definitions_state())
            .into_iter()
            .collect();
    for (kind, state) in world.published_kinds() {
        items.extend(unseen(&kind.definition(), state));
        items.extend(of_kind(world, namespace, kind));
    }
    items
}

/// What cannot be seen, by its state. What is not served publishes nothing.
fn unseen(name: &str, state: &KindState) -> Option<EncryptionItem> {
    let found = match state {
        KindState::Synced | KindState::NotServed => return None,
        KindState::Syncing => found(
            EncryptionState::Unknown,
            "NotReadYet",
            "the operator has yet to read what there is of it",
        ),
        KindState::NotNamespaced => found(
            EncryptionState::Unknown,
            "NotNamespaced",
            "its objects are in no namespace, other than in its own definition",
        ),
        KindState::Forbidden { message } => found(
            EncryptionState::Unknown,
            "Forbidden",
            format!("the operator may not read it; the rule that it lacks: {message}"),
        ),
        KindState::Failing { message } => found(
            EncryptionState::Unknown,
            "Failing",
            format!("the API server does not list it: {message}"),
        ),
    };
    Some(item(name, &found, None))
}

fn of_kind(world: &World, namespace: &str, kind: PublishedKind) -> Vec<EncryptionItem> {
    let mut items = Vec::new();
    let mut alike: BTreeMap<Found, Vec<&str>> = BTreeMap::new();
    for (name, publication) in world.published_in(kind, namespace) {
        let Some(found) = judge(world, namespace, (kind, name), publication) else {
            continue;
        };
        match found.state {
            EncryptionState::NotEncrypted | EncryptionState::Unknown => {
                let name = format!("{}/{name}", called(kind));
                items.push(item(&name, &found, publication.created));
            }
            _ => alike.entry(found).or_default().push(name),
        }
    }
    for (mut found, names) in alike {
        found.evidence = format!("{} ({}): {}", names.len(), names.join(", "), found.evidence);
        items.push(item(called(kind), &found, None));
    }
    items
}

/// The kind; with its group where another kind is called the same.
fn called(kind: PublishedKind) -> &'static str {
    match (kind.group, kind.kind) {
        ("networking.istio.io", "Gateway") => "Gateway.networking.istio.io",
        (_, name) => name,
    }
}

/// How something published stands; nothing where it publishes nothing by itself and is as it should be.
fn judge(
    world: &World,
    namespace: &str,
    (kind, name): (PublishedKind, &str),
    publication: &ObservedPublication,
) -> Option<Found> {
    if let Some(fault) = publication.fault {
        return Some(found(
            EncryptionState::NotEncrypted,
            fault.as_str(),
            fault.to_string(),
        ));
    }
    let not_judged =
        |reason, evidence: &str| Some(found(EncryptionState::NotJudged, reason, evidence));
    match &publication.rests {
        Rests::Itself => of_itself(kind),
        Rests::Pod => not_judged(
            "OpenedInPod",
            "TLS is passed on to the pod, which opens it by what it likes",
        ),
        Rests::Above => not_judged(
            "JudgedAbove",
            "it publishes nothing itself: what it is below of is judged where that is",
        ),
        Rests::Mesh => Some(found(
            EncryptionState::Unknown,
            "Inherited",
            "whether plain text is let in is inherited; write mtls.mode STRICT",
        )),
        Rests::Policy { class, opened, .. } => {
            let gateway = PublishedTarget {
                namespace: namespace.to_owned(),
                kind: kind.kind.to_owned(),
                name: name.to_owned(),
                section: None,
            };
            of_listeners(world, &gateway, class, opened)
        }
        Rests::Listeners(targets) => targets
            .iter()
            .filter_map(|target| of_parent(world, namespace, target))
            .min(),
        Rests::Controller { class, options } => Some(of_ingress(
            world,
            namespace,
            class.as_deref(),
            options.as_deref(),
        )),
        Rests::Options(options) => Some(of_options(world, namespace, options)),
        Rests::PolicyOf(_) | Rests::ClassOf { .. } => None,
        Rests::Unknown => match kind.reads {
            Looked::No(why) => not_judged("NotJudged", why),
            _ => None,
        },
    }
}

fn of_itself(kind: PublishedKind) -> Option<Found> {
    match kind.reads {
        // It turns nothing off, which is no word about what is on.
        Looked::At(Reads::DestinationRule) => None,
        Looked::At(Reads::PeerAuthentication) => Some(found(
            EncryptionState::NotJudged,
            "VersionNotJudged",
            "the mesh lets no plain text in; by which version is in MeshConfig (meshMTLS.minProtocolVersion), which is not looked at",
        )),
        _ => Some(proven("it asks for TLS 1.3")),
    }
}

fn proven(evidence: &str) -> Found {
    found(EncryptionState::Proven, "AsksForTls13", evidence)
}

/// How listeners at which TLS is opened stand: by the nearest policy of each, where Envoy Gateway carries them out.
fn of_listeners(
    world: &World,
    gateway: &PublishedTarget,
    class: &str,
    opened: &[String],
) -> Option<Found> {
    let policies = policies_of(world, gateway);
    let mut names = Vec::new();
    for listener in opened {
        let is_nearest = |section: &Option<String>| section.as_ref() == Some(listener);
        let nearest = policies.iter().any(|(_, section, _)| is_nearest(section));
        let counts = policies.iter().filter(|(_, section, _)| {
            if nearest {
                is_nearest(section)
            } else {
                section.is_none()
            }
        });
        let mut is_covered = false;
        for (name, _, policy) in counts {
            if policy.fault.is_some() {
                let evidence = format!(
                    "listener {listener}: ClientTrafficPolicy {name} does not ask for TLS 1.3"
                );
                return Some(found(
                    EncryptionState::NotEncrypted,
                    "PolicyBelow",
                    evidence,
                ));
            }
            is_covered = true;
            names.push(*name);
        }
        if !is_covered {
            let evidence = format!(
                "listener {listener} encrypts, and no field of it says by which version. With Envoy Gateway, a ClientTrafficPolicy that targets it with tls.minVersion \"1.3\" does"
            );
            return Some(found(EncryptionState::Unknown, "VersionUnknown", evidence));
        }
    }
    if opened.is_empty() {
        return None;
    }
    names.sort_unstable();
    names.dedup();
    let names = names.join(", ");
    match controller(world, "GatewayClass", Some(class)) {
        // A set of listeners has the class of what it is a set for.
        Some(ENVOY_GATEWAY) => Some(proven(&format!(
            "ClientTrafficPolicy {names} asks for TLS 1.3"
        ))),
        Some(other) => Some(found(
            EncryptionState::Unknown,
            "ControllerNotJudged",
            format!(
                "ClientTrafficPolicy {names} is for Envoy Gateway, and its class {class} is carried out by {other}"
            ),
        )),
        None => Some(found(
            EncryptionState::Unknown,
            "ControllerUnknown",
            format!(
                "ClientTrafficPolicy {names} asks for TLS 1.3; whether Envoy Gateway carries it out is not known"
            ),
        )),
    }
}

/// The policies for a gateway, each with the listener that it is for.
fn policies_of<'a>(
    world: &'a World,
    gateway: &PublishedTarget,
) -> Vec<(&'a str, Option<String>, &'a ObservedPublication)> {
    let kinds = world.published_kinds();
    let kinds = kinds.filter(|(kind, _)| kind.reads == Looked::At(Reads::ClientTrafficPolicy));
    let mut policies = Vec::new();
    for (kind, _) in kinds {
        for (name, policy) in world.published_in(kind, &gateway.namespace) {
            let Rests::PolicyOf(targets) = &policy.rests else {
                continue;
            };
            let of_it = targets.iter().filter(|target| {
                target.kind == gateway.kind && (target.name == gateway.name || target.name == "*")
            });
            policies.extend(of_it.map(|target| (name, target.section.clone(), policy)));
        }
    }
    policies
}

/// How a route stands by something that it attaches to. What is in the same namespace has an item of its own.
fn of_parent(world: &World, namespace: &str, parent: &PublishedTarget) -> Option<Found> {
    let (kind, name) = (
        &parent.kind,
        format!("{}/{}", parent.namespace, parent.name),
    );
    let looked = Looked::At(Reads::Listeners);
    let mut known = world.published_as(looked, &parent.namespace, &parent.name);
    let Some((_, gateway)) = known.find(|(known, _)| known.kind == *kind) else {
        // In a mesh, routes attach to Services.
        return (kind != "Service").then(|| {
            found(
                EncryptionState::Unknown,
                "ParentUnknown",
                format!("it attaches to {kind} {name}, which is not there"),
            )
        });
    };
    let Rests::Policy {
        class,
        opened,
        plain,
    } = &gateway.rests
    else {
        return None;
    };
    let reached: Vec<&String> = match &parent.section {
        Some(section) => plain.iter().filter(|name| *name == section).collect(),
        None => plain.iter().collect(),
    };
    if let Some(listener) = reached.first() {
        let evidence = format!(
            "it attaches to listener {listener} of {kind} {name}, which takes plain bytes: name a listener with TLS alone (sectionName)"
        );
        return Some(found(
            EncryptionState::NotEncrypted,
            "PlainParent",
            evidence,
        ));
    }
    if parent.namespace == namespace {
        return None;
    }
    let of_section: Vec<String> = match &parent.section {
        Some(section) => opened
            .iter()
            .filter(|name| *name == section)
            .cloned()
            .collect(),
        None => opened.clone(),
    };
    let mut found = of_listeners(world, parent, class, &of_section)?;
    found.evidence = format!("by {kind} {name}: {}", found.evidence);
    Some(found)
}

fn of_ingress(world: &World, namespace: &str, class: Option<&str>, options: Option<&str>) -> Found {
    let not_judged = |reason, evidence: String| found(EncryptionState::NotJudged, reason, evidence);
    let named = class.map_or_else(
        || "the default class".to_owned(),
        |class| format!("class {class}"),
    );
    match (controller(world, "IngressClass", class), options) {
        (Some(TRAEFIK), Some(options)) => of_options(world, namespace, options),
        (Some(TRAEFIK), None) => found(
            EncryptionState::NotEncrypted,
            "PlainRouter",
            format!(
                "{named} is Traefik's, which serves it in plain text too, and by the default version: set the annotations router.tls \"true\" and router.tls.options"
            ),
        ),
        (Some(INGRESS_NGINX), _) => not_judged(
            "Unsupported",
            "ingress-nginx is retired and gets no fixes; which version it takes is not judged"
                .to_owned(),
        ),
        (Some(other), _) => not_judged(
            "ControllerNotJudged",
            format!(
                "every host has a certificate; which version {other} takes, and whether plain text is served beside it, is not judged"
            ),
        ),
        (None, _) => not_judged(
            "ControllerUnknown",
            format!("every host has a certificate; who carries out {named} is not known"),
        ),
    }
}

fn of_options(world: &World, namespace: &str, name: &str) -> Found {
    let mut options = world.published_as(Looked::At(Reads::TlsOption), namespace, name);
    match options.next() {
        None => found(
            EncryptionState::Unknown,
            "NoSuchOptions",
            format!("it names TLSOption {name}, which is not in this namespace"),
        ),
        Some((_, option)) if option.fault.is_some() => found(
            EncryptionState::NotEncrypted,
            "OptionsBelow",
            format!("it names TLSOption {name}, which does not ask for TLS 1.3"),
        ),
        Some(_) => proven(&format!(
            "TLSOption {name} asks for TLS 1.3; another route of the same host with other options would undo it"
        )),
    }
}

/// The controller of a class; of the default one where none is named.
fn controller<'a>(world: &'a World, kind: &str, class: Option<&str>) -> Option<&'a str> {
    let kinds = world.published_kinds();
    let mut classes = kinds
        .filter(|(known, _)| known.kind == kind)
        .flat_map(|(known, _)| world.published_in(known, ""));
    classes.find_map(|(name, publication)| match &publication.rests {
        Rests::ClassOf {
            controller,
            is_default,
        } => class
            .map_or(*is_default, |class| class == name)
            .then_some(controller.as_str()),
        _ => None,
    })
}

fn item(name: &str, found: &Found, since: Option<Timestamp>) -> EncryptionItem {
    let state = (found.state, found.reason);
    made(SCOPE, name, state, &found.evidence, since)
}
