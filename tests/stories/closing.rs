//! Every cause that closes a path.

use serde_json::{Value, json};
use testbed::eventually;

use crate::stage::{PATIENCE, Tenant, condition, in_days, in_seconds, shared, vendor};

/// Opens a path that would last, and returns its grant.
async fn opened(tenant: &Tenant<'_>) -> Value {
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    tenant.open("metrics").await
}

async fn apply(tenant: &Tenant<'_>, object: &Value) {
    tenant
        .stage
        .engineer
        .apply(&object.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_opens_one_path_owned_by_a_running_timer_and_says_until_when() {
    let tenant = shared().await.tenant("opens").await;
    tenant.known().await;
    let grant = opened(&tenant).await;
    assert_eq!(grant["status"]["closesBecause"], "WindowEnds");
    assert_eq!(condition(&grant, "Ready").0, "True");
    let path = &grant["status"]["paths"][0];
    let name = path["networkPolicy"]["name"].as_str().unwrap();
    let policy = tenant.stage.get(&["netpol", name, "-n", "opens"]).await;
    let job = tenant.stage.get(&["job", name, "-n", "opens"]).await;
    assert_eq!(
        policy["metadata"]["ownerReferences"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        policy["metadata"]["ownerReferences"][0]["uid"],
        job["metadata"]["uid"]
    );
    assert_eq!(policy["metadata"]["uid"], path["networkPolicy"]["uid"]);
    assert_eq!(job["spec"]["parallelism"], 0);
    assert_eq!(policy["spec"]["egress"].as_array().unwrap().len(), 1);
    assert_eq!(
        policy["spec"]["egress"][0]["to"],
        json!([{ "ipBlock": { "cidr": "203.0.113.0/24" } }])
    );
    tenant
        .events(grant["metadata"]["uid"].as_str().unwrap(), &["PathOpened"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_window_closes_it() {
    let tenant = shared().await.tenant("window").await;
    tenant.known().await;
    tenant
        .grants(&tenant.grant("metrics", &in_seconds(8)))
        .await;
    tenant.open("metrics").await;
    let grant = tenant.closed("metrics", "WindowOver").await;
    assert_eq!(
        condition(&grant, "Ready"),
        ("True".to_owned(), "Ended".to_owned())
    );
    assert_eq!(condition(&grant, "TrafficStopped").0, "Unknown");
    tenant
        .events(
            grant["metadata"]["uid"].as_str().unwrap(),
            &["PathClosed", "PathOpened"],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenants_revocation_closes_it_at_once() {
    let tenant = shared().await.tenant("revoked").await;
    let mut grant = tenant.grant("metrics", &in_days(30));
    opened(&tenant).await;
    grant["spec"]["revoked"] = json!({ "reason": "contract ended" });
    tenant.grants(&grant).await;
    tenant.closed("metrics", "Revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_grant_closes_it() {
    let tenant = shared().await.tenant("deleted").await;
    let grant = opened(&tenant).await;
    tenant
        .admin
        .kubectl(&["delete", "dsg", "metrics", "-n", "deleted"])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant
        .nothing_left(grant["metadata"]["uid"].as_str().unwrap())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prohibition_closes_it_and_no_edit_or_new_grant_gets_round_it() {
    let tenant = shared().await.tenant("prohibited").await;
    let first = opened(&tenant).await;
    let prohibition = json!({
        "apiVersion": "privacy.cloudnexus.io/v1alpha1", "kind": "SharingProhibition", "metadata": { "name": "prohibited" },
        "spec": { "tenants": ["acme"], "recipients": { "processors": ["prohibited"] }, "reason": "breach notice" }
    });
    tenant
        .stage
        .officer
        .apply(&prohibition.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.closed("metrics", "Prohibited").await;
    let mut edited = tenant.grant("metrics", &in_days(40));
    edited["spec"]["justification"] = json!("another sentence");
    tenant.grants(&edited).await;
    tenant
        .wait("metrics", |grant| {
            grant["status"]["observedGeneration"] == 2
        })
        .await;
    tenant.closed("metrics", "Prohibited").await;
    tenant
        .admin
        .kubectl(&["delete", "dsg", "metrics", "-n", "prohibited"])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    let second = tenant.closed("metrics", "Prohibited").await;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    tenant
        .stage
        .officer
        .kubectl(&["delete", "prohib", "prohibited"])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.open("metrics").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_ends_closes_it_and_its_renewal_does_not_reopen_it() {
    let tenant = shared().await.tenant("agreement").await;
    let end = in_seconds(10);
    let mut vendor = vendor("agreement");
    vendor["spec"]["agreements"][0]["effectiveUntil"] = json!(end);
    apply(&tenant, &vendor).await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    let grant = tenant.open("metrics").await;
    assert_eq!(grant["status"]["closesAt"], json!(end));
    assert_eq!(grant["status"]["closesBecause"], "AgreementEnds");
    tenant.closed("metrics", "EndPassed").await;
    vendor["spec"]["agreements"][0]["effectiveUntil"] = json!(in_days(60));
    apply(&tenant, &vendor).await;
    tenant
        .wait("metrics", |grant| {
            crate::stage::refusals(grant) == ["EndPassed"]
        })
        .await;
    tenant.closed("metrics", "EndPassed").await;
    let mut edited = tenant.grant("metrics", &in_days(30));
    edited["spec"]["justification"] = json!("renewed on the vendor's renewal");
    tenant.grants(&edited).await;
    tenant.open("metrics").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assessment_that_lapses_closes_it() {
    let tenant = shared().await.tenant("assessment").await;
    opened(&tenant).await;
    let mut vendor = vendor("assessment");
    vendor["spec"]["assessments"][0]["completedOn"] = json!(in_days(-400));
    apply(&tenant, &vendor).await;
    let grant = tenant.closed("metrics", "AssessmentLapsed").await;
    assert_eq!(condition(&grant, "Stalled").0, "True");
    eventually("the vendor's own status says it too", PATIENCE, || async {
        let vendor = tenant.stage.get(&["dproc", "assessment"]).await;
        let is = condition(&vendor, "Approved");
        anyhow::ensure!(
            is == ("False".to_owned(), "AssessmentLapsed".to_owned()),
            "{is:?}"
        );
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_is_narrowed_closes_it() {
    let tenant = shared().await.tenant("narrowed").await;
    opened(&tenant).await;
    let mut vendor = vendor("narrowed");
    vendor["spec"]["approvedFor"][0]["tenants"] = json!(["globex"]);
    apply(&tenant, &vendor).await;
    tenant.closed("metrics", "TenantNotApproved").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_is_removed_closes_it() {
    let tenant = shared().await.tenant("removed").await;
    opened(&tenant).await;
    tenant
        .stage
        .engineer
        .kubectl(&["delete", "dproc", "removed"])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.closed("metrics", "ProcessorUnknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_baselines_maximum_duration_closes_it() {
    let tenant = shared().await.tenant("maximum").await;
    apply(&tenant, &crate::stage::baseline("short", "PT10S")).await;
    let label = "privacy.cloudnexus.io/baseline=short";
    tenant
        .stage
        .engineer
        .kubectl(&["label", "ns", "maximum", label])
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    let grant = tenant.open("metrics").await;
    assert_eq!(grant["status"]["closesBecause"], "MaximumDurationReached");
    tenant.closed("metrics", "MaximumDurationOver").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_leaves_its_tenant_loses_what_we_made_and_nothing_else() {
    let tenant = shared().await.tenant("leaves").await;
    let own = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "own", "namespace": "leaves" },
        "spec": { "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }] }
    });
    tenant
        .admin
        .apply(&own.to_string())
        .await
        .unwrap()
        .success()
        .unwrap();
    opened(&tenant).await;
    let leave = ["label", "ns", "leaves", "privacy.cloudnexus.io/tenant-"];
    tenant
        .stage
        .engineer
        .kubectl(&leave)
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.closed("metrics", "NamespaceNotEnrolled").await;
    eventually("only the tenant's own policy is left", PATIENCE, || async {
        let left = tenant
            .stage
            .cluster
            .admin()
            .get(&["netpol,jobs,posture", "-n", "leaves"])
            .await?;
        let names: Vec<&str> = left["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str())
            .collect();
        anyhow::ensure!(names == ["own"], "{names:?}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_observe_closes_it_and_its_end_reopens_it_with_the_old_end() {
    let tenant = shared().await.tenant("observes").await;
    let before = opened(&tenant).await;
    let stage = [
        "label",
        "ns",
        "observes",
        "privacy.cloudnexus.io/stage=observe",
    ];
    tenant
        .stage
        .engineer
        .kubectl(&stage)
        .await
        .unwrap()
        .success()
        .unwrap();
    tenant.closed("metrics", "NamespaceObserving").await;
    let enforce = ["label", "ns", "observes", "privacy.cloudnexus.io/stage-"];
    tenant
        .stage
        .engineer
        .kubectl(&enforce)
        .await
        .unwrap()
        .success()
        .unwrap();
    let after = tenant.open("metrics").await;
    assert_eq!(before["status"]["closesAt"], after["status"]["closesAt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_moves_re_times_the_same_timer_without_a_gap() {
    let tenant = shared().await.tenant("moves").await;
    let before = opened(&tenant).await;
    let etcd = tenant.stage.cluster.etcd().unwrap();
    let revision = etcd.revision().await.unwrap();
    for end in [in_days(20), in_days(45)] {
        tenant.grants(&tenant.grant("metrics", &end)).await;
        tenant
            .wait("metrics", |grant| {
                condition(grant, "Open").0 == "True"
                    && grant["status"]["closesAt"].as_str().unwrap() > end.as_str()
                    && grant["status"]["observedGeneration"] == grant["metadata"]["generation"]
            })
            .await;
    }
    let after = tenant.open("metrics").await;
    assert_eq!(
        before["status"]["paths"], after["status"]["paths"],
        "the same policy and the same timer"
    );
    let name = after["status"]["paths"][0]["timer"]["job"]
        .as_str()
        .unwrap();
    eventually("the timer has the new end", PATIENCE, || async {
        let job = tenant
            .stage
            .cluster
            .admin()
            .get(&["job", name, "-n", "moves"])
            .await?;
        let seconds = job["spec"]["activeDeadlineSeconds"].as_i64().unwrap();
        anyhow::ensure!(seconds > 44 * 86_400, "{seconds}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let deleted = etcd
        .history_since(revision)
        .await
        .unwrap()
        .into_iter()
        .filter(|event| {
            event.object().is_none()
                && (event.key.contains("/moves/") && event.key.contains("grant-"))
        });
    assert_eq!(deleted.count(), 0, "neither policy nor timer was ever gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_that_is_tightened_takes_away_what_it_gave() {
    let tenant = shared().await.tenant("tightened").await;
    let mut baseline = crate::stage::baseline("tight", "P90D");
    apply(&tenant, &baseline).await;
    let label = "privacy.cloudnexus.io/baseline=tight";
    tenant
        .stage
        .engineer
        .kubectl(&["label", "ns", "tightened", label])
        .await
        .unwrap()
        .success()
        .unwrap();
    let ingress = |present: bool| async move {
        eventually("the floor is as the baseline says", PATIENCE, || async {
            let admin = shared().await.cluster.admin();
            let policy = admin
                .get(&["netpol", "covenant-baseline", "-n", "tightened"])
                .await?;
            anyhow::ensure!(
                policy["spec"]["ingress"].is_array() == present,
                "{}",
                policy["spec"]
            );
            anyhow::Ok(())
        })
        .await
        .unwrap();
        shared()
            .await
            .enforced("tightened", "True", "ReadBack")
            .await;
    };
    ingress(true).await;
    baseline["spec"]["network"]["sameTenant"] = json!("Deny");
    apply(&tenant, &baseline).await;
    ingress(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_was_forged_before_the_guards_stood_is_replaced_whole() {
    let tenant = shared().await.tenant("forged").await;
    tenant.grants(&tenant.grant("metrics", &in_days(30))).await;
    tenant.open("metrics").await;
    // Only who may enforce gets past the guard: an appointed forger stands for the time before it.
    tenant
        .stage
        .cluster
        .appoint("forger", "enforce", &[])
        .await
        .unwrap();
    let rules = json!([{ "apiGroups": ["privacy.cloudnexus.io"], "resources": ["datasharinggrants", "datasharinggrants/status"], "verbs": ["get", "patch"] }]);
    tenant
        .stage
        .cluster
        .give("forger", "forger-statuses", &rules)
        .await
        .unwrap();
    let forger = tenant.stage.cluster.identity("forger").await.unwrap();
    let forged = r#"{"status":{"refusals":[{"reason":"Forged","message":"forged"}],"conditions":[{"type":"Forged","status":"True","reason":"Forged","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
    let arguments = [
        "patch",
        "dsg",
        "metrics",
        "-n",
        "forged",
        "--subresource=status",
        "--type=merge",
        "-p",
        forged,
    ];
    forger.kubectl(&arguments).await.unwrap().success().unwrap();
    let grant = tenant
        .wait("metrics", |grant| {
            !grant["status"].to_string().contains("Forged")
        })
        .await;
    assert_eq!(condition(&grant, "Open").0, "True");
}
