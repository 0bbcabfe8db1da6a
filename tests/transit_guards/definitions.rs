//! The kinds of others, as their own definitions have them: names, versions, and of their schemas the fields that are read.

use serde_json::{Value, json};

/// A kind, its group and the versions in which it is served; the first is stored.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub group: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub versions: &'static [&'static str],
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";
const ISTIO: &str = "networking.istio.io";
const TRAEFIK: &str = "traefik.io";

const fn of(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    versions: &'static [&'static str],
) -> Kind {
    Kind {
        group,
        kind,
        plural,
        versions,
    }
}

pub const GATEWAY: Kind = of(GATEWAY_API, "Gateway", "gateways", &["v1", "v1beta1"]);
pub const LISTENER_SET: Kind = of(GATEWAY_API, "ListenerSet", "listenersets", &["v1"]);
pub const X_LISTENER_SET: Kind = of(
    "gateway.networking.x-k8s.io",
    "XListenerSet",
    "xlistenersets",
    &["v1alpha1"],
);
pub const UDP_ROUTE: Kind = of(GATEWAY_API, "UDPRoute", "udproutes", &["v1alpha2"]);
pub const HTTP_ROUTE: Kind = of(GATEWAY_API, "HTTPRoute", "httproutes", &["v1", "v1beta1"]);
pub const CLIENT_TRAFFIC_POLICY: Kind = of(
    "gateway.envoyproxy.io",
    "ClientTrafficPolicy",
    "clienttrafficpolicies",
    &["v1alpha1"],
);
pub const INGRESS: Kind = of("networking.k8s.io", "Ingress", "ingresses", &["v1"]);
pub const TLS_OPTION: Kind = of(TRAEFIK, "TLSOption", "tlsoptions", &["v1alpha1"]);
pub const INGRESS_ROUTE: Kind = of(TRAEFIK, "IngressRoute", "ingressroutes", &["v1alpha1"]);
pub const INGRESS_ROUTE_TCP: Kind = of(
    TRAEFIK,
    "IngressRouteTCP",
    "ingressroutetcps",
    &["v1alpha1"],
);
pub const INGRESS_ROUTE_UDP: Kind = of(
    TRAEFIK,
    "IngressRouteUDP",
    "ingressrouteudps",
    &["v1alpha1"],
);
/// The group of Traefik 2.
pub const OLD_INGRESS_ROUTE: Kind = of(
    "traefik.containo.us",
    "IngressRoute",
    "ingressroutes",
    &["v1alpha1"],
);
pub const ISTIO_GATEWAY: Kind = of(ISTIO, "Gateway", "gateways", &["v1", "v1beta1", "v1alpha3"]);
pub const DESTINATION_RULE: Kind = of(
    ISTIO,
    "DestinationRule",
    "destinationrules",
    &["v1", "v1beta1", "v1alpha3"],
);
pub const PEER_AUTHENTICATION: Kind = of(
    "security.istio.io",
    "PeerAuthentication",
    "peerauthentications",
    &["v1", "v1beta1"],
);
pub const HTTP_PROXY: Kind = of("projectcontour.io", "HTTPProxy", "httpproxies", &["v1"]);

/// Every kind that needs a definition.
pub const FOREIGN: [Kind; 15] = [
    GATEWAY,
    LISTENER_SET,
    X_LISTENER_SET,
    UDP_ROUTE,
    HTTP_ROUTE,
    CLIENT_TRAFFIC_POLICY,
    TLS_OPTION,
    INGRESS_ROUTE,
    INGRESS_ROUTE_TCP,
    INGRESS_ROUTE_UDP,
    OLD_INGRESS_ROUTE,
    ISTIO_GATEWAY,
    DESTINATION_RULE,
    PEER_AUTHENTICATION,
    HTTP_PROXY,
];

impl Kind {
    pub fn definition(&self) -> Value {
        let schema = json!({ "type": "object", "properties": {
            "spec": self.spec(), "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        } });
        let versions: Vec<Value> = self
            .versions
            .iter()
            .enumerate()
            .map(|(place, name)| {
                json!({
                    "name": name, "served": true, "storage": place == 0,
                    "schema": { "openAPIV3Schema": schema }, "subresources": { "status": {} },
                })
            })
            .collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{}.{}", self.plural, self.group),
                "annotations": { "api-approved.kubernetes.io": "unapproved, a copy for tests" },
            },
            "spec": {
                "group": self.group, "scope": "Namespaced", "versions": versions,
                "names": { "kind": self.kind, "listKind": format!("{}List", self.kind), "plural": self.plural, "singular": self.kind.to_lowercase() },
            },
        })
    }

    fn spec(&self) -> Value {
        match self.kind {
            "Gateway" if self.group == ISTIO => object(json!({
                "selector": { "type": "object", "additionalProperties": text() },
                "servers": array(object(json!({
                    "name": text(), "hosts": array(text()),
                    "port": object(json!({ "number": integer(), "name": text(), "protocol": text() })),
                    "tls": object(json!({
                        "credentialName": text(), "httpsRedirect": flag(),
                        "mode": one_of(&["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"]),
                        "minProtocolVersion": one_of(&["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]),
                        "maxProtocolVersion": one_of(&["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]),
                    })),
                }))),
            })),
            "Gateway" | "ListenerSet" | "XListenerSet" => object(json!({
                "gatewayClassName": text(),
                "parentRef": object(json!({ "name": text(), "namespace": text() })),
                "listeners": array(object(json!({
                    "name": text(), "port": integer(), "protocol": text(), "hostname": text(),
                    "tls": object(json!({ "mode": one_of(&["Terminate", "Passthrough"]) })),
                }))),
            })),
            "ClientTrafficPolicy" => object(json!({
                "targetRefs": array(object(json!({ "group": text(), "kind": text(), "name": text(), "sectionName": text() }))),
                "tls": object(json!({
                    "minVersion": one_of(&["Auto", "1.0", "1.1", "1.2", "1.3"]),
                    "maxVersion": one_of(&["Auto", "1.0", "1.1", "1.2", "1.3"]),
                })),
            })),
            "TLSOption" => {
                object(json!({ "minVersion": text(), "maxVersion": text(), "sniStrict": flag() }))
            }
            "IngressRoute" | "IngressRouteTCP" | "IngressRouteUDP" => object(json!({
                "entryPoints": array(text()),
                "parentRefs": array(object(json!({ "name": text(), "namespace": text() }))),
                "routes": array(object(json!({ "match": text(), "kind": text() }))),
                "tls": object(json!({
                    "secretName": text(), "passthrough": flag(),
                    "options": object(json!({ "name": text(), "namespace": text() })),
                })),
            })),
            "DestinationRule" => {
                let tls = object(
                    json!({ "mode": one_of(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]), "sni": text() }),
                );
                let policy = object(json!({
                    "tls": tls,
                    "portLevelSettings": array(object(json!({ "port": object(json!({ "number": integer() })), "tls": tls }))),
                }));
                object(json!({
                    "host": text(), "trafficPolicy": policy,
                    "subsets": array(object(json!({ "name": text(), "trafficPolicy": policy }))),
                }))
            }
            "PeerAuthentication" => {
                let mutual = object(
                    json!({ "mode": one_of(&["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]) }),
                );
                object(
                    json!({ "mtls": mutual, "portLevelMtls": { "type": "object", "additionalProperties": mutual } }),
                )
            }
            "HTTPProxy" => object(json!({
                "virtualhost": object(json!({
                    "fqdn": text(),
                    "tls": object(json!({
                        "secretName": text(), "passthrough": flag(),
                        "minimumProtocolVersion": text(), "maximumProtocolVersion": text(),
                    })),
                })),
                "routes": array(object(json!({ "permitInsecure": flag(), "conditions": array(object(json!({ "prefix": text() }))) }))),
            })),
            "UDPRoute" | "HTTPRoute" => object(json!({
                "parentRefs": array(object(json!({ "name": text(), "namespace": text(), "sectionName": text() }))),
            })),
            other => panic!("no schema of {other}"),
        }
    }

    /// The collection in a namespace, in one of the versions.
    pub fn all(&self, version: &str, namespace: &str) -> String {
        format!(
            "/apis/{}/{version}/namespaces/{namespace}/{}",
            self.group, self.plural
        )
    }

    /// An object in the stored version.
    pub fn one(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.all(self.versions[0], namespace))
    }

    pub fn object(&self, version: &str, namespace: &str, name: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": format!("{}/{version}", self.group), "kind": self.kind,
            "metadata": { "name": name, "namespace": namespace }, "spec": spec,
        })
    }
}

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn one_of(values: &[&str]) -> Value {
    json!({ "type": "string", "enum": values })
}

fn integer() -> Value {
    json!({ "type": "integer" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}
