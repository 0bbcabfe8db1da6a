//! What is published, as far as encryption in transit concerns it: what of an object takes plain bytes, or less than TLS 1.3.
//!
//! The guards of charts/covenant/guards/transit*.yaml say the same of the same object, and one list of cases tests both. May not:
//! look at another object; the planner puts together what belongs together.

use serde_json::Value;
use thiserror::Error;

/// How an object of a kind is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reads {
    /// `Gateway` of the Gateway API, or a set of listeners for one.
    Listeners,
    /// A route that says nothing of its own: the listeners that it attaches to count.
    Route,
    /// Datagrams, which nobody encrypts.
    Datagrams,
    /// `ClientTrafficPolicy` of Envoy Gateway.
    ClientTrafficPolicy,
    /// `Ingress`.
    Ingress,
    /// `TLSOption` of Traefik.
    TlsOption,
    /// `IngressRoute` of Traefik.
    IngressRoute,
    /// `IngressRouteTCP` of Traefik.
    IngressRouteTcp,
    /// `Gateway` of Istio.
    IstioGateway,
    /// `DestinationRule` of Istio.
    DestinationRule,
    /// `PeerAuthentication` of Istio.
    PeerAuthentication,
    /// `HTTPProxy` of Contour.
    HttpProxy,
}

/// What is wrong with something that is published. The first that an object has is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Fault {
    /// A listener or server without TLS.
    #[error(
        "a listener takes plain bytes, as one that only redirects does: give each the protocol HTTPS or TLS"
    )]
    PlainListener,
    /// A route without TLS.
    #[error("it is served in plain text: publish it with TLS alone")]
    PlainRoute,
    /// A host without a certificate.
    #[error(
        "a host is published without TLS: name it in rules and in the hosts of an entry of tls"
    )]
    PlainHost,
    /// A default backend.
    #[error("a default backend answers for every host: write a rule with its host instead")]
    DefaultBackend,
    /// Traefik serves it in plain text too.
    #[error(
        "Traefik serves it in plain text too: set the annotation traefik.ingress.kubernetes.io/router.tls to \"true\""
    )]
    PlainRouter,
    /// No options of this namespace are named.
    #[error(
        "it names no TLSOption of this namespace: make one with minVersion VersionTLS13 and name it"
    )]
    NoOwnOptions,
    /// The default of the whole cluster.
    #[error("it is the default of the whole cluster: give it another name")]
    DefaultOption,
    /// What becomes of TLS is not said.
    #[error("a server does not say what becomes of TLS: write tls.mode")]
    NoMode,
    /// Less than TLS 1.3 is taken.
    #[error("less than TLS 1.3 is taken: ask for 1.3 as the minimum")]
    BelowMinimum,
    /// TLS 1.3 is not offered.
    #[error("TLS 1.3 is not offered: leave the maximum version out")]
    MaximumBelow,
    /// Calls go out in plain text.
    #[error("calls go out in plain text: write a mode other than DISABLE, or leave tls out")]
    PlainUpstream,
    /// The mesh takes plain text.
    #[error("the mesh takes plain text: write mtls.mode STRICT, for every port too")]
    PlainMesh,
}

impl Fault {
    /// Its name, which the guard's refusal ends with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlainListener => "PlainListener",
            Self::PlainRoute => "PlainRoute",
            Self::PlainHost => "PlainHost",
            Self::DefaultBackend => "DefaultBackend",
            Self::PlainRouter => "PlainRouter",
            Self::NoOwnOptions => "NoOwnOptions",
            Self::DefaultOption => "DefaultOption",
            Self::NoMode => "NoMode",
            Self::BelowMinimum => "BelowMinimum",
            Self::MaximumBelow => "MaximumBelow",
            Self::PlainUpstream => "PlainUpstream",
            Self::PlainMesh => "PlainMesh",
        }
    }
}

/// The first thing that is wrong with an object by itself; nothing where it is as it should be, or another object decides.
#[must_use]
pub fn fault(reads: Reads, object: &Value) -> Option<Fault> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    match reads {
        Reads::Listeners => first([(
            list(spec, "listeners").any(|listener| !is_encrypted(text(listener, "protocol"))),
            Fault::PlainListener,
        )]),
        Reads::Route => None,
        Reads::Datagrams => Some(Fault::PlainRoute),
        Reads::ClientTrafficPolicy => {
            let minimum = text_at(spec, "/tls/minVersion");
            let maximum = text_at(spec, "/tls/maxVersion");
            first([
                (minimum != "1.3", Fault::BelowMinimum),
                (!matches!(maximum, "" | "Auto" | "1.3"), Fault::MaximumBelow),
            ])
        }
        Reads::Ingress => ingress(object, spec),
        Reads::TlsOption => first([
            (
                text_at(object, "/metadata/name") == "default",
                Fault::DefaultOption,
            ),
            (
                text(spec, "minVersion") != "VersionTLS13",
                Fault::BelowMinimum,
            ),
            (
                !matches!(text(spec, "maxVersion"), "" | "VersionTLS13"),
                Fault::MaximumBelow,
            ),
        ]),
        Reads::IngressRoute | Reads::IngressRouteTcp => traefik_route(reads, object, spec),
        Reads::IstioGateway => istio_gateway(spec),
        Reads::DestinationRule => {
            let subsets = list(spec, "subsets").filter_map(|subset| given(subset, "trafficPolicy"));
            let mut policies = given(spec, "trafficPolicy").into_iter().chain(subsets);
            first([(
                !policies.all(|policy| {
                    calls_out_encrypted(policy)
                        && list(policy, "portLevelSettings").all(calls_out_encrypted)
                }),
                Fault::PlainUpstream,
            )])
        }
        Reads::PeerAuthentication => {
            let ports = given(spec, "portLevelMtls").and_then(Value::as_object);
            let mut modes = ports
                .into_iter()
                .flatten()
                .map(|(_, port)| text(port, "mode"));
            let strict = |mode: &str| matches!(mode, "" | "UNSET" | "STRICT");
            first([(
                !strict(text_at(spec, "/mtls/mode")) || !modes.all(strict),
                Fault::PlainMesh,
            )])
        }
        Reads::HttpProxy => http_proxy(spec),
    }
}

fn ingress(object: &Value, spec: &Value) -> Option<Fault> {
    let is_covered = |host: &str| {
        let mut names = list(spec, "tls")
            .flat_map(|entry| list(entry, "hosts"))
            .filter_map(Value::as_str);
        !host.is_empty() && names.any(|name| covers(name, host))
    };
    let traefik = is_traefiks(object);
    first([
        (
            !list(spec, "rules").all(|rule| is_covered(text(rule, "host"))),
            Fault::PlainHost,
        ),
        (
            given(spec, "defaultBackend").is_some(),
            Fault::DefaultBackend,
        ),
        (
            traefik && annotation(object, ROUTER_TLS) != "true",
            Fault::PlainRouter,
        ),
        (
            traefik && own_options(object).is_none(),
            Fault::NoOwnOptions,
        ),
    ])
}

/// Whether a name of a certificate covers a host: the same, or by a wildcard what is one label below.
fn covers(name: &str, host: &str) -> bool {
    if name == host {
        return true;
    }
    let (Some(parent), Some(dot)) = (name.strip_prefix('*'), host.find('.')) else {
        return false;
    };
    name.starts_with("*.") && !host.starts_with("*.") && dot > 0 && host.get(dot..) == Some(parent)
}

const ROUTER_TLS: &str = "traefik.ingress.kubernetes.io/router.tls";
const ROUTER_OPTIONS: &str = "traefik.ingress.kubernetes.io/router.tls.options";

/// Whether an Ingress names Traefik, by its class or an annotation.
pub(super) fn is_traefiks(object: &Value) -> bool {
    let class = annotation(object, "kubernetes.io/ingress.class");
    let annotations = object.pointer("/metadata/annotations");
    let annotations = annotations.and_then(Value::as_object);
    [text_at(object, "/spec/ingressClassName"), class]
        .iter()
        .any(|class| class.to_ascii_lowercase().contains("traefik"))
        || annotations.is_some_and(|annotations| {
            annotations
                .keys()
                .any(|key| key.starts_with("traefik.ingress.kubernetes.io/"))
        })
}

/// The name of the TLSOption of its own namespace that an Ingress names for Traefik. A namespace that begins like its own may
/// be meant: `a-b-c@kubernetescrd` is `b-c` of `a`, and `c` of `a-b`.
pub(super) fn own_options(object: &Value) -> Option<&str> {
    let namespace = text_at(object, "/metadata/namespace");
    let named = annotation(object, ROUTER_OPTIONS).strip_suffix("@kubernetescrd")?;
    named.strip_prefix(namespace)?.strip_prefix(['-', '_'])
}

fn traefik_route(reads: Reads, object: &Value, spec: &Value) -> Option<Fault> {
    if reads == Reads::IngressRoute && list(spec, "parentRefs").next().is_some() {
        return None;
    }
    let Some(tls) = given(spec, "tls") else {
        return Some(Fault::PlainRoute);
    };
    if reads == Reads::IngressRouteTcp && is_true(tls, "passthrough") {
        return None;
    }
    let name = text_at(tls, "/options/name");
    let namespace = text_at(tls, "/options/namespace");
    let is_own = !matches!(name, "" | "default")
        && !name.contains('@')
        && (namespace.is_empty() || namespace == text_at(object, "/metadata/namespace"));
    first([(!is_own, Fault::NoOwnOptions)])
}

fn istio_gateway(spec: &Value) -> Option<Fault> {
    let servers = || list(spec, "servers");
    let settings = || servers().filter_map(|server| given(server, "tls"));
    let opened = || settings().filter(|tls| is_opened(text(tls, "mode")));
    first([
        (
            !servers().all(|server| {
                is_encrypted(text_at(server, "/port/protocol")) && given(server, "tls").is_some()
            }),
            Fault::PlainListener,
        ),
        (
            !settings().all(|tls| {
                let mode = text(tls, "mode");
                is_opened(mode) || matches!(mode, "PASSTHROUGH" | "AUTO_PASSTHROUGH")
            }),
            Fault::NoMode,
        ),
        (
            opened().any(|tls| text(tls, "minProtocolVersion") != "TLSV1_3"),
            Fault::BelowMinimum,
        ),
        (
            opened()
                .any(|tls| !matches!(text(tls, "maxProtocolVersion"), "" | "TLS_AUTO" | "TLSV1_3")),
            Fault::MaximumBelow,
        ),
    ])
}

/// Whether Istio opens TLS in this mode.
pub(super) fn is_opened(mode: &str) -> bool {
    matches!(
        mode,
        "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL" | "OPTIONAL_MUTUAL"
    )
}

fn calls_out_encrypted(settings: &Value) -> bool {
    given(settings, "tls")
        .is_none_or(|tls| matches!(text(tls, "mode"), "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL"))
}

fn http_proxy(spec: &Value) -> Option<Fault> {
    let host = given(spec, "virtualhost");
    let tls = host.and_then(|host| given(host, "tls"));
    let opened = tls.filter(|tls| !is_true(tls, "passthrough"));
    first([
        (host.is_some() && tls.is_none(), Fault::PlainHost),
        (
            list(spec, "routes").any(|route| is_true(route, "permitInsecure")),
            Fault::PlainRoute,
        ),
        (
            opened.is_some_and(|tls| text(tls, "minimumProtocolVersion") != "1.3"),
            Fault::BelowMinimum,
        ),
        (
            opened.is_some_and(|tls| !matches!(text(tls, "maximumProtocolVersion"), "" | "1.3")),
            Fault::MaximumBelow,
        ),
    ])
}

fn first<const N: usize>(found: [(bool, Fault); N]) -> Option<Fault> {
    let found = found.into_iter().find(|(is_so, _)| *is_so);
    found.map(|(_, fault)| fault)
}

pub(super) fn is_encrypted(protocol: &str) -> bool {
    matches!(protocol, "HTTPS" | "TLS")
}

/// A field that is there, and not null.
pub(super) fn given<'a>(value: &'a Value, field: &str) -> Option<&'a Value> {
    value.get(field).filter(|value| !value.is_null())
}

pub(super) fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten()
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    let annotations = object.pointer("/metadata/annotations");
    annotations.map_or("", |annotations| text(annotations, key))
}

pub(super) fn is_true(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool) == Some(true)
}
