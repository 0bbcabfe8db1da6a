//! Raw objects for tests of the core, as a cluster would hold them.

use covenant::model::{Kind, Settings, World};
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// A world of these objects, in this order.
pub fn world<'a>(objects: impl IntoIterator<Item = &'a Value>) -> World {
    let mut world = World::new(Settings {
        operator_namespace: Some("covenant-system".to_owned()),
        ..Settings::default()
    });
    for object in objects {
        apply(&mut world, object);
    }
    world
}

/// Applies one object.
pub fn apply(world: &mut World, object: &Value) -> covenant::model::Dirty {
    let kind = Kind::of(
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    )
    .unwrap();
    let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    world.apply(kind, object)
}

/// Metadata as the API server makes it.
fn stored(object: &mut Value, uid: &str) {
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["generation"] = json!(1);
    object["metadata"]["creationTimestamp"] = json!("2026-11-01T00:00:00Z");
}

fn ours(kind: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec
    });
    stored(&mut object, &format!("{kind}-{name}"));
    object
}

pub fn namespace(name: &str, labels: Value) -> Value {
    let mut object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } });
    stored(&mut object, &format!("ns-{name}"));
    object
}

pub fn enrolled(name: &str, tenant: &str) -> Value {
    namespace(name, json!({ "privacy.cloudnexus.io/tenant": tenant }))
}

pub fn baseline() -> Value {
    ours(
        "TenantBaseline",
        "default",
        json!({
            "network": { "sameTenant": "Allow" }, "grants": { "maximumDuration": "P1Y" }
        }),
    )
}

pub fn vendor() -> Value {
    ours(
        "DataProcessor",
        "datadog",
        json!({
            "displayName": "Datadog", "category": "InfrastructureMonitoring",
            "agreements": [{ "name": "dpa", "type": "DataProcessingAgreement", "effectiveFrom": "2026-01-01", "effectiveUntil": "2027-06-30" }],
            "assessments": [{ "name": "2026", "completedOn": "2026-06-01", "outcome": "AuditApproved", "by": "security-team" }],
            "approvedFor": [{ "name": "monitoring", "dataCategories": ["InfrastructureTelemetry"], "purposes": ["ServiceMonitoring"] }],
            "endpoints": [
                { "name": "intake", "cidrs": ["203.0.113.0/24"], "ports": [{ "port": 443 }] },
                { "name": "api", "hosts": ["api.example.com"], "ports": [{ "port": 443 }] }
            ]
        }),
    )
}

pub fn grant() -> Value {
    let mut object = ours(
        "DataSharingGrant",
        "metrics",
        json!({
            "recipient": { "processor": { "name": "datadog", "endpoints": ["intake"] } }, "direction": "Push",
            "dataCategories": ["InfrastructureTelemetry"], "purpose": "ServiceMonitoring",
            "legalBasis": "ContractPerformance", "justification": "Dashboards",
            "source": { "podSelector": { "matchLabels": { "app": "agent" } } },
            "window": { "notAfter": "2027-03-31" }
        }),
    );
    object["metadata"]["namespace"] = json!("acme-prod");
    object
}

pub fn acceptance() -> Value {
    let mut object = ours(
        "SharingAcceptance",
        "from-prod",
        json!({
            "from": { "namespace": "acme-prod", "grant": "metrics" }, "dataCategories": ["InfrastructureTelemetry"],
            "podSelector": { "matchLabels": { "app": "collector" } }, "ports": [{ "port": 9090 }]
        }),
    );
    object["metadata"]["namespace"] = json!("acme-lake");
    object
}

/// A hold in a namespace, with whatever status officers gave it.
pub fn hold(namespace: &str, name: &str, spec: Value, status: Value) -> Value {
    let mut object = ours("ProcessingHold", name, spec);
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["uid"] = json!(format!("hold-{namespace}-{name}"));
    object["status"] = status;
    object
}

pub fn prohibition(spec: Value) -> Value {
    ours("SharingProhibition", "no", spec)
}

/// The opt-out of a namespace.
pub fn opt_out(namespace: &str, channels: Value) -> Value {
    let mut object = ours(
        "TelemetryOptOut",
        "default",
        json!({ "channels": channels }),
    );
    object["metadata"]["namespace"] = json!(namespace);
    object["metadata"]["uid"] = json!(format!("optout-{namespace}"));
    object
}
