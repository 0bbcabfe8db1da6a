//! `covenant hold` and `covenant guards` against a live cluster without an operator: decisions are the officers', and the
//! API server's guards judge them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

const PATIENCE: Duration = Duration::from_secs(60);

/// The one cluster of this file: the chart, and no operator.
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

/// A namespace of a test's own with a hold in it, and the officer.
async fn held(namespace: &str, hold: &str, effects: &[&str]) -> Identity {
    let cluster = cluster().await;
    let platform = cluster.platform_engineer().await.unwrap();
    let enrolled = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "labels": { "privacy.cloudnexus.io/tenant": "acme" } }
    });
    platform.apply_object(&enrolled).await.unwrap();
    let officer = cluster.officer().await.unwrap();
    let hold = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
        "metadata": { "name": hold, "namespace": namespace },
        "spec": {
            "matter": "CASE-2026-042", "ground": "LegalProceeding", "reason": "Preservation letter of 2026-11-20",
            "effects": effects
        }
    });
    eventually("the hold is taken", PATIENCE, async || {
        officer.apply_object(&hold).await
    })
    .await
    .unwrap();
    officer
}

fn command(who: &Identity, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_covenant"));
    command
        .args(arguments)
        .arg("--kubeconfig")
        .arg(who.kubeconfig());
    command
}

fn covenant(who: &Identity, arguments: &[&str]) -> Output {
    command(who, arguments).output().unwrap()
}

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

async fn decisions(namespace: &str, hold: &str) -> Vec<Value> {
    let admin = cluster().await.admin();
    let hold = admin.get(&["phold", hold, "-n", namespace]).await.unwrap();
    hold["status"]["decisions"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_officer_releases_a_hold_once_and_everybody_is_told_by_whom() {
    let (ns, hold) = ("cli-release", "case-42");
    let officer = held(ns, hold, &["PreventDeletion", "SuspendProcessing"]).await;
    let release = ["hold", "release", hold, "-n", ns, "--reason", "settled"];

    let mut dry = release.to_vec();
    dry.push("--dry-run=server");
    let text = out(&covenant(&officer, &dry));
    assert!(text.contains("would be released (dry run"), "{text}");
    assert_eq!(decisions(ns, hold).await, Vec::<Value>::new());

    let mut later = release.to_vec();
    later.extend(["--restore-after", "PT1H"]);
    let text = out(&covenant(&officer, &later));
    assert!(text.contains("is released"), "{text}");
    assert!(text.contains("processing comes back by itself"), "{text}");
    assert!(
        text.contains("disposal and erasure wait until about"),
        "{text}"
    );
    assert!(text.contains("GitOps) does not undo this"), "{text}");
    assert_eq!(
        decisions(ns, hold).await,
        [
            json!({ "type": "Released", "by": officer.name(), "reason": "settled", "restoreAfter": "PT1H" })
        ]
    );

    let again = covenant(&officer, &release);
    refused(
        &again,
        &["was released already by officer at 20", "settled"],
    );
    let story = out(&covenant(&officer, &["hold", "explain", hold, "-n", ns]));
    assert!(story.contains("is released by officer"), "{story}");
    assert!(!story.contains("hold release case-42"), "{story}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_decide_is_told_why() {
    let (ns, hold) = ("cli-rights", "case-1");
    let officer = held(ns, hold, &["PreventDeletion"]).await;
    let cluster = cluster().await;
    let release = [
        "hold",
        "release",
        hold,
        "-n",
        ns,
        "--reason",
        "we would like to",
    ];

    let tenant = cluster.tenant_admin(ns).await.unwrap();
    refused(
        &covenant(&tenant, &release),
        &["acme-admin may not write decisions", "covenant-officer"],
    );
    let nobody = cluster.identity("nobody").await.unwrap();
    refused(
        &covenant(&nobody, &release),
        &["nobody may not read ProcessingHolds", "covenant-view"],
    );
    // The right to write the status, and no appointment.
    let clerk = cluster.identity("clerk").await.unwrap();
    let rules = json!([{
        "apiGroups": ["privacy.cloudnexus.io"], "resources": ["processingholds", "processingholds/status"],
        "verbs": ["get", "list", "patch"]
    }]);
    cluster.give("clerk", "clerk", &rules).await.unwrap();
    for who in [&clerk, &cluster.gitops().await.unwrap(), cluster.admin()] {
        refused(
            &covenant(who, &release),
            &[
                "the guard refused: ProcessingHold cli-rights/case-1",
                "verb release",
            ],
        );
    }
    let missing = ["hold", "release", "case-2", "-n", ns, "--reason", "r"];
    refused(
        &covenant(&officer, &missing),
        &[
            "there is no ProcessingHold cli-rights/case-2",
            "kubectl get phold",
        ],
    );
    assert_eq!(decisions(ns, hold).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_narrowed_by_what_it_has_and_nothing_else() {
    let (ns, hold) = ("cli-narrow", "case-1");
    let officer = held(
        ns,
        hold,
        &["PreventDeletion", "FreezeAccess", "SuspendProcessing"],
    )
    .await;
    let narrow = |more: &[&str]| {
        let mut arguments = vec!["hold", "narrow", hold, "-n", ns, "--reason", "agreed"];
        arguments.extend(more);
        covenant(&officer, &arguments)
    };
    refused(&narrow(&[]), &["--lift EFFECT", "--except KIND"]);
    refused(
        &narrow(&["--lift", "Freeze"]),
        &["there is no effect Freeze", "FreezeAccess"],
    );
    refused(
        &narrow(&["--lift", "SuspendSharing"]),
        &[
            "is not in force",
            "PreventDeletion, SuspendProcessing, FreezeAccess",
        ],
    );
    refused(&narrow(&["--except", "secrets"]), &["`secrets` is no kind"]);

    let printed = out(&narrow(&[
        "--lift",
        "FreezeAccess",
        "--except",
        "Secret",
        "--except",
        "apps/Deployment",
        "-o",
        "json",
    ]));
    let decided: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(decided["apiVersion"], "cli.privacy.cloudnexus.io/v1");
    assert_eq!(decided["kind"], "HoldDecided");
    assert_eq!(
        decided["effects"],
        json!(["PreventDeletion", "SuspendProcessing"])
    );
    let expected = json!({
        "type": "Narrowed", "by": officer.name(), "reason": "agreed", "effects": ["FreezeAccess"],
        "exceptKinds": [{ "kind": "Secret" }, { "apiGroup": "apps", "kind": "Deployment" }]
    });
    assert_eq!(decided["decision"], expected);
    assert_eq!(decisions(ns, hold).await, [expected]);
    refused(&narrow(&["--lift", "FreezeAccess"]), &["is not in force"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_made_at_once_are_all_on_record_or_told_of_the_release() {
    let (ns, hold) = ("cli-race", "case-1");
    let officer = held(ns, hold, &["PreventDeletion"]).await;
    let kinds = [
        "Secret",
        "Service",
        "Pod",
        "ServiceAccount",
        "apps/Deployment",
    ];
    let crowd: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let arguments = [
                "hold", "narrow", hold, "-n", ns, "--reason", "r", "--except", kind,
            ];
            command(&officer, &arguments)
                .stderr(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in crowd {
        out(&child.wait_with_output().unwrap());
    }
    let on_record = decisions(ns, hold).await;
    assert_eq!(on_record.len(), kinds.len(), "{on_record:?}");

    let release = ["hold", "release", hold, "-n", ns, "--reason", "settled"];
    let crowd: Vec<_> = (0..3)
        .map(|_| {
            command(&officer, &release)
                .stderr(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let ends: Vec<Output> = crowd
        .into_iter()
        .map(|child| child.wait_with_output().unwrap())
        .collect();
    let (released, told): (Vec<_>, Vec<_>) = ends.iter().partition(|end| end.status.success());
    assert_eq!(released.len(), 1);
    for end in told {
        refused(end, &["was released already by officer"]);
    }
    assert_eq!(decisions(ns, hold).await.len(), kinds.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_hold_is_explained_with_what_it_refused() {
    let (ns, hold) = ("cli-explain", "case-1");
    let officer = held(ns, hold, &["PreventDeletion", "SuspendProcessing"]).await;
    let tenant = cluster().await.tenant_admin(ns).await.unwrap();
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": ns },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "web", "image": "web" }] } }
        }
    });
    tenant.apply_object(&web).await.unwrap();
    let explain = ["hold", "explain", hold, "-n", ns];
    eventually("the refusal is told of", PATIENCE, async || {
        let text = out(&covenant(&tenant, &explain));
        anyhow::ensure!(text.contains("ReplicaSet/web-"), "{text}");
        Ok(())
    })
    .await
    .unwrap();
    let text = out(&covenant(&tenant, &explain));
    assert!(
        text.contains("(SuspendProcessing): system:serviceaccount:kube-system:replicaset-controller may not CREATE it"),
        "{text}"
    );
    assert!(text.contains("not yet proven to be enforced"), "{text}");
    assert!(
        text.contains("kubectl covenant hold release case-1 -n cli-explain --reason 'WHY'"),
        "{text}"
    );
    // The officer reads no events.
    let text = out(&covenant(&officer, &explain));
    assert!(text.contains("you may not read the events"), "{text}");
    // Whoever has the audit log needs none, and sees what people tried.
    let tried = tenant
        .kubectl(&["delete", "deployment", "web", "-n", ns])
        .await
        .unwrap();
    assert!(!tried.is_success(), "{tried}");
    let audit = cluster().await.audit().unwrap();
    audit.marker().await.unwrap();
    let log = audit.path().display().to_string();
    let mut with_log = explain.to_vec();
    with_log.extend(["--audit-log", &log]);
    let text = out(&covenant(&officer, &with_log));
    let by_tenant = format!("(PreventDeletion): {} may not DELETE it", tenant.name());
    assert!(
        text.contains("Deployment/web (once") && text.contains(&by_tenant),
        "{text}"
    );
    assert!(text.contains("Pod/web-"), "{text}");
    with_log[5] = "--audit-log=/nowhere";
    let output = covenant(&officer, &with_log[..6]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("no audit log at /nowhere"), "{error}");

    let all = ["hold", "explain", "-n", ns, "-o", "json"];
    let list: Value = serde_json::from_str(&out(&covenant(&tenant, &all))).unwrap();
    assert_eq!(list["kind"], "HoldStoryList");
    assert_eq!(list["items"][0]["name"], hold);
    assert!(list["items"][0]["refused"]["items"][0]["count"].as_i64() > Some(0));
    let none = out(&covenant(&officer, &["hold", "explain", "-n", "default"]));
    assert_eq!(none, "Namespace default has no ProcessingHolds.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guards_that_are_printed_are_those_that_stand() {
    let admin = cluster().await.admin();
    let printed = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .arg("guards")
        .output()
        .unwrap();
    let diff = admin
        .kubectl_with(
            &["diff", "--server-side", "--force-conflicts", "-f", "-"],
            &out(&printed),
        )
        .await
        .unwrap();
    assert!(diff.is_success() && diff.stdout.is_empty(), "{diff}");
}
