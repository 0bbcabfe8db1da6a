//! What a grant and an enrolled namespace cost, counted: calls by verb and resource from the audit log, writes and bytes from
//! the history of the store. The same on every machine.
//!
//! May not: measure time. The audit log that it needs costs some.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::json;
use testbed::audit::{AuditEvent, AuditLog, Marker};
use testbed::{Cluster, eventually};

use crate::objects::{self, grant, grants, namespace, namespaces};
use crate::say;

/// Without a writing call of the operator for so long, it is at rest: longer than it puts off any write.
const REST: Duration = Duration::from_secs(12);

/// Counts and prints.
pub async fn measure(covenant: &Path, count: usize) -> anyhow::Result<()> {
    let (cluster, engineer) = objects::audited_cluster().await?;
    let client = engineer.client()?;
    let counter = Counter {
        user: cluster.operator_identity().await?.name().to_owned(),
        audit: cluster.audit()?,
        cluster: &cluster,
    };
    let list = (0..count)
        .map(|number| namespace(&format!("acme-{number}")))
        .collect();
    objects::create(&client, &namespaces(), list, 16).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let place = counter.place().await?;
    let mut operator = cluster.start_operator(covenant).await?;
    counter.rest().await?;
    counter
        .tell("cold start, an enrolled namespace", place, count)
        .await?;

    let list = |first: usize| {
        (first..first + count)
            .map(|number| grant("acme-0", &format!("grant-{number}")))
            .collect::<Vec<_>>()
    };
    let place = counter.place().await?;
    for (number, object) in list(0).into_iter().enumerate() {
        objects::create(&cluster.admin().client()?, &grants(), vec![object], 1).await?;
        open(&operator, number + 1).await?;
    }
    counter.rest().await?;
    counter
        .tell("opened one by one, a grant", place, count)
        .await?;

    let place = counter.place().await?;
    objects::create(&cluster.admin().client()?, &grants(), list(count), 16).await?;
    open(&operator, 2 * count).await?;
    counter.rest().await?;
    counter
        .tell("opened together, a grant", place, count)
        .await?;

    let place = counter.place().await?;
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.admin().client()?, "acme-0", &grants());
    let revoked = Patch::Merge(json!({ "spec": { "revoked": { "reason": "contract ended" } } }));
    for number in 0..count {
        let name = format!("grant-{number}");
        api.patch(&name, &PatchParams::default(), &revoked)
            .await
            .context("the revocation is refused")?;
        open(&operator, 2 * count - number - 1).await?;
    }
    counter.rest().await?;
    counter
        .tell("closed one by one, a grant", place, count)
        .await?;

    let place = counter.place().await?;
    operator.restart()?;
    operator.wait_ready().await?;
    counter.rest().await?;
    counter.tell("started again, in all", place, 1).await?;
    operator.stop().await?;
    Ok(())
}

async fn open(operator: &testbed::operator::Operator, count: usize) -> anyhow::Result<()> {
    let line = format!("covenant_open_paths {count}\n");
    eventually("the paths are open", Duration::from_secs(60), async || {
        let text = operator.get("/metrics").await?.text;
        anyhow::ensure!(text.contains(&line), "not yet");
        anyhow::Ok(())
    })
    .await
}

/// Where both logs stood.
#[derive(Clone, Copy)]
struct Place {
    marker: Marker,
    revision: u64,
}

struct Counter<'a> {
    cluster: &'a Cluster,
    audit: AuditLog,
    user: String,
}

impl Counter<'_> {
    async fn place(&self) -> anyhow::Result<Place> {
        Ok(Place {
            marker: self.audit.marker().await?,
            revision: self.cluster.etcd()?.revision().await?,
        })
    }

    /// Waits until the operator has written nothing for a while.
    async fn rest(&self) -> anyhow::Result<()> {
        for _ in 0..60 {
            let marker = self.audit.marker().await?;
            tokio::time::sleep(REST).await;
            if self.audit.mutating(&self.user, marker).await?.is_empty() {
                return Ok(());
            }
        }
        anyhow::bail!("the operator does not come to rest")
    }

    async fn tell(&self, what: &str, since: Place, units: usize) -> anyhow::Result<()> {
        let events = self.audit.since(since.marker).await?;
        let ours: Vec<&AuditEvent> = events
            .iter()
            .filter(|event| event.user() == self.user && event.verb != "watch")
            .collect();
        let refused = ours.iter().filter(|event| event.code() >= 400).count();
        let writes = ours.iter().filter(|event| event.is_mutating()).count();
        let (revisions, bytes) = self.stored(since.revision).await?;
        say(&format!(
            "  {what}: {} writing calls ({refused} of all were refused), {} revisions and {} bytes stored by anyone",
            each(writes, units),
            each(revisions, units),
            each(bytes, units),
        ))?;
        let mut by_sort: BTreeMap<(String, String), usize> = BTreeMap::new();
        for event in ours {
            let resource = match event.subresource() {
                "" => event.resource().to_owned(),
                subresource => format!("{}/{subresource}", event.resource()),
            };
            *by_sort.entry((event.verb.clone(), resource)).or_default() += 1;
        }
        for ((verb, resource), calls) in by_sort {
            say(&format!(
                "    {:>8}  {verb:<8} {resource}",
                each(calls, units)
            ))?;
        }
        Ok(())
    }

    /// Writes to what the operator's work is about, by whomever: also the caller's grants, and the Job controller's steps.
    async fn stored(&self, since: u64) -> anyhow::Result<(usize, usize)> {
        let kinds = [
            "/privacy.cloudnexus.io/",
            "/networkpolicies/",
            "/jobs/",
            "/events/",
        ];
        let history = self.cluster.etcd()?.history_since(since).await?;
        let of_interest = history
            .iter()
            .filter(|event| kinds.iter().any(|kind| event.key.contains(kind)));
        let sizes: Vec<usize> = of_interest
            .map(|event| event.object().map_or(0, |object| object.to_string().len()))
            .collect();
        Ok((sizes.len(), sizes.iter().sum()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand calls")]
fn each(count: usize, units: usize) -> String {
    if units == 1 {
        count.to_string()
    } else {
        format!("{:.2}", count as f64 / units as f64)
    }
}
