//! What the API server refuses, with no operator running: who tries what, as whom, and what goes on as before.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity, Output, eventually};
use tokio::sync::OnceCell;

const PATIENCE: Duration = Duration::from_secs(120);

/// The one cluster of this file, with the chart and nothing else of ours.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
            cluster.install_chart().await.unwrap();
            cluster
        })
        .await
}

/// A namespace of a test's own, enrolled for acme, in force.
async fn enrolled(cluster: &Cluster, name: &str) -> Identity {
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&namespace(name, "privacy.cloudnexus.io/tenant: acme"))
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", name])
            .await
    })
    .await
    .unwrap();
    engineer
}

fn namespace(name: &str, labels: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
}

/// Everybody who has some right in the namespace and no appointment to enforce.
async fn everybody(cluster: &Cluster, name: &str) -> Vec<Identity> {
    vec![
        cluster.tenant_admin(name).await.unwrap(),
        cluster.second_tenant_admin(name).await.unwrap(),
        cluster.namespace_cluster_admin(name).await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.platform_engineer().await.unwrap(),
        cluster.officer().await.unwrap(),
        cluster.admin().clone(),
    ]
}

fn assert_refused(who: &Identity, what: &str, output: &Output) {
    assert!(
        !output.is_success(),
        "{} got through with {what}: {output}",
        who.name()
    );
    let text = format!("{}{}", output.stderr, output.stdout).to_lowercase();
    assert!(
        text.contains("forbidden") || text.contains("denied"),
        "{} failed for another reason with {what}: {output}",
        who.name()
    );
}

fn timer(namespace: &str, name: &str, seconds: i64) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "namespace": namespace, "labels": { "privacy.cloudnexus.io/managed-by": "covenant" } },
        "spec": {
            "parallelism": 0, "activeDeadlineSeconds": seconds, "ttlSecondsAfterFinished": 0,
            "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "never-run", "image": "never-run" }] } }
        }
    })
}

fn path(namespace: &str, name: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {
            "name": name, "namespace": namespace, "labels": { "privacy.cloudnexus.io/managed-by": "covenant" },
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid }]
        },
        "spec": {
            "podSelector": { "matchLabels": { "app": "agent" } }, "policyTypes": ["Egress"],
            "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }] }]
        }
    })
}

/// A timer and its path, made as the operator makes them.
async fn timer_and_path(cluster: &Cluster, namespace: &str, name: &str, seconds: i64) {
    let operator = cluster.operator_identity().await.unwrap();
    let body = timer(namespace, name, seconds).to_string();
    let created = operator.kubectl_with(&["create", "-o", "json", "-f", "-"], &body);
    let job = created.await.unwrap().json().unwrap();
    let policy = path(namespace, name, job["metadata"]["uid"].as_str().unwrap());
    operator
        .kubectl_with(&["create", "-f", "-"], &policy.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
}

fn policy(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": namespace }, "spec": spec
    })
}

fn pod(namespace: &str, name: &str, spec: &Value) -> Value {
    let mut whole = json!({ "containers": [{ "name": "app", "image": "app" }] });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": namespace }, "spec": whole })
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_appointed_administrator_enrols_moves_or_releases_a_namespace() {
    let cluster = cluster().await;
    let engineer = enrolled(cluster, "enrol-taken").await;
    engineer
        .apply(&namespace("enrol-free", "team: any"))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = "privacy.cloudnexus.io/tenant";
    let attackers = [
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
        cluster.officer().await.unwrap(),
        cluster
            .namespace_cluster_admin("enrol-taken")
            .await
            .unwrap(),
        cluster.tenant_admin("enrol-taken").await.unwrap(),
    ];
    for attacker in &attackers {
        for (what, arguments) in [
            (
                "enrolling",
                vec![
                    "label",
                    "ns",
                    "enrol-free",
                    "privacy.cloudnexus.io/tenant=globex",
                ],
            ),
            (
                "moving",
                vec![
                    "label",
                    "--overwrite",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/tenant=globex",
                ],
            ),
            (
                "releasing",
                vec![
                    "label",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/tenant-",
                ],
            ),
            (
                "observing",
                vec![
                    "label",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/stage=observe",
                ],
            ),
            (
                "another baseline",
                vec![
                    "label",
                    "ns",
                    "enrol-taken",
                    "privacy.cloudnexus.io/baseline=lax",
                ],
            ),
            (
                "preparing",
                vec![
                    "label",
                    "ns",
                    "enrol-free",
                    "privacy.cloudnexus.io/stage=observe",
                ],
            ),
        ] {
            assert_refused(attacker, what, &attacker.kubectl(&arguments).await.unwrap());
        }
        let made = attacker
            .kubectl_with(
                &["create", "-f", "-"],
                &namespace("enrol-born", &format!("{tenant}: acme")),
            )
            .await;
        assert_refused(attacker, "a namespace born enrolled", &made.unwrap());
    }
    let kept = cluster.admin().get(&["ns", "enrol-taken"]).await.unwrap();
    assert_eq!(kept["metadata"]["labels"][tenant], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_finalize_are_no_way_round_enrolment() {
    let cluster = cluster().await;
    enrolled(cluster, "enrol-status").await;
    for attacker in [cluster.gitops().await.unwrap(), cluster.admin().clone()] {
        let patch = r#"{"metadata":{"labels":{"privacy.cloudnexus.io/tenant":null}}}"#;
        let arguments = [
            "patch",
            "ns",
            "enrol-status",
            "--subresource=status",
            "--type=merge",
            "-p",
            patch,
        ];
        assert_refused(
            &attacker,
            "/status",
            &attacker.kubectl(&arguments).await.unwrap(),
        );
        let mut object = cluster.admin().get(&["ns", "enrol-status"]).await.unwrap();
        object["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("privacy.cloudnexus.io/tenant");
        let arguments = [
            "replace",
            "--raw",
            "/api/v1/namespaces/enrol-status/finalize",
            "-f",
            "-",
        ];
        let output = attacker
            .kubectl_with(&arguments, &object.to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "/finalize", &output);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_one_tenant_cannot_take_a_namespace_from_another() {
    let cluster = cluster().await;
    enrolled(cluster, "enrol-one").await;
    cluster
        .appoint("acme-platform", "administer", &["acme"])
        .await
        .unwrap();
    cluster
        .appoint("globex-platform", "administer", &["globex"])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create", "update", "patch"] }]);
    for user in ["acme-platform", "globex-platform"] {
        cluster
            .give(user, &format!("{user}-namespaces"), &rules)
            .await
            .unwrap();
    }
    let (acme, globex) = (
        cluster.identity("acme-platform").await.unwrap(),
        cluster.identity("globex-platform").await.unwrap(),
    );
    let to_globex = [
        "label",
        "--overwrite",
        "ns",
        "enrol-one",
        "privacy.cloudnexus.io/tenant=globex",
    ];
    assert_refused(
        &globex,
        "taking",
        &globex.kubectl(&to_globex).await.unwrap(),
    );
    assert_refused(&acme, "giving", &acme.kubectl(&to_globex).await.unwrap());
    acme.kubectl(&[
        "label",
        "ns",
        "enrol-one",
        "privacy.cloudnexus.io/stage=observe",
    ])
    .await
    .unwrap()
    .success()
    .unwrap();
    acme.kubectl(&["label", "ns", "enrol-one", "privacy.cloudnexus.io/tenant-"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn system_namespaces_and_the_operators_own_are_never_enrolled() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    for name in ["kube-system", "kube-public", "default", "covenant-system"] {
        let output = engineer
            .kubectl(&["label", "ns", name, "privacy.cloudnexus.io/tenant=acme"])
            .await
            .unwrap();
        assert!(output.refusal().unwrap().contains("never enrolled"));
    }
    let output = engineer
        .apply(&namespace(
            "kube-mine",
            "privacy.cloudnexus.io/tenant: acme",
        ))
        .await
        .unwrap();
    assert!(output.refusal().unwrap().contains("never enrolled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_alters_a_timer_or_keeps_it_alive() {
    let cluster = cluster().await;
    enrolled(cluster, "timers").await;
    timer_and_path(cluster, "timers", "grant-a", 3600).await;
    let before = cluster
        .admin()
        .get(&["job", "grant-a", "-n", "timers"])
        .await
        .unwrap();
    for attacker in everybody(cluster, "timers").await {
        let patch = |subresource: &'static str, patch: &str| {
            let mut arguments = vec![
                "patch".to_owned(),
                "job".to_owned(),
                "grant-a".to_owned(),
                "-n".to_owned(),
                "timers".to_owned(),
            ];
            arguments.extend(["--type=merge".to_owned(), "-p".to_owned(), patch.to_owned()]);
            if !subresource.is_empty() {
                arguments.push(format!("--subresource={subresource}"));
            }
            arguments
        };
        let tries = [
            (
                "orphan delete",
                vec![
                    "delete",
                    "job",
                    "grant-a",
                    "-n",
                    "timers",
                    "--cascade=orphan",
                ]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
            (
                "foreground delete",
                vec![
                    "delete",
                    "job",
                    "grant-a",
                    "-n",
                    "timers",
                    "--cascade=foreground",
                ]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
            (
                "collection delete",
                vec![
                    "delete",
                    "jobs",
                    "--all",
                    "-n",
                    "timers",
                    "--cascade=orphan",
                ]
                .into_iter()
                .map(str::to_owned)
                .collect(),
            ),
            (
                "deadline",
                patch("", r#"{"spec":{"activeDeadlineSeconds":99999999}}"#),
            ),
            ("suspend", patch("", r#"{"spec":{"suspend":true}}"#)),
            (
                "time to live",
                patch("", r#"{"spec":{"ttlSecondsAfterFinished":999999}}"#),
            ),
            (
                "finalizer",
                patch("", r#"{"metadata":{"finalizers":["acme.example/keep"]}}"#),
            ),
            (
                "label strip",
                patch(
                    "",
                    r#"{"metadata":{"labels":{"privacy.cloudnexus.io/managed-by":null}}}"#,
                ),
            ),
            (
                "owner",
                patch(
                    "",
                    r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}"#,
                ),
            ),
            ("status", patch("status", r#"{"status":{"failed":7}}"#)),
            (
                "label strip by status",
                patch(
                    "status",
                    r#"{"metadata":{"labels":{"privacy.cloudnexus.io/managed-by":null}}}"#,
                ),
            ),
        ];
        for (what, arguments) in tries {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            assert_refused(
                &attacker,
                what,
                &attacker.kubectl(&arguments).await.unwrap(),
            );
        }
        let forged = attacker
            .kubectl_with(
                &["create", "-f", "-"],
                &timer("timers", "grant-forged", 60).to_string(),
            )
            .await
            .unwrap();
        assert_refused(&attacker, "a forged timer", &forged);
    }
    let after = cluster
        .admin()
        .get(&["job", "grant-a", "-n", "timers"])
        .await
        .unwrap();
    assert_eq!(before["spec"], after["spec"]);
    let (began, begins) = (
        &before["status"]["startTime"],
        &after["status"]["startTime"],
    );
    assert!(
        began.is_null() || began == begins,
        "it was started once, by the cluster's controller"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_alters_deletes_or_forges_a_paths_policy() {
    let cluster = cluster().await;
    enrolled(cluster, "paths").await;
    timer_and_path(cluster, "paths", "grant-b", 3600).await;
    let forged = path(
        "paths",
        "grant-forged",
        "00000000-0000-0000-0000-000000000000",
    );
    for attacker in everybody(cluster, "paths").await {
        for (what, patch) in [
            ("widening", r#"{"spec":{"egress":[{}]}}"#),
            ("owner strip", r#"{"metadata":{"ownerReferences":null}}"#),
            (
                "second owner",
                r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"x"}]}}"#,
            ),
            (
                "finalizer",
                r#"{"metadata":{"finalizers":["acme.example/keep"]}}"#,
            ),
            ("label strip", r#"{"metadata":{"labels":null}}"#),
            (
                "annotation",
                r#"{"metadata":{"annotations":{"acme.example/a":"b"}}}"#,
            ),
        ] {
            let arguments = [
                "patch",
                "netpol",
                "grant-b",
                "-n",
                "paths",
                "--type=merge",
                "-p",
                patch,
            ];
            assert_refused(
                &attacker,
                what,
                &attacker.kubectl(&arguments).await.unwrap(),
            );
        }
        let deleted = attacker
            .kubectl(&["delete", "netpol", "grant-b", "-n", "paths"])
            .await
            .unwrap();
        assert_refused(&attacker, "delete", &deleted);
        let made = attacker
            .kubectl_with(&["create", "-f", "-"], &forged.to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "a forged path", &made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_itself_cannot_adopt_what_a_tenant_squatted() {
    let cluster = cluster().await;
    enrolled(cluster, "squat").await;
    let tenant = cluster.tenant_admin("squat").await.unwrap();
    let squatted = policy(
        "squat",
        "covenant-default-deny",
        &json!({ "podSelector": {} }),
    );
    tenant
        .kubectl_with(&["create", "-f", "-"], &squatted.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let operator = cluster.operator_identity().await.unwrap();
    let mut ours = squatted.clone();
    ours["metadata"]["labels"] = json!({ "privacy.cloudnexus.io/managed-by": "covenant" });
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=covenant-network",
        "-f",
        "-",
    ];
    let output = operator
        .kubectl_with(&arguments, &ours.to_string())
        .await
        .unwrap();
    assert!(
        output
            .refusal()
            .unwrap()
            .contains("its owner must remove it")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_widen_the_network_and_keeps_policies_of_its_own() {
    let cluster = cluster().await;
    enrolled(cluster, "wide").await;
    let wide = [
        (
            "egress anywhere",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] }),
        ),
        (
            "ingress anywhere",
            json!({ "podSelector": {}, "ingress": [{}] }),
        ),
        (
            "empty peers",
            json!({ "podSelector": {}, "ingress": [{ "from": [] }] }),
        ),
        (
            "an address",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "to": [{ "ipBlock": { "cidr": "203.0.113.0/24" } }] }] }),
        ),
        (
            "every namespace",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "namespaceSelector": {} }] }] }),
        ),
        (
            "another namespace's pods",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "namespaceSelector": { "matchLabels": { "a": "b" } }, "podSelector": {} }] }] }),
        ),
        (
            "one wide peer among narrow ones",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }, { "ipBlock": { "cidr": "198.51.100.0/24" } }] }] }),
        ),
        (
            "one wide rule among narrow ones",
            json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }, { "ports": [{ "port": 80 }] }] }),
        ),
    ];
    let narrow = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "a": "b" } } }] }], "egress": [{ "to": [{ "podSelector": {} }], "ports": [{ "port": 80 }] }] });
    let tenant = cluster.tenant_admin("wide").await.unwrap();
    tenant
        .apply(&policy("wide", "own", &narrow).to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let attackers = [
        tenant.clone(),
        cluster.namespace_cluster_admin("wide").await.unwrap(),
        cluster.gitops().await.unwrap(),
        cluster.platform_engineer().await.unwrap(),
        cluster.admin().clone(),
    ];
    for attacker in &attackers {
        for (what, spec) in &wide {
            let made = attacker
                .kubectl_with(
                    &["create", "-f", "-"],
                    &policy("wide", "wide", spec).to_string(),
                )
                .await
                .unwrap();
            assert_refused(attacker, what, &made);
            let edited = attacker
                .kubectl_with(
                    &["replace", "-f", "-"],
                    &policy("wide", "own", spec).to_string(),
                )
                .await
                .unwrap();
            assert_refused(attacker, what, &edited);
        }
    }
    let deny = policy(
        "wide",
        "deny",
        &json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
    );
    tenant
        .apply(&deny.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant
        .kubectl(&["delete", "netpol", "own", "deny", "-n", "wide"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_survives_from_before_enrolment_can_be_relabelled_and_removed_but_not_widened() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&namespace("before", "team: any"))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("before").await.unwrap();
    let wide = policy(
        "before",
        "old",
        &json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] }),
    );
    tenant
        .apply(&wide.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    engineer
        .kubectl(&["label", "ns", "before", "privacy.cloudnexus.io/tenant=acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the guard sees the namespace's label", PATIENCE, || async {
        let dry = ["create", "--dry-run=server", "-f", "-"];
        let mut other = wide.clone();
        other["metadata"]["name"] = json!("new");
        Ok::<_, anyhow::Error>(
            !tenant
                .kubectl_with(&dry, &other.to_string())
                .await?
                .is_success(),
        )
        .and_then(|refused| {
            if refused {
                Ok(())
            } else {
                Err(anyhow::anyhow!("not yet"))
            }
        })
    })
    .await
    .unwrap();
    tenant
        .kubectl(&["label", "netpol", "old", "-n", "before", "team=any"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let patch = r#"{"spec":{"ingress":[{}]}}"#;
    let output = tenant
        .kubectl(&[
            "patch",
            "netpol",
            "old",
            "-n",
            "before",
            "--type=merge",
            "-p",
            patch,
        ])
        .await
        .unwrap();
    assert_refused(&tenant, "widening what survives", &output);
    tenant
        .kubectl(&["delete", "netpol", "old", "-n", "before"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

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

#[tokio::test(flavor = "multi_thread")]
async fn in_the_stage_observe_the_guards_warn_and_refuse_nothing() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    let labels = "privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: observe";
    engineer
        .apply(&namespace("observe", labels))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("observe").await.unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", "observe"])
            .await
    })
    .await
    .unwrap();
    let wide = policy(
        "observe",
        "wide",
        &json!({ "podSelector": {}, "ingress": [{}] }),
    );
    let output = tenant
        .kubectl_with(&["create", "-f", "-"], &wide.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(
        output.stderr.contains("reaches beyond the namespace"),
        "{output}"
    );
    let host = pod("observe", "host", &json!({ "hostNetwork": true }));
    let output = tenant
        .kubectl_with(&["create", "-f", "-"], &host.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(
        output.stderr.contains("network policies do not apply"),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_nobody_knows_counts_as_in_force() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    let labels = "privacy.cloudnexus.io/tenant: acme, privacy.cloudnexus.io/stage: Observe";
    engineer
        .apply(&namespace("stage-unknown", labels))
        .await
        .unwrap()
        .success()
        .unwrap();
    let wide = policy(
        "stage-unknown",
        "wide",
        &json!({ "podSelector": {}, "ingress": [{}] }),
    );
    let output = engineer
        .kubectl_with(&["create", "-f", "-"], &wide.to_string())
        .await
        .unwrap();
    assert_refused(&engineer, "a wide policy", &output);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unenrolled_namespace_notices_nothing() {
    let cluster = cluster().await;
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&namespace("free", "team: any"))
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("free").await.unwrap();
    eventually("the default service account is there", PATIENCE, || async {
        cluster
            .admin()
            .get(&["serviceaccount", "default", "-n", "free"])
            .await
    })
    .await
    .unwrap();
    for object in [
        policy(
            "free",
            "wide",
            &json!({ "podSelector": {}, "ingress": [{}], "egress": [{}] }),
        ),
        pod(
            "free",
            "host",
            &json!({ "hostNetwork": true, "volumes": [{ "name": "a", "hostPath": { "path": "/" } }] }),
        ),
    ] {
        let output = tenant
            .kubectl_with(&["create", "-f", "-"], &object.to_string())
            .await
            .unwrap()
            .success()
            .unwrap();
        assert_eq!(output.stderr, "", "{output}");
    }
    engineer
        .kubectl(&["label", "ns", "free", "team=other", "--overwrite"])
        .await
        .unwrap()
        .success()
        .unwrap();
    engineer
        .kubectl(&["annotate", "ns", "free", "a=b"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clusters_own_controllers_close_a_path_through_the_guards() {
    let cluster = cluster().await;
    enrolled(cluster, "runs-out").await;
    timer_and_path(cluster, "runs-out", "grant-c", 2).await;
    eventually("timer and path are gone", PATIENCE, || async {
        let left = cluster
            .admin()
            .get(&["job,netpol", "-n", "runs-out"])
            .await?;
        anyhow::ensure!(
            left["items"].as_array().is_some_and(Vec::is_empty),
            "{left}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_timers_and_paths_can_be_deleted() {
    let cluster = cluster().await;
    enrolled(cluster, "leaves").await;
    timer_and_path(cluster, "leaves", "grant-d", 3600).await;
    cluster
        .admin()
        .kubectl(&["delete", "ns", "leaves", "--wait=false"])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the namespace is gone", PATIENCE, || async {
        Ok::<_, anyhow::Error>(
            !cluster
                .admin()
                .kubectl(&["get", "ns", "leaves"])
                .await?
                .is_success(),
        )
        .and_then(|gone| {
            if gone {
                Ok(())
            } else {
                Err(anyhow::anyhow!("it is still there"))
            }
        })
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postures_and_statuses_are_the_operators_word() {
    let cluster = cluster().await;
    enrolled(cluster, "word").await;
    let posture = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataHandlingPosture",
        "metadata": { "name": "current", "namespace": "word" },
        "spec": { "tenant": "acme", "stage": "Enforce", "baseline": { "name": "default" }, "openPathCount": 0, "findingCount": 0 }
    });
    let operator = cluster.operator_identity().await.unwrap();
    operator
        .kubectl_with(&["create", "-f", "-"], &posture.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    let tenant = cluster.tenant_admin("word").await.unwrap();
    tenant
        .apply(&grant("word").to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    for attacker in everybody(cluster, "word").await {
        let forged = r#"{"status":{"closesAt":"2099-01-01T00:00:00Z","observedGeneration":1}}"#;
        let arguments = [
            "patch",
            "dsg",
            "metrics",
            "-n",
            "word",
            "--subresource=status",
            "--type=merge",
            "-p",
            forged,
        ];
        assert_refused(
            &attacker,
            "a forged status",
            &attacker.kubectl(&arguments).await.unwrap(),
        );
        let arguments = [
            "patch",
            "posture",
            "current",
            "-n",
            "word",
            "--type=merge",
            "-p",
            r#"{"spec":{"openPathCount":0}}"#,
        ];
        assert_refused(
            &attacker,
            "a forged posture",
            &attacker.kubectl(&arguments).await.unwrap(),
        );
        let deleted = attacker
            .kubectl(&["delete", "posture", "current", "-n", "word"])
            .await
            .unwrap();
        assert_refused(&attacker, "deleting the posture", &deleted);
    }
}

fn grant(namespace: &str) -> Value {
    json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataSharingGrant",
        "metadata": { "name": "metrics", "namespace": namespace },
        "spec": {
            "recipient": { "processor": { "name": "datadog", "endpoints": ["intake"] } }, "direction": "Push",
            "dataCategories": ["InfrastructureTelemetry"], "purpose": "ServiceMonitoring",
            "legalBasis": "ContractPerformance", "justification": "Dashboards for the on-call team",
            "source": { "podSelector": { "matchLabels": { "app": "metrics-agent" } } },
            "window": { "notAfter": "2030-01-31" }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn vendors_baselines_and_definitions_take_an_appointed_administrator() {
    let cluster = cluster().await;
    let vendor = |name: &str| {
        json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "DataProcessor", "metadata": { "name": name },
            "spec": { "displayName": "Datadog", "category": "InfrastructureMonitoring" }
        })
    };
    let baseline = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline", "metadata": { "name": "lax" },
        "spec": { "network": { "sameTenant": "Allow" }, "grants": { "maximumDuration": "P90D" } }
    });
    let engineer = cluster.platform_engineer().await.unwrap();
    engineer
        .apply(&vendor("guarded").to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    for attacker in [
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
        cluster.officer().await.unwrap(),
    ] {
        let made = attacker
            .kubectl_with(&["create", "-f", "-"], &vendor("forged").to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "a vendor", &made);
        let made = attacker
            .kubectl_with(&["create", "-f", "-"], &baseline.to_string())
            .await
            .unwrap();
        assert_refused(&attacker, "a baseline", &made);
        let patch = r#"{"spec":{"displayName":"Other"}}"#;
        let edited = attacker
            .kubectl(&["patch", "dproc", "guarded", "--type=merge", "-p", patch])
            .await
            .unwrap();
        assert_refused(&attacker, "editing a vendor", &edited);
        assert_refused(
            &attacker,
            "deleting a vendor",
            &attacker
                .kubectl(&["delete", "dproc", "guarded"])
                .await
                .unwrap(),
        );
        let definition = "sharingprohibitions.privacy.cloudnexus.io";
        assert_refused(
            &attacker,
            "deleting a definition",
            &attacker
                .kubectl(&["delete", "crd", definition])
                .await
                .unwrap(),
        );
    }
    engineer
        .kubectl(&["delete", "dproc", "guarded"])
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prohibition_is_written_and_lifted_by_an_officer_of_its_tenant_only() {
    let cluster = cluster().await;
    let prohibition = |name: &str, tenants: Value| {
        json!({
            "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "SharingProhibition", "metadata": { "name": name },
            "spec": { "tenants": tenants, "recipients": { "processors": ["datadog"] }, "reason": "breach notice" }
        })
        .to_string()
    };
    cluster
        .appoint("acme-officer", "revoke", &["acme"])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": ["privacy.cloudnexus.io"], "resources": ["sharingprohibitions"], "verbs": ["get", "create", "update", "patch", "delete"] }]);
    cluster
        .give("acme-officer", "acme-officer-kinds", &rules)
        .await
        .unwrap();
    let acme = cluster.identity("acme-officer").await.unwrap();
    let officer = cluster.officer().await.unwrap();
    acme.apply(&prohibition("of-acme", json!(["acme"])))
        .await
        .unwrap()
        .success()
        .unwrap();
    officer
        .apply(&prohibition("of-all", json!([])))
        .await
        .unwrap()
        .success()
        .unwrap();
    for (what, tenants) in [
        ("another tenant", json!(["globex"])),
        ("every tenant", json!([])),
        ("two tenants", json!(["acme", "globex"])),
    ] {
        let made = acme
            .kubectl_with(&["create", "-f", "-"], &prohibition("wider", tenants))
            .await
            .unwrap();
        assert_refused(&acme, what, &made);
    }
    assert_refused(
        &acme,
        "lifting what binds all",
        &acme.kubectl(&["delete", "prohib", "of-all"]).await.unwrap(),
    );
    let steal = acme
        .kubectl_with(
            &["replace", "-f", "-"],
            &prohibition("of-all", json!(["acme"])),
        )
        .await
        .unwrap();
    assert_refused(&acme, "lifting by editing", &steal);
    for attacker in [
        cluster.gitops().await.unwrap(),
        cluster.admin().clone(),
        cluster.platform_engineer().await.unwrap(),
    ] {
        assert_refused(
            &attacker,
            "lifting",
            &attacker
                .kubectl(&["delete", "prohib", "of-acme"])
                .await
                .unwrap(),
        );
        let made = attacker
            .kubectl_with(
                &["create", "-f", "-"],
                &prohibition("forged", json!(["acme"])),
            )
            .await
            .unwrap();
        assert_refused(&attacker, "prohibiting", &made);
    }
    acme.kubectl(&["delete", "prohib", "of-acme"])
        .await
        .unwrap()
        .success()
        .unwrap();
    officer
        .kubectl(&["delete", "prohib", "of-all"])
        .await
        .unwrap()
        .success()
        .unwrap();
}
