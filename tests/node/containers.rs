//! A stage with a node, containers that write, and what can be seen of them from outside the cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::node::{IMAGE, Node};
use testbed::tools::Kubernetes;
use testbed::{ClusterOptions, Identity, Output, eventually};
use tokio::sync::OnceCell;

use crate::case::made;
use crate::stage::{Stage, Tenant};

/// How long containers may take to run on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// What a workload asks for, and what a hold must not wait for.
const GRACE: i64 = 600;
/// The volume that every container writes to.
const VOLUME: &str = "data";

/// A cluster with the chart, the operator, the people and a node.
pub struct RealStage {
    // Before the cluster whose folder it is in.
    pub node: Node,
    pub stage: Stage,
}

/// The cluster of most stories. Each story has a namespace of its own.
pub async fn shared() -> &'static RealStage {
    static STAGE: OnceCell<RealStage> = OnceCell::const_new();
    STAGE.get_or_init(RealStage::new).await
}

impl RealStage {
    /// A fresh one, for stories that break things.
    pub async fn new() -> Self {
        // Before a cluster is started for nothing.
        testbed::node::look().unwrap();
        // A kubelet may be no newer than its API server.
        let options = ClusterOptions::new()
            .with_nodes()
            .kubernetes(Kubernetes::V1_36);
        let stage = Stage::with(options).await;
        let begin = Instant::now();
        let node = stage.cluster.start_node().await.unwrap();
        println!(
            "node: ready for pods after {:.1} s",
            begin.elapsed().as_secs_f64()
        );
        Self { node, stage }
    }

    /// A namespace in which one of each kind of workload runs.
    pub async fn with_workloads(&self, name: &str) -> RealTenant<'_> {
        let tenant = self.stage.tenant(name).await;
        for workload in workloads(name) {
            made(&tenant.admin, &workload).await;
        }
        let tenant = RealTenant { real: self, tenant };
        tenant.runs(&EVERYTHING).await;
        tenant
    }
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub app: String,
    pub pod_uid: String,
    pub id: String,
    pub restarts: i64,
}

/// Containers by pod.
pub type Containers = BTreeMap<String, Container>;

/// A container that writes a line five times a second, and hears no request to end.
fn template(app: &str) -> Value {
    let script = "trap '' TERM; while :; do date >>/data/lines; sleep 0.2; done";
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": {
            "terminationGracePeriodSeconds": GRACE,
            "volumes": [{ "name": VOLUME, "emptyDir": {} }],
            "containers": [{
                "name": "app", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", script],
                "volumeMounts": [{ "name": VOLUME, "mountPath": "/data" }]
            }]
        }
    })
}

/// One of each kind of workload that a tenant of one node has.
fn workloads(namespace: &str) -> Vec<Value> {
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    let selector = |app: &str| json!({ "matchLabels": { "app": app } });
    let mut job = template("job");
    job["spec"]["restartPolicy"] = json!("Never");
    vec![
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("web"),
            "spec": { "replicas": 2, "selector": selector("web"), "template": template("web") } }),
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata("db"),
            "spec": { "replicas": 1, "serviceName": "db", "selector": selector("db"), "template": template("db") } }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata("import"),
            "spec": { "backoffLimit": 6, "template": job } }),
        bare(namespace, "bare", GRACE),
    ]
}

/// A pod that nobody makes anew.
fn bare(namespace: &str, name: &str, grace: i64) -> Value {
    let mut pod = template(name);
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    pod["metadata"]["namespace"] = json!(namespace);
    pod["spec"]["terminationGracePeriodSeconds"] = json!(grace);
    pod
}

/// What [`workloads`] come to.
pub const EVERYTHING: [(&str, usize); 4] = [("bare", 1), ("db", 1), ("job", 1), ("web", 2)];

/// A tenant's namespace on a real node.
pub struct RealTenant<'a> {
    pub real: &'a RealStage,
    pub tenant: Tenant<'a>,
}

impl RealTenant<'_> {
    pub fn name(&self) -> &str {
        &self.tenant.name
    }

    /// The containers that the kubelet says are running, of pods that nobody is ending.
    pub async fn containers(&self) -> anyhow::Result<Containers> {
        let admin = self.real.stage.cluster.admin();
        let pods = admin.get(&["pods", "-n", self.name()]).await?;
        let pods = pods["items"].as_array().into_iter().flatten();
        let running = pods.filter_map(|pod| {
            let metadata = &pod["metadata"];
            let status = &pod["status"]["containerStatuses"][0];
            let runs =
                status["state"]["running"].is_object() && metadata["deletionTimestamp"].is_null();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            runs.then(|| {
                let container = Container {
                    app: text(&metadata["labels"]["app"]),
                    pod_uid: text(&metadata["uid"]),
                    id: text(&status["containerID"]),
                    restarts: status["restartCount"].as_i64().unwrap(),
                };
                (text(&metadata["name"]), container)
            })
        });
        Ok(running.collect())
    }

    /// Waits until exactly so many containers of each app run and have written, and returns them.
    pub async fn runs(&self, expected: &[(&str, usize)]) -> Containers {
        let expected: BTreeMap<String, usize> = expected
            .iter()
            .map(|(app, count)| ((*app).to_owned(), *count))
            .collect();
        let attempt = || async {
            let containers = self.containers().await?;
            let mut counts = BTreeMap::new();
            for container in containers.values() {
                *counts.entry(container.app.clone()).or_default() += 1;
            }
            anyhow::ensure!(counts == expected, "{counts:?}");
            let silent = containers.values().find(|each| self.lines(each) == 0);
            anyhow::ensure!(silent.is_none(), "{silent:?} has written nothing");
            Ok(containers)
        };
        let what = format!("the containers of {} run", self.name());
        match eventually(&what, PATIENCE, attempt).await {
            Ok(containers) => containers,
            Err(error) => panic!("{error:#}\n{}", self.real.node.tails(30)),
        }
    }

    /// Makes one more pod that nobody makes anew, with this grace, and returns its container once it writes.
    pub async fn runs_bare(&self, name: &str, grace: i64) -> Container {
        made(&self.tenant.admin, &bare(self.name(), name, grace)).await;
        let what = format!("{name} runs");
        eventually(&what, PATIENCE, || async {
            let mut containers = self.containers().await?;
            let container = containers.remove(name).filter(|each| self.lines(each) > 0);
            container.ok_or_else(|| anyhow::anyhow!("not yet"))
        })
        .await
        .unwrap()
    }

    /// How many lines a container has written, read from the node's disk.
    pub fn lines(&self, container: &Container) -> usize {
        let folder = self.real.node.empty_dir(&container.pod_uid, VOLUME);
        std::fs::read_to_string(folder.join("lines"))
            .map(|text| text.lines().count())
            .unwrap_or_default()
    }

    /// Process ids of a container, as the machine sees them.
    pub fn processes_of(&self, container: &Container) -> Vec<i32> {
        self.real.node.processes_of(&container.id).unwrap()
    }

    /// How many processes these containers have on the machine.
    pub fn processes(&self, containers: &Containers) -> usize {
        containers
            .values()
            .map(|each| self.processes_of(each).len())
            .sum()
    }

    /// Waits until every one of these containers has written more than it had.
    pub async fn all_write(&self, containers: &Containers) {
        let before: Vec<usize> = containers.values().map(|each| self.lines(each)).collect();
        eventually("every container goes on writing", PATIENCE, || async {
            let now: Vec<usize> = containers.values().map(|each| self.lines(each)).collect();
            let all = now.iter().zip(&before).all(|(now, before)| now > before);
            anyhow::ensure!(all, "{before:?} {now:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
    }

    /// The tenant's administrator types this, and it is let through.
    pub async fn may(&self, arguments: &[&str]) {
        let output = self.kubectl(&self.tenant.admin, arguments).await;
        output.success().unwrap();
    }

    /// Nobody may: not even a member of `system:masters`, who types this, and is refused in the name of a hold.
    pub async fn nobody_may(&self, hold: &str, arguments: &[&str]) {
        let output = self
            .kubectl(self.real.stage.cluster.admin(), arguments)
            .await;
        let refusal = output.refusal().unwrap();
        let named = format!("[ProcessingHold {}/{hold}]", self.name());
        assert!(refusal.contains(&named), "{arguments:?}: {refusal}");
    }

    async fn kubectl(&self, who: &Identity, arguments: &[&str]) -> Output {
        let mut all = vec!["-n", self.name()];
        all.extend_from_slice(arguments);
        who.kubectl(&all).await.unwrap()
    }
}
