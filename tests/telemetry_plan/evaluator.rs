//! What policies allow, by a reading of their JSON that shares nothing with the planner.

use std::collections::BTreeMap;

use covenant::plan::Plan;
use serde_json::Value;

pub type Labels = BTreeMap<String, String>;

/// A pod that may be at the other end.
#[derive(Clone, Debug)]
pub struct Pod {
    pub namespace: String,
    pub namespace_labels: Labels,
    pub labels: Labels,
}

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub fn pod(namespace: &str, more: &[(&str, &str)], own: &[(&str, &str)]) -> Pod {
    let mut namespace_labels = labels(more);
    namespace_labels.insert(
        "kubernetes.io/metadata.name".to_owned(),
        namespace.to_owned(),
    );
    Pod {
        namespace: namespace.to_owned(),
        namespace_labels,
        labels: labels(own),
    }
}

/// As Kubernetes documents label selectors.
pub fn matches(selector: &Value, labels: &Labels) -> bool {
    let empty = serde_json::Map::new();
    let equal = selector["matchLabels"].as_object().unwrap_or(&empty);
    let none = Vec::new();
    let expressions = selector["matchExpressions"].as_array().unwrap_or(&none);
    equal
        .iter()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.iter().all(|expression| {
            let value = labels.get(expression["key"].as_str().unwrap());
            let values = expression["values"].as_array();
            let among = || {
                values.is_some_and(|values| {
                    values
                        .iter()
                        .any(|known| known.as_str() == value.map(String::as_str))
                })
            };
            match expression["operator"].as_str().unwrap() {
                "In" => value.is_some() && among(),
                "NotIn" => value.is_none() || !among(),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("{other}"),
            }
        })
}

/// Every rule's peers of a way (`ingress`, `egress`) in the planned policies, by name of the policy.
fn rules(plan: &Plan, way: &str) -> Vec<Vec<Value>> {
    let side = if way == "ingress" { "from" } else { "to" };
    let policies = &plan.namespace.as_ref().unwrap().policies;
    let mut rules = Vec::new();
    for policy in policies.values() {
        let policy = serde_json::to_value(policy).unwrap();
        for rule in policy["spec"][way].as_array().into_iter().flatten() {
            let peers = rule[side].as_array().cloned().unwrap_or_default();
            assert!(
                !peers.is_empty(),
                "a rule without peers is open to everybody"
            );
            rules.push(peers);
        }
    }
    rules
}

/// Whether any rule of the way, of any policy, has the pod among its peers.
pub fn allows(plan: &Plan, way: &str, here: &str, pod: &Pod) -> bool {
    among(&peers(plan, way), here, pod)
}

/// The peers of every rule of a way.
pub fn peers(plan: &Plan, way: &str) -> Vec<Value> {
    rules(plan, way).into_iter().flatten().collect()
}

/// Whether the pod is one of these peers of a namespace.
pub fn among(peers: &[Value], here: &str, pod: &Pod) -> bool {
    peers.iter().any(|peer| {
        let namespaces = match &peer["namespaceSelector"] {
            Value::Null => peer["ipBlock"].is_null() && pod.namespace == here,
            selector => matches(selector, &pod.namespace_labels),
        };
        namespaces && (peer["podSelector"].is_null() || matches(&peer["podSelector"], &pod.labels))
    })
}

/// Whether any egress rule has the address among its peers.
pub fn allows_address(plan: &Plan, address: &str) -> bool {
    let address: std::net::IpAddr = address.parse().unwrap();
    let within = |range: &Value| {
        let range: ipnet::IpNet = range.as_str().unwrap().parse().unwrap();
        range.contains(&address)
    };
    rules(plan, "egress").iter().flatten().any(|peer| {
        let block = &peer["ipBlock"];
        let except = block["except"].as_array().into_iter().flatten();
        !block.is_null() && within(&block["cidr"]) && !except.into_iter().any(within)
    })
}
