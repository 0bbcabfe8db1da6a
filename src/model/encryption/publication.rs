//! Something published, as far as it is kept: what is wrong with it, and what else decides. The rest of an object is dropped.
//!
//! May not: look at another object; hold what changes without anything being decided by it.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::published::{
    Fault, Reads, annotation, fault, given, is_encrypted, is_opened, is_traefiks, is_true, list,
    own_options, text, text_at,
};
use super::transit::Looked;

/// Something that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPublication {
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What is wrong with it by itself.
    pub fault: Option<Fault>,
    /// What else decides.
    pub rests: Rests,
}

/// What a publication without a fault rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rests {
    /// On what it says.
    Itself,
    /// On the pod: TLS is opened there.
    Pod,
    /// On something above it that is judged where it is.
    Above,
    /// On what is set for the namespace or the whole mesh.
    Mesh,
    /// On a ClientTrafficPolicy for each of these listeners, and on the class.
    Policy {
        /// Its class.
        class: String,
        /// Listeners at which TLS is opened.
        opened: Vec<String>,
        /// Listeners that take plain bytes.
        plain: Vec<String>,
    },
    /// Nothing; it is the policy of these.
    PolicyOf(Vec<Target>),
    /// On the listeners that it attaches to.
    Listeners(Vec<Target>),
    /// On the controller of its class, and for Traefik on its options.
    Controller {
        /// Its class; none where the default one is meant.
        class: Option<String>,
        /// The TLSOption of its own namespace that it names for Traefik.
        options: Option<String>,
    },
    /// On a TLSOption of its own namespace.
    Options(String),
    /// Nothing; it is a class of this controller.
    ClassOf {
        /// The controller.
        controller: String,
        /// Whether it is the default.
        is_default: bool,
    },
    /// It is not known.
    Unknown,
}

/// An object that another one names, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub kind: String,
    /// Its name; `*` where labels select it.
    pub name: String,
    /// The listener, where one is named.
    pub section: Option<String>,
}

impl ObservedPublication {
    /// Reads an object.
    #[must_use]
    pub fn read(looked: Looked, object: &DynamicObject) -> Self {
        let created = object.metadata.creation_timestamp.as_ref();
        let created = created.map(|time| time.0);
        let whole = serde_json::json!({
            "metadata": {
                "name": object.metadata.name, "namespace": object.metadata.namespace,
                "annotations": object.metadata.annotations,
            },
            "spec": object.data.get("spec"),
        });
        let (fault, rests) = match looked {
            Looked::At(reads) => (fault(reads, &whole), rests(reads, &whole)),
            Looked::AtController => (None, class(&whole)),
            Looked::No(_) => (None, Rests::Unknown),
        };
        Self {
            created,
            fault,
            rests,
        }
    }
}

fn rests(reads: Reads, object: &Value) -> Rests {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let namespace = text_at(object, "/metadata/namespace");
    match reads {
        Reads::Listeners => listeners(spec),
        Reads::Route => {
            let parents = list(spec, "parentRefs");
            Rests::Listeners(
                parents
                    .map(|parent| target(parent, namespace, "Gateway"))
                    .collect(),
            )
        }
        Reads::ClientTrafficPolicy => policy(spec, namespace),
        Reads::Ingress => {
            let class = [
                text(spec, "ingressClassName"),
                annotation(object, "kubernetes.io/ingress.class"),
            ];
            let class = class.into_iter().find(|class| !class.is_empty());
            let options = own_options(object).filter(|_| is_traefiks(object));
            Rests::Controller {
                class: class.map(str::to_owned),
                options: options.map(str::to_owned),
            }
        }
        Reads::IngressRoute | Reads::IngressRouteTcp => {
            let tls = given(spec, "tls").unwrap_or(&Value::Null);
            if reads == Reads::IngressRoute && list(spec, "parentRefs").next().is_some() {
                Rests::Above
            } else if reads == Reads::IngressRouteTcp && is_true(tls, "passthrough") {
                Rests::Pod
            } else {
                Rests::Options(text_at(tls, "/options/name").to_owned())
            }
        }
        Reads::IstioGateway => {
            let mut modes = list(spec, "servers").map(|server| text_at(server, "/tls/mode"));
            if modes.all(is_opened) {
                Rests::Itself
            } else {
                Rests::Pod
            }
        }
        Reads::PeerAuthentication if text_at(spec, "/mtls/mode") != "STRICT" => Rests::Mesh,
        Reads::HttpProxy => match given(spec, "virtualhost") {
            None => Rests::Above,
            Some(host) if is_true(host.get("tls").unwrap_or(&Value::Null), "passthrough") => {
                Rests::Pod
            }
            Some(_) => Rests::Itself,
        },
        _ => Rests::Itself,
    }
}

fn listeners(spec: &Value) -> Rests {
    let names = |keep: fn(&Value) -> bool| -> Vec<String> {
        let kept = list(spec, "listeners").filter(|listener| keep(listener));
        kept.map(|listener| text(listener, "name").to_owned())
            .collect()
    };
    let plain = names(|listener| !is_encrypted(text(listener, "protocol")));
    let opened = names(|listener| {
        is_encrypted(text(listener, "protocol")) && text_at(listener, "/tls/mode") != "Passthrough"
    });
    if opened.is_empty() && plain.is_empty() && list(spec, "listeners").next().is_some() {
        return Rests::Pod;
    }
    Rests::Policy {
        class: text(spec, "gatewayClassName").to_owned(),
        opened,
        plain,
    }
}

fn policy(spec: &Value, namespace: &str) -> Rests {
    let named = list(spec, "targetRefs").chain(given(spec, "targetRef"));
    let mut targets: Vec<Target> = named
        .map(|named| target(named, namespace, "Gateway"))
        .collect();
    // By labels it may be anything here.
    targets.extend(list(spec, "targetSelectors").map(|selector| Target {
        namespace: namespace.to_owned(),
        kind: text(selector, "kind").to_owned(),
        name: "*".to_owned(),
        section: None,
    }));
    Rests::PolicyOf(targets)
}

fn target(named: &Value, namespace: &str, usually: &str) -> Target {
    let or = |field: &str, otherwise: &str| {
        let given = text(named, field);
        if given.is_empty() { otherwise } else { given }.to_owned()
    };
    Target {
        namespace: or("namespace", namespace),
        kind: or("kind", usually),
        name: text(named, "name").to_owned(),
        section: Some(text(named, "sectionName").to_owned()).filter(|section| !section.is_empty()),
    }
}

fn class(object: &Value) -> Rests {
    let of_gateways = text_at(object, "/spec/controllerName");
    let controller = if of_gateways.is_empty() {
        text_at(object, "/spec/controller")
    } else {
        of_gateways
    };
    Rests::ClassOf {
        controller: controller.to_owned(),
        is_default: annotation(object, "ingressclass.kubernetes.io/is-default-class") == "true",
    }
}
