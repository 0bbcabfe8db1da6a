//! Nobody keeps a path open by touching its timer.

use covenant::api::names::MANAGER_TIMER;
use serde_json::{Value, json};
use testbed::eventually;
use testbed::names::{LABEL_MANAGED_BY, LABEL_STAGE, LABEL_TENANT, MANAGED_BY_COVENANT};

use crate::stage::{
    PATIENCE, Stage, gone, nobody_takes_its_writer_off, passes, patch, put, refused, stage, writes,
};

const GUARD: &str = "covenant-timers";
const PODS: &str = "covenant-timer-pods";
const OWNERSHIP: &str = "covenant-network-ownership";

/// A podless Job with this deadline; ours when it carries the label.
fn job(namespace: &str, name: &str, seconds: u32, ours: bool) -> Value {
    let labels = if ours {
        json!({ LABEL_MANAGED_BY: MANAGED_BY_COVENANT })
    } else {
        json!({})
    };
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": namespace, "labels": labels },
        "spec": {
            "parallelism": 0, "activeDeadlineSeconds": seconds, "ttlSecondsAfterFinished": 0,
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "none", "image": "none" }] } },
        },
    })
}

/// A policy of ours, owned by this timer.
fn path(namespace: &str, name: &str, uid: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "name": name, "namespace": namespace, "labels": { LABEL_MANAGED_BY: MANAGED_BY_COVENANT },
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid }],
        },
        "spec": { "podSelector": { "matchLabels": { "app": "agent" } }, "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }] }] },
    })
}

/// A running timer and the path that it closes, as the operator makes them.
async fn open(stage: &Stage, namespace: &str, seconds: u32) -> Value {
    let name = "grant-metrics";
    stage
        .operator
        .apply_object(&job(namespace, name, seconds, true))
        .await
        .unwrap();
    let timer = eventually("the timer runs", PATIENCE, async || {
        let timer = stage.operator.get(&["job", name, "-n", namespace]).await?;
        anyhow::ensure!(timer["status"]["startTime"].is_string(), "{timer}");
        Ok::<_, anyhow::Error>(timer)
    })
    .await
    .unwrap();
    stage
        .operator
        .apply_object(&path(namespace, name, &timer["metadata"]["uid"]))
        .await
        .unwrap();
    timer
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_operator_touches_a_timer() {
    let stage = stage().await;
    let name = "timer-attacked";
    stage.enrolled(name, "acme").await;
    let timer = open(stage, name, 3600).await;
    let of = ["job", "grant-metrics", "-n", name];
    let url = format!("/apis/batch/v1/namespaces/{name}/jobs/grant-metrics");
    for who in stage.attackers(name).await {
        for change in [
            json!({ "spec": { "activeDeadlineSeconds": 36000 } }),
            json!({ "spec": { "suspend": true } }),
            json!({ "spec": { "ttlSecondsAfterFinished": 36000 } }),
            json!({ "metadata": { "labels": { LABEL_MANAGED_BY: null } } }),
            json!({ "metadata": { "labels": { "mine": "true" } } }),
            json!({ "metadata": { "annotations": { "privacy.cloudnexus.io/closes-at": "2099-01-01T00:00:00Z" } } }),
            json!({ "metadata": { "finalizers": ["acme.example/stay"] } }),
            json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "a" }] } }),
        ] {
            refused(
                patch(&who, &of, &change).await,
                GUARD,
                &["timer", "DataSharingGrant", who.name()],
            );
        }
        let mut moved = timer.clone();
        moved["status"]["startTime"] = json!("2099-01-01T00:00:00Z");
        moved["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        let answer = put(&who, &format!("{url}/status"), &moved).await;
        // Built-in `admin` may not even ask, and the server keeps the start of a running Job by itself.
        if !["cannot update resource", "status.startTime"]
            .iter()
            .any(|words| answer.stderr.contains(words))
        {
            refused(answer, GUARD, &["timer"]);
        }
        for how in ["background", "foreground", "orphan"] {
            let answer = who
                .kubectl(&[
                    "delete",
                    "--wait=false",
                    &format!("--cascade={how}"),
                    of[0],
                    of[1],
                    of[2],
                    of[3],
                ])
                .await
                .unwrap();
            refused(answer, GUARD, &["timer"]);
        }
        let all = who
            .kubectl(&[
                "delete",
                "--raw",
                &format!("/apis/batch/v1/namespaces/{name}/jobs"),
            ])
            .await
            .unwrap();
        refused(all, GUARD, &["grant-metrics"]);
        // And the path itself.
        let policy = ["networkpolicy", "grant-metrics", "-n", name];
        for change in [
            json!({ "metadata": { "ownerReferences": null } }),
            json!({ "metadata": { "finalizers": ["acme.example/stay"] } }),
            json!({ "metadata": { "labels": { LABEL_MANAGED_BY: null } } }),
            json!({ "spec": { "egress": [{ "to": [{ "podSelector": {} }] }] } }),
        ] {
            refused(
                patch(&who, &policy, &change).await,
                OWNERSHIP,
                &["grant-metrics", "DataSharingGrant", who.name()],
            );
        }
        let answer = who
            .kubectl(&["delete", policy[0], policy[1], policy[2], policy[3]])
            .await
            .unwrap();
        refused(answer, OWNERSHIP, &["grant-metrics"]);
    }
    let now = stage.operator.get(&of).await.unwrap();
    assert_eq!(now["spec"], timer["spec"]);
    assert_eq!(now["status"]["startTime"], timer["status"]["startTime"]);
    // The operator sets another end, and closes.
    passes(
        patch(
            &stage.operator,
            &of,
            &json!({ "spec": { "activeDeadlineSeconds": 1800 } }),
        )
        .await,
    );
    passes(
        stage
            .operator
            .kubectl(&[
                "delete",
                "networkpolicy/grant-metrics",
                "job/grant-metrics",
                "-n",
                name,
            ])
            .await
            .unwrap(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_timer_of_ours_look_like_a_strangers() {
    let stage = stage().await;
    let name = "timer-writer";
    stage.enrolled(name, "acme").await;
    writes(
        &stage.operator,
        &job(name, "grant-metrics", 3600, true),
        MANAGER_TIMER,
    )
    .await;
    let of = ["job", "grant-metrics", "-n", name];
    // From here on its controller has written all that it has to write.
    eventually("the timer runs", PATIENCE, async || {
        let timer = stage.operator.get(&of).await?;
        anyhow::ensure!(timer["status"]["startTime"].is_string(), "{timer}");
        Ok::<_, anyhow::Error>(())
    })
    .await
    .unwrap();
    let path = format!("/apis/batch/v1/namespaces/{name}/jobs/grant-metrics");
    nobody_takes_its_writer_off(stage, &of, &path, GUARD).await;
    // By its status the API server changes nothing of the kind itself.
    let mut stored = stage.admin().get(&of).await.unwrap();
    stored["metadata"]["managedFields"] = json!([{}]);
    let by_status = format!("{path}/status");
    passes(put(&stage.gitops, &by_status, &stored).await);
    let managed = ["--show-managed-fields", "job", "grant-metrics", "-n", name];
    let kept = stage.admin().get(&managed).await.unwrap()["metadata"]["managedFields"].to_string();
    assert!(kept.contains(MANAGER_TIMER), "{kept}");
}

/// A Job that is over waits for its pods. One with a grace of a year, taken for a pod of a timer, would keep its path open.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_hangs_a_pod_on_a_timer() {
    let stage = stage().await;
    let (name, other) = ("timer-pods", "timer-pods-observing");
    stage.enrolled(name, "acme").await;
    stage
        .labelled(other, &[(LABEL_TENANT, "acme"), (LABEL_STAGE, "observe")])
        .await;
    let timer = open(stage, name, 6).await;
    let uid = timer["metadata"]["uid"].clone();
    let pod = |namespace: &str, name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace, "labels": labels },
            "spec": { "terminationGracePeriodSeconds": 31_536_000, "nodeName": "somewhere", "containers": [{ "name": "a", "image": "a" }] },
        })
    };
    let create = ["create", "-f", "-"];
    for namespace in [name, other] {
        for who in stage.attackers(namespace).await {
            for key in ["batch.kubernetes.io/controller-uid", "controller-uid"] {
                let hung = pod(namespace, "hung", json!({ key: uid }));
                let made = who.kubectl_with(&create, &hung.to_string()).await.unwrap();
                refused(made, PODS, &["hung", "a Job makes its own pods"]);
            }
        }
    }
    let own = pod(name, "own", json!({ "app": "own" }));
    stage.admin().apply_object(&own).await.unwrap();
    let of = ["pod", "own", "-n", name];
    let label = json!({ "metadata": { "labels": { "batch.kubernetes.io/controller-uid": uid } } });
    for who in stage.attackers(name).await {
        refused(patch(&who, &of, &label).await, PODS, &["own"]);
    }
    for subresource in ["--subresource=status", "--subresource=resize"] {
        // The API server may leave labels out there; then nothing happens.
        let text = label.to_string();
        let arguments = [
            "patch",
            of[0],
            of[1],
            of[2],
            of[3],
            subresource,
            "--type=merge",
            "-p",
            &text,
        ];
        let answer = stage.gitops.kubectl(&arguments).await.unwrap();
        if !answer.is_success() {
            refused(answer, PODS, &["own"]);
        }
        let seen = stage.admin().get(&of).await.unwrap();
        assert_eq!(
            seen["metadata"]["labels"],
            json!({ "app": "own" }),
            "{subresource}"
        );
    }
    let mut waits = pod(name, "waits", json!({ "app": "waits" }));
    waits["spec"]["nodeName"] = Value::Null;
    stage.admin().apply_object(&waits).await.unwrap();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": { "name": "waits", "namespace": name, "labels": { "controller-uid": uid } },
        "target": { "apiVersion": "v1", "kind": "Node", "name": "somewhere" },
    });
    let path = format!("/api/v1/namespaces/{name}/pods/waits/binding");
    let raw = ["create", "--raw", &path, "-f", "-"];
    let bound = stage.gitops.kubectl_with(&raw, &binding.to_string()).await;
    refused(bound.unwrap(), PODS, &["waits"]);
    let note = json!({ "metadata": { "labels": { "app": "other" } } });
    passes(patch(&stage.tenant(name).await, &of, &note).await);
    // The path closes at its end, and a Job of the tenant's own makes its pods.
    let path = ["networkpolicy", "grant-metrics", "-n", name];
    gone(stage.admin(), &path, PATIENCE).await;
    let mut own = job(name, "own", 3600, false);
    own["spec"]["parallelism"] = json!(1);
    stage.tenant(name).await.apply_object(&own).await.unwrap();
    eventually("the Job has its pod", PATIENCE, async || {
        let arguments = ["pods", "-n", name, "-l", "batch.kubernetes.io/job-name=own"];
        let pods = stage.admin().get(&arguments).await?;
        anyhow::ensure!(
            pods["items"].as_array().is_some_and(|pods| pods.len() == 1),
            "{pods}"
        );
        Ok::<_, anyhow::Error>(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn not_even_the_operator_orphans_a_path() {
    let stage = stage().await;
    let name = "timer-orphan";
    stage.enrolled(name, "acme").await;
    open(stage, name, 3600).await;
    let operator = &stage.operator;
    let of = ["job", "grant-metrics", "-n", name];
    let orphan = operator
        .kubectl(&["delete", "--cascade=orphan", of[0], of[1], of[2], of[3]])
        .await
        .unwrap();
    refused(orphan, GUARD, &["orphan", "Background"]);
    // A request that names no propagation orphans, in batch/v1.
    let url = format!("/apis/batch/v1/namespaces/{name}/jobs/grant-metrics");
    refused(
        operator.kubectl(&["delete", "--raw", &url]).await.unwrap(),
        GUARD,
        &["orphan", "Background"],
    );
    let finalizer = json!({ "metadata": { "finalizers": ["orphan"] } });
    refused(patch(operator, &of, &finalizer).await, GUARD, &["orphan"]);
    passes(
        operator
            .kubectl(&["delete", "--cascade=background", of[0], of[1], of[2], of[3]])
            .await
            .unwrap(),
    );
    gone(
        stage.admin(),
        &["networkpolicy", "grant-metrics", "-n", name],
        PATIENCE,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controllers_stolen_name_does_no_more_than_that_controllers_step() {
    let stage = stage().await;
    let name = "timer-stolen-name";
    stage.enrolled(name, "acme").await;
    let timer = open(stage, name, 3600).await;
    let job = ["job", "grant-metrics", "-n", name];
    let deadline = json!({ "spec": { "activeDeadlineSeconds": 36000 } }).to_string();
    let finalizers = json!({ "metadata": { "finalizers": ["acme.example/stay"] } }).to_string();
    for controller in ["job-controller", "generic-garbage-collector"] {
        for change in [&deadline, &finalizers] {
            let answer = stage
                .controller(
                    controller,
                    &[
                        "patch",
                        "--type=merge",
                        "-p",
                        change,
                        job[0],
                        job[1],
                        job[2],
                        job[3],
                    ],
                    "",
                )
                .await;
            refused(answer, GUARD, &["timer"]);
        }
    }
    let mut moved = timer.clone();
    moved["status"]["startTime"] = json!("2099-01-01T00:00:00Z");
    moved["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let url = format!("/apis/batch/v1/namespaces/{name}/jobs/grant-metrics/status");
    let answer = stage
        .controller(
            "job-controller",
            &["replace", "--raw", &url, "-f", "-"],
            &moved.to_string(),
        )
        .await;
    // The server keeps the start of a running Job by itself; the guard is there for one that would not.
    if !answer.stderr.contains("status.startTime") {
        refused(answer, GUARD, &["timer"]);
    }
    for controller in [
        "ttl-after-finished-controller",
        "generic-garbage-collector",
        "namespace-controller",
    ] {
        let answer = stage
            .controller(controller, &["delete", job[0], job[1], job[2], job[3]], "")
            .await;
        refused(answer, GUARD, &["timer"]);
    }
    let policy = ["networkpolicy", "grant-metrics", "-n", name];
    let owners = json!({ "metadata": { "ownerReferences": null } }).to_string();
    let answer = stage
        .controller(
            "generic-garbage-collector",
            &[
                "patch",
                "--type=merge",
                "-p",
                &owners,
                policy[0],
                policy[1],
                policy[2],
                policy[3],
            ],
            "",
        )
        .await;
    refused(answer, OWNERSHIP, &["grant-metrics"]);
    let answer = stage
        .controller(
            "namespace-controller",
            &["delete", policy[0], policy[1], policy[2], policy[3]],
            "",
        )
        .await;
    refused(answer, OWNERSHIP, &["grant-metrics"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_forges_a_timer_not_even_before_enrolment() {
    let stage = stage().await;
    for (name, labels) in [
        ("timer-forged", vec![(LABEL_TENANT, "acme")]),
        ("timer-forged-before", vec![]),
    ] {
        stage.labelled(name, &labels).await;
        for who in stage.attackers(name).await {
            let made = who
                .apply(&job(name, "grant-mine", 9, true).to_string())
                .await
                .unwrap();
            refused(made, GUARD, &["grant-mine"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_does_not_adopt_what_was_made_under_the_name_that_it_needs() {
    let stage = stage().await;
    let name = "timer-squatted";
    stage.enrolled(name, "acme").await;
    let tenant = stage.tenant(name).await;
    tenant
        .apply_object(&job(name, "grant-metrics", 3600, false))
        .await
        .unwrap();
    let mut squat = path(name, "grant-metrics", &json!("a"));
    squat["metadata"]["labels"] = json!({});
    squat["metadata"]["ownerReferences"] = json!([]);
    squat["spec"]["egress"] = json!([{ "to": [{ "podSelector": {} }] }]);
    tenant.apply_object(&squat).await.unwrap();
    for (object, guard) in [
        (job(name, "grant-metrics", 60, true), GUARD),
        (path(name, "grant-metrics", &json!("a")), OWNERSHIP),
    ] {
        let answer = stage
            .operator
            .kubectl_with(
                &["apply", "--server-side", "--force-conflicts", "-f", "-"],
                &object.to_string(),
            )
            .await
            .unwrap();
        refused(answer, guard, &["grant-metrics", "never put on"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_the_tenants_own_are_theirs() {
    let stage = stage().await;
    let name = "timer-not-ours";
    stage.enrolled(name, "acme").await;
    let tenant = stage.tenant(name).await;
    tenant
        .apply_object(&job(name, "own", 3600, false))
        .await
        .unwrap();
    passes(
        patch(
            &tenant,
            &["job", "own", "-n", name],
            &json!({ "spec": { "activeDeadlineSeconds": 1800 } }),
        )
        .await,
    );
    passes(
        tenant
            .kubectl(&["delete", "--cascade=orphan", "job", "own", "-n", name])
            .await
            .unwrap(),
    );
    gone(&tenant, &["job", "own", "-n", name], PATIENCE).await;
    tenant
        .apply_object(&job(name, "short", 1, false))
        .await
        .unwrap();
    gone(&tenant, &["job", "short", "-n", name], PATIENCE).await;
}

/// Hangs an object with a finalizer of its own on each of these, waits for the path to close, and cleans up.
async fn closes_with_dependents_on(name: &str, kinds: &[&str]) -> anyhow::Result<()> {
    let stage = stage().await;
    stage.enrolled(name, "acme").await;
    open(stage, name, 4).await;
    for kind in kinds {
        let owner = stage
            .operator
            .get(&[kind, "grant-metrics", "-n", name])
            .await?;
        let dependent = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": format!("on-{kind}"), "namespace": name, "finalizers": ["acme.example/stay"],
                "ownerReferences": [{ "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "grant-metrics",
                    "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true }] },
        });
        // Who may name a blocking owner depends on the cluster's admission plugins; this one always may.
        stage.gitops.apply_object(&dependent).await?;
    }
    let closed = eventually("the path is gone", PATIENCE, async || {
        let arguments = [
            "get",
            "--ignore-not-found",
            "-o",
            "yaml",
            "networkpolicy",
            "grant-metrics",
            "-n",
            name,
        ];
        let seen = stage.admin().kubectl(&arguments).await?.success()?.stdout;
        anyhow::ensure!(seen.is_empty(), "{seen}");
        Ok::<_, anyhow::Error>(())
    })
    .await;
    for kind in kinds {
        patch(
            stage.admin(),
            &["configmap", &format!("on-{kind}"), "-n", name],
            &json!({ "metadata": { "finalizers": null } }),
        )
        .await;
    }
    closed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hung_on_a_timer_does_not_keep_its_path_open() {
    closes_with_dependents_on("timer-hung-on", &["job"])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hung_on_a_path_does_not_keep_it_open() {
    closes_with_dependents_on("timer-path-hung-on", &["networkpolicy"])
        .await
        .unwrap();
}
