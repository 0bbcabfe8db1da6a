//! Breaking the glass: who may, what it gives, that it is on record, and that it ends by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::chart::NAMESPACE;
use testbed::names::{BREAK_GLASS_ACCOUNT, VERB_BREAK_GLASS};
use testbed::{Cluster, ClusterOptions, Identity, eventually};
use tokio::sync::OnceCell;

const PATIENCE: Duration = Duration::from_secs(60);
const ACTS_AS: &str = "system:serviceaccount:covenant-system:covenant-break-glass";

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

/// Somebody with both of the chart's roles, as the documentation says to bind them.
async fn appointed(user: &str) -> Identity {
    let cluster = cluster().await;
    let admin = cluster.admin();
    cluster
        .bind_cluster_role(user, "covenant-break-glass")
        .await
        .unwrap();
    let arguments = [
        "create",
        "rolebinding",
        user,
        "-n",
        NAMESPACE,
        "--role=covenant-break-glass",
        "--user",
        user,
    ];
    admin.kubectl(&arguments).await.unwrap().success().unwrap();
    cluster.identity(user).await.unwrap()
}

fn break_glass(who: &Identity, period: &str, file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args([
            "break-glass",
            "--reason",
            "the officers are out",
            "--for",
            period,
        ])
        .arg("--kubeconfig-out")
        .arg(file)
        .arg("--kubeconfig")
        .arg(who.kubeconfig())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn file(name: &str, cluster: &Cluster) -> PathBuf {
    cluster.folder().join(format!("{name}.broken-glass"))
}

/// Asks for a token as somebody, without the command.
async fn token(who: &Identity, account: &str, more: &[&str]) -> testbed::Output {
    let mut arguments = vec!["create", "token", account, "-n", NAMESPACE];
    arguments.extend(more);
    who.kubectl(&arguments).await.unwrap()
}

#[track_caller]
fn guarded(output: testbed::Output, words: &str) {
    let refusal = output.refusal().unwrap();
    assert!(refusal.contains("covenant-appointment-"), "{refusal}");
    assert!(refusal.contains(words), "`{words}` is not in: {refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_breaks_the_glass_without_an_appointment() {
    let cluster = cluster().await;
    let nobody = cluster.identity("nobody").await.unwrap();
    let engineer = cluster.platform_engineer().await.unwrap();
    let tenant = cluster
        .namespace_role("tenant-here", "admin", NAMESPACE)
        .await
        .unwrap();
    let gitops = cluster.gitops().await.unwrap();
    let officer = cluster.officer().await.unwrap();
    for (who, words) in [
        (&nobody, "RBAC gives no right"),
        (&officer, "RBAC gives no right"),
        (&engineer, "verb break-glass"),
        (&tenant, "verb break-glass"),
        (&gitops, "a wildcard carries none"),
        (cluster.admin(), "a wildcard carries none"),
    ] {
        let path = file(who.name(), cluster);
        let output = break_glass(who, "PT10M", &path);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{}: {said}", who.name());
        assert!(said.contains(words), "{}: {said}", who.name());
        assert!(!path.exists(), "{}", who.name());
    }
    // What was made for them is withdrawn.
    let theirs = ["jobs", "-n", NAMESPACE, "-o", "json"];
    eventually("no Job of theirs is left", PATIENCE, async || {
        let jobs = cluster.admin().get(&theirs[..3]).await?;
        let of = |job: &Value| {
            job["metadata"]["annotations"]["privacy.cloudnexus.io/requested-by"].clone()
        };
        let left: Vec<Value> = jobs["items"].as_array().unwrap().iter().map(of).collect();
        let known = ["admin", "gitops", "platform-engineer", "tenant-here"];
        anyhow::ensure!(
            !left
                .iter()
                .any(|by| known.contains(&by.as_str().unwrap_or_default())),
            "{left:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_authority_is_borrowed_by_a_token() {
    let cluster = cluster().await;
    let admin = cluster.admin();
    let appointed = appointed("borrower").await;
    // Of the operator's account, and of any other here.
    for who in [
        admin,
        &cluster.gitops().await.unwrap(),
        &cluster.platform_engineer().await.unwrap(),
    ] {
        guarded(token(who, "covenant", &[]).await, "only the kubelet");
        guarded(token(who, "default", &[]).await, "only the kubelet");
        guarded(
            token(who, BREAK_GLASS_ACCOUNT, &[]).await,
            "verb break-glass",
        );
    }
    token(admin, "default", &["-n", "default"])
        .await
        .success()
        .expect("elsewhere nothing changes");

    // Who is appointed gets none that does not end.
    guarded(
        token(&appointed, BREAK_GLASS_ACCOUNT, &[]).await,
        "must be bound to a Secret",
    );
    for name in ["other", "covenant-break-glass-long"] {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": NAMESPACE } });
        admin.apply_object(&secret).await.unwrap();
    }
    let bound = |name: &'static str, duration: &'static str| {
        [
            "--bound-object-kind=Secret",
            "--bound-object-name",
            name,
            "--duration",
            duration,
        ]
    };
    guarded(
        token(&appointed, BREAK_GLASS_ACCOUNT, &bound("other", "10m")).await,
        "must be bound to a Secret",
    );
    let long = "covenant-break-glass-long";
    guarded(
        token(&appointed, BREAK_GLASS_ACCOUNT, &bound(long, "5h")).await,
        "four hours at most",
    );
    guarded(
        token(&appointed, BREAK_GLASS_ACCOUNT, &bound(long, "3607s")).await,
        "four hours at most",
    );

    // A pod cannot run as it: its kubelet is refused the token. The operator's pod can.
    let operator = cluster.operator_identity().await.unwrap();
    assert!(operator.has_verb("enforce", "").await.unwrap());
    let kubelet = cluster
        .identity_in_group("system:node:testbed-node", Some("system:nodes"))
        .await
        .unwrap();
    guarded(
        token(&kubelet, BREAK_GLASS_ACCOUNT, &[]).await,
        "verb break-glass",
    );

    let forever = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": { "name": "forever", "namespace": NAMESPACE, "annotations": { "kubernetes.io/service-account.name": "covenant" } }
    });
    for who in [admin, &appointed] {
        let body = forever.to_string();
        let output = who
            .kubectl_with(&["create", "-f", "-"], &body)
            .await
            .unwrap();
        guarded(output, "without end");
    }
    // Nor by a Job that the role lets them create.
    let job = |parallelism: i64| {
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "as-operator", "namespace": NAMESPACE },
            "spec": { "parallelism": parallelism, "template": { "spec": {
                "serviceAccountName": "covenant", "restartPolicy": "Never", "containers": [{ "name": "x", "image": "x" }]
            } } }
        })
        .to_string()
    };
    let output = appointed
        .kubectl_with(&["create", "-f", "-"], &job(1))
        .await
        .unwrap();
    guarded(output, "would run pods");
    let dry = ["create", "--dry-run=server", "-f", "-"];
    appointed
        .kubectl_with(&dry, &job(0))
        .await
        .unwrap()
        .success()
        .unwrap();
    admin
        .kubectl_with(&dry, &job(1))
        .await
        .unwrap()
        .success()
        .unwrap();
    // Who may write CronJobs there may not thereby run pods, but their controller may, which asks for nobody else.
    for (controller, may) in [("cronjob-controller", true), ("job-controller", false)] {
        let by = format!("--as=system:serviceaccount:kube-system:{controller}");
        let mut arguments = vec![by.as_str()];
        arguments.extend(dry);
        let output = admin.kubectl_with(&arguments, &job(1)).await.unwrap();
        assert_eq!(output.is_success(), may, "{controller}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_what_an_officer_has_and_ends_by_itself() {
    let cluster = cluster().await;
    let who = appointed("on-call").await;
    let (namespace, hold) = ("held-at-night", "case-1");
    let platform = cluster.platform_engineer().await.unwrap();
    let enrolled = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": namespace, "labels": { "privacy.cloudnexus.io/tenant": "acme" } }
    });
    platform.apply_object(&enrolled).await.unwrap();
    let object = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "ProcessingHold",
        "metadata": { "name": hold, "namespace": namespace },
        "spec": { "matter": "CASE-1", "ground": "ComplianceAudit", "reason": "r", "effects": ["SuspendProcessing"] }
    });
    let officer = cluster.officer().await.unwrap();
    eventually("the hold is taken", PATIENCE, async || {
        officer.apply_object(&object).await
    })
    .await
    .unwrap();

    let path = file("given", cluster);
    let began = Instant::now();
    let output = break_glass(&who, "PT20S", &path);
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let given: Value = serde_json::from_str(&text).unwrap();
    let token = given["users"][0]["user"]["token"].as_str().unwrap();
    assert!(!told.contains(token), "the token is told of");
    assert!(told.contains(ACTS_AS), "{told}");

    // It does what it is for, and nothing of the operator's.
    let glass = Identity::from_text("glass", &text, file("copy", cluster))
        .await
        .unwrap();
    for verb in ["administer", "revoke", "release"] {
        assert!(glass.has_verb(verb, "acme").await.unwrap(), "{verb}");
    }
    for verb in ["enforce", VERB_BREAK_GLASS, "never-granted"] {
        assert!(!glass.has_verb(verb, "acme").await.unwrap(), "{verb}");
    }
    let released = Command::new(env!("CARGO_BIN_EXE_covenant"))
        .args([
            "hold",
            "release",
            hold,
            "-n",
            namespace,
            "--reason",
            "a life depends on it",
        ])
        .arg("--kubeconfig")
        .arg(&path)
        .output()
        .unwrap();
    assert!(released.status.success(), "{}", said(&released));

    // On record: the hold, the Job, the event.
    let admin = cluster.admin();
    let stored = admin.get(&["phold", hold, "-n", namespace]).await.unwrap();
    assert_eq!(stored["status"]["decisions"][0]["by"], ACTS_AS);
    let jobs = admin.get(&["jobs", "-n", NAMESPACE]).await.unwrap();
    let ours = |job: &&Value| {
        job["metadata"]["annotations"]["privacy.cloudnexus.io/requested-by"] == "on-call"
    };
    let job = jobs["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(ours)
        .unwrap()
        .clone();
    assert_eq!(
        job["metadata"]["annotations"]["privacy.cloudnexus.io/reason"],
        "the officers are out"
    );
    let events = admin.get(&["events", "-n", NAMESPACE]).await.unwrap();
    let of_job = |event: &&Value| {
        event["involvedObject"]["name"] == job["metadata"]["name"]
            && event["reason"] == "GlassBroken"
    };
    let event = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(of_job)
        .unwrap();
    assert!(
        event["message"]
            .as_str()
            .unwrap()
            .starts_with("on-call broke the glass until "),
        "{event}"
    );
    // And the audit log joins who asked to what was done.
    let log = cluster.audit().unwrap().all().await.unwrap();
    let by = |user: &str, resource: &str| {
        let of = |event: &&testbed::audit::AuditEvent| {
            event.user() == user && event.resource() == resource && event.code() < 300
        };
        log.iter().rfind(of).unwrap().annotations.clone()
    };
    let asked = by("on-call", "serviceaccounts");
    let note = &asked["covenant-appointment-tokens/break-glass"];
    assert!(
        note.starts_with("on-call asked for a token of 600 seconds"),
        "{note}"
    );
    let review = glass
        .kubectl(&["auth", "whoami", "-o", "json"])
        .await
        .unwrap();
    let shown = review.json().unwrap();
    assert_eq!(
        shown["status"]["userInfo"]["extra"]["authentication.kubernetes.io/credential-id"][0],
        asked["authentication.kubernetes.io/issued-credential-id"].as_str()
    );
    // A Secret without data, whose owner is the Job.
    let name = job["metadata"]["name"].as_str().unwrap();
    let secret = admin.get(&["secret", name, "-n", NAMESPACE]).await.unwrap();
    assert!(secret["data"].is_null(), "{secret}");
    // The file is not written over.
    let again = break_glass(&who, "PT20S", &path);
    assert!(
        said(&again).contains("name a file that is not there yet"),
        "{}",
        said(&again)
    );

    eventually("the API server refuses the token", PATIENCE, async || {
        let refusal = glass.kubectl(&["get", "phold", "-A"]).await?.refusal()?;
        anyhow::ensure!(
            refusal.contains("Unauthorized") || refusal.contains("must be logged in"),
            "{refusal}"
        );
        Ok(())
    })
    .await
    .unwrap();
    let lasted = began.elapsed();
    println!("the token was refused after {lasted:?}");
    assert!(lasted > Duration::from_secs(17), "{lasted:?}");
    assert!(lasted < Duration::from_secs(45), "{lasted:?}");
    for kind in ["job", "secret"] {
        let left = admin
            .kubectl(&["get", kind, name, "-n", NAMESPACE])
            .await
            .unwrap();
        assert!(left.refusal().unwrap().contains("not found"), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lasts_four_hours_at_most_and_ends_sooner_when_asked() {
    let cluster = cluster().await;
    let who = appointed("careful").await;
    let path = file("too-long", cluster);
    let output = break_glass(&who, "PT4H1S", &path);
    assert!(
        said(&output).contains("four hours (PT4H) at most"),
        "{}",
        said(&output)
    );
    assert!(!path.exists());

    let output = break_glass(&who, "PT4H", &path);
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(&path).unwrap();
    let glass = Identity::from_text("careful-glass", &text, file("careful-copy", cluster))
        .await
        .unwrap();
    glass
        .kubectl(&["get", "phold", "-A"])
        .await
        .unwrap()
        .success()
        .unwrap();
    let jobs = who.get(&["jobs", "-n", NAMESPACE]).await.unwrap();
    let ours = |job: &&Value| {
        job["metadata"]["annotations"]["privacy.cloudnexus.io/requested-by"] == "careful"
    };
    let job = jobs["items"].as_array().unwrap().iter().find(ours).unwrap();
    assert_eq!(job["spec"]["activeDeadlineSeconds"], 4 * 3600);
    let name = job["metadata"]["name"].as_str().unwrap();
    who.kubectl(&["delete", "job", name, "-n", NAMESPACE])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("the API server refuses the token", PATIENCE, async || {
        glass.kubectl(&["get", "phold", "-A"]).await?.refusal()
    })
    .await
    .unwrap();
}
