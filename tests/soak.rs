//! Deletes without end under a hold, with the operator alive, dead, and killed at every write: not one goes through, counted
//! from the API server's own audit log. A few thousand here; `make soak` makes a million. And holds in the midst of disposals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(dead_code, reason = "shared with the stories, which use more of it")]
#[path = "stories/stage.rs"]
mod stage;

#[allow(
    dead_code,
    reason = "shared with the stories about retention, which use more of it"
)]
#[path = "retention_stories/case.rs"]
mod case;
#[path = "soak/retention.rs"]
mod retention;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use kube::Client;
use serde_json::{Value, json};
use stage::{COVENANT, PATIENCE, Stage};
use testbed::eventually;
use testbed::operator::{Operator, OperatorOptions};
use testbed::proxy::{Fault, Moment, Proxy, Rule};

/// Attempts between two looks at the audit log.
const BATCH: usize = 2_000;
/// Clients that try at once.
const CLIENTS: usize = 4;

fn attempts() -> usize {
    let asked = std::env::var("COVENANT_SOAK").ok();
    asked.map_or(6_000, |number| {
        number
            .parse()
            .expect("COVENANT_SOAK is a number of deletes")
    })
}

/// What is held: paths of objects, and of the collections that they are in.
fn held(namespace: &str) -> Vec<(String, Value)> {
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    let core = format!("/api/v1/namespaces/{namespace}");
    let template = json!({ "metadata": { "labels": { "app": "a" } }, "spec": { "containers": [{ "name": "a", "image": "a" }] } });
    let mut objects = vec![
        (
            format!("{core}/secrets"),
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata("a") }),
        ),
        (
            format!("{core}/services"),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata("a"), "spec": { "ports": [{ "port": 80 }] } }),
        ),
        (
            format!("{core}/persistentvolumeclaims"),
            json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata("a"),
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } }),
        ),
        (
            format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("a"),
            "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "a" } }, "template": template } }),
        ),
    ];
    for number in 0..20 {
        let name = format!("ledger-{number}");
        objects.push((
            format!("{core}/configmaps"),
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(&name) }),
        ));
    }
    objects
}

struct Hammer {
    clients: Vec<Client>,
    paths: Vec<String>,
    made: AtomicUsize,
    through: AtomicUsize,
}

impl Hammer {
    /// So many attempts, by all clients at once, over every path in turn.
    async fn swing(self: &Arc<Self>, attempts: usize) {
        let mut tasks = Vec::new();
        for index in 0..CLIENTS {
            let (hammer, client) = (
                Arc::clone(self),
                self.clients[index % self.clients.len()].clone(),
            );
            tasks.push(tokio::spawn(async move {
                for number in 0..attempts / CLIENTS {
                    let path = &hammer.paths[(number * CLIENTS + index) % hammer.paths.len()];
                    let request = Request::delete(path.as_str()).body(Vec::new()).unwrap();
                    let answer = client.request_text(request).await;
                    hammer.made.fetch_add(1, Ordering::Relaxed);
                    if answer.is_ok() {
                        hammer.through.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}

/// Operators that die at their next write, one after the other, until told to stop. Returns how many died.
async fn dying(stage: &Stage, proxy: &Proxy, stop: &AtomicBool) -> usize {
    let identity = stage.cluster.operator_identity().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&identity).unwrap();
    let mut deaths = 0;
    while !stop.load(Ordering::Relaxed) {
        let operator = Operator::start(
            &stage.cluster,
            COVENANT.as_ref(),
            &kubeconfig,
            OperatorOptions::default(),
        )
        .unwrap();
        let moments = [
            Moment::BeforeForwarding,
            Moment::BeforeAnswering,
            Moment::AfterAnswering,
        ];
        let fault = Fault::kill(moments[deaths % moments.len()], operator.killer());
        let rule = proxy.add(Rule::new(fault, |seen| seen.mutating.is_some()).skip(deaths % 3));
        let patience = tokio::time::Instant::now() + Duration::from_secs(5);
        while operator.is_running() && tokio::time::Instant::now() < patience {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        deaths += usize::from(!operator.is_running());
        proxy.remove(rule);
        operator.kill();
    }
    deaths
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_deletes_under_a_hold_none_goes_through_whatever_becomes_of_the_operator() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("soaked").await;
    let admin = stage.cluster.admin();
    let objects = held(&tenant.name);
    for (_, object) in &objects {
        admin
            .apply(&object.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    let hold = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "metadata": { "name": "case-1", "namespace": tenant.name },
        "spec": { "matter": "CASE-1", "ground": "LegalProceeding", "reason": "letter", "effects": ["PreventDeletion", "SuspendSharing"] }
    });
    stage
        .officer
        .apply(&hold.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the hold is proven", PATIENCE, || async {
        let held = admin.get(&["phold", "case-1", "-n", &tenant.name]).await?;
        anyhow::ensure!(stage::condition(&held, "Enforced").0 == "True", "{held}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let mut paths: Vec<String> = objects
        .iter()
        .map(|(collection, object)| {
            format!(
                "{collection}/{}",
                object["metadata"]["name"].as_str().unwrap()
            )
        })
        .collect();
    paths.push(format!("/api/v1/namespaces/{}/configmaps", tenant.name));
    paths.push(format!("/api/v1/namespaces/{}", tenant.name));
    let by = [
        admin.clone(),
        stage.cluster.gitops().await.unwrap(),
        tenant.admin.clone(),
        stage
            .cluster
            .namespace_cluster_admin(&tenant.name)
            .await
            .unwrap(),
    ];
    let hammer = Arc::new(Hammer {
        clients: by
            .iter()
            .map(|identity| identity.client().unwrap())
            .collect(),
        paths,
        made: AtomicUsize::new(0),
        through: AtomicUsize::new(0),
    });
    let audit = stage.cluster.audit().unwrap();
    let mut marker = audit.marker().await.unwrap();
    let (mut counted, mut successes, mut deaths) = (0, 0, 0);
    let each = attempts() / 3;
    for mode in ["alive", "dead", "killed at every write"] {
        if mode == "dead" {
            stage.operator.kill();
        }
        let stop = AtomicBool::new(false);
        let proxy = Proxy::start(&stage.cluster).await.unwrap();
        let hammering = async {
            let mut left = each;
            while left > 0 {
                let batch = left.min(BATCH);
                hammer.swing(batch).await;
                left -= batch;
                let next = audit.marker().await.unwrap();
                for event in audit.since(marker).await.unwrap() {
                    let is_delete = matches!(event.verb.as_str(), "delete" | "deletecollection");
                    // The cluster's own clean-up elsewhere, and the operator's canaries, are none of the attempts.
                    if is_delete
                        && event.namespace() == tenant.name
                        && !event.is_dry_run()
                        && event.resource() != "events"
                    {
                        counted += 1;
                        successes += usize::from(event.code() < 300);
                    }
                }
                marker = next;
            }
            stop.store(true, Ordering::Relaxed);
        };
        if mode == "killed at every write" {
            let ((), died) = tokio::join!(hammering, dying(&stage, &proxy, &stop));
            deaths = died;
        } else {
            hammering.await;
        }
    }
    println!(
        "{counted} deletes in the audit log, {successes} of them went through; the operator died {deaths} times"
    );
    assert_eq!(hammer.through.load(Ordering::Relaxed), 0);
    assert_eq!(successes, 0);
    assert!(
        counted >= hammer.made.load(Ordering::Relaxed)
            && hammer.made.load(Ordering::Relaxed) + CLIENTS * 3 * 8 >= each * 3,
        "{counted}"
    );
    assert!(deaths > 0);
    for path in &hammer.paths {
        let request = Request::get(path.as_str()).body(Vec::new()).unwrap();
        admin.client().unwrap().request_text(request).await.unwrap();
    }
    let there = admin
        .get(&["configmaps", "-n", &tenant.name])
        .await
        .unwrap();
    assert_eq!(
        there["items"].as_array().unwrap().len(),
        21,
        "twenty, and the cluster's own certificate"
    );
}
