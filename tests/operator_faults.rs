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

use std::time::Duration;

use serde_json::json;
use testbed::eventually;
use testbed::operator::Operator;
use testbed::proxy::{Entry, Fault, Proxy, Rule, Seen};

use stage::{COVENANT, PATIENCE, Stage, Tenant, in_days, vendor};

/// How long a request hangs: less than the operator's own patience, so that it is answered.
const HANG: Duration = Duration::from_secs(9);
/// The operator's requests under way at once, but for those that close.
const REQUESTS: usize = 32;

/// The operator behind a proxy.
struct Behind {
    proxy: Proxy,
    _operator: Operator,
}

async fn behind(stage: &Stage) -> Behind {
    let (proxy, _operator) = stage.behind_proxy().await;
    Behind { proxy, _operator }
}

impl Behind {
    /// Requests so far that match.
    fn requests(&self, method: &str, resource: &str) -> Vec<Entry> {
        let journal = self.proxy.journal().into_iter();
        journal
            .filter(|entry| is(&entry.request, method, resource))
            .collect()
    }

    /// Revokes a grant that is open, and says when the operator asked to delete its policy, on the proxy's clock.
    async fn revoke(&self, tenant: &Tenant<'_>, name: &str) -> Duration {
        let mut grant = tenant.grant(name, &in_days(30));
        grant["spec"]["revoked"] = json!({ "reason": "contract ended" });
        let deletes = self.requests("DELETE", "networkpolicies").len();
        tenant.grants(&grant).await;
        eventually("the operator closes the path", PATIENCE, || async {
            let asked = self
                .requests("DELETE", "networkpolicies")
                .get(deletes)
                .map(|entry| entry.at);
            asked.ok_or_else(|| anyhow::anyhow!("it stands"))
        })
        .await
        .unwrap()
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
    behind.proxy.add(Rule::new(Fault::Delay(HANG), |seen| {
        is(seen, "POST", "jobs")
    }));
    let before = behind.requests("POST", "jobs").len();
    let more = (0..40).map(|number| tenant.grant(&format!("more-{number}"), &in_days(30)));
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": more.collect::<Vec<_>>() });
    tenant.grants(&all).await;
    let hanging = eventually("all that may be under way hangs", PATIENCE, || async {
        let hanging = behind.requests("POST", "jobs").split_off(before);
        anyhow::ensure!(hanging.len() >= REQUESTS, "{}", hanging.len());
        anyhow::Ok(hanging)
    })
    .await
    .unwrap();
    let closed = behind.revoke(&tenant, "first").await;
    behind.proxy.clear();
    let goes_on = hanging[0].at + HANG;
    assert!(closed < goes_on, "{closed:?}, {goes_on:?}");
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
    let tries = eventually("it was refused a few times", PATIENCE, || async {
        let tries = behind.requests("PATCH", "networkpolicies");
        anyhow::ensure!(tries.len() >= 7, "{}", tries.len());
        anyhow::Ok(tries)
    })
    .await
    .unwrap();
    let closed = behind.revoke(&tenant, "first").await;
    // The next try waits longer than the last one did.
    let [.., before, last] = tries.as_slice() else {
        unreachable!("there are seven")
    };
    let next = last.at + (last.at - before.at);
    assert!(closed < next, "{closed:?}, {next:?}");
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
