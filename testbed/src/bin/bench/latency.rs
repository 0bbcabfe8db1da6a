//! From the 201 of one object to the stored policy: the operator, and a controller of sixty lines that copies one object to one
//! policy. Both as service accounts, on one cluster, in turns; a third party stamps both ends with one clock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::objects::{self, grants, policies, resource};
use crate::{quantile, say};

/// When something was seen first, by name.
#[derive(Clone, Default)]
struct Stamps(Arc<Mutex<BTreeMap<String, Instant>>>);

impl Stamps {
    fn stamp(&self, name: &str) {
        let mut stamps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.entry(name.to_owned()).or_insert_with(Instant::now);
    }

    fn get(&self, name: &str) -> Option<Instant> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .copied()
    }
}

/// Measures and prints.
pub async fn measure(covenant: &Path, samples: usize) -> anyhow::Result<()> {
    let (cluster, engineer) = objects::cluster().await?;
    engineer.apply_object(&objects::namespace("bench")).await?;
    engineer
        .apply_object(
            &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "echo" } }),
        )
        .await?;
    let _operator = cluster.start_operator(covenant).await?;

    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "echo", "namespace": "echo" } });
    cluster.admin().apply_object(&account).await?;
    let rules = json!([
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create"] },
    ]);
    cluster
        .give("system:serviceaccount:echo:echo", "echo", &rules)
        .await?;
    let echo = tokio::spawn(echo(
        cluster.service_account("echo", "echo").await?.client()?,
    ));

    let (stored, made, started) = (Stamps::default(), Stamps::default(), Stamps::default());
    let observer = cluster.admin().client()?;
    let policy_observer = tokio::spawn(observe_policies(observer.clone(), stored.clone()));
    let job_observer = tokio::spawn(observe_jobs(
        observer.clone(),
        made.clone(),
        started.clone(),
    ));
    tokio::time::sleep(Duration::from_secs(2)).await;

    let grant_api: Api<DynamicObject> = Api::namespaced_with(observer.clone(), "bench", &grants());
    let map_api: Api<ConfigMap> = Api::namespaced(observer, "echo");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..samples {
        let name = format!("grant-{number}");
        let object: DynamicObject =
            serde_json::from_value(objects::grant("bench", &name)).context("no object")?;
        grant_api
            .create(&PostParams::default(), &object)
            .await
            .context("the grant is refused")?;
        ours.push((format!("bench/{name}"), Instant::now()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let name = format!("map-{number}");
        let map: ConfigMap = serde_json::from_value(
            json!({ "metadata": { "name": name, "labels": { "bench": "echo" } } }),
        )
        .context("no object")?;
        map_api
            .create(&PostParams::default(), &map)
            .await
            .context("the map is refused")?;
        theirs.push((format!("echo/{name}"), Instant::now()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let since = |from: &[(String, Instant)]| -> Vec<f64> {
        let waits = from
            .iter()
            .filter_map(|(name, begun)| Some(stored.get(name)?.saturating_duration_since(*begun)));
        sorted(waits.map(|wait| wait.as_secs_f64() * 1000.0).collect())
    };
    let (ours, theirs) = (since(&ours), since(&theirs));
    let share: Vec<f64> = {
        let made = made
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let waits = made
            .iter()
            .filter_map(|(name, begun)| Some(started.get(name)?.saturating_duration_since(*begun)));
        sorted(waits.map(|wait| wait.as_secs_f64() * 1000.0).collect())
    };
    say(&format!(
        "  seen: {} of {samples} grants, {} of {samples} copies",
        ours.len(),
        theirs.len()
    ))?;
    for (name, values) in [
        ("operator, ms", &ours),
        ("copying controller, ms", &theirs),
        ("of it the cluster's Job controller, ms", &share),
    ] {
        say(&format!(
            "  {name:<40} p50 {:>7.1}   p99 {:>7.1}",
            quantile(values, 0.5),
            quantile(values, 0.99)
        ))?;
    }
    let own = quantile(&ours, 0.5) - quantile(&share, 0.5);
    say(&format!(
        "  ratio p50 {:.2}, p99 {:.2}; without the Job controller's share p50 {:.2}",
        quantile(&ours, 0.5) / quantile(&theirs, 0.5),
        quantile(&ours, 0.99) / quantile(&theirs, 0.99),
        own / quantile(&theirs, 0.5),
    ))?;
    for task in [echo, policy_observer, job_observer] {
        task.abort();
    }
    Ok(())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The controller to compare with: one object in, one policy out.
async fn echo(client: Client) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "echo");
    let out: Api<DynamicObject> = Api::namespaced_with(client, "echo", &policies());
    let mut stream = maps
        .watch(&WatchParams::default().labels("bench=echo"), "0")
        .await
        .context("no watch")?
        .boxed();
    while let Some(event) = stream.next().await {
        if let Ok(WatchEvent::Added(map)) = event {
            let policy = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": map.name_any() },
                "spec": { "podSelector": { "matchLabels": { "app": "metrics-agent" } }, "policyTypes": ["Egress"],
                    "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }], "ports": [{ "port": 443, "protocol": "TCP" }] }] }
            });
            let policy: DynamicObject = serde_json::from_value(policy).context("no object")?;
            out.create(&PostParams::default(), &policy)
                .await
                .context("refused")?;
        }
    }
    Ok(())
}

async fn observe_policies(client: Client, stored: Stamps) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &policies());
    let mut stream = api
        .watch(&WatchParams::default(), "0")
        .await
        .context("no watch")?
        .boxed();
    while let Some(event) = stream.next().await {
        if let Ok(WatchEvent::Added(policy)) = event {
            let grant = policy
                .annotations()
                .get("privacy.cloudnexus.io/grant")
                .cloned();
            let name = grant.unwrap_or_else(|| policy.name_any());
            stored.stamp(&format!(
                "{}/{name}",
                policy.namespace().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

async fn observe_jobs(client: Client, made: Stamps, started: Stamps) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &resource("batch", "v1", "Job", "jobs"));
    let mut stream = api
        .watch(&WatchParams::default(), "0")
        .await
        .context("no watch")?
        .boxed();
    while let Some(event) = stream.next().await {
        let (Ok(WatchEvent::Added(job)) | Ok(WatchEvent::Modified(job))) = event else {
            continue;
        };
        let name = job.name_any();
        made.stamp(&name);
        if job.data.pointer("/status/startTime").is_some() {
            started.stamp(&name);
        }
    }
    Ok(())
}
