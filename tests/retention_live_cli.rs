//! `covenant retention` against a live cluster: it reads with the rights of who asks, and the API server's guards judge what an
//! officer decides. It needs no operator; where one runs, its counts are told to who may not count.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

const PATIENCE: Duration = Duration::from_secs(60);

/// The one cluster of this file: the chart, a baseline without a grace, and no operator.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
            cluster.install_chart().await.unwrap();
            let platform = cluster.platform_engineer().await.unwrap();
            let baseline = json!({
                "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline",
                "metadata": { "name": "default" },
                "spec": {
                    "network": { "sameTenant": "Deny" }, "grants": { "maximumDuration": "P90D" },
                    "retention": { "grace": "PT0S" }
                }
            });
            applied(&platform, &baseline).await;
            cluster
        })
        .await
}

async fn applied(who: &Identity, object: &Value) {
    eventually("it is taken", PATIENCE, async || {
        who.apply_object(object).await
    })
    .await
    .unwrap();
}

/// A namespace of a test's own with a policy `logs`, two logs and one other object; and its administrator.
async fn kept(namespace: &str, keep: Value, mode: &str) -> Identity {
    let cluster = cluster().await;
    let platform = cluster.platform_engineer().await.unwrap();
    let enrolled = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "labels": { "privacy.cloudnexus.io/tenant": "acme" } }
    });
    applied(&platform, &enrolled).await;
    let tenant = cluster.tenant_admin(namespace).await.unwrap();
    let policy = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": { "name": "logs", "namespace": namespace },
        "spec": {
            "dataCategory": "InfrastructureTelemetry", "basis": "Contract §7", "keep": keep, "disposal": { "mode": mode },
            "select": [{ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "data": "logs" } }]
        }
    });
    applied(&tenant, &policy).await;
    for (name, data) in [("log-1", "logs"), ("log-2", "logs"), ("other", "metrics")] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": namespace, "labels": { "data": data } }
        });
        applied(&tenant, &object).await;
    }
    tenant
}

fn covenant(who: &Identity, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args(arguments)
        .arg("--kubeconfig")
        .arg(who.kubeconfig())
        .output()
        .unwrap()
}

#[track_caller]
fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

async fn decisions(namespace: &str) -> Vec<Value> {
    let admin = cluster().await.admin();
    let policy = admin
        .get(&["retpol", "logs", "-n", namespace])
        .await
        .unwrap();
    policy["status"]["decisions"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_lifts_a_limit_once_and_everybody_is_told_by_whom() {
    let namespace = "cli-lift";
    kept(namespace, json!({ "atMost": "P30D" }), "Dispose").await;
    let officer = cluster().await.officer().await.unwrap();
    let lift = |more: &[&str]| {
        let mut arguments = vec!["retention", "lift", "logs", "-n", namespace];
        arguments.extend(["--until", "60", "--reason", "looked at"]);
        arguments.extend(more);
        covenant(&officer, &arguments)
    };
    let text = out(&lift(&["--dry-run"]));
    assert!(
        text.contains("would be lifted until 60 went in all (dry run"),
        "{text}"
    );
    assert_eq!(decisions(namespace).await, Vec::<Value>::new());

    let printed: Value = serde_json::from_str(&out(&lift(&["-o", "json"]))).unwrap();
    let expected = json!({
        "type": "LimitLifted", "by": officer.name(), "reason": "looked at", "generation": 1, "untilTotal": 60
    });
    assert_eq!(printed["kind"], "LimitLifted");
    assert_eq!(printed["decision"], expected);
    assert_eq!(decisions(namespace).await, [expected]);
    let words = [
        "is lifted until 60 objects went in all already",
        "(officer: looked at)",
    ];
    refused(&lift(&[]), &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_decide_about_a_limit_is_told_why() {
    let namespace = "cli-lift-rights";
    let tenant = kept(namespace, json!({ "atMost": "P30D" }), "Dispose").await;
    let cluster = cluster().await;
    let lift = [
        "retention",
        "lift",
        "logs",
        "-n",
        namespace,
        "--until",
        "5",
        "--reason",
        "r",
    ];
    refused(
        &covenant(&tenant, &lift),
        &[
            "acme-admin may not write decisions",
            "covenant-officer",
            "verb approve",
        ],
    );
    let nobody = cluster.identity("nobody").await.unwrap();
    refused(
        &covenant(&nobody, &lift),
        &["nobody may not read RetentionPolicies", "covenant-view"],
    );
    // The right to write the status, and no appointment.
    let clerk = cluster.identity("lift-clerk").await.unwrap();
    let rules = json!([{
        "apiGroups": ["privacy.cloudnexus.io"], "resources": ["retentionpolicies", "retentionpolicies/status"],
        "verbs": ["get", "list", "patch"]
    }]);
    cluster
        .give("lift-clerk", "lift-clerk", &rules)
        .await
        .unwrap();
    for who in [&clerk, cluster.admin()] {
        refused(
            &covenant(who, &lift),
            &[
                "the guard refused: RetentionPolicy cli-lift-rights/logs",
                "verb approve",
            ],
        );
    }
    let officer = cluster.officer().await.unwrap();
    let mut other = lift;
    other[2] = "metrics";
    refused(
        &covenant(&officer, &other),
        &[
            "there is no RetentionPolicy cli-lift-rights/metrics",
            "has logs",
        ],
    );
    let mut none = lift;
    none[6] = "0";
    assert_eq!(covenant(&officer, &none).status.code(), Some(2), "usage");
    let mut silent = lift;
    silent[8] = " ";
    refused(&covenant(&officer, &silent), &["--reason: say why"]);
    assert_eq!(decisions(namespace).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_everybody_what_they_may_read_and_what_they_may_not() {
    let namespace = "cli-preview";
    let tenant = kept(namespace, json!({ "atMost": "P30D" }), "Preview").await;
    let cluster = cluster().await;
    let preview = [
        "retention",
        "preview",
        "-n",
        namespace,
        "--at",
        "2190-01-01",
    ];
    let text = out(&covenant(cluster.admin(), &preview));
    assert!(
        text.contains("in force for tenant acme, on baseline default"),
        "{text}"
    );
    assert!(
        text.contains("Would go now, under policies that only preview (2)"),
        "{text}"
    );
    assert!(
        text.contains("ConfigMap/log-1") && text.contains("ConfigMap/log-2"),
        "{text}"
    );
    assert!(
        !text.contains("ConfigMap/other") && !text.contains("note:"),
        "{text}"
    );
    // A tenant does not read baselines: the grace is not known to be none.
    let text = out(&covenant(&tenant, &preview));
    assert!(
        text.contains("you may not read TenantBaseline default"),
        "{text}"
    );
    assert!(text.contains("Past its maximum, and kept (2)"), "{text}");
    // An officer reads policies and no ConfigMaps.
    let officer = cluster.officer().await.unwrap();
    let text = out(&covenant(&officer, &preview));
    assert!(text.contains("you may not list configmaps here"), "{text}");
    assert!(text.contains("does not mean that there are none"), "{text}");
    assert!(!text.contains("ConfigMap/log-1"), "{text}");
    let nobody = cluster.identity("nobody").await.unwrap();
    refused(
        &covenant(&nobody, &preview),
        &["nobody may not read RetentionPolicies in namespace cli-preview"],
    );
    refused(
        &covenant(cluster.admin(), &["retention", "preview", "-n", "nowhere"]),
        &["there is no namespace nowhere"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_a_live_cluster_has_its_story() {
    let namespace = "cli-explain";
    let tenant = kept(
        namespace,
        json!({ "atLeast": "P30D", "atMost": "P90D" }),
        "Dispose",
    )
    .await;
    let explain = |object: &str| {
        let arguments = ["retention", "explain", object, "-n", namespace];
        covenant(&tenant, &arguments)
    };
    let text = out(&explain("ConfigMap/log-1"));
    assert!(text.contains("is kept at least until 20"), "{text}");
    assert!(
        text.contains("RetentionPolicy logs  Dispose  creation 20"),
        "{text}"
    );
    let other = out(&explain("configmap/other"));
    assert!(other.contains("is touched by no rule"), "{other}");
    assert!(
        other.contains(
            "RetentionPolicy logs: it selects the label data=logs, and the object has data=metrics"
        ),
        "{other}"
    );
    // Of a kind that nothing selects.
    let account = out(&explain("ServiceAccount/default"));
    assert!(
        account.contains("ServiceAccount cli-explain/default is touched by no rule"),
        "{account}"
    );
    refused(
        &explain("ConfigMap/nothing"),
        &["there is no ConfigMap cli-explain/nothing"],
    );
    refused(&explain("Widget/x"), &["the cluster serves no kind Widget"]);
    refused(
        &explain("Deployment.apps/x"),
        &["there is no Deployment.apps cli-explain/x"],
    );
    let nobody = cluster().await.identity("nobody").await.unwrap();
    let arguments = ["retention", "explain", "ConfigMap/log-1", "-n", namespace];
    refused(
        &covenant(&nobody, &arguments),
        &["may not read RetentionPolicies"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_counted_and_guards_read_is_told_to_who_may_not_read_more() {
    let cluster = Cluster::start(ClusterOptions::new()).await.unwrap();
    let kinds = r#"retention.kinds=[{"apiGroups":[""],"resources":["configmaps"]}]"#;
    cluster
        .install_chart_with(&["--set-json", kinds])
        .await
        .unwrap();
    let platform = cluster.platform_engineer().await.unwrap();
    let baseline = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "TenantBaseline",
        "metadata": { "name": "default" },
        "spec": {
            "network": { "sameTenant": "Deny" }, "grants": { "maximumDuration": "P90D" },
            "retention": {
                "grace": "PT0S", "maximumPerRun": 2,
                "keep": [{
                    "select": { "apiVersion": "v1", "kind": "ConfigMap", "namePrefix": "audit-" },
                    "atLeast": "P7Y", "basis": "an audit"
                }]
            }
        }
    });
    applied(&platform, &baseline).await;
    let operator = cluster
        .start_operator(env!("CARGO_BIN_EXE_covenant"))
        .await
        .unwrap();
    let namespace = "cli-counted";
    let enrolled = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "labels": { "privacy.cloudnexus.io/tenant": "acme" } }
    });
    applied(&platform, &enrolled).await;
    let tenant = cluster.tenant_admin(namespace).await.unwrap();
    for name in ["log-1", "log-2", "log-3", "audit-1"] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": namespace, "labels": { "data": "logs" } }
        });
        applied(&tenant, &object).await;
    }
    let policy = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "RetentionPolicy",
        "metadata": { "name": "logs", "namespace": namespace },
        "spec": {
            "dataCategory": "InfrastructureTelemetry", "basis": "Contract §7", "keep": { "atMost": "PT1S" },
            "disposal": { "mode": "Preview" },
            "select": [{ "apiVersion": "v1", "kind": "ConfigMap", "matchLabels": { "data": "logs" } }]
        }
    });
    applied(&tenant, &policy).await;
    eventually("the limit is exceeded", PATIENCE, async || {
        let policy = cluster
            .admin()
            .get(&["retpol", "logs", "-n", namespace])
            .await?;
        anyhow::ensure!(
            policy["status"]["withheld"]["byLimit"] == 3,
            "{policy} {}",
            operator.tail(20)
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();

    let officer = cluster.officer().await.unwrap();
    let preview = ["retention", "preview", "-n", namespace, "-o", "json"];
    let report: Value = serde_json::from_str(&out(&covenant(&officer, &preview))).unwrap();
    let counted = &report["namespaces"][0]["policies"][0];
    assert_eq!(counted["matched"], 4, "{report}");
    assert_eq!(counted["withheld"]["byLimit"], 3, "{report}");
    assert_eq!(report["namespaces"][0]["objects"], json!([]));
    let lift = [
        "retention",
        "lift",
        "logs",
        "-n",
        namespace,
        "--until",
        "2",
        "--reason",
        "r",
        "--dry-run",
        "-o",
        "json",
    ];
    let lifted: Value = serde_json::from_str(&out(&covenant(&officer, &lift))).unwrap();
    assert_eq!(
        (&lifted["due"], &lifted["disposed"]),
        (&json!(3), &json!(0)),
        "{lifted}"
    );
    assert!(
        lifted["next"]
            .to_string()
            .contains("to let all go, lift it until 3"),
        "{lifted}"
    );

    // A tenant reads no baseline, and is told its minimum all the same.
    let explain = ["retention", "explain", "ConfigMap/audit-1", "-n", namespace];
    let story = out(&covenant(&tenant, &explain));
    assert!(
        story.contains("kept by the minimum of TenantBaseline default, until 20"),
        "{story}"
    );
    assert!(
        story.contains("you may not read TenantBaseline default"),
        "{story}"
    );
}
