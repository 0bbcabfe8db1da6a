//! The operator against an API server that hangs, refuses and asks for patience: what closes never waits for what opens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test says what it expects"
)]

#[allow(
    dead_code,
    reason = "the stage is the stories', and these are some of them"
)]
#[path = "stories/stage.rs"]
mod stage;

use std::time::{Duration, Instant};

use serde_json::json;
use testbed::eventually;
use testbed::operator::Operator;
use testbed::proxy::{Entry, Fault, Proxy, Rule, Seen};

use stage::{COVENANT, PATIENCE, Stage, Tenant, in_days, vendor};

/// The operator behind a proxy.
struct Behind {
    proxy: Proxy,
    began: Instant,
    _operator: Operator,
}

async fn behind(stage: &Stage) -> Behind {
    stage.operator.stop().await.unwrap();
    let proxy = Proxy::start(&stage.cluster).await.unwrap();
    let began = Instant::now();
    let operator = stage
        .cluster
        .start_operator_behind(COVENANT, &proxy)
        .await
        .unwrap();
    operator.wait_ready().await.unwrap();
    Behind {
        proxy,
        began,
        _operator: operator,
    }
}

impl Behind {
    /// Requests so far that match.
    fn requests(&self, method: &str, resource: &str) -> Vec<Entry> {
        let journal = self.proxy.journal().into_iter();
        journal
            .filter(|entry| is(&entry.request, method, resource))
            .collect()
    }

    /// Revokes a grant that is open, and says how long it took until the operator asked to delete its policy.
    async fn revoke(&self, tenant: &Tenant<'_>, name: &str) -> Duration {
        let mut grant = tenant.grant(name, &in_days(30));
        grant["spec"]["revoked"] = json!({ "reason": "contract ended" });
        let deletes = self.requests("DELETE", "networkpolicies").len();
        tenant.grants(&grant).await;
        let revoked = self.began.elapsed();
        let asked = eventually("the operator closes the path", PATIENCE, || async {
            let asked = self
                .requests("DELETE", "networkpolicies")
                .get(deletes)
                .map(|entry| entry.at);
            asked.ok_or_else(|| anyhow::anyhow!("it stands"))
        });
        let asked = asked.await.unwrap();
        asked.saturating_sub(revoked)
    }
}

fn is(seen: &Seen, method: &str, resource: &str) -> bool {
    seen.method == method && seen.resource() == resource
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_does_not_wait_for_openings_that_hang() {
    let stage = Stage::new().await;
    let behind = behind(&stage).await;
    let tenant = stage.tenant("hangs").await;
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    tenant.open("first").await;
    let hang = Fault::Delay(Duration::from_secs(9));
    behind
        .proxy
        .add(Rule::new(hang, |seen| is(seen, "POST", "jobs")));
    let before = behind.requests("POST", "jobs").len();
    for number in 0..40 {
        let name = format!("more-{number}");
        tenant.grants(&tenant.grant(&name, &in_days(30))).await;
    }
    assert!(behind.requests("POST", "jobs").len() > before);
    let took = behind.revoke(&tenant, "first").await;
    behind.proxy.clear();
    assert!(took < Duration::from_secs(1), "{took:?}");
    tenant.closed("first", "Revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_could_not_be_mended_is_closed_at_once() {
    let stage = Stage::new().await;
    let behind = behind(&stage).await;
    let tenant = stage.tenant("unmended").await;
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    tenant.open("first").await;
    // The vendor moves, and the policy cannot follow for a while: each try waits longer than the one before.
    let refusal = Fault::Answer {
        status: 403,
        retry_after: None,
    };
    behind.proxy.add(Rule::new(refusal, |seen| {
        is(seen, "PATCH", "networkpolicies")
    }));
    let mut moved = vendor("unmended");
    moved["spec"]["endpoints"][0]["cidrs"] = json!(["198.51.100.0/24"]);
    let moved = moved.to_string();
    stage
        .engineer
        .apply(&moved)
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("it was refused a few times", PATIENCE, || async {
        let tries = behind.requests("PATCH", "networkpolicies").len();
        anyhow::ensure!(tries >= 6, "{tries}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    let took = behind.revoke(&tenant, "first").await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    tenant.closed("first", "Revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_never_comes_is_asked_for_again() {
    let stage = Stage::new().await;
    stage.operator.stop().await.unwrap();
    let proxy = Proxy::start(&stage.cluster).await.unwrap();
    let hang = Fault::Delay(Duration::from_secs(3600));
    let list = |seen: &Seen| is(seen, "GET", "sharingprohibitions") && !seen.is_watch();
    proxy.add(Rule::new(hang, list).times(1));
    let operator = stage
        .cluster
        .start_operator_behind(COVENANT, &proxy)
        .await
        .unwrap();
    let unseen = operator.wait_ready_within(Duration::from_secs(5)).await;
    assert!(
        unseen.is_err(),
        "nothing is planned before every kind is seen"
    );
    let patience = Duration::from_secs(75);
    operator.wait_ready_within(patience).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_patience_that_the_api_server_asks_for_is_kept() {
    let stage = Stage::new().await;
    let behind = behind(&stage).await;
    let tenant = stage.tenant("patient").await;
    let rule = Rule::new(Fault::too_many_requests(5), |seen| is(seen, "POST", "jobs")).times(1);
    behind.proxy.add(rule);
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    tenant.open("first").await;
    let tries = behind.requests("POST", "jobs");
    assert_eq!(tries.len(), 2);
    let waited = tries[1].at - tries[0].at;
    assert!((5..8).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_does_not_make_our_own_object_a_strangers() {
    let stage = Stage::new().await;
    let behind = behind(&stage).await;
    let tenant = stage.tenant("lost").await;
    // The Job is stored, and neither the answer nor the watch tells of it for a while.
    let frozen = behind.proxy.freeze_watches_of("jobs");
    behind
        .proxy
        .add(Rule::new(Fault::LoseAnswer, |seen| is(seen, "POST", "jobs")).times(1));
    tenant.grants(&tenant.grant("first", &in_days(30))).await;
    eventually("it was tried again", PATIENCE, || async {
        let tries = behind.requests("POST", "jobs").len();
        anyhow::ensure!(tries >= 2, "{tries}");
        anyhow::Ok(())
    })
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grant = tenant
        .wait("first", |grant| grant["status"].is_object())
        .await;
    assert_ne!(stage::condition(&grant, "Open").1, "NameTaken", "{grant}");
    behind.proxy.remove(frozen);
    tenant.open("first").await;
}
