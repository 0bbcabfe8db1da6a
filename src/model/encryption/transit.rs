//! The table of what is published: each kind, by which controller it is carried out, and what of it is judged.
//!
//! docs/encryption-transit.md prints the same rows, and a test compares them. May not: judge. What is not judged says why, and
//! the posture names it where it is used.

use super::drivers::Checked;
use super::published::Reads;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// API groups, the newest first; empty for the core group.
    pub groups: &'static [&'static str],
    /// The kind.
    pub kind: &'static str,
    /// Its plural.
    pub plural: &'static str,
    /// Who carries it out; empty for whoever does.
    pub controller: &'static str,
    /// What of it decides.
    pub field: &'static str,
    /// Whether it is judged.
    pub judged: Judged,
    /// Where that was read.
    pub source: &'static str,
    /// How far it was checked.
    pub checked: Checked,
}

/// Whether something is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is, so.
    By(Reads),
    /// It is not, and why. A kind of its own is looked for all the same.
    Not(&'static str),
    /// It is not, and why; the kind is another row's, or too many others'.
    Unseen(&'static str),
}

/// A kind whose objects are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedKind {
    /// API group.
    pub group: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Its plural.
    pub plural: &'static str,
    /// How it is read.
    pub reads: Looked,
}

/// What is looked at in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Looked {
    /// What it publishes.
    At(Reads),
    /// To which controller a class belongs.
    AtController,
    /// That it is there, and why no more.
    No(&'static str),
}

impl PublishedKind {
    /// The name of its definition.
    #[must_use]
    pub fn definition(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// Whether the API server serves it by itself.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.group == "networking.k8s.io"
    }
}

/// Classes say which controller carries out what names them.
const CLASSES: [PublishedKind; 2] = [
    PublishedKind {
        group: "gateway.networking.k8s.io",
        kind: "GatewayClass",
        plural: "gatewayclasses",
        reads: Looked::AtController,
    },
    PublishedKind {
        group: "networking.k8s.io",
        kind: "IngressClass",
        plural: "ingressclasses",
        reads: Looked::AtController,
    },
];

/// Every kind whose objects are looked for: those of the table, each in each of its groups, and the classes.
pub fn kinds() -> impl Iterator<Item = PublishedKind> {
    let of_table = TABLE.iter().flat_map(|row| {
        let reads = match row.judged {
            Judged::By(reads) => Some(Looked::At(reads)),
            Judged::Not(why) => Some(Looked::No(why)),
            Judged::Unseen(_) => None,
        };
        let in_group = move |group: &&'static str| {
            Some(PublishedKind {
                group,
                kind: row.kind,
                plural: row.plural,
                reads: reads?,
            })
        };
        row.groups.iter().filter_map(in_group)
    });
    of_table.chain(CLASSES)
}

const GATEWAY_API: &[&str] = &["gateway.networking.k8s.io"];
const ENVOY: &[&str] = &["gateway.envoyproxy.io"];
const INGRESS: &[&str] = &["networking.k8s.io"];
const TRAEFIK: &[&str] = &["traefik.io", "traefik.containo.us"];
const ISTIO: &[&str] = &["networking.istio.io"];
const OF_THE_LISTENER: &str = "gateway-api.sigs.k8s.io, concepts: a route attaches to listeners";

const fn row(groups: &'static [&'static str], kind: &'static str, plural: &'static str) -> Row {
    Row {
        groups,
        kind,
        plural,
        controller: "",
        field: "",
        judged: Judged::Unseen(""),
        source: "",
        checked: Checked::Manual,
    }
}

const fn ingress_of(controller: &'static str, field: &'static str, why: &'static str) -> Row {
    Row {
        controller,
        field,
        judged: Judged::Unseen(why),
        source: "the controller's manual",
        checked: Checked::Not,
        ..row(INGRESS, "Ingress", "ingresses")
    }
}

/// Every row.
pub const TABLE: [Row; 34] = [
    Row {
        field: "spec.listeners[].protocol",
        judged: Judged::By(Reads::Listeners),
        source: "kubernetes-sigs/gateway-api apis/v1/gateway_types.go",
        checked: Checked::Sources,
        ..row(GATEWAY_API, "Gateway", "gateways")
    },
    Row {
        field: "spec.listeners[].protocol",
        judged: Judged::By(Reads::Listeners),
        source: "gateway-api.sigs.k8s.io/reference/api-types/listenerset",
        ..row(GATEWAY_API, "ListenerSet", "listenersets")
    },
    Row {
        field: "spec.listeners[].protocol",
        judged: Judged::By(Reads::Listeners),
        source: "gateway-api.sigs.k8s.io/geps/gep-1713",
        ..row(
            &["gateway.networking.x-k8s.io"],
            "XListenerSet",
            "xlistenersets",
        )
    },
    Row {
        field: "spec.parentRefs",
        judged: Judged::By(Reads::Route),
        source: OF_THE_LISTENER,
        ..row(GATEWAY_API, "HTTPRoute", "httproutes")
    },
    Row {
        field: "spec.parentRefs",
        judged: Judged::By(Reads::Route),
        source: OF_THE_LISTENER,
        ..row(GATEWAY_API, "GRPCRoute", "grpcroutes")
    },
    Row {
        field: "spec.parentRefs",
        judged: Judged::By(Reads::Route),
        source: OF_THE_LISTENER,
        ..row(GATEWAY_API, "TLSRoute", "tlsroutes")
    },
    Row {
        field: "spec.parentRefs",
        judged: Judged::By(Reads::Route),
        source: OF_THE_LISTENER,
        ..row(GATEWAY_API, "TCPRoute", "tcproutes")
    },
    Row {
        field: "the kind",
        judged: Judged::By(Reads::Datagrams),
        source: OF_THE_LISTENER,
        ..row(GATEWAY_API, "UDPRoute", "udproutes")
    },
    Row {
        controller: "Envoy Gateway",
        field: "spec.tls.minVersion, maxVersion",
        judged: Judged::By(Reads::ClientTrafficPolicy),
        source: "envoyproxy/gateway api/v1alpha1/tls_types.go",
        checked: Checked::Sources,
        ..row(ENVOY, "ClientTrafficPolicy", "clienttrafficpolicies")
    },
    Row {
        controller: "Envoy Gateway",
        field: "spec.jsonPatches",
        judged: Judged::Not("it rewrites what the gateway is configured with"),
        source: "gateway.envoyproxy.io, EnvoyPatchPolicy",
        checked: Checked::Not,
        ..row(ENVOY, "EnvoyPatchPolicy", "envoypatchpolicies")
    },
    Row {
        field: "spec.tls[].hosts, rules[].host, defaultBackend",
        judged: Judged::By(Reads::Ingress),
        source: "Kubernetes API reference, networking.k8s.io/v1 Ingress",
        ..row(INGRESS, "Ingress", "ingresses")
    },
    Row {
        controller: "Traefik",
        field: "annotations router.tls, router.tls.options",
        judged: Judged::Unseen("judged with the row of every Ingress"),
        source: "doc.traefik.io, Kubernetes Ingress: annotations",
        ..row(INGRESS, "Ingress", "ingresses")
    },
    ingress_of(
        "ingress-nginx",
        "",
        "retired, no fixes since March 2026; it is unsupported",
    ),
    ingress_of(
        "NGINX Ingress Controller",
        "ConfigMap ssl-protocols",
        "the controller's own configuration decides",
    ),
    ingress_of(
        "HAProxy",
        "ConfigMap ssl-options",
        "the controller's own configuration decides",
    ),
    ingress_of(
        "Kong",
        "ssl_protocols",
        "the controller's own configuration decides",
    ),
    ingress_of(
        "cloud load balancers",
        "annotations and policies of each",
        "the provider's own policy decides",
    ),
    Row {
        controller: "Traefik",
        field: "spec.minVersion, maxVersion",
        judged: Judged::By(Reads::TlsOption),
        source: "doc.traefik.io, TLSOption",
        ..row(TRAEFIK, "TLSOption", "tlsoptions")
    },
    Row {
        controller: "Traefik",
        field: "spec.tls.options",
        judged: Judged::By(Reads::IngressRoute),
        source: "doc.traefik.io, IngressRoute",
        ..row(TRAEFIK, "IngressRoute", "ingressroutes")
    },
    Row {
        controller: "Traefik",
        field: "spec.tls.options, passthrough",
        judged: Judged::By(Reads::IngressRouteTcp),
        source: "doc.traefik.io, IngressRouteTCP",
        ..row(TRAEFIK, "IngressRouteTCP", "ingressroutetcps")
    },
    Row {
        controller: "Traefik",
        field: "the kind",
        judged: Judged::By(Reads::Datagrams),
        source: "doc.traefik.io, IngressRouteUDP",
        ..row(TRAEFIK, "IngressRouteUDP", "ingressrouteudps")
    },
    Row {
        controller: "Istio",
        field: "spec.servers[].tls.minProtocolVersion",
        judged: Judged::By(Reads::IstioGateway),
        source: "istio/api networking/v1/gateway.proto",
        checked: Checked::Sources,
        ..row(ISTIO, "Gateway", "gateways")
    },
    Row {
        controller: "Istio",
        field: "spec.trafficPolicy.tls.mode",
        judged: Judged::By(Reads::DestinationRule),
        source: "istio.io, DestinationRule: ClientTLSSettings",
        ..row(ISTIO, "DestinationRule", "destinationrules")
    },
    Row {
        controller: "Istio",
        field: "spec.mtls.mode, portLevelMtls",
        judged: Judged::By(Reads::PeerAuthentication),
        source: "istio.io, PeerAuthentication",
        ..row(
            &["security.istio.io"],
            "PeerAuthentication",
            "peerauthentications",
        )
    },
    Row {
        controller: "Istio",
        field: "spec.configPatches",
        judged: Judged::Not("it rewrites what the proxy is configured with"),
        source: "istio.io, EnvoyFilter",
        checked: Checked::Not,
        ..row(ISTIO, "EnvoyFilter", "envoyfilters")
    },
    Row {
        controller: "Istio",
        field: "MeshConfig meshMTLS.minProtocolVersion",
        judged: Judged::Unseen("the mesh's own configuration decides which version"),
        source: "istio/api mesh/v1alpha1/config.proto",
        checked: Checked::Sources,
        ..row(&[""], "ConfigMap", "configmaps")
    },
    Row {
        controller: "Contour",
        field: "spec.virtualhost.tls, routes[].permitInsecure",
        judged: Judged::By(Reads::HttpProxy),
        source: "projectcontour.io, TLS termination",
        ..row(&["projectcontour.io"], "HTTPProxy", "httpproxies")
    },
    Row {
        controller: "Linkerd",
        field: "spec.proxyProtocol",
        judged: Judged::Not("no field for the version was found"),
        source: "linkerd.io, Server",
        checked: Checked::Not,
        ..row(&["policy.linkerd.io"], "Server", "servers")
    },
    Row {
        controller: "Cilium",
        field: "spec.resources",
        judged: Judged::Not(
            "it configures listeners of its own, and no field for the version was found",
        ),
        source: "docs.cilium.io, CiliumEnvoyConfig",
        checked: Checked::Not,
        ..row(&["cilium.io"], "CiliumEnvoyConfig", "ciliumenvoyconfigs")
    },
    Row {
        controller: "NGINX Ingress Controller",
        field: "spec.tls",
        judged: Judged::Not("the controller's own configuration decides which version"),
        source: "docs.nginx.com, VirtualServer",
        checked: Checked::Not,
        ..row(&["k8s.nginx.org"], "VirtualServer", "virtualservers")
    },
    Row {
        controller: "NGINX Ingress Controller",
        field: "spec.listener",
        judged: Judged::Not("the controller's own configuration decides"),
        source: "docs.nginx.com, TransportServer",
        checked: Checked::Not,
        ..row(&["k8s.nginx.org"], "TransportServer", "transportservers")
    },
    Row {
        controller: "Kong",
        field: "spec.tls",
        judged: Judged::Not("the controller's own configuration decides"),
        source: "developer.konghq.com, TCPIngress",
        checked: Checked::Not,
        ..row(&["configuration.konghq.com"], "TCPIngress", "tcpingresses")
    },
    Row {
        controller: "Kong",
        field: "the kind",
        judged: Judged::Not("the controller's own configuration decides"),
        source: "developer.konghq.com, UDPIngress",
        checked: Checked::Not,
        ..row(&["configuration.konghq.com"], "UDPIngress", "udpingresses")
    },
    Row {
        controller: "the node or a cloud load balancer",
        field: "spec.type LoadBalancer and NodePort, externalIPs",
        judged: Judged::Unseen("the pod itself answers, by what it likes"),
        source: "Kubernetes API reference, v1 Service",
        ..row(&[""], "Service", "services")
    },
];
