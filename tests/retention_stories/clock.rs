//! Two clocks that do not agree.

use std::time::Duration;

use serde_json::json;
use testbed::proxy::{Fault, Rule};
use testbed::{always, eventually};

use crate::case::{applied, entries, policy, stage, thing};
use crate::scene::{asks, deletes};
use crate::stage::{COVENANT, PATIENCE};

const TEN_YEARS: i64 = 10 * 365 * 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_servers_clock_is_ten_years_off_nothing_goes_and_no_minimum_ends_and_then_all_goes_on()
 {
    let stage = stage(50).await;
    let (proxy, operator) = stage.behind_proxy().await;
    for (years, namespace) in [(TEN_YEARS, "ahead"), (-TEN_YEARS, "behind")] {
        let acme = stage.tenant_on(namespace, "default").await;
        let keep = json!({ "atMost": "PT1S" });
        applied(
            &acme.admin,
            &policy(namespace, "logs", "log", keep, "Dispose"),
        )
        .await;
        stage
            .policy_says(namespace, "logs", "Ready", "True", "Disposing")
            .await;
        let misdated = proxy.add(Rule::new(Fault::Misdate(years), |_| true));
        applied(&acme.admin, &thing(namespace, "a", "log")).await;
        let said = stage
            .policy_says(namespace, "logs", "Ready", "False", "ClockDoubted")
            .await;
        let conditions = said["status"]["conditions"].to_string();
        assert!(
            conditions.contains("the operator's clock says"),
            "{conditions}"
        );
        // While it is doubted a minimum is stored, and does not end.
        let keep = json!({ "atLeast": "PT3S" });
        applied(
            &acme.admin,
            &policy(namespace, "books", "book", keep, "Preview"),
        )
        .await;
        applied(&acme.admin, &thing(namespace, "b", "book")).await;
        stage
            .policy_says(namespace, "books", "Ready", "False", "ClockDoubted")
            .await;
        let stays = || async {
            anyhow::ensure!(stage.things(namespace, "log").await == ["a"], "it went");
            let answer = asks(&acme.admin, deletes(namespace, "b").dry()).await;
            anyhow::ensure!(answer.code == 403, "{answer:?}");
            anyhow::Ok(())
        };
        always(
            "nothing goes and nothing ends",
            Duration::from_secs(6),
            stays,
        )
        .await
        .unwrap();
        let told = entries(stage.operator.ledger());
        let doubts = told
            .iter()
            .filter(|entry| entry["type"] == "io.cloudnexus.privacy.clock.disagreed.v1");
        assert!(doubts.count() > 0, "it is in the ledger");
        proxy.remove(misdated);
        stage.things_are(namespace, "log", &[]).await;
        eventually("the minimum is over", PATIENCE, || async {
            let answer = asks(&acme.admin, deletes(namespace, "b")).await;
            anyhow::ensure!(answer.is_success(), "{answer:?}");
            anyhow::Ok(())
        })
        .await
        .unwrap();
        stage
            .policy_says(namespace, "logs", "Ready", "True", "Disposing")
            .await;
    }

    // Begun with a wrong clock, it waits from the first.
    operator.stop().await.unwrap();
    let acme = stage.tenant_on("from-the-first", "default").await;
    let keep = json!({ "atMost": "PT1S" });
    applied(
        &acme.admin,
        &policy("from-the-first", "logs", "log", keep, "Dispose"),
    )
    .await;
    let keep = json!({ "atLeast": "PT1S" });
    applied(
        &acme.admin,
        &policy("from-the-first", "books", "book", keep, "Preview"),
    )
    .await;
    applied(&acme.admin, &thing("from-the-first", "a", "log")).await;
    applied(&acme.admin, &thing("from-the-first", "b", "book")).await;
    let misdated = proxy.add(Rule::new(Fault::Misdate(-TEN_YEARS), |_| true));
    let operator = stage
        .cluster
        .start_operator_behind(COVENANT, &proxy)
        .await
        .unwrap();
    operator.wait_ready().await.unwrap();
    stage
        .policy_says("from-the-first", "logs", "Ready", "False", "ClockDoubted")
        .await;
    let words = ["is kept by RetentionPolicy books", "has yet to read"];
    let kept = asks(&acme.admin, deletes("from-the-first", "b")).await;
    assert!(
        words.iter().any(|words| kept.message().contains(words)),
        "{kept:?}"
    );
    assert_eq!(stage.things("from-the-first", "log").await, ["a"]);
    proxy.remove(misdated);
    stage.things_are("from-the-first", "log", &[]).await;
}
