//! Hosts that a namespace publishes: those of its Ingresses' TLS, and of its Gateways' listeners.
//!
//! May not: pass over a host in silence: one that names no server is told as not tried.

use std::collections::BTreeMap;

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Client, Error};
use serde_json::Value;

use super::address::{Address, HTTPS, server_name};
use super::prober::Target;
use super::{EncryptionError, connect};
use crate::render::{Offers, TlsProbe};

/// Objects asked for at once.
const PAGE: u32 = 500;
/// Stands for any label of a wildcard.
const ANY_LABEL: &str = "covenant-probe";

/// What a namespace publishes.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// To probe.
    pub targets: Vec<Target>,
    /// Not to be probed, and why.
    pub untried: Vec<TlsProbe>,
}

/// Reads what a namespace publishes. With `connect_to`, that is connected to in place of what the names lead to.
pub(super) async fn published(
    client: &Client,
    namespace: &str,
    connect_to: Option<&Address>,
) -> anyhow::Result<Published> {
    let mut found = Found::default();
    for object in list(
        client,
        namespace,
        "networking.k8s.io",
        "Ingress",
        "ingresses",
    )
    .await?
    {
        found.ingress(&object);
    }
    let group = "gateway.networking.k8s.io";
    for object in list(client, namespace, group, "Gateway", "gateways").await? {
        found.gateway(&object);
    }
    Ok(found.published(connect_to))
}

/// Hosts and ports with what publishes them first.
#[derive(Debug, Default)]
struct Found {
    hosts: BTreeMap<(String, u16), String>,
    nameless: Vec<(String, String)>,
}

impl Found {
    fn ingress(&mut self, object: &DynamicObject) {
        let by = format!("Ingress/{}", name_of(object));
        let all = items(&object.data["spec"]["tls"]);
        for tls in all {
            let hosts = items(&tls["hosts"]);
            if hosts.is_empty() {
                let why = "its tls names no host; probe its load balancer with `covenant encryption probe`";
                self.nameless.push((by.clone(), why.to_owned()));
            }
            for host in hosts {
                self.host(host.as_str().unwrap_or_default(), HTTPS, &by);
            }
        }
    }

    fn gateway(&mut self, object: &DynamicObject) {
        let by = format!("Gateway/{}", name_of(object));
        for listener in items(&object.data["spec"]["listeners"]) {
            let named = listener["name"].as_str().unwrap_or("?");
            let protocol = listener["protocol"].as_str().unwrap_or("?");
            let by = format!("{by} listener {named}");
            let port = listener["port"].as_u64();
            let port = port.and_then(|port| u16::try_from(port).ok());
            match (listener["hostname"].as_str(), port) {
                (Some(host), Some(port)) if !host.is_empty() && protocol != "UDP" => {
                    self.host(host, port, &by);
                }
                _ => {
                    let why = format!(
                        "it ({protocol}) names no host and port over TCP; probe its address with `covenant encryption probe`"
                    );
                    self.nameless.push((by, why));
                }
            }
        }
    }

    fn host(&mut self, host: &str, port: u16, by: &str) {
        let known = self.hosts.entry((host.to_owned(), port));
        known.or_insert_with(|| by.to_owned());
    }

    fn published(self, connect_to: Option<&Address>) -> Published {
        let mut published = Published::default();
        for (by, why) in self.nameless {
            let mut probe = TlsProbe::unseen("no host".to_owned(), Offers::NotTried, why);
            probe.published_by = Some(by);
            published.untried.push(probe);
        }
        for ((host, port), by) in self.hosts {
            let asked = match host.strip_prefix("*.") {
                Some(parent) => format!("{ANY_LABEL}.{parent}"),
                None => host.clone(),
            };
            let shown = format!("{host}:{port}");
            match server_name(&asked) {
                Ok(name) => published.targets.push(Target {
                    shown,
                    published_by: Some(by),
                    connect: match connect_to {
                        Some(address) => Address {
                            host: address.host.clone(),
                            port: Some(address.port.unwrap_or(port)),
                        },
                        None => Address {
                            host: asked,
                            port: Some(port),
                        },
                    },
                    name,
                    is_foreign: connect_to.is_none(),
                }),
                Err(error) => {
                    let why = error.to_string();
                    let mut probe = TlsProbe::unseen(shown, Offers::NotTried, why);
                    probe.published_by = Some(by);
                    published.untried.push(probe);
                }
            }
        }
        published
    }
}

fn name_of(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or("?")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The objects of a kind; none where it is not served.
async fn list(
    client: &Client,
    namespace: &str,
    group: &str,
    kind: &'static str,
    plural: &str,
) -> anyhow::Result<Vec<DynamicObject>> {
    let kind_of = GroupVersionKind::gvk(group, "v1", kind);
    let resource = ApiResource::from_gvk_with_plural(&kind_of, plural);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let mut parameters = ListParams::default().limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = match api.list(&parameters).await {
            Ok(page) => page,
            Err(Error::Api(status)) if status.code == 404 => return Ok(objects),
            Err(Error::Api(status)) if status.code == 403 => {
                return Err(EncryptionError::MayNotReadPublished {
                    user: connect::user(client).await?,
                    kind,
                    namespace: namespace.to_owned(),
                }
                .into());
            }
            Err(error) => {
                let error = anyhow::Error::new(error);
                return Err(error.context(format!("{plural} could not be listed to the end")));
            }
        };
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use serde_json::json;

    use super::*;

    fn object(name: &str, spec: Value) -> DynamicObject {
        let object =
            json!({ "metadata": { "name": name, "namespace": "acme-prod" }, "spec": spec });
        serde_json::from_value(object).unwrap()
    }

    fn found() -> Found {
        let mut found = Found::default();
        let tls = json!([{ "hosts": ["a.acme.example", "*.acme.example"] }, { "secretName": "s" }]);
        found.ingress(&object("web", json!({ "tls": tls })));
        found.ingress(&object(
            "again",
            json!({ "tls": [{ "hosts": ["a.acme.example"] }] }),
        ));
        found.ingress(&object(
            "plain",
            json!({ "rules": [{ "host": "b.acme.example" }] }),
        ));
        let listeners = json!([
            { "name": "tls", "protocol": "HTTPS", "port": 8443, "hostname": "a.acme.example" },
            { "name": "web", "protocol": "HTTP", "port": 80, "hostname": "a.acme.example" },
            { "name": "any", "protocol": "TLS", "port": 9443 },
            { "name": "quic", "protocol": "UDP", "port": 443, "hostname": "a.acme.example" },
            { "name": "odd", "protocol": "TLS", "port": 443, "hostname": "a b\u{1b}" },
        ]);
        found.gateway(&object("gw", json!({ "listeners": listeners })));
        found
    }

    #[test]
    fn every_published_host_is_probed_once_or_told_as_not_tried() {
        let published = found().published(None);
        let targets: Vec<String> = published
            .targets
            .iter()
            .map(|it| {
                let by = it.published_by.as_deref().unwrap();
                format!(
                    "{} by {by} at {} as {}",
                    it.shown,
                    it.connect,
                    it.name.to_str()
                )
            })
            .collect();
        assert_eq!(
            targets,
            [
                "*.acme.example:443 by Ingress/web at covenant-probe.acme.example:443 as covenant-probe.acme.example",
                "a.acme.example:80 by Gateway/gw listener web at a.acme.example:80 as a.acme.example",
                "a.acme.example:443 by Ingress/web at a.acme.example:443 as a.acme.example",
                "a.acme.example:8443 by Gateway/gw listener tls at a.acme.example:8443 as a.acme.example",
            ]
        );
        assert!(published.targets.iter().all(|it| it.is_foreign));
        let untried: Vec<&str> = published
            .untried
            .iter()
            .map(|it| it.published_by.as_deref().unwrap())
            .collect();
        let expected = [
            "Ingress/web",
            "Gateway/gw listener any",
            "Gateway/gw listener quic",
            "Gateway/gw listener odd",
        ];
        assert_eq!(untried, expected);
        assert!(
            published
                .untried
                .iter()
                .all(|it| it.offers == Offers::NotTried)
        );
    }

    #[test]
    fn who_names_an_address_has_every_host_looked_for_there() {
        let address: Address = "192.0.2.1".parse().unwrap();
        let published = found().published(Some(&address));
        let shown: Vec<String> = published
            .targets
            .iter()
            .map(|it| it.connect.to_string())
            .collect();
        let expected = [
            "192.0.2.1:443",
            "192.0.2.1:80",
            "192.0.2.1:443",
            "192.0.2.1:8443",
        ];
        assert_eq!(shown, expected);
        assert!(published.targets.iter().all(|it| !it.is_foreign));
        let address: Address = "[2001:db8::1]:9443".parse().unwrap();
        let published = found().published(Some(&address));
        let all = published.targets.iter();
        assert!(all.clone().count() == 4 && all.clone().all(|it| it.connect == address));
    }
}
