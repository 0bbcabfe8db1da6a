//! What the guards cost a DELETE: in a namespace that is not enrolled, in one that is disarmed, in one without holds, and in
//! ones with 1, 10 and 16, in turns on one cluster. The limit is the namespace that is not enrolled.
//!
//! May not: compare runs. Only what was measured side by side is put in relation.

use std::time::Instant;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;
use testbed::{Cluster, ClusterOptions};

use crate::objects::resource;
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

fn holds_resource() -> kube::core::ApiResource {
    resource(
        "privacy.cloudnexus.io",
        "v1alpha1",
        "ProcessingHold",
        "processingholds",
    )
}

/// From a hold's 201 to the first refusal in its name, at the server that stored it and at a second one of the same store.
pub async fn measure_lag(samples: usize) -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::new().without_audit()).await?;
    cluster.install_chart().await?;
    prepare(&cluster).await?;
    let second = cluster.another_api_server().await?;
    let officer = cluster.officer().await?.client()?;
    let servers = [cluster.admin().client()?, second.admin().client()?];
    let holds: Api<DynamicObject> = Api::namespaced_with(officer, "enrolled", &holds_resource());
    let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut passed = [0_usize; 2];
    for sample in 0..samples {
        let name = format!("lag-{sample}");
        let object = serde_json::from_value(json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "metadata": { "name": name },
            "spec": { "matter": "CASE-1", "ground": "ComplianceAudit", "reason": "a benchmark", "slot": sample % 8 + 1, "effects": ["FreezeAccess"] }
        }))?;
        holds.create(&PostParams::default(), &object).await?;
        let stored = Instant::now();
        // Each is asked first every other time.
        for turn in 0..servers.len() {
            let index = (turn + sample) % servers.len();
            let Some(server) = servers.get(index) else {
                continue;
            };
            let api: Api<DynamicObject> =
                Api::namespaced_with(server.clone(), "enrolled", &holds_resource());
            let canary = DeleteParams {
                dry_run: true,
                ..DeleteParams::default()
            };
            let mut tries = 0;
            while api.delete(&name, &canary).await.is_ok() {
                tries += 1;
            }
            if let (Some(times), Some(passed)) = (times.get_mut(index), passed.get_mut(index)) {
                times.push(stored.elapsed().as_secs_f64() * 1000.0);
                *passed += usize::from(tries > 0);
            }
        }
        let by = cluster.officer().await?;
        let decision = json!({ "status": { "decisions": [{ "type": "Released", "by": by.name(), "reason": "measured" }] } });
        holds
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&decision))
            .await?;
    }
    for ((name, values), passed) in [
        "the server that stored it",
        "a second one of the same store",
    ]
    .iter()
    .zip(&mut times)
    .zip(passed)
    {
        values.sort_by(f64::total_cmp);
        say(&format!(
            "{name:>32}: first refusal after {:.1} ms (p50), {:.1} ms (p99); {passed} of {samples} first tries passed",
            quantile(values, 0.5),
            quantile(values, 0.99)
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
