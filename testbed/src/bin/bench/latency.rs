//! From the 201 of one object to the stored policy: the operator, a controller of sixty lines that copies one object to one
//! policy, and a raw client that takes the operator's own steps. All as service accounts, on one cluster, in turns; a third
//! party stamps both ends with one clock.
//!
//! May not: wait for one sample before it sends the next. A slow answer would hide behind the samples that were not sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, PostParams, WatchEvent, WatchParams};
use kube::core::ApiResource;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use testbed::Cluster;
use tokio::task::JoinSet;

use crate::objects::{self, grants, jobs, policies, resource};
use crate::{echo, quantile, say, staircase};

/// The operator's namespace and the name of its series.
const OPERATOR: &str = "bench";
/// Between two objects, of whichever series.
const PAUSE: Duration = Duration::from_millis(70);

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
    let operator = cluster.start_operator(covenant).await?;
    let mut controllers = JoinSet::new();
    controllers.spawn(echo::run(account(&cluster, echo::NAMESPACE).await?));
    controllers.spawn(staircase::run(
        account(&cluster, staircase::NAMESPACE).await?,
    ));
    let observer = cluster.admin().client()?;
    let seen = Seen::default();
    controllers.spawn(observe_policies(observer.clone(), seen.clone()));
    controllers.spawn(observe_jobs(observer.clone(), seen.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;

    let mut requests = JoinSet::new();
    let mut tick = tokio::time::interval(PAUSE);
    for number in 0..samples {
        for (series, resource, object) in one_of_each(number) {
            tick.tick().await;
            let object: DynamicObject = serde_json::from_value(object).context("no object")?;
            let api: Api<DynamicObject> = Api::namespaced_with(observer.clone(), series, &resource);
            let answered = seen.answered.clone();
            requests.spawn(async move {
                api.create(&PostParams::default(), &object).await?;
                answered.stamp(&format!("{series}/{number}"));
                Ok::<_, kube::Error>(())
            });
        }
    }
    while let Some(result) = requests.join_next().await {
        result
            .context("a request broke off")?
            .context("an object is refused")?;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    controllers.abort_all();
    tell(&seen, samples)?;
    let text = operator.get("/metrics").await?.text;
    let metric = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
            .unwrap_or(f64::NAN)
    };
    let plans = metric("covenant_plan_seconds_count");
    say(&format!(
        "  {plans} plans, of {:.2} ms each",
        metric("covenant_plan_seconds_sum") * 1000.0 / plans
    ))
}

/// The same wish in each series: a grant, an object to copy, and one to answer in the operator's own steps.
fn one_of_each(number: usize) -> [(&'static str, ApiResource, Value); 3] {
    let map = |label: &str| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": number.to_string(), "labels": { key: value } }
        })
    };
    let maps = || resource("", "v1", "ConfigMap", "configmaps");
    [
        (
            OPERATOR,
            grants(),
            objects::grant(OPERATOR, &number.to_string()),
        ),
        (echo::NAMESPACE, maps(), map(echo::LABEL)),
        (staircase::NAMESPACE, maps(), map(staircase::LABEL)),
    ]
}

/// A service account with what the compared controllers need, in a namespace of its own.
async fn account(cluster: &Cluster, namespace: &str) -> anyhow::Result<Client> {
    for object in [
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "controller", "namespace": namespace }
        }),
    ] {
        cluster.admin().apply_object(&object).await?;
    }
    let rules = json!([
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch", "patch"] },
        { "apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch", "create"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create"] },
    ]);
    let user = format!("system:serviceaccount:{namespace}:controller");
    cluster.give(&user, namespace, &rules).await?;
    cluster
        .service_account(namespace, "controller")
        .await?
        .client()
}

/// What the observer saw of all series.
#[derive(Clone, Default)]
struct Seen {
    /// The wish was answered with a 201.
    answered: Stamps,
    /// Its timer was stored.
    timer: Stamps,
    /// Its timer was started.
    started: Stamps,
    /// Its policy was stored.
    policy: Stamps,
}

fn tell(seen: &Seen, samples: usize) -> anyhow::Result<()> {
    let steps = [
        ("until the timer is stored", &seen.answered, &seen.timer),
        (
            "the cluster's Job controller starts it",
            &seen.timer,
            &seen.started,
        ),
        ("until the policy is stored", &seen.started, &seen.policy),
    ];
    let waits = |series: &str, from: &Stamps, to: &Stamps| {
        let wait = |number| {
            let name = format!("{series}/{number}");
            let wait = to.get(&name)?.saturating_duration_since(from.get(&name)?);
            Some(wait.as_secs_f64() * 1000.0)
        };
        sorted((0..samples).map(wait))
    };
    let mut totals = Vec::new();
    for (series, title, has_timer) in [
        (OPERATOR, "operator", true),
        (staircase::NAMESPACE, "raw client, the same steps", true),
        (echo::NAMESPACE, "raw client, one policy", false),
    ] {
        let total = waits(series, &seen.answered, &seen.policy);
        row(&format!("{title} ({} of {samples})", total.len()), &total)?;
        for (title, from, to) in steps.iter().filter(|_| has_timer) {
            row(&format!("  {title}"), &waits(series, from, to))?;
        }
        totals.push(total);
    }
    if let [ours, same_steps, one_policy] = totals.as_slice() {
        for (title, limit) in [("the same steps", same_steps), ("one policy", one_policy)] {
            let ratio = |share| quantile(ours, share) / quantile(limit, share);
            say(&format!(
                "  against a raw client with {title}: p50 {:.2}, p99 {:.2}",
                ratio(0.5),
                ratio(0.99)
            ))?;
        }
    }
    Ok(())
}

fn row(title: &str, values: &[f64]) -> anyhow::Result<()> {
    say(&format!(
        "  {title:<44} p50 {:>7.1} ms   p99 {:>7.1} ms",
        quantile(values, 0.5),
        quantile(values, 0.99)
    ))
}

/// The samples that were seen, in order of size.
fn sorted(values: impl IntoIterator<Item = Option<f64>>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().flatten().collect();
    values.sort_by(f64::total_cmp);
    values
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

async fn observe_policies(client: Client, seen: Seen) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &policies());
    let mut stream = api
        .watch(&WatchParams::default(), "0")
        .await
        .context("no watch")?
        .boxed();
    while let Some(event) = stream.next().await {
        if let Ok(WatchEvent::Added(policy)) = event {
            seen.policy.stamp(&sample(&policy));
        }
    }
    Ok(())
}

async fn observe_jobs(client: Client, seen: Seen) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(client, &jobs());
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
        seen.timer.stamp(&name);
        if job.data.pointer("/status/startTime").is_some() {
            seen.started.stamp(&name);
        }
    }
    Ok(())
}
