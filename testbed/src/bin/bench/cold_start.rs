//! Every object of N enrolled namespaces, from nothing: the operator from its start, and a raw client that writes the same
//! bodies at its best concurrency as the same service account. Fresh clusters, in turns.
//!
//! May not: make it easier for the operator. Its time counts from the start of its process and includes its lists; the raw
//! client's counts from its first request, with the bodies already in hand.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testbed::Cluster;

use crate::objects::{self, namespace, namespaces, policies, postures};
use crate::say;

/// How many requests at once are tried, to find the raw client's best.
const CONCURRENCY: [usize; 4] = [8, 16, 32, 64];

/// Measures and prints.
pub async fn measure(covenant: &Path, sizes: &[usize], pairs: usize) -> anyhow::Result<()> {
    let first = *sizes.first().context("no size")?;
    let (_, bodies) = by_operator(covenant, first).await?;
    let mut best = (0, f64::INFINITY);
    for at_once in CONCURRENCY {
        let seconds = by_raw_client(&bodies, first, at_once).await?.seconds;
        say(&format!(
            "  raw client, {at_once:>2} at once: {seconds:.2} s for {} objects",
            bodies.len()
        ))?;
        if seconds < best.1 {
            best = (at_once, seconds);
        }
    }
    let mut medians = Vec::new();
    for &size in sizes {
        let (mut ratios, mut times) = (Vec::new(), Vec::new());
        // The bodies of this size, so that either may go first in a pair.
        let (_, bodies) = by_operator(covenant, size).await?;
        let objects = as_float(bodies.len());
        for pair in 0..pairs {
            let (ours, raw) = if pair % 2 == 0 {
                let (ours, _) = by_operator(covenant, size).await?;
                (ours, by_raw_client(&bodies, size, best.0).await?)
            } else {
                let raw = by_raw_client(&bodies, size, best.0).await?;
                (by_operator(covenant, size).await?.0, raw)
            };
            let ratio = raw.seconds / ours.seconds;
            say(&format!(
                "  {size} namespaces, {objects} objects: operator {:.2} s ({:.0} objects/s, API server {:.0} % of a core), \
                 raw client {:.2} s ({:.0} objects/s, API server {:.0} %): {ratio:.2} of its rate",
                ours.seconds,
                objects / ours.seconds,
                ours.api_server * 100.0,
                raw.seconds,
                objects / raw.seconds,
                raw.api_server * 100.0,
            ))?;
            ratios.push(ratio);
            times.push(ours.seconds);
        }
        ratios.sort_by(f64::total_cmp);
        times.sort_by(f64::total_cmp);
        let median = |values: &[f64]| crate::quantile(values, 0.5);
        say(&format!(
            "  {size} namespaces: median ratio {:.2}, from {:.2} to {:.2}",
            median(&ratios),
            median(&ratios[..1]),
            median(&ratios[ratios.len() - 1..])
        ))?;
        medians.push((size, median(&times)));
    }
    if let [(small, quick), .., (large, slow)] = medians.as_slice() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand namespaces")]
        let exponent = (slow / quick).ln() / (*large as f64 / *small as f64).ln();
        say(&format!(
            "  time grows with the number of namespaces to the power of {exponent:.2}"
        ))?;
    }
    Ok(())
}

/// What one run took.
struct Run {
    seconds: f64,
    /// Processor time of the API server, as a share of one core over the run.
    api_server: f64,
}

/// A run under way.
struct Stopwatch {
    begun: Instant,
    pid: i32,
    ticks: f64,
}

impl Stopwatch {
    fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let parts = cluster.process_ids()?;
        let (_, pid) = parts
            .into_iter()
            .find(|(name, _)| name.contains("apiserver"))
            .context("the API server has no process")?;
        let ticks = processor_seconds(pid)?;
        Ok(Self {
            begun: Instant::now(),
            pid,
            ticks,
        })
    }

    fn stop(&self) -> anyhow::Result<Run> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let api_server = (processor_seconds(self.pid)? - self.ticks) / seconds;
        Ok(Run {
            seconds,
            api_server,
        })
    }
}

/// User and system time of a process so far. Linux counts it in hundredths of a second.
fn processor_seconds(pid: i32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("no such process")?;
    let (_, fields) = text.rsplit_once(')').context("no process state")?;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    let ticks: Vec<f64> = ticks.collect::<Result<_, _>>().context("no number")?;
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand objects")]
fn as_float(number: usize) -> f64 {
    number as f64
}

/// Enrols namespaces, starts the operator, and waits for its last object. Returns the time and the bodies that it wrote.
async fn by_operator(covenant: &Path, size: usize) -> anyhow::Result<(Run, Vec<Value>)> {
    let (cluster, client) = enrolled(size).await?;
    let begun = Instant::now();
    let watch = Stopwatch::start(&cluster)?;
    let operator = cluster.start_operator(covenant).await?;
    let policy_api: Api<DynamicObject> = Api::all_with(client.clone(), &policies());
    let posture_api: Api<DynamicObject> = Api::all_with(client, &postures());
    loop {
        // The operator counts its own writes, so that nobody's list slows the API server down.
        let text = operator.get("/metrics").await?.text;
        let count = |line: &str| {
            text.lines()
                .find_map(|found| found.strip_prefix(line)?.trim().parse::<usize>().ok())
                .unwrap_or(0)
        };
        let done = count("covenant_writes_total{kind=\"NetworkPolicy\",verb=\"create\"}")
            >= 2 * size
            && count("covenant_writes_total{kind=\"DataHandlingPosture\",verb=\"create\"}") >= size
            && count("covenant_writes_total{kind=\"DataHandlingPosture\",verb=\"status\"}") >= size;
        if done {
            break;
        }
        anyhow::ensure!(
            begun.elapsed() < Duration::from_secs(300),
            "not done after five minutes:\n{text}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let run = watch.stop()?;
    operator.stop().await?;
    let mut bodies = Vec::new();
    for api in [policy_api, posture_api] {
        for object in api.list(&ListParams::default()).await.context("no list")? {
            bodies.push(stripped(&object));
        }
    }
    Ok((run, bodies))
}

/// Writes the same bodies: one POST each, and the posture's status.
async fn by_raw_client(bodies: &[Value], size: usize, at_once: usize) -> anyhow::Result<Run> {
    let (cluster, _) = enrolled(size).await?;
    let client = cluster.operator_identity().await?.client()?;
    let watch = Stopwatch::start(&cluster)?;
    let requests = bodies.iter().map(|body| post(client.clone(), body));
    let mut results = futures::stream::iter(requests).buffer_unordered(at_once);
    while let Some(result) = results.next().await {
        result?;
    }
    watch.stop()
}

async fn post(client: Client, body: &Value) -> anyhow::Result<()> {
    let is_policy = body["kind"] == "NetworkPolicy";
    let resource = if is_policy { policies() } else { postures() };
    let namespace = body["metadata"]["namespace"]
        .as_str()
        .context("no namespace")?;
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
    let object: DynamicObject = serde_json::from_value(body.clone()).context("no object")?;
    api.create(&PostParams::default(), &object)
        .await
        .context("refused")?;
    if !is_policy {
        let patch = Patch::Merge(json!({ "status": body["status"] }));
        api.patch_status("current", &PatchParams::default(), &patch)
            .await
            .context("the status is refused")?;
    }
    Ok(())
}

fn stripped(object: &DynamicObject) -> Value {
    let kind = if object.data.pointer("/spec/podSelector").is_some() {
        "NetworkPolicy"
    } else {
        "DataHandlingPosture"
    };
    let api_version = if kind == "NetworkPolicy" {
        "networking.k8s.io/v1"
    } else {
        "privacy.cloudnexus.io/v1alpha1"
    };
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": { "name": object.metadata.name, "namespace": object.metadata.namespace, "labels": object.metadata.labels,
            "annotations": object.metadata.annotations },
        "spec": object.data["spec"], "status": object.data["status"],
    })
}

async fn enrolled(size: usize) -> anyhow::Result<(Cluster, Client)> {
    let (cluster, engineer) = objects::cluster().await?;
    let client = engineer.client()?;
    let list = (0..size)
        .map(|number| namespace(&format!("acme-{number}")))
        .collect();
    objects::create(&client, &namespaces(), list, 32).await?;
    // Namespaces bring service accounts and certificates with them; that is over before anything is measured.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let admin = cluster.admin().client()?;
    Ok((cluster, admin))
}
