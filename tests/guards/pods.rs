//! Pods that would get past the network.

use serde_json::{Value, json};

use super::stage::{assert_refused, cluster, enrolled, pod};

#[tokio::test(flavor = "multi_thread")]
async fn no_pod_gets_past_the_network_by_its_node() {
    let cluster = cluster().await;
    enrolled(cluster, "pods").await;
    let probe = |kind: &str, action: Value| json!({ "containers": [{ "name": "app", "image": "app", kind: action }] });
    let http = json!({ "httpGet": { "host": "203.0.113.7", "port": 80 } });
    let tcp = json!({ "tcpSocket": { "host": "203.0.113.7", "port": 80 } });
    let volume =
        |kind: &str, source: Value| json!({ "volumes": [{ "name": "data", kind: source }] });
    let refused = [
        ("hostNetwork", json!({ "hostNetwork": true })),
        ("hostPID", json!({ "hostPID": true })),
        ("hostIPC", json!({ "hostIPC": true })),
        (
            "hostPort",
            json!({ "containers": [{ "name": "app", "image": "app", "ports": [{ "containerPort": 80, "hostPort": 80 }] }] }),
        ),
        (
            "hostPort of an init container",
            json!({ "initContainers": [{ "name": "init", "image": "app", "ports": [{ "containerPort": 80, "hostPort": 80 }] }] }),
        ),
        ("hostPath", volume("hostPath", json!({ "path": "/" }))),
        (
            "nfs",
            volume("nfs", json!({ "server": "203.0.113.7", "path": "/" })),
        ),
        (
            "iscsi",
            volume(
                "iscsi",
                json!({ "targetPortal": "203.0.113.7", "iqn": "iqn.2001-04.example:a", "lun": 0 }),
            ),
        ),
        (
            "cephfs",
            volume("cephfs", json!({ "monitors": ["203.0.113.7"] })),
        ),
        (
            "inline csi",
            volume("csi", json!({ "driver": "csi.example" })),
        ),
        (
            "flexVolume",
            volume("flexVolume", json!({ "driver": "example/flex" })),
        ),
        ("liveness probe", probe("livenessProbe", http.clone())),
        ("readiness probe", probe("readinessProbe", tcp.clone())),
        ("startup probe", probe("startupProbe", http.clone())),
        (
            "postStart",
            probe("lifecycle", json!({ "postStart": http.clone() })),
        ),
        (
            "preStop",
            probe("lifecycle", json!({ "preStop": tcp.clone() })),
        ),
        (
            "probe of a sidecar",
            json!({ "initContainers": [{ "name": "side", "image": "app", "restartPolicy": "Always", "livenessProbe": http }] }),
        ),
    ];
    let attackers = [
        cluster.tenant_admin("pods").await.unwrap(),
        cluster.namespace_cluster_admin("pods").await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
    ];
    for attacker in &attackers {
        for (what, spec) in &refused {
            let made = attacker
                .kubectl_with(
                    &["create", "-f", "-"],
                    &pod("pods", "bad", spec).to_string(),
                )
                .await
                .unwrap();
            assert_refused(attacker, what, &made);
        }
    }
    let fine = json!({
        "volumes": [
            { "name": "a", "emptyDir": {} }, { "name": "b", "configMap": { "name": "b" } }, { "name": "c", "secret": { "secretName": "c" } },
            { "name": "d", "persistentVolumeClaim": { "claimName": "d" } }, { "name": "e", "downwardAPI": {} },
            { "name": "f", "ephemeral": { "volumeClaimTemplate": { "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } } } }
        ],
        "containers": [{ "name": "app", "image": "app", "ports": [{ "containerPort": 80 }], "livenessProbe": { "httpGet": { "port": 80 } } }]
    });
    let tenant = &attackers[0];
    tenant
        .kubectl_with(
            &["create", "-f", "-"],
            &pod("pods", "fine", &fine).to_string(),
        )
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant
        .kubectl(&["label", "pod", "fine", "-n", "pods", "a=b"])
        .await
        .unwrap()
        .success()
        .unwrap();
}
