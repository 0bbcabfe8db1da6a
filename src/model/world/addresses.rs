//! Where API servers are: addresses that no grant may reach, and sockets that are asked.
//!
//! May not: hold the addresses of anything else.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kube::core::DynamicObject;
use serde_json::Value;

use super::World;
use crate::model::{Dirty, Kind, ObjectKey, Target};

impl World {
    pub(super) fn set_addresses(
        &mut self,
        kind: Kind,
        key: ObjectKey,
        new: BTreeSet<IpAddr>,
    ) -> Dirty {
        let mut dirty = Dirty::default();
        let target = Target::new(kind, key);
        let old = if new.is_empty() {
            self.addresses.remove(&target)
        } else {
            self.addresses.insert(target, new.clone())
        };
        if old.unwrap_or_default() != new {
            dirty.namespaces(self.grants.keys());
        }
        dirty
    }
}

/// Whether a Service or EndpointSlice is the API server's.
pub(super) fn is_api_server(object: &DynamicObject) -> bool {
    let label = object
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("kubernetes.io/service-name"));
    object.metadata.namespace.as_deref() == Some("default")
        && (object.metadata.name.as_deref() == Some("kubernetes")
            || label.is_some_and(|service| service == "kubernetes"))
}

/// The API server's addresses out of `default/kubernetes`; other objects of these kinds have none to tell.
pub(super) fn addresses_of(kind: Kind, data: &Value) -> BTreeSet<IpAddr> {
    let texts: Vec<&Value> = match kind {
        Kind::EndpointSlice => data
            .get("endpoints")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|endpoint| endpoint.get("addresses")?.as_array())
            .flatten()
            .collect(),
        _ => data
            .pointer("/spec/clusterIPs")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect(),
    };
    texts
        .into_iter()
        .filter_map(|text| text.as_str()?.parse().ok())
        .collect()
}

/// Where the API servers listen, by what the EndpointSlices of `default/kubernetes` say.
pub(super) fn sockets(kind: Kind, data: &Value) -> BTreeSet<String> {
    let ports = data.get("ports").and_then(Value::as_array);
    let port = ports
        .into_iter()
        .flatten()
        .find_map(|port| port.get("port")?.as_u64());
    match (kind, port.and_then(|port| u16::try_from(port).ok())) {
        (Kind::EndpointSlice, Some(port)) => addresses_of(kind, data)
            .into_iter()
            .map(|address| std::net::SocketAddr::new(address, port).to_string())
            .collect(),
        _ => BTreeSet::new(),
    }
}
