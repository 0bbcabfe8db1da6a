//! From the 201 of one object to the stored policy: the operator, and a controller of sixty lines that copies one object to one
//! policy. Both as service accounts, on one cluster, in turns; a third party stamps both ends with one clock.
//!
//! May not: wait for one sample before it sends the next. A slow answer would hide behind the samples that were not sent.

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
use tokio::task::JoinSet;

use crate::echo;
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
    let echo = tokio::spawn(echo::run(
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
    let map_api: Api<ConfigMap> = Api::namespaced(observer, echo::NAMESPACE);
    let stored_at = Stamps::default();
    let mut requests = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    for number in 0..samples {
        tick.tick().await;
        let object: DynamicObject =
            serde_json::from_value(objects::grant("bench", &format!("grant-{number}")))
                .context("no object")?;
        let (api, stamps) = (grant_api.clone(), stored_at.clone());
        requests.spawn(async move {
            api.create(&PostParams::default(), &object).await?;
            stamps.stamp(&format!("bench/grant-{number}"));
            Ok::<_, kube::Error>(())
        });
        tick.tick().await;
        let map = json!({ "metadata": { "name": format!("map-{number}"), "labels": { "bench": "echo" } } });
        let map: ConfigMap = serde_json::from_value(map).context("no object")?;
        let (api, stamps) = (map_api.clone(), stored_at.clone());
        requests.spawn(async move {
            api.create(&PostParams::default(), &map).await?;
            stamps.stamp(&format!("echo/map-{number}"));
            Ok(())
        });
    }
    while let Some(result) = requests.join_next().await {
        result
            .context("a request broke off")?
            .context("an object is refused")?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let waits = |kind: &str, from: &Stamps, to: &Stamps| {
        let wait = |number| {
            let name = format!("{kind}-{number}");
            Some(milliseconds(
                to.get(&name)?.saturating_duration_since(from.get(&name)?),
            ))
        };
        (0..samples).map(wait).collect::<Vec<_>>()
    };
    let ours = waits("bench/grant", &stored_at, &stored);
    let theirs = waits("echo/map", &stored_at, &stored);
    let share = waits("bench/grant", &made, &started);
    // Grant by grant, not median by median.
    let without = ours
        .iter()
        .zip(&share)
        .map(|(all, wait)| Some((*all)? - (*wait)?));
    let without = sorted(without);
    let rows = [
        ("operator, ms", sorted(ours.iter().copied())),
        (
            "  until the timer is stored",
            sorted(waits("bench/grant", &stored_at, &made)),
        ),
        (
            "  the cluster's Job controller starts it",
            sorted(share.iter().copied()),
        ),
        (
            "  until the policy is stored",
            sorted(waits("bench/grant", &started, &stored)),
        ),
        ("operator without the Job controller, ms", without.clone()),
        ("copying controller, ms", sorted(theirs.iter().copied())),
    ];
    let (ours, theirs) = (sorted(ours), sorted(theirs));
    say(&format!(
        "  seen: {} of {samples} grants, {} of {samples} copies",
        ours.len(),
        theirs.len()
    ))?;
    for (name, values) in rows {
        say(&format!(
            "  {name:<42} p50 {:>7.1}   p99 {:>7.1}",
            quantile(&values, 0.5),
            quantile(&values, 0.99)
        ))?;
    }
    let ratio = |values: &[f64], share| quantile(values, share) / quantile(&theirs, share);
    say(&format!(
        "  ratio p50 {:.2}, p99 {:.2}; without the Job controller's share p50 {:.2}, p99 {:.2}",
        ratio(&ours, 0.5),
        ratio(&ours, 0.99),
        ratio(&without, 0.5),
        ratio(&without, 0.99),
    ))?;
    for task in [echo, policy_observer, job_observer] {
        task.abort();
    }
    Ok(())
}

/// The samples that were seen, in order of size.
fn sorted(values: impl IntoIterator<Item = Option<f64>>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    values.sort_by(f64::total_cmp);
    values
}

fn milliseconds(wait: Duration) -> f64 {
    wait.as_secs_f64() * 1000.0
}

/// `<namespace>/<grant>` for what a grant made, `<namespace>/<name>` for the rest.
fn sample(object: &DynamicObject) -> String {
    let grant = object
        .annotations()
        .get("privacy.cloudnexus.io/grant")
        .cloned();
    let name = grant.unwrap_or_else(|| object.name_any());
    format!("{}/{name}", object.namespace().unwrap_or_default())
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
            stored.stamp(&sample(&policy));
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
        let name = sample(&job);
        made.stamp(&name);
        if job.data.pointer("/status/startTime").is_some() {
            started.stamp(&name);
        }
    }
    Ok(())
}
