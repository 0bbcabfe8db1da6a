//! What the guards cost a DELETE: in a namespace that is not enrolled, in one that is disarmed, in one without holds, and in
//! ones with 1, 10 and 16, in turns on one cluster. The limit is the namespace that is not enrolled.
//!
//! May not: compare runs. Only what was measured side by side is put in relation.

use std::time::Instant;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::json;
use testbed::{Cluster, ClusterOptions};

use crate::{quantile, say};

/// Name, labels, holds.
const NAMESPACES: [(&str, &[&str], i32); 6] = [
    ("unenrolled", &[], 0),
    ("disarmed", &["tenant: acme", "holds: disarmed"], 0),
    ("enrolled", &["tenant: acme"], 0),
    ("one-hold", &["tenant: acme"], 1),
    ("ten-holds", &["tenant: acme"], 10),
    ("sixteen-holds", &["tenant: acme"], 16),
];

/// Measures and prints.
pub async fn measure(samples: usize) -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::new().without_audit()).await?;
    cluster.install_chart().await?;
    prepare(&cluster).await?;
    let client = cluster.admin().client()?;
    let mut times: Vec<Vec<f64>> = NAMESPACES.iter().map(|_| Vec::new()).collect();
    // The first requests of a namespace compile and connect.
    for round in 0..samples + 20 {
        for (index, (namespace, ..)) in NAMESPACES.iter().enumerate() {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let object: ConfigMap = serde_json::from_value(
                json!({ "metadata": { "name": "ledger" }, "data": { "entry": "1" } }),
            )?;
            api.create(&PostParams::default(), &object)
                .await
                .with_context(|| format!("no object in {namespace}"))?;
            let begun = Instant::now();
            api.delete("ledger", &DeleteParams::default()).await?;
            if round >= 20
                && let Some(times) = times.get_mut(index)
            {
                times.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    say(&format!(
        "{:>14} {:>9} {:>9} {:>12} {:>12}   ({samples} deletes each)",
        "", "p50 ms", "p99 ms", "p50 / limit", "p99 / limit"
    ))?;
    for values in &mut times {
        values.sort_by(f64::total_cmp);
    }
    let limit = times.first().cloned().unwrap_or_default();
    for ((name, ..), values) in NAMESPACES.iter().zip(&times) {
        let of = |share| {
            (
                quantile(values, share),
                quantile(values, share) / quantile(&limit, share),
            )
        };
        let ((p50, p50_ratio), (p99, p99_ratio)) = (of(0.5), of(0.99));
        say(&format!(
            "{name:>14} {p50:>9.2} {p99:>9.2} {p50_ratio:>12.2} {p99_ratio:>12.2}"
        ))?;
    }
    Ok(())
}

async fn prepare(cluster: &Cluster) -> anyhow::Result<()> {
    let engineer = cluster.platform_engineer().await?;
    let officer = cluster.officer().await?;
    for (name, labels, holds) in NAMESPACES {
        let labels: Vec<String> = labels
            .iter()
            .map(|label| format!("privacy.cloudnexus.io/{label}"))
            .collect();
        let namespace = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{}}}}}\n",
            labels.join(", ")
        );
        engineer.apply(&namespace).await?.success()?;
        for slot in 1..=holds {
            // Of another kind than what is deleted: the whole policy is evaluated, and lets it pass.
            let hold = json!({
                "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
                "metadata": { "name": format!("case-{slot}"), "namespace": name },
                "spec": {
                    "matter": "CASE-1", "ground": "ComplianceAudit", "reason": "a benchmark", "slot": slot,
                    "effects": ["PreventDeletion", "PreventAlteration"], "scope": { "kinds": [{ "apiGroup": "", "kind": "Secret" }] }
                }
            });
            officer.apply_object(&hold).await?;
        }
    }
    Ok(())
}
