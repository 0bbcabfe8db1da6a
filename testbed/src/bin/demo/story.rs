//! The story: two tenants, a vendor, a grant that opens one path, and the ways in which it closes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use testbed::judge::{End, Judge, Traffic};
use testbed::names::{LABEL_GRANT_UID, LABEL_TENANT};
use testbed::{Cluster, Identity, eventually};

use crate::objects::{self, Grant};
use crate::stage::Stage;

const PATIENCE: Duration = Duration::from_secs(30);

/// Tells it.
pub async fn tell(stage: &Stage, cluster: &Cluster, covenant: &Path) -> anyhow::Result<()> {
    let engineer = cluster.platform_engineer().await?;
    stage.say("The operator: the release binary, as the chart's ServiceAccount and with its rights alone.")?;
    let mut operator = cluster.start_operator(covenant).await?;
    stage.seen("ready: every kind that it reads is in its picture of the cluster")?;

    enrolment(stage, &engineer).await?;
    let tenant = cluster.tenant_admin("acme-prod").await?;
    let before = reach(cluster).await?;
    opening(stage, cluster, &tenant, &before).await?;
    the_tenant_tries(stage, cluster, &tenant).await?;
    agreement_ends(stage, cluster, &engineer, &tenant, &before).await?;
    the_operator_is_dead(stage, cluster, &tenant, &mut operator).await?;
    refusal(stage, &tenant).await?;
    operator
        .stop()
        .await
        .context("the operator did not end as asked")?;
    stage.seen("the operator was told to end, finished what it was writing, and ended")?;
    Ok(())
}

async fn enrolment(stage: &Stage, engineer: &Identity) -> anyhow::Result<()> {
    stage.chapter("The platform team enrols two tenants and registers two vendors")?;
    stage.apply(engineer, objects::BASELINE).await?.success()?;
    stage
        .apply(engineer, &objects::namespace("acme-prod", "acme"))
        .await?
        .success()?;
    stage
        .apply(engineer, &objects::namespace("globex-prod", "globex"))
        .await?
        .success()?;
    let now = Timestamp::now();
    let next_year = days(now, 200);
    stage
        .apply(
            engineer,
            &objects::vendor("datadog", "Datadog", "203.0.113.0/24", now, &next_year),
        )
        .await?
        .success()?;
    let second = objects::vendor("pagerduty", "PagerDuty", "198.51.100.0/24", now, &next_year);
    engineer.apply(&second).await?.success()?;
    eventually("both namespaces are enforced", PATIENCE, || async {
        for namespace in ["acme-prod", "globex-prod"] {
            let posture = engineer
                .get(&["posture", "current", "-n", namespace])
                .await?;
            // Without its baseline a namespace is enforced too, and denies everything.
            for kind in ["Ready", "Enforced"] {
                let is = condition(&posture, kind);
                ensure!(is == "True", "{namespace}: {kind} is {is}");
            }
        }
        anyhow::Ok(())
    })
    .await?;
    stage.kubectl(engineer, &["get", "posture", "-A"]).await?;
    stage
        .kubectl(engineer, &["get", "netpol", "-n", "acme-prod"])
        .await?;
    Ok(())
}

async fn opening(
    stage: &Stage,
    cluster: &Cluster,
    tenant: &Identity,
    before: &[bool],
) -> anyhow::Result<()> {
    stage.chapter("The tenant applies a grant: one path opens")?;
    let end = days(Timestamp::now(), 60);
    let grant = Grant {
        name: "metrics-to-datadog",
        vendor: "datadog",
        purpose: "ServiceMonitoring",
        category: "InfrastructureTelemetry",
        not_after: &end,
    };
    stage.apply(tenant, &grant.yaml()).await?.success()?;
    wait_open(tenant, grant.name, true).await?;
    stage
        .kubectl(tenant, &["get", "dsg", "-n", "acme-prod"])
        .await?;
    let columns = "custom-columns=NAME:.metadata.name,OWNER:.metadata.ownerReferences[*].kind,TO:.spec.egress[*].to[*].ipBlock.cidr,PORTS:.spec.egress[*].ports[*].port";
    let selector = LABEL_GRANT_UID;
    stage
        .kubectl(
            tenant,
            &[
                "get",
                "netpol",
                "-n",
                "acme-prod",
                "-l",
                selector,
                "-o",
                columns,
            ],
        )
        .await?;
    let columns = "custom-columns=TIMER:.metadata.name,PARALLELISM:.spec.parallelism,SECONDS:.spec.activeDeadlineSeconds,STARTED:.status.startTime";
    stage
        .kubectl(tenant, &["get", "jobs", "-n", "acme-prod", "-o", columns])
        .await?;
    let during = reach(cluster).await?;
    show_reach(stage, &["before", "now"], &[before, &during])?;
    let differing = before
        .iter()
        .zip(&during)
        .filter(|(before, now)| before != now)
        .count();
    ensure!(
        differing == 1,
        "exactly one cell should differ, and {differing} do"
    );
    stage.seen(
        "exactly one cell differs, by the judgement of cyclonus over the policies that are stored",
    )?;
    Ok(())
}

async fn the_tenant_tries(
    stage: &Stage,
    cluster: &Cluster,
    tenant: &Identity,
) -> anyhow::Result<()> {
    stage.chapter(
        "The tenant, with admin rights in the namespace, tries to keep the path for good",
    )?;
    let timer = first_name(tenant, "jobs").await?;
    let orphan = stage
        .kubectl(
            tenant,
            &[
                "delete",
                "job",
                &timer,
                "-n",
                "acme-prod",
                "--cascade=orphan",
            ],
        )
        .await?;
    ensure!(
        !orphan.is_success(),
        "the timer should not be deleted by a tenant"
    );
    let gitops = cluster.gitops().await?;
    let leave = stage
        .kubectl(
            &gitops,
            &["label", "ns", "acme-prod", &format!("{LABEL_TENANT}-")],
        )
        .await?;
    ensure!(!leave.is_success(), "a wildcard should carry no authority");
    stage.seen(
        "refused by the API server itself; a GitOps controller with every right gets no further",
    )?;
    Ok(())
}

async fn agreement_ends(
    stage: &Stage,
    cluster: &Cluster,
    engineer: &Identity,
    tenant: &Identity,
    before: &[bool],
) -> anyhow::Result<()> {
    stage.chapter("The vendor's agreement ends: the path closes")?;
    let now = Timestamp::now();
    let soon = seconds(now, 6);
    stage.say(&format!(
        "The platform team records that the agreement ends at {soon}."
    ))?;
    engineer
        .apply(&objects::vendor(
            "datadog",
            "Datadog",
            "203.0.113.0/24",
            now,
            &soon,
        ))
        .await?
        .success()?;
    wait_open(tenant, "metrics-to-datadog", false).await?;
    stage
        .kubectl(tenant, &["get", "dsg", "-n", "acme-prod", "-o", "wide"])
        .await?;
    let after = reach(cluster).await?;
    show_reach(stage, &["before", "after"], &[before, &after])?;
    ensure!(
        before == after,
        "after the end everything should be as before"
    );
    stage.seen("as before; renewing the agreement now does not reopen it, only a new generation of the grant would")?;
    Ok(())
}

async fn the_operator_is_dead(
    stage: &Stage,
    cluster: &Cluster,
    tenant: &Identity,
    operator: &mut testbed::operator::Operator,
) -> anyhow::Result<()> {
    stage.chapter("A second grant runs out while the operator is dead")?;
    let end = seconds(Timestamp::now(), 12);
    let grant = Grant {
        name: "alerts-to-pagerduty",
        vendor: "pagerduty",
        purpose: "ServiceMonitoring",
        category: "InfrastructureTelemetry",
        not_after: &end,
    };
    tenant.apply(&grant.yaml()).await?.success()?;
    wait_open(tenant, grant.name, true).await?;
    stage
        .kubectl(
            tenant,
            &["get", "dsg", "alerts-to-pagerduty", "-n", "acme-prod"],
        )
        .await?;
    operator.kill();
    stage.say(&format!(
        "The operator is killed (SIGKILL) at {}. The path should close at {end}.",
        second(Timestamp::now())
    ))?;
    let marker = match cluster.audit() {
        Ok(audit) => Some((audit.marker().await?, audit)),
        Err(_) => None,
    };
    eventually("the path's policy is gone", PATIENCE, || async {
        let policies = tenant
            .get(&["netpol", "-n", "acme-prod", "-l", LABEL_GRANT_UID])
            .await?;
        let left = policies["items"].as_array().map_or(0, Vec::len);
        ensure!(left == 0, "{left} left");
        anyhow::Ok(())
    })
    .await?;
    stage.seen(&format!(
        "gone at {}: its timer's deadline, the cluster's own controllers, and nobody of ours",
        second(Timestamp::now())
    ))?;
    if let Some((marker, audit)) = marker {
        let user = cluster.operator_identity().await?;
        let requests = audit.since(marker).await?;
        let ours = requests
            .iter()
            .filter(|event| event.user() == user.name())
            .count();
        ensure!(ours == 0, "the dead operator made {ours} requests");
        stage.seen(&format!(
            "the API server's audit log of that time: {} requests, none of the operator's",
            requests.len()
        ))?;
    }
    operator.restart()?;
    operator.wait_ready().await?;
    wait_open(tenant, grant.name, false).await?;
    stage.say("The operator is back, and says what happened:")?;
    stage
        .kubectl(tenant, &["get", "dsg", "-n", "acme-prod"])
        .await?;
    Ok(())
}

async fn refusal(stage: &Stage, tenant: &Identity) -> anyhow::Result<()> {
    stage.chapter("A grant that is refused says every reason")?;
    let end = days(Timestamp::now(), 30);
    let grant = Grant {
        name: "profiles-for-sale",
        vendor: "pagerduty",
        purpose: "SellDataToThirdParties",
        category: "AccountIdentity",
        not_after: &end,
    };
    tenant.apply(&grant.yaml()).await?.success()?;
    eventually("the grant is refused", PATIENCE, || async {
        let grant = tenant
            .get(&["dsg", "profiles-for-sale", "-n", "acme-prod"])
            .await?;
        ensure!(condition(&grant, "Stalled") == "True", "not yet");
        anyhow::Ok(())
    })
    .await?;
    let reasons = "jsonpath={range .status.refusals[*]}{.reason}: {.message}{\"\\n\"}{end}";
    stage
        .kubectl(
            tenant,
            &[
                "get",
                "dsg",
                "profiles-for-sale",
                "-n",
                "acme-prod",
                "-o",
                reasons,
            ],
        )
        .await?;
    stage
        .kubectl(tenant, &["get", "dsg", "-n", "acme-prod"])
        .await?;
    Ok(())
}

/// Who is asked about, in the order of the table.
fn questions() -> Vec<(String, Traffic)> {
    let acme =
        |app: &str, ip: &str| End::pod(ip, "acme-prod", &[(LABEL_TENANT, "acme")], &[("app", app)]);
    let globex = || {
        End::pod(
            "10.8.1.2",
            "globex-prod",
            &[(LABEL_TENANT, "globex")],
            &[("app", "metrics-agent")],
        )
    };
    let agent = || acme("metrics-agent", "10.8.0.2");
    let web = || acme("web", "10.8.0.3");
    let vendor = || End::outside("203.0.113.7");
    let ask = |words: &str, traffic| (words.to_owned(), traffic);
    vec![
        ask(
            "acme/metrics-agent → datadog:443",
            Traffic::tcp(agent(), vendor(), 443),
        ),
        ask(
            "acme/metrics-agent → datadog:80",
            Traffic::tcp(agent(), vendor(), 80),
        ),
        ask(
            "acme/web           → datadog:443",
            Traffic::tcp(web(), vendor(), 443),
        ),
        ask(
            "acme/metrics-agent → elsewhere:443",
            Traffic::tcp(agent(), End::outside("192.0.2.9"), 443),
        ),
        ask(
            "acme/metrics-agent → acme/web:8080",
            Traffic::tcp(agent(), web(), 8080),
        ),
        ask(
            "acme/metrics-agent → globex:8080",
            Traffic::tcp(agent(), globex(), 8080),
        ),
        ask(
            "globex             → datadog:443",
            Traffic::tcp(globex(), vendor(), 443),
        ),
        ask(
            "datadog            → acme/metrics-agent:443",
            Traffic::tcp(vendor(), agent(), 443),
        ),
    ]
}

async fn reach(cluster: &Cluster) -> anyhow::Result<Vec<bool>> {
    let policies = cluster.admin().get(&["netpol", "-A"]).await?;
    let policies = policies["items"].as_array().cloned().unwrap_or_default();
    let traffic: Vec<Traffic> = questions()
        .into_iter()
        .map(|(_, traffic)| traffic)
        .collect();
    Judge.evaluate(&policies, &traffic).await
}

fn show_reach(stage: &Stage, columns: &[&str], verdicts: &[&[bool]]) -> anyhow::Result<()> {
    let rows: Vec<(String, Vec<bool>)> = questions()
        .into_iter()
        .enumerate()
        .map(|(row, (words, _))| {
            let cells = verdicts
                .iter()
                .map(|column| column.get(row).copied().unwrap_or_default());
            (words, cells.collect())
        })
        .collect();
    stage.table("who may reach whom", columns, &rows)
}

async fn wait_open(tenant: &Identity, grant: &str, open: bool) -> anyhow::Result<()> {
    let wanted = if open { "True" } else { "False" };
    eventually(
        &format!("grant {grant} has Open={wanted}"),
        PATIENCE,
        || async {
            let object = tenant.get(&["dsg", grant, "-n", "acme-prod"]).await?;
            // A timer ends in the second before the end; until then the grant is still on its way.
            let settled = condition(&object, "Ready") == "True";
            ensure!(
                settled && condition(&object, "Open") == wanted,
                "{}",
                object["status"]
            );
            anyhow::Ok(())
        },
    )
    .await
}

async fn first_name(who: &Identity, kind: &str) -> anyhow::Result<String> {
    let list = who.get(&[kind, "-n", "acme-prod"]).await?;
    let name = list["items"][0]["metadata"]["name"]
        .as_str()
        .map(str::to_owned);
    name.with_context(|| format!("there is none of {kind}"))
}

fn condition(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let found = conditions
        .iter()
        .find(|condition| condition["type"] == kind);
    found
        .and_then(|condition| condition["status"].as_str())
        .unwrap_or("absent")
        .to_owned()
}

fn second(instant: Timestamp) -> String {
    Timestamp::from_second(instant.as_second())
        .unwrap_or(instant)
        .to_string()
}

fn seconds(from: Timestamp, seconds: i64) -> String {
    second(
        from.checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(from),
    )
}

fn days(from: Timestamp, days: i64) -> String {
    seconds(from, days * 86_400)
}
