//! The operator is killed at every write of a scenario, at three moments of each, and a fresh one ends in the same cluster.
//! Then etcd's whole history is replayed: at no revision did a path stand without a running timer that ends in time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[path = "convergence/replay.rs"]
mod replay;
#[path = "stories/stage.rs"]
#[allow(dead_code, reason = "shared with the stories, which use more of it")]
mod stage;

use std::time::Duration;

use serde_json::{Value, json};
use testbed::operator::Operator;
use testbed::proxy::{Fault, Moment, Proxy, Rule};
use testbed::{Cluster, ClusterOptions, Identity};

use stage::{COVENANT, condition, in_days};

const PATIENCE: Duration = Duration::from_secs(120);

/// The people and the cluster of all runs.
struct Lab {
    cluster: Cluster,
    engineer: Identity,
    proxy: Proxy,
}

/// An operator that may be killed at a write, and is replaced at once.
struct Subject<'a> {
    lab: &'a Lab,
    first: Operator,
    second: Option<Operator>,
}

impl<'a> Subject<'a> {
    async fn start(lab: &'a Lab) -> Self {
        let first = lab
            .cluster
            .start_operator_behind(COVENANT, &lab.proxy)
            .await
            .unwrap();
        CURRENT.set(first.killer());
        first.wait_ready().await.unwrap();
        Self {
            lab,
            first,
            second: None,
        }
    }

    /// Replaces it if it was killed.
    async fn keep_alive(&mut self) {
        if self.second.is_none() && !self.first.is_running() {
            self.lab.proxy.clear();
            self.second = Some(self.lab.cluster.start_operator(COVENANT).await.unwrap());
        }
    }

    /// Waits for a grant to be in this state, whoever of the two is alive.
    async fn wait(&mut self, run: &str, grant: &str, wanted: (&str, &str)) {
        let begin = std::time::Instant::now();
        loop {
            self.keep_alive().await;
            let object = self
                .lab
                .cluster
                .admin()
                .get(&["dsg", grant, "-n", run])
                .await
                .unwrap();
            let current =
                object["status"]["observedGeneration"] == object["metadata"]["generation"];
            if current && condition(&object, "Open") == (wanted.0.to_owned(), wanted.1.to_owned()) {
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{run}/{grant} is not {wanted:?}: {}",
                object["status"]
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// One run of the scenario: enrol, two paths open, one is revoked, the other's end is moved.
async fn scenario(lab: &Lab, run: &str, rule: Option<Rule>) -> bool {
    if let Some(rule) = rule {
        lab.proxy.add(rule);
    }
    let mut subject = Subject::start(lab).await;
    let admin = lab.cluster.admin();
    let labels = json!({ "privacy.cloudnexus.io/tenant": "acme" });
    let mut stays = stage::grant(run, "stays", "datadog", &in_days(30));
    let mut goes = stage::grant(run, "goes", "datadog", &in_days(30));
    let list =
        json!({ "apiVersion": "v1", "kind": "List", "items": [stage::namespace(run, &labels)] });
    lab.engineer
        .apply(&list.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let both = json!({ "apiVersion": "v1", "kind": "List", "items": [stays, goes] });
    admin
        .apply(&both.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    subject.wait(run, "stays", ("True", "WithinWindow")).await;
    subject.wait(run, "goes", ("True", "WithinWindow")).await;
    goes["spec"]["revoked"] = json!({ "reason": "contract ended" });
    stays["spec"]["window"]["notAfter"] = json!(in_days(20));
    let both = json!({ "apiVersion": "v1", "kind": "List", "items": [stays, goes] });
    admin
        .apply(&both.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    subject.wait(run, "goes", ("False", "Revoked")).await;
    subject.wait(run, "stays", ("True", "WithinWindow")).await;
    subject.wait_for_rest(run).await;
    // The very last write may have killed it; the fresh one must find nothing to do.
    subject.wait_for_rest(run).await;
    lab.proxy.clear();
    subject.second.is_some()
}

impl Subject<'_> {
    /// Waits until the run's namespace is as it will stay, whoever of the two is alive.
    async fn wait_for_rest(&mut self, run: &str) {
        let begin = std::time::Instant::now();
        loop {
            self.keep_alive().await;
            match at_rest(self.lab, run).await {
                Ok(()) => return,
                Err(seen) => assert!(begin.elapsed() < PATIENCE, "{run} is not at rest: {seen}"),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// Whether the run's namespace is as it will stay: one path, its timer at the new end, the posture telling of it.
async fn at_rest(lab: &Lab, run: &str) -> anyhow::Result<()> {
    let admin = lab.cluster.admin();
    let posture = admin.get(&["posture", "current", "-n", run]).await?;
    anyhow::ensure!(posture["spec"]["openPathCount"] == 1, "{}", posture["spec"]);
    let end = posture["spec"]["openPaths"][0]["closesAt"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    anyhow::ensure!(end > in_days(20) && end < in_days(22), "{end}");
    anyhow::ensure!(
        posture["status"]["observedGeneration"] == posture["metadata"]["generation"],
        "{}",
        posture["status"]
    );
    anyhow::ensure!(
        condition(&posture, "Enforced").0 == "True",
        "{}",
        posture["status"]
    );
    let jobs = admin.get(&["jobs", "-n", run]).await?;
    let jobs = jobs["items"].as_array().cloned().unwrap_or_default();
    anyhow::ensure!(jobs.len() == 1, "{} timers", jobs.len());
    anyhow::ensure!(
        jobs[0]["spec"]["activeDeadlineSeconds"].as_i64() < Some(22 * 86_400),
        "{}",
        jobs[0]["spec"]
    );
    Ok(())
}

/// The namespace's state, without what may differ between two undisturbed runs.
async fn state(lab: &Lab, run: &str) -> String {
    let list = lab
        .cluster
        .admin()
        .get(&["netpol,jobs,dsg,posture", "-n", run])
        .await
        .unwrap();
    let mut objects: Vec<Value> = list["items"].as_array().unwrap().clone();
    for object in &mut objects {
        mask(object, "");
    }
    let mut texts: Vec<String> = objects
        .iter()
        .map(|object| {
            serde_json::to_string_pretty(object)
                .unwrap()
                .replace(run, "RUN")
        })
        .collect();
    texts.sort();
    texts.join("\n")
}

fn mask(value: &mut Value, key: &str) {
    let volatile = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "lastTransitionTime",
        "startTime",
        "activeDeadlineSeconds",
        "privacy.cloudnexus.io/requested-at",
        // The head of the ledger, which every run makes longer.
        "ledger",
        "privacy.cloudnexus.io/grant-uid",
        "generation",
        "observedGeneration",
        "batch.kubernetes.io/controller-uid",
        "controller-uid",
        "kubectl.kubernetes.io/last-applied-configuration",
    ];
    if volatile.contains(&key) {
        *value = Value::Null;
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                mask(field, key);
            }
        }
        Value::Array(items) => {
            for item in items {
                mask(item, "");
            }
        }
        Value::String(text) if text.starts_with("grant-") && text.len() > 11 => {
            let readable = text.len() - 10;
            text.replace_range(readable.., "HASH");
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_write_a_fresh_operator_ends_in_the_same_cluster_and_no_path_ever_stood_unheld()
 {
    let cluster = Cluster::start(ClusterOptions::new().without_audit())
        .await
        .unwrap();
    cluster.install_chart().await.unwrap();
    let engineer = cluster.platform_engineer().await.unwrap();
    for object in [stage::baseline("default", "P90D"), stage::vendor("datadog")] {
        engineer
            .apply(&object.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
    }
    let proxy = Proxy::start(&cluster).await.unwrap();
    let lab = Lab {
        cluster,
        engineer,
        proxy,
    };
    let counts =
        |entry: &testbed::proxy::Seen| entry.is_mutating() && !entry.path.contains("/events");

    // A first run brings what is written once for all; the second is the reference, and says how many writes there are.
    scenario(&lab, "run-zero", None).await;
    let before = lab
        .proxy
        .journal()
        .iter()
        .filter(|entry| counts(&entry.request))
        .count();
    scenario(&lab, "run-reference", None).await;
    let writes = lab
        .proxy
        .journal()
        .iter()
        .filter(|entry| counts(&entry.request))
        .count()
        - before;
    let reference = state(&lab, "run-reference").await;
    assert!(writes >= 10, "the scenario has only {writes} writes");

    let (mut runs, mut kills) = (0, 0);
    for write in 0..writes {
        let all = [
            Moment::BeforeForwarding,
            Moment::BeforeAnswering,
            Moment::AfterAnswering,
        ];
        // All three of each with COVENANT_EXHAUSTIVE (`make soak`).
        let moments = if testbed::effort::is_exhaustive() {
            &all[..]
        } else {
            &all[write % 3..=write % 3]
        };
        for &moment in moments {
            let run = format!("run-{write}-{}", runs % 3);
            // The process is started after the rule is set: the switch kills whichever operator is behind the proxy then.
            let switch = Fault::Switch(moment, std::sync::Arc::new(|| CURRENT.kill()));
            let rule = Rule::new(switch, move |seen| counts(seen))
                .skip(write)
                .times(1);
            kills += usize::from(scenario(&lab, &run, Some(rule)).await);
            let ended = state(&lab, &run).await;
            assert_eq!(ended, reference, "killed at write {write}, {moment:?}");
            runs += 1;
        }
    }
    let history = lab.cluster.etcd().unwrap().history().await.unwrap();
    let (breaches, looks) = replay::replay(&history);
    println!(
        "{writes} writes; {runs} runs, {kills} kills; {} revisions replayed, {looks} looks at standing paths",
        history.len()
    );
    assert!(
        breaches.is_empty(),
        "{} breaches, first: {:?}",
        breaches.len(),
        breaches.first()
    );
    assert!(looks > runs, "paths stood and were looked at");
    assert!(
        kills + 6 >= runs,
        "nearly every run was killed: {kills} of {runs}"
    );
}

/// The operator that is behind the proxy.
struct Current(std::sync::Mutex<Option<testbed::process::Killer>>);

static CURRENT: Current = Current(std::sync::Mutex::new(None));

impl Current {
    fn set(&self, killer: testbed::process::Killer) {
        *self.0.lock().unwrap() = Some(killer);
    }

    fn kill(&self) {
        if let Some(killer) = self.0.lock().unwrap().take() {
            killer.kill();
        }
    }
}
