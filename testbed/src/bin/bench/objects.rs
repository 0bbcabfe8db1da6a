//! What the measured clusters hold, and how it is put there fast.
//!
//! May not: measure.

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity};

/// A cluster to measure time on: with the chart, the platform's objects, and no operator yet.
pub async fn cluster() -> anyhow::Result<(Cluster, Identity)> {
    prepared(ClusterOptions::new().without_audit()).await
}

/// The same with an audit log, which costs time: for counts.
pub async fn audited_cluster() -> anyhow::Result<(Cluster, Identity)> {
    prepared(ClusterOptions::new()).await
}

async fn prepared(options: ClusterOptions) -> anyhow::Result<(Cluster, Identity)> {
    let cluster = Cluster::start(options).await?;
    cluster.install_chart().await?;
    let engineer = cluster.platform_engineer().await?;
    for object in [baseline(), vendor()] {
        engineer.apply_object(&object).await?;
    }
    Ok((cluster, engineer))
}

/// A resource by its parts.
pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// NetworkPolicies.
pub fn policies() -> ApiResource {
    resource(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
    )
}

/// Jobs.
pub fn jobs() -> ApiResource {
    resource("batch", "v1", "Job", "jobs")
}

/// DataSharingGrants.
pub fn grants() -> ApiResource {
    resource(
        "privacy.cloudnexus.io",
        "v1alpha1",
        "DataSharingGrant",
        "datasharinggrants",
    )
}

/// Postures.
pub fn postures() -> ApiResource {
    resource(
        "privacy.cloudnexus.io",
        "v1alpha1",
        "DataHandlingPosture",
        "datahandlingpostures",
    )
}

/// Namespaces.
pub fn namespaces() -> ApiResource {
    resource("", "v1", "Namespace", "namespaces")
}

/// Creates objects of one resource, so many at once.
pub async fn create(
    client: &Client,
    resource: &ApiResource,
    objects: Vec<Value>,
    at_once: usize,
) -> anyhow::Result<()> {
    let requests = objects.into_iter().map(|object| async move {
        let object: DynamicObject = serde_json::from_value(object).context("no object")?;
        let api: Api<DynamicObject> = match object.metadata.namespace.as_deref() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            None => Api::all_with(client.clone(), resource),
        };
        api.create(&PostParams::default(), &object)
            .await
            .context("refused")?;
        anyhow::Ok(())
    });
    let mut results = futures::stream::iter(requests).buffer_unordered(at_once);
    while let Some(result) = results.next().await {
        result?;
    }
    Ok(())
}

/// Creates one object.
pub async fn created(api: &Api<DynamicObject>, object: Value) -> anyhow::Result<()> {
    let object: DynamicObject = serde_json::from_value(object).context("no object")?;
    api.create(&PostParams::default(), &object)
        .await
        .context("refused")?;
    Ok(())
}

/// The policy that the controllers write which are compared with.
pub fn path_policy(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": name },
        "spec": {
            "podSelector": { "matchLabels": { "app": "metrics-agent" } }, "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }], "ports": [{ "port": 443, "protocol": "TCP" }] }]
        }
    })
}

/// An enrolled namespace.
pub fn namespace(name: &str) -> Value {
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

/// A grant that may be open for long.
pub fn grant(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataSharingGrant",
        "metadata": { "name": name, "namespace": namespace },
        "spec": {
            "recipient": { "processor": { "name": "datadog", "endpoints": ["intake"] } }, "direction": "Push",
            "dataCategories": ["InfrastructureTelemetry"], "purpose": "ServiceMonitoring",
            "legalBasis": "ContractPerformance", "justification": "Dashboards for the on-call team",
            "source": { "podSelector": { "matchLabels": { "app": "metrics-agent" } } },
            "window": { "notAfter": day(30) }
        }
    })
}

fn day(from_now: i64) -> String {
    use k8s_openapi::jiff::{SignedDuration, Timestamp};
    let now = Timestamp::now();
    let text = now
        .checked_add(SignedDuration::from_hours(24 * from_now))
        .unwrap_or(now)
        .to_string();
    text.chars().take(10).collect()
}

fn baseline() -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline", "metadata": { "name": "default" },
        "spec": {
            "network": {
                "sameTenant": "Allow",
                "dns": { "peers": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } } }] }
            },
            "grants": { "maximumDuration": "P90D" }
        }
    })
}

fn vendor() -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataProcessor", "metadata": { "name": "datadog" },
        "spec": {
            "displayName": "Datadog", "category": "InfrastructureMonitoring",
            "agreements": [{ "name": "dpa", "type": "DataProcessingAgreement", "effectiveFrom": day(-300), "effectiveUntil": day(300) }],
            "assessments": [{ "name": "annual", "completedOn": day(-100), "outcome": "AuditApproved", "by": "security-team" }],
            "approvedFor": [{ "name": "monitoring", "dataCategories": ["InfrastructureTelemetry"], "purposes": ["ServiceMonitoring"] }],
            "endpoints": [{ "name": "intake", "cidrs": ["203.0.113.0/24"], "ports": [{ "port": 443, "protocol": "TCP" }] }]
        }
    })
}
