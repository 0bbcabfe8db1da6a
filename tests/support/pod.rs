//! A pod that opt-outs are tried on.

use serde_json::{Value, json};
use testbed::raw::{Call, JSON};

/// The creation of a pod with this metadata beside its name.
pub fn pod(namespace: &str, name: &str, metadata: &Value) -> Call {
    let mut body = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": { "containers": [{ "name": "main", "image": "none" }] },
    });
    body["metadata"]["name"] = json!(name);
    Call::new("POST", format!("/api/v1/namespaces/{namespace}/pods")).with(JSON, body)
}
