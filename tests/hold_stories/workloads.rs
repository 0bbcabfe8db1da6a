//! Suspend, end and release, with every kind of workload: what the published list said is what happens.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testbed::agent::Agent;
use testbed::{always, eventually};

use crate::case::{TOLD_OF_AN_ENDING, hold, made};
use crate::stage::{PATIENCE, Stage, Tenant, shared};

async fn agent() -> &'static Agent {
    static AGENT: tokio::sync::OnceCell<Agent> = tokio::sync::OnceCell::const_new();
    AGENT
        .get_or_init(|| async { shared().await.cluster.start_agent().await.unwrap() })
        .await
}

fn template(app: &str, grace: i64, volumes: &Value) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": {
            "terminationGracePeriodSeconds": grace, "volumes": volumes,
            "containers": [{ "name": "app", "image": "app" }], "tolerations": [{ "operator": "Exists" }]
        }
    })
}

/// One of each kind of workload.
fn workloads(namespace: &str) -> Vec<Value> {
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    let selector = |app: &str| json!({ "matchLabels": { "app": app } });
    let scratch = json!([{ "name": "scratch", "emptyDir": {} }]);
    let mut job = template("job", 1, &json!([]));
    job["spec"]["restartPolicy"] = json!("Never");
    let mut patient = template("patient", 1, &json!([]));
    patient["spec"]["restartPolicy"] = json!("Never");
    let bare = template("bare", 1, &json!([]));
    vec![
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("web"),
            "spec": { "replicas": 2, "selector": selector("web"), "template": template("web", 600, &scratch) } }),
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata("db"),
            "spec": { "replicas": 1, "serviceName": "db", "selector": selector("db"), "template": template("db", 1, &json!([])) } }),
        json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata("probe"),
            "spec": { "selector": selector("probe"), "template": template("probe", 1, &json!([])) } }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata("import"),
            "spec": { "backoffLimit": 0, "template": job } }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata("patient"),
            "spec": { "backoffLimit": 6, "template": patient } }),
        json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata("nightly"),
            "spec": { "schedule": "0 3 * * *", "jobTemplate": { "spec": { "template": job } } } }),
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "bare", "namespace": namespace, "labels": { "app": "bare" } }, "spec": bare["spec"] }),
    ]
}

/// Running pods by app.
async fn running(stage: &Stage, namespace: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let pods = stage
        .cluster
        .admin()
        .get(&["pods", "-n", namespace])
        .await?;
    let mut apps = BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let alive =
            pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
        if alive {
            let app = pod["metadata"]["labels"]["app"]
                .as_str()
                .unwrap()
                .to_owned();
            *apps.entry(app).or_default() += 1;
        }
    }
    Ok(apps)
}

fn apps(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected
        .iter()
        .map(|(app, pods)| ((*app).to_owned(), *pods))
        .collect()
}

async fn wait_running(stage: &Stage, namespace: &str, expected: &[(&str, usize)]) {
    eventually("the expected pods run", PATIENCE, || async {
        let running = running(stage, namespace).await?;
        anyhow::ensure!(running == apps(expected), "{running:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

const EVERYTHING: [(&str, usize); 6] = [
    ("bare", 1),
    ("db", 1),
    ("job", 1),
    ("patient", 1),
    ("probe", 1),
    ("web", 2),
];

async fn with_workloads<'a>(stage: &'a Stage, name: &str) -> Tenant<'a> {
    let tenant = stage.tenant(name).await;
    agent().await;
    for workload in workloads(name) {
        made(stage.cluster.admin(), &workload).await;
    }
    wait_running(stage, name, &EVERYTHING).await;
    tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_workloads_keep_what_runs_start_nothing_and_go_on_at_release() {
    let stage = shared().await;
    let tenant = with_workloads(stage, "suspended").await;
    let before = stage.workloads_as_written(&tenant.name).await;
    stage
        .holds(&hold(
            &tenant.name,
            "case-1",
            &["PreventDeletion", "SuspendProcessing"],
        ))
        .await;
    let held = stage
        .hold_is(&tenant.name, "case-1", "Suspended", "True", "CutOff")
        .await;
    assert_eq!(held["status"]["ending"], Value::Null);
    for refused in [
        vec!["delete", "pod", "bare", "-n", "suspended"],
        vec!["delete", "pods", "-l", "app=web", "-n", "suspended"],
        vec![
            "scale",
            "deployment",
            "web",
            "--replicas=9",
            "-n",
            "suspended",
        ],
        vec![
            "create",
            "job",
            "by-hand",
            "--from=cronjob/nightly",
            "-n",
            "suspended",
        ],
        vec!["run", "more", "--image=app", "-n", "suspended"],
    ] {
        // A scale is a wish that no pod follows: processing is not more than it was.
        let output = tenant.admin.kubectl(&refused).await.unwrap();
        assert_eq!(
            output.is_success(),
            refused[0] == "scale",
            "{refused:?}: {output}"
        );
    }
    let same = || async {
        let running = running(stage, &tenant.name).await?;
        anyhow::ensure!(running == apps(&EVERYTHING), "{running:?}");
        anyhow::Ok(())
    };
    always(
        "what runs is kept and nothing starts",
        std::time::Duration::from_secs(4),
        same,
    )
    .await
    .unwrap();
    tenant
        .admin
        .kubectl(&[
            "scale",
            "deployment",
            "web",
            "--replicas=2",
            "-n",
            "suspended",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    stage.releases(&tenant.name, "case-1").await;
    stage
        .hold_is(&tenant.name, "case-1", "Restored", "True", "GraceOver")
        .await;
    wait_running(stage, &tenant.name, &EVERYTHING).await;
    let mut after = stage.workloads_as_written(&tenant.name).await;
    // The tenant's own two scales are the only change of a generation.
    let web = after
        .iter_mut()
        .find(|object| object["metadata"]["name"] == "web")
        .unwrap();
    web["metadata"]["generation"] = json!(1);
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_was_published_first_and_comes_back_at_release_but_for_what_was_said_to_be_lost()
{
    let stage = shared().await;
    let tenant = with_workloads(stage, "ended").await;
    let before = stage.workloads_as_written(&tenant.name).await;
    let mut case = hold(
        &tenant.name,
        "case-1",
        &["PreventDeletion", "SuspendProcessing", "EndProcessing"],
    );
    case["spec"]["endingGrace"] = json!("PT4S");
    stage.holds(&case).await;
    let published = stage
        .hold_is(&tenant.name, "case-1", "Ended", "False", "Waiting")
        .await;
    wait_running(stage, &tenant.name, &EVERYTHING).await;
    let losses: Vec<(String, String)> = published["status"]["ending"]["losses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|loss| {
            let object = loss["object"].as_str().unwrap();
            // Names of a Deployment's pods are its controller's to choose.
            let object = object.rsplit_once('-').map_or(object, |(front, _)| front);
            (loss["kind"].as_str().unwrap().to_owned(), object.to_owned())
        })
        .collect();
    let of = |kind: &str| losses.iter().filter(|(loss, _)| loss == kind).count();
    assert_eq!(
        (
            of("EmptyDir"),
            of("Logs"),
            of("BarePod"),
            of("JobAtItsLimit"),
            of("MissedRuns")
        ),
        (2, 7, 1, 1, 1),
        "{losses:?}"
    );
    assert_eq!(published["status"]["ending"]["pods"], 7);
    stage
        .hold_is(&tenant.name, "case-1", "Ended", "True", "Ended")
        .await;
    let pods = stage.get(&["pods", "-n", &tenant.name]).await;
    assert_eq!(
        pods["items"],
        json!([]),
        "also those with a grace of ten minutes"
    );
    stage.releases(&tenant.name, "case-1").await;
    let back = [("db", 1), ("patient", 1), ("probe", 1), ("web", 2)];
    wait_running(stage, &tenant.name, &back).await;
    let job = stage.get(&["job", "import", "-n", &tenant.name]).await;
    let failed = job["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|condition| condition["type"] == "Failed");
    assert!(failed, "{job}");
    stage
        .hold_is(&tenant.name, "case-1", "Restored", "True", "GraceOver")
        .await;
    assert_eq!(before, stage.workloads_as_written(&tenant.name).await);
    // What was ended was ended by the operator, after the list was stored, and by nobody else.
    let uid = published["metadata"]["uid"].as_str().unwrap();
    tenant.events(uid, &TOLD_OF_AN_ENDING).await;
}
