//! What went is counted once, for the total and for the limit of a day, whoever saw it go and whatever was forgotten since.

use serde_json::json;
use testbed::proxy::{Fault, Rule, Seen};

use crate::case::{applied, may_dispose, policy, thing};
use crate::stage::{COVENANT, Stage, baseline, condition};

const NAMESPACE: &str = "counted";

async fn things(stage: &Stage, names: &[&str]) {
    for name in names {
        applied(stage.cluster.admin(), &thing(NAMESPACE, name, "log")).await;
    }
}

async fn went(stage: &Stage, total: i64) {
    stage
        .policy_is(NAMESPACE, "logs", "it is counted", |policy| {
            policy["status"]["disposed"]["total"] == total
        })
        .await;
    stage.things_are(NAMESPACE, "log", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_is_counted_though_its_answer_was_lost_and_the_operator_began_anew() {
    let stage = Stage::new().await;
    may_dispose(&stage).await;
    let mut bounds = baseline("default", "P90D");
    bounds["spec"]["retention"] =
        json!({ "maximumPerRun": 3, "maximumPerDay": 6, "grace": "PT0S" });
    applied(&stage.engineer, &bounds).await;
    stage.enrol(NAMESPACE, "acme").await;
    let (proxy, operator) = stage.behind_proxy().await;
    let is_delete =
        |seen: &Seen| seen.method == "DELETE" && seen.path.contains("/counted/configmaps/");
    proxy.add(Rule::new(Fault::LoseAnswer, is_delete));
    let keep = json!({ "atMost": "PT1S" });
    applied(
        stage.cluster.admin(),
        &policy(NAMESPACE, "logs", "log", keep, "Dispose"),
    )
    .await;
    things(&stage, &["a", "b", "c"]).await;
    went(&stage, 3).await;
    operator.stop().await.unwrap();

    // As if it had disposed of more, on earlier days.
    let identity = stage.cluster.operator_identity().await.unwrap();
    let user = identity.name().to_owned();
    let reads = json!([{ "apiGroups": ["privacy.cloudnexus.io"], "resources": ["retentionpolicies/status"], "verbs": ["get"] }]);
    stage.cluster.give(&user, "patching", &reads).await.unwrap();
    let patch = json!({ "status": { "disposed": { "total": 40 } } }).to_string();
    identity
        .kubectl(&[
            "patch",
            "retentionpolicy",
            "logs",
            "-n",
            NAMESPACE,
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ])
        .await
        .unwrap()
        .success()
        .unwrap();
    let operator = stage.cluster.start_operator(COVENANT).await.unwrap();
    things(&stage, &["d", "e", "f"]).await;
    went(&stage, 43).await;
    things(&stage, &["g"]).await;
    let said = stage
        .policy_is(NAMESPACE, "logs", "the day is full", |policy| {
            condition(policy, "LimitExceeded") == ("True".to_owned(), "MaximumPerDay".to_owned())
        })
        .await;
    let said = said["status"]["conditions"].to_string();
    assert!(said.contains("6 went within 24 hours"), "{said}");
    operator.stop().await.unwrap();
}
