//! The list of cases: an object, and what is wrong with it. Both the guards and the judge are tried with each.

use covenant::model::encryption::published::{Fault, Reads};
use serde_json::{Value, json};

use crate::definitions::*;

/// An object to be published.
pub struct Case {
    pub kind: Kind,
    pub reads: Reads,
    /// Names the object as well, so it is made of lower-case letters and dashes.
    pub name: &'static str,
    pub annotations: Value,
    pub spec: Value,
    /// What is wrong with it; nothing where it must be let through.
    pub fault: Option<Fault>,
}

impl Case {
    pub fn object(&self, version: &str, namespace: &str) -> Value {
        let mut object = self.kind.object(version, namespace, self.name, &self.spec);
        // What a namespace is called is part of some names.
        let annotations = self
            .annotations
            .to_string()
            .replace("{namespace}", namespace);
        object["metadata"]["annotations"] = serde_json::from_str(&annotations).unwrap();
        let spec = object["spec"].to_string().replace("{namespace}", namespace);
        object["spec"] = serde_json::from_str(&spec).unwrap();
        object
    }
}

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = gateways();
    cases.extend(envoy());
    cases.extend(ingresses());
    cases.extend(traefik());
    cases.extend(istio());
    cases.extend(mesh());
    cases.extend(contour());
    cases
}

fn case(kind: Kind, reads: Reads, name: &'static str, spec: Value, fault: Option<Fault>) -> Case {
    Case {
        kind,
        reads,
        name,
        annotations: json!({}),
        spec,
        fault,
    }
}

fn listener(name: &str, protocol: &str) -> Value {
    json!({ "name": name, "port": 8443, "protocol": protocol })
}

fn gateways() -> Vec<Case> {
    let of = |kind, name, listeners: Value, fault| {
        let spec = json!({ "gatewayClassName": "eg", "listeners": listeners });
        case(kind, Reads::Listeners, name, spec, fault)
    };
    let passed_on =
        json!({ "name": "a", "port": 8443, "protocol": "TLS", "tls": { "mode": "Passthrough" } });
    let plain = Some(Fault::PlainListener);
    vec![
        of(GATEWAY, "https", json!([listener("a", "HTTPS")]), None),
        of(
            GATEWAY,
            "tls",
            json!([listener("a", "TLS"), listener("b", "HTTPS")]),
            None,
        ),
        of(GATEWAY, "passthrough", json!([passed_on]), None),
        of(GATEWAY, "no-listener-yet", json!([]), None),
        of(GATEWAY, "http", json!([listener("a", "HTTP")]), plain),
        of(
            GATEWAY,
            "http-beside-https",
            json!([listener("a", "HTTPS"), listener("b", "HTTP")]),
            plain,
        ),
        of(GATEWAY, "tcp", json!([listener("a", "TCP")]), plain),
        of(GATEWAY, "udp", json!([listener("a", "UDP")]), plain),
        of(
            GATEWAY,
            "lower-case",
            json!([listener("a", "https")]),
            plain,
        ),
        of(
            GATEWAY,
            "protocol-of-somebodys-own",
            json!([listener("a", "example.com/HTTPS")]),
            plain,
        ),
        of(
            GATEWAY,
            "no-protocol",
            json!([{ "name": "a", "port": 80 }]),
            plain,
        ),
        of(
            LISTENER_SET,
            "set-https",
            json!([listener("a", "HTTPS")]),
            None,
        ),
        of(
            LISTENER_SET,
            "set-http",
            json!([listener("a", "HTTP")]),
            plain,
        ),
        of(
            X_LISTENER_SET,
            "x-set-https",
            json!([listener("a", "HTTPS")]),
            None,
        ),
        of(
            X_LISTENER_SET,
            "x-set-http",
            json!([listener("a", "HTTP")]),
            plain,
        ),
        case(
            UDP_ROUTE,
            Reads::Datagrams,
            "datagrams",
            json!({}),
            Some(Fault::PlainRoute),
        ),
        case(
            HTTP_ROUTE,
            Reads::Route,
            "route",
            json!({ "parentRefs": [{ "name": "shared", "namespace": "edge" }] }),
            None,
        ),
    ]
}

fn envoy() -> Vec<Case> {
    let target = json!([{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "a", "sectionName": "b" }]);
    let of = |name, tls: Value, fault| {
        let mut spec = json!({ "targetRefs": target });
        if !tls.is_null() {
            spec["tls"] = tls;
        }
        case(
            CLIENT_TRAFFIC_POLICY,
            Reads::ClientTrafficPolicy,
            name,
            spec,
            fault,
        )
    };
    let below = Some(Fault::BelowMinimum);
    vec![
        of("policy", json!({ "minVersion": "1.3" }), None),
        of(
            "policy-with-maximum",
            json!({ "minVersion": "1.3", "maxVersion": "1.3" }),
            None,
        ),
        of(
            "policy-with-auto",
            json!({ "minVersion": "1.3", "maxVersion": "Auto" }),
            None,
        ),
        of("policy-at-two", json!({ "minVersion": "1.2" }), below),
        of("policy-at-auto", json!({ "minVersion": "Auto" }), below),
        of("policy-without-minimum", json!({}), below),
        of("policy-without-tls", Value::Null, below),
        of(
            "policy-that-ends",
            json!({ "minVersion": "1.3", "maxVersion": "1.2" }),
            Some(Fault::MaximumBelow),
        ),
    ]
}

fn rule(host: &str) -> Value {
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "app", "port": { "number": 80 } } } });
    let mut rule = json!({ "http": { "paths": [path] } });
    if !host.is_empty() {
        rule["host"] = json!(host);
    }
    rule
}

fn ingresses() -> Vec<Case> {
    let of = |name, annotations: Value, spec: Value, fault| Case {
        annotations,
        ..case(INGRESS, Reads::Ingress, name, spec, fault)
    };
    let for_hosts = |hosts: &[&str], covered: Value| {
        let rules: Vec<Value> = hosts.iter().map(|host| rule(host)).collect();
        json!({ "rules": rules, "tls": covered })
    };
    let covered = |names: &[&str]| json!([{ "hosts": names, "secretName": "certificate" }]);
    let none = || json!({});
    let plain = Some(Fault::PlainHost);
    let backend = json!({ "service": { "name": "app", "port": { "number": 80 } } });
    let good = for_hosts(&["a.acme.example"], covered(&["a.acme.example"]));
    let with = |field: &str, value: Value| {
        let mut spec = good.clone();
        spec[field] = value;
        spec
    };
    let traefik = |tls: &str, options: &str| json!({ "traefik.ingress.kubernetes.io/router.tls": tls, "traefik.ingress.kubernetes.io/router.tls.options": options });
    let class = |name: &str| with("ingressClassName", json!(name));
    let unowned = Some(Fault::NoOwnOptions);
    vec![
        of("covered", none(), good.clone(), None),
        of(
            "covered-by-two",
            none(),
            for_hosts(
                &["a.acme.example", "b.acme.example"],
                json!([{ "hosts": ["a.acme.example"] }, { "hosts": ["b.acme.example"] }]),
            ),
            None,
        ),
        of(
            "covered-by-wildcard",
            none(),
            for_hosts(&["a.acme.example"], covered(&["*.acme.example"])),
            None,
        ),
        of(
            "wildcard-covered",
            none(),
            for_hosts(&["*.acme.example"], covered(&["*.acme.example"])),
            None,
        ),
        of(
            "no-tls",
            none(),
            json!({ "rules": [rule("a.acme.example")] }),
            plain,
        ),
        of(
            "tls-empty",
            none(),
            for_hosts(&["a.acme.example"], json!([])),
            plain,
        ),
        of(
            "tls-without-hosts",
            none(),
            for_hosts(
                &["a.acme.example"],
                json!([{ "secretName": "certificate" }]),
            ),
            plain,
        ),
        of(
            "tls-with-no-host",
            none(),
            for_hosts(&["a.acme.example"], json!([{ "hosts": [] }])),
            plain,
        ),
        of(
            "another-host",
            none(),
            for_hosts(
                &["a.acme.example", "b.acme.example"],
                covered(&["a.acme.example"]),
            ),
            plain,
        ),
        of(
            "two-labels-below",
            none(),
            for_hosts(&["x.a.acme.example"], covered(&["*.acme.example"])),
            plain,
        ),
        of(
            "wildcard-uncovered",
            none(),
            for_hosts(&["*.acme.example"], covered(&["a.acme.example"])),
            plain,
        ),
        of(
            "wildcard-below",
            none(),
            for_hosts(&["*.a.acme.example"], covered(&["*.acme.example"])),
            plain,
        ),
        of(
            "the-parent-itself",
            none(),
            for_hosts(&["acme.example"], covered(&["*.acme.example"])),
            plain,
        ),
        of(
            "one-label",
            none(),
            for_hosts(&["acme"], covered(&["*.acme"])),
            plain,
        ),
        of(
            "every-host",
            none(),
            for_hosts(&[""], covered(&["a.acme.example"])),
            plain,
        ),
        of(
            "default-beside",
            none(),
            with("defaultBackend", backend.clone()),
            Some(Fault::DefaultBackend),
        ),
        of(
            "default-only",
            none(),
            json!({ "defaultBackend": backend }),
            Some(Fault::DefaultBackend),
        ),
        of("nginx", none(), class("nginx"), None),
        of(
            "traefik",
            traefik("true", "{namespace}-modern@kubernetescrd"),
            class("traefik"),
            None,
        ),
        of(
            "traefik-safe-names",
            traefik("true", "{namespace}_modern@kubernetescrd"),
            class("traefik"),
            None,
        ),
        of(
            "traefik-plain-too",
            none(),
            class("traefik"),
            Some(Fault::PlainRouter),
        ),
        of(
            "traefik-in-other-letters",
            none(),
            class("edge-traefik-2"),
            Some(Fault::PlainRouter),
        ),
        of(
            "traefik-by-annotation",
            json!({ "kubernetes.io/ingress.class": "Traefik" }),
            good.clone(),
            Some(Fault::PlainRouter),
        ),
        of(
            "traefik-by-entry-point",
            json!({ "traefik.ingress.kubernetes.io/router.entrypoints": "web" }),
            good.clone(),
            Some(Fault::PlainRouter),
        ),
        of(
            "traefik-false",
            traefik("false", "{namespace}-modern@kubernetescrd"),
            class("traefik"),
            Some(Fault::PlainRouter),
        ),
        of(
            "traefik-without-options",
            json!({ "traefik.ingress.kubernetes.io/router.tls": "true" }),
            class("traefik"),
            unowned,
        ),
        of(
            "traefik-of-elsewhere",
            traefik("true", "elsewhere-old@kubernetescrd"),
            class("traefik"),
            unowned,
        ),
        of(
            "traefik-of-a-file",
            traefik("true", "{namespace}-modern@file"),
            class("traefik"),
            unowned,
        ),
        of("traefik-default", traefik("true", "default"), good, unowned),
    ]
}

fn traefik() -> Vec<Case> {
    use Reads::{Datagrams, IngressRoute, IngressRouteTcp, TlsOption};
    let below = Some(Fault::BelowMinimum);
    let unowned = Some(Fault::NoOwnOptions);
    let plain = Some(Fault::PlainRoute);
    let named =
        |options: Value| json!({ "tls": { "secretName": "certificate", "options": options } });
    let own = || named(json!({ "name": "modern" }));
    vec![
        case(
            TLS_OPTION,
            TlsOption,
            "option",
            json!({ "minVersion": "VersionTLS13" }),
            None,
        ),
        case(
            TLS_OPTION,
            TlsOption,
            "option-with-maximum",
            json!({ "minVersion": "VersionTLS13", "maxVersion": "VersionTLS13" }),
            None,
        ),
        case(
            TLS_OPTION,
            TlsOption,
            "option-at-two",
            json!({ "minVersion": "VersionTLS12" }),
            below,
        ),
        case(
            TLS_OPTION,
            TlsOption,
            "option-in-other-letters",
            json!({ "minVersion": "versiontls13" }),
            below,
        ),
        case(TLS_OPTION, TlsOption, "option-without", json!({}), below),
        case(
            TLS_OPTION,
            TlsOption,
            "option-that-ends",
            json!({ "minVersion": "VersionTLS13", "maxVersion": "VersionTLS12" }),
            Some(Fault::MaximumBelow),
        ),
        case(
            TLS_OPTION,
            TlsOption,
            "default",
            json!({ "minVersion": "VersionTLS13" }),
            Some(Fault::DefaultOption),
        ),
        case(INGRESS_ROUTE, IngressRoute, "route", own(), None),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-here",
            named(json!({ "name": "modern", "namespace": "{namespace}" })),
            None,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-below",
            json!({ "parentRefs": [{ "name": "route" }] }),
            None,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-below-nothing",
            json!({ "parentRefs": [] }),
            plain,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-plain",
            json!({ "entryPoints": ["web"] }),
            plain,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-without-options",
            json!({ "tls": {} }),
            unowned,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-elsewhere",
            named(json!({ "name": "old", "namespace": "elsewhere" })),
            unowned,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-of-a-file",
            named(json!({ "name": "old@file" })),
            unowned,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-default",
            named(json!({ "name": "default" })),
            unowned,
        ),
        case(
            INGRESS_ROUTE,
            IngressRoute,
            "route-not-passed-on",
            json!({ "tls": { "passthrough": true } }),
            unowned,
        ),
        case(OLD_INGRESS_ROUTE, IngressRoute, "old-route", own(), None),
        case(
            OLD_INGRESS_ROUTE,
            IngressRoute,
            "old-route-plain",
            json!({}),
            plain,
        ),
        case(INGRESS_ROUTE_TCP, IngressRouteTcp, "stream", own(), None),
        case(
            INGRESS_ROUTE_TCP,
            IngressRouteTcp,
            "stream-passed-on",
            json!({ "tls": { "passthrough": true } }),
            None,
        ),
        case(
            INGRESS_ROUTE_TCP,
            IngressRouteTcp,
            "stream-not-passed-on",
            json!({ "tls": { "passthrough": false } }),
            unowned,
        ),
        case(
            INGRESS_ROUTE_TCP,
            IngressRouteTcp,
            "stream-plain",
            json!({}),
            plain,
        ),
        case(
            INGRESS_ROUTE_TCP,
            IngressRouteTcp,
            "stream-below",
            json!({ "parentRefs": [{ "name": "stream" }] }),
            plain,
        ),
        case(INGRESS_ROUTE_UDP, Datagrams, "packets", json!({}), plain),
    ]
}

fn istio() -> Vec<Case> {
    let server = |protocol: &str, tls: Value| {
        let mut server = json!({ "port": { "number": 8443, "name": "port", "protocol": protocol }, "hosts": ["a.acme.example"] });
        if !tls.is_null() {
            server["tls"] = tls;
        }
        server
    };
    let of = |name, servers: &[Value], fault| {
        case(
            ISTIO_GATEWAY,
            Reads::IstioGateway,
            name,
            json!({ "servers": servers }),
            fault,
        )
    };
    let tls = |mode: &str| json!({ "mode": mode, "minProtocolVersion": "TLSV1_3" });
    let plain = Some(Fault::PlainListener);
    let below = Some(Fault::BelowMinimum);
    vec![
        of("simple", &[server("HTTPS", tls("SIMPLE"))], None),
        of(
            "mutual",
            &[
                server("TLS", tls("MUTUAL")),
                server("HTTPS", tls("ISTIO_MUTUAL")),
            ],
            None,
        ),
        of(
            "optional-mutual",
            &[server("HTTPS", tls("OPTIONAL_MUTUAL"))],
            None,
        ),
        of(
            "passed-on",
            &[
                server("TLS", json!({ "mode": "PASSTHROUGH" })),
                server("TLS", json!({ "mode": "AUTO_PASSTHROUGH" })),
            ],
            None,
        ),
        of(
            "with-maximum",
            &[server(
                "HTTPS",
                json!({ "mode": "SIMPLE", "minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLS_AUTO" }),
            )],
            None,
        ),
        of("no-servers", &[], None),
        of("plain", &[server("HTTP", Value::Null)], plain),
        of(
            "plain-beside",
            &[server("HTTPS", tls("SIMPLE")), server("TCP", Value::Null)],
            plain,
        ),
        of(
            "redirects",
            &[server("HTTP", json!({ "httpsRedirect": true }))],
            plain,
        ),
        of("plain-with-tls", &[server("HTTP2", tls("SIMPLE"))], plain),
        of("no-tls", &[server("HTTPS", Value::Null)], plain),
        of("lower-case", &[server("https", tls("SIMPLE"))], plain),
        of(
            "no-mode",
            &[server("HTTPS", json!({ "minProtocolVersion": "TLSV1_3" }))],
            Some(Fault::NoMode),
        ),
        of(
            "nothing-said",
            &[server("HTTPS", json!({}))],
            Some(Fault::NoMode),
        ),
        of(
            "at-two",
            &[server(
                "HTTPS",
                json!({ "mode": "SIMPLE", "minProtocolVersion": "TLSV1_2" }),
            )],
            below,
        ),
        of(
            "at-auto",
            &[server(
                "HTTPS",
                json!({ "mode": "SIMPLE", "minProtocolVersion": "TLS_AUTO" }),
            )],
            below,
        ),
        of(
            "no-minimum",
            &[
                server("HTTPS", tls("SIMPLE")),
                server("HTTPS", json!({ "mode": "SIMPLE" })),
            ],
            below,
        ),
        of(
            "ends",
            &[server(
                "HTTPS",
                json!({ "mode": "SIMPLE", "minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLSV1_2" }),
            )],
            Some(Fault::MaximumBelow),
        ),
    ]
}

fn mesh() -> Vec<Case> {
    let rule = |name, spec: Value, fault| {
        case(DESTINATION_RULE, Reads::DestinationRule, name, spec, fault)
    };
    let peers = |name, spec: Value, fault| {
        case(
            PEER_AUTHENTICATION,
            Reads::PeerAuthentication,
            name,
            spec,
            fault,
        )
    };
    let mode = |mode: &str| json!({ "tls": { "mode": mode } });
    let out = Some(Fault::PlainUpstream);
    let plain = Some(Fault::PlainMesh);
    vec![
        rule("nothing-of-tls", json!({ "host": "a" }), None),
        rule(
            "mutual",
            json!({ "host": "a", "trafficPolicy": mode("ISTIO_MUTUAL"), "subsets": [{ "name": "b", "trafficPolicy": mode("SIMPLE") }, { "name": "c" }] }),
            None,
        ),
        rule(
            "port-mutual",
            json!({ "host": "a", "trafficPolicy": { "portLevelSettings": [{ "port": { "number": 1 }, "tls": { "mode": "MUTUAL" } }, { "port": { "number": 2 } }] } }),
            None,
        ),
        rule(
            "off",
            json!({ "host": "a", "trafficPolicy": mode("DISABLE") }),
            out,
        ),
        rule(
            "off-unsaid",
            json!({ "host": "a", "trafficPolicy": { "tls": {} } }),
            out,
        ),
        rule(
            "off-for-a-port",
            json!({ "host": "a", "trafficPolicy": { "tls": { "mode": "ISTIO_MUTUAL" }, "portLevelSettings": [{ "port": { "number": 1 }, "tls": { "mode": "DISABLE" } }] } }),
            out,
        ),
        rule(
            "off-for-a-subset",
            json!({ "host": "a", "subsets": [{ "name": "b", "trafficPolicy": mode("DISABLE") }] }),
            out,
        ),
        rule(
            "off-for-a-port-of-a-subset",
            json!({ "host": "a", "subsets": [{ "name": "b", "trafficPolicy": { "portLevelSettings": [{ "tls": { "sni": "b" } }] } }] }),
            out,
        ),
        peers(
            "strict",
            json!({ "mtls": { "mode": "STRICT" }, "portLevelMtls": { "8080": { "mode": "STRICT" } } }),
            None,
        ),
        peers("inherited", json!({}), None),
        peers(
            "unset",
            json!({ "mtls": { "mode": "UNSET" }, "portLevelMtls": { "8080": { "mode": "UNSET" } } }),
            None,
        ),
        peers(
            "permissive",
            json!({ "mtls": { "mode": "PERMISSIVE" } }),
            plain,
        ),
        peers("disabled", json!({ "mtls": { "mode": "DISABLE" } }), plain),
        peers(
            "permissive-port",
            json!({ "mtls": { "mode": "STRICT" }, "portLevelMtls": { "8080": { "mode": "STRICT" }, "8081": { "mode": "PERMISSIVE" } } }),
            plain,
        ),
    ]
}

fn contour() -> Vec<Case> {
    let of = |name, spec: Value, fault| case(HTTP_PROXY, Reads::HttpProxy, name, spec, fault);
    let host = |tls: Value| json!({ "virtualhost": { "fqdn": "a.acme.example", "tls": tls }, "routes": [{}] });
    vec![
        of(
            "proxy",
            host(json!({ "secretName": "certificate", "minimumProtocolVersion": "1.3" })),
            None,
        ),
        of(
            "proxy-passed-on",
            host(json!({ "passthrough": true })),
            None,
        ),
        of(
            "proxy-included",
            json!({ "routes": [{ "permitInsecure": false }] }),
            None,
        ),
        of(
            "proxy-plain",
            json!({ "virtualhost": { "fqdn": "a.acme.example" } }),
            Some(Fault::PlainHost),
        ),
        of(
            "proxy-at-two",
            host(json!({ "secretName": "certificate", "minimumProtocolVersion": "1.2" })),
            Some(Fault::BelowMinimum),
        ),
        of(
            "proxy-without",
            host(json!({ "secretName": "certificate" })),
            Some(Fault::BelowMinimum),
        ),
        of(
            "proxy-that-ends",
            host(json!({ "minimumProtocolVersion": "1.3", "maximumProtocolVersion": "1.2" })),
            Some(Fault::MaximumBelow),
        ),
        of(
            "included-insecure",
            json!({ "routes": [{ "permitInsecure": true }] }),
            Some(Fault::PlainRoute),
        ),
    ]
}
