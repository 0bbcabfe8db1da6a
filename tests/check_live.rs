//! `covenant check` against a real cluster: it passes where everything is as released, and each thing that is broken is
//! named by the check that is about it, with an exit code that a pipeline notices.

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

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use stage::{COVENANT, PATIENCE, Stage};
use testbed::{Identity, eventually};

/// Findings by name of the check, and whether the exit code was zero.
fn check(by: &Identity) -> (BTreeMap<String, String>, bool) {
    let output = Command::new(COVENANT)
        .args(["check", "-o", "json", "--kubeconfig"])
        .arg(by.kubeconfig())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    let checks = report["checks"].as_array().unwrap().iter();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let found = checks
        .map(|check| (text(check, "name"), text(check, "finding")))
        .collect();
    (found, output.status.success())
}

fn of<'a>(found: &'a BTreeMap<String, String>, finding: &str) -> Vec<&'a str> {
    found
        .iter()
        .filter(|(_, is)| *is == finding)
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Waits until exactly these checks fail.
async fn fails(by: &Identity, names: &[&str]) {
    eventually(&format!("{names:?} fail"), PATIENCE, || async {
        let (found, success) = check(by);
        anyhow::ensure!(
            of(&found, "Failed") == names && success == names.is_empty(),
            "{found:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_named_by_its_check_and_by_the_exit_code() {
    let stage = Stage::new().await;
    let admin = stage.cluster.admin();
    let tenant = stage.tenant("checked").await;
    let hold = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold", "metadata": { "name": "case-1", "namespace": tenant.name },
        "spec": { "matter": "CASE-1", "ground": "ComplianceAudit", "reason": "audit of 2026", "effects": ["PreventDeletion"] }
    });
    stage
        .officer
        .apply(&hold.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    fails(admin, &[]).await;

    // A guard without its binding, and a binding that only warns.
    let binding = stage
        .get(&["validatingadmissionpolicybinding", "covenant-pods"])
        .await;
    admin
        .kubectl(&[
            "delete",
            "validatingadmissionpolicybinding",
            "covenant-pods",
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    fails(
        admin,
        &["every guard stands as released", "every hold is enforced"],
    )
    .await;
    let again = json!({ "apiVersion": binding["apiVersion"], "kind": binding["kind"], "metadata": { "name": "covenant-pods" }, "spec": binding["spec"] });
    admin
        .apply(&again.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    fails(admin, &[]).await;

    // A kind whose schema lost a rule. It takes an appointment to do that, or the guard of definitions away.
    let definition = "processingholds.privacy.cloudnexus.io";
    let lost = r#"[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations"}]"#;
    let refused = admin
        .kubectl(&["patch", "crd", definition, "--type=json", "-p", lost])
        .await
        .unwrap();
    assert!(!refused.is_success(), "{refused}");
    stage
        .cluster
        .appoint("careless", "administer", &[])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get", "patch", "update"] }]);
    stage
        .cluster
        .give("careless", "careless-definitions", &rules)
        .await
        .unwrap();
    let careless = stage.cluster.identity("careless").await.unwrap();
    careless
        .kubectl(&["patch", "crd", definition, "--type=json", "-p", lost])
        .await
        .unwrap()
        .success()
        .unwrap();
    fails(admin, &["every kind is served as released"]).await;

    // A right of the operator's that somebody took away.
    let mut role = stage.get(&["clusterrole", "covenant-operator"]).await;
    let rules = role["rules"].as_array_mut().unwrap();
    rules.retain(|rule| rule["apiGroups"] != json!(["events.k8s.io"]));
    let put = ["replace", "-f", "-"];
    let put = admin.kubectl_with(&put, &role.to_string()).await;
    put.unwrap().success().unwrap();
    fails(
        admin,
        &["every kind is served as released", "it may do what it must"],
    )
    .await;

    // The operator is given a wildcard, which takes its authority away.
    let wildcard = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "generous" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": "covenant", "namespace": "covenant-system" }]
    });
    admin
        .apply(&wildcard.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    fails(
        admin,
        &[
            "every kind is served as released",
            "it has its appointment and no wildcard",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_may_not_read_is_unknown_and_no_failure() {
    let stage = Stage::new().await;
    let nobody = stage.cluster.identity("nobody").await.unwrap();
    let (found, success) = check(&nobody);
    assert!(success && of(&found, "Failed").is_empty(), "{found:?}");
    assert!(of(&found, "Unknown").len() >= 10, "{found:?}");
}
