//! Pods stay on the pod network, and the node carries nothing for them.

use serde_json::{Value, json};
use testbed::names::{LABEL_STAGE, LABEL_TENANT};

use crate::stage::{PATIENCE, gone, passes, patch, refused, stage};

const GUARD: &str = "covenant-pods";

fn pod(namespace: &str, name: &str, change: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace },
        "spec": { "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "none" }] },
    });
    merge(&mut pod, change);
    pod
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

fn container(change: &Value) -> Value {
    let mut container = json!({ "name": "main", "image": "none" });
    merge(&mut container, change);
    json!({ "spec": { "containers": [container] } })
}

fn init(change: &Value) -> Value {
    let mut container = json!({ "name": "first", "image": "none", "restartPolicy": "Always" });
    merge(&mut container, change);
    json!({ "spec": { "initContainers": [container] } })
}

fn volume(kind: &str, source: &Value) -> Value {
    json!({ "spec": { "volumes": [{ "name": "data", kind: source }] } })
}

/// What is refused, and a word that the refusal must say.
fn outside() -> Vec<(Value, &'static str)> {
    let host = json!({ "httpGet": { "host": "203.0.113.7", "port": 80 } });
    let socket = json!({ "tcpSocket": { "host": "203.0.113.7", "port": 80 } });
    vec![
        (json!({ "spec": { "hostNetwork": true } }), "hostNetwork"),
        (json!({ "spec": { "hostPID": true } }), "hostPID"),
        (json!({ "spec": { "hostIPC": true } }), "hostIPC"),
        (
            container(&json!({ "ports": [{ "containerPort": 80, "hostPort": 80 }] })),
            "hostPort in main",
        ),
        (
            init(&json!({ "ports": [{ "containerPort": 80, "hostPort": 80 }] })),
            "hostPort in first",
        ),
        (volume("hostPath", &json!({ "path": "/" })), "volume data"),
        (
            volume("nfs", &json!({ "server": "203.0.113.7", "path": "/" })),
            "volume data",
        ),
        (
            volume(
                "iscsi",
                &json!({ "targetPortal": "203.0.113.7", "iqn": "iqn.2001-04.com.example:a", "lun": 0 }),
            ),
            "volume data",
        ),
        (
            volume("cephfs", &json!({ "monitors": ["203.0.113.7"] })),
            "volume data",
        ),
        (
            volume("rbd", &json!({ "monitors": ["203.0.113.7"], "image": "a" })),
            "volume data",
        ),
        (
            volume("glusterfs", &json!({ "endpoints": "a", "path": "a" })),
            "volume data",
        ),
        (
            volume("csi", &json!({ "driver": "a.example" })),
            "volume data",
        ),
        (
            volume("fc", &json!({ "targetWWNs": ["a"], "lun": 0 })),
            "volume data",
        ),
        (
            volume("flexVolume", &json!({ "driver": "a/b" })),
            "volume data",
        ),
        (
            volume("azureFile", &json!({ "secretName": "a", "shareName": "a" })),
            "volume data",
        ),
        (
            container(&json!({ "livenessProbe": host })),
            "probe of main",
        ),
        (
            container(&json!({ "readinessProbe": socket })),
            "probe of main",
        ),
        (container(&json!({ "startupProbe": host })), "probe of main"),
        (init(&json!({ "startupProbe": socket })), "probe of first"),
        (
            container(&json!({ "lifecycle": { "postStart": host } })),
            "hook of main",
        ),
        (
            container(&json!({ "lifecycle": { "preStop": host } })),
            "hook of main",
        ),
        (
            init(&json!({ "lifecycle": { "preStop": host } })),
            "hook of first",
        ),
    ]
}

/// What is ordinary.
fn inside() -> Vec<Value> {
    let mut ordinary = container(&json!({
        "ports": [{ "containerPort": 80 }],
        "livenessProbe": { "httpGet": { "port": 80 } }, "readinessProbe": { "tcpSocket": { "port": 80 } },
        "startupProbe": { "exec": { "command": ["true"] } },
        "lifecycle": { "preStop": { "httpGet": { "port": 80 } } },
    }));
    ordinary["spec"]["volumes"] = json!([
        { "name": "a", "configMap": { "name": "a" } }, { "name": "b", "secret": { "secretName": "a" } },
        { "name": "c", "emptyDir": {} }, { "name": "d", "persistentVolumeClaim": { "claimName": "a" } },
        { "name": "e", "downwardAPI": { "items": [{ "path": "a", "fieldRef": { "fieldPath": "metadata.name" } }] } },
        { "name": "f", "projected": { "sources": [{ "serviceAccountToken": { "path": "a", "audience": "a" } }] } },
        { "name": "g", "ephemeral": { "volumeClaimTemplate": { "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } } } },
    ]);
    vec![json!({}), ordinary]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_leaves_the_pod_network_is_refused() {
    let stage = stage().await;
    let name = "pods-outside";
    stage.enrolled(name, "acme").await;
    let attackers = stage.attackers(name).await;
    for (number, (change, word)) in outside().iter().enumerate() {
        // Everybody tries something; all try the first.
        for (turn, who) in attackers.iter().enumerate() {
            if number == 0 || number % attackers.len() == turn {
                let made = who
                    .kubectl_with(
                        &["create", "-f", "-"],
                        &pod(name, "out", change).to_string(),
                    )
                    .await
                    .unwrap();
                refused(made, GUARD, &["pods-outside/out", word]);
            }
        }
    }
    let tenant = stage.tenant(name).await;
    for (number, change) in inside().iter().enumerate() {
        tenant
            .apply_object(&pod(name, &format!("in-{number}"), change))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_makes_no_such_pod_either() {
    let stage = stage().await;
    let name = "pods-workload";
    stage.enrolled(name, "acme").await;
    let tenant = stage.tenant(name).await;
    let deployment = |own: &str, host: bool| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": own, "namespace": name },
            "spec": { "selector": { "matchLabels": { "app": own } }, "template": {
                "metadata": { "labels": { "app": own } },
                "spec": { "hostNetwork": host, "terminationGracePeriodSeconds": 0, "containers": [{ "name": "main", "image": "none" }] } } },
        })
    };
    tenant
        .apply_object(&deployment("host", true))
        .await
        .unwrap();
    tenant
        .apply_object(&deployment("plain", false))
        .await
        .unwrap();
    testbed::eventually(
        "the refusal is an event, and the other has its pod",
        PATIENCE,
        async || {
            let events = tenant
                .kubectl(&["get", "events", "-n", name, "-o", "yaml"])
                .await?
                .success()?
                .stdout;
            anyhow::ensure!(
                events.contains("FailedCreate") && events.contains("hostNetwork"),
                "{events}"
            );
            let pods = tenant.get(&["pods", "-n", name]).await?;
            anyhow::ensure!(
                pods["items"].as_array().is_some_and(|pods| pods.len() == 1),
                "{pods}"
            );
            Ok::<_, anyhow::Error>(())
        },
    )
    .await
    .unwrap();
    passes(
        stage
            .admin()
            .kubectl(&["delete", "namespace", name, "--wait=false"])
            .await
            .unwrap(),
    );
    gone(stage.admin(), &["namespace", name], PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_tended_but_not_entered() {
    let stage = stage().await;
    let name = "pods-before";
    stage.labelled(name, &[]).await;
    let tenant = stage.tenant(name).await;
    let mut old = pod(name, "old", &json!({ "spec": { "hostNetwork": true } }));
    old["metadata"]["finalizers"] = json!(["acme.example/stay"]);
    for object in [old, pod(name, "plain", &json!({}))] {
        passes(
            tenant
                .kubectl_with(&["create", "-f", "-"], &object.to_string())
                .await
                .unwrap(),
        );
    }
    stage.enrolled(name, "acme").await;
    let of = ["pod", "old", "-n", name];
    passes(
        patch(
            &tenant,
            &of,
            &json!({ "metadata": { "labels": { "team": "a" } } }),
        )
        .await,
    );
    let image = json!([{ "op": "replace", "path": "/spec/containers/0/image", "value": "other" }])
        .to_string();
    let answer = tenant
        .kubectl(&[
            "patch",
            of[0],
            of[1],
            of[2],
            of[3],
            "--type=json",
            "-p",
            &image,
        ])
        .await
        .unwrap();
    refused(answer, GUARD, &["old", "hostNetwork"]);
    let entering =
        json!({ "spec": { "ephemeralContainers": [{ "name": "shell", "image": "none" }] } })
            .to_string();
    for (own, enters) in [("old", false), ("plain", true)] {
        let answer = stage
            .gitops
            .kubectl(&[
                "patch",
                "pod",
                own,
                "-n",
                name,
                "--subresource=ephemeralcontainers",
                "--type=strategic",
                "-p",
                &entering,
            ])
            .await
            .unwrap();
        if enters {
            passes(answer);
        } else {
            refused(answer, GUARD, &["old", "hostNetwork"]);
        }
    }
    passes(
        tenant
            .kubectl(&["delete", "--wait=false", of[0], of[1], of[2], of[3]])
            .await
            .unwrap(),
    );
    passes(patch(&tenant, &of, &json!({ "metadata": { "finalizers": null } })).await);
    gone(&tenant, &of, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observed_namespace_is_warned_and_an_unenrolled_one_notices_nothing() {
    let stage = stage().await;
    stage
        .labelled(
            "pods-observed",
            &[(LABEL_TENANT, "acme"), (LABEL_STAGE, "observe")],
        )
        .await;
    stage.labelled("pods-unenrolled", &[]).await;
    for (name, warned) in [("pods-observed", true), ("pods-unenrolled", false)] {
        let tenant = stage.tenant(name).await;
        for (change, word) in outside() {
            let made = tenant
                .kubectl_with(
                    &["create", "--dry-run=server", "-f", "-"],
                    &pod(name, "out", &change).to_string(),
                )
                .await
                .unwrap();
            let made = passes(made);
            assert_eq!(made.stderr.contains(word), warned, "{word}: {made}");
        }
    }
}

/// What its node says of a pod's address, Services and proxies follow.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_node_says_where_a_pod_is() {
    let stage = stage().await;
    for (name, labels) in [
        ("pod-address", vec![(LABEL_TENANT, "acme")]),
        (
            "pod-address-observing",
            vec![(LABEL_TENANT, "acme"), (LABEL_STAGE, "observe")],
        ),
    ] {
        stage.labelled(name, &labels).await;
        let plain = pod(name, "plain", &json!({}));
        stage.admin().apply_object(&plain).await.unwrap();
        let of = ["pod", "plain", "-n", name];
        let says = async |who: &testbed::Identity, status: Value| {
            let text = json!({ "status": status }).to_string();
            let mut arguments = vec!["patch", "--subresource=status", "--type=merge", "-p", &text];
            arguments.extend(of);
            who.kubectl(&arguments).await.unwrap()
        };
        let boss = stage.cluster.namespace_cluster_admin(name).await.unwrap();
        for status in [
            json!({ "podIP": "198.51.100.7" }),
            json!({ "podIP": "198.51.100.7", "podIPs": [{ "ip": "198.51.100.7" }] }),
        ] {
            refused(
                says(&boss, status).await,
                "covenant-network-addresses",
                &["plain", "written by its node"],
            );
        }
        passes(says(&boss, json!({ "message": "tended" })).await);
        // What plays a node writes the status of every pod.
        let rules = json!([{ "apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "patch"] }]);
        stage
            .cluster
            .give("virtual-node", "virtual-node", &rules)
            .await
            .unwrap();
        let node = stage.cluster.identity("virtual-node").await.unwrap();
        passes(
            says(
                &node,
                json!({ "podIP": "198.51.100.8", "podIPs": [{ "ip": "198.51.100.8" }] }),
            )
            .await,
        );
        let kubelet = "system:node:address-node";
        let rules = json!([{ "apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "patch"] }]);
        stage
            .cluster
            .give(kubelet, "address-node", &rules)
            .await
            .unwrap();
        let kubelet = stage
            .cluster
            .identity_in_group(kubelet, Some("system:nodes"))
            .await
            .unwrap();
        passes(
            says(
                &kubelet,
                json!({ "podIP": "198.51.100.9", "podIPs": [{ "ip": "198.51.100.9" }] }),
            )
            .await,
        );
    }
}
