//! Disposal against raw DELETEs with the same preconditions, in turns; what a hundred thousand objects cost that are not due,
//! and what one costs that is.
//!
//! May not: make it easier for the operator. Its deletes pass the same guards as the raw client's, in namespaces of one tenant, and
//! the raw client has the uids and versions already in hand.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::Client;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
    PropagationPolicy, WatchEvent, WatchParams,
};
use kube::core::ApiResource;
use serde_json::{Value, json};
use testbed::audit::Marker;
use testbed::operator::Operator;
use testbed::{Cluster, Identity, eventually};

use crate::objects::{self, namespace, resource};
use crate::say;

/// How many deletes at once are tried, to find the raw client's best.
const CONCURRENCY: [usize; 4] = [16, 32, 64, 128];
const PATIENCE: Duration = Duration::from_secs(600);
/// Nothing is due for so long, to see that nothing is asked for.
const REST: Duration = Duration::from_secs(30);

/// Measures and prints: disposal of `objects` in `pairs` turns, and `crowd` objects of which none or one is due.
pub async fn measure(
    covenant: &Path,
    objects: usize,
    pairs: usize,
    crowd: usize,
) -> anyhow::Result<()> {
    let bench = Bench::start(objects::cluster().await?, covenant).await?;
    bench.disposals(objects / (2 * pairs), pairs).await?;
    bench.operator.stop().await?;
    drop(bench);
    let bench = Bench::start(objects::audited_cluster().await?, covenant).await?;
    bench.crowd(crowd).await?;
    bench.operator.stop().await?;
    Ok(())
}

struct Bench {
    cluster: Cluster,
    engineer: Identity,
    client: Client,
    operator: Operator,
}

fn config_maps() -> ApiResource {
    resource("", "v1", "ConfigMap", "configmaps")
}

fn retention_policies() -> ApiResource {
    resource(
        "privacy.cloudnexus.io",
        "v1alpha1",
        "RetentionPolicy",
        "retentionpolicies",
    )
}

impl Bench {
    async fn start(
        (cluster, engineer): (Cluster, Identity),
        covenant: &Path,
    ) -> anyhow::Result<Self> {
        let who = cluster.operator_identity().await?;
        let rules = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "delete"] }]);
        cluster.give(who.name(), "retention", &rules).await?;
        let bounds = json!({ "spec": { "retention": { "maximumPerRun": 1_000_000, "maximumPerDay": 1_000_000, "grace": "PT0S" } } });
        let baselines = resource(
            "privacy.cloudnexus.io",
            "v1alpha1",
            "TenantBaseline",
            "tenantbaselines",
        );
        let api: Api<DynamicObject> = Api::all_with(engineer.client()?, &baselines);
        api.patch("default", &PatchParams::default(), &Patch::Merge(bounds))
            .await
            .context("the baseline is refused")?;
        let operator = cluster.start_operator(covenant).await?;
        let client = cluster.admin().client()?;
        Ok(Self {
            cluster,
            engineer,
            client,
            operator,
        })
    }

    /// A namespace with so many objects of about a kilobyte.
    async fn filled(&self, name: &str, count: usize) -> anyhow::Result<Api<DynamicObject>> {
        self.engineer.apply_object(&namespace(name)).await?;
        let list = (0..count).map(|number| thing(name, number)).collect();
        objects::create(&self.client, &config_maps(), list, 64).await?;
        Ok(Api::namespaced_with(
            self.client.clone(),
            name,
            &config_maps(),
        ))
    }

    async fn disposals(&self, count: usize, pairs: usize) -> anyhow::Result<()> {
        let mut best = (0, f64::NEG_INFINITY);
        for at_once in CONCURRENCY {
            let rate = self
                .by_raw_client(&format!("tried-{at_once}"), count.min(2000), at_once)
                .await?;
            say(&format!(
                "  raw client, {at_once:>3} at once: {rate:.0} deletes/s"
            ))?;
            if rate > best.1 {
                best = (at_once, rate);
            }
        }
        let mut ratios = Vec::new();
        for pair in 0..pairs {
            let (ours, raw) = (format!("ours-{pair}"), format!("raw-{pair}"));
            let (ours, raw) = if pair % 2 == 0 {
                let ours = self.by_operator(&ours, count).await?;
                (ours, self.by_raw_client(&raw, count, best.0).await?)
            } else {
                let raw = self.by_raw_client(&raw, count, best.0).await?;
                (self.by_operator(&ours, count).await?, raw)
            };
            let ratio = ours.rate / raw;
            say(&format!(
                "  {count} objects: operator {:.0} deletes/s ({:.1} s from the policy to its status, {} ledger entries), raw client {raw:.0} deletes/s: {ratio:.2} of its rate",
                ours.rate, ours.whole, ours.entries
            ))?;
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        say(&format!(
            "  median {:.2}, from {:.2} to {:.2}",
            crate::quantile(&ratios, 0.5),
            crate::quantile(&ratios, 0.0),
            crate::quantile(&ratios, 1.0)
        ))
    }

    /// Deletes with preconditions, as many at once; deletes a second by the stream that tells of them.
    async fn by_raw_client(&self, name: &str, count: usize, at_once: usize) -> anyhow::Result<f64> {
        let api = self.filled(name, count).await?;
        let list = api
            .list(&ListParams::default().labels("app=log"))
            .await
            .context("no list")?;
        let pace = Pace::of(&api, list.metadata.resource_version.as_deref(), count);
        let deleting = self.cluster.operator_identity().await?.client()?;
        let api: Api<DynamicObject> = Api::namespaced_with(deleting, name, &config_maps());
        let requests = list.items.into_iter().map(|object| {
            let api = api.clone();
            async move {
                let parameters = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: object.metadata.uid,
                        resource_version: object.metadata.resource_version,
                    }),
                    propagation_policy: Some(PropagationPolicy::Background),
                    ..DeleteParams::default()
                };
                let name = object.metadata.name.unwrap_or_default();
                api.delete(&name, &parameters).await.context("refused")?;
                anyhow::Ok(())
            }
        });
        let mut results = futures::stream::iter(requests).buffer_unordered(at_once);
        let delete_all = async {
            while let Some(result) = results.next().await {
                result?;
            }
            anyhow::Ok(())
        };
        let (rate, deleted) = tokio::join!(pace, delete_all);
        deleted?;
        rate
    }

    async fn by_operator(&self, name: &str, count: usize) -> anyhow::Result<Ours> {
        let api = self.filled(name, count).await?;
        // All of them are due by the time at which the policy comes.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let list = api
            .list(&ListParams::default().limit(1))
            .await
            .context("no list")?;
        let before = self.metric("covenant_ledger_size").await?;
        let pace = Pace::of(&api, list.metadata.resource_version.as_deref(), count);
        let begun = Instant::now();
        let policies: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), name, &retention_policies());
        objects::created(&policies, policy(name, "PT1S")).await?;
        let rate = pace.await?;
        eventually("its status counts them", PATIENCE, async || {
            let policy = policies.get("logs").await.context("no policy")?;
            let total = policy.data.pointer("/status/disposed/total");
            anyhow::ensure!(total == Some(&json!(count)), "{total:?}");
            anyhow::Ok(())
        })
        .await?;
        Ok(Ours {
            rate,
            whole: begun.elapsed().as_secs_f64(),
            entries: self.metric("covenant_ledger_size").await? - before,
        })
    }

    async fn metric(&self, name: &str) -> anyhow::Result<i64> {
        let text = self.operator.get("/metrics").await?.text;
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        #[expect(clippy::cast_possible_truncation, reason = "a count")]
        Ok(found.unwrap_or_default() as i64)
    }

    /// A crowd of which nothing is due, and then one.
    async fn crowd(&self, count: usize) -> anyhow::Result<()> {
        let empty = resident(self.operator.pid())?;
        for (name, count) in [("few", count / 100), ("crowd", count)] {
            self.filled(name, count).await?;
            let policies: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), name, &retention_policies());
            objects::created(&policies, policy(name, "P10Y")).await?;
            eventually("all are counted", PATIENCE, async || {
                let policy = policies.get("logs").await.context("no policy")?;
                let matched = policy.data.pointer("/status/matched");
                anyhow::ensure!(matched == Some(&json!(count)), "{matched:?}");
                anyhow::Ok(())
            })
            .await?;
            tokio::time::sleep(Duration::from_secs(15)).await;
            let place = self.cluster.audit()?.marker().await?;
            tokio::time::sleep(REST).await;
            self.calls(
                &format!("{count} objects, none due, {} s", REST.as_secs()),
                place,
            )
            .await?;
            let size = resident(self.operator.pid())?;
            #[expect(clippy::cast_precision_loss, reason = "a hundred thousand objects")]
            let each = size.saturating_sub(empty) as f64 * 1024.0 / count as f64;
            say(&format!(
                "  {count} objects: {size} KiB resident, {each:.0} bytes an object over an operator without any ({empty} KiB)"
            ))?;
            // One that is due soon, among all of these.
            let mut soon = policy(name, "PT5S");
            soon["metadata"]["name"] = json!("soon");
            soon["spec"]["select"][0]["matchLabels"] = json!({ "app": "soon" });
            objects::created(&policies, soon).await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let place = self.cluster.audit()?.marker().await?;
            let plans = self.plan_seconds().await?;
            let mut one = thing(name, 0);
            one["metadata"]["name"] = json!("one");
            one["metadata"]["labels"]["app"] = json!("soon");
            objects::create(&self.client, &config_maps(), vec![one], 1).await?;
            eventually("it goes", PATIENCE, async || {
                let policy = policies.get("soon").await.context("no policy")?;
                let total = policy.data.pointer("/status/disposed/total");
                anyhow::ensure!(total == Some(&json!(1)), "{total:?}");
                anyhow::Ok(())
            })
            .await?;
            let (planned, seconds) = self.plan_seconds().await?;
            self.calls(&format!("one expiry among {count}"), place)
                .await?;
            say(&format!(
                "    {:.0} plans in {:.1} ms",
                planned - plans.0,
                (seconds - plans.1) * 1000.0
            ))?;
        }
        Ok(())
    }

    async fn plan_seconds(&self) -> anyhow::Result<(f64, f64)> {
        let text = self.operator.get("/metrics").await?.text;
        let of = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
                .unwrap_or_default()
        };
        Ok((
            of("covenant_plan_seconds_count"),
            of("covenant_plan_seconds_sum"),
        ))
    }

    /// Calls of the operator but its watches.
    async fn calls(&self, what: &str, place: Marker) -> anyhow::Result<()> {
        let user = self.cluster.operator_identity().await?;
        let events = self.cluster.audit()?.since(place).await?;
        let mut counts = std::collections::BTreeMap::new();
        for event in events
            .iter()
            .filter(|event| event.user() == user.name() && !event.is_streaming())
        {
            let key = format!(
                "{} {} {}",
                event.verb,
                event.resource(),
                event.subresource()
            );
            *counts.entry(key.trim().to_owned()).or_insert(0) += 1;
        }
        let told: Vec<String> = counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        let told = if told.is_empty() {
            "no call".to_owned()
        } else {
            told.join(", ")
        };
        say(&format!("  {what}: {told}"))
    }
}

/// A run of the operator.
struct Ours {
    rate: f64,
    whole: f64,
    entries: i64,
}

/// How fast objects go, by the stream that tells of it.
struct Pace;

impl Pace {
    /// Deletes a second, between the first and the last of so many.
    async fn of(
        api: &Api<DynamicObject>,
        version: Option<&str>,
        count: usize,
    ) -> anyhow::Result<f64> {
        let version = version.unwrap_or("0").to_owned();
        let watch = WatchParams::default().timeout(290).labels("app=log");
        let mut stream = Box::pin(
            api.watch_metadata(&watch, &version)
                .await
                .context("no watch")?,
        );
        let mut first = None;
        let mut gone = 0;
        while let Some(event) = stream.next().await {
            if matches!(
                event.context("the watch broke off")?,
                WatchEvent::Deleted(_)
            ) {
                first.get_or_insert_with(Instant::now);
                gone += 1;
                if gone == count {
                    break;
                }
            }
        }
        anyhow::ensure!(gone == count, "only {gone} of {count} went");
        let seconds = first.map_or(f64::NAN, |first| first.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "thousands of objects")]
        Ok((count - 1) as f64 / seconds)
    }
}

fn thing(namespace: &str, number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": format!("log-{number}"), "namespace": namespace, "labels": { "app": "log", "part": "build" } },
        "data": { "log": "x".repeat(800) }
    })
}

fn policy(namespace: &str, at_most: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": { "name": "logs", "namespace": namespace },
        "spec": {
            "dataCategory": "InfrastructureTelemetry", "basis": "a benchmark",
            "select": [{ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "app": "log" } }],
            "keep": { "atMost": at_most },
            "disposal": { "mode": "Dispose", "propagation": "Background" }
        }
    })
}

fn resident(pid: i32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no resident size")?;
    line.trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .context("no number")
}
